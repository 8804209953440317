"""The silence clock: the time since the last sound of either side, in whole frames.

    operator ▁▁████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    client   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    prompt   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████▁▁▁▁
    clock    ----------1234------1234

The clock is suspended while the absence of sound is not silence: a pause, a mute, missing frames.
After that it restarts from zero, because a step that was due before is stale. On hold it counts the
hold instead. Only a pause suspends the hold count: media may stop on hold, and operators may mute
themselves.
"""

from __future__ import annotations

from enum import Enum, auto


class Suspension(Enum):
    """Why the clock is stopped."""

    PAUSED = auto()
    MUTED = auto()
    NO_CLIENT_MEDIA = auto()
    NO_OPERATOR_MEDIA = auto()
    CLIENT_DEVICE_LOST = auto()
    OPERATOR_DEVICE_LOST = auto()
    SIDES_ALIKE = auto()
    SIDE_NEVER_HEARD = auto()


class SilenceClock:
    """Counts from the end of the last sound, or from the last restart."""

    def __init__(self) -> None:
        self._start = 0
        self.restarted = 0
        """The frame of the last restart."""
        self._hold_start: int | None = None
        self._suspended: set[Suspension] = set()

    @property
    def start(self) -> int:
        """The frame at which the silence or the hold began."""
        return self._start if self._hold_start is None else self._hold_start

    @property
    def held(self) -> bool:
        """The clock counts a hold."""
        return self._hold_start is not None

    @property
    def runs(self) -> bool:
        """Nothing suspends it."""
        if self.held:
            return Suspension.PAUSED not in self._suspended
        return not self._suspended

    @property
    def suspended(self) -> tuple[str, ...]:
        """The names of the causes that suspend it, in order."""
        return tuple(sorted(cause.name.lower() for cause in self._suspended))

    def heard(self, until: int) -> None:
        """A sound ended at frame `until`."""
        self._start = max(self._start, until)

    def restart(self, now: int) -> None:
        """Restart at frame `now`."""
        self._start = self.restarted = now

    def hold(self, since: int) -> None:
        """Count the hold since frame `since`."""
        self._hold_start = since

    def unhold(self, since: int | None) -> None:
        """The hold ended: count silence from frame `since`; None: continue the count."""
        self._hold_start = None
        if since is not None:
            self._start = since

    def suspend(self, cause: Suspension) -> None:
        """Stop for this cause. A second call with the same cause changes nothing."""
        self._suspended.add(cause)

    def resume(self, cause: Suspension, now: int) -> bool:
        """The cause has gone: restart. True if the cause was present."""
        if cause not in self._suspended:
            return False
        self._suspended.discard(cause)
        self.restart(now)
        if self.held and cause is Suspension.PAUSED:
            self._hold_start = now
        return True
