"""Opens the callback database: an SQLite file on this machine, or PostgreSQL by its URL.

SQLite: WAL, synchronous=FULL (a commit is on the disk), one process at a time by a lock file. A
damaged file is refused; see `sqlite_file.py`.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vad_agent.callbacks.sqlite_file import BUSY_MS, is_empty, refuse_damaged
from vad_agent.common.private_files import FileLock, make_private, private_folder, why
from vad_agent.errors import OutputError, StoreError, UnstorableError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa
    from sqlalchemy import event, exc

if TYPE_CHECKING:
    import psycopg

POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")
CONNECT_S = 5
POOL = 12
AGAIN_S = 1.0
_STARTING = ("starting up", "shutting down", "not yet accepting", "too many clients")
STOPPED_S = 15
"""PostgreSQL ends an idle transaction that holds locks after this many seconds."""
_RACED = ("40001", "40P01", "23505")
"""PostgreSQL's states: serialization failure; deadlock, where this transaction was chosen to fail;
unique violation.
"""
_SQLITE_RACED = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


class WriteConflict(StoreError):
    """Another transaction committed first; nothing was changed. Read again and retry."""


@dataclass(frozen=True, slots=True)
class DatabaseLocation:
    """A database: a file, or a server's URL."""

    url: sa.URL
    file: Path | None

    @classmethod
    def parse(cls, text: str) -> DatabaseLocation:
        """Parse `postgresql://user:password@host/database`, or the path of an SQLite file.

        Raises:
            StoreError: a URL that is neither.
        """
        if text.startswith(POSTGRESQL):
            try:
                url = sa.make_url(text)
            except (exc.ArgumentError, ValueError):
                raise StoreError(
                    "database: expected postgresql://user@host/database, or a file's path"
                ) from None
            return cls(url.set(drivername="postgresql+psycopg"), None)
        if "://" in text and not text.startswith("sqlite:///"):
            scheme = text.partition("://")[0]
            raise StoreError(
                f"database: expected postgresql://… or a file's path, got a URL of {scheme}"
            )
        file = Path(text.removeprefix("sqlite:///")).absolute()
        if not file.name or "\0" in text:
            raise StoreError(f"database: expected postgresql://… or a file's path, got {text!r}")
        return cls(sa.URL.create("sqlite", database=str(file)), file)

    @property
    def shown(self) -> str:
        """The location without passwords, which may also appear in the URL's options."""
        if self.file is not None:
            return str(self.file)
        return self.url.set(query={}).render_as_string(hide_password=True)


