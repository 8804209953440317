"""The period of the supervisor's page: days, shifts over midnight, clocks that change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from vad_agent.web.reporting_period import ReportingPeriod

MOSCOW = ZoneInfo("Europe/Moscow")
NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


def period(
    now: str, day: str | None = None, first: str | None = None, last: str | None = None
) -> ReportingPeriod:
    return ReportingPeriod.of(day, first, last, at(now).astimezone(UTC), MOSCOW)


def test_a_night_over_midnight_is_one_period() -> None:
    night = period("2026-03-11T14:30", "2026-03-10", "18:00", "06:00")
    assert (night.begin, night.end) == (at("2026-03-10T18:00"), at("2026-03-11T06:00"))
    assert len(night.hours) == 12
    assert night.query == {"from": "18:00", "to": "06:00"}


@pytest.mark.parametrize(
    ("now", "on", "is_now"),
    [
        ("2026-03-10T17:59", "2026-03-09", False),
        ("2026-03-10T18:00", "2026-03-10", True),
        ("2026-03-11T01:00", "2026-03-10", True),
        ("2026-03-11T05:59", "2026-03-10", True),
        ("2026-03-11T06:00", "2026-03-10", False),
    ],
)
def test_without_a_date_it_is_the_night_that_is_on_or_the_last_one(
    now: str, on: str, is_now: bool
) -> None:
    night = period(now, None, "18:00", "06:00")
    assert (str(night.on), night.is_now, night.is_latest) == (on, is_now, True)


def test_a_part_of_a_day_and_a_day_that_begins_at_eight() -> None:
    part = period("2026-03-11T14:30", None, "09:00", "12:30")
    assert part.end - part.begin == timedelta(hours=3.5)
    assert len(part.hours) == 4
    assert not part.is_now
    day = period("2026-03-11T07:30", None, "08:00", "08:00")
    assert (str(day.on), day.end - day.begin) == ("2026-03-10", timedelta(days=1))


@pytest.mark.parametrize(
    "wrong", [("", ""), ("25:00", "x"), (None, None), ("\x00", "٢٤"), ("00:00", "24:00")]
)
def test_times_that_are_none_are_the_whole_day(wrong: tuple[str | None, str | None]) -> None:
    day = period("2026-03-11T14:30", None, *wrong)
    assert day.is_whole_day
    assert day.times == {}
    assert (day.begin, day.end) == (at("2026-03-11T00:00"), at("2026-03-12T00:00"))


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-02-30", "x", ""])
def test_a_date_that_is_none_is_the_latest(day: str) -> None:
    assert period("2026-03-11T14:30", day).on == date(2026, 3, 11)


@pytest.mark.parametrize(
    ("day", "first", "last", "hours"),
    [
        ("2026-03-08", None, None, 23),
        ("2026-11-01", None, None, 25),
        ("2026-03-07", "18:00", "06:00", 11),
        ("2026-10-31", "18:00", "06:00", 13),
        ("2026-03-08", "02:00", "03:00", 1),
    ],
)
def test_clocks_change(day: str, first: str | None, last: str | None, hours: int) -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    found = ReportingPeriod.of(day, first, last, now, NEW_YORK)
    assert len(found.hours) == hours
    assert found.begin <= found.end
