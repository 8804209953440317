"""Does music play on the line? A running mean of what the network says of the frames.

network  ..x.xxxxxxxxxxxxx.xxxxxx..x.............
plays    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████████▁▁▁▁▁▁▁▁▁▁▁▁
             |began        |known   |over

What stands still in level is a hum or a buzz, whatever the network says.
"""

from __future__ import annotations

from math import log

from vad_agent.detection.spectral_features import GROUP

STEP = 0.1
"""Of the mean, in a group of frames: half of it is the last 0.7 s."""
BEGINS, OVER, TRACE = 0.5, 0.1, 0.25
"""The mean at which music is known, over, and said to have begun."""
MOVES = 0.06
"""Half a decibel: the level of music changes by more from group to group, on average."""


class HoldMusic:
    """One channel's."""

    __slots__ = ("_level", "_mean", "_moves", "began", "ended", "playing")

    def __init__(self) -> None:
        self.playing = False
        self.began = 0
        """The frame at which it began."""
        self.ended = 0
        """One past the last group that was mostly music."""
        self._mean = 0.0
        self._level = 0.0  # natural logarithm, of the group before
        self._moves = 1.0

    def hear(self, share: float, level: float, since: int) -> bool:
        """The next group, from `since` on; `share`: how much of it is music, `level`: its RMS.

        True: `playing` changed.
        """
        before, self._level = self._level, log(max(level, 1.0))
        self._moves += (min(abs(self._level - before), 1.0) - self._moves) * STEP
        if self._moves < MOVES:
            share = 0.0
        if share >= BEGINS:
            self.ended = since + GROUP
        before = self._mean
        self._mean += (share - before) * STEP
        if before < TRACE <= self._mean and not self.playing:
            self.began = since
        playing = self._mean >= (OVER if self.playing else BEGINS)
        changed, self.playing = playing != self.playing, playing
        return changed

    def drop(self) -> None:
        """It is over."""
        self.playing = False
        self._mean = 0.0
