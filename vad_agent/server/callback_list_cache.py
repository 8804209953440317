"""Answers a panel's repeated question for the callbacks from memory while the local store is unchanged.

    a page asks each 3 s ─┬─ a desk runs ───────────────────────────> open_backend, each time
                          ├─ nothing was ever requested ────────────> none, and no database is loaded
                          ├─ file and outbox are as at the last time ─> the same callbacks
                          └─ else ──────────────────────────────────> open_backend, and remember

Opening the store takes 10 ms, and its libraries 20 MB, of a process that has a live call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.policy_from_script import policy_of
from vad_agent.client.discovery import find_local_desk
from vad_agent.script.settings import Settings

if TYPE_CHECKING:
    from vad_agent.callbacks.model import Callback, Outcome
    from vad_agent.client.backend import Backend, CallbackDetails

KEPT_S = 60.0
"""Seconds after which it is read anyway: between the last read and the look at the file another process
may write.
"""
Open = Callable[[], "AbstractContextManager[Backend]"]
FileStamp = tuple[tuple[int, int] | None, ...]
"""Time and size of the store's files; None: there is no such file."""


class CallbackListCache:
    """The callbacks of an SQLite file, for any thread. `open`: opens them, for one query."""

    rings = False

    def __init__(self, open: Open, database: Path, inbox: Path) -> None:
        self._open = open
        self._database = database
        self._inbox = Outbox(inbox)
        self._lock = threading.Lock()
        self._mark: FileStamp | None = None
        self._until = 0.0
        self._pages: dict[tuple[str | None, str | None, str | None, int], list[Callback]] = {}
        policy = policy_of(Settings())
        self.attempts: int | None = policy.attempts
        self.overdue_s: float = policy.overdue_s

    def is_near(self) -> bool:
        """No desk runs on this machine, so this store answers."""
        return find_local_desk() is None

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """As `Backend.page`."""
        asked = which, phone, operator, limit
        with self._lock:
            mark, now = self._look(), time.monotonic()
            if mark is None or mark != self._mark or now > self._until:
                self._pages.clear()
                self._until = now + KEPT_S
            if mark is not None and mark[0] is None:
                return []  # no database, and nothing that would make one
            if asked not in self._pages:
                with self._open() as store:
                    self._pages[asked] = store.page(
                        which, phone=phone, operator=operator, limit=limit
                    )
                    self.attempts, self.overdue_s = store.attempts, store.overdue_s
                self._mark = self._look()  # opening and closing it touch its file
            return self._pages[asked]

    def _look(self) -> FileStamp | None:
        """None: a message waits to be stored."""
        if self._inbox.waiting():
            return None
        files = self._database, self._database.with_name(f"{self._database.name}-wal")
        return tuple(_mark(file) for file in files)

    def find(self, id: str) -> Callback | None:
        """As `Backend.find`."""
        with self._open() as store:
            return store.find(id)

    def get(self, id: str) -> CallbackDetails:
        """As `Backend.get`."""
        with self._open() as store:
            return store.get(id)

    def accept(self, id: str, operator: str) -> Callback:
        """As `Backend.accept`."""
        with self._open() as store:
            return store.accept(id, operator)

    def done(
        self,
        id: str,
        outcome: Outcome,
        why: str,
        *,
        key: str | None = None,
        settles: bool = False,
    ) -> Callback:
        """As `Backend.done`."""
        with self._open() as store:
            return store.done(id, outcome, why, key=key, settles=settles)

    def cancel(self, id: str, why: str) -> Callback:
        """As `Backend.cancel`."""
        with self._open() as store:
            return store.cancel(id, why)

    def set_number(self, id: str, phone: str) -> Callback:
        """As `Backend.set_number`."""
        with self._open() as store:
            return store.set_number(id, phone)

    def client_called(self, phone: str, operator: str | None = None) -> Callback | None:
        """As `Backend.client_called`."""
        with self._open() as store:
            return store.client_called(phone, operator)


def _mark(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
