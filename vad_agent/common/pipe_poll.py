"""Lets one thread read several pipes, without a thread for each.

    pipe ─┐
    pipe ─┼─> wait(): reads what has come, and calls each pipe's `take`
    wake ─┘

A thread that only reads a pipe and hands over costs two wakeups for each message, and the interpreter's
lock in between. Windows cannot wait for pipes: there is `None` instead, and each pipe has its thread.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

READ_BYTES = 1 << 16


class Pipe(NamedTuple):
    """A pipe in the poll. `take` returns whether to go on; `over`: it will not be read any more."""

    take: Callable[[bytes], bool]
    over: Callable[[], None]


class PipePoll:
    """Pipes that the thread which calls `wait` reads. `add` and `wake`: any thread."""

    def __init__(self) -> None:
        self.quiet: int | None = None
        """A pipe whose data need not end the sleep: they are read when another one has some."""
        self._pipes: dict[int, Pipe] = {}
        self._added: list[tuple[int, Pipe]] = []
        self._lock = threading.Lock()  # guards `_added` and the end
        self._closed = False
        self._poll = select.poll()
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._poll.register(self._woken, select.POLLIN)

    def add(self, fd: int, take: Callable[[bytes], bool], over: Callable[[], None]) -> None:
        """Read this pipe from now on. `take(data)`: what has come, with b"" at its end.

        `over` is called when `take` has returned false, at the pipe's end, or when the poll is closed.
        """
        with self._lock:
            if not self._closed:
                self._added.append((fd, Pipe(take, over)))
                self._wake()
                return
        over()

    def wake(self) -> None:
        """End the sleep of `wait`, or the next one."""
        with self._lock:
            if not self._closed:
                self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is awake thousands of times over
            os.write(self._waker, b"\0")

    def wait(self, limit_s: float) -> None:
        """Sleep until a pipe has data, at most `limit_s` seconds; read them all."""
        with self._lock:
            added, self._added = self._added, []
        for fd, pipe in added:
            self._pipes[fd] = pipe
            self._poll.register(fd, select.POLLIN)
        quiet = self.quiet if self.quiet in self._pipes else None
        if quiet is not None:
            self._poll.modify(quiet, 0)
        ready = self._poll.poll(limit_s * 1000)
        if quiet is not None:
            self._poll.modify(quiet, select.POLLIN)
            ready = self._poll.poll(0)
        for fd, _ in ready:
            data = os.read(fd, READ_BYTES)
            if fd == self._woken:
                continue
            pipe = self._pipes[fd]
            if not pipe.take(data) or not data:
                del self._pipes[fd]
                self._poll.unregister(fd)
                pipe.over()

    def close(self) -> None:
        """Read nothing any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            left = [*self._pipes.values(), *(pipe for _, pipe in self._added)]
            self._pipes.clear()
            self._added.clear()
            os.close(self._woken)
            os.close(self._waker)
        for pipe in left:
            pipe.over()


def pipe_poll() -> PipePoll | None:
    """A new one; None where a thread cannot wait for pipes."""
    return PipePoll() if sys.platform != "win32" else None
