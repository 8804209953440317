"""Wakes each attempt at its time. Only this module knows DBOS.

An armed attempt is one delayed row; its workflow is one short call of `run(key)`. DBOS guarantees
"at least once": a key may be run twice, early or late, and the store decides whether it must be
made. The scheduler's data is therefore never authoritative; what is lost is armed again from the
store.

    arm(key, at) ─> row, delayed ─> [its time] ─> a worker of any node ─> run(key)

A row's id is the key, with `~2`, `~3`… if an earlier row of the key has ended: an id is never
reused.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from vad_agent.callbacks.database import DatabaseLocation, engine
from vad_agent.errors import EngineError, StoreError, extra

with extra("callbacks", "the engine of callbacks"):
    import sqlalchemy as sa
    from dbos import DBOS, DBOSConfig, EnqueueOptions
    from dbos._error import DBOSWorkflowIDInUseError

log = logging.getLogger(__name__)

NAME = "vad-agent-callbacks"
QUEUE = "attempts"
WORKFLOW = "attempt"
VERSION = "1"
"""Pinned: by default it is a hash of the source, and after any edit nothing armed before would run."""
WORKERS = 32
POLL_S = 0.1
MOST_FORGOTTEN = 2000
AGAIN_S = 1.0
"""Seconds between retries while the store is unavailable."""
LISTEN_S = 1.0
"""Seconds between polls for messages, which nobody sends; a stop waits for one poll."""
ENDING_S = 2
"""Seconds that running attempts have to finish at a stop."""
ASLEEP = ("DELAYED", "ENQUEUED")
ALIVE = (*ASLEEP, "PENDING")


class Scheduler(Protocol):
    """Wakes attempts."""

    def start(self, run: Callable[[str], None]) -> None:
        """Start waking: `run(key)` in threads of the scheduler.

        If it raises `StoreError`, it is retried.
        """

    def arm(self, key: str, in_s: float) -> None:
        """Wake the attempt in `in_s` seconds, at least 0.

        Raises:
            EngineError: not possible now.
        """

    def cancel(self, keys: Iterable[str]) -> None:
        """Do not wake these keys. One that cannot be cancelled is woken without effect."""

    def pending(self) -> set[str]:
        """The keys that will be woken or are running."""

    def take_over(self, node: str) -> int:
        """Pass a dead node's work to other nodes. Return the number of attempts."""

    def forget(self, older_s: float) -> int:
        """Delete what ended `older_s` seconds ago. Return the number, at most some thousands per call.

        Raises:
            EngineError: not possible now.
        """

    def stop(self) -> None:
        """Wake nothing more; running attempts may finish."""


