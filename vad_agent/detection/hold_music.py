"""Detects hold music: a running mean of the network's music share of the frames.

network  ..x.xxxxxxxxxxxxx.xxxxxx..x.............
plays    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████████▁▁▁▁▁▁▁▁▁▁▁▁
             |began        |known   |over

A sound of constant level is a hum or a buzz, whatever the network's output.
"""

from __future__ import annotations

from math import log

from vad_agent.detection.spectral_features import GROUP

STEP = 0.1
"""Of the mean, in a group of frames: half of it is the last 0.7 s."""
BEGINS, OVER, TRACE = 0.5, 0.1, 0.25
"""The mean at which music is recognized, at which it is over, and from which its beginning counts."""
MOVES = 0.06
"""Half a decibel: the level of music changes by more from group to group, on average."""


class HoldMusic:
    """The state of one channel."""

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

    def feed(self, share: float, level: float, since: int) -> bool:
        """Process the next group, from frame `since`; `share`: of music, 0 to 1; `level`: its RMS (int16).

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
        """End the music."""
        self.playing = False
        self._mean = 0.0