class Database:
    """Connections to one database. `alone`: on SQLite, no other process may use it. `make`: a missing
    SQLite file is created, with its folder.

    Raises:
        StoreError: the database is damaged, locked by another process, missing or not writable.
    """

    def __init__(self, where: DatabaseLocation, *, alone: bool = True, make: bool = True) -> None:
        self.where = where
        self._lock: FileLock | None = None
        self._writing = threading.Lock()
        if where.file is not None:
            if not make and is_empty(where.file):
                raise StoreError(self.empty)
            self._prepare(where.file, alone)
        try:
            self.engine = engine(where)
            with self.reading() as connection:
                connection.execute(sa.text("SELECT 1"))
        except BaseException:
            self._unlock()
            raise

    def _prepare(self, file: Path, alone: bool) -> None:
        try:
            private_folder(file.parent)
            if alone:
                self._lock = FileLock(file.with_name(file.name + ".lock"))
        except BlockingIOError:
            raise StoreError(
                f"{file}: another process has the callbacks: stop it, or speak to it (--desk URL)"
            ) from None
        except (OSError, OutputError) as error:
            raise StoreError(f"{file}: cannot be opened: {error}") from error
        try:
            refuse_damaged(file)
            file.touch(mode=0o600)
            make_private(file)
        except OSError as error:
            self._unlock()
            raise StoreError(f"{file}: cannot be opened: {why(error)}") from error
        except BaseException:
            self._unlock()
            raise

    @property
    def empty(self) -> str:
        """The error of a database without callbacks that this process must not create."""
        return (
            f"{self.where.shown}: there are no callbacks in it: `vad-agent serve` makes the database, "
            "or name another one (--config)"
        )

    @property
    def on_server(self) -> bool:
        """The database is PostgreSQL: several processes on several machines can use it."""
        return self.where.file is None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A read-only transaction.

        Raises:
            StoreError: the database cannot be used now.
        """
        with self._told(), self.engine.connect() as connection:
            yield connection.execution_options(reads=True)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction. Its changes are on the disk when the block has been left.

        Raises:
            StoreError: the database cannot be used now; nothing was changed.
            WriteConflict: another transaction committed first.
            UnstorableError: the database will never accept these values.
        """
        if self.on_server:
            with self._told(), self.engine.begin() as connection:
                yield connection
            return
        if not self._writing.acquire(timeout=BUSY_MS / 1000):
            raise StoreError(f"{self.where.shown}: too many wait to write")
        try:
            with self._told(), self.engine.begin() as connection:
                yield connection
        finally:
            self._writing.release()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            text = f"{self.where.shown}: {_cause(error)}"
            if _is_race(error):
                raise WriteConflict(text) from error
            if _is_permanent(error):
                raise UnstorableError(text) from error
            raise StoreError(text) from error

    def session(self, settings: Sequence[str] = ()) -> sa.Connection:
        """A connection of the caller's own, without a transaction; `settings`: of this session.

        Raises:
            StoreError: the database cannot be used now.
        """
        with self._told():
            connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                for setting in settings:
                    connection.execute(sa.text(f"SET {setting}"))
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
        return connection

    def forget(self) -> None:
        """Clear overwritten data from SQLite's journal. Best effort: readers may still need it."""
        if self.on_server:
            return
        with self._writing, self._told(), self.engine.connect() as c, suppress(sqlite3.Error):
            c.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def time(self) -> datetime:
        """The time of the server's clock, which all nodes share.

        Raises:
            StoreError: the server cannot be queried now.
        """
        with self.reading() as connection:
            told = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        assert isinstance(told, datetime)
        return told.astimezone(UTC)

    def close(self) -> None:
        """Close all connections and release the lock."""
        self.engine.dispose()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def wait_for_server(where: DatabaseLocation, limit_s: float, report: Callable[[str], None]) -> None:
    """Wait until a server that does not run yet, or starts, takes connections; at most `limit_s`
    seconds: then, and on any other problem, opening it tells why. `report`: called once.
    """
    if where.file is not None:
        return
    until, told = time.monotonic() + limit_s, False
    trial = engine(where)
    try:
        while (why := _not_yet(trial)) is not None and time.monotonic() < until:
            if not told:
                told = True
                report(f"{where.shown}: {why}")
            time.sleep(AGAIN_S)
    finally:
        trial.dispose()


def _not_yet(trial: sa.Engine) -> str | None:
    """Why the server takes no connection now, if another try may help."""
    try:
        trial.connect().close()
    except exc.OperationalError as error:
        cause = _cause(error)
        return None if "FATAL:" in cause and not any(one in cause for one in _STARTING) else cause
    except exc.SQLAlchemyError:
        return None
    return None


def engine(where: DatabaseLocation) -> sa.Engine:
    """Create the SQLAlchemy engine with short time limits: an unavailable database is an error, not
    a wait.

    SQLite: a write transaction takes the write lock at its start, so that none fails in its middle.
    Erased data is overwritten.
    """
    if where.file is None:
        return _server(where.url)
    made = sa.create_engine(where.url, pool_size=POOL, max_overflow=POOL, hide_parameters=True)

    @event.listens_for(made, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # this module issues BEGIN itself
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(made, "begin")
    def begun(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return made


def _server(url: sa.URL) -> sa.Engine:
    made = sa.create_engine(
        url,
        pool_size=POOL,
        max_overflow=POOL,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "vad-agent",
            "keepalives_idle": CONNECT_S,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 2 * CONNECT_S * 1000,
        },
    )

    @event.listens_for(made, "connect")
    def connected(connection: psycopg.Connection, _: object) -> None:
        connection.execute(f"SET lock_timeout = {BUSY_MS}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {STOPPED_S * 1000}")
        connection.commit()

    return made


def _is_race(error: exc.SQLAlchemyError) -> bool:
    """Another transaction was first: read again and retry."""
    original = getattr(error, "orig", None)
    if getattr(original, "sqlstate", None) in _RACED:
        return True
    return getattr(original, "sqlite_errorcode", None) in _SQLITE_RACED


def _is_permanent(error: exc.SQLAlchemyError) -> bool:
    """The values are at fault: too long, too large, missing, or of no type that a column takes."""
    if isinstance(error, exc.DBAPIError):
        return isinstance(error, exc.DataError | exc.IntegrityError | exc.NotSupportedError)
    return isinstance(error, exc.StatementError)


def _cause(error: exc.SQLAlchemyError) -> str:
    """The driver's message on one line.

    SQLAlchemy's own adds the statement and its values, and PostgreSQL's detail the row: personal data.
    """
    original = getattr(error, "orig", None)
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    text = primary or (str(original) if original is not None else type(error).__name__)
    return " ".join(text.split())[:300]
