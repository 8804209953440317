"""A day in figures, on both databases: counted where it lies, at the borders of the hour and the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.callbacks.store_requests import asks, by
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.call_store import CallStore
from vad_agent.callbacks.daily_stats import DailyStats, DailyStatsStore, Tally

BEGIN = datetime(2026, 3, 10, 21, tzinfo=UTC)
HOURS = [BEGIN + timedelta(hours=number) for number in range(24)]
END = BEGIN + timedelta(days=1)


def call(store, name, at, *silences, operator="ivan", outcome="said"):
    lines = [
        {
            "t": 10.0, "kind": "prompt", "id": "not_heard", "text": "…", "window_s": [2.0, 3.0],
            "silence_s": silence, "started_s": 0.0 if outcome == "said" else None, "ended_s": 1.0,
            "outcome": outcome,
        }
        for silence in silences
    ]  # fmt: skip
    assert CallStore(store).take(CallRecord(name, operator, "auto", at, lines), at)


def figures(store):
    return DailyStatsStore(store).of_day(HOURS, END)


def test_an_empty_day(store):
    assert figures(store) == DailyStats([Tally()] * 24)
    assert Tally().share is None
    assert DailyStatsStore(store).outside(BEGIN, END, 5) == []


def test_calls_steps_and_callbacks_are_counted_by_operator_and_hour(store):
    call(store, "a", BEGIN, 2.5, 3.5)
    call(store, "b", BEGIN + timedelta(hours=1), 2.0, operator="anna")
    call(store, "c", END - timedelta(seconds=11), 2.5, outcome="interrupted", operator=None)
    for name, at in (("before", BEGIN - timedelta(seconds=1)), ("after", END)):
        call(store, name, at, 9.0)
    for number, name in enumerate(("a", "a", None)):
        at = BEGIN + timedelta(minutes=1)
        asked = asks(at, phone=f"+7912000000{number}", call=name, operator="olga")
        store.take(asked, by(at))
    found = figures(store)
    assert found.all == Tally(calls=3, ok=2, bad=1, note=1, asked=3)
    assert found.by_operator == {
        "ivan": Tally(calls=1, ok=1, bad=1, asked=2),
        "anna": Tally(calls=1, ok=1),
        None: Tally(calls=1, note=1),
        "olga": Tally(asked=1),
    }
    assert found.by_hour[:2] == [Tally(calls=1, ok=1, bad=1, asked=3), Tally(calls=1, ok=1)]
    assert found.by_hour[2:23] == [Tally()] * 21
    assert found.by_hour[23] == Tally(calls=1, note=1)
    assert found.all.share == 66
    [outside] = DailyStatsStore(store).outside(BEGIN, END, 5)
    assert (outside.call, outside.number, outside.silence_s) == ("a", 2, 3.5)


def test_a_day_of_25_hours(store):
    hours = [BEGIN + timedelta(hours=number) for number in range(25)]
    for number, at in enumerate(hours):
        call(store, f"call {number}", at)
    found = DailyStatsStore(store).of_day(hours, BEGIN + timedelta(hours=25))
    assert found.by_hour == [Tally(calls=1)] * 25
