"""Who may come in at a centre: people with a login, a role and a password, in the store's own table.

    add ──> may come in ──disable──> may not ──enable──> may come in   nobody is removed: history names them

A new password, another role and `disable` end all sessions that were begun before: each puts `since` forward.
Logins differ by more than capital letters; they are written as the operator of the headset is.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vad_agent.callbacks.tables import people
from vad_agent.callbacks.unit_of_work import UnitOfWork, locked
from vad_agent.common.identity import folded
from vad_agent.errors import StoreError, VadAgentError, extra
from vad_agent.web.passwords import Passwords, problem
from vad_agent.web.sessions import Role

with extra("callbacks", "the panel's logins"):
    import sqlalchemy as sa

LONGEST_LOGIN = 100


class UserError(VadAgentError, ValueError):
    """No such person, one too many, or a login or password that cannot be; nothing was changed."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a login."""

    login: str
    role: Role
    made: datetime
    since: datetime
    """Sessions begun before are over."""
    barred: datetime | None
    """Since when he may not come in."""


class Users:
    """The people of a store. Methods may be called by several threads, and processes. `now`: wall time.

    None: the clock of the database's server, else of this machine.
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

    # -- looking --------------------------------------------------------------------------------------

    def all(self) -> list[User]:
        """Everybody, by login.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._store.database.reading() as c:
            rows = c.execute(sa.select(people)).all()
        return sorted(map(_person, rows), key=lambda one: folded(one.login))

    def find(self, login: str) -> User | None:
        """Whose login this is.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._store.database.reading() as c:
            row = _row(c, login)
        return None if row is None else _person(row)

    def check(self, login: str, password: str) -> User | None:
        """Who comes in with these; None: nobody, which takes as long. Takes a while.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._store.database.reading() as c:
            row = _row(c, login)
        right = self._passwords.is_right(None if row is None else row.password, password)
        if row is None or not right or row.barred is not None:
            return None
        if self._passwords.is_stale(row.password):
            with contextlib.suppress(StoreError):  # the next time, then
                self._keep_anew(row, password)
        return _person(row)

    def _keep_anew(self, row: sa.Row[Any], password: str) -> None:
        kept = self._passwords.kept(password)
        same = sa.and_(people.c.login == row.login, people.c.password == row.password)
        with self._store.database.writing() as c:
            c.execute(people.update().where(same).values(password=kept))

    # -- changing -------------------------------------------------------------------------------------

    def add(self, login: str, role: Role, password: str) -> User:
        """Somebody new.

        Raises:
            UserError: the login or the password cannot be, or somebody has the login.
            StoreError: it could not be stored.
        """
        login = _checked_login(login)
        kept = self._kept(login, password)
        at = self._now()

        def work(c: sa.Connection) -> User:
            if self._store.database.on_server:  # two that differ by capital letters alone, at once
                c.execute(sa.text("LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE"))
            if (known := _row(c, login)) is not None:
                raise UserError(f"somebody has the login {known.login!r}")
            one = {"login": login, "role": role.value, "password": kept, "made": at, "since": at}
            c.execute(people.insert().values(**one))
            return User(login, role, at, at, None)

        return self._store.transaction(work)

    def set_password(self, login: str, password: str) -> User:
        """Another password; his sessions are over.

        Raises:
            UserError: there is no such person, or the password cannot be.
            StoreError: it could not be stored.
        """
        return self._change(login, password=self._kept(login, password))

    def set_role(self, login: str, role: Role) -> User:
        """Another role; his sessions are over. Raises as `disable`."""
        return self._change(login, role=role.value)

    def disable(self, login: str) -> User:
        """He may not come in, and is out at once.

        Raises:
            UserError: there is no such person.
            StoreError: it could not be stored.
        """
        return self._change(login, barred=self._now())

    def enable(self, login: str) -> User:
        """He may come in again, with his password. Raises as `disable`."""
        return self._change(login, barred=None)

    def _change(self, login: str, **values: Any) -> User:
        at = self._now()

        def work(c: sa.Connection) -> User:
            row = _row(c, login, lock=True)
            if row is None:
                raise UserError(
                    f"nobody has the login {login[:LONGEST_LOGIN]!r}: vad-agent people list"
                )
            # later than before, whichever clock was asked then
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
    """By a look at all: no database folds letters as Python does, and a centre's people are few."""
    wanted = folded(login)
    for known in c.execute(sa.select(people.c.login)).scalars().all():
        if folded(known) == wanted:
            query = sa.select(people).where(people.c.login == known)
            return c.execute(locked(query) if lock else query).first()
    return None


def _person(row: sa.Row[Any]) -> User:
    return User(row.login, Role(row.role), row.made, row.since, row.barred)
