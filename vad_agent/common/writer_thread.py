"""A thread for writes that may block: to a pipe, a disk, a command.

    put() ──never blocks──> bounded queue ──> write(item), in order, in the thread ──> finish()
      └─ False: the queue is full, the item is lost and counted

A blocked write blocks only this thread. At exit all writer threads together get `EXIT_S` to finish.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

EXIT_S = 3.0
"""Seconds at exit for all threads that were not closed."""

Item = TypeVar("Item")


class WriterThread(Generic[Item]):
    """Calls `write` in a thread, with each item. `most`: maximum of queued items.

    `finish`: called once in the thread, after the last item. Exceptions are logged only by their
    type, because their text may quote an item.

    Only the owner's thread may call `put`.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Item], None],
        *,
        most: int,
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self._most = most
        self._finish = finish
        self._ended_at: float | None = None
        # Implemented in C, at a tenth of a bounded queue's cost; `put` enforces the bound.
        self._queue: queue.SimpleQueue[tuple[Item] | threading.Event | None] = queue.SimpleQueue()
        self.busy = False
        """A write is in progress."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _writers.add(self)

    @property
    def waiting(self) -> int:
        """Approximate number of queued items."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """The thread is running."""
        return self._thread.is_alive()

    def put(self, item: Item) -> bool:
        """Queue an item. False: it is lost, because the queue is full or has ended."""
        if self._ended_at is not None or self._queue.qsize() >= self._most:
            return False
        self._queue.put((item,))
        return True

    def flush(self, limit_s: float) -> bool:
        """Wait until all items so far are written. False: not within `limit_s` seconds. Any thread."""
        if self._ended_at is not None:
            self._thread.join(limit_s)
            return not self.alive
        written = threading.Event()
        self._queue.put(written)
        return written.wait(limit_s) or not self.alive

    def end(self) -> None:
        """No more items will be put. Does not block; a second call does nothing."""
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self._queue.put(None)

    def close(self, limit_s: float | None = None) -> bool:
        """End, and wait until all is written.

        False: it is not, `limit_s` seconds after the end. None: no limit.
        """
        self.end()
        _writers.discard(self)  # the caller of close has waited for it
        assert self._ended_at is not None
        rest_s = None if limit_s is None else self._ended_at + limit_s - time.monotonic()
        self._thread.join(None if rest_s is None else max(rest_s, 0.0))
        return not self.alive

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            self.busy = True
            self._safely(lambda item=item: self._write(item[0]))  # type: ignore[misc]
            self.busy = False
        self._safely(self._finish)

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            log.error("%s: a write failed", self._thread.name, extra={"why": type(error).__name__})


_writers: weakref.WeakSet[WriterThread[Any]] = weakref.WeakSet()


@atexit.register
def _finish_all() -> None:
    """Wait briefly for the daemon threads, which do not keep the process alive if they hang."""
    left = [writer for writer in tuple(_writers) if writer.alive]
    for writer in left:
        writer.end()
    until = time.monotonic() + EXIT_S
    for writer in left:
        writer.close(max(until - time.monotonic(), 0.0))
