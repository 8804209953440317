"""Which desks share a PostgreSQL database, and which of them are dead. SQLite has a single live node."""

from __future__ import annotations

from datetime import datetime, timedelta

from vad_agent.callbacks.database import Database
from vad_agent.callbacks.tables import nodes
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

BEAT_S = 3.0
FORGET_S = 86_400.0
DEAD_S = 12.0
"""A node without a heartbeat for this long is dead: its work is taken over within 30 s of its death."""


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
        """This node stops normally and must not count as dead."""
        with self._database.writing() as c:
            c.execute(nodes.delete().where(nodes.c.name == self._name))
