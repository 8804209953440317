"""Frames: any chunking of a stream is the same frames; what is not a frame is refused in words."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.core.frames import (
    SAMPLE_RATES,
    Framer,
    check_frame,
    frames,
    samples_per_frame,
    seconds,
)
from vad_agent.errors import FrameError


@given(st.binary(max_size=4_000), st.lists(st.integers(0, 4_000), max_size=12))
def test_any_chunking_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    framer = Framer(8_000)
    got = [frame for start, end in pairwise(edges) for frame in framer.push(stream[start:end])]
    whole = len(stream) // 320
    assert got == [stream[at * 320 : (at + 1) * 320] for at in range(whole)]
    assert framer.rest_bytes == len(stream) - whole * 320


@given(st.integers(0, 10**7))
def test_seconds_and_frames_are_inverse(count: int) -> None:
    assert frames(seconds(count)) == count
    assert math.isclose(seconds(count), count * 0.02)


def test_samples_of_a_frame() -> None:
    assert [samples_per_frame(rate) for rate in SAMPLE_RATES] == [160, 320, 640, 960]


@pytest.mark.parametrize("rate", [0, -8_000, 11_025, 44_100])
def test_a_wrong_rate(rate: int) -> None:
    with pytest.raises(FrameError) as caught:
        Framer(rate)
    assert str(caught.value) == (
        f"sample rate: expected one of 8000, 16000, 32000, 48000 Hz, got {rate}"
    )


@pytest.mark.parametrize(
    "frame", [bytes(320), bytearray(320), memoryview(bytes(320)), memoryview(bytearray(321))[1:]]
)
def test_a_frame_of_any_bytes_like(frame: Any) -> None:
    checked = check_frame(frame, 320)
    assert (type(checked), checked) == (bytes, bytes(320))


NOT_BYTES = "frame: expected bytes, bytearray, a memoryview of bytes or None, got "
HINT = " (of an int16 array: .tobytes())"


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (np.zeros(160, np.int16), f"{NOT_BYTES}ndarray{HINT}"),
        ("\0" * 320, f"{NOT_BYTES}str{HINT}"),
        ([0] * 320, f"{NOT_BYTES}list{HINT}"),
        (
            memoryview(bytes(320)).cast("h"),
            "frame: expected a memoryview of bytes, got format 'h': cast it to 'B'",
        ),
        (bytes(319), "frame: expected 320 bytes (20 ms of int16 mono), got 319"),
        (bytes(640), "frame: expected 320 bytes (20 ms of int16 mono), got 640"),
        (b"", "frame: expected 320 bytes (20 ms of int16 mono), got 0"),
    ],
)
def test_not_a_frame(frame: Any, text: str) -> None:
    with pytest.raises(FrameError) as caught:
        check_frame(frame, 320)
    assert str(caught.value) == text
