"""A thread that writes what others may not wait for: to a pipe, a disk, a command.

    put() ──never blocks──> bounded queue ──> write(item), in order, in the thread ──> finish()
      └─ False: the queue is full, the item is lost and counted

A write that hangs holds this thread alone. An interpreter that ends gives all of them `EXIT_S` to finish.
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
"""For what nobody closed, altogether."""

Item = TypeVar("Item")


class WriterThread(Generic[Item]):
    """`write`: called in the thread, with each item; `most`: items that may wait; `finish`: called in the
    thread once, after the last item. What they raise is logged by its type alone, as it may quote an item.

    `put` is for one thread, that of the owner.
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
        # In C, at a tenth of a bounded queue's cost; `put` keeps its bounds.
        self._queue: queue.SimpleQueue[tuple[Item] | threading.Event | None] = queue.SimpleQueue()
        self.busy = False
        """A write is under way."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _writers.add(self)

    @property
    def waiting(self) -> int:
        """Items in the queue, about."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """It writes, or waits for something to write."""
        return self._thread.is_alive()

    def put(self, item: Item) -> bool:
        """Have it written, soon. False: it is lost, as the queue is full or has ended."""
        if self._ended_at is not None or self._queue.qsize() >= self._most:
            return False
        self._queue.put((item,))
        return True

    def flush(self, limit_s: float) -> bool:
        """Wait until all that was put so far is written; False: it was not, within the limit. Any thread."""
        if self._ended_at is not None:
            self._thread.join(limit_s)
            return not self.alive
        written = threading.Event()
        self._queue.put(written)
        return written.wait(limit_s) or not self.alive

    def end(self) -> None:
        """Nothing more will be put. Does not block; a second time, nothing."""
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self._queue.put(None)

    def close(self, limit_s: float | None = None) -> bool:
        """End, and wait until all is written; False: it is not, `limit_s` after the end. None: no limit."""
        self.end()
        _writers.discard(self)  # whoever closes it has waited for it
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
    """Its threads are daemons, so that one that hangs keeps no program; here they are waited for a little."""
    left = [writer for writer in tuple(_writers) if writer.alive]
    for writer in left:
        writer.end()
    until = time.monotonic() + EXIT_S
    for writer in left:
        writer.close(max(until - time.monotonic(), 0.0))
