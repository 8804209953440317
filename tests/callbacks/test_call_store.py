"""Calls that are over: taken once, counted by verdict, sealed and erased. On both databases."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.callbacks.store_requests import PHONE, at_once, by, client, reached, rows, take
from vad_agent.callbacks.call_record import LONGEST, MOST_STEPS, CallRecord, StepRecord
from vad_agent.callbacks.call_store import CallRow, CallStore
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key
from vad_agent.callbacks.retention import erase
from vad_agent.callbacks.store import Store
from vad_agent.errors import StoreError
from vad_agent.trace.window_compliance import Verdict

MOSCOW = ZoneInfo("Europe/Moscow")
NOON = datetime(2026, 11, 24, 12, tzinfo=MOSCOW)
DAY = datetime(2026, 11, 24, tzinfo=MOSCOW), datetime(2026, 11, 25, tzinfo=MOSCOW)
NAME = "Пелагея"
DAY_S = 86400.0


def phase(t: float, name: str = "ended") -> dict[str, Any]:
    return {"t": t, "kind": "phase", "phase": name}


def prompt(
    t: float, silence: float = 2.5, *, sounded: bool = True, outcome: str = "said", **more: Any
) -> dict[str, Any]:
    """Its window is 2 to 3 s; it begins 1 s before its line."""
    return {
        "t": t,
        "kind": "prompt",
        "id": "not_heard",
        "text": f"{NAME}, Вас не слышно",
        "window_s": [2.0, 3.0],
        "silence_s": silence,
        "started_s": t - 1 if sounded else None,
        "ended_s": t if sounded else None,
        "outcome": outcome,
    } | more


GOOD, LATE = prompt(10.0), prompt(20.0, 3.02)
NOT_NEEDED = prompt(30.0, sounded=False, outcome="interrupted")
MISSED = prompt(40.0, sounded=False, outcome="missed")


def record(
    call: str = "pc-1-call", began: datetime = NOON, operator: str | None = "anna", *lines: Any
) -> CallRecord:
    return CallRecord(call, operator, "auto", began, lines or (phase(0.02, "greeting"), GOOD))


@pytest.fixture
def calls(store: Store) -> CallStore:
    return CallStore(store)


# -- a record ---------------------------------------------------------------------------------------


def test_each_prompt_is_a_step_at_the_time_of_its_sound():
    told = record("c", NOON, "anna", phase(0.02), GOOD, LATE, NOT_NEEDED, MISSED, phase(44.0))
    assert told.seconds == 44.0
    found = told.steps()
    assert [step.number for step in found] == [1, 2, 3, 4]
    assert [(step.at - NOON).total_seconds() for step in found] == [9.0, 19.0, 30.0, 40.0]
    assert [step.verdict.value for step in found] == ["ok", "bad", "note", "bad"]
    first = StepRecord("c", "anna", 1, NOON + timedelta(seconds=9), "not_heard", 2.0, 3.0, 2.5, "said",
                 Verdict.OK)  # fmt: skip
    assert found[0] == first


def test_a_call_without_lines_lasts_no_time():
    assert CallRecord("c", None, "cue", NOON, []).seconds == 0.0


def test_where_it_is_printed_it_names_no_client():
    assert NAME not in repr(record())


ABSURD: dict[str, dict[str, Any]] = {
    "no call": {"call": ""},
    "an unknown mode": {"mode": NAME},
    "a time without a zone": {"began": datetime(2026, 11, 24)},
    "a clock that was never set": {"began": datetime(1970, 1, 1, tzinfo=UTC)},
    "the year before the first": {"began": datetime(1999, 12, 31, 23, 59, tzinfo=UTC)},
    "the year after the last": {"began": datetime(2100, 1, 1, tzinfo=UTC)},
    "too many prompts": {"lines": [GOOD] * (MOST_STEPS + 1)},
    **{
        f"a prompt whose {name} is {value!r}": {"lines": [GOOD | {name: value}]}
        for name, values in {
            "id": (None, "", 5, [NAME]),
            "outcome": (None, "", {NAME: 1}),
            "window_s": (None, 2.0, [], [1.0], [1, 2, 3], [None, 2.0], ["1", 2], {NAME: 1}),
            "silence_s": (None, NAME, True, 10**400, 1e300),
            "started_s": (NAME, False, [], -1e300),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("wrong", ABSURD.values(), ids=range(len(ABSURD)))
def test_what_is_no_call_is_refused_and_not_repeated(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=r"^\w+: ") as refused:
        dataclasses.replace(record(), **wrong)
    assert NAME not in str(refused.value)


@pytest.mark.parametrize("began", [datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59,
                                   tzinfo=timezone(timedelta(hours=-12)))])  # fmt: skip
def test_the_first_and_the_last_year_are_taken(began: datetime, calls: CallStore):
    assert calls.take(record(began=began), NOON)
    found = calls.get("pc-1-call")
    assert found is not None
    assert found[0].began == began


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.none() | st.booleans() | st.text()
       | st.floats() | st.integers() | st.lists(st.floats() | st.none(), max_size=3)))  # fmt: skip
def test_whatever_a_prompt_has_it_is_a_step_or_a_value_error(other: dict[str, Any]):
    line = GOOD | other | {"t": 1.0, "kind": "prompt"}
    try:
        [step] = record("c", NOON, None, line).steps()
    except ValueError:
        return
    assert len(step.prompt) <= LONGEST["id"]
    assert len(step.outcome) <= LONGEST["outcome"]
    assert step.at.tzinfo is not None


# -- taken ------------------------------------------------------------------------------------------


def test_a_call_is_kept_with_its_trace_and_its_steps(calls: CallStore):
    told = record("c", NOON, "anna", phase(0.02), GOOD, LATE, NOT_NEEDED, MISSED, phase(44.0))
    assert calls.take(told, NOON + timedelta(minutes=1))
    row, lines = calls.get("c") or pytest.fail("it is not there")
    assert row == CallRow("c", "anna", "auto", NOON, 44.0, 1, 2, 1, callback=False)
    assert lines == list(told.lines)
    assert calls.steps(*DAY) == told.steps()
    assert calls.of_day(*DAY) == [row]


def test_told_twice_it_is_kept_once_as_it_was(calls: CallStore, store: Store):
    assert calls.take(record(), NOON)
    assert not calls.take(record("pc-1-call", NOON, "boris", LATE, MISSED), NOON)
    [row] = calls.of_day(*DAY)
    assert (row.operator, row.steps_ok, row.steps_bad) == ("anna", 1, 0)
    assert rows(store, "SELECT count(*) FROM steps") == [(1,)]


def test_told_by_many_at_once_it_is_kept_once(calls: CallStore, store: Store):
    took = at_once(lambda n: calls.take(record(f"c{n % 2}"), NOON), 16, threads=8)
    assert sorted(took) == [False] * 14 + [True] * 2
    assert rows(store, "SELECT count(*) FROM steps") == [(2,)]


def test_a_call_that_cannot_be_stored_leaves_nothing(
    calls: CallStore, store: Store, monkeypatch: pytest.MonkeyPatch
):
    steps = record().steps()
    monkeypatch.setattr(CallRecord, "steps", lambda _: [*steps, *steps])  # one number twice
    monkeypatch.setattr("vad_agent.callbacks.unit_of_work.RACES", 2)
    with pytest.raises(StoreError):
        calls.take(record(), NOON)
    assert rows(store, "SELECT count(*) FROM calls") == [(0,)]
    assert rows(store, "SELECT count(*) FROM steps") == [(0,)]


def test_odd_texts_are_kept_as_far_as_a_database_can(calls: CallStore):
    odd = GOOD | {"id": "x\0" + "й" * 60, "outcome": "\ud800" * 30, "text": "Ан\ud800\0на"}
    assert calls.take(record("звонок №1 🎧", NOON, "о\0пер\ud800", odd), NOON)
    row, lines = calls.get("звонок №1 🎧") or pytest.fail("it is not there")
    assert row.operator == "опер?"
    assert lines is not None
    assert lines[0]["text"] == "Ан?\0на"
    [step] = calls.steps(*DAY)
    assert (step.prompt, step.outcome) == ("x" + "й" * 39, "?" * 24)


def test_of_an_unknown_call_nothing_is_known(calls: CallStore):
    assert calls.get("nobody") is None
    assert calls.callbacks_of("nobody") == []
    assert calls.of_day(*DAY, before="nobody") == []
    assert calls.steps(*DAY, "nobody") == []


def test_a_call_knows_the_callbacks_it_asked_for(calls: CallStore, store: Store, clock):
    for call in ("asks", "asks nothing", "withdraws"):
        calls.take(record(call), NOON)
    one = take(store, clock.now, call="asks")
    take(store, clock.now, call="asks", reason="agreed", due=60.0)
    other = take(store, clock.now, call="withdraws", phone=client(2))
    store.withdraw("withdraws", by(clock.now))
    take(store, clock.now, call="another headset's", phone=client(3))
    assert calls.callbacks_of("asks") == [one.id]
    assert calls.callbacks_of("withdraws") == [other.id]
    assert calls.callbacks_of("asks nothing") == []
    asked = {row.call for row in calls.of_day(*DAY) if row.callback}
    assert asked == {"asks", "withdraws"}


# -- lists ------------------------------------------------------------------------------------------


@pytest.fixture
def shift(calls: CallStore) -> CallStore:
    """Ten calls of two operators and nobody, three of them at one second."""
    for n in range(10):
        began = NOON + timedelta(minutes=max(0, n - 2))
        operator = ("anna", "boris", None)[n % 3]
        calls.take(record(f"c{n}", began, operator, *([GOOD] * (n % 2)), phase(50.0)), NOON)
    return calls


def test_calls_are_listed_the_newest_first(shift: CallStore):
    assert [row.call for row in shift.of_day(*DAY)] == [f"c{n}" for n in range(9, -1, -1)]
    assert [row.call for row in shift.of_day(*DAY, "boris")] == ["c7", "c4", "c1"]
    assert [row.call for row in shift.of_day(*DAY, limit=2)] == ["c9", "c8"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("operator", [None, "anna"])
def test_pages_hold_every_call_once(operator: str | None, limit: int, shift: CallStore):
    whole = shift.of_day(*DAY, operator)
    seen: list[CallRow] = []
    while page := shift.of_day(*DAY, operator, limit=limit, before=seen[-1].call if seen else None):
        assert len(page) <= limit
        seen += page
    assert seen == whole


def test_a_day_has_its_beginning_and_not_its_end(calls: CallStore):
    for n, began in enumerate((DAY[0] - timedelta(microseconds=1), DAY[0], DAY[1])):
        calls.take(record(f"c{n}", began), NOON)
    assert [row.call for row in calls.of_day(*DAY)] == ["c1"]
    assert [step.call for step in calls.steps(*DAY)] == ["c0", "c1"]  # its step was after midnight


def test_steps_are_in_order_of_time_across_calls(calls: CallStore):
    calls.take(record("a", NOON, "anna", prompt(5.0), prompt(60.0)), NOON)
    calls.take(record("b", NOON, "boris", prompt(30.0), prompt(5.0)), NOON)
    assert [(step.call, step.number) for step in calls.steps(*DAY)] == [
        ("a", 1),
        ("b", 2),
        ("b", 1),
        ("a", 2),
    ]
    assert [step.call for step in calls.steps(*DAY, "boris")] == ["b", "b"]


# -- at rest ----------------------------------------------------------------------------------------


def test_with_a_key_the_trace_is_sealed(opened):
    store = opened(encryption=FieldEncryption(new_key()))
    CallStore(store).take(record(), NOON)
    assert [text[:2] for (text,) in rows(store, "SELECT lines FROM calls")] == ["f:"]
    found = CallStore(store).get("pc-1-call")
    assert found is not None
    assert found[1] == list(record().lines)


def test_a_key_that_comes_later_seals_what_was_there(opened):
    store = opened()
    for n in range(3):
        CallStore(store).take(record(f"c{n}"), NOON)
    erase(store, 0, by(NOON - timedelta(seconds=1)))
    assert [text[:2] for (text,) in rows(store, "SELECT lines FROM calls")] == ["p:"] * 3
    store.close()
    key = new_key()
    store = opened(encryption=FieldEncryption(key))
    assert [text[:2] for (text,) in rows(store, "SELECT lines FROM calls")] == ["f:"] * 3
    found = CallStore(store).get("c1")
    assert found is not None
    assert found[1] == list(record().lines)
    store.close()
    with pytest.raises(StoreError, match="set the key"):
        opened()


def test_erased_lines_stay_erased_when_a_key_comes(opened):
    store = opened()
    CallStore(store).take(record(), NOON)
    erase(store, 0, by(NOON + timedelta(minutes=1)))
    store.close()
    store = opened(encryption=FieldEncryption(new_key()))
    assert rows(store, "SELECT lines FROM calls") == [(None,)]


def test_a_trace_that_is_none_is_an_error_of_the_store(calls: CallStore, store: Store):
    calls.take(record(), NOON)
    with store.database.writing() as c:
        c.exec_driver_sql("UPDATE calls SET lines = 'p:AAAA'")
    with pytest.raises(StoreError, match="cannot be read"):
        calls.get("pc-1-call")


@pytest.mark.parametrize(
    ("after_s", "is_erased"),
    [(0.0, False), (60 - 0.001, False), (60.0, True), (60 + 0.001, True), (90 * DAY_S, True)],
)
def test_a_trace_is_erased_so_many_days_after_its_calls_end(
    after_s: float, is_erased: bool, calls: CallStore, store: Store
):
    calls.take(record("c", NOON, "anna", GOOD, phase(60.0)), NOON)
    before = calls.of_day(*DAY), calls.steps(*DAY)
    now = NOON + timedelta(days=30, seconds=after_s)
    assert erase(store, 30, by(now)) == 0  # of callbacks
    row, lines = calls.get("c") or pytest.fail("it is not there")
    assert (lines is None) == is_erased
    assert (calls.of_day(*DAY), calls.steps(*DAY)) == before == ([row], before[1])


def test_callbacks_are_counted_and_traces_erased_in_one_go(calls: CallStore, store: Store, clock):
    reached(store, take(store, clock.now, phone=PHONE), clock.now)
    calls.take(record("c", clock.now), clock.now)
    now = clock.move(31 * DAY_S)
    assert [erase(store, 30, by(now)), erase(store, 30, by(now))] == [1, 0]
    assert rows(store, "SELECT lines FROM calls") == [(None,)]
    assert not calls.take(record("c", clock.now), clock.now)  # told again it comes not back
    assert rows(store, "SELECT lines FROM calls") == [(None,)]


def test_the_file_itself_holds_nothing_of_an_erased_trace(tmp_path: Path, policy):
    store = Store(str(tmp_path / "callbacks.sqlite3"), policy)
    told = record()
    CallStore(store).take(told, NOON)
    [(stored,)] = rows(store, "SELECT lines FROM calls")

    def on_the_disk() -> bool:
        data = b"".join(part.read_bytes() for part in sorted(tmp_path.iterdir()))
        return stored.encode() in data

    assert on_the_disk()
    erase(store, 30, by(NOON + timedelta(days=31)))
    assert not on_the_disk()
    store.close()
