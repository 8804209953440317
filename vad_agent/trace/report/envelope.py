"""The envelope of one channel's sound: the lowest and the highest sample of every 20 ms frame.

Four bytes per frame, so ten hours of a channel are 7 MB. Frames are collected in a block and
reduced together: one numpy call for 500 frames costs less than one for each.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from vad_agent.core.frames import FRAMES_PER_SECOND, SAMPLE_BYTES

BLOCK_FRAMES = 500


class Envelope:
    """Grows by one frame at a time; returns any part of the call as columns."""

    def __init__(self) -> None:
        self._lows = array("h")
        self._highs = array("h")
        self._block = bytearray()
        self._waiting = 0
        self._blank = bytes(SAMPLE_BYTES)

    def add(self, frame: bytes | bytearray | memoryview | None) -> None:
        """Add one frame (int16 little-endian mono). None: it did not arrive, drawn as a flat line."""
        if frame is None:
            frame = self._blank
        elif len(frame) != len(self._blank):
            self._reduce()
            self._blank = bytes(len(frame))
        self._block += frame
        self._waiting += 1
        if self._waiting == BLOCK_FRAMES:
            self._reduce()

    def __len__(self) -> int:
        """Number of frames added."""
        return len(self._lows) + self._waiting

    def _reduce(self) -> None:
        if not self._waiting:
            return
        samples = np.frombuffer(self._block, dtype="<i2").reshape(self._waiting, -1)
        self._lows.frombytes(samples.min(axis=1).astype(np.int16).tobytes())
        self._highs.frombytes(samples.max(axis=1).astype(np.int16).tobytes())
        self._block = bytearray()  # a new one: numpy still holds the old one's buffer
        self._waiting = 0

    def reach(self) -> int:
        """The sample value at the full height of a lane.

        The few loudest frames (clicks) are ignored, and a line with only noise is not magnified.
        """
        self._reduce()
        if not self._highs:
            return 1
        lows, highs = self._view(0, len(self._lows))
        return int(max(2_000, np.percentile(np.maximum(-lows, highs), 99.8)))

    def columns(
        self, start_s: float, end_s: float, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
        """At most `count` columns of [start_s, end_s): their times (s), lows and highs."""
        self._reduce()
        start = max(0, round(start_s * FRAMES_PER_SECOND))
        end = min(len(self._lows), round(end_s * FRAMES_PER_SECOND))
        if end <= start:
            nothing = np.zeros(0, dtype=np.int32)
            return np.zeros(0), nothing, nothing
        edges = np.unique(np.linspace(start, end, min(count, end - start) + 1).astype(np.int64))
        lows, highs = self._view(start, end)
        at = edges[:-1] - start
        times = (edges[:-1] + edges[1:]) / 2 / FRAMES_PER_SECOND
        return times, np.minimum.reduceat(lows, at), np.maximum.reduceat(highs, at)

    def _view(self, start: int, end: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Copies in 32 bits: −32768 has no positive counterpart in 16; a live view would block growing."""
        return (
            np.frombuffer(self._lows, dtype=np.int16)[start:end].astype(np.int32),
            np.frombuffer(self._highs, dtype=np.int16)[start:end].astype(np.int32),
        )
