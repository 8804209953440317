"""Where batches are run: processes of this machine, or the workers of a Dask cluster.

Both are a `concurrent.futures.Executor`, so the runner knows no difference. Dask has up to 1 ms of
scheduler a task; a batch is at least 50 calls, and the runner keeps few of them under way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from vad_agent.errors import OutputError, extra

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2
"""Of a batch, by Dask, before the runner hears of it."""
CONNECT_S = 20


class AuditEngine:
    """A running engine. `workers`: how many batches run at once."""

    def __init__(self, executor: Executor, workers: int) -> None:
        self.executor = executor
        self.workers = workers

    def renew(self) -> None:
        """Replace an executor whose worker has died, where the executor does not do so itself."""

    def check(self) -> None:
        """After a failed batch: is the engine still there?

        Raises:
            OutputError: it is not.
        """


class LocalEngine(AuditEngine):
    """Processes of this machine; a pool that has lost one is replaced."""

    def __init__(self, workers: int) -> None:
        super().__init__(processes(workers), workers)

    def renew(self) -> None:
        """A new pool."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.executor = processes(self.workers)


class DaskEngine(AuditEngine):
    """Workers of a Dask cluster, which replaces those that die."""

    def __init__(self, client: Client, scheduler: str) -> None:
        threads = sum(client.nthreads().values())
        if not threads:
            raise OutputError(f"{scheduler}: the Dask scheduler has no worker: start some")
        super().__init__(client.get_executor(retries=RETRIES, pure=False), threads)
        self._client, self._scheduler = client, scheduler

    def check(self) -> None:
        """The scheduler is still there."""
        if self._client.status != "running":
            raise OutputError(
                f"{self._scheduler}: the Dask scheduler is gone: start it again, and the same command "
                "goes on with what is not done"
            )


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(workers: int) -> ProcessPoolExecutor:
    """A pool of processes that inherit nothing, and that do not outlive this one if it is killed."""
    return ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent)


def _end_with_parent() -> None:
    """In a worker: the pool's own pipes stay open in its workers, so they never notice."""
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_watch, args=(parent.sentinel,), name="parent", daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def local_engine(workers: int) -> Iterator[AuditEngine]:
    """Worker processes of this machine."""
    engine = LocalEngine(workers)
    try:
        yield engine
    finally:
        engine.executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def dask_engine(scheduler: str | None, workers: int) -> Iterator[AuditEngine]:
    """The workers of a Dask cluster. `scheduler`: its address; None: `workers` processes started here.

    Raises:
        MissingExtra: Dask is not installed.
        OutputError: the scheduler does not answer, or has no worker.
    """
    with extra("archive", "--engine dask"):
        import dask
        from distributed import Client, LocalCluster
    with ExitStack() as stack:
        address = scheduler
        if address is None:
            stack.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
            )
            address = stack.enter_context(cluster).scheduler_address
        try:
            client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise OutputError(f"{scheduler}: no Dask scheduler answers there: {error}") from error
        stack.enter_context(client)
        engine = DaskEngine(client, address)
        try:
            yield engine
        finally:
            engine.executor.shutdown(wait=False)
