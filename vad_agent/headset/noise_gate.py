"""Distinguishes a microphone with a noise gate from one without a signal.

    words     ▁▇▇▇▁▁▁▁▁▁▁▁▇▇▁▁▁▁▁▁▁▁▁
    line      live     quiet live     quiet      a gate: almost no signal between words
    reported  live     live  live     live

Without a word before it, or for long after the last one, a quiet microphone is reported as such: it
is the wrong one, or turned down.
"""

from __future__ import annotations

from vad_agent.core.actions import LineState
from vad_agent.core.frames import FRAMES_PER_SECOND

DOUBTFUL = 60 * FRAMES_PER_SECOND
"""Frames: a microphone that has been quiet for so long after a word may have been turned down."""


class NoiseGate:
    """One microphone, from its opening until it is lost."""

    def __init__(self) -> None:
        self._heard = False  # somebody has spoken into it
        self._gates = False  # somebody has spoken after it had been quiet
        self._quiet_since: int | None = None

    def lost(self) -> None:
        """The device is gone: the next one may be another microphone."""
        self._heard = self._gates = False
        self._quiet_since = None

    def look(self, line: LineState | None, speaking: bool, now: int) -> LineState | None:
        """The line to report at frame `now`, counted since the loop began."""
        if speaking:
            self._gates = self._gates or (self._heard and self._quiet_since is not None)
            self._heard, self._quiet_since = True, None
        elif line is LineState.QUIET:
            if self._quiet_since is None:
                self._quiet_since = now
            known = self._gates or now - self._quiet_since < DOUBTFUL
            if self._heard and known:
                return LineState.LIVE
        return line
