"""The data of the supervisor's pages, read from the callbacks, the calls and the headsets.

    desk (callbacks, alerts) ───┐
    calls (traces, steps) ──────┼─> Dashboard ─> board of a day, details of a callback, a call, rows of CSV
    broker (headsets) ──────────┘

Only `make` changes anything. Every method may take a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.call_record import StepRecord
from vad_agent.callbacks.call_store import CallRow, CallStore
from vad_agent.callbacks.callback_filters import CallbackFilters
from vad_agent.callbacks.callback_search import CallbackSearch, SearchResult
from vad_agent.callbacks.daily_stats import DailyStats, DailyStatsStore, Tally
from vad_agent.callbacks.model import OPEN, Callback
from vad_agent.callbacks.next_attempt_time import overdue
from vad_agent.callbacks.queries import CallbackQueries, PeriodCounts, Promise, Which
from vad_agent.callbacks.service import CallbackService
from vad_agent.client.backend import CallbackDetails
from vad_agent.common.identity import folded
from vad_agent.errors import StoreError
from vad_agent.web.authentication.users import Users
from vad_agent.web.call_view import Pictures
from vad_agent.web.callback_list import ANYBODY, CallbackListQuery
from vad_agent.web.incidents import Incident, find_incidents
from vad_agent.web.reporting_period import ReportingPeriod
from vad_agent.web.state_broker import StateBroker
from vad_agent.web.supervisor_labels import SupervisorLabels
from vad_agent.web.wallboard import Wallboard, WallboardRow, WallboardRows, order, row, rows

MOST_CRITICAL = 40
MOST_CALLBACKS = 50
MOST_OUTSIDE = 40
MOST_OPERATORS = 60
MOST_CALLS = 50
MOST_LINKED = 20
"""Number of items shown of each kind; the rest are counted, and in the CSV."""
EVER = timedelta(seconds=10)
"""Maximum age of the all-time count; if requests are missing, an alert reports it sooner."""
NO_STORE = Incident("store", "База данных не отвечает: показаны только звонки на линии", None)


@dataclass(frozen=True, slots=True)
class DayBoard:
    """The page of a period. Current states are those of now, whatever the period."""

    now: datetime
    day: ReportingPeriod
    critical: Sequence[Incident]
    floor: WallboardRows
    listing: CallbackListQuery = field(default_factory=CallbackListQuery)
    """Which callbacks are listed."""
    more_critical: int = 0
    promise: Promise | None = None
    """Request counts of the day. None: the store cannot be read, and the fields below are unknown."""
    promise_ever: Promise | None = None
    attempts: int = 0
    """Maximum attempts of a callback."""
    counts: PeriodCounts = field(default_factory=lambda: PeriodCounts(0, 0, {}))
    """Numbers of callbacks, without the filter of states."""
    callbacks: Sequence[Callback] = ()
    since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when each ringing callback rings, by its id."""
    people: Sequence[str] = ()
    """Operators of the callbacks, without a filter."""
    overdue: frozenset[str] = frozenset()
    """Ids of all overdue callbacks."""
    figures: DailyStats = field(default_factory=lambda: DailyStats([]))
    outside: Sequence[StepRecord] = ()
    calls: Sequence[CallRow] = ()
    next_calls: str | None = None
    """The id of the last call shown, if there are more."""

    @property
    def alerts(self) -> int:
        """Number of critical incidents."""
        return len(self.critical) + self.more_critical

    @property
    def busy(self) -> list[tuple[str, WallboardRow]]:
        """The rows of the wallboard, in order."""
        return order(self.floor)

    @property
    def idle(self) -> list[str]:
        """Operators who wait for a call."""
        return sorted(name for name, row in self.floor.items() if row["idle"])

    @property
    def blank(self) -> WallboardRow:
        """A row without data."""
        return row({})

    @property
    def tabs(self) -> list[tuple[Which, int]]:
        """Filters of states with their numbers: open states only if there are any."""
        ways = self.counts.by_filter.items()
        rare = frozenset(state.value for state in OPEN) - {self.listing.which}
        return [(which, count) for which, count in ways if count or which.value not in rare]

    @property
    def listed(self) -> int:
        """Number of callbacks in the list, on all its pages."""
        which = self.listing.which
        return self.counts.total if which is None else self.counts.by_filter[which]

    @property
    def first_listed(self) -> int:
        """Number of callbacks on the pages before."""
        return (self.listing.page - 1) * MOST_CALLBACKS

    @property
    def is_last_page(self) -> bool:
        """No more callbacks follow."""
        return self.first_listed + len(self.callbacks) >= self.listed

    def link(self, **changes: object) -> str:
        """The address of this page with other parameters."""
        changed = {name: None if value is None else str(value) for name, value in changes.items()}
        return self.listing.address(self.day.query, **changed)

    @property
    def more_operators(self) -> int:
        """Number of operators that are not shown."""
        return max(0, len(self.figures.by_operator) - MOST_OPERATORS)

    @property
    def operators(self) -> list[tuple[str, Tally]]:
        """Statistics by operator, the worst first."""
        named = [(name or "неизвестно кто", t) for name, t in self.figures.by_operator.items()]
        return sorted(named, key=lambda one: (-one[1].bad, one[0]))[:MOST_OPERATORS]

    @property
    def hours(self) -> list[tuple[datetime, Tally]]:
        """Hours with any data."""
        told = zip(self.day.hours, self.figures.by_hour, strict=False)
        return [(hour, tally) for hour, tally in told if tally != Tally()]


