"""The time the desk goes by: a clock that no correction of the machine's moves unnoticed.

Between two looks time runs by a counter that nobody sets. A look compares it with the authority: the
machine's clock, or the database server's where several machines share one. A small difference is taken over;
a jump is told, so that what was promised "in two minutes" can be moved along with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP_S = 2.0


def _steady() -> float:
    """s of a counter that runs on while the machine sleeps, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def machine_time() -> datetime:
    """Of the machine's clock."""
    return datetime.now(UTC)


class Clock:
    """`authority`: the time as it should be; `steady`: seconds of a counter."""

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
        """Aware, UTC."""
        with self._lock:
            return self._base + timedelta(seconds=self._steady() - self._counted)

    def look(self) -> timedelta | None:
        """By how much the authority has jumped since the last look; None: it has not.

        Raises:
            StoreError: the authority is a database that cannot be asked now.
        """
        before = self.now()
        told = self._authority()
        after = self.now()
        if before <= told <= after:  # an answer that was long in coming is no jump
            return None
        step = told - (before if told < before else after)
        with self._lock:
            self._base, self._counted = told, self._steady()
        return step if abs(step.total_seconds()) >= JUMP_S else None
