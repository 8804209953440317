"""The unit of time: one 20 ms frame of int16 little-endian mono. The core counts all times in frames.

seconds ──frames()──> frames ──seconds()──> seconds      once, at the boundary, never in between
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from enum import StrEnum

from vad_agent.errors import FrameError

FRAME_MS = 20
FRAME_S = FRAME_MS / 1000
FRAMES_PER_SECOND = 1000 // FRAME_MS
SAMPLE_BYTES = 2
ENDLESS = 1 << 62
"""A frame number that is never reached."""
SAMPLE_RATES = (8_000, 16_000, 32_000, 48_000)

Frame = bytes | None
"""One 20 ms frame of a channel, int16 little-endian mono. None: it did not arrive."""
FramePair = tuple[Frame, Frame]
"""The frames of operator and client at one time."""
FrameInput = bytes | bytearray | memoryview | None
"""A frame as a caller may pass it: any buffer of bytes."""


class Channel(StrEnum):
    """The two channels of a call: the operator (near end, wears the headset) and the client (far end)."""

    OPERATOR = "operator"
    CLIENT = "client"


def frames(seconds: float) -> int:
    """Convert seconds to the nearest whole number of frames."""
    return math.floor(seconds * FRAMES_PER_SECOND + 0.5)


def seconds(count: int) -> float:
    """Convert frames to seconds, exact to the frame (a multiple of 0.02)."""
    return round(count / FRAMES_PER_SECOND, 2)


def samples_per_frame(sample_rate: int) -> int:
    """Number of samples in one frame.

    Raises:
        FrameError: the rate (Hz) is not one of SAMPLE_RATES.
    """
    if sample_rate not in SAMPLE_RATES:
        expected = ", ".join(str(rate) for rate in SAMPLE_RATES)
        raise FrameError(f"sample rate: expected one of {expected} Hz, got {sample_rate!r}")
    return sample_rate * FRAME_MS // 1000


def check_frame(frame: object, size: int) -> bytes:
    """Return the frame as bytes of length `size`.

    Only bytes-like buffers of single bytes are accepted. An int16 array has half the length, and a
    detector would silently evaluate only the first half of the frame.

    Raises:
        FrameError: wrong type or size; the message says what was expected and what came.
    """
    if isinstance(frame, memoryview):
        if frame.itemsize != 1 or not frame.c_contiguous:
            raise FrameError(
                f"frame: expected a memoryview of bytes, got format {frame.format!r}: cast it to 'B'"
            )
        frame = bytes(frame)
    elif isinstance(frame, bytearray):
        frame = bytes(frame)
    if not isinstance(frame, bytes):
        raise FrameError(
            f"frame: expected bytes, bytearray, a memoryview of bytes or None, got {type(frame).__name__}"
            " (of an int16 array: .tobytes())"
        )
    if len(frame) != size:
        raise FrameError(f"frame: expected {size} bytes (20 ms of int16 mono), got {len(frame)}")
    return frame


class Framer:
    """Splits a byte stream of any chunking into 20 ms frames and keeps the remainder for the next chunk."""

    def __init__(self, sample_rate: int) -> None:
        self.frame_bytes = samples_per_frame(sample_rate) * SAMPLE_BYTES
        self._rest = bytearray()

    def push(self, chunk: bytes | bytearray | memoryview) -> Sequence[bytes]:
        """The whole frames that `chunk` completes, in order."""
        size = self.frame_bytes
        if len(chunk) == size and not self._rest and type(chunk) is bytes:
            return (chunk,)
        self._rest += chunk
        count = len(self._rest) // size
        block = bytes(self._rest[: count * size])
        del self._rest[: count * size]
        # struct runs in C: less than half the cost of slicing where a block holds many frames.
        frames: tuple[bytes, ...] = struct.unpack(f"{size}s" * count, block)
        return frames

    @property
    def rest_bytes(self) -> int:
        """Number of bytes that wait for the rest of their frame."""
        return len(self._rest)
