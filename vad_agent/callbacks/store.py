"""The authoritative store: every request and callback, and every change with its actor and reason.

Each method is one transaction: committed to disk when it returns, not done at all when it raises.
`transitions.py` computes a change; this module finds the callback, writes it and adds a row to
`history`.

Over 400 lines: its methods share the transaction of one class.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from vad_agent.callbacks import promises, transitions
from vad_agent.callbacks.attempt_store import AttemptStore
from vad_agent.callbacks.call_record import made_key
from vad_agent.callbacks.clock import JUMP_S
from vad_agent.callbacks.model import UNDER_WAY, Callback, Request, State
from vad_agent.callbacks.row_mapping import (
    changed,
    from_row,
    is_same,
    request_body,
    storable,
    to_row,
)
from vad_agent.callbacks.tables import callbacks, calls, client_calls, facts, requests
from vad_agent.callbacks.unit_of_work import OPEN_STATES, Actor, locked
from vad_agent.common.identity import folded
from vad_agent.errors import ColleagueError, RuleError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Taken:
    """A stored request, and its callback."""

    callback: Callback
    what: str
    """taken, merged, revised, or duplicate: the request was stored already."""


class Store(AttemptStore):
    """All callbacks of a centre. Several threads and, on PostgreSQL, processes may call its methods."""

    # -- requests -----------------------------------------------------------------------------------

    def take(self, request: Request, by: Actor) -> Taken:
        """Store a request. Idempotent. It becomes a new callback, or one more reason for an open one.

        Raises:
            StoreError: it could not be stored.
            RuleError: its agreed time is not valid, or its key belongs to another request.
        """
        request = storable(request)

        def work(c: sa.Connection) -> Taken:
            query = sa.select(requests.c.callback, requests.c.body)
            known = c.execute(query.where(requests.c.key == request.key)).first()
            if request.made:  # what the call has requested itself answers it
                known = known or c.execute(query.where(requests.c.call == request.call)).first()
            if known is not None:
                same = request.made or is_same(request, self.encryption.open(known.body))
                if not same:
                    raise RuleError("key: it was used for another request: keys are unique")
                return Taken(self.load(c, known.callback), "duplicate")
            callback, what = self._answer(c, request, by)
            if what == "taken":
                callback = self._insert(c, callback, request, by)
            else:
                before = self.load(c, callback.id)
                self.tell(c, callback.id, "taken", by, _told(request))
                asked_by = f"asked for by {request.operator or 'nobody known'}: {request.reason}"
                callback = self.save(c, before, callback, what, replace(by, why=asked_by))
            c.execute(
                requests.insert().values(
                    key=request.key,
                    callback=callback.id,
                    call=request.call,
                    reason=request.reason,
                    taken=by.at,
                    body=self.encryption.close(request_body(request)),
                )
            )
            if request.call is not None:
                _no_longer_owed(c, request.call)
            return Taken(callback, what)

        return self.transaction(work)

    def _answer(self, c: sa.Connection, request: Request, by: Actor) -> tuple[Callback, str]:
        if request.call is not None:
            made = sa.select(requests.c.callback).where(requests.c.key == made_key(request.call))
            if (id := c.execute(made).scalar()) is not None:
                from_trace = self.load(c, id)
                if from_trace.open:
                    return transitions.complete(from_trace, request), "revised"
                return from_trace, "revised"
            for same_call in self._open_of_call(c, request.call):
                if _rings_another(same_call, request):
                    continue
                kept = promises.is_ahead(same_call, by.at)  # a drop does not use up an agreed time
                if not kept or promises.is_request_ahead(request, by.at, self.policy):
                    return transitions.revise(same_call, request, self.policy), "revised"
        if request.phone is not None:
            same_number = self.open_of(c, request.phone)
            same = promises.answering(same_number, request, by.at, self.policy)
            if same is not None:
                return transitions.merge(same, request, self.policy), "merged"
        id = _id_for(c, request.call)
        return transitions.take(request, id, self.policy, by.at), "taken"

    def _insert(
        self, c: sa.Connection, callback: Callback, request: Request, by: Actor
    ) -> Callback:
        """Write a new callback. It has ended if its client has called since the request was made."""
        called = None
        if callback.phone is not None:
            last = client_calls.c.client == self.encryption.look_up(callback.phone)
            last_call = sa.select(client_calls.c.at).where(last, client_calls.c.at > request.asked)
            called = c.execute(last_call).scalar()
        after = callback if called is None else transitions.client_called(callback, by.at)
        c.execute(callbacks.insert().values(**to_row(after, self.encryption)))
        self.tell(c, callback.id, "taken", by, changed(None, callback))
        if called is not None:
            at = called.astimezone(self.policy.zone)
            since = replace(
                by, why=f"the client called at {at:%Y-%m-%d %H:%M:%S}, after this request"
            )
            self.tell(c, callback.id, "client_called", since, changed(callback, after))
        return after

    def _open_of_call(self, c: sa.Connection, call: str) -> list[Callback]:
        """The open callbacks that the call requests, locked, the newest first."""
        asked = sa.select(requests.c.callback).where(
            requests.c.call == call, requests.c.withdrawn.is_(None)
        )
        query = sa.select(callbacks).where(
            callbacks.c.id.in_(asked), callbacks.c.state.in_(OPEN_STATES)
        )
        query = locked(query.order_by(callbacks.c.created.desc(), callbacks.c.id))
        return [from_row(row, self.encryption) for row in c.execute(query).mappings().all()]

    def client_called(
        self, phone: str, by: Actor, operator: str | None = None
    ) -> list[tuple[Callback, Callback]]:
        """The number has called: close its open callbacks, and remember it for older requests that come
        later. Return (before, after) of each. `operator`: only those that are theirs, or nobody's.

        Where they are of several people, nobody knows who has called: none is closed, and their
        history says so.

        Raises:
            ColleagueError: all of them are another operator's; nothing is remembered.
            StoreError: it could not be stored.
        """

        def work(c: sa.Connection) -> list[tuple[Callback, Callback]]:
            found = self.open_of(c, phone)
            own = [one for one in found if _is_for(operator, one)]
            if found and not own:
                raise ColleagueError(f"the client's callback is {found[0].operator}'s")
            client = self.encryption.look_up(phone)
            row = client_calls.c.client == client
            if not c.execute(client_calls.update().where(row).values(at=by.at)).rowcount:
                c.execute(client_calls.insert().values(client=client, at=by.at))
            if any(not promises.same_client(one, other) for one in found for other in found):
                unknown = replace(by, why="several people have callbacks at this number")
                for one in found:
                    self.tell(c, one.id, "number_called", unknown, {})
                return []
            closed = [(one, transitions.client_called(one, by.at)) for one in own]
            return [(one, self.save(c, one, after, "client_called", by)) for one, after in closed]

        return self.transaction(work)

    def withdraw(self, call: str, by: Actor) -> Callback | None:
        """The call's client came back: cancel the callback, unless another call requests it. Of
        several that are cancelled, return the one under way, if there is one.
        """

        def work(c: sa.Connection) -> Callback | None:
            mine = requests.c.call == call
            asked = callbacks.c.id.in_(sa.select(requests.c.callback).where(mine))
            # Lock the callback first: everybody locks it before its requests. While this waited,
            # the callback may have been merged into another one.
            callback = self.one(c, asked) or self.one(c, asked)
            _no_longer_owed(c, call)
            if callback is None:
                _withdraw(c, mine, by)
            seen: list[str] = []
            cancelled: list[Callback] = []
            while callback is not None:
                # Of a call that agreed a time and was dropped, the newest is withdrawn, and the agreed
                # one stays. What rings another number of the call is withdrawn with it.
                if not seen or not promises.is_ahead(callback, by.at):
                    _withdraw(c, sa.and_(mine, requests.c.callback == callback.id), by)
                    others = c.execute(
                        sa.select(sa.func.count()).where(
                            requests.c.callback == callback.id, requests.c.withdrawn.is_(None)
                        )
                    ).scalar()
                    if not others:
                        after = transitions.cancel(callback, by.at)
                        self.save(c, callback, after, "withdrawn", by)
                        place = 0 if callback.state in UNDER_WAY else len(cancelled)
                        cancelled.insert(place, after)
                seen.append(callback.id)
                callback = self.one(c, sa.and_(asked, callbacks.c.id.notin_(seen)))
            return cancelled[0] if cancelled else None

        return self.transaction(work)

    def call_ended(self, call: str, by: Actor) -> Callback | None:
        """The call is over: what waited for its end is due. None: nothing did."""

        def work(c: sa.Connection) -> Callback | None:
            callback = self.one(
                c,
                callbacks.c.id.in_(sa.select(requests.c.callback).where(requests.c.call == call)),
            )
            after = callback and transitions.call_ended(callback, by.at)
            if callback is None or after is None or after == callback:
                return None
            return self.save(c, callback, after, "call_ended", by)

        return self.transaction(work)

    # -- changes ------------------------------------------------------------------------------------

    def change(
        self, id: str, what: str, by: Actor, how: Callable[[Callback], Callback]
    ) -> tuple[Callback, Callback]:
        """Apply a transition. Return (before, after). `what`: for history.

        Raises:
            RuleError: the transition is not allowed, or there is no such callback.
            StoreError: it could not be stored.
        """

        def work(c: sa.Connection) -> tuple[Callback, Callback]:
            before = self.load(c, id)
            return before, self.save(c, before, how(before), what, by)

        return self.transaction(work)

    def settle(self, id: str, by: Actor, operator: str | None = None) -> list[Callback]:
        """The client of this callback was reached, and everything else that was promised to them at this
        number is settled: close it, except what is under way. Return what was closed. `operator`: only
        what is theirs, or nobody's.
        """

        def work(c: sa.Connection) -> list[Callback]:
            reached = self.load(c, id)
            if reached.phone is None:
                return []
            others = [
                one
                for one in self.open_of(c, reached.phone)
                if one.id != id
                and one.state not in UNDER_WAY
                and promises.same_client(one, reached)
                and _is_for(operator, one)
            ]
            return [
                self.save(c, one, transitions.settle(one, by.at), "settled", by) for one in others
            ]

        return self.transaction(work)

    # -- queries
    # ----------------------------------------------------------------------------------------

    def find(self, id: str) -> Callback | None:
        """The callback of this id. None: there is none."""
        with self.database.reading() as c:
            row = c.execute(sa.select(callbacks).where(callbacks.c.id == id)).mappings().first()
        return None if row is None else from_row(row, self.encryption)

    def get(self, id: str) -> Callback:
        """The callback of this id.

        Raises:
            RuleError: there is none.
        """
        callback = self.find(id)
        if callback is None:
            raise RuleError(f"{id}: there is no such callback")
        return callback

    def due(self, until: datetime, limit: int) -> tuple[str | None, list[tuple[str, datetime]]]:
        """The last shift (see `last_shift`); keys and times of what waits and is due by `until`, the
        earliest first, without what another transaction is changing.
        """
        columns = (callbacks.c.id, callbacks.c.generation, callbacks.c.attempt, callbacks.c.next)
        query = sa.select(*columns).where(
            callbacks.c.state == State.WAITING.value, callbacks.c.next <= until
        )
        query = query.order_by(callbacks.c.next).limit(limit).with_for_update(skip_locked=True)
        with self.database.reading() as c:
            found = [
                (f"{id}.{generation}.{n}", next) for id, generation, n, next in c.execute(query)
            ]
            return c.execute(_SHIFT).scalar(), found  # read last: it is not older than the times

    def last_shift(self) -> str | None:
        """The last shift of due times by a node of several: what the others' clocks must follow."""
        with self.database.reading() as c:
            return c.execute(_SHIFT).scalar()

    def shift(self, step: timedelta, by: Actor) -> list[Callback] | None:
        """The clock was set forward by `step`: shift all relative due times, all or none.

        Returns each callback that moved. None: another node that shares the clock has done it.
        """

        def work(c: sa.Connection) -> list[Callback] | None:
            if self.database.on_server and not _is_news(c, step, by):
                return None
            query = sa.select(callbacks).where(callbacks.c.state.in_(OPEN_STATES))
            moved = []
            for row in c.execute(locked(query.order_by(callbacks.c.id))).mappings().all():
                before = from_row(row, self.encryption)
                after = transitions.shift_clock(before, step)
                if before != after:
                    moved.append(self.save(c, before, after, "clock", by))
            return moved

        return self.transaction(work)


