"""Gain, offset, polarity and the type of the bytes change no decision; nothing raises."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.detection.endpointer_tape import RATE, join, speech
from vad_agent import Settings
from vad_agent.core.frames import SAMPLE_BYTES, Channel, Framer, samples_per_frame
from vad_agent.detection.dead_air import dead_air

DETECTORS = ("earshot", "network")
SILENCE = 125
WORDS = (
    "woman_long", "caller_yes", "woman_questions", "caller_alo", "woman_who_calls", "man_delivery_time",
)  # fmt: skip
BYTES = 2 * RATE // 50
QUIETEST_PEAK_DBFS = -25
"""The voices' active level is 20 dB lower: -45 dBFS. Of quieter ones the gate takes the last syllables."""

Samples = NDArray[np.float64]


@cache
def call() -> Samples:
    """A client's leg: words, 3.8 s of comfort noise between them. The loudest sample is 1."""
    frames, _ = speech(*WORDS, gap=190)
    samples = join(frame for frame in frames if frame is not None).astype(np.float64)
    return np.asarray(samples / np.abs(samples).max())


def line(samples: Samples) -> bytes:
    return np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes()


def fires(audio: bytes, detector: str, chunks: list[int] | None = None) -> list[int]:
    """Frames at which a silence of 2.5 s is known."""
    framer = Framer(RATE)
    frames: list[bytes] = []
    at = 0
    for size in chunks or [len(audio)]:
        frames += framer.push(audio[at : at + size])
        at += size
    frames += framer.push(audio[at:])
    endpointer = Settings(hearing={"detector": detector}).endpointer(Channel.CLIENT, RATE)
    return [found.fired for found in dead_air(frames, endpointer, Channel.CLIENT, SILENCE)]


@cache
def expected(detector: str) -> list[int]:
    return fires(line(call() * 8_000), detector)


def as_expected(found: list[int], detector: str) -> bool:
    """The same decisions, at most two frames earlier or later: of a quiet voice the edges are rounded off."""
    wanted = expected(detector)
    return len(found) == len(wanted) and all(
        abs(one - two) <= 2 for one, two in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_silence_of_the_call_is_found(detector: str) -> None:
    assert len(expected(detector)) == len(WORDS) + 1


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=15, deadline=None)
@given(peak_dbfs=st.floats(QUIETEST_PEAK_DBFS, 0), polarity=st.sampled_from([1, -1]))
def test_gain_and_polarity_change_no_decision(
    detector: str, peak_dbfs: float, polarity: int
) -> None:
    samples = call() * polarity * 32_767 * 10 ** (peak_dbfs / 20)
    assert as_expected(fires(line(samples), detector), detector)


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=15, deadline=None)
@given(offset=st.integers(-4_000, 4_000))
@example(offset=10)  # too small to be taken out
def test_an_offset_changes_no_decision(detector: str, offset: int) -> None:
    assert as_expected(fires(line(call() * 8_000 + offset), detector), detector)


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=8, deadline=None)
@given(chunks=st.lists(st.integers(0, 3 * BYTES), max_size=200))
def test_however_the_bytes_come_the_decisions_are_the_same(
    detector: str, chunks: list[int]
) -> None:
    assert fires(line(call() * 8_000), detector, chunks) == expected(detector)


def _square(frame: int, size: int) -> bytes:
    half = (frame * 7) % 39 + 1
    return np.resize([32_767] * half + [-32_768] * half, size).astype("<i2").tobytes()


EXTREMES = {
    "zeros": lambda _, size: bytes(SAMPLE_BYTES * size),
    "full scale": lambda _, size: b"\x00\x80" * size,
    "other full scale": lambda _, size: b"\xff\x7f" * size,
    "square waves": _square,
    "random bytes": lambda frame, size: np.random.default_rng(frame).bytes(SAMPLE_BYTES * size),
}


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000, 48_000])
@pytest.mark.parametrize("detector", DETECTORS)
def test_nothing_that_can_come_raises(detector: str, rate: int, kind: str) -> None:
    endpointer = Settings(hearing={"detector": detector}).endpointer(Channel.CLIENT, rate)
    size = samples_per_frame(rate)
    frames = [EXTREMES[kind](frame, size) for frame in range(400)]
    for found in dead_air(frames, endpointer, Channel.CLIENT, SILENCE):
        assert found.fired <= len(frames)
    endpointer.finish()
    assert not endpointer.failed
