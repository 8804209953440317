"""What a centre keeps of its sessions: in the store, for all nodes of its desk.

    facts           panel_secret: signs cookies; made once, sealed
    left_sessions   sessions that were left, until they would have ended
    people          since: sessions begun before are over

    database ── every 2 s, in a thread ──> what is known ──> is_over, which never waits

While the database is away nobody is thrown out: what was known last holds.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from vad_agent.callbacks.tables import facts, left_sessions, people
from vad_agent.callbacks.unit_of_work import UnitOfWork, locked
from vad_agent.common.periodic import Periodic
from vad_agent.errors import StoreError, extra
from vad_agent.web.sessions import Session

with extra("callbacks", "the panel's logins"):
    import sqlalchemy as sa

log = logging.getLogger(__name__)

SECRET = "panel_secret"
REFRESH_S = 2.0
LONGER_S = 3600.0
"""What has ended is remembered for so long still: another node's clock may be slow."""


class SessionStore:
    """`SessionBackend` in a store: kept up to date from `start` until `close`. `clock`: Unix time.

    Raises:
        StoreError: the database cannot be used.
    """

    def __init__(self, store: UnitOfWork, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        """Of `_left_here` and `_unsaved`."""
        self._refreshing = threading.Lock()
        """One look at a time: an older one must not be taken for news."""
        self._left_here: dict[str, float] = {}
        """Sessions, id → end."""
        self._unsaved: set[str] = set()
        """Those of them of which the database does not know yet."""
        self._left: frozenset[str] = frozenset()
        self._since: dict[str, float] = {}
        self._away = False
        self._beat = Periodic("panel-sessions", REFRESH_S, self.refresh)
        self.secret: str = store.transaction(self._the_secret)
        self._read()

    def start(self) -> None:
        """From now on changes that others make are known within `REFRESH_S`."""
        self._beat.start()

    def close(self) -> None:
        """No more of that."""
        self._beat.close()

    def is_over(self, session: Session) -> bool:
        """It was left, or its person got a new password, another role or a bar since."""
        if session.id in self._left_here or session.id in self._left:
            return True
        return self._since.get(session.operator, 0.0) > session.since

    def leave(self, session: Session) -> None:
        """It is over: here at once, elsewhere soon; where the database is away, once it is back."""
        now = self._clock()
        with self._lock:
            known = {id: ends for id, ends in self._left_here.items() if ends > now}
            self._left_here = {**known, session.id: session.ends}
            self._unsaved = (self._unsaved & known.keys()) | {session.id}
        self.refresh()

    def refresh(self) -> None:
        """Tell the database what was left here, and look what is new there. May take a while."""
        with self._refreshing:
            try:
                self._save()
                self._read()
            except StoreError:
                if not self._away:
                    log.warning("sessions cannot be looked up: those that were known go on")
                self._away = True
            else:
                self._away = False

    # -- the database ---------------------------------------------------------------------------------

    def _the_secret(self, c: sa.Connection) -> str:
        """Two nodes that start together: the second one's row is refused, and it looks again."""
        found = facts.c.name == SECRET
        stored = c.execute(locked(sa.select(facts.c.value).where(found))).scalar()
        encryption = self._store.encryption
        if stored is None:
            secret = secrets.token_urlsafe(32)
            c.execute(facts.insert().values(name=SECRET, value=encryption.close(secret)))
            return secret
        secret = encryption.open(stored) or ""
        if encryption.needs_closing(stored):
            c.execute(facts.update().where(found).values(value=encryption.close(secret)))
        return secret

    def _save(self) -> None:
        with self._lock:
            news = {id: self._left_here[id] for id in self._unsaved}
        if not news:
            return
        limit = _moment(self._clock() - LONGER_S)

        def work(c: sa.Connection) -> None:
            c.execute(left_sessions.delete().where(left_sessions.c.ends < limit))
            ids = left_sessions.c.id
            known = set(c.execute(sa.select(ids).where(ids.in_(news))).scalars())
            for id in news.keys() - known:
                c.execute(left_sessions.insert().values(id=id, ends=_moment(news[id])))

        self._store.transaction(work)
        with self._lock:
            self._unsaved = self._unsaved - news.keys()

    def _read(self) -> None:
        with self._store.database.reading() as c:
            left = frozenset(c.execute(sa.select(left_sessions.c.id)).scalars())
            since = c.execute(sa.select(people.c.login, people.c.since)).all()
        self._left = left
        self._since = {login: at.timestamp() for login, at in since}


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
