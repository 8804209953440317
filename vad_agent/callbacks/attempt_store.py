"""Attempts in the store: the intent is stored before dialling, the outcome exactly once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from vad_agent.callbacks import transitions
from vad_agent.callbacks.model import UNDER_WAY, USED_UP, Callback, Outcome, State
from vad_agent.callbacks.tables import attempts, callbacks
from vad_agent.callbacks.unit_of_work import Actor, UnitOfWork, locked
from vad_agent.common.identity import folded
from vad_agent.errors import RuleError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa


BY_HAND = "by hand"
"""The node of an attempt that a person has made by themselves."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, from its intent on."""

    key: str
    callback: str
    number: int
    node: str
    due: datetime
    intent: datetime
    operator: str | None = None
    dialled: datetime | None = None
    reference: str = ""
    accepted: datetime | None = None
    """When `operator` accepted the offer; None: not yet, or it was not offered."""
    ended: datetime | None = None
    outcome: Outcome | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt to be made. `again`: an earlier process may have dialled it."""

    callback: Callback
    attempt: Attempt
    again: bool


class AttemptStore(UnitOfWork):
    """Attempts begin, are dialled and end."""

    def begin(self, key: str, node: str, by: Actor) -> Begun | None:
        """Record the intent of an attempt before anything is dialled. None: it must not be made (now).

        Raises:
            StoreError: the intent could not be stored; nothing may be dialled.
        """
        id = key.partition(".")[0]

        def work(c: sa.Connection) -> Begun | None:
            row = c.execute(sa.select(attempts).where(attempts.c.key == key)).mappings().first()
            callback = self.load(c, id)
            if row is not None:
                alive = row["ended"] is None and _is_under_way(callback, key)
                return Begun(callback, _attempt(row), again=True) if alive else None
            if not transitions.may_begin(callback, key, by.at):
                return None
            if (
                hushed := transitions.defer_for_quiet_hours(callback, by.at, self.policy)
            ) != callback:
                self.save(c, callback, hushed, "quiet_hours", by)
                return None
            attempt = Attempt(
                key=key,
                callback=id,
                number=callback.attempt,
                node=node,
                due=callback.next or by.at,
                intent=by.at,
                operator=callback.operator,
            )
            after = transitions.begin(callback)
            self.save(c, callback, after, "begun", by)
            c.execute(
                attempts.insert().values(
                    key=key,
                    callback=id,
                    number=attempt.number,
                    node=node,
                    due=attempt.due,
                    intent=attempt.intent,
                    operator=attempt.operator,
                )
            )
            return Begun(after, attempt, again=False)

        return self.transaction(work)

    def dialled(self, key: str, reference: str, at: datetime) -> None:
        """The dialer has accepted the attempt."""
        with self.database.writing() as c:
            c.execute(
                attempts.update()
                .where(attempts.c.key == key)
                .values(dialled=at, reference=reference)
            )

    def offer(self, key: str, reference: str, by: Actor) -> None:
        """The dialer has told a person to call. An offer that was accepted, or is over, stays so."""

        def work(c: sa.Connection) -> None:
            callback = self.load(c, key.partition(".")[0])
            attempt = attempts.c.key == key
            accepted = c.execute(sa.select(attempts.c.accepted).where(attempt)).scalar()
            c.execute(attempts.update().where(attempt).values(dialled=by.at, reference=reference))
            ringing = callback.state is State.RINGING and callback.key == key
            if ringing and accepted is None:
                self.save(c, callback, transitions.offer(callback, by.at), "offered", by)

        self.transaction(work)

    def accept(self, id: str, operator: str, by: Actor) -> Callback:
        """The operator calls: the first one has it. To accept one's own again changes nothing.

        Raises:
            RuleError: it is not offered, another operator has it, or there is no such callback.
            StoreError: it could not be stored.
        """

        def work(c: sa.Connection) -> Callback:
            callback = self.load(c, id)
            attempt = attempts.c.key == callback.key
            accepted = c.execute(sa.select(attempts.c.accepted).where(attempt)).scalar()
            own = callback.operator is not None and folded(callback.operator) == folded(operator)
            if callback.state is State.RINGING and accepted is not None and own:
                return callback
            after = transitions.accept(callback, operator, by.at)
            c.execute(attempts.update().where(attempt).values(accepted=by.at, operator=operator))
            return self.save(c, callback, after, "accepted", by)

        return self.transaction(work)

    def end(self, key: str, outcome: Outcome, detail: str, by: Actor) -> Callback | None:
        """Store the outcome of an attempt. None: it had ended already, or its callback was closed
        meanwhile. `REACHED` corrects an outcome that meant "not reached".

        Raises:
            RuleError: there is no such attempt.
            StoreError: the outcome could not be stored; report it again.
        """

        def work(c: sa.Connection) -> Callback | None:
            row = c.execute(locked(sa.select(attempts).where(attempts.c.key == key)))
            attempt = row.mappings().first()
            if attempt is None:
                raise RuleError(f"{key}: there is no such attempt")
            if attempt["ended"] is not None:
                return self._correct(c, attempt, outcome, detail, by)
            c.execute(
                attempts.update()
                .where(attempts.c.key == key)
                .values(ended=by.at, outcome=outcome.value, detail=detail)
            )
            callback = self.load(c, attempt["callback"])
            if not _is_under_way(callback, key):
                told = {"outcome": outcome.value, "state": callback.state.value}
                self.tell(c, callback.id, "late_outcome", by, told)
                return None
            after = transitions.end(callback, outcome, by.at, self.policy)
            return self.save(c, callback, after, outcome.value, by)

        return self.transaction(work)

    def _correct(
        self, c: sa.Connection, attempt: Any, outcome: Outcome, detail: str, by: Actor
    ) -> Callback | None:
        before = Outcome(attempt["outcome"])
        if outcome is not Outcome.REACHED or before not in USED_UP:
            return None  # the same report again, or one that changes nothing
        ended = attempts.c.callback == attempt["callback"], attempts.c.ended.isnot(None)
        last = c.execute(sa.select(sa.func.max(attempts.c.intent)).where(*ended)).scalar()
        c.execute(
            attempts.update()
            .where(attempts.c.key == attempt["key"])
            .values(outcome=outcome.value, detail=detail)
        )
        callback = self.load(c, attempt["callback"])
        told = {"outcome": [before.value, outcome.value], "attempt": [attempt["number"]] * 2}
        self.tell(c, callback.id, "corrected", by, told)
        if attempt["intent"] != last:
            return None
        after = transitions.correct(callback, attempt["number"], attempt["ended"], by.at)
        return None if after is callback else self.save(c, callback, after, outcome.value, by)

    def by_hand(self, key: str, outcome: Outcome, detail: str, by: Actor) -> Callback:
        """A person has made the next attempt, whose key this is, by hand, and reports its outcome. Told
        twice it counts once.

        Raises:
            RuleError: it is not the next attempt's key, or the callback has ended.
            StoreError: it could not be stored; report it again.
        """

        def work(c: sa.Connection) -> Callback:
            callback = self.load(c, key.partition(".")[0])
            if c.execute(sa.select(attempts.c.key).where(attempts.c.key == key)).first():
                return callback
            after = transitions.done(callback, outcome, by.at, self.policy)
            if callback.key != key or callback.state in UNDER_WAY:
                raise RuleError(f"{key}: there is no such attempt")
            if after == callback:
                return callback  # nothing rang, or not yet at the agreed time
            c.execute(
                attempts.insert().values(
                    key=key,
                    callback=callback.id,
                    number=callback.attempt,
                    node=BY_HAND,
                    due=callback.next or by.at,
                    intent=by.at,
                    operator=callback.operator,
                    ended=by.at,
                    outcome=outcome.value,
                    detail=detail,
                )
            )
            return self.save(c, callback, after, outcome.value, by)

        return self.transaction(work)

    # -- ownership and recovery
    # ----------------------------------------------------------------------------

    def attempt(self, key: str) -> Attempt | None:
        """The attempt; None before its intent is stored."""
        with self.database.reading() as c:
            row = c.execute(sa.select(attempts).where(attempts.c.key == key)).mappings().first()
        return None if row is None else _attempt(row)

    def attempts_of(self, id: str) -> list[Attempt]:
        """All attempts of a callback, in order."""
        query = sa.select(attempts).where(attempts.c.callback == id).order_by(attempts.c.intent)
        with self.database.reading() as c:
            return [_attempt(row) for row in c.execute(query).mappings()]

    def owns(self, key: str, node: str) -> bool:
        """The attempt has not ended and belongs to this node."""
        attempt = self.attempt(key)
        return attempt is not None and attempt.node == node and attempt.ended is None

    def claim(self, key: str, owner: str, node: str) -> bool:
        """Take the attempt over from a dead node. False: another node took it first."""
        mine = (attempts.c.key == key, attempts.c.node == owner, attempts.c.ended.is_(None))
        with self.database.writing() as c:
            done = c.execute(attempts.update().where(*mine).values(node=node))
        return bool(done.rowcount)

    def held_by(self, node: str) -> list[str]:
        """Keys of the node's attempts without an end."""
        query = sa.select(attempts.c.key).where(attempts.c.node == node, attempts.c.ended.is_(None))
        with self.database.reading() as c:
            return list(c.execute(query.order_by(attempts.c.intent)).scalars())

    def under_way(self) -> list[tuple[Attempt, State]]:
        """Attempts without an end. The state is in `UNDER_WAY` where it is that of this attempt."""
        query = (
            sa.select(attempts, callbacks.c.state, callbacks.c.generation, callbacks.c.attempt)
            .join(callbacks, attempts.c.callback == callbacks.c.id)
            .where(attempts.c.ended.is_(None))
            .order_by(attempts.c.intent)
        )
        with self.database.reading() as c:
            return [(_attempt(row), _state(row)) for row in c.execute(query).mappings()]


def _is_under_way(callback: Callback, key: str) -> bool:
    """This attempt is under way, not one that was armed after the callback was closed."""
    return callback.state in UNDER_WAY and callback.key == key


def _state(row: Any) -> State:
    state = State(row["state"])
    key = f"{row['callback']}.{row['generation']}.{row['attempt']}"
    return State.WAITING if state in UNDER_WAY and key != row["key"] else state


def _attempt(row: Any) -> Attempt:
    values = {field.name: row[field.name] for field in fields(Attempt)}
    if values["outcome"] is not None:
        values["outcome"] = Outcome(values["outcome"])
    return Attempt(**values)
