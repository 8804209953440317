"""A real PostgreSQL of the test run's own: Debian's `postgresql`, in a folder of its own, on loopback.

    server = Postgres.started()       initdb, a password, fsync on
    place = server.fresh()            "postgresql://…/database": no rows, its tables made
    server.give_back(place)           no rows again: dearer databases are made only once
    server.stop(), server.start()     as an administrator does it
    server.kill()                     as a power cut does it
    server.end()                      gone, with its folder

It runs as an unprivileged user, since PostgreSQL refuses to run as root, and ends by its own process id.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

USER = "desk"
TEMPLATE = "callbacks_as_made"
READY_S = 30
MISSING = "PostgreSQL is not installed: apt-get install postgresql"


class PostgresNotInstalled(Exception):
    """There is no PostgreSQL on this machine."""


def programs() -> Path:
    """The folder of `initdb` and `postgres`, the newest."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if found:
        return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    elsewhere = shutil.which("postgres")
    if elsewhere is None or shutil.which("initdb", path=str(Path(elsewhere).parent)) is None:
        raise PostgresNotInstalled(MISSING)
    return Path(elsewhere).parent


class Postgres:
    def __init__(self, folder: Path) -> None:
        self._programs = programs()
        self._folder = folder
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, object] = {"cwd": folder}
        self.password = secrets.token_hex(8)
        self.port = _free_port()
        if os.geteuid() == 0:
            os.chown(folder, *_nobody())
            user, group = _nobody()
            self._as |= {"user": user, "group": group, "extra_groups": []}
        self._make()

    @classmethod
    def started(cls) -> Postgres:
        """Running, with the tables of the callbacks in its template."""
        folder = Path(tempfile.mkdtemp(prefix="vad-agent-postgres-"))
        try:
            server = cls(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            server.start()
            server._make_template()
        except BaseException:
            server.end()
            raise
        return server

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # initdb reads it as another user
        command = [self._programs / "initdb", "-D", self._folder / "data", "-U", USER]
        command += ["-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C"]
        self._run([str(part) for part in command])
        secret.unlink()

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def _make_template(self) -> None:
        from vad_agent.callbacks.database import Database, DatabaseLocation
        from vad_agent.callbacks.migrations import migrate

        with self.speaking("postgres") as server:
            server.execute(f"CREATE DATABASE {TEMPLATE}")
        database = Database(DatabaseLocation.parse(self.url(TEMPLATE)))
        try:
            migrate(database)
        finally:
            database.close()

    # -- databases ------------------------------------------------------------------------------------

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def fresh(self, *, empty: bool = False) -> str:
        """The URL of a new database, or of one that was given back; `empty`: without tables."""
        if self._free and not empty:
            return self._free.pop()
        name = f"test_{next(self._numbers)}"
        template = "template0" if empty else TEMPLATE
        with self.speaking("postgres") as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def give_back(self, url: str) -> None:
        """Whoever is in it is cut off, its rows are gone, and another test may have it."""
        name = url.rpartition("/")[2]
        with self.speaking(name) as inside:
            inside.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            rows = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            tables = {row[0] for row in inside.execute(rows)} - {"alembic_version"}
            with inside.transaction():
                inside.execute("SET LOCAL session_replication_role = replica")  # in any order
                for table in tables:
                    inside.execute(f'DELETE FROM "{table}"')
        self._free.append(url)

    def drop(self, url: str) -> None:
        """The database is gone, whoever is in it."""
        with self.speaking("postgres") as server:
            server.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    @contextlib.contextmanager
    def speaking(self, database: str) -> Iterator[psycopg.Connection]:
        """SQL as the owner of everything, each statement by itself."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            yield connection

    # -- faults ---------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Running and taking connections; as before where it is."""
        if self.running:
            return
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
        }
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        command += [f"--{name}={value}" for name, value in settings.items()]
        until = time.monotonic() + READY_S
        with (self._folder / "log").open("ab") as log:
            self._process = self._begun(command, log)
            while not self._answers():
                assert time.monotonic() < until, self._said()
                if self._process.poll() is not None:  # what a kill left behind is still ending
                    self._process = self._begun(command, log)
                time.sleep(0.02)

    def _begun(self, command: list[str], log: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as
        )  # type: ignore[call-overload, no-any-return]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _said(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Stopped at once, connections cut, everything on the disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(READY_S)
            self._process = None

    def kill(self) -> None:
        """All its processes die where they stand."""
        if self._process is None:
            return
        ours = psutil.Process(self._process.pid)
        ours.suspend()  # it begins no new ones
        for process in [*ours.children(recursive=True), ours]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(READY_S)
        self._process = None

    def end(self) -> None:
        """Over: nothing of it is left."""
        if self.running:
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _nobody() -> tuple[int, int]:
    """The user and the group that it runs as."""
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise PostgresNotInstalled("there is no unprivileged user that PostgreSQL could run as")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
