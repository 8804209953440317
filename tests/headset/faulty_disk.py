"""A disk that does to letters and traces what real ones do: hangs, is full, fails, is slow."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pytest

LIMIT_S = 10.0


class Disk:
    """`os.write` and `os.fsync` of this process, until the test ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        """Nothing can be written: ENOSPC."""
        self.broken = False
        """Nothing reaches the disk: EIO, as the kernel tells it at fsync."""
        self.tries = 0
        self.synced = 0
        self._tried = threading.Semaphore(0)
        self._hangs = threading.Event()
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._write, self._fsync = os.write, os.fsync
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "fsync", self.fsync)

    def write(self, number: int, data: Any) -> int:
        """As `os.write`."""
        self.tries += 1
        self._tried.release()
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(number, data)

    def fsync(self, number: int) -> None:
        """As `os.fsync`."""
        if not self._goes_on.is_set():
            self._hangs.set()
            self._goes_on.wait()
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(number)
        self.synced += 1

    def hang(self) -> None:
        """From now on nothing is synced, and nobody told why."""
        self._goes_on.clear()

    def go_on(self) -> None:
        """What hangs is done."""
        self._goes_on.set()

    def wait_hanging(self) -> None:
        """Until somebody waits for it."""
        assert self._hangs.wait(LIMIT_S), "nobody syncs"

    def wait_tries(self, tries: int) -> None:
        """For so many further writes."""
        for _ in range(tries):
            assert self._tried.acquire(timeout=LIMIT_S), "nothing was tried"
