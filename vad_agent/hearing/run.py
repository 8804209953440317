"""The levels of an open run: do they move as speech does?

speech ▃▇▅▁▁▆▇▃▁▅▇▂▁    falls 12 dB and more between syllables, a fifth of the time and more
music  ▆▇▆▅▆▇▇▆▅▆▇▆▇    next to never, where it is dense
noise  ▅▅▅▅▅▅▅▅▅▅▅▅▅    hardly moves at all; so does a tone
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

SEGMENT = 25
"""Frames between two judgements."""
STEADY_FRAMES = 50
DENSE_FRAMES = 125
SHORTEST = 8
"""A run shorter than this is too short to be called steady."""

STEADY_RATIO = 1.6
"""Speech never keeps within 4 dB for a second."""
TONE_RATIO = 1.06
"""A run of any length whose louder half keeps within 0.5 dB is a tone."""
LOW_RATIO = 0.25
DENSE_LOWS = 0.20
"""Running speech has 20–57 % of such frames, dense music 3–15 % (both measured over four seconds)."""


class RunLevels:
    """Collects the levels of a run's loud frames, judges its last DENSE_FRAMES."""

    __slots__ = ("_segments", "current")

    def __init__(self) -> None:
        self.current = array("H")
        """Levels of this segment; appended to by the caller, frame by frame."""
        self._segments: list[tuple[array[int], int]] = []

    def begin(self, frames: int) -> None:
        """A new run begins, so many frames ago."""
        del self.current[:-frames]
        self._segments.clear()

    def end_segment(self, frames: int) -> array[int]:
        """A segment of so many frames is over; returns the levels of its loud ones."""
        levels = self.current
        self._segments.append((levels, frames))
        if len(self._segments) > DENSE_FRAMES // SEGMENT:
            del self._segments[0]
        self.current = array("H")
        return levels

    @property
    def frames(self) -> int:
        """Frames of which levels are kept, loud or not."""
        return sum([frames for _, frames in self._segments])

    def levels(self) -> array[int]:
        """Levels of the loud frames kept."""
        kept = array("H")
        for levels, _ in self._segments:
            kept += levels
        return kept

    def lows(self) -> float:
        """Share of frames 12 dB and more below the loud ones, 0…1."""
        levels = sorted(self.levels())
        if not levels:
            return 1.0
        low = levels[len(levels) * 9 // 10] * LOW_RATIO
        return 1.0 - (len(levels) - bisect_right(levels, low)) / self.frames

    def steady(self) -> bool:
        """The levels hardly move."""
        levels = sorted(self.levels()[-STEADY_FRAMES:])
        count = len(levels)
        if count < SHORTEST:
            return False
        if levels[-1 - max(2, count // 10)] < levels[count * 4 // 10] * TONE_RATIO:
            return True
        edge = max(2, count // 20)
        return count >= STEADY_FRAMES * 9 // 10 and levels[-1 - edge] < levels[edge] * STEADY_RATIO

    def dense(self) -> bool:
        """DENSE_FRAMES without the pauses of speech."""
        frames = self.frames
        if frames < DENSE_FRAMES:
            return False
        # Without sorting: so few loud frames are enough low ones, whatever their levels.
        loud = sum([len(levels) for levels, _ in self._segments])
        return 1.0 - loud / frames < DENSE_LOWS and self.lows() < DENSE_LOWS
