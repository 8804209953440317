"""Wrong tokens, logins and links: counted, logged, slowed, and reported to the supervisor.

    refused ─┬─> metrics; the log, masked, at most a few lines of one address
             ├─> from the 5th of an address in 10 minutes on: each answer takes a second longer
             └─> from the 10th on: an alert, until the address has been quiet for 10 minutes

What is right is never slowed: one wrong program does not lock out an office behind its address.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from vad_agent.callbacks.alerts import AlertBoard, Kind

log = logging.getLogger(__name__)

WITHIN_S = 600.0
LOGGED = 5
"""Refusals of one address within `WITHIN_S` that are logged; of the further ones each hundredth."""
SLOW_FROM = 5
SLOW_S = 1.0
MOST_SLOWED = 64
"""Answers that are held back at once; more would be a burden themselves."""
ALARM_FROM = 10
MOST_ADDRESSES = 10_000


class Attempted(StrEnum):
    """What was wrong."""

    TOKEN = "token"
    LOGIN = "login"
    LINK = "link"
    HOOK = "hook"
    """A dialer's signature."""


class Refusals:
    """Refusals of one desk. Any thread may call its methods, except `refuse`.

    `counted`: called with each. `timer`: monotonic seconds; `now`: wall time.
    """

    def __init__(
        self,
        alerts: AlertBoard | None = None,
        counted: Callable[[Attempted], None] = lambda _: None,
        *,
        slow_s: float = SLOW_S,
        timer: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._alerts = alerts
        self._counted = counted
        self._slow_s = slow_s
        self._timer = timer
        self._now = now
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, deque[tuple[float, Attempted]]] = OrderedDict()
        self._slowed = 0

    def note(self, what: Attempted, address: str, shown: str = "") -> int:
        """Count a refusal. Return how many this address had within `WITHIN_S`.

        `shown`: the token or the login; only a mask of it is logged.
        """
        network, now = network_of(address), self._timer()
        with self._lock:
            recent = self._recent.setdefault(network, deque(maxlen=1000))
            self._recent.move_to_end(network)
            recent.append((now, what))
            _forget(recent, now)
            if len(self._recent) > MOST_ADDRESSES:
                self._recent.popitem(last=False)
            count = len(recent)
            kinds = Counter(kind.value for _, kind in recent)
        self._counted(what)
        if count <= LOGGED or count % 100 == 0:
            told = {"what": what.value, "address": address, "given": _mask(what, shown)}
            log.warning("wrong credentials", extra=told | {"count": count})
        if count >= ALARM_FROM and self._alerts is not None:
            detail = ", ".join(f"{kind}: {number}" for kind, number in sorted(kinds.items()))
            self._alerts.sound(Kind.CREDENTIALS, network, self._now(), detail)
        return count

    async def refuse(self, what: Attempted, address: str, shown: str = "") -> None:
        """Count a refusal; hold the answer back, if this address has had several."""
        if self.note(what, address, shown) < SLOW_FROM or self._slowed >= MOST_SLOWED:
            return
        self._slowed += 1
        try:
            await asyncio.sleep(self._slow_s)
        finally:
            self._slowed -= 1

    def settle(self) -> None:
        """End the alerts of addresses that have been quiet for `WITHIN_S`."""
        now = self._timer()
        with self._lock:
            for network in list(self._recent):
                _forget(self._recent[network], now)
                if not self._recent[network]:
                    del self._recent[network]
            noisy = set(self._recent)
        if self._alerts is not None:
            self._alerts.only(Kind.CREDENTIALS, noisy)


def network_of(address: str) -> str:
    """The network of one subscriber: an IPv4 address, or an IPv6 prefix."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.exploded[:19]


def _forget(recent: deque[tuple[float, Attempted]], now: float) -> None:
    while recent and recent[0][0] + WITHIN_S <= now:
        recent.popleft()


def _mask(what: Attempted, shown: str) -> str:
    """Enough to recognize what was given; not to use it. A password may stand in a login's place."""
    if what is Attempted.LOGIN:
        return f"{shown[:2]}…" if len(shown) > 2 else "…"
    return hashlib.sha256(shown.encode(errors="replace")).hexdigest()[:8] if shown else ""
