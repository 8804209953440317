"""Queries of the store: lists, one callback with its history, and the check that none is missing.

    requests taken = reached + not reached + client called + cancelled + open
    missing = the difference + lost: calls whose trace asks for a callback that was never requested

`taken` is counted from history, the rest from the requests' callbacks: two independent counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from vad_agent.callbacks import next_attempt_time
from vad_agent.callbacks.call_store import is_lost
from vad_agent.callbacks.callback_filters import BY_NEXT, CallbackFilters
from vad_agent.callbacks.model import Callback, State
from vad_agent.callbacks.row_mapping import from_row
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import UtcDateTime, attempts, callbacks, calls, history, requests
from vad_agent.callbacks.unit_of_work import OPEN_STATES
from vad_agent.common.identity import folded
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

NO_FILTERS = CallbackFilters()


@dataclass(frozen=True, slots=True)
class Change:
    """One row of history."""

    at: datetime
    who: str
    what: str
    why: str
    change: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One request that a callback answers, as it was made. Personal data is None once it is erased."""

    taken: datetime
    reason: str
    call: str | None
    withdrawn: datetime | None
    asked: datetime | None = None
    at: str | None = None
    """The agreed time, as it was given."""
    due_in_s: float | None = None
    operator: str | None = None
    name: str | None = None
    topic: str | None = None
    extension: str | None = None
    made: bool = False
    """Made from the trace of its call."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Whether all requests are accounted for. Counts of requests; `lost`: of calls, see `LostCall`."""

    taken: int
    reached: int
    not_reached: int
    client_called: int
    cancelled: int
    open: int
    lost: int = 0

    @property
    def missing(self) -> int:
        """0, or promises were lost."""
        return self.unaccounted + self.lost

    @property
    def unaccounted(self) -> int:
        """Stored requests that are not accounted for."""
        ended = self.reached + self.not_reached + self.client_called + self.cancelled
        return self.taken - ended - self.open


@dataclass(frozen=True, slots=True)
class CallbackNumbers:
    """Counts of callbacks, for metrics and the supervisor."""

    by_state: dict[str, int]
    overdue: int
    oldest_due_s: float
    """Age in seconds of the oldest due callback for which nobody is rung; 0 if there is none."""
    attempts_by_outcome: dict[str, int]
    under_way: int


class Which(StrEnum):
    """Filter for a day's callbacks. All but the first three are states."""

    OPEN = "open"
    DUE = "due"
    """Open, and its time has come."""
    OVERDUE = "overdue"
    """As `next_attempt_time.overdue` defines it."""
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    CLIENT_CALLED = "client_called"
    CANCELLED = "cancelled"
    WAITING = "waiting"
    OFFERED = "offered"
    RINGING = "ringing"
    NEEDS_NUMBER = "needs_number"
    NEEDS_TIME = "needs_time"
    NEEDS_PERSON = "needs_person"


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """Numbers of a period's callbacks."""

    total: int
    new: int
    """Requested in the period; the others were requested before it."""
    by_filter: dict[Which, int]