def _rings_another(callback: Callback, request: Request) -> bool:
    """An attempt is under way, and the request names another number: it is a callback of its own."""
    if callback.state not in UNDER_WAY or callback.phone is None or request.phone is None:
        return False
    return request.phone != callback.phone


_SHIFT = sa.select(facts.c.value).where(facts.c.name == "clock")


def _is_news(c: sa.Connection, step: timedelta, by: Actor) -> bool:
    """The jump was not applied yet. Nodes that see a jump of the server's clock apply it once."""
    name, spread = "clock", timedelta(seconds=60)
    before = c.execute(locked(_SHIFT)).scalar()
    value = json.dumps([by.at.isoformat(), step.total_seconds()])
    if before is None:
        c.execute(facts.insert().values(name=name, value=value))
        return True
    at, seconds = json.loads(before)
    near = abs(by.at - datetime.fromisoformat(at)) < spread
    if near and abs(seconds - step.total_seconds()) < JUMP_S:
        return False
    c.execute(facts.update().where(facts.c.name == name).values(value=value))
    return True


def _told(request: Request) -> dict[str, Any]:
    """A request that another callback answers, for history: without personal data."""
    told = {
        "key": request.key,
        "reason": request.reason,
        "asked": request.asked.isoformat(),
        "operator": request.operator,
        "call": request.call,
    }
    return {name: value for name, value in told.items() if value is not None}


def _is_for(operator: str | None, callback: Callback) -> bool:
    """The callback is this operator's, or nobody's. None: any is."""
    return not operator or not callback.operator or folded(callback.operator) == folded(operator)


ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 12


def new_id() -> str:
    """A new id, short enough to be read out: 12 letters and digits, a number of 60 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def id_of_call(call: str) -> str:
    """The id of the first callback of a call, whoever requests it: the call itself, or its trace."""
    digest = hashlib.sha256(call.encode()).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:ID_LENGTH])


def _id_for(c: sa.Connection, call: str | None) -> str:
    if call is not None:
        id = id_of_call(call)
        if c.execute(sa.select(callbacks.c.id).where(callbacks.c.id == id)).first() is None:
            return id
    return new_id()


def _no_longer_owed(c: sa.Connection, call: str) -> None:
    c.execute(calls.update().where(calls.c.call == call).values(owed=None))


def _withdraw(c: sa.Connection, which: sa.ColumnElement[bool], by: Actor) -> None:
    query = requests.update().where(which, requests.c.withdrawn.is_(None))
    c.execute(query.values(withdrawn=by.at))
