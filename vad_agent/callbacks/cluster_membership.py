"""Which desks share a PostgreSQL database, and which of them are dead. SQLite has a single live node.

    a name    an advisory lock of a session that the node keeps open: no two live nodes have one name
    a beat    a row with the time: a node without one for a while is dead

A session ends with its process, so a killed node can start again at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime, timedelta

from vad_agent.callbacks.database import Database
from vad_agent.callbacks.tables import nodes
from vad_agent.errors import StoreError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

BEAT_S = 3.0
FORGET_S = 86_400.0
DEAD_S = 12.0
"""A node without a heartbeat for this long is dead: its work is taken over within 30 s of its death."""


LOCKS = 7_239_002
"""First key of the names' advisory locks; the second one is the name's hash."""
ENDING_S = 2.0
"""Seconds that the server is given to end the session of a process that was killed."""
KEEPALIVES = ("tcp_keepalives_idle = 3", "tcp_keepalives_interval = 2", "tcp_keepalives_count = 4")
"""Of a machine that is gone without a word the server ends the session after some 12 s."""


class ClusterMembership:
    """The nodes of a database. `name`: this node's name, stable over restarts.

    `beat_s`: seconds between heartbeats. `dead_s`: seconds without one after which a node is dead.
    """

    def __init__(
        self, database: Database, name: str, *, beat_s: float = BEAT_S, dead_s: float = DEAD_S
    ) -> None:
        self.beat_s = beat_s
        self._dead_s = dead_s
        self._database = database
        self._name = name
        self._session: sa.Connection | None = None
        self._entered = False
        self._lock = threading.Lock()

    def enter(self, wait_s: float = ENDING_S) -> None:
        """Take the node's name, for as long as this process lives. A lost session is opened again by
        `hold`.

        Raises:
            StoreError: another live node has it, or the database cannot be used now.
        """
        until = time.monotonic() + wait_s
        while not self._is_held():
            if time.monotonic() >= until:
                raise StoreError(self._taken())
            time.sleep(0.1)
        self._entered = True

    def hold(self) -> None:
        """Check that the name is still this node's, if it has entered.

        Raises:
            StoreError: another node has taken it meanwhile, or the database cannot be used now.
        """
        if self._entered and not self._is_held():
            raise StoreError(self._taken())

    def _taken(self) -> str:
        return (
            f"{self._database.where.shown}: another desk with the name {self._name!r} runs on this "
            "database: give each desk a name of its own (--node)"
        )

    def _is_held(self) -> bool:
        """The name is this node's, from now on if it was nobody's."""
        if not self._database.on_server:
            return True  # one process at a time has the file
        with self._lock:
            if self._session is not None:
                try:
                    self._session.execute(sa.text("SELECT 1"))
                    return True
                except sa.exc.SQLAlchemyError:
                    self._end_session()
            self._session = self._database.session(KEEPALIVES)
            lock = sa.text("SELECT pg_try_advisory_lock(:locks, hashtext(:name))")
            try:
                done = self._session.execute(lock, {"locks": LOCKS, "name": self._name}).scalar()
            except sa.exc.SQLAlchemyError as error:
                self._end_session()
                raise StoreError(f"{self._database.where.shown}: {type(error).__name__}") from error
            if not done:
                self._end_session()
            return bool(done)

    def _end_session(self) -> None:
        """Close the session itself: back in the pool it would keep the lock."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                session.invalidate()
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                session.close()

    def release(self) -> None:
        """Give the name up."""
        with self._lock:
            self._entered = False
            self._end_session()

    def beat(self, now: datetime, *, started: bool = False) -> None:
        """Record this node's heartbeat.

        Raises:
            StoreError: the database cannot be used now.
        """
        with self._database.writing() as c:
            values = {"beat": now} | ({"started": now} if started else {})
            done = c.execute(nodes.update().where(nodes.c.name == self._name).values(**values))
            if not done.rowcount:
                c.execute(nodes.insert().values(name=self._name, started=now, beat=now))

    def seen(self, now: datetime) -> tuple[set[str], set[str]]:
        """Names of the (alive, dead) nodes; this node counts as alive.

        Raises:
            StoreError: the database cannot be used now.
        """
        limit = now - timedelta(seconds=self._dead_s)
        with self._database.reading() as c:
            rows = c.execute(sa.select(nodes.c.name, nodes.c.beat)).all()
        alive = {name for name, beat in rows if beat >= limit} | {self._name}
        return alive, {name for name, _ in rows} - alive

    def forget_dead(self, now: datetime) -> None:
        """Remove nodes that have been dead for long: they may have returned under another name."""
        with self._database.writing() as c:
            c.execute(nodes.delete().where(nodes.c.beat < now - timedelta(seconds=FORGET_S)))

    def leave(self) -> None:
        """This node stops normally and must not count as dead.

        Raises:
            StoreError: the database cannot be used now, or another node has the name.
        """
        try:
            self.hold()
            with self._database.writing() as c:
                c.execute(nodes.delete().where(nodes.c.name == self._name))
        finally:
            self.release()
