"""Script statistics of one day: calls, steps by verdict, callback requests; by operator and by hour.

Each figure is one grouped query, so that thousands of steps are counted in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from vad_agent.callbacks.call_record import StepRecord
from vad_agent.callbacks.tables import callbacks, calls, requests, steps
from vad_agent.callbacks.unit_of_work import UnitOfWork
from vad_agent.common.identity import folded
from vad_agent.errors import extra
from vad_agent.trace.window_compliance import Verdict

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

_COLUMNS = [
    steps.c[one.name] if one.name in steps.c else calls.c[one.name] for one in fields(StepRecord)
]


@dataclass(slots=True)
class Tally:
    """Counts. `ok`, `bad`, `note`: steps; `asked`: callback requests."""

    calls: int = 0
    ok: int = 0
    bad: int = 0
    note: int = 0
    asked: int = 0

    def add(self, what: str, count: int) -> None:
        """Add `count` to one field."""
        setattr(self, what, getattr(self, what) + count)

    @property
    def share(self) -> int | None:
        """Percent of judged steps inside their windows, rounded down. None: no step was judged."""
        judged = self.ok + self.bad
        return None if judged == 0 else self.ok * 100 // judged


@dataclass(slots=True)
class DailyStats:
    """Statistics of one day.

    `by_operator`: by login, None: unknown operator. `by_hour`: one per hour of the day.
    """

    by_hour: list[Tally]
    all: Tally = field(default_factory=Tally)
    by_operator: dict[str | None, Tally] = field(default_factory=dict)


class DailyStatsStore:
    """Daily statistics of a store.

    Raises:
        StoreError: by each method, if the database cannot be used now.
    """

    def __init__(self, store: UnitOfWork) -> None:
        self._database = store.database

    def of_day(self, hours: Sequence[datetime], end: datetime) -> DailyStats:
        """Statistics of [hours[0], end). `hours`: starts of the hours, in order, at least one."""
        found = DailyStats([Tally() for _ in hours])
        done = steps.join(calls, steps.c.call == calls.c.call)
        asked = requests.join(callbacks, requests.c.callback == callbacks.c.id)
        asked = asked.outerjoin(calls, requests.c.call == calls.c.call)
        whose = sa.func.coalesce(calls.c.operator, callbacks.c.operator)
        counted: list[tuple[Any, sa.FromClause, Any, Any]] = [
            (calls.c.began, calls, calls.c.operator, sa.literal_column("'calls'")),
            (steps.c.at, done, calls.c.operator, steps.c.verdict),
            (requests.c.taken, asked, whose, sa.literal_column("'asked'")),
        ]
        written: dict[str | None, str | None] = {}  # a login as it is compared → as it is shown
        with self._database.reading() as c:
            for at, among, operator, of in counted:
                within = at >= hours[0], at < end
                by_operator = _counted(operator, of).select_from(among).where(*within)
                for login, what, count in c.execute(by_operator):
                    name = written.setdefault(None if login is None else folded(login), login)
                    found.by_operator.setdefault(name, Tally()).add(what, count)
                    found.all.add(what, count)
                by_hour = _counted(_number(at, hours), of).select_from(at.table).where(*within)
                for number, what, count in c.execute(by_hour):
                    found.by_hour[number].add(what, count)
        return found

    def outside(self, begin: datetime, end: datetime, limit: int) -> list[StepRecord]:
        """The newest steps outside their windows in [begin, end)."""
        query = (
            sa.select(*_COLUMNS)
            .join_from(steps, calls, steps.c.call == calls.c.call)
            .where(steps.c.at >= begin, steps.c.at < end, steps.c.verdict == Verdict.BAD.value)
            .order_by(steps.c.at.desc(), steps.c.call, steps.c.number.desc())
            .limit(limit)
        )
        with self._database.reading() as c:
            found = [dict(row) for row in c.execute(query).mappings()]
        return [StepRecord(**(row | {"verdict": Verdict(row["verdict"])})) for row in found]


def _counted(by: Any, of: Any) -> sa.Select[Any]:
    """Counts grouped by `by`, for each kind of step."""
    return sa.select(by.label("by"), of.label("what"), sa.func.count()).group_by("by", "what")


def _number(at: Any, hours: Sequence[datetime], first: int = 0) -> Any:
    """The index of the hour that contains a time. Binary search: 5 comparisons per row, not 23."""
    if len(hours) == 1:
        return sa.literal_column(str(first))
    half = len(hours) // 2
    before, after = _number(at, hours[:half], first), _number(at, hours[half:], first + half)
    return sa.case((at < hours[half], before), else_=after)
