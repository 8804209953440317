"""Detects dual mono: the same sound on both sides of the call, so a voice cannot be attributed.

operator  ▂▅▇▆▃▁▁▁▂▇▅▁
client    ▂▅▇▆▃▁▁▁▂▇▅▁     dual mono: one recording on both sides, or both devices are the same one
client    ▁▁▂▃▂▁▁▁▁▃▂▁     an echo: weaker and later, not dual mono
"""

from __future__ import annotations

from vad_agent.audio.pcm import fit_factor, from_dbfs

FROM = from_dbfs(-45)
"""RMS; a quieter frame is inaudible on the other side."""
ALIKE = 0.9
"""Squared correlation of two frames; of two voices it is lower in nearly every frame."""
MOST_GAIN = 3.0
"""10 dB between the sides; an echo is weaker."""
KNOWN = 10
"""Equal loud frames, 0.2 s: before a segment of speech is accepted."""
MOST = 25
"""Different loud frames that end it."""


class DualMono:
    """Compares the loud frames of this side with those of the other one, which is fed first."""

    __slots__ = ("_at", "_frame", "_matched", "_score", "same")

    def __init__(self) -> None:
        self.same = False
        self._score = 0
        self._frame = b""
        self._at = 0
        self._matched = True

    def feed_other(self, frame: bytes, now: int) -> None:
        """A loud frame of the other side: int16 mono, of frame `now`."""
        if not self._matched:
            self._count(False)  # this side was quiet meanwhile
        self._frame, self._at, self._matched = frame, now, False

    def feed_own(self, frame: bytes, now: int) -> bool:
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
