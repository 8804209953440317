"""The authoritative store: every request and callback, and every change with its actor and reason.

Each method is one transaction: committed to disk when it returns, not done at all when it raises.
`transitions.py` computes a change; this module finds the callback, writes it and adds a row to
`history`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vad_agent.callbacks import transitions
from vad_agent.callbacks.attempt_store import AttemptStore
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
from vad_agent.callbacks.tables import callbacks, facts, requests
from vad_agent.callbacks.unit_of_work import OPEN_STATES, Actor, locked
from vad_agent.errors import RuleError, extra

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
            if known is not None:
                if not is_same(request, self.encryption.open(known.body)):
                    raise RuleError("key: it was used for another request: keys are unique")
                return Taken(self.load(c, known.callback), "duplicate")
            callback, what = self._answer(c, request, by)
            if what == "taken":
                c.execute(callbacks.insert().values(**to_row(callback, self.encryption)))
                self.tell(c, callback.id, "taken", by, changed(None, callback))
            else:
                before = self.load(c, callback.id)
                self.tell(c, callback.id, "taken", by, {"key": request.key})
                callback = self.save(c, before, callback, what, by)
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
            return Taken(callback, what)

        return self.transaction(work)

    def _answer(self, c: sa.Connection, request: Request, by: Actor) -> tuple[Callback, str]:
        if request.call is not None:
            same_call = self.one(
                c,
                callbacks.c.id.in_(
                    sa.select(requests.c.callback).where(
                        requests.c.call == request.call, requests.c.withdrawn.is_(None)
                    )
                ),
            )
            if same_call is not None and not _rings_another(same_call, request):
                return transitions.revise(same_call, request, self.policy), "revised"
        if request.phone is not None:
            same_client = self.one(c, callbacks.c.client == self.encryption.look_up(request.phone))
            if same_client is not None:
                return transitions.merge(same_client, request, self.policy), "merged"
        return transitions.take(request, new_id(), self.policy, by.at), "taken"

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
            c.execute(
                requests.update()
                .where(mine, requests.c.withdrawn.is_(None))
                .values(withdrawn=by.at)
            )
            seen: list[str] = []
            cancelled: list[Callback] = []
            while callback is not None:
                others = c.execute(
                    sa.select(sa.func.count()).where(
                        requests.c.callback == callback.id, requests.c.withdrawn.is_(None)
                    )
                ).scalar()
                if not others:
                    after = transitions.cancel(callback, by.at)
                    self.save(c, callback, after, "withdrawn", by)
                    cancelled.insert(0 if callback.state in UNDER_WAY else len(cancelled), after)
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

    def change_client(
        self, phone: str, what: str, by: Actor, how: Callable[[Callback], Callback]
    ) -> tuple[Callback, Callback] | None:
        """As `change`, for the client's open callback. None: the client has none."""
        with self.database.reading() as c:
            found = c.execute(
                sa.select(callbacks.c.id).where(
                    callbacks.c.client == self.encryption.look_up(phone),
                    callbacks.c.state.in_(OPEN_STATES),
                )
            ).scalar()
        return None if found is None else self.change(found, what, by, how)

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


def new_id() -> str:
    """A new id, short enough to be read out: 12 letters and digits, a number of 60 bits."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(12))
