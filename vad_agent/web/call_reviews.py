"""The verdicts on a day's finished calls, read from their traces: what was wrong, and in which second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vad_agent.callbacks.call_store import CallRow, CallStore
from vad_agent.web.call_view import Moment, course
from vad_agent.web.reporting_period import ReportingPeriod

MOST_READ = 500
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class CallReview:
    """A call in which something was wrong. `faults`: each with its second."""

    row: CallRow
    faults: Sequence[Moment]


@dataclass(frozen=True, slots=True)
class DayReviews:
    """The verdicts on a period's calls, the worst first."""

    calls: int
    reviews: Sequence[CallReview]
    left_out: int = 0
    """Calls with faults that are not shown."""
    is_cut: bool = False
    """The period has more calls than were read."""


def reviewed(calls: CallStore, day: ReportingPeriod) -> DayReviews:
    """The verdicts on the period's calls, of which the newest `MOST_READ` are read.

    Raises:
        StoreError: the store, or a call's trace, cannot be read.
    """
    rows = calls.of_day(day.begin, day.end, limit=MOST_READ + 1)
    found = []
    for one in rows[:MOST_READ]:
        stored = calls.get(one.call)
        read = None if stored is None else course(stored[1])
        if read is not None and read.faults:
            found.append(CallReview(one, read.faults))
    found.sort(key=lambda one: (-len(one.faults), one.row.began))
    return DayReviews(
        calls=min(len(rows), MOST_READ),
        reviews=found[:MOST_SHOWN],
        left_out=max(0, len(found) - MOST_SHOWN),
        is_cut=len(rows) > MOST_READ,
    )
