"""Opening the database of callbacks: SQLite in a file of this machine, or PostgreSQL by its URL.

SQLite: WAL, synchronous=FULL (a commit is on the disk), one process at a time by a lock beside the file. A
damaged file is refused and copied, never written to. The engine of attempts has its own file beside it, which
can be made anew from this one.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vad_agent.errors import OutputError, StoreError, extra
from vad_agent.private_files import FileLock, private_folder, why

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa
    from sqlalchemy import event, exc

POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")
BUSY_MS = 5000
CONNECT_S = 5
POOL = 12


@dataclass(frozen=True, slots=True)
class Where:
    """A database: a file, or a server's URL."""

    url: sa.URL
    file: Path | None

    @classmethod
    def parse(cls, text: str) -> Where:
        """`postgresql://user:password@host/database`, or the path of an SQLite file.

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
        return cls(sa.URL.create("sqlite", database=str(file)), file)

    @property
    def shown(self) -> str:
        """Without a password."""
        return str(self.file) if self.file else self.url.render_as_string(hide_password=True)

    def beside(self, suffix: str) -> Where:
        """The SQLite file beside this one; on PostgreSQL the same database."""
        if self.file is None:
            return self
        file = self.file.with_name(f"{self.file.stem}{suffix}")
        return Where(sa.URL.create("sqlite", database=str(file)), file)


class Database:
    """Connections to one database. `alone`: on SQLite no other process may have it.

    Raises:
        StoreError: it is damaged, another process has it, it is not there or not to be written.
    """

    def __init__(self, where: Where, *, alone: bool = True) -> None:
        self.where = where
        self._lock: FileLock | None = None
        self._writing = threading.Lock()
        if where.file is not None:
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
        except OSError as error:
            self._unlock()
            raise StoreError(f"{file}: cannot be opened: {why(error)}") from error
        except BaseException:
            self._unlock()
            raise

    @property
    def on_server(self) -> bool:
        """PostgreSQL: several processes, several machines."""
        return self.where.file is None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that changes nothing.

        Raises:
            StoreError: the database cannot be used now.
        """
        with self._told(), self.engine.connect() as connection:
            yield connection.execution_options(reads=True)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction; what it wrote is on the disk when it has been left.

        Raises:
            StoreError: the database cannot be used now; nothing was changed.
            sqlalchemy.exc.IntegrityError: another one was quicker.
        """
        if self.on_server:
            with self._told(), self.engine.begin() as connection:
                yield connection
            return
        with self._writing, self._told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise
        except exc.SQLAlchemyError as error:
            raise StoreError(f"{self.where.shown}: {_cause(error)}") from error

    def close(self) -> None:
        """Let go of it."""
        self.engine.dispose()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def engine(where: Where) -> sa.Engine:
    """Connections as this product wants them.

    SQLite: transactions that write take the file at their beginning, so that none fails in its middle.
    """
    if where.file is None:
        return sa.create_engine(
            where.url,
            pool_size=POOL,
            max_overflow=POOL,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_S, "application_name": "vad-agent"},
        )
    made = sa.create_engine(where.url, pool_size=POOL, max_overflow=POOL)

    @event.listens_for(made, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(made, "begin")
    def begun(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return made


def refuse_damaged(file: Path) -> None:
    """Look whether an SQLite file is whole.

    Raises:
        StoreError: it is not; a copy of it and its journal lies beside it.
    """
    if not file.exists() or file.stat().st_size == 0:
        return
    try:
        connection = sqlite3.connect(file)
        try:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise StoreError(f"{file}: cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found == ["ok"]:
        return
    copy = _set_aside(file)
    raise StoreError(
        f"{file}: the database is damaged ({found[0].splitlines()[0]}); nothing was changed, a copy is "
        f"{copy}: put a backup in its place, or move it away to begin anew"
    )


def _set_aside(file: Path) -> Path:
    copy = file.with_name(f"{file.name}.damaged-{datetime.now():%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal"):
        source = Path(f"{file}{suffix}")
        if source.exists():
            shutil.copy2(source, f"{copy}{suffix}")
    return copy


def _cause(error: exc.SQLAlchemyError) -> str:
    """The driver's words on one line: SQLAlchemy adds the statement and its values, which are personal."""
    original = getattr(error, "orig", None)
    text = str(original) if original is not None else type(error).__name__
    return " ".join(text.split())[:300]
