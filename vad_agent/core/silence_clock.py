"""The silence clock: since when has nobody been heard? In whole frames.

    operator ▁▁████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    client   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    prompt   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████▁▁▁▁
    clock    ----------1234------1234

It is suspended by what is no silence although nobody is heard: a pause, a mute, frames that do not come.
It never runs on from before such a time: what was due then is stale. On hold the hold is counted instead,
and only a pause suspends that: media may stop on hold, and the operator mute himself.
"""

from __future__ import annotations

from enum import Enum, auto


class Suspension(Enum):
    """Why the clock stands still."""

    PAUSED = auto()
    MUTED = auto()
    NO_CLIENT_MEDIA = auto()
    NO_OPERATOR_MEDIA = auto()
    CLIENT_DEVICE_LOST = auto()
    OPERATOR_DEVICE_LOST = auto()
    SIDES_ALIKE = auto()
    SIDE_NEVER_HEARD = auto()


class SilenceClock:
    """Counts from the end of the last sound, or from the moment it was resumed."""

    def __init__(self) -> None:
        self._start = 0
        self.restarted = 0
        """The frame at which somebody last had it begin anew."""
        self._hold_start: int | None = None
        self._suspended: set[Suspension] = set()

    @property
    def start(self) -> int:
        """The frame at which the silence, or the hold, began."""
        return self._start if self._hold_start is None else self._hold_start

    @property
    def held(self) -> bool:
        """It counts a hold."""
        return self._hold_start is not None

    @property
    def runs(self) -> bool:
        """Nothing suspends it."""
        if self.held:
            return Suspension.PAUSED not in self._suspended
        return not self._suspended

    @property
    def suspended(self) -> tuple[str, ...]:
        """The names of what suspends it, in order."""
        return tuple(sorted(cause.name.lower() for cause in self._suspended))

    def heard(self, until: int) -> None:
        """A sound ended at frame `until`."""
        self._start = max(self._start, until)

    def restart(self, now: int) -> None:
        """Begin anew."""
        self._start = self.restarted = now

    def hold(self, since: int) -> None:
        """Count the hold since frame `since`."""
        self._hold_start = since

    def unhold(self, since: int | None) -> None:
        """The hold is over: silence is counted from frame `since`; None: it is counted on."""
        self._hold_start = None
        if since is not None:
            self._start = since

    def suspend(self, cause: Suspension) -> None:
        """Stand still; twice for one cause is once."""
        self._suspended.add(cause)

    def resume(self, cause: Suspension, now: int) -> bool:
        """The cause is gone: begin anew. True if it was there."""
        if cause not in self._suspended:
            return False
        self._suspended.discard(cause)
        self.restart(now)
        if self.held and cause is Suspension.PAUSED:
            self._hold_start = now
        return True
