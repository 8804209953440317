"""Session data of a centre: in the store, shared by all nodes of its desk.

    facts           panel_secret: signs cookies; created once, encrypted
    left_sessions   sessions that were ended, until they would have expired
    people          since: sessions begun before are invalid

    database ── every 2 s, in a thread ──> cache ──> is_over, which never blocks

While the database is unavailable, nobody is logged out: the cached data stay valid.
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
from vad_agent.web.authentication.login_sessions import Session

with extra("callbacks", "the panel's logins"):
    import sqlalchemy as sa

log = logging.getLogger(__name__)

SECRET = "panel_secret"
REFRESH_S = 2.0
LONGER_S = 3600.0
"""Seconds that an expired session is still remembered: another node's clock may be slow."""


class SessionStore:
    """`SessionBackend` in a store, up to date from `start` until `close`. `clock`: Unix time.

    Raises:
        StoreError: the database cannot be used.
    """

    def __init__(self, store: UnitOfWork, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        """Guards `_left_here` and `_unsaved`."""
        self._refreshing = threading.Lock()
        """One refresh at a time: an older result must not replace a newer one."""
        self._left_here: dict[str, float] = {}
        """Sessions ended here, id → expiry."""
        self._unsaved: set[str] = set()
        """Those of them that the database does not have yet."""
        self._left: frozenset[str] = frozenset()
        self._since: dict[str, float] = {}
        self._away = False
        self._beat = Periodic("panel-sessions", REFRESH_S, self.refresh)
        self.secret: str = store.transaction(self._the_secret)
        self._read()

    def start(self) -> None:
        """Start refreshing: changes made elsewhere are known within `REFRESH_S`."""
        self._beat.start()

    def close(self) -> None:
        """Stop refreshing."""
        self._beat.close()

    def is_over(self, session: Session) -> bool:
        """The session was ended, or its user got a new password or role or was disabled since."""
        if session.id in self._left_here or session.id in self._left:
            return True
        return self._since.get(session.operator, 0.0) > session.since

    def leave(self, session: Session) -> None:
        """End the session: here at once, elsewhere soon; without a database, once it is back."""
        now = self._clock()
        with self._lock:
            known = {id: ends for id, ends in self._left_here.items() if ends > now}
            self._left_here = {**known, session.id: session.ends}
            self._unsaved = (self._unsaved & known.keys()) | {session.id}
        self.refresh()

    def refresh(self) -> None:
        """Write sessions ended here to the database, and read new ones. May take a while."""
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
        """The secret. If two nodes start together, the second one's insert fails, and it reads again."""
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
