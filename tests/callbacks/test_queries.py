"""Reading the store: pages, numbers, history, and the promise that can fail. On both databases."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.callbacks.store_requests import (
    NAME,
    OPENING,
    PHONE,
    TOPIC,
    asks,
    at_once,
    begin,
    by,
    client,
    reached,
    take,
    waiting,
    whats,
)
from vad_agent.callbacks import transitions
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key
from vad_agent.callbacks.model import ENDED, OPEN, Outcome, State
from vad_agent.callbacks.queries import CallbackQueries, Promise
from vad_agent.errors import RuleError

# -- the promise -----------------------------------------------------------------------------------

NOTHING = Promise(0, 0, 0, 0, 0, 0)


def change(store, id, what, now, how):
    return store.change(id, what, by(now), how)[1]


def test_the_promise_of_an_empty_store_is_kept(store):
    assert CallbackQueries(store).promise() == NOTHING
    assert CallbackQueries(store).promise().missing == 0


def test_each_end_has_its_place_in_the_promise(store, clock):
    now = clock.now
    reached(store, take(store, now, phone=client(1)), now)
    for phone in (client(2), client(2), client(3)):
        take(store, now, phone=phone)
    last = take(store, now, phone=client(4), call="c4")
    store.withdraw("c4", by(now))
    mine = take(store, now, phone=client(5))
    change(store, mine.id, "client_called", now, lambda c: transitions.client_called(c, now))
    assert CallbackQueries(store).promise() == Promise(
        taken=6, reached=1, not_reached=0, client_called=1, cancelled=1, open=3
    )
    assert store.get(last.id).state is State.CANCELLED


@pytest.mark.parametrize(
    ("tampering", "missing"),
    [
        ("DELETE FROM requests WHERE key = :key", 1),
        ("UPDATE requests SET callback = 'nobody' WHERE key = :key", 1),
        ("DELETE FROM history WHERE what = 'taken' AND callback = :id", -1),
        ("UPDATE callbacks SET state = 'vanished' WHERE id = :id", 1),
        ("UPDATE requests SET reason = 'hold' WHERE key = :key", 0),
    ],
)
def test_a_request_that_somebody_loses_is_missing(store, clock, tampering, missing):
    take(store, clock.now, phone=client(1))
    callback = take(store, clock.now, key="mine", phone=client(2))
    queries = CallbackQueries(store)
    assert queries.promise().missing == 0
    values = {"key": "mine", "id": callback.id}
    values = {name: value for name, value in values.items() if f":{name}" in tampering}
    unguarded = "SET session_replication_role = replica"
    if not store.database.on_server:
        unguarded = "PRAGMA foreign_keys=OFF"
    with store.database.engine.connect() as c:
        raw = c.connection.cursor()
        raw.execute(unguarded)
        if store.database.on_server:
            c.connection.commit()
        c.execute(sa.text(tampering), values)
        c.commit()
        c.invalidate()
    assert queries.promise().missing == missing


CLIENTS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("take"), CLIENTS),
    st.tuples(st.just("take in a call"), CLIENTS),
    st.tuples(st.just("take without a number"), CLIENTS),
    st.tuples(st.just("again"), CLIENTS),
    st.tuples(st.just("withdraw"), CLIENTS),
    st.tuples(st.just("client called"), CLIENTS),
    st.tuples(st.just("number"), CLIENTS),
    st.tuples(st.just("cancel"), CLIENTS),
    st.tuples(st.just("retry"), CLIENTS),
    st.tuples(st.just("wait"), CLIENTS),
    st.tuples(st.just("ring"), st.sampled_from(list(Outcome))),
)


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_whatever_happens_every_request_is_accounted_for(store, clock, steps):
    queries = CallbackQueries(store)
    taken_before = queries.promise().taken
    round_, keys = taken_before + 1, set()

    def ask(key, **more):
        keys.add(key)
        store.take(asks(clock.now, key=f"{round_} {key}", **more), by(clock.now))

    def any_of(states):
        return next(iter(queries.page(states, limit=1)), None)

    for n, (what, which) in enumerate(steps):
        mine = None if isinstance(which, Outcome) else f"+7912{round_:05}{which:02}"
        try:
            match what:
                case "take":
                    ask(f"k{n}", phone=mine, due=float(n))
                case "take in a call":
                    ask(f"k{n}", phone=mine, call=f"{round_} c{which}", call_on=True)
                case "take without a number":
                    ask(f"k{n}", phone=None, call=f"{round_} c{which}")
                case "again":
                    ask("k0", phone=mine)
                case "withdraw":
                    store.withdraw(f"{round_} c{which}", by(clock.now))
                case "client called":
                    store.change_client(
                        mine, what, by(clock.now), lambda c: transitions.client_called(c, clock.now)
                    )
                case "number" if one := any_of([State.NEEDS_NUMBER]):
                    change(
                        store,
                        one.id,
                        what,
                        clock.now,
                        lambda c, m=mine: transitions.set_number(c, m),
                    )
                case "cancel" if one := any_of(OPEN):
                    change(
                        store, one.id, what, clock.now, lambda c: transitions.cancel(c, clock.now)
                    )
                case "retry" if one := any_of(ENDED):
                    change(
                        store, one.id, what, clock.now, lambda c: transitions.retry(c, clock.now)
                    )
                case "wait":
                    clock.move(60)
                case "ring" if one := any_of([State.WAITING]):
                    if store.begin(one.key, "north", by(clock.now)) is not None:
                        store.end(one.key, which, "", by(clock.now))
        except RuleError:
            pass  # as for who retries what has no number
    promise = queries.promise()
    assert promise.taken == taken_before + len(keys)
    assert promise.missing == 0
    clients = [one.phone for one in queries.all() if one.open and one.phone]
    assert len(clients) == len(set(clients))
    assert set(waiting(store)) == {one.key for one in queries.all() if one.state is State.WAITING}


# -- pages -----------------------------------------------------------------------------------------


@pytest.fixture
def full(store, clock):
    """Callbacks by name: due in s, without a time or a number, ended."""
    now = clock.now
    made = {}
    for n, (name, more) in enumerate(
        {
            "90": {"due": 90.0, "operator": "ivanova"},
            "30": {"due": 30.0},
            "60": {"due": 60.0, "operator": "petrova"},
            "no time": {"due": None},
            "cancelled": {"due": 10.0},
            "reached": {"due": 0.0},
        }.items()
    ):
        made[name] = take(store, now.replace(second=n), phone=client(n), **more)
    made["no number"] = take(store, now.replace(second=8), phone=None, due=45.0)
    made["reached"] = reached(store, made["reached"], clock.move(10))
    made["cancelled"] = change(
        store, made["cancelled"].id, "cancelled", now, lambda c: transitions.cancel(c, now)
    )
    return {callback.id: name for name, callback in made.items()}


ORDER = ["30", "no number", "60", "90", "no time", "reached", "cancelled"]


def names(full, callbacks):
    return [full[callback.id] for callback in callbacks]


def test_a_page_has_the_next_due_first_then_those_without_a_time_then_the_ended(store, full):
    assert names(full, CallbackQueries(store).page()) == ORDER


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_pages_one_after_the_other_are_the_whole_list(store, full, limit):
    queries, seen, after = CallbackQueries(store), [], None
    while page := queries.page(after=after, limit=limit):
        assert len(page) <= limit
        seen += names(full, page)
        after = page[-1].id
    assert seen == ORDER


def test_after_the_last_one_and_after_nobody_there_is_nothing(store, full):
    assert CallbackQueries(store).page(after="nobody") == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"states": [State.WAITING]}, ["30", "60", "90"]),
        ({"states": ENDED}, ["reached", "cancelled"]),
        ({"states": []}, []),
        ({"phone": client(1)}, ["30"]),
        ({"phone": client(77)}, []),
        ({"operator": "ivanova"}, ["30", "no number", "90", "no time", "reached", "cancelled"]),
        ({"operator": "ivanova", "states": [State.WAITING]}, ["30", "90"]),
        ({"operator": "petrova", "states": [State.WAITING], "limit": 1}, ["30"]),
    ],
)
def test_a_page_is_filtered_by_state_number_and_operator(store, full, filters, expected):
    assert names(full, CallbackQueries(store).page(**filters)) == expected


def test_all_are_listed_oldest_first(store, full):
    listed = names(full, CallbackQueries(store).all())
    assert listed == ["90", "30", "60", "no time", "cancelled", "reached", "no number"]


def test_the_calls_that_asked_are_listed_once_each_in_order(store, clock):
    callback = take(store, clock.now, call="c2")
    take(store, clock.move(1), call="c1")
    take(store, clock.move(1))
    take(store, clock.move(1), call="c2", reason="hold")
    assert CallbackQueries(store).calls_of(callback.id) == ["c2", "c1"]


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_s", "late"), [(89, []), (90, []), (90.000001, ["30"]), (151, ["30", "60"])]
)
def test_what_nothing_rings_for_is_overdue_by_more_than_a_minute(store, clock, after_s, late):
    made = {take(store, clock.now, phone=client(n), due=n).id: f"{n}" for n in (60.0, 30.0)}
    take(store, clock.now, phone=client(1), due=600.0)
    begin(store, take(store, clock.now, phone=client(2)), clock.now)
    now = clock.move(after_s)
    queries = CallbackQueries(store)
    assert [made[one.id].removesuffix(".0") for one in queries.overdue(now)] == late
    assert queries.numbers(now).overdue == len(late)


def test_one_that_needs_something_is_overdue_from_when_it_was_taken(store, clock):
    callback = take(store, clock.now, phone=None, due=None)
    assert CallbackQueries(store).overdue(clock.move(60)) == []
    assert CallbackQueries(store).overdue(clock.move(1)) == [callback]


def test_the_numbers_count_states_outcomes_and_the_age_of_the_oldest(store, clock):
    start = clock.now
    queries = CallbackQueries(store)
    empty = queries.numbers(start)
    assert (empty.oldest_due_s, empty.under_way, empty.attempts_by_outcome) == (0.0, 0, {})
    assert empty.by_state == {state.value: 0 for state in State}
    reached(store, take(store, start, phone=client(1)), start)
    busy = begin(store, take(store, start, phone=client(2)), start)
    store.end(busy, Outcome.BUSY, "", by(start))
    begin(store, take(store, start, phone=client(3)), start)
    take(store, start, phone=client(4), due=20.0)
    now = clock.move(50)
    numbers = queries.numbers(now)
    assert numbers.by_state == empty.by_state | {"reached": 1, "waiting": 2, "ringing": 1}
    assert numbers.attempts_by_outcome == {"reached": 1, "busy": 1}
    assert numbers.under_way == 1
    assert numbers.oldest_due_s == 30
    assert queries.numbers(start).oldest_due_s == 0


# -- history ---------------------------------------------------------------------------------------


def test_history_says_who_changed_what_when_and_why(store, clock):
    start = clock.now
    callback = store.take(asks(start, due=60.0), by(start, "asked", who="headset 3")).callback
    later = clock.move(5)
    store.change(
        callback.id,
        "cancelled",
        by(later, "by mistake", who="ivanova"),
        lambda c: transitions.cancel(c, later),
    )
    taken, cancelled = CallbackQueries(store).history(callback.id)
    assert (taken.what, taken.who, taken.why, taken.at) == ("taken", "headset 3", "asked", start)
    assert (cancelled.what, cancelled.who) == ("cancelled", "ivanova")
    assert (cancelled.why, cancelled.at) == ("by mistake", later)
    assert cancelled.change["state"] == ["waiting", "cancelled"]
    assert cancelled.change["ended"] == [None, later.isoformat()]
    assert CallbackQueries(store).history("nobody") == []


def busy_day(store, clock):
    """Everything that can happen to what is personal."""
    given = {"name": NAME, "topic": TOPIC, "opening": OPENING}
    first = take(store, clock.now, call="c1", **given)
    store.take(asks(clock.now, call="c1", reason="hold", **given), by(clock.now))
    store.take(asks(clock.now, call="c2", reason="ended", **given), by(clock.now))
    key = begin(store, store.get(first.id), clock.move(60))
    store.end(key, Outcome.NO_ANSWER, "rang for 30 s", by(clock.now))
    unknown = take(store, clock.now, phone=None, phone_given="8 912 345", **given)
    store.change(
        unknown.id, "number_set", by(clock.now), lambda c: transitions.set_number(c, PHONE)
    )
    take(store, clock.now, phone=None, phone_given="8 912 345", **given)
    store.withdraw("c1", by(clock.now))
    return first


SECRETS = [PHONE, PHONE[1:], "8 912 345", NAME, "Кузнецова", TOPIC, OPENING]
PERSONAL = {
    ("callbacks", column)
    for column in ("phone", "phone_given", "name", "topic", "opening", "client")
} | {("requests", "body")}


def found(store):
    """(table, column) of everything that holds a name, a number or a topic."""
    places = set()
    inspector = sa.inspect(store.database.engine)
    with store.database.reading() as c:
        for table in inspector.get_table_names():
            for row in c.execute(sa.text(f'SELECT * FROM "{table}"')).mappings():
                for column, value in row.items():
                    text = str(value)
                    if isinstance(value, str) and value.startswith(("{", "[")):
                        text += json.dumps(json.loads(value), ensure_ascii=False)
                    if any(secret in text for secret in SECRETS):
                        places.add((table, column))
    return places


def test_without_a_key_what_is_personal_stands_in_its_columns_alone(store, clock):
    busy_day(store, clock)
    assert found(store) == PERSONAL


def test_with_a_key_nothing_personal_can_be_read_anywhere(opened, clock):
    store = opened(encryption=FieldEncryption(new_key()))
    first = busy_day(store, clock)
    assert found(store) == set()
    assert store.get(first.id).name == NAME
    assert CallbackQueries(store).page(phone=PHONE)[0].id == first.id
    assert "merged" in whats(store, first.id)


def test_the_search_for_what_is_personal_finds_it_in_history_too(store, clock):
    take(store, clock.now)
    with store.database.writing() as c:
        c.execute(sa.text("UPDATE history SET why = :why"), {"why": f"for {NAME}"})
    assert ("history", "why") in found(store)


def test_the_promise_is_of_one_moment(store, clock):
    """Requests that come while it is counted are in both accounts or in none."""
    queries = CallbackQueries(store)

    def either(n):
        if n % 4 == 0:
            return queries.promise().missing
        take(store, clock.now, phone=client(n))
        return 0

    assert set(at_once(either, 120, threads=8)) == {0}
    assert queries.promise() == replace(NOTHING, taken=90, open=90)
