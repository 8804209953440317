"""Lost samples and the time of a pair of frames, with and without a busy thread.

    paplay tone   ──> client ──> client.monitor ──┐
    paplay speech ──> mic ────> mic.monitor ──────┴─> DuplexCapture ─> Loop ─> CallTracker     quiet, busy, …

The tone's phase in each frame gives the frame's position in the tone: a lost sample is a jump.
parec captures the same monitor: a jump that it also has was caused by the audio server.
"""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.headset.prompt_latency import sound_server
from benchmarks.measure import Figure, Table, percentile
from tests.headset.audio_server import AudioServer
from tests.headset.source_recording import Int16s, write_wav
from tests.headset.speech import Part, script_audio
from vad_agent.audio.duplex_capture import SAMPLE_RATE, DuplexCapture
from vad_agent.audio.jitter_buffer import Pair
from vad_agent.cli.listen_process import SWITCH_S
from vad_agent.client.headset_protocol import Command
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.loop import CONTROL, Loop
from vad_agent.script.settings import Settings

P999_MS = 5
JUMP = 0.5
"""Samples at 16 kHz; the fit itself is accurate to some hundredths."""
TONE_HZ = 23.7
"""A period is 675 samples: no multiple of it is a small number of frames."""
FRAME = round(FRAME_S * SAMPLE_RATE)
SLICE_S = 5.0
FIRST_S = 1.0
PLAYED_HZ = 48_000
QUIET, BUSY = "without the busy thread", "beside a busy thread"


@dataclass
class Handled:
    """What the loop did: one list entry per pair."""

    took: list[float] = field(default_factory=list)
    age: list[float] = field(default_factory=list)
    """From the end of a pair's time until it was handled, s."""
    busy: list[bool] = field(default_factory=list)
    client: list[bytes | None] = field(default_factory=list)


class TimedLoop(Loop):
    """Measures each step; a call is always on."""

    handled: Handled
    busy: threading.Event

    def _step(self, pair: Pair) -> None:
        began, busy = time.perf_counter(), self.busy.is_set()
        super()._step(pair)
        took = time.perf_counter() - began
        assert self.headset is not None
        self.handled.took.append(took)
        self.handled.age.append((self.headset.slot_at(began) - pair.slot - 1) * FRAME_S)
        self.handled.busy.append(busy)
        self.handled.client.append(pair.client)
        if self.tracker.session is None:
            self.put(CONTROL, Command.START_CALL)


def tone(seconds: float) -> Int16s:
    """The tone, for playback at 48 kHz."""
    t = np.arange(round(seconds * PLAYED_HZ)) / PLAYED_HZ
    return (8000 * np.sin(2 * math.pi * TONE_HZ * t)).astype(np.int16)


def jumps(frames: Sequence[bytes | None]) -> list[float]:
    """Samples by which each frame's tone deviates from the previous frame; a missing frame counts
    as elapsed time.
    """
    t = np.arange(FRAME) / SAMPLE_RATE * 2 * math.pi * TONE_HZ
    fit = np.linalg.pinv(np.stack([np.sin(t), np.cos(t)], axis=1))
    samples_a_turn = SAMPLE_RATE / TONE_HZ
    found, before = [], None
    for number, frame in enumerate(frames):
        if frame is None:
            continue
        sine, cosine = fit @ np.frombuffer(frame, "<i2")
        at = math.atan2(cosine, sine) / (2 * math.pi) * samples_a_turn - number * FRAME
        if before is not None:
            found.append((at - before + samples_a_turn / 2) % samples_a_turn - samples_a_turn / 2)
        before = at
    return found


class Busy:
    """A pure Python thread that computes while `on` is set."""

    def __init__(self) -> None:
        self.on = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="busy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended:
            self.on.wait()
            count = 0
            for number in range(10_000):
                count += number * number % 7

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self.on.set()
        self._thread.join()


