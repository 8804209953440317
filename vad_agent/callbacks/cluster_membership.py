"""Which desks share a PostgreSQL, and which of them are dead. On SQLite there is one, and it is alive."""

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
"""Without a beat for so long a node is dead: its work is taken over within 30 s of its death."""


class ClusterMembership:
    """The nodes of a database; `name`: this one's, stable over restarts.

    `beat_s`: seconds between its beats; `dead_s`: without one for so long a node counts as dead.
    """

    def __init__(
        self, database: Database, name: str, *, beat_s: float = BEAT_S, dead_s: float = DEAD_S
    ) -> None:
        self.beat_s = beat_s
        self._dead_s = dead_s
        self._database = database
        self._name = name

    def beat(self, now: datetime, *, started: bool = False) -> None:
        """This node is alive.

        Raises:
            StoreError: the database cannot be used now.
        """
        with self._database.writing() as c:
            values = {"beat": now} | ({"started": now} if started else {})
            done = c.execute(nodes.update().where(nodes.c.name == self._name).values(**values))
            if not done.rowcount:
                c.execute(nodes.insert().values(name=self._name, started=now, beat=now))

    def seen(self, now: datetime) -> tuple[set[str], set[str]]:
        """(alive, dead) names, this one among the living.

        Raises:
            StoreError: the database cannot be used now.
        """
        limit = now - timedelta(seconds=self._dead_s)
        with self._database.reading() as c:
            rows = c.execute(sa.select(nodes.c.name, nodes.c.beat)).all()
        alive = {name for name, beat in rows if beat >= limit} | {self._name}
        return alive, {name for name, _ in rows} - alive

    def forget_dead(self, now: datetime) -> None:
        """A node that has been dead for long is no news: it may have come back under another name."""
        with self._database.writing() as c:
            c.execute(nodes.delete().where(nodes.c.beat < now - timedelta(seconds=FORGET_S)))

    def leave(self) -> None:
        """This node ends as it should: it is not dead."""
        with self._database.writing() as c:
            c.execute(nodes.delete().where(nodes.c.name == self._name))
