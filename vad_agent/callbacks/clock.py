"""The desk's clock: detects corrections of the machine's clock.

Between two checks, time advances by a monotonic counter. A check compares it with the authority:
the machine's clock, or the database server's clock where several machines share one. A small
difference is adopted. A jump is reported, so that relative due times ("in two minutes") can be
shifted with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP_S = 2.0


def _steady() -> float:
    """Seconds of a monotonic counter, where possible one that runs on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def machine_time() -> datetime:
    """The time of the machine's clock."""
    return datetime.now(UTC)


class Clock:
    """`authority`: the reference time. `steady`: seconds of a monotonic counter."""

    def __init__(
        self,
        authority: Callable[[], datetime] = machine_time,
        steady: Callable[[], float] = _steady,
    ) -> None:
        self._authority = authority
        self._steady = steady
        self._lock = threading.Lock()
        self._base = authority()
        self._counted = steady()

    def now(self) -> datetime:
        """The current time, aware, UTC."""
        with self._lock:
            return self._base + timedelta(seconds=self._steady() - self._counted)

    def look(self) -> timedelta | None:
        """How far the authority has jumped since the last check. None: no jump.

        Raises:
            StoreError: the authority is a database that cannot be queried now.
        """
        before = self.now()
        told = self._authority()
        after = self.now()
        if before <= told <= after:  # a slow answer is not a jump
            return None
        step = told - (before if told < before else after)
        with self._lock:
            self._base, self._counted = told, self._steady()
        return step if abs(step.total_seconds()) >= JUMP_S else None
