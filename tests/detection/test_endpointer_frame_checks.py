"""Invalid frames are refused with an error and leave the endpointer unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.detection.endpointer_tape import RATE, draw, listen, new_endpointer, state
from vad_agent.core.frames import SAMPLE_RATES
from vad_agent.detection.endpointer import Endpointer
from vad_agent.detection.neural_network import load
from vad_agent.errors import FrameError

CALL = ".*40 S*60 .*20 n*40 -*8 0*60 .*30 S*30 .*25"
WRONG = [
    (np.full(160, 900, np.int16), "ndarray (of an int16 array: .tobytes())"),
    (np.zeros(320, np.uint8), "ndarray"),
    (memoryview(bytes(320)).cast("h"), "got format 'h': cast it to 'B'"),
    (memoryview(bytes(640))[::2], "cast it to 'B'"),
    ("\0" * 320, "got str"),
    (0, "got int"),
    (False, "got bool"),
    ([0] * 320, "got list"),
    (b"", "got 0"),
    (bytes(319), "got 319"),
    (bytes(322), "got 322"),
    (bytes(640), "got 640"),
    (bytearray(318), "got 318"),
    (memoryview(bytes(160)), "got 160"),
]


@pytest.mark.parametrize(("frame", "text"), WRONG)
def test_what_is_no_frame_is_refused_in_words(frame: Any, text: str) -> None:
    with pytest.raises(FrameError) as caught:
        new_endpointer().feed(frame)
    assert str(caught.value).startswith("frame: expected ")
    assert text in str(caught.value)


def test_a_refused_frame_leaves_the_endpointer_as_it_was() -> None:
    frames = draw(CALL)
    disturbed, other = new_endpointer(), new_endpointer()
    for at, frame in enumerate(frames):
        with pytest.raises(FrameError):
            disturbed.feed(WRONG[at % len(WRONG)][0])
        assert disturbed.feed(frame) == other.feed(frame)
        assert state(disturbed) == state(other)
        assert (disturbed.start, disturbed.end, disturbed.since) == (
            other.start,
            other.end,
            other.since,
        )
        assert disturbed.doubtful() == other.doubtful()
        assert disturbed.lacks_frame() == other.lacks_frame()
    assert other.segments_ended >= 2


@pytest.mark.parametrize(
    "wrap",
    [
        bytearray,
        memoryview,
        lambda frame: memoryview(bytearray(frame)),
        lambda frame: memoryview(frame).cast("h").cast("B"),
        lambda frame: memoryview(b"\x7f" + frame + b"\x7f")[1:-1],
        lambda frame: memoryview(np.frombuffer(frame, np.int16)).cast("B"),
        type("Subclass", (bytes,), {}),
    ],
    ids=["bytearray", "view", "of bytearray", "cast back", "slice", "of int16 array", "subclass"],
)
def test_buffers_of_bytes_are_heard_as_bytes_are(wrap: Callable[[bytes], Any]) -> None:
    frames = draw(CALL)
    wrapped = [None if frame is None else wrap(frame) for frame in frames]
    assert listen(new_endpointer(), wrapped) == listen(new_endpointer(), frames)


def test_a_buffer_may_be_used_again_at_once() -> None:
    """A constant line is known by comparing with a frame kept: it must be a copy."""
    buffer = bytearray(320)
    endpointer = new_endpointer()
    lines = []
    for frame in draw("0*60 .*20 z*60"):
        assert frame is not None
        buffer[:] = frame
        if endpointer.feed(buffer):
            lines.append((str(endpointer.line), endpointer.since))
        buffer[:] = b"\x55" * 320
    assert lines == [("live", 0), ("digital_zero", 0), ("live", 60), ("digital_zero", 80)]


class Dies:
    """A detector that hears nobody, and dies."""

    threshold = 0.5

    def __init__(self, at: int) -> None:
        self._left = at

    def probability(self, frame: bytes, /) -> float:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("gone")
        return 0.0


@pytest.mark.parametrize("dies_at", [0, 2, 70, 110])
@pytest.mark.parametrize("with_network", [True, False])
def test_a_detector_that_dies_is_no_silence(dies_at: int, with_network: bool) -> None:
    """Wherever it dies, in quiet or in speech: nobody is hung up on, and it is said once."""
    network = load() if with_network else None
    endpointer = Endpointer(RATE, detector=Dies(dies_at), network=network)
    said = []
    failed = False
    for now, frame in enumerate(draw(".*60 S*60 .*40 S*60 .*60")):
        if endpointer.feed(frame) and endpointer.failed and not failed:
            said.append(now)
            failed = True
    assert len(said) == 1
    assert endpointer.segments_ended >= 1
    assert not endpointer.speaking


@pytest.mark.parametrize("rate", [0, -8_000, 11_025, 22_050, 44_100, 96_000])
def test_a_wrong_rate(rate: int) -> None:
    with pytest.raises(FrameError, match=f"sample rate: .* got {rate}"):
        new_endpointer(rate)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_each_rate_has_its_frame(rate: int) -> None:
    endpointer = new_endpointer(rate)
    assert endpointer.feed(bytes(rate // 25))
    with pytest.raises(FrameError, match=f"expected {rate // 25} bytes"):
        endpointer.feed(bytes(rate // 25 + 2))