class CallbackQueries:
    """Queries of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database

    def page(
        self,
        states: Iterable[State] | None = None,
        *,
        phone: str | None = None,
        operator: str | None = None,
        offered: Callable[[Callback], bool] = lambda _: False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Callback]:
        """Callbacks: the next due first, then those without a time, ended ones last, newest first.

        `phone`: E.164; `operator`: that operator's, those without an operator, and of those that are
        offered to others the ones for which `offered` is true; `after`: the id of the last one on the
        previous page; `limit`: at least 1.
        """
        query = sa.select(callbacks)
        if states is not None:
            query = query.where(callbacks.c.state.in_([state.value for state in states]))
        if phone is not None:
            query = query.where(callbacks.c.client == self._store.encryption.look_up(phone))
        if operator is not None:
            whose = callbacks.c.operator_folded
            is_offered = callbacks.c.state == State.OFFERED.value
            own = (whose.in_((folded(operator), "")), whose.is_(None))
            query = query.where(sa.or_(*own, is_offered))
        found = self._rows(query.order_by(*BY_NEXT))
        if operator is not None:
            found = (
                one
                for one in found
                if one.state is not State.OFFERED or _is_of(one, operator) or offered(one)
            )
        if after is not None:
            for callback in found:
                if callback.id == after:
                    break
        return [callback for callback, _ in zip(found, range(limit), strict=False)]

    def operators_of_call(self, call: str) -> set[str | None]:
        """For whom a call's callbacks were requested; None: for anybody, or it was erased."""
        query = sa.select(requests.c.body).where(requests.c.call == call)
        with self._database.reading() as c:
            bodies = list(c.execute(query).scalars())
        opened = map(self._store.encryption.open, bodies)
        return {json.loads(body).get("operator") if body else None for body in opened}

    def all(self) -> Iterator[Callback]:
        """Every callback, oldest first."""
        return self._rows(sa.select(callbacks).order_by(callbacks.c.created, callbacks.c.id))

    def _rows(self, query: sa.Select[Any]) -> Iterator[Callback]:
        query = query.execution_options(yield_per=500)
        # A caller may stop early: close the cursor before its connection returns to the pool.
        with self._database.reading() as c, c.execute(query) as found:
            for row in found.mappings():
                yield from_row(row, self._store.encryption)

    def history(self, id: str) -> list[Change]:
        """All changes of a callback, in order."""
        query = sa.select(history).where(history.c.callback == id).order_by(history.c.id)
        with self._database.reading() as c:
            return [
                Change(row["at"], row["who"], row["what"], row["why"], row["change"])
                for row in c.execute(query).mappings()
            ]

    def requests_of(self, id: str) -> list[RequestEntry]:
        """The requests that a callback answers, those merged into it too, in order."""
        columns = (requests.c[name] for name in ("taken", "reason", "call", "withdrawn", "body"))
        query = sa.select(*columns).where(requests.c.callback == id)
        with self._database.reading() as c:
            found = c.execute(query.order_by(requests.c.taken, requests.c.key)).mappings().all()
        return [self._entry(row) for row in found]

    def _entry(self, row: Mapping[Any, Any]) -> RequestEntry:
        values = dict(row)
        told = json.loads(self._store.encryption.open(values.pop("body")) or "{}")
        asked = told.get("asked")
        names = ("at", "due_in_s", "operator", "name", "topic", "extension")
        return RequestEntry(
            **values,
            asked=None if asked is None else datetime.fromisoformat(asked),
            made=told.get("made", False),
            **{name: told.get(name) for name in names},
        )

    def calls_of(self, id: str) -> list[str]:
        """The calls that requested a callback."""
        query = sa.select(requests.c.call).where(
            requests.c.callback == id, requests.c.call.isnot(None)
        )
        with self._database.reading() as c:
            return list(dict.fromkeys(c.execute(query.order_by(requests.c.taken)).scalars()))

    def promise(
        self,
        begin: datetime | None = None,
        end: datetime | None = None,
        *,
        now: datetime | None = None,
    ) -> Promise:
        """The counts at `now`, by default by this machine's clock, of all requests and calls, or only of
        requests taken, and calls begun, in [begin, end).
        """
        lost = is_lost(now or datetime.now(UTC))
        state = sa.case((callbacks.c.state.in_(OPEN_STATES), "open"), else_=callbacks.c.state)
        by_state = (
            sa.select(state.label("state"), sa.func.count())
            .select_from(requests.join(callbacks, requests.c.callback == callbacks.c.id))
            .group_by(state)
        )
        taken = sa.select(sa.func.count()).where(history.c.what == "taken")
        if begin is not None and end is not None:
            by_state = by_state.where(requests.c.taken >= begin, requests.c.taken < end)
            taken = taken.where(history.c.at >= begin, history.c.at < end)
            lost = sa.and_(lost, calls.c.began >= begin, calls.c.began < end)
        with self._database.reading() as c:
            if self._database.on_server:  # both counts from one snapshot
                c.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            counts = {row[0]: row[1] for row in c.execute(by_state)}
            total = c.execute(taken).scalar() or 0
            owed = c.execute(sa.select(sa.func.count()).select_from(calls).where(lost)).scalar()
        return Promise(
            taken=total,
            reached=counts.get(State.REACHED.value, 0),
            not_reached=counts.get(State.NOT_REACHED.value, 0),
            client_called=counts.get(State.CLIENT_CALLED.value, 0),
            cancelled=counts.get(State.CANCELLED.value, 0),
            open=counts.get("open", 0),
            lost=owed or 0,
        )

    # -- a day -----------------------------------------------------------------------------------------

    def of_day(
        self,
        begin: datetime,
        end: datetime,
        now: datetime,
        which: Which | None = None,
        *,
        filters: CallbackFilters = NO_FILTERS,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Callback]:
        """Callbacks requested or ended in [begin, end), and all open ones if `now` is in it."""
        query = sa.select(callbacks).where(_of_day(begin, end, now), *filters.conditions)
        if which is not None:
            query = query.where(self._is(which, now))
        return list(self._rows(query.order_by(*filters.ordering).limit(limit).offset(offset)))

    def counts_of_day(
        self,
        begin: datetime,
        end: datetime,
        now: datetime,
        *,
        filters: CallbackFilters = NO_FILTERS,
    ) -> PeriodCounts:
        """The numbers of the callbacks of `of_day`."""
        counts = [sa.func.count(sa.case((self._is(which, now), 1))) for which in Which]
        is_new = sa.and_(callbacks.c.created >= begin, callbacks.c.created < end)
        query = sa.select(sa.func.count(), sa.func.count(sa.case((is_new, 1))), *counts)
        query = query.where(_of_day(begin, end, now), *filters.conditions)
        with self._database.reading() as c:
            total, new, *each = c.execute(query).one()
        return PeriodCounts(total, new, dict(zip(Which, each, strict=True)))

    def operators_of_day(self, begin: datetime, end: datetime, now: datetime) -> list[str]:
        """Logins of the operators of the callbacks of `of_day`, as stored."""
        query = sa.select(callbacks.c.operator).distinct().where(_of_day(begin, end, now))
        with self._database.reading() as c:
            return [name for name in c.execute(query).scalars() if name]

    def ringing_since(self, found: Iterable[Callback]) -> dict[str, datetime]:
        """When the attempts began of those of these callbacks that are ringing, by the callback's id."""
        keys = {one.key: one for one in found if one.state is State.RINGING}
        begun = sa.func.coalesce(attempts.c.accepted, attempts.c.intent, type_=UtcDateTime)
        query = sa.select(attempts.c.callback, begun).where(attempts.c.key.in_(keys))
        with self._database.reading() as c:
            rung = {row[0]: row[1] for row in c.execute(query)} if keys else {}
        return {one.id: one.since or rung.get(one.id, one.created) for one in keys.values()}

    def _is(self, which: Which, now: datetime) -> sa.ColumnElement[bool]:
        if which is Which.OPEN:
            return callbacks.c.state.in_(OPEN_STATES)
        if which is Which.DUE:
            return sa.and_(callbacks.c.state.in_(OPEN_STATES), callbacks.c.due <= now)
        if which is Which.OVERDUE:
            limit = now - timedelta(seconds=self._store.policy.overdue_s)
            return sa.and_(callbacks.c.state.in_(_NOT_RUNG), _promised < limit)
        return callbacks.c.state == which.value

    # -- now -------------------------------------------------------------------------------------------

    def overdue(self, now: datetime) -> list[Callback]:
        """Callbacks whose time has passed while nobody is rung, oldest first."""
        query = sa.select(callbacks).where(self._is(Which.OVERDUE, now)).order_by(_promised)
        policy = self._store.policy
        return [one for one in self._rows(query) if next_attempt_time.overdue(one, now, policy)]

    def numbers(self, now: datetime) -> CallbackNumbers:
        """The current counts."""
        by_state = sa.select(callbacks.c.state, sa.func.count()).group_by(callbacks.c.state)
        outcomes = (
            sa.select(attempts.c.outcome, sa.func.count())
            .where(attempts.c.outcome.isnot(None))
            .group_by(attempts.c.outcome)
        )
        ringing = sa.select(sa.func.count()).where(attempts.c.ended.is_(None))
        oldest = sa.select(sa.func.min(_promised)).where(callbacks.c.state.in_(_NOT_RUNG))
        with self._database.reading() as c:
            states = {row[0]: row[1] for row in c.execute(by_state)}
            by_outcome = {row[0]: row[1] for row in c.execute(outcomes)}
            under_way = c.execute(ringing).scalar() or 0
            first = c.execute(oldest).scalar()
        age = (now - _aware(first, now)).total_seconds() if first is not None else 0.0
        return CallbackNumbers(
            by_state={state.value: states.get(state.value, 0) for state in State},
            overdue=len(self.overdue(now)),
            oldest_due_s=max(0.0, age),
            attempts_by_outcome=by_outcome,
            under_way=under_way,
        )


def _is_of(callback: Callback, operator: str) -> bool:
    return not callback.operator or folded(callback.operator) == folded(operator)


_promised = sa.func.coalesce(callbacks.c.due, callbacks.c.created)
_NOT_RUNG = [state for state in OPEN_STATES if state != State.RINGING.value]


def _of_day(begin: datetime, end: datetime, now: datetime) -> sa.ColumnElement[bool]:
    asked = sa.and_(callbacks.c.created >= begin, callbacks.c.created < end)
    over = sa.and_(callbacks.c.ended >= begin, callbacks.c.ended < end)
    if begin <= now < end:
        return sa.or_(asked, over, callbacks.c.state.in_(OPEN_STATES))
    return sa.or_(asked, over)


def _aware(when: datetime, like: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=like.tzinfo)
