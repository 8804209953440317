"""A day of the centre: from midnight to midnight of its own zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

FIRST, LAST = date(2000, 1, 2), date(2199, 12, 30)
"""Of days that are asked for: beyond them a calendar ends."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day. `begin`, `end`: UTC, [begin, end); 23 or 25 hours where the clocks change."""

    on: date
    begin: datetime
    end: datetime
    today: date
    """Of the centre, now."""

    @classmethod
    def of(cls, asked: str | None, now: datetime, zone: tzinfo) -> Day:
        """The day asked for as YYYY-MM-DD; today where that is none."""
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
        """It is not over."""
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
        """The beginnings of its hours, UTC."""
        length = (self.end - self.begin) // timedelta(hours=1)
        return [self.begin + timedelta(hours=number) for number in range(length)]
