"""The other side's voice in this channel: weaker, and a little later.

other side   ▁▁▁████████▁▁▁▁▁▁▁▁▁▁▁
its leak     ▁▁▁▁▁▁▄▄▄▄▄▄▄▄▁▁▁▁▁▁▁▁     25 dB weaker and more, 20 to 300 ms late
level        ▁▁▁▆▆▆▆▆▆▆▆▆▆▅▅▅▅▁▁▁▁▁     what is below this is the leak; who talks over it is louder
"""

from __future__ import annotations

from vad_agent.hearing.level import from_dbfs

SHARE = 10 ** (-16 / 20)
FROM = from_dbfs(-45)
"""Of a quieter voice nothing is heard on the other side."""
DECAY = 0.97
"""A frame."""
FRAMES = 20


class Leak:
    """How loud the other side's voice may be in one channel, and until when."""

    __slots__ = ("level", "until")

    def __init__(self) -> None:
        self.level = 0.0
        """RMS of int16; frames below it are leak …"""
        self.until = 0
        """… up to this frame."""

    def hear(self, level: float, now: int) -> None:
        """The other side speaks at this level in frame `now`."""
        kept = self.level * DECAY if now <= self.until else 0.0
        self.level = max(level * SHARE, kept)
        self.until = now + FRAMES
