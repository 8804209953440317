"""Single steps: `pytest benchmarks --benchmark-only`.

A case has BATCH frames: µs / BATCH is the time of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from struct import pack

import pytest
import webrtcvad
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.audio import RecordedCall, load
from vad_agent.core.actions import Speech
from vad_agent.core.frames import Channel, Framer
from vad_agent.core.session import CallSession
from vad_agent.script.settings import Settings
from vad_agent.trace.trace_format import record

BATCH = 500
RATE = 8_000
FRAME_BYTES = 320


@pytest.fixture(scope="module")
def call() -> RecordedCall:
    return load()


def noise(level: float) -> list[bytes]:
    """Comfort noise: frames of white noise of RMS `level`, the same each time."""
    random = Random(5)
    return [pack("<160h", *(round(random.gauss(0, level)) for _ in range(160))) for _ in range(50)]


def batch(frames: Sequence[bytes | None]) -> list[bytes | None]:
    """As many frames as a case needs, repeated."""
    return [frames[at % len(frames)] for at in range(BATCH)]


def hear(frames: Sequence[bytes | None]) -> Callable[[], None]:
    endpointer = Settings().endpointer(Channel.CLIENT, RATE)

    def work() -> None:
        take = endpointer.feed
        for frame in frames:
            take(frame)

    work()  # learns the line's level
    return work


def test_bare_detector_on_speech(benchmark: BenchmarkFixture, call: RecordedCall) -> None:
    """The baseline for the endpointer's cases."""
    frames, is_speech = batch(spoken(call)), webrtcvad.Vad(3).is_speech

    def work() -> None:
        for frame in frames:
            is_speech(frame, RATE)

    benchmark(work)


def test_ear_on_a_quiet_line(benchmark: BenchmarkFixture) -> None:
    benchmark(hear(batch(noise(30))))


def test_ear_on_speech(benchmark: BenchmarkFixture, call: RecordedCall) -> None:
    benchmark(hear(batch(spoken(call))))


def test_ear_on_digital_zero(benchmark: BenchmarkFixture) -> None:
    benchmark(hear(batch([bytes(FRAME_BYTES)])))


def test_ear_on_missing_frames(benchmark: BenchmarkFixture) -> None:
    benchmark(hear(batch([None])))


def test_session_on_a_quiet_line(benchmark: BenchmarkFixture) -> None:
    pairs = [(frame, frame) for frame in batch(noise(30))]
    # Cue mode: in auto mode a player that never reports would be waited for.
    feed = CallSession(Settings(), RATE, mode="cue").feed

    def work() -> None:
        for operator, client in pairs:
            feed(operator, client)

    work()
    benchmark(work)


def test_framer_on_blocks(benchmark: BenchmarkFixture) -> None:
    """Blocks of many frames, as from a file."""
    framer, block = Framer(RATE), bytes(FRAME_BYTES * BATCH)
    assert len(benchmark(lambda: list(framer.push(block)))) == BATCH


def test_framer_on_packets(benchmark: BenchmarkFixture) -> None:
    """Chunks that are not frames, as from a network."""
    framer, packet = Framer(RATE), bytes(240)
    packets = BATCH * FRAME_BYTES // len(packet)

    def work() -> None:
        for _ in range(packets):
            for _ in framer.push(packet):
                pass

    benchmark(work)


def test_trace_record(benchmark: BenchmarkFixture) -> None:
    actions = [Speech(at, Channel.CLIENT, at, at + 40) for at in range(BATCH)]
    assert len(benchmark(lambda: [record(action) for action in actions])) == BATCH


def spoken(call: RecordedCall) -> list[bytes]:
    """The client's frames in the fixture's longest stretch of speech."""
    session = CallSession(Settings(), call.rate, mode="cue")
    runs = [
        action
        for operator, client in call.pairs
        for action in session.feed(operator, client)
        if isinstance(action, Speech) and action.channel is Channel.CLIENT
    ]
    longest = max(runs, key=lambda run: run.end - run.start)
    return call.client[longest.start : longest.end]
