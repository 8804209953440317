"""Wakes each waiting attempt at its time: one thread, which sleeps until the store's earliest.

    Store.due ─> [its time] ─> a worker's thread ─> run(key) ─> Store.begin: the claim of this node
        ^── wake(): a change was stored in this process; after POLL_S: another desk may have stored one

The store is the only record of what is due. A key may be run twice, by this node and by another:
`Store.begin` decides in one transaction which of them makes the attempt. What this node had begun
when it was killed is run first at its next start; what another node had begun, the dispatcher
adopts once that node is dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta

from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.store import Store
from vad_agent.errors import StoreError

log = logging.getLogger(__name__)

WORKERS = 32
QUEUED = 2 * WORKERS
"""Keys that run or wait for a thread; more stay in the store."""
POLL_S = 0.5
AGAIN_S = 1.0
"""Seconds before a key is run again that is still due after its run, or whose store was unavailable."""
FAILED_S = 10.0
"""The same, after a run that raised an unexpected error."""
ENDING_S = 2.0
"""Seconds that running attempts have to finish at a stop."""


class Scheduler:
    """Runs the attempts of `store` that are due by `clock`. `node`: this node's name.

    Nothing is woken before the first `holding` block has ended.
    """

    def __init__(self, store: Store, clock: Clock, node: str) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._run: Callable[[str], None] = lambda _: None
        self._polling = threading.Lock()
        self._held = True
        self._shift: str | None = None
        """The last shift of due times, by any node, that this node's clock has followed."""
        self._lock = threading.Lock()
        self._running: dict[str, Future[None]] = {}
        self._resting: dict[str, float] = {}  # until when, by time.monotonic
        self._backlog = False
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="attempt")
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)

    def start(self, run: Callable[[str], None]) -> None:
        """Start waking: `run(key)` in threads of the scheduler.

        Raises:
            StoreError: the store cannot be read.
        """
        self._run = run
        for key in self._store.held_by(self._node):
            self._submit(key)
        self._thread.start()

    def wake(self) -> None:
        """A change was stored: something may be due sooner."""
        self._woken.set()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """For the block in which this node's clock, and the due times with it, may jump.

        Meanwhile nothing is found due, and after an error nothing is until another block has ended.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._polling:
            self._held = True
            shift = self._store.last_shift()
            yield
            self._shift, self._held = shift, False

    def stop(self) -> None:
        """Wake nothing more; running attempts may finish."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = list(self._running.values())
        wait(running, ENDING_S)

    def _loop(self) -> None:
        wait_s = 0.0
        while True:
            self._woken.wait(wait_s)
            self._woken.clear()
            if self._stopping.is_set():
                return
            try:
                wait_s = self._poll()
            except StoreError as error:
                log.warning("due attempts wait for the store", extra={"why": str(error)})
                wait_s = AGAIN_S
            except Exception:
                log.exception("the scheduler raised an unexpected error")
                wait_s = AGAIN_S

    def _poll(self) -> float:
        """Run what is due. Return the seconds until the next look."""
        with self._polling:
            if self._held:
                return POLL_S
            now = self._clock.now()
            with self._lock:
                ready = time.monotonic()
                self._resting = {key: at for key, at in self._resting.items() if at > ready}
                known = self._running.keys() | self._resting.keys()
                self._backlog = False
            limit = len(known) + QUEUED
            shift, found = self._store.due(now + timedelta(seconds=POLL_S), limit)
            if shift != self._shift:  # another node's: this one's clock has not followed yet
                return POLL_S
            for key, at in found:
                if key in known:
                    continue
                if at > now:
                    return (at - now).total_seconds()
                if not self._submit(key):
                    return POLL_S  # a worker that has ended wakes this thread
        return POLL_S if len(found) < limit else 0.0

    def _submit(self, key: str) -> bool:
        """False: enough wait for a thread."""
        with self._lock:
            self._backlog = len(self._running) >= QUEUED
            if not self._backlog:
                self._running[key] = self._workers.submit(self._work, key)
            return not self._backlog

    def _work(self, key: str) -> None:
        again_s = AGAIN_S
        try:
            self._run(key)
        except StoreError as error:
            log.warning("an attempt waits for the store", extra={"key": key, "why": str(error)})
        except Exception:
            log.exception("an attempt raised an unexpected error", extra={"key": key})
            again_s = FAILED_S
        with self._lock:
            self._resting[key] = time.monotonic() + again_s
            self._running.pop(key, None)
            if self._backlog and len(self._running) <= WORKERS:
                self._woken.set()
