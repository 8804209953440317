"""The capture and playback processes on a real audio server: sound, times, and what becomes of a loss."""

from __future__ import annotations

import itertools
import math
import queue
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.headset.prompt_latency import sound_server
from tests.headset.audio_server import AudioServer
from vad_agent.audio.device_recovery import AudioWorker, DeviceState, Lost, Opened
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.duplex_capture import CAPTURE, Converter
from vad_agent.audio.ipc_framing import Flag, Record
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PHRASE_HZ, PlaybackReport, Player

What = Opened | Lost | Record
LIMIT_S = 8.0


def tone(seconds: float, rate: int = PHRASE_HZ) -> bytes:
    t = np.arange(round(seconds * rate)) / rate
    return (8000 * np.sign(np.sin(2 * math.pi * 500 * t + 0.1))).astype("<i2").tobytes()


class Heard:
    """What a child tells, as it comes."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[What] = queue.SimpleQueue()
        self.all: list[What] = []

    def until(self, true: Callable[[What], bool], limit_s: float = LIMIT_S) -> What:
        end = time.perf_counter() + limit_s
        while (rest := end - time.perf_counter()) > 0:
            try:
                what = self.queue.get(timeout=rest)
            except queue.Empty:
                break
            self.all.append(what)
            if true(what):
                return what
        raise TimeoutError(f"not within {limit_s:g} s; came: {self.all[-3:]}")

    def samples(self, seconds: float) -> int:
        """Take samples of so long; how many blocks."""
        blocks = round(seconds / 0.02)
        for _ in range(blocks):
            self.until(is_sound)
        return blocks


def is_sound(what: What) -> bool:
    return isinstance(what, Record) and what.flags < Flag.OPENED


def is_lost(what: What) -> bool:
    return isinstance(what, Lost)


def is_open(what: What) -> bool:
    return isinstance(what, Opened)


@pytest.fixture
def server(audio_server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AudioServer]:
    for name, value in audio_server.env.items():
        monkeypatch.setenv(name, value)
    return audio_server


@pytest.fixture
def fresh(
    fresh_audio_server: AudioServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AudioServer]:
    for name, value in fresh_audio_server.env.items():
        monkeypatch.setenv(name, value)
    return fresh_audio_server


def capture(device: Device, heard: Heard) -> AudioWorker:
    return AudioWorker(CAPTURE, {**device.spec(), "role": "client"}, heard.queue.put)


def test_a_source_is_captured_at_16_khz_in_frames_of_20_ms(server: AudioServer) -> None:
    heard = Heard()
    child = capture(sound_server("client.monitor"), heard)
    try:
        opened = heard.until(is_open)
        assert isinstance(opened, Opened)
        assert (opened.rate, opened.channels) == (16_000, 1)
        heard.samples(1.0)
        blocks = [what for what in heard.all if isinstance(what, Record)][5:]
        assert {len(block.payload) for block in blocks} == {640}
        steps = [b.stamp - a.stamp for a, b in itertools.pairwise(blocks)]
        assert sum(steps) / len(steps) == pytest.approx(0.02, abs=0.002)
    finally:
        child.close()


@pytest.mark.serial
def test_a_phrase_leaves_when_the_player_says_so(server: AudioServer) -> None:
    """What is told and what is heard at the sink's monitor agree, at both ends of the phrase."""
    heard, told = Heard(), Heard()
    child = capture(sound_server("virtmic.monitor"), heard)
    player = Player(sound_server("virtmic", output=True), DeviceRole.PROMPT, told.queue.put)
    try:
        player.take(told.until(is_open))
        heard.samples(0.5)
        number = player.play(tone(0.7))
        assert number is not None
        reports = []
        while len(reports) < 2:
            report = player.take(told.until(lambda what: isinstance(what, Record)))
            assert isinstance(report, PlaybackReport)
            reports.append(report)
        assert [(report.phrase, report.mark) for report in reports] == [
            (number, Mark.STARTED),
            (number, Mark.ENDED),
        ]
        assert reports[1].at - reports[0].at == pytest.approx(0.7, abs=0.002)
        heard.until(lambda what: is_sound(what) and what.stamp > reports[1].at + 0.1)  # type: ignore[union-attr]
        loud = [
            what.stamp + index / 16_000
            for what in heard.all
            if isinstance(what, Record) and is_sound(what)
            for index in np.flatnonzero(np.abs(np.frombuffer(what.payload, "<i2")) > 1000)
        ]
        assert loud[0] == pytest.approx(reports[0].at, abs=0.02)
        assert loud[-1] == pytest.approx(reports[1].at, abs=0.02)
    finally:
        player.close()
        child.close()


