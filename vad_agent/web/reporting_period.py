"""The period of the supervisor's page: a day of the centre, or a part of it, also over midnight.

    ?day=2026-03-10                          00:00 to 00:00
    ?day=2026-03-10&from=18:00&to=06:00      the night that begins on the 10th
    ?from=18:00&to=06:00                     the night that is on now, or the last one

Without a date it is the last period that has begun. Pure: the time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

FIRST, LAST = date(2000, 1, 2), date(2199, 12, 29)
"""Limits on days in a request: beyond them a calendar overflows."""
MIDNIGHT = time()
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ReportingPeriod:
    """One period. `begin`, `end`: UTC, [begin, end). Where the clocks change, a day has 23 or 25 hours."""

    on: date
    """The centre's date on which it begins."""
    first: time
    last: time
    """Local times of its beginning and its end; equal: a whole day."""
    begin: datetime
    end: datetime
    latest: date
    """The date on which the last period of these times has begun."""
    is_now: bool
    """It is not over."""

    @classmethod
    def of(
        cls, day: str | None, first: str | None, last: str | None, now: datetime, zone: tzinfo
    ) -> ReportingPeriod:
        """The period that was asked for: a date as YYYY-MM-DD, times as HH:MM. What is not valid counts
        as not given; of one time alone, midnight is the other.
        """
        first_time, last_time = _time(first), _time(last)
        local = now.astimezone(zone)
        latest = local.date()
        if local.time() < first_time:
            latest -= timedelta(days=1)
        on = _date(day) or latest
        over = on if first_time < last_time else on + timedelta(days=1)
        begin = datetime.combine(on, first_time, zone).astimezone(UTC)
        end = datetime.combine(over, last_time, zone).astimezone(UTC)
        end = max(end, begin)  # times that the clocks leave out
        return cls(on, first_time, last_time, begin, end, latest, begin <= now < end)

    @property
    def is_latest(self) -> bool:
        """No later period of these times has begun."""
        return self.on >= self.latest

    @property
    def is_whole_day(self) -> bool:
        """From midnight to midnight."""
        return self.first == self.last == MIDNIGHT

    @property
    def before(self) -> date:
        """The date of the period before."""
        return self.on - timedelta(days=1)

    @property
    def after(self) -> date:
        """The date of the next period."""
        return self.on + timedelta(days=1)

    @property
    def times(self) -> dict[str, str]:
        """Its times for an address; {} for a whole day."""
        if self.is_whole_day:
            return {}
        return {"from": f"{self.first:%H:%M}", "to": f"{self.last:%H:%M}"}

    @property
    def query(self) -> dict[str, str]:
        """Its part of an address; without a date, it stays the last one."""
        return ({} if self.is_latest else {"day": str(self.on)}) | self.times

    @property
    def hours(self) -> list[datetime]:
        """The starts of its hours, UTC; at least one."""
        count = -((self.begin - self.end) // HOUR)
        return [self.begin + number * HOUR for number in range(max(1, count))]


def _date(asked: str | None) -> date | None:
    try:
        day = date.fromisoformat(asked or "")
    except ValueError:
        return None
    return day if FIRST <= day <= LAST else None


def _time(asked: str | None) -> time:
    try:
        return time.fromisoformat(asked or "").replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        return MIDNIGHT
