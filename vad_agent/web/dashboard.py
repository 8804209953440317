"""The data of the supervisor's pages, read from the callbacks, the calls and the headsets.

    desk (callbacks, alerts) ───┐
    calls (traces, steps) ──────┼─> Dashboard ─> board of a day, details of a callback, a call, rows of CSV
    broker (headsets) ──────────┘

Read-only. Every method may take a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Protocol

from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.call_record import StepRecord
from vad_agent.callbacks.call_store import CallRow, CallStore
from vad_agent.callbacks.daily_stats import DailyStats, DailyStatsStore, Tally
from vad_agent.callbacks.model import Callback
from vad_agent.callbacks.queries import CallbackQueries, Promise, Which
from vad_agent.callbacks.service import CallbackService
from vad_agent.client.backend import CallbackDetails
from vad_agent.errors import StoreError
from vad_agent.web.call_view import Pictures
from vad_agent.web.incidents import Incident, find_incidents
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
    """The page of a day. Current states are those of now, whatever the day."""

    now: datetime
    day: CalendarDay
    critical: Sequence[Incident]
    floor: WallboardRows
    which: Which | None = None
    """The filter of the callbacks."""
    more_critical: int = 0
    promise: Promise | None = None
    """Request counts of the day. None: the store cannot be read, and the fields below are unknown."""
    promise_ever: Promise | None = None
    attempts: int = 0
    """Maximum attempts of a callback."""
    counts: Mapping[Which, int] = field(default_factory=dict)
    total: int = 0
    """Number of callbacks, without a filter."""
    callbacks: Sequence[Callback] = ()
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
    def more_callbacks(self) -> int:
        """Number of callbacks that are not shown."""
        total = self.total if self.which is None else self.counts[self.which]
        return max(0, total - len(self.callbacks))

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
    """The dashboard of one centre, its days in the policy's zone."""

    def __init__(self, desk: DeskParts, calls: CallStore, broker: StateBroker) -> None:
        store = desk.service.store
        self.calls = calls
        self.broker = broker
        self.zone = store.policy.zone
        self.floor = Wallboard(broker)
        self.pictures = Pictures()
        self.policy = store.policy
        self._desk = desk
        self._store = store
        self._queries = desk.queries
        self._figures = DailyStatsStore(store)
        self._ever: tuple[datetime, Promise] | None = None

    @property
    def now(self) -> datetime:
        """The time of the desk's clock."""
        return self._desk.service.clock.now()

    def day(self, asked: str | None) -> CalendarDay:
        """The day given as YYYY-MM-DD, or today."""
        return CalendarDay.of(asked, self.now, self.zone)

    def words(self, day: CalendarDay) -> SupervisorLabels:
        """The labels for a page of that day."""
        return SupervisorLabels(self.now, self.zone, day.on)

    # -- the page ------------------------------------------------------------------------------------

    def board(
        self, day: CalendarDay, which: Which | None = None, *, after_call: str | None = None
    ) -> DayBoard:
        """All data of a day.

        `after_call`: the calls start after this one. Without a store, what is still known.
        """
        now = self.now
        try:
            return self._board(day, now, which, after_call)
        except StoreError:
            told = find_incidents([], 0, self._desk.alerts.all(), self._desk.not_ready())
            return DayBoard(now, day, [NO_STORE, *told], rows(self.broker), which)

    def _board(
        self, day: CalendarDay, now: datetime, which: Which | None, after_call: str | None
    ) -> DayBoard:
        queries, begin, end = self._queries, day.begin, day.end
        overdue = queries.overdue(now)
        promise_ever = self._promise_ever(now)
        wrong = find_incidents(
            overdue, promise_ever.missing, self._desk.alerts.all(), self._desk.not_ready()
        )
        calls = self.calls.of_day(begin, end, limit=MOST_CALLS + 1, before=after_call)
        total, counts = queries.counts_of_day(begin, end, now)
        return DayBoard(
            now=now,
            day=day,
            critical=wrong[:MOST_CRITICAL],
            more_critical=max(0, len(wrong) - MOST_CRITICAL),
            floor=rows(self.broker),
            which=which,
            promise=queries.promise(begin, end),
            promise_ever=promise_ever,
            attempts=self.policy.attempts,
            counts=counts,
            total=total,
            callbacks=queries.of_day(begin, end, now, which, limit=MOST_CALLBACKS),
            overdue=frozenset(one.id for one in overdue),
            figures=self._figures.of_day(day.hours, end),
            outside=self._figures.outside(begin, end, MOST_OUTSIDE),
            calls=calls[:MOST_CALLS],
            next_calls=calls[MOST_CALLS - 1].call if len(calls) > MOST_CALLS else None,
        )

    def _promise_ever(self, now: datetime) -> Promise:
        """The all-time count, cached, because it counts every request."""
        if self._ever is None or not timedelta() <= now - self._ever[0] < EVER:
            self._ever = now, self._queries.promise()
        return self._ever[1]

    # -- one thing -----------------------------------------------------------------------------------

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

    def lines(self, call: str) -> list[dict[str, Any]] | None:
        """The call's trace; raises as `call`."""
        found = self.calls.get(call)
        return None if found is None else found[1]

    def callbacks_of(self, day: CalendarDay, which: Which | None, limit: int) -> list[Callback]:
        """A day's callbacks.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._queries.of_day(day.begin, day.end, self.now, which, limit=limit)


FIRST, LAST = date(2000, 1, 2), date(2199, 12, 30)
"""Limits on days in a request: beyond them a calendar overflows."""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One day. `begin`, `end`: UTC, [begin, end); 23 or 25 hours where the clocks change."""

    on: date
    begin: datetime
    end: datetime
    today: date
    """The centre's current date."""

    @classmethod
    def of(cls, asked: str | None, now: datetime, zone: tzinfo) -> CalendarDay:
        """The day given as YYYY-MM-DD; today if that is not valid."""
        today = now.astimezone(zone).date()
        try:
            day = today if asked is None else date.fromisoformat(asked)
        except ValueError:
            day = today
        if not FIRST <= day <= LAST:
            day = today
        begin, end = (
            datetime.combine(one, time(), zone).astimezone(UTC)
            for one in (day, day + timedelta(days=1))
        )
        return cls(day, begin, end, today)

    @property
    def is_today(self) -> bool:
        """The day is not over."""
        return self.on == self.today

    @property
    def before(self) -> date:
        """The day before."""
        return self.on - timedelta(days=1)

    @property
    def after(self) -> date:
        """The day after."""
        return self.on + timedelta(days=1)

    @property
    def hours(self) -> list[datetime]:
        """The starts of its hours, UTC."""
        length = (self.end - self.begin) // timedelta(hours=1)
        return [self.begin + timedelta(hours=number) for number in range(length)]
