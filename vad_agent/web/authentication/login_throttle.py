"""Counts failed logins by key; after several failures there is a pause.

    failed  x x x x x                            5 within 10 minutes,
    pause           |<- 60 s ->|                 then 60 s from the last one, then 5 more

The counts are kept in memory, for a limited number of keys; a restart clears them.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from vad_agent.errors import VadAgentError

MOST_KEYS = 10_000


class TooManyAttempts(VadAgentError):
    """Too many failed logins. `wait_s`: seconds until the next try."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many wrong attempts: wait {wait_s:.0f} s")
        self.wait_s = wait_s


class LoginThrottle:
    """Failed logins by key. Any thread may call its methods.

    `most` failures within `within_s` close a key for `pause_s` after the last one; None: until the
    first of them is `within_s` old. `most_keys`: beyond this, the keys with the oldest failures are
    dropped. `timer`: monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        within_s: float,
        pause_s: float | None = None,
        *,
        most_keys: int = MOST_KEYS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._within_s = within_s
        self._pause_s = pause_s
        self._most_keys = most_keys
        self._timer = timer
        self._lock = threading.Lock()
        self._wrong: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def check(self, key: Hashable) -> None:
        """Check that a login may be tried.

        Raises:
            TooManyAttempts: not now, even with correct credentials.
        """
        with self._lock:
            if (wrong := self._wrong.get(key)) is None:
                return
            now = self._timer()
            if len(wrong) == self._most and (wait_s := self._closed_until(wrong) - now) > 0:
                raise TooManyAttempts(wait_s)
            if len(wrong) == self._most and self._pause_s is not None:
                wrong.clear()
            while wrong and wrong[0] + self._within_s <= now:
                wrong.popleft()
            if not wrong:
                del self._wrong[key]

    def wrong(self, key: Hashable) -> None:
        """Count a failed login."""
        with self._lock:
            self._wrong.setdefault(key, deque(maxlen=self._most)).append(self._timer())
            self._wrong.move_to_end(key)
            if len(self._wrong) > self._most_keys:
                self._wrong.popitem(last=False)

    def right(self, key: Hashable) -> None:
        """A login succeeded: clear the key."""
        with self._lock:
            self._wrong.pop(key, None)

    def _closed_until(self, wrong: deque[float]) -> float:
        return wrong[0] + self._within_s if self._pause_s is None else wrong[-1] + self._pause_s
