"""Access tokens: who a program is, and what it may do. Rows of the store; only hashes are stored.

    scope     owner                   may
    own       the desk's own file     everything; as a headset only from this machine
    headset   an operator's login     what that operator's headset and panel need
    pbx       a program's name        the same for all operators: vad-agent pbx
    crm       a program's name        request, list and change callbacks; read counts
    metrics   a program's name        read the metrics

    database ── every 2 s, in a thread, and for an unknown token ──> cache ──> find, which never blocks

A disabled user's tokens are not valid. While the database is unavailable, the cached data stay valid.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from vad_agent.callbacks.tables import people, tokens
from vad_agent.callbacks.unit_of_work import UnitOfWork
from vad_agent.common.identity import folded, login
from vad_agent.common.periodic import Periodic
from vad_agent.errors import StoreError, extra
from vad_agent.web.authentication.users import UserError, Users

with extra("callbacks", "the desk's tokens"):
    import sqlalchemy as sa

log = logging.getLogger(__name__)

REFRESH_S = 2.0
AGAIN_S = 0.2
"""Least seconds between two lookups of unknown tokens: a flood of them must not load the database."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
"""The name of a program."""
PREFIX = "vad-"
CREDENTIAL = "vad_agent.credential"
"""The key of a request's `Credential` in its ASGI scope."""


class Scope(StrEnum):
    """What a token is for."""

    OWN = "own"
    HEADSET = "headset"
    PBX = "pbx"
    CRM = "crm"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Credential:
    """The owner of a valid token."""

    scope: Scope
    name: str
    """The operator's login (`HEADSET`), else the program's name."""
    hash: str = field(default="", repr=False)
    """Of a stored token: its owner may have got another one since."""
    person: str = ""
    """For whom a program acts, as it says; "": it does not say."""

    @property
    def who(self) -> str:
        """The actor in history. A headset acts for its operator, whatever it says."""
        if self.scope is Scope.HEADSET:
            return f"headset:{self.name}"
        return f"api:{self.name}:{self.person}" if self.person else f"api:{self.name}"

    @property
    def login(self) -> str | None:
        """The only operator that it may act for; None: any."""
        return self.name if self.scope is Scope.HEADSET else None

    def is_for(self, operator: str | None) -> bool:
        """It may act for this operator; nobody's belongs to everybody."""
        return self.login is None or not operator or folded(operator) == folded(self.login)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token of the store."""

    scope: Scope
    name: str
    made: datetime
    made_by: str


class AccessTokens:
    """The tokens of a store. Several threads and processes may call its methods."""

    def __init__(
        self,
        store: UnitOfWork,
        *,
        user: Callable[[], str] = login,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._timer = timer
        self._user = user
        """The user of this process, whose login is always known."""
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._known: Mapping[str, Credential] = {}
        self._logins: frozenset[str] | None = None
        self._away = False
        self._beat = Periodic("access-tokens", REFRESH_S, self.refresh)

    def start(self) -> None:
        """Read the tokens, and start refreshing.

        Raises:
            StoreError: they cannot be read.
        """
        self._read()
        self._beat.start()

    def close(self) -> None:
        """Stop refreshing."""
        self._beat.close()

    # -- checks; they never block -------------------------------------------------------------------

    def find(self, token: str) -> Credential | None:
        """The owner of this token. None: it is unknown here, or not valid."""
        return self._known.get(_hash(token))

    def is_valid(self, credential: Credential) -> bool:
        """The token has not been revoked or replaced; one that is not stored stays valid."""
        return not credential.hash or credential.hash in self._known

    def is_known(self, operator: str) -> bool:
        """The login is that of an enabled user or of who started the desk. Without users: any is."""
        return self._logins is None or folded(operator) in self._logins

    def knows(self, operator: str) -> bool:
        """As `is_known`, also of a user who was added a moment ago. May take a while."""
        if not self.is_known(operator):
            self.look_again()
        return self.is_known(operator)

    # -- the cache ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the tokens and logins; on failure the known ones stay. May take a while."""
        try:
            self._read()
        except StoreError:
            if not self._away:
                log.warning("tokens cannot be looked up: those that were known go on")
            self._away = True
        else:
            self._away = False

    def look_again(self) -> None:
        """Refresh, because a token or a login is unknown; at most once in `AGAIN_S`. May take a while.

        While another thread refreshes, nothing is done: a database that is away must hold one thread up.
        """
        if self._timer() - self._read_at >= AGAIN_S and not self._lock.locked():
            self.refresh()

    def _read(self) -> None:
        with self._lock:
            self._read_at = self._timer()
            with self._store.database.reading() as c:
                everybody = c.execute(sa.select(people.c.login, people.c.barred)).all()
                rows = c.execute(sa.select(tokens.c.hash, tokens.c.scope, tokens.c.name)).all()
            barred = {folded(login) for login, since in everybody if since is not None}
            enabled = {folded(login) for login, since in everybody if since is None}
            known = (enabled | {folded(self._user())}) - barred
            self._logins = frozenset(known) if everybody else None
            self._known = {
                hash: Credential(Scope(scope), name, hash)
                for hash, scope, name in rows
                if scope != Scope.HEADSET or folded(name) in enabled
            }

    # -- changes ------------------------------------------------------------------------------------

    def make(self, scope: Scope, name: str, by: str) -> tuple[StoredToken, str]:
        """A new token, returned this once; it replaces the owner's earlier one of this scope.

        Raises:
            UserError: there is no such user (`HEADSET`), they are disabled, or the name is not valid.
            StoreError: it could not be stored.
        """
        name = self._owner(scope, name)
        token = PREFIX + secrets.token_urlsafe(32)
        made = StoredToken(scope, name, self._now(), by)

        def work(c: sa.Connection) -> None:
            c.execute(tokens.delete().where(_of(scope, name)))
            row = {"scope": scope.value, "name": name, "hash": _hash(token)}
            c.execute(tokens.insert().values(**row, made=made.made, made_by=by))

        self._store.transaction(work)
        return made, token

    def revoke(self, scope: Scope, name: str) -> bool:
        """Make the owner's token invalid. False: there was none. Raises as `make`."""
        name = self._owner(scope, name, enabled=False)

        def work(c: sa.Connection) -> bool:
            return bool(c.execute(tokens.delete().where(_of(scope, name))).rowcount)

        return self._store.transaction(work)

    def all(self) -> list[StoredToken]:
        """All of them, by scope and name.

        Raises:
            StoreError: they cannot be read.
        """
        with self._store.database.reading() as c:
            rows = c.execute(sa.select(tokens)).all()
        found = [StoredToken(Scope(one.scope), one.name, one.made, one.made_by) for one in rows]
        return sorted(found, key=lambda one: (one.scope, one.name))

    def _owner(self, scope: Scope, name: str, *, enabled: bool = True) -> str:
        if scope is not Scope.HEADSET:
            if not NAME.fullmatch(name):
                raise UserError("expected a program's name of letters, digits, '.', '_', '-'")
            return name
        person = Users(self._store).find(name)
        if person is None:
            raise UserError(f"nobody has the login {name[:100]!r}: vad-agent people add LOGIN")
        if enabled and person.barred is not None:
            raise UserError(f"{person.login} is barred: vad-agent people let LOGIN")
        return person.login

    def _now(self) -> datetime:
        database = self._store.database
        return database.time() if database.on_server else datetime.now(UTC)


def _of(scope: Scope, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(tokens.c.scope == scope.value, tokens.c.name == name)


def _hash(token: str) -> str:
    """Tokens have 256 random bits: no salt and no slow hash is needed."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
