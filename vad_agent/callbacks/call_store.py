"""Finished calls as headsets reported them: time, operator, and the result of each script step.

    message, POST /calls ──> CallRecord ──take──> calls ──1:n──> steps, one per prompt line
                                                    ├── requests.call: the callbacks it requested
                    └── owed: its trace asks for a callback that nobody has requested yet

A trace contains the client's name in its prompts, and the number in the line of a callback. It is
encrypted like names and erased with them. The call's row and its steps stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from vad_agent.callbacks.call_record import CallRecord, StepRecord
from vad_agent.callbacks.row_mapping import storable_text
from vad_agent.callbacks.tables import calls, requests, steps
from vad_agent.callbacks.trace_compression import pack, unpack
from vad_agent.callbacks.unit_of_work import UnitOfWork
from vad_agent.errors import StoreError, extra
from vad_agent.trace.window_compliance import Verdict

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa


LOST_S = 60.0
"""Seconds after a call's end at which a callback that its trace asks for must have been requested."""


@dataclass(frozen=True, slots=True)
class LostCall:
    """A call whose trace asks for a callback that no store has. `ended`: aware."""

    call: str
    operator: str | None
    ended: datetime


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call in a list. `seconds`: its length. `callback`: it requested one, whatever the result."""

    call: str
    operator: str | None
    mode: str
    began: datetime
    seconds: float
    steps_ok: int
    steps_bad: int
    steps_note: int
    callback: bool


class CallStore:
    """The calls in a store.

    Raises:
        StoreError: by each method, if the database cannot be used now.
    """

    def __init__(self, store: UnitOfWork) -> None:
        self._store = store
        self._database = store.database

    def take(self, record: CallRecord, now: datetime) -> bool:
        """Store a call. Idempotent. False: it was stored already and nothing is changed."""
        name = storable_text(record.call)
        operator = None if record.operator is None else storable_text(record.operator)
        rows = [
            {
                "call": name,
                "number": step.number,
                "at": step.at,
                "prompt": step.prompt,
                "lo_s": step.lo_s,
                "hi_s": step.hi_s,
                "silence_s": step.silence_s,
                "outcome": step.outcome,
                "verdict": step.verdict.value,
            }
            for step in record.steps()
        ]
        lines = self._store.encryption.close(pack(record.lines))
        owed = None
        if record.asks:  # by a clock that is ahead, the end may be later than now
            owed = min(record.ended, now) + timedelta(seconds=LOST_S)

        def work(c: sa.Connection) -> bool:
            if c.execute(sa.select(calls.c.call).where(calls.c.call == name)).first() is not None:
                return False
            asked = sa.select(requests.c.key).where(requests.c.call == name).limit(1)
            is_owed = owed is not None and c.execute(asked).first() is None
            c.execute(
                calls.insert().values(
                    call=name,
                    operator=operator,
                    mode=record.mode,
                    began=record.began,
                    seconds=record.seconds,
                    taken=now,
                    lines=lines,
                    owed=owed if is_owed else None,
                )
            )
            if rows:
                c.execute(steps.insert(), rows)
            return True

        return self._store.transaction(work)

    def of_day(
        self,
        begin: datetime,
        end: datetime,
        operator: str | None = None,
        *,
        limit: int = 100,
        before: str | None = None,
    ) -> list[CallRow]:
        """Calls that began in [begin, end), newest first. `operator`: only that operator's calls.

        `before`: the id of the last call on the previous page.
        """
        query = _ROWS.where(calls.c.began >= begin, calls.c.began < end)
        if operator is not None:
            query = query.where(calls.c.operator == operator)
        if before is not None:
            last = sa.select(calls.c.began).where(calls.c.call == before).scalar_subquery()
            query = query.where(
                sa.or_(calls.c.began < last, sa.and_(calls.c.began == last, calls.c.call < before))
            )
        query = query.order_by(calls.c.began.desc(), calls.c.call.desc()).limit(limit)
        with self._database.reading() as c:
            return [_row(row) for row in c.execute(query).mappings()]

    def steps(
        self, begin: datetime, end: datetime, operator: str | None = None
    ) -> list[StepRecord]:
        """Steps in [begin, end), in order of time. `operator`: only that operator's steps."""
        query = (
            sa.select(steps, calls.c.operator)
            .join(calls, calls.c.call == steps.c.call)
            .where(steps.c.at >= begin, steps.c.at < end)
            .order_by(steps.c.at, steps.c.call, steps.c.number)
        )
        if operator is not None:
            query = query.where(calls.c.operator == operator)
        with self._database.reading() as c:
            found = [dict(row) for row in c.execute(query).mappings()]
        return [StepRecord(**(row | {"verdict": Verdict(row["verdict"])})) for row in found]

    def get(self, call: str) -> tuple[CallRow, list[dict[str, Any]] | None] | None:
        """A call and its trace (None if erased). None: there is no such call."""
        query = _ROWS.add_columns(calls.c.lines).where(calls.c.call == call)
        with self._database.reading() as c:
            row = c.execute(query).mappings().first()
        if row is None:
            return None
        text = self._store.encryption.open(row["lines"])
        try:
            return _row(row), None if text is None else unpack(text)
        except ValueError as error:
            raise StoreError("a call's trace in the database cannot be read") from error

    def lost(self, now: datetime, *, limit: int = 1000) -> list[LostCall]:
        """Calls whose trace asks for a callback that no store has, the oldest first."""
        query = sa.select(calls.c.call, calls.c.operator, calls.c.began, calls.c.seconds)
        query = query.where(is_lost(now)).order_by(calls.c.owed, calls.c.call).limit(limit)
        with self._database.reading() as c:
            return [
                LostCall(call, operator, began + timedelta(seconds=seconds))
                for call, operator, began, seconds in c.execute(query)
            ]

    def record(self, call: str) -> CallRecord | None:
        """The call as it was reported. None: there is no such call, or its trace was erased."""
        found = self.get(call)
        if found is None:
            return None
        row, lines = found
        if lines is None:
            return None
        return CallRecord(row.call, row.operator, row.mode, row.began, lines)

    def callbacks_of(self, call: str) -> list[str]:
        """Ids of the callbacks that the call requested, whatever their result."""
        query = sa.select(requests.c.callback).where(requests.c.call == call)
        with self._database.reading() as c:
            return list(dict.fromkeys(c.execute(query.order_by(requests.c.taken)).scalars()))


def is_lost(now: datetime) -> sa.ColumnElement[bool]:
    """The callback of a call's trace is lost. `owed` alone is not enough: the request and the call may
    have been stored at once.
    """
    requested = sa.exists().where(requests.c.call == calls.c.call)
    return sa.and_(calls.c.owed <= now, ~requested)


def _steps(verdict: Verdict) -> sa.Label[int]:
    counted = sa.select(sa.func.count()).select_from(steps)
    counted = counted.where(steps.c.call == calls.c.call, steps.c.verdict == verdict.value)
    return counted.scalar_subquery().label(f"steps_{verdict.value}")


_ROWS = sa.select(
    *(calls.c[name] for name in ("call", "operator", "mode", "began", "seconds")),
    *(_steps(verdict) for verdict in Verdict),
    sa.exists().where(requests.c.call == calls.c.call).label("callback"),
)


def _row(row: Mapping[Any, Any]) -> CallRow:
    return CallRow(**{field.name: row[field.name] for field in fields(CallRow)})
