"""The silence clock: since when has nobody been heard? In whole frames.

    operator ▁▁████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    client   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    prompt   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████▁▁▁▁
    clock    ----------1234------1234

It is suspended by what is no silence although nobody is heard: a pause, a mute, a hold, frames that do
not come. It never runs on from before such a time: what was due then is stale.
"""

from __future__ import annotations

from enum import Enum, auto


class Suspension(Enum):
    """Why the clock stands still."""

    PAUSED = auto()
    MUTED = auto()
    NO_CLIENT_MEDIA = auto()
    NO_OPERATOR_MEDIA = auto()


class SilenceClock:
    """Counts from the end of the last sound, or from the moment it was resumed."""

    def __init__(self) -> None:
        self.start = 0
        """The frame at which the silence began."""
        self._suspended: set[Suspension] = set()

    @property
    def runs(self) -> bool:
        """Nothing suspends it."""
        return not self._suspended

    def suspended_by(self, cause: Suspension) -> bool:
        """This cause suspends it."""
        return cause in self._suspended

    def heard(self, until: int) -> None:
        """A sound ended at frame `until`."""
        self.start = max(self.start, until)

    def restart(self, now: int) -> None:
        """Begin anew."""
        self.start = now

    def suspend(self, cause: Suspension) -> None:
        """Stand still; twice for one cause is once."""
        self._suspended.add(cause)

    def resume(self, cause: Suspension, now: int) -> bool:
        """The cause is gone: begin anew. True if it was there."""
        if cause not in self._suspended:
            return False
        self._suspended.discard(cause)
        self.restart(now)
        return True

    def count(self, now: int) -> int:
        """Frames of silence up to `now`."""
        return now - self.start
