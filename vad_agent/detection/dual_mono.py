"""Is the same sound on both sides of the call? Then nobody can tell whose voice it is.

operator  ▂▅▇▆▃▁▁▁▂▇▅▁
client    ▂▅▇▆▃▁▁▁▂▇▅▁     dual mono: one recording on both sides, or both devices are the same one
client    ▁▁▂▃▂▁▁▁▁▃▂▁     an echo: weaker and later, no dual mono
"""

from __future__ import annotations

from vad_agent.audio.pcm import fit_factor, from_dbfs

FROM = from_dbfs(-45)
"""RMS; of a quieter frame nothing is heard on the other side."""
ALIKE = 0.9
"""Squared correlation of two frames. Two voices have less in nearly every frame."""
MOST_GAIN = 3.0
"""10 dB between the sides; an echo is weaker."""
KNOWN = 10
"""Loud frames that are alike, 0.2 s: before a run of speech is accepted."""
MOST = 25
"""So many that are not alike end it."""


class DualMono:
    """Compares the loud frames of this side with those of the other one, which is heard first."""

    __slots__ = ("_at", "_frame", "_matched", "_score", "same")

    def __init__(self) -> None:
        self.same = False
        self._score = 0
        self._frame = b""
        self._at = 0
        self._matched = True

    def hear_other(self, frame: bytes, now: int) -> None:
        """A loud frame of the other side: int16 mono, of frame `now`."""
        if not self._matched:
            self._count(False)  # this side was quiet meanwhile
        self._frame, self._at, self._matched = frame, now, False

    def hear_own(self, frame: bytes, now: int) -> bool:
        """A loud frame of this side. True: both sides carry the same sound."""
        both = self._at == now
        self._matched = self._matched or both
        self._count(both and _alike(frame, self._frame))
        return self.same

    def _count(self, alike: bool) -> None:
        self._score = min(self._score + 1, MOST) if alike else max(self._score - 1, 0)
        self.same = self._score >= (1 if self.same else KNOWN)


def _alike(one: bytes, other: bytes) -> bool:
    if one == other:
        return True
    factor = fit_factor(one, other)
    alike = factor * fit_factor(other, one) >= ALIKE
    return alike and 1 / MOST_GAIN <= factor <= MOST_GAIN
