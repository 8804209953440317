"""Alerts for the supervisor. Each alert is logged, counted and, where a URL is configured, posted.

An alert is active from `sound` until `settle`; while it is active it is not reported again. No
alert contains a name or a number.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from tenacity import retry, stop_after_attempt, wait_exponential

from vad_agent.errors import extra

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What is wrong."""

    OVERDUE = "overdue"
    """The due time has passed and no attempt is under way."""
    NEEDS_NUMBER = "needs_number"
    NEEDS_TIME = "needs_time"
    NEEDS_PERSON = "needs_person"
    """The dialer has failed too often."""
    UNREPORTED = "unreported"
    """An attempt has been under way so long that its outcome was probably never reported."""
    CLOCK = "clock"
    """The clock was set forward or back."""
    PROMISE = "promise"
    """Not all accepted requests are accounted for."""
    LOST = "lost"
    """A stored call's trace asks for a callback that no store has."""
    REFUSED = "refused"
    """A headset's message cannot be understood; its file is kept."""
    UNKNOWN_KEY = "unknown_key"
    """The other side of a dialer reports attempts that no desk has made."""
    DATABASE = "database"
    """The database cannot be used."""
    NODE = "node"
    """One of the desks is dead."""
    CREDENTIALS = "credentials"
    """An address gives wrong tokens or passwords, again and again."""


@dataclass(frozen=True, slots=True)
class DeskAlert:
    """One active alert and the time it started."""

    kind: Kind
    about: str
    """A callback's id, a call's id, a node's name, a dialer's, or ""."""
    since: datetime
    detail: str = ""


class AlertBoard:
    """All active alerts. `url`: each new alert is posted there as JSON. `node`: the sender."""

    def __init__(self, node: str, url: str | None = None, *, limit_s: float = 5.0) -> None:
        self._node = node
        self._url = url
        self._limit_s = limit_s
        self._on: dict[tuple[Kind, str], DeskAlert] = {}
        self._lock = threading.Lock()
        self.sounded: Counter[Kind] = Counter()
        """Number of alerts of each kind since the start."""
        self._queue: queue.Queue[DeskAlert | None] = queue.Queue(1000)
        self._thread: threading.Thread | None = None
        if url is not None:
            self._thread = threading.Thread(target=self._post_all, name="alarms", daemon=True)
            self._thread.start()

    def sound(self, kind: Kind, about: str, now: datetime, detail: str = "") -> bool:
        """Activate the alert. Return whether it is new."""
        with self._lock:
            if (kind, about) in self._on:
                return False
            alarm = DeskAlert(kind, about, now, detail)
            self._on[kind, about] = alarm
            self.sounded[kind] += 1
        log.warning("alarm", extra={"kind": kind.value, "about": about, "detail": detail})
        if self._thread is not None:
            try:
                self._queue.put_nowait(alarm)
            except queue.Full:
                log.error("too many alarms wait to be posted: one was left out")
        return True

    def settle(self, kind: Kind, about: str) -> None:
        """Deactivate the alert."""
        with self._lock:
            gone = self._on.pop((kind, about), None)
        if gone is not None:
            log.info("alarm settled", extra={"kind": kind.value, "about": about})

    def only(self, kind: Kind, about: Iterable[str]) -> None:
        """Deactivate all alerts of this kind except these."""
        keep = set(about)
        for alarm in self.all():
            if alarm.kind is kind and alarm.about not in keep:
                self.settle(kind, alarm.about)

    def expire(self, kind: Kind, before: datetime) -> None:
        """Deactivate the alerts of this kind that started before."""
        for alarm in self.all():
            if alarm.kind is kind and alarm.since < before:
                self.settle(kind, alarm.about)

    def all(self) -> list[DeskAlert]:
        """Active alerts, oldest first."""
        with self._lock:
            return sorted(self._on.values(), key=lambda alarm: alarm.since)

    def close(self) -> None:
        """Post pending alerts; waits only for a short time."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=self._limit_s)
            self._thread.join(self._limit_s)

    def _post_all(self) -> None:
        assert self._url is not None
        with extra("callbacks", "alarms"):
            import httpx
        with httpx.Client(timeout=self._limit_s, trust_env=False) as client:
            post = self._poster(client, self._url)
            while (alarm := self._queue.get()) is not None:
                try:
                    post(alarm)
                except Exception as error:  # even an invalid URL: the next alert is still posted
                    why = type(error).__name__
                    log.error("an alarm could not be posted", extra={"why": why})

    def _poster(self, client: httpx.Client, url: str) -> Callable[[DeskAlert], None]:
        @retry(stop=stop_after_attempt(3), wait=wait_exponential(0.5, max=5), reraise=True)
        def post(alarm: DeskAlert) -> None:
            told = asdict(alarm) | {
                "node": self._node,
                "kind": alarm.kind.value,
                "since": alarm.since.isoformat(),
            }
            client.post(url, json=told).raise_for_status()

        return post
