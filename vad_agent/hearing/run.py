"""The levels of an open run: do they move as speech does?

speech ▃▇▅▁▁▆▇▃▁▅▇▂▁    falls 12 dB and more between syllables, a fifth of the time and more
music  ▆▇▆▅▆▇▇▆▅▆▇▆▇    next to never, where it is dense
noise  ▅▅▅▅▅▅▅▅▅▅▅▅▅    hardly moves at all; so does a tone
"""

from __future__ import annotations

from collections import deque

SEGMENT = 25
"""Frames between two judgements."""
STEADY_FRAMES = 50
DENSE_FRAMES = 200
SHORTEST = 12
"""A run shorter than this is too short to be called steady."""

STEADY_RATIO = 1.6
"""Speech never keeps within 4 dB for a second."""
TONE_RATIO = 1.25
"""A run of less than a second that keeps within 2 dB is a tone."""
LOW_RATIO = 0.25
DENSE_LOWS = 0.20
"""Running speech has 20–57 % of such frames in four seconds, dense music 3–15 %."""


class RunLevels:
    """Collects the levels of a run's loud frames, judges the run's last four seconds."""

    __slots__ = ("_segments", "current")

    def __init__(self) -> None:
        self.current: list[int] = []
        """Levels of this segment; appended to by the caller, frame by frame."""
        self._segments: deque[tuple[list[int], int]] = deque(maxlen=DENSE_FRAMES // SEGMENT)

    def clear(self) -> None:
        """A new run begins."""
        self.current = []
        self._segments.clear()

    def end_segment(self, frames: int) -> list[int]:
        """A segment of so many frames is over; returns the levels of its loud ones."""
        levels = self.current
        self._segments.append((levels, frames))
        self.current = []
        return levels

    @property
    def frames(self) -> int:
        """Frames of which levels are kept, loud or not."""
        return sum(frames for _, frames in self._segments)

    def levels(self) -> list[int]:
        """Levels of the loud frames kept."""
        return [level for levels, _ in self._segments for level in levels]

    def lows(self) -> float:
        """Share of frames 12 dB and more below the loud ones, 0…1."""
        levels = sorted(self.levels())
        if not levels:
            return 1.0
        low = levels[len(levels) * 9 // 10] * LOW_RATIO
        loud = sum(level > low for level in levels)
        return 1.0 - loud / self.frames

    def steady(self) -> bool:
        """The levels hardly move."""
        levels = sorted(self.levels()[-STEADY_FRAMES:])
        if len(levels) < SHORTEST:
            return False
        edge = max(2, len(levels) // 20)
        ratio = STEADY_RATIO if len(levels) >= STEADY_FRAMES * 9 // 10 else TONE_RATIO
        return levels[-1 - edge] < levels[edge] * ratio

    def dense(self) -> bool:
        """Four seconds without the pauses of speech."""
        return self.frames >= DENSE_FRAMES and self.lows() < DENSE_LOWS
