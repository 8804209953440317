"""Users of a centre's pages: login, role and password, in a table of the store.

    add ──> enabled ──disable──> disabled ──enable──> enabled   users are never deleted: history names them

A new password, another role and `disable` end all earlier sessions: each advances `since`. Every change
has a row of history, with who made it. After `reset_password` the password is good for one login, which
must set another one. Logins are compared without case. A login must equal `listen --operator`; otherwise
the user's panel is empty.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from vad_agent.callbacks.tables import people, user_history
from vad_agent.callbacks.unit_of_work import UnitOfWork, locked
from vad_agent.common.identity import folded
from vad_agent.common.identity import login as process_user
from vad_agent.errors import StoreError, VadAgentError, extra
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.password_hashing import Passwords, new_password, problem

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
    one_time: bool = False
    """The password is good for one login, which must set another one."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """One row of history."""

    at: datetime
    who: str
    what: str
    """added, password_set, password_reset, password_renewed, role_set, disabled, enabled."""
    login: str
    """The user who was changed."""
    role: Role
    """Their role after it."""


class Users:
    """The users of a store. Several threads and processes may call its methods.

    `now`: wall time; None: the clock of the database server, else of this machine. `changed`: called
    after each change. `who` of a change is for history; None: the user of this process.
    """

    def __init__(
        self,
        store: UnitOfWork,
        passwords: Passwords | None = None,
        now: Callable[[], datetime] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._changed = changed
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

    def history(self, limit: int, login: str | None = None) -> list[UserChange]:
        """The newest changes of all users, or of one.

        Raises:
            StoreError: the database cannot be used.
        """
        query = sa.select(user_history).order_by(user_history.c.id.desc())
        with self._store.database.reading() as c:
            rows = c.execute(query)
            alike = (row for row in rows if login is None or folded(row.login) == folded(login))
            found = [row for row, _ in zip(alike, range(limit), strict=False)]
            rows.close()
        return [UserChange(row.at, row.who, row.what, row.login, Role(row.role)) for row in found]

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

    def add(self, login: str, role: Role, password: str, who: str | None = None) -> User:
        """Add a user.

        Raises:
            UserError: somebody has the login, or the login or password is not valid.
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
            user = User(login, role, at, at, None)
            _tell(c, at, who, "added", user)
            return user

        return self._transaction(work)

    def set_password(self, login: str, password: str, who: str | None = None) -> User:
        """Set another password; the user's sessions end.

        Raises:
            UserError: there is no such user, or the password is not valid.
            StoreError: it could not be stored.
        """
        kept = self._kept(login, password)
        return self._change(login, who, "password_set", password=kept, one_time=False)

    def reset_password(self, login: str, who: str | None = None) -> tuple[User, str]:
        """Set a generated password that is good for one login, and return it; the user's sessions end.
        Raises as `disable`.
        """
        password = new_password()
        kept = self._passwords.kept(password)
        user = self._change(login, who, "password_reset", password=kept, one_time=True)
        return user, password

    def renew_password(self, login: str, password: str, new: str) -> User:
        """The user sets another password, with the one for one login.

        Raises:
            UserError: it is not (any longer) such a password, or the new one is not valid.
            StoreError: it could not be stored.
        """
        with self._store.database.reading() as c:
            row = _row(c, login)
        right = self._passwords.is_right(None if row is None else row.password, password)
        if row is None or not right or not row.one_time or row.barred is not None:
            raise UserError("password: expected the one for one login")
        if new == password:
            raise UserError("password: expected another one than that for one login")
        kept = self._kept(row.login, new)
        own, was = row.login, row.password
        return self._change(
            own, f"panel:{own}", "password_renewed", was=was, password=kept, one_time=False
        )

    def set_role(self, login: str, role: Role, who: str | None = None) -> User:
        """Set another role; the user's sessions end. Raises as `disable`."""
        return self._change(login, who, "role_set", role=role.value)

    def disable(self, login: str, who: str | None = None) -> User:
        """Disable the user and end their sessions at once.

        Raises:
            UserError: there is no such user.
            StoreError: it could not be stored.
        """
        return self._change(login, who, "disabled", barred=self._now())

    def enable(self, login: str, who: str | None = None) -> User:
        """Enable the user with their old password. Raises as `disable`."""
        return self._change(login, who, "enabled", barred=None)

    def _change(
        self, login: str, who: str | None, what: str, was: str | None = None, **values: Any
    ) -> User:
        """`was`: the password that the user must still have; None: any."""
        at = self._now()

        def work(c: sa.Connection) -> User:
            row = _row(c, login, lock=True)
            if row is None:
                raise UserError(
                    f"nobody has the login {login[:LONGEST_LOGIN]!r}: vad-agent people list"
                )
            if was is not None and row.password != was:
                raise UserError("password: somebody else has changed it")
            # later than before, whichever clock was used then
            since = max(at, row.since + timedelta(microseconds=1))
            mine = people.c.login == row.login
            c.execute(people.update().where(mine).values(since=since, **values))
            user = _person(c.execute(sa.select(people).where(mine)).one())
            _tell(c, at, who, what, user)
            return user

        return self._transaction(work)

    def _transaction(self, work: Callable[[sa.Connection], User]) -> User:
        user = self._store.transaction(work)
        self._changed()
        return user

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
    return User(row.login, Role(row.role), row.made, row.since, row.barred, row.one_time)


def _tell(c: sa.Connection, at: datetime, who: str | None, what: str, user: User) -> None:
    """Add a row of history."""
    who = who or f"cli:{process_user()}"
    row = {"at": at, "who": who, "what": what, "login": user.login, "role": user.role.value}
    c.execute(user_history.insert().values(**row))