@pytest.mark.serial
def test_a_stopped_phrase_is_silent_soon(server: AudioServer) -> None:
    heard, told = Heard(), Heard()
    child = capture(sound_server("virtmic.monitor"), heard)
    player = Player(sound_server("virtmic", output=True), DeviceRole.PROMPT, told.queue.put)
    try:
        player.take(told.until(is_open))
        heard.samples(0.3)
        player.play(tone(3.0))
        told.until(lambda what: isinstance(what, Record))
        heard.samples(0.3)
        stopped = time.perf_counter()
        player.stop()
        report = player.take(told.until(lambda what: isinstance(what, Record)))
        assert report is not None
        assert report.mark is Mark.STOPPED
        heard.samples(0.5)
        loud = [
            what.stamp
            for what in heard.all
            if isinstance(what, Record)
            and is_sound(what)
            and np.abs(np.frombuffer(what.payload, "<i2")).max() > 100
        ]
        assert loud[-1] + 0.02 - stopped < 0.12  # no timing promise: benchmarks measure it
    finally:
        player.close()
        child.close()


def test_a_device_that_is_not_there_is_told_and_found_when_it_comes(fresh: AudioServer) -> None:
    heard = Heard()
    child = capture(sound_server("later.monitor"), heard)
    try:
        lost = heard.until(is_lost)
        assert isinstance(lost, Lost)
        assert lost.first
        fresh.add_sink("later")
        heard.until(is_open)
        heard.samples(0.1)
    finally:
        child.close()


@pytest.mark.serial
def test_a_killed_server_is_a_loss_and_its_return_goes_on(fresh: AudioServer) -> None:
    heard, told = Heard(), Heard()
    child = capture(sound_server("client.monitor"), heard)
    player = Player(sound_server("virtmic", output=True), DeviceRole.PROMPT, told.queue.put)
    try:
        player.take(told.until(is_open))
        heard.samples(0.1)
        began = time.perf_counter()
        fresh.kill()
        heard.until(is_lost)
        player.take(told.until(is_lost))
        assert player.state is DeviceState.LOST
        assert player.play(tone(0.1)) is None
        assert time.perf_counter() - began < 3.0
        fresh.start()
        heard.until(is_open)
        heard.samples(0.1)
        player.take(told.until(is_open))
        assert player.play(tone(0.1)) is not None
    finally:
        player.close()
        child.close()


@pytest.mark.serial
def test_the_loss_of_one_device_does_not_touch_another(fresh: AudioServer) -> None:
    one, other = Heard(), Heard()
    children = [
        capture(sound_server("client.monitor"), one),
        capture(sound_server("mic.monitor"), other),
    ]
    try:
        one.samples(0.1)
        other.samples(0.1)
        children[0].restart()
        one.until(is_lost)
        before = len(other.all)
        one.until(is_open)
        one.samples(0.1)
        other.samples(0.5)
        stamps = [what.stamp for what in other.all[before:] if isinstance(what, Record)]
        assert max(b - a for a, b in itertools.pairwise(stamps)) < 0.1
    finally:
        for child in children:
            child.close()


def test_a_child_ends_with_its_parent(server: AudioServer, tmp_path: Path) -> None:
    import subprocess

    spec = '{"backend": "pulse", "name": "mic.monitor", "host": "PulseAudio", "role": "client"}'
    child = subprocess.Popen(
        [sys.executable, "-m", CAPTURE, spec], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    child.stdout.read(1)
    child.stdin.close()
    assert child.wait(5) == 0
    child.stdout.close()


@pytest.mark.parametrize("rate", [44_100, 48_000, 32_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_becomes_frames_with_their_own_stamps(rate: int, channels: int) -> None:
    converter = Converter(rate, channels)
    block = np.zeros((rate // 50, channels), "<i2")
    frames = []
    for n in range(200):
        samples = block.copy()
        if n == 100:
            samples[:] = 20_000
        frames += converter.convert(n * 0.02, samples.tobytes())
    assert {len(frame) for _, frame in frames} == {640}
    stamps = [stamp for stamp, _ in frames]
    assert stamps == sorted(stamps)
    loud = [stamp for stamp, frame in frames if np.abs(np.frombuffer(frame, "<i2")).max() > 10_000]
    assert loud[0] == pytest.approx(100 * 0.02, abs=0.021)
