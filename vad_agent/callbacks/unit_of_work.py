"""The common path of every change of the store: one transaction, a locked callback, a row of `history`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from vad_agent.callbacks import model, promises, transitions
from vad_agent.callbacks.database import Database, DatabaseLocation, WriteConflict
from vad_agent.callbacks.field_encryption import FieldEncryption
from vad_agent.callbacks.migrations import migrate
from vad_agent.callbacks.model import Callback, Policy, Request
from vad_agent.callbacks.row_mapping import changed, from_row, to_row
from vad_agent.callbacks.tables import (
    attempts,
    callbacks,
    calls,
    client_calls,
    facts,
    history,
    requests,
)
from vad_agent.errors import RuleError, StoreError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

RACES = 30
"""Tries of a transaction after write conflicts."""
OPEN_STATES = tuple(state.value for state in model.OPEN)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, when and why. `why` contains no names or numbers."""

    who: str
    at: datetime
    why: str = ""


class UnitOfWork:
    """The callback database, open and migrated. `make`: it is created if it does not exist; see
    `Database`, `migrate`.

    Raises:
        StoreError: it cannot be opened, or was encrypted with another key.
    """

    def __init__(
        self,
        where: str | DatabaseLocation,
        policy: Policy,
        encryption: FieldEncryption | None = None,
        *,
        alone: bool = True,
        make: bool = True,
    ) -> None:
        self.policy = policy
        self.encryption = encryption or FieldEncryption()
        where = DatabaseLocation.parse(where) if isinstance(where, str) else where
        self.database = Database(where, alone=alone, make=make)
        try:
            migrate(self.database, make=make)
            self._check_key()
        except BaseException:
            self.database.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Run a transaction; retry on a write conflict, so that it reads what the other one wrote."""
        tries = Retrying(
            retry=retry_if_exception_type(WriteConflict),
            stop=stop_after_attempt(RACES),
            wait=wait_random(0, 0.02),
            reraise=True,
        )

        def once() -> T:
            with self.database.writing() as c:
                return work(c)

        try:
            return tries(once)
        except WriteConflict as error:
            raise StoreError(f"{self.database.where.shown}: too many at once") from error

    def load(self, c: sa.Connection, id: str) -> Callback:
        """The callback, locked.

        Raises:
            RuleError: there is none.
        """
        query = locked(sa.select(callbacks).where(callbacks.c.id == id))
        row = c.execute(query).mappings().first()
        if row is None:
            raise RuleError(f"{id}: there is no such callback")
        return from_row(row, self.encryption)

    def one(self, c: sa.Connection, where: sa.ColumnElement[bool]) -> Callback | None:
        """The newest open callback that matches."""
        query = sa.select(callbacks).where(where, callbacks.c.state.in_(OPEN_STATES))
        query = locked(query.order_by(callbacks.c.created.desc()).limit(1))
        row = c.execute(query).mappings().first()
        return None if row is None else from_row(row, self.encryption)

    def open_of(self, c: sa.Connection, phone: str) -> list[Callback]:
        """The open callbacks of a number, locked, the newest first. Until the transaction ends, nobody
        else adds one.
        """
        client = self.encryption.look_up(phone)
        if self.database.on_server:
            key = sa.func.hashtextextended(client, 0)
            c.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        query = sa.select(callbacks).where(
            callbacks.c.client == client, callbacks.c.state.in_(OPEN_STATES)
        )
        query = locked(query.order_by(callbacks.c.created.desc(), callbacks.c.id))
        return [from_row(row, self.encryption) for row in c.execute(query).mappings().all()]

    def save(
        self, c: sa.Connection, before: Callback, after: Callback, what: str, by: Actor
    ) -> Callback:
        """Write a change.

        If another open callback is then the same promise, they are merged; the result is returned.
        """
        if before.open and after.ended is not None:
            # Its time was taken before the lock: meanwhile an attempt may have begun, and ended.
            begun = sa.select(sa.func.max(attempts.c.intent)).where(attempts.c.callback == after.id)
            after = replace(after, ended=max(after.ended, c.execute(begun).scalar() or after.ended))
        known = (before.phone, before.extension) == (after.phone, after.extension)
        if after.open and after.phone and not (known and before.open):
            others = [one for one in self.open_of(c, after.phone) if one.id != after.id]
            other = promises.answering(others, _as_request(after), by.at, self.policy)
            if other is not None:
                return self._join(c, before, after, other, by)
        self._write(c, before, after, what, by)
        return after

    def _join(
        self,
        c: sa.Connection,
        before: Callback,
        after: Callback,
        other: Callback,
        by: Actor,
    ) -> Callback:
        c.execute(
            requests.update().where(requests.c.callback == after.id).values(callback=other.id)
        )
        closed = replace(transitions.cancel(after, by.at), phone=before.phone)
        because = replace(by, why=f"the same client as {other.id}")
        self._write(c, before, closed, "joined", because)
        joined = other
        for reason in after.reasons:
            joined = transitions.merge(joined, _as_request(after, reason), self.policy)
        joined = replace(joined, merged=other.merged + after.merged + 1)
        return self.save(c, other, joined, "merged", replace(by, why=f"with {after.id}"))

    def _write(
        self, c: sa.Connection, before: Callback, after: Callback, what: str, by: Actor
    ) -> None:
        row = to_row(after, self.encryption)
        c.execute(callbacks.update().where(callbacks.c.id == after.id).values(**row))
        self.tell(c, after.id, what, by, changed(before, after))

    def tell(self, c: sa.Connection, id: str, what: str, by: Actor, change: dict[str, Any]) -> None:
        """Add a row of history."""
        c.execute(
            history.insert().values(
                callback=id, at=by.at, who=by.who, what=what, why=by.why, change=change
            )
        )

    def _check_key(self) -> None:
        """Check that the key is the one used before; encrypt what was stored without a key."""
        name = "key"

        def work(c: sa.Connection) -> bool:
            query = locked(sa.select(facts.c.value).where(facts.c.name == name))
            stored = c.execute(query).scalar()
            if stored is None:
                value = self.encryption.close("right")
                c.execute(facts.insert().values(name=name, value=value))
                return False
            self.encryption.open(stored)
            if not self.encryption.needs_closing(stored):
                return False
            for row in c.execute(locked(sa.select(callbacks))).mappings().all():
                sealed = to_row(from_row(row, self.encryption), self.encryption)
                c.execute(callbacks.update().where(callbacks.c.id == row["id"]).values(**sealed))
            for key, body in c.execute(sa.select(requests.c.key, requests.c.body)).all():
                closed = self.encryption.close(self.encryption.open(body))
                c.execute(requests.update().where(requests.c.key == key).values(body=closed))
            for number in c.execute(sa.select(client_calls.c.client)).scalars().all():
                sealed_number = {"client": self.encryption.look_up(number)}
                mine = client_calls.c.client == number
                c.execute(client_calls.update().where(mine).values(**sealed_number))
            for call in c.execute(sa.select(calls.c.call)).scalars().all():
                lines = c.execute(sa.select(calls.c.lines).where(calls.c.call == call)).scalar()
                closed = self.encryption.close(
                    self.encryption.open(lines)
                )  # one at a time: the values are long
                c.execute(calls.update().where(calls.c.call == call).values(lines=closed))
            value = self.encryption.close("right")
            c.execute(facts.update().where(facts.c.name == name).values(value=value))
            return True

        if self.transaction(work):
            self.database.forget()


def _as_request(callback: Callback, reason: str = "") -> Request:
    due_in_s = None
    if callback.due is not None and not callback.fixed:
        due_in_s = (callback.due - callback.created) / timedelta(seconds=1)
    return Request(
        key="",
        reason=reason,
        asked=callback.created,
        due_in_s=due_in_s,
        at=callback.due.isoformat() if callback.due and callback.fixed else None,
        phone=callback.phone,
        extension=callback.extension,
        name=callback.name,
        topic=callback.topic,
        opening=callback.opening,
        operator=callback.operator,
        session=callback.session,
    )


def locked(query: sa.Select[Any]) -> sa.Select[Any]:
    """The query with row locks until the transaction ends; SQLite, with its single writer, ignores them."""
    return query.with_for_update()