def measure(server: AudioServer, *, seconds: float = 60) -> Table:
    """Measure `seconds` with the busy thread and as many without, in turns, on this process's server."""
    sys.setswitchinterval(SWITCH_S)  # as `listen` does
    server.keep_awake("client", "mic")
    players = _play(server, 2 * seconds + 20)
    reference = server.record("client.monitor", rate=SAMPLE_RATE)
    time.sleep(FIRST_S)
    skipped = reference.seconds  # start of the tone
    busy, handled = Busy(), Handled()
    tracker = CallTracker(Settings(), SAMPLE_RATE, policy="manual")
    loop = TimedLoop(tracker, lambda actions: None)
    loop.handled, loop.busy = handled, busy.on
    headset = loop.headset = DuplexCapture(
        sound_server("mic.monitor"), sound_server("client.monitor"), loop.put
    )
    thread = threading.Thread(target=loop.run, name="loop")
    thread.start()
    try:
        _wait_first(handled)
        time.sleep(FIRST_S)
        first, before = len(handled.took), _lost(headset)
        turns = max(round(seconds / SLICE_S), 1)
        for _ in range(turns):
            time.sleep(seconds / turns)
            busy.on.set()
            time.sleep(seconds / turns)
            busy.on.clear()
        last, after = len(handled.took), _lost(headset)
    finally:
        loop.put(CONTROL, Command.QUIT)
        thread.join()
        busy.close()
        headset.close()
        for player in players:
            player.terminate()
    lost = {name: after[name] - before[name] for name in after}
    ours = jumps(handled.client[first:last])
    pcm = reference.samples()[round(skipped * SAMPLE_RATE) :]
    reference.stop()
    blocks = [pcm[at : at + FRAME].tobytes() for at in range(0, len(pcm) - FRAME + 1, FRAME)]
    theirs = jumps(blocks[:-50])
    figures = [
        Figure("pairs of frames", last - first, ""),
        *(Figure(name, count, "", target="0", met=count == 0) for name, count in lost.items()),
        _loud(handled.client[first:last]),
        *_jumps("ours", ours, goal=True),
        *_jumps("parec", theirs, goal=False),
        *_times(handled, first, last),
    ]
    notes = [
        f"{seconds:g} s {BUSY} and {seconds:g} s {QUIET}, in turns of {seconds / turns:g} s; "
        "the first second does not count",
        f"client: a tone of {TONE_HZ:g} Hz, whose phase proves each frame's place; operator: speech",
        "a step: both endpointers, the session and its actions; the trace is not written",
    ]
    return Table("No sample lost, beside a busy thread", figures, notes)


def _play(server: AudioServer, seconds: float) -> list[subprocess.Popen[bytes]]:
    path = server.directory / "operator.wav"
    turn: list[Part] = [
        ("speech", "woman_hello"),
        ("silence", 1.5),
        ("speech", "caller_alo"),
        ("silence", 2.5),
    ]
    script_audio(turn * math.ceil(seconds / 4), path, tail_s=0)
    client = write_wav(server.directory / "client.wav", tone(seconds), PLAYED_HZ)
    # A large latency, so that the source itself does not stutter on a busy machine.
    return [server.play(client, "client", latency_ms=500), server.play(path, "mic", latency_ms=500)]


def _wait_first(handled: Handled) -> None:
    until = time.perf_counter() + 15
    while not (handled.client and handled.client[-1]):
        if time.perf_counter() > until:
            raise TimeoutError("no frame came")
        time.sleep(0.02)


def _lost(headset: DuplexCapture) -> dict[str, int]:
    lanes = {channel: headset.lane(channel) for channel in Channel}
    return {
        **{f"{channel.value}'s frames missing": lane.missing for channel, lane in lanes.items()},
        "overruns": sum(lane.overruns for lane in lanes.values()),
        "frames that came late": sum(lane.late for lane in lanes.values()),
        "frames repeated or left out": sum(abs(lane.stretched) for lane in lanes.values()),
    }


def _loud(frames: Sequence[bytes | None]) -> Figure:
    loud = sum(1 for f in frames if f and np.abs(np.frombuffer(f, "<i2")).max() > 1000)
    share = loud / max(len(frames), 1) * 100
    return Figure(
        "client's frames with the tone in them", share, "%", target="100 %", met=share == 100
    )


def _jumps(whose: str, found: Sequence[float], *, goal: bool) -> list[Figure]:
    many = sum(1 for jump in found if abs(jump) > JUMP)
    longest = max((abs(jump) for jump in found), default=math.inf)
    target, met = ("0", many == 0) if goal else ("", None)
    return [
        Figure(f"jumps of the tone > {JUMP:g} sample, {whose}", many, "", target=target, met=met),
        Figure(f"the longest, {whose}", longest, "samples"),
    ]


def _times(handled: Handled, first: int, last: int) -> list[Figure]:
    def some(values: Sequence[float], busy: bool) -> list[float]:
        both = zip(values[first:last], handled.busy[first:last], strict=True)
        return [value * 1e3 for value, was in both if was == busy]

    figures = []
    for what, values in (
        ("a pair's step", handled.took),
        ("a pair's age when handled", handled.age),
    ):
        quiet, busy = some(values, False), some(values, True)
        shares: list[tuple[str, Callable[[Sequence[float]], float]]] = [
            ("p50", lambda all: percentile(all, 0.5)),
            ("p99.9", lambda all: percentile(all, 0.999)),
            ("longest", max),
        ]
        for name, at in shares:
            ours, alone = at(busy), at(quiet)
            goal = what == "a pair's step" and name == "p99.9"
            target, met = (f"≤ {P999_MS} ms", ours <= P999_MS) if goal else ("", None)
            # An age has no ratio: its zero is the device's stamps, accurate to some ms; it may be
            # negative.
            by, than = (ours / alone, QUIET) if values is handled.took else (None, "")
            figures.append(Figure(f"{what} {BUSY}, {name}", ours, "ms", by, than, target, met))
            figures.append(Figure(f"{what} {QUIET}, {name}", alone, "ms"))
    return figures