@dataclass(frozen=True, slots=True)
class CallDetails:
    """A finished call. `lines`: None if they were erased."""

    row: CallRow
    lines: list[dict[str, Any]] | None
    callbacks: Sequence[Callback]


class DeskParts(Protocol):
    """The parts of a running desk that the pages need (`vad_agent.server.app_state.AppState`)."""

    @property
    def service(self) -> CallbackService:
        """Changes callbacks."""

    @property
    def queries(self) -> CallbackQueries:
        """Queries the store."""

    @property
    def alerts(self) -> AlertBoard:
        """Alerts for the supervisor."""

    @property
    def not_ready(self) -> Callable[[], list[str]]:
        """Returns the names of failing parts; [] if everything works."""


class Dashboard:
    """The dashboard of one centre, its days in the policy's zone. `users`: who may log in."""

    def __init__(
        self, desk: DeskParts, calls: CallStore, broker: StateBroker, users: Users | None = None
    ) -> None:
        store = desk.service.store
        self.calls = calls
        self.broker = broker
        self.zone = store.policy.zone
        self.floor = Wallboard(broker)
        self.pictures = Pictures()
        self.policy = store.policy
        self.users = users
        self.search = CallbackSearch(store)
        self._desk = desk
        self._store = store
        self._queries = desk.queries
        self._figures = DailyStatsStore(store)
        self._ever: tuple[datetime, Promise] | None = None

    @property
    def now(self) -> datetime:
        """The time of the desk's clock."""
        return self._desk.service.clock.now()

    @property
    def service(self) -> CallbackService:
        """Changes callbacks."""
        return self._desk.service

    def day(
        self, asked: str | None, first: str | None = None, last: str | None = None
    ) -> ReportingPeriod:
        """The period: a date as YYYY-MM-DD, times as HH:MM; see `ReportingPeriod.of`."""
        return ReportingPeriod.of(asked, first, last, self.now, self.zone)

    def words(self, day: ReportingPeriod) -> SupervisorLabels:
        """The labels for a page of that period."""
        machines = self.policy.zone_is_machines
        return SupervisorLabels(self.now, self.zone, day.begin, day.end, zone_is_machines=machines)

    def operators(self, *more: str | None) -> list[str]:
        """Who can be asked to call: users who may log in, connected headsets, stand-ins, and `more`.

        Raises:
            StoreError: the store cannot be read.
        """
        users = [] if self.users is None else self.users.all()
        logins = [one.login for one in users if one.barred is None]
        logins += [*self.broker.operators(), *self.policy.stand_ins, *filter(None, more)]
        barred = {folded(one.login) for one in users if one.barred is not None}
        named = {folded(one): one for one in reversed(logins)}
        return [named[one] for one in sorted(named) if one not in barred]

    # -- the page ------------------------------------------------------------------------------------

    def board(
        self,
        day: ReportingPeriod,
        listed: CallbackListQuery | None = None,
        *,
        after_call: str | None = None,
    ) -> DayBoard:
        """All data of a period.

        `after_call`: the calls start after this one. Without a store, what is still known.
        """
        now, listed = self.now, listed or CallbackListQuery()
        try:
            return self._board(day, now, listed, after_call)
        except StoreError:
            told = find_incidents([], 0, self._desk.alerts.all(), self._desk.not_ready())
            return DayBoard(now, day, [NO_STORE, *told], rows(self.broker), listed)

    def _board(
        self,
        day: ReportingPeriod,
        now: datetime,
        listed: CallbackListQuery,
        after_call: str | None,
    ) -> DayBoard:
        queries, begin, end = self._queries, day.begin, day.end
        late = queries.overdue(now)
        promise_ever = self._promise_ever(now)
        wrong = find_incidents(
            late,
            promise_ever.unaccounted,
            self._desk.alerts.all(),
            self._desk.not_ready(),
            self.calls.lost(now),
        )
        calls = self.calls.of_day(begin, end, limit=MOST_CALLS + 1, before=after_call)
        people = queries.operators_of_day(begin, end, now)
        filters = _filters(listed, people)
        page = queries.of_day(
            begin,
            end,
            now,
            listed.which,
            filters=filters,
            limit=MOST_CALLBACKS,
            offset=(listed.page - 1) * MOST_CALLBACKS,
        )
        return DayBoard(
            now=now,
            day=day,
            critical=wrong[:MOST_CRITICAL],
            more_critical=max(0, len(wrong) - MOST_CRITICAL),
            floor=rows(self.broker),
            listing=listed,
            promise=queries.promise(begin, end, now=now),
            promise_ever=promise_ever,
            attempts=self.policy.attempts,
            counts=queries.counts_of_day(begin, end, now, filters=filters),
            callbacks=page,
            since=queries.ringing_since(page),
            people=_once(people),
            overdue=frozenset(one.id for one in late),
            figures=self._figures.of_day(day.hours, end),
            outside=self._figures.outside(begin, end, MOST_OUTSIDE),
            calls=calls[:MOST_CALLS],
            next_calls=calls[MOST_CALLS - 1].call if len(calls) > MOST_CALLS else None,
        )

    def _promise_ever(self, now: datetime) -> Promise:
        """The all-time count, cached, because it counts every request."""
        if self._ever is None or not timedelta() <= now - self._ever[0] < EVER:
            self._ever = now, self._queries.promise(now=now)
        return self._ever[1]

    # -- one thing -----------------------------------------------------------------------------------

    def found(self, text: str) -> tuple[SearchResult, Mapping[str, datetime], frozenset[str]]:
        """The callbacks that a text may mean, of all days; since when each of them rings; the overdue ones.

        Raises:
            StoreError: the store cannot be read.
        """
        result = self.search.find(text)
        since = self._queries.ringing_since(result.callbacks)
        late = frozenset(one.id for one in result.callbacks if overdue(one, self.now, self.policy))
        return result, since, late

    def ringing_since(self, callback: Callback) -> datetime | None:
        """Since when it rings. None: it does not; raises as `callback`."""
        return self._queries.ringing_since([callback]).get(callback.id)

    def callback(self, id: str) -> tuple[CallbackDetails, list[str]] | None:
        """A callback with its history, and the ids of its calls that are stored. None: there is none.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self._store.find(id)
        if found is None:
            return None
        story = CallbackDetails(
            callback=found,
            attempts=tuple(self._store.attempts_of(id)),
            history=tuple(self._queries.history(id)),
            calls=tuple(self._queries.calls_of(id)),
            requests=tuple(self._queries.requests_of(id)),
        )
        return story, [call for call in story.calls[:MOST_LINKED] if self.calls.get(call)]

    def call(self, call: str) -> CallDetails | None:
        """A finished call. None: there is none.

        Raises:
            StoreError: the store, or the call's trace, cannot be read.
        """
        found = self.calls.get(call)
        if found is None:
            return None
        row, lines = found
        asked = [self._store.find(id) for id in self.calls.callbacks_of(call)[:MOST_LINKED]]
        return CallDetails(row, lines, [one for one in asked if one is not None])

    def make(self, call: str, login: str) -> Callback:
        """Make the callback that the call's trace asks for.

        Raises:
            RuleError: there is no such call, or its trace asks for none.
            StoreError: it could not be stored.
        """
        made = self._desk.service.make(call, f"panel:{login}").callback
        self._ever = None
        return made

    def lines(self, call: str) -> list[dict[str, Any]] | None:
        """The call's trace; raises as `call`."""
        found = self.calls.get(call)
        return None if found is None else found[1]

    def callbacks_of(
        self, day: ReportingPeriod, listed: CallbackListQuery, limit: int
    ) -> list[Callback]:
        """A period's callbacks.

        Raises:
            StoreError: the store cannot be read.
        """
        begin, end, now = day.begin, day.end, self.now
        filters = _filters(listed, self._queries.operators_of_day(begin, end, now))
        return self._queries.of_day(begin, end, now, listed.which, filters=filters, limit=limit)


def _filters(listed: CallbackListQuery, people: Sequence[str]) -> CallbackFilters:
    """`people`: the logins as stored; an operator is meant however their login is written."""
    operators: tuple[str, ...] | None = None
    if listed.operator == ANYBODY:
        operators = ()
    elif listed.operator:
        name = folded(listed.operator)
        operators = tuple(one for one in people if folded(one) == name) or (listed.operator,)
    return CallbackFilters(operators, listed.reason, listed.order, listed.is_reversed)


def _once(people: Sequence[str]) -> list[str]:
    """Logins that differ in case are one; in order."""
    named = {folded(one): one for one in people}
    return [named[one] for one in sorted(named)]