class DbosScheduler:
    """DBOS on the store's database, or on a file next to it. One per process.

    `node`: stable over restarts, unique for each process.

    Raises:
        EngineError: its database cannot be used.
    """

    def __init__(self, where: DatabaseLocation, node: str) -> None:
        self._node = node
        self._stopping = threading.Event()
        self._run: Callable[[str], None] = lambda _: None
        self._engine = _sqlite(where) if where.file is not None else engine(where)
        config = DBOSConfig(
            name=NAME,
            system_database_url=where.url.render_as_string(hide_password=False),
            system_database_engine=self._engine,
            application_version=VERSION,
            executor_id=node,
            log_level="ERROR",
            console_log_level="ERROR",
            enable_otlp=False,
            use_listen_notify=False,
            max_executor_threads=WORKERS + 8,
            notification_listener_polling_interval_sec=LISTEN_S,
            scheduler_polling_interval_sec=600.0,
        )
        DBOS(config=config)

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def attempt(key: str) -> None:
            self._wake(key)

        self._attempt = attempt

    def start(self, run: Callable[[str], None]) -> None:
        """See `Scheduler`."""
        self._run = run
        with _translate_errors():
            DBOS.launch()
            DBOS.register_queue(
                QUEUE,
                worker_concurrency=WORKERS,
                polling_interval_sec=POLL_S,
                on_conflict="always_update",
            )

    def _wake(self, key: str) -> None:
        """Run an attempt. An exception would end the row, so every failure is retried or logged."""
        while True:
            try:
                self._run(key)
                return
            except StoreError as error:
                log.warning("an attempt waits for the store", extra={"key": key, "why": str(error)})
            except Exception:
                log.exception("an attempt raised an unexpected error", extra={"key": key})
                return  # the audit finds it
            if self._stopping.wait(AGAIN_S):
                return  # the next start finds it

    def arm(self, key: str, in_s: float) -> None:
        """See `Scheduler`."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": key,
            "workflow_id_reuse_policy": "reject",
            "app_version": VERSION,
        }
        if in_s > 0:
            options["delay_seconds"] = in_s
        with _translate_errors():
            for number in range(2, 1000):
                try:
                    DBOS.enqueue_workflow_with_options(options, key)
                    return
                except DBOSWorkflowIDInUseError:
                    if self._moved(options["workflow_id"], in_s):
                        return
                    options["workflow_id"] = f"{key}~{number}"
        raise EngineError(f"{key}: armed too often")

    def _moved(self, id: str, in_s: float) -> bool:
        """Move a sleeping row to the new time. Reads it back, because a row that has ended is not
        changed.

        A running row does not count: it may have been woken too early.
        """
        status = DBOS.get_workflow_status(id)
        if status is not None and status.status == "DELAYED":
            DBOS.set_workflow_delay(id, delay_seconds=max(in_s, 0.0))
            status = DBOS.get_workflow_status(id)
        return status is not None and status.status in ASLEEP

    def cancel(self, keys: Iterable[str]) -> None:
        """See `Scheduler`."""
        with contextlib.suppress(EngineError), _translate_errors():
            DBOS.cancel_workflows(list(keys))

    def pending(self) -> set[str]:
        """See `Scheduler`."""
        table = _rows(self._engine)
        query = sa.select(table.c.workflow_uuid).where(
            table.c.status.in_(ALIVE), table.c.name == WORKFLOW
        )
        with _translate_errors(), self._engine.connect() as connection:
            return {id.partition("~")[0] for (id,) in connection.execute(query)}

    def take_over(self, node: str) -> int:
        """See `Scheduler`."""
        with _translate_errors():
            held = DBOS.list_workflows(
                status="PENDING", executor_id=node, load_input=False, load_output=False
            )
            ids = [one.workflow_id for one in held]
            if ids:
                DBOS.resume_workflows(ids)
        return len(ids)

    def forget(self, older_s: float) -> int:
        """See `Scheduler`."""
        table = _rows(self._engine)
        limit_ms = int((time.time() - older_s) * 1000)
        ended = (
            sa.select(table.c.workflow_uuid)
            .where(table.c.name == WORKFLOW, table.c.status.not_in(ALIVE))
            .where(table.c.updated_at < limit_ms)
            .limit(MOST_FORGOTTEN)
        )
        with _translate_errors():
            with self._engine.connect() as connection:
                ids = list(connection.execute(ended).scalars())
            if ids:
                DBOS.delete_workflows(ids)
        return len(ids)

    def stop(self) -> None:
        """See `Scheduler`."""
        self._stopping.set()
        DBOS.destroy(workflow_completion_timeout_sec=ENDING_S)
        self._engine.dispose()


def _rows(made: sa.Engine) -> sa.TableClause:
    schema = None if made.dialect.name == "sqlite" else "dbos"
    columns = ("workflow_uuid", "status", "name", "updated_at")
    return sa.table("workflow_status", *map(sa.column, columns), schema=schema)


def _sqlite(where: DatabaseLocation) -> sa.Engine:
    """SQLite as DBOS opens it, but with WAL and synchronous=FULL."""
    made = sa.create_engine(where.url, hide_parameters=True)

    @sa.event.listens_for(made, "connect")
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    return made


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        cause = str(getattr(error, "orig", None) or error) or type(error).__name__
        raise EngineError(f"engine: {' '.join(cause.split())[:300]}") from error


__all__ = ["DbosScheduler", "Scheduler"]
