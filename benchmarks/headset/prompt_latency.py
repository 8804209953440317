"""Latency from a phrase's deadline to its first sample in the sink, compared with opening a stream
for each phrase.
"""

from __future__ import annotations

import math
import os
import queue
import random
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import Figure, Table
from tests.headset.audio_server import AudioServer
from vad_agent.audio.device_recovery import AudioWorker, Lost, Opened
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.duplex_capture import CAPTURE, SAMPLE_RATE
from vad_agent.audio.ipc_framing import Record
from vad_agent.speech.player import PHRASE_HZ, Player

P50_MS, P99_MS = 70, 120
BURST_S = 0.1
LOUD = 1000
OPENED = "a stream opened for each"
KEPT = "one stream kept open (ours)"


def sound_server(name: str, *, output: bool = False) -> Device:
    """A device of the server."""
    return Device(
        name=name,
        backend="pulse",
        host="PulseAudio",
        index=None,
        inputs=0 if output else 1,
        outputs=1 if output else 0,
        rate=48_000,
        loopback=not output,
        default=False,
    )


class SinkCapture:
    """Captures the sink's monitor, and finds the first loud sample after a time."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Opened | Lost | Record] = queue.SimpleQueue()
        spec = {**sound_server(name).spec(), "role": "client"}
        self._child = AudioWorker(CAPTURE, spec, self._queue.put)

    def first_loud(self, after: float, limit_s: float = 3.0) -> float:
        """Time (s) of the first loud sample; inf: there was none."""
        until = time.perf_counter() + limit_s
        while (rest := until - time.perf_counter()) > 0:
            try:
                what = self._queue.get(timeout=rest)
            except queue.Empty:
                break
            if not isinstance(what, Record) or what.flags or what.stamp + 0.02 < after:
                continue
            loud = np.flatnonzero(np.abs(np.frombuffer(what.payload, "<i2")) > LOUD)
            if len(loud):
                return what.stamp + int(loud[0]) / SAMPLE_RATE
        return math.inf

    def close(self) -> None:
        """End the capture."""
        self._child.close()


def burst() -> bytes:
    """A sound that is loud from its first sample on."""
    t = np.arange(round(BURST_S * PHRASE_HZ)) / PHRASE_HZ
    return (8000 * np.sign(np.sin(2 * math.pi * 500 * t + 0.1))).astype("<i2").tobytes()


def _ways(heard: SinkCapture, play: Callable[[], None], count: int) -> list[float]:
    chance = random.Random(7)
    took = []
    for _ in range(count):
        time.sleep(0.25 + 0.05 * chance.random())  # deadlines are not aligned with blocks
        asked = time.perf_counter()
        play()
        took.append((heard.first_loud(asked) - asked) * 1e3)
    return sorted(took)


def _opened_each(pcm: bytes) -> None:
    """A program that plays a file: open, play, close."""
    import sounddevice  # type: ignore[import-untyped]

    os.environ["PULSE_SINK"] = "virtmic"
    with sounddevice.RawOutputStream(
        device="pulse", samplerate=PHRASE_HZ, channels=1, dtype="int16", latency="low"
    ) as stream:
        stream.write(pcm + bytes(len(pcm)))


def measure(server: AudioServer, *, prompts: int = 200) -> Table:
    """Measure both variants on this process's server."""
    pcm = burst()
    told: queue.SimpleQueue[Opened | Lost | Record] = queue.SimpleQueue()
    heard, player = (
        SinkCapture("virtmic.monitor"),
        Player(sound_server("virtmic", output=True), DeviceRole.PROMPT, told.put),
    )
    try:
        player.take(told.get(timeout=10))
        time.sleep(3)
        kept = _ways(heard, lambda: _say(player, pcm), prompts)
        player.close()
        opened = _ways(heard, lambda: _opened_each(pcm), max(prompts // 10, 5))
    finally:
        player.close()
        heard.close()
    figures = []
    for name, target, share in (
        ("p50", P50_MS, 0.5),
        ("p99", P99_MS, 0.99),
        ("longest", None, 1.0),
    ):
        ours, theirs = _at(kept, share), _at(opened, share)
        goal = "" if target is None else f"≤ {target} ms"
        met = None if target is None else ours <= target
        figures.append(Figure(f"{KEPT}, {name}", ours, "ms", ours / theirs, OPENED, goal, met))
        figures.append(Figure(f"{OPENED}, {name}", theirs, "ms"))
    note = f"{prompts} phrases ({len(opened)} with {OPENED}), heard at the sink's monitor"
    return Table("Deadline to the first sample in the sink", figures, [note])


def _say(player: Player, pcm: bytes) -> None:
    if player.play(pcm) is None:
        raise RuntimeError("the player is not open")


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(math.ceil(share * len(ordered)) - 1, len(ordered) - 1)]
