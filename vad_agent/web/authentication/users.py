"""Users of a centre's pages: login, role and password, in a table of the store.

    add ──> enabled ──disable──> disabled ──enable──> enabled   users are never deleted: history names them

A new password, another role and `disable` end all earlier sessions: each advances `since`. Logins
are compared without case. A login must equal `listen --operator`; otherwise the user's panel is
empty.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from vad_agent.callbacks.tables import people
from vad_agent.callbacks.unit_of_work import UnitOfWork, locked
from vad_agent.common.identity import folded
from vad_agent.errors import StoreError, VadAgentError, extra
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.password_hashing import Passwords, problem

with extra("callbacks", "the panel's logins"):
    import sqlalchemy as sa

LONGEST_LOGIN = 100


class UserError(VadAgentError, ValueError):
    """No such user, a duplicate, or an invalid login or password; nothing was changed."""


@dataclass(frozen=True, slots=True)
class User:
    """A user."""

    login: str
    role: Role
    made: datetime
    since: datetime
    """Sessions begun before are invalid."""
    barred: datetime | None
    """When the user was disabled; None: enabled."""


class Users:
    """The users of a store. Several threads and processes may call its methods. `now`: wall time.

    None: the clock of the database server, else of this machine.
    """

    def __init__(
        self,
        store: UnitOfWork,
        passwords: Passwords | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._store = store
        self._passwords = passwords or Passwords()
        database = store.database
        self._now = now or (database.time if database.on_server else lambda: datetime.now(UTC))

    @property
    def zone(self) -> tzinfo:
        """The centre's time zone."""
        return self._store.policy.zone

    # -- queries
    # ----------------------------------------------------------------------------------------

    def all(self) -> list[User]:
        """All users, by login.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._store.database.reading() as c:
            rows = c.execute(sa.select(people)).all()
        return sorted(map(_person, rows), key=lambda one: folded(one.login))

    def find(self, login: str) -> User | None:
        """The user with this login.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._store.database.reading() as c:
            row = _row(c, login)
        return None if row is None else _person(row)

    def check(self, login: str, password: str) -> User | None:
        """The user with these credentials. None: there is none, which takes equally long. Takes a
        while.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._store.database.reading() as c:
            row = _row(c, login)
        right = self._passwords.is_right(None if row is None else row.password, password)
        if row is None or not right or row.barred is not None:
            return None
        if self._passwords.is_stale(row.password):
            with contextlib.suppress(StoreError):  # then at the next login
                self._keep_anew(row, password)
        return _person(row)

    def _keep_anew(self, row: sa.Row[Any], password: str) -> None:
        kept = self._passwords.kept(password)
        same = sa.and_(people.c.login == row.login, people.c.password == row.password)
        with self._store.database.writing() as c:
            c.execute(people.update().where(same).values(password=kept))

    # -- changes
    # ----------------------------------------------------------------------------------------

    def add(self, login: str, role: Role, password: str) -> User:
        """Add a user.

        Raises:
            UserError: the login or the password is not valid, or the login is taken.
            StoreError: it could not be stored.
        """
        login = _checked_login(login)
        kept = self._kept(login, password)
        at = self._now()

        def work(c: sa.Connection) -> User:
            if (known := _row(c, login)) is not None:
                raise UserError(f"somebody has the login {known.login!r}")
            one = {"login": login, "role": role.value, "password": kept, "made": at, "since": at}
            c.execute(people.insert().values(folded=folded(login), **one))
            return User(login, role, at, at, None)

        return self._store.transaction(work)

    def set_password(self, login: str, password: str) -> User:
        """Set another password; the user's sessions end.

        Raises:
            UserError: there is no such user, or the password is not valid.
            StoreError: it could not be stored.
        """
        return self._change(login, password=self._kept(login, password))

    def set_role(self, login: str, role: Role) -> User:
        """Set another role; the user's sessions end. Raises as `disable`."""
        return self._change(login, role=role.value)

    def disable(self, login: str) -> User:
        """Disable the user and end their sessions at once.

        Raises:
            UserError: there is no such user.
            StoreError: it could not be stored.
        """
        return self._change(login, barred=self._now())

    def enable(self, login: str) -> User:
        """Enable the user with their old password. Raises as `disable`."""
        return self._change(login, barred=None)

    def _change(self, login: str, **values: Any) -> User:
        at = self._now()

        def work(c: sa.Connection) -> User:
            row = _row(c, login, lock=True)
            if row is None:
                raise UserError(
                    f"nobody has the login {login[:LONGEST_LOGIN]!r}: vad-agent people list"
                )
            # later than before, whichever clock was used then
            since = max(at, row.since + timedelta(microseconds=1))
            mine = people.c.login == row.login
            c.execute(people.update().where(mine).values(since=since, **values))
            return _person(c.execute(sa.select(people).where(mine)).one())

        return self._store.transaction(work)

    def _kept(self, login: str, password: str) -> str:
        if (wrong := problem(password, login)) is not None:
            raise UserError(f"password: {wrong}")
        return self._passwords.kept(password)


def _written(login: str) -> str:
    return unicodedata.normalize("NFC", login.strip())


def _checked_login(login: str) -> str:
    login = _written(login)
    if not 1 <= len(login) <= LONGEST_LOGIN or not login.isprintable():
        raise UserError(f"login: expected 1 to {LONGEST_LOGIN} letters, digits and signs")
    return login


def _row(c: sa.Connection, login: str, *, lock: bool = False) -> sa.Row[Any] | None:
    if not login.strip().isprintable():  # no login is so, and no database takes some of these signs
        return None
    query = sa.select(people).where(people.c.folded == folded(login))
    return c.execute(locked(query) if lock else query).first()


def _person(row: sa.Row[Any]) -> User:
    return User(row.login, Role(row.role), row.made, row.since, row.barred)
