"""Runs an audit: lists files, keeps a bounded window of batches under way, writes what comes back.

    listing (a thread) ──> job store ──> batches ──window──> engine ──rows──> parts ──> done

The window is two batches a worker, so a cluster never holds more than it works on. A batch whose worker
dies is tried again; then each of its files alone, so that the file that kills a worker is one row with
an error. Whatever ends the audit, started again it goes on with what is not done.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from vad_agent.archive.call_audit import AuditJob, AuditPlan, AuditRows, audit_batch
from vad_agent.archive.engines import AuditEngine, processes
from vad_agent.archive.file_listing import Listed
from vad_agent.archive.file_names import NamePattern
from vad_agent.archive.job_store import AuditTotals, Batch, JobStore
from vad_agent.archive.parquet_tables import merge, part, write_part
from vad_agent.archive.rows import error_row
from vad_agent.errors import VadAgentError

LEAST_BATCH = 50
WINDOW = 2
"""Batches under way for each worker."""
TRIES = 2
"""Of a batch, before its files are run one by one."""
RECENT = 40
"""Batches by which the remaining time is estimated."""
Waiting = tuple[Batch, int]
"""A batch, and which try of it this is."""
DIED = "the process that read it died: the file may be damaged; fetch it again"


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """How far the audit is. `remaining_s`: None until it can be said. `listed`: all files are known."""

    files: int
    files_done: int
    listed: bool
    remaining_s: float | None


@dataclass
class AuditRun:
    """One run over the folder `out`. `report`: called with the progress, once a batch and a second."""

    out: Path
    plan: AuditPlan
    engine: AuditEngine
    batch_size: int = LEAST_BATCH
    report: Callable[[AuditProgress], None] = lambda progress: None
    clock: Callable[[], float] = time.monotonic
    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    _known: AuditTotals | None = None
    """All files, once the listing has ended."""

    def run(self, listed: Iterable[Listed], pattern: NamePattern | None) -> None:
        """Audit all files of `listed` that are not done; then write the tables.

        Raises:
            VadAgentError: the listing, the engine or the folder fails. What is done stays done.
        """
        store = JobStore(self.out)
        lister = Lister(self.out, listed, pattern)
        try:
            lister.start()
            self._run(store, lister)
            merge(self.out, list(store.finished()))
        finally:
            lister.stop()
            store.close()

    def _run(self, store: JobStore, lister: Lister) -> None:
        running: dict[Future[AuditRows], Waiting] = {}
        again = deque(self._begun(store))
        self._recent.append((self.clock(), 0))
        try:
            while True:
                lister.check()
                ended = lister.ended.is_set()  # before the store is asked for what it has
                while len(running) < self.engine.workers * WINDOW:
                    found = self._next(store, again, partial=ended)
                    if found is None:
                        break
                    running[self._submit(found[0])] = found
                if not running:
                    if ended:
                        break
                    lister.ended.wait(0.05)
                    continue
                finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._take(store, future, running.pop(future), again)
                self.report(self._progress(store, lister))
        finally:
            for future in running:
                future.cancel()
        self.report(self._progress(store, lister))

    def _begun(self, store: JobStore) -> Iterator[Waiting]:
        """Batches that a killed audit has begun; those whose rows are on the disk are done."""
        for batch in store.unfinished():
            if part(self.out, "calls", batch.id).exists():
                store.done(batch.id)
            else:
                yield batch, 1

    def _next(self, store: JobStore, again: deque[Waiting], *, partial: bool) -> Waiting | None:
        if again:
            return again.popleft()
        batch = store.next_batch(self.batch_size, partial=partial)
        return None if batch is None else (batch, 1)

    def _submit(self, batch: Batch) -> Future[AuditRows]:
        try:
            return self.engine.executor.submit(audit_batch, batch.jobs, self.plan)
        except BrokenProcessPool:
            self.engine.renew()
            return self.engine.executor.submit(audit_batch, batch.jobs, self.plan)

    def _take(
        self, store: JobStore, future: Future[AuditRows], waiting: Waiting, again: deque[Waiting]
    ) -> None:
        """Write the rows of a batch, or have it run again."""
        batch, tries = waiting
        try:
            rows = future.result()
        except (
            Exception,
            CancelledError,
        ):  # a worker died, or a defect of ours: no other call may suffer
            self.engine.check()
            if tries < TRIES:
                again.append((batch, tries + 1))
                return
            rows = one_by_one(batch.jobs, self.plan)
        write_part(self.out, batch.id, rows)
        store.done(batch.id)
        self._recent.append((self.clock(), batch.size))

    def _progress(self, store: JobStore, lister: Lister) -> AuditProgress:
        """The remaining time is that of the bytes left at the rate of the last batches."""
        listed = lister.ended.is_set()
        known, audited = self._known or store.known(), store.audited()
        if listed:
            self._known = known
        passed = self._recent[-1][0] - self._recent[0][0]
        read = sum(size for _, size in list(self._recent)[1:])
        remaining = None
        if listed and len(self._recent) > 2 and read and passed > 0:
            remaining = (known.size - audited.size) * passed / read
        return AuditProgress(known.files, audited.files, listed, remaining)


def one_by_one(jobs: Sequence[AuditJob], plan: AuditPlan) -> AuditRows:
    """The rows of files of which one has killed its worker: each in a process that it may kill."""
    rows = AuditRows()
    pool = processes(1)
    try:
        for job in jobs:
            try:
                rows.add(pool.submit(audit_batch, [job], plan).result())
            except BrokenProcessPool:
                rows.add(AuditRows(calls=[error_row(job, DIED)]))
                pool = processes(1)
            except Exception as error:
                problem = f"the audit failed: {type(error).__name__}: {error}"[:500]
                rows.add(AuditRows(calls=[error_row(job, problem)]))
    finally:
        pool.shutdown(cancel_futures=True)
    return rows


class Lister:
    """Lists files into the store of `out`, in a thread of its own, so that work begins at once."""

    def __init__(self, out: Path, listed: Iterable[Listed], pattern: NamePattern | None) -> None:
        self.ended = threading.Event()
        """All files are known, or the listing failed."""
        self._out, self._listed, self._pattern = out, listed, pattern
        self._stopped = False
        self._problem: VadAgentError | None = None
        self._thread = threading.Thread(target=self._run, name="listing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def check(self) -> None:
        """Raise the error by which the listing ended."""
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """End, whether or not all is listed."""
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        try:
            store = JobStore(self._out)
            try:
                store.add(takewhile(lambda _: not self._stopped, self._listed), self._pattern)
            finally:
                store.close()
        except VadAgentError as error:
            self._problem = error
        finally:
            self.ended.set()
