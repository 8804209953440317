"""The store: a request once, a client once, every change told. On both databases."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

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
    rows,
    seconds,
    take,
    waiting,
    whats,
)
from vad_agent.callbacks import database, model, transitions
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.errors import NumberError, RuleError, StoreError

# -- one request, one callback ---------------------------------------------------------------------


def test_a_request_is_a_callback_that_waits_and_reads_back_as_it_was(store, clock):
    request = asks(
        clock.now,
        due=90.0,
        reason="hold",
        name=NAME,
        topic=TOPIC,
        opening=OPENING,
        operator="ivanova",
        session="s-1",
    )
    taken = store.take(request, by(clock.now))
    assert taken.what == "taken"
    assert store.get(taken.callback.id) == taken.callback
    callback = store.get(taken.callback.id)
    assert (callback.state, callback.due) == (State.WAITING, clock.now + timedelta(seconds=90))
    told = (callback.phone, callback.name, callback.topic, callback.opening, callback.operator)
    assert told == (PHONE, NAME, TOPIC, OPENING, "ivanova")
    assert callback.session == "s-1"
    assert waiting(store) == {callback.key: callback.next}


def test_the_same_request_again_is_a_duplicate_and_changes_nothing(store, clock):
    request = asks(clock.now)
    first = store.take(request, by(clock.now))
    second = store.take(request, by(clock.move(5)))
    assert (second.what, second.callback) == ("duplicate", first.callback)
    assert set(waiting(store)) == {first.callback.key}
    assert whats(store, first.callback.id) == ["taken"]
    assert CallbackQueries(store).promise().taken == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("8 (912) 345-67-89", "+7 912 345 67 89"),
        ("+79123456789", "89123456789"),
        ("9123456789", "8-912-345-67-89"),
    ],
)
def test_one_client_by_either_form_of_his_number_has_one_callback(store, clock, first, second):
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: 0.0))
    one = desk.take(asks(clock.now, phone=first, due=120.0), "headset")
    two = desk.take(asks(clock.now, phone=second, due=60.0, reason="hold"), "headset")
    assert (two.what, two.callback.id) == ("merged", one.callback.id)
    assert two.callback.reasons == ("dropped", "hold")
    assert seconds(two.callback.due, clock.now) == 60
    assert two.callback.key != one.callback.key
    assert set(waiting(store)) == {two.callback.key}


def test_clients_that_differ_in_a_digit_have_a_callback_each(store, clock):
    assert take(store, clock.now, phone=client(1)).id != take(store, clock.now, phone=client(2)).id


def test_a_number_that_is_none_is_kept_as_given_or_refused_where_strict(store, clock):
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: 0.0))
    with pytest.raises(NumberError):
        desk.take(asks(clock.now, phone="8 912"), "api", strict=True)
    assert CallbackQueries(store).promise().taken == 0
    callback = desk.take(asks(clock.now, phone="8 912"), "headset").callback
    assert (callback.state, callback.phone) == (State.NEEDS_NUMBER, None)
    assert store.get(callback.id).phone_given == "8 912"


def test_a_revision_leaves_the_attempt_that_rings_its_number(store, clock):
    """Of an attempt under way neither the key nor the number that rings changes."""
    first = take(store, clock.now, call="pbx/1", phone=client(1))
    key = begin(store, first, clock.now)
    later = clock.move(1)
    other = store.take(asks(later, call="pbx/1", phone=client(2), key="k2"), by(later))
    ringing = store.get(first.id)
    assert (ringing.phone, ringing.key, ringing.state) == (client(1), key, State.RINGING)
    assert (other.what, other.callback.phone, other.callback.state) == (
        "taken",
        client(2),
        State.WAITING,
    )


def test_a_client_who_comes_back_needs_neither_callback_of_the_call(store, clock):
    first = take(store, clock.now, call="pbx/1", phone=client(1))
    begin(store, first, clock.now)
    second = take(store, clock.move(1), call="pbx/1", phone=client(2))
    cancelled = store.withdraw("pbx/1", by(clock.move(1)))
    assert cancelled.id == first.id  # what rings is stopped
    assert [store.get(one.id).state for one in (first, second)] == [State.CANCELLED] * 2


def test_a_client_who_comes_back_keeps_the_time_that_the_call_has_agreed(store, clock):
    agreed = take(
        store,
        clock.now,
        call="c",
        phone=client(1),
        reason="agreed",
        at="2031-03-01T15:30",
        due=None,
    )
    first = take(store, clock.move(1), call="c", phone=client(1), key="k2")
    begin(store, first, clock.now)
    second = take(store, clock.move(1), call="c", phone=client(2), key="k3")
    assert len({agreed.id, first.id, second.id}) == 3
    assert store.withdraw("c", by(clock.move(1))).id == first.id
    states = [store.get(one.id).state for one in (agreed, first, second)]
    assert states == [State.WAITING, State.CANCELLED, State.CANCELLED]


def test_a_name_is_stored_composed_however_it_was_sent(store, clock):
    callback = take(store, clock.now, name="И\u0306ля", topic="Е\u0308лка")
    assert (callback.name, callback.topic) == ("Йля", "Ёлка")
    assert store.get(callback.id).name == "Йля"


def test_the_same_call_revises_its_callback(store, clock):
    first = take(store, clock.now, call="c1", due=120.0)
    request = asks(clock.move(10), call="c1", due=300.0, reason="ended", name=NAME)
    second = store.take(request, by(clock.now))
    assert (second.what, second.callback.id) == ("revised", first.id)
    assert seconds(second.callback.due, clock.now) == 300
    assert second.callback.name == NAME
    assert second.callback.key != first.key
    assert set(waiting(store)) == {second.callback.key}
    assert CallbackQueries(store).promise().open == 2


def test_a_call_that_learns_its_number_late_joins_the_clients_other_callback(store, clock):
    unknown = take(store, clock.now, phone=None, call="c1")
    other = take(store, clock.now, call="c2", due=600.0)
    taken = store.take(asks(clock.now, call="c1", due=30.0), by(clock.now))
    assert taken.callback.id == other.id
    assert seconds(taken.callback.due, clock.now) == 30
    assert taken.callback.key != other.key
    assert set(waiting(store)) == {taken.callback.key}
    assert store.get(unknown.id).state is State.CANCELLED
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.open, promise.cancelled, promise.missing) == (3, 3, 0, 0)


def test_a_request_that_is_impossible_is_refused_and_leaves_nothing(store, clock):
    with pytest.raises(RuleError, match="at: "):
        store.take(asks(clock.now, at="tomorrow at six"), by(clock.now))
    assert rows(store, "SELECT * FROM requests") == []
    assert rows(store, "SELECT * FROM history") == []


@pytest.mark.parametrize(
    "name", ["Анна\0", "Анна\ud800", "\ud83d\ude00", "'; DROP TABLE x; --", "😀" * 500]
)
def test_no_name_is_a_reason_to_lose_a_request(store, clock, name):
    request = asks(clock.now, name=name, operator=name, session=name, call=name[:20])
    callback = store.take(request, by(clock.now)).callback
    assert store.get(callback.id) == callback
    assert callback.phone == PHONE
    assert callback.name is not None
    assert callback.name[:4] == name.replace("\ud800", "?").encode(errors="replace").decode()[:4]


# -- at once ---------------------------------------------------------------------------------------


def test_the_same_request_a_hundred_times_at_once_is_one_callback(store, clock):
    request = asks(clock.now)
    taken = at_once(lambda _: store.take(request, by(clock.now)), 100)
    assert sorted({one.what for one in taken}) == ["duplicate", "taken"]
    assert [one.what for one in taken].count("taken") == 1
    assert len({one.callback.id for one in taken}) == 1
    assert len(rows(store, "SELECT * FROM requests")) == 1
    assert len(rows(store, "SELECT * FROM callbacks")) == 1
    assert CallbackQueries(store).promise().taken == 1


def test_a_hundred_requests_of_one_client_at_once_are_one_open_callback(store, clock):
    taken = at_once(
        lambda n: store.take(asks(clock.now, due=60.0 + n, reason=f"r{n}"), by(clock.now)), 100
    )
    assert [one.what for one in taken].count("taken") == 1
    (callback,) = CallbackQueries(store).page()
    assert set(callback.reasons) == {f"r{n}" for n in range(100)}
    assert seconds(callback.due, clock.now) == 60
    assert rows(store, "SELECT DISTINCT callback FROM requests") == [(callback.id,)]
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.open, promise.missing) == (100, 100, 0)


def test_threads_that_give_each_others_numbers_all_come_to_an_end(store, clock):
    pairs = 12
    calls = [take(store, clock.now, phone=client(n), call=f"c{n}") for n in range(2 * pairs)]

    def swap(n):
        request = asks(clock.now, phone=client(n ^ 1), call=f"c{n}", reason="ended")
        return store.take(request, by(clock.now))

    at_once(swap, len(calls))
    open_ones = CallbackQueries(store).page(model.OPEN)
    phones = [one.phone for one in open_ones]
    assert len(phones) == len(set(phones))
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.open, promise.missing) == (4 * pairs, 4 * pairs, 0)


def test_withdrawn_and_joined_at_once_neither_is_lost(store, clock):
    for n in range(15):
        take(store, clock.now, phone=client(n), call=f"kept {n}")
        found = take(store, clock.now, phone=None, call=f"back {n}")

        def either(turn, n=n, found=found):
            if turn:
                store.withdraw(f"back {n}", by(clock.now))
                return
            with suppress(RuleError):  # the other one was quicker
                store.change(
                    found.id,
                    "number_set",
                    by(clock.now),
                    lambda c: transitions.set_number(c, client(n)),
                )

        at_once(either, 2, threads=2)
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.missing) == (30, 0)
    assert len(CallbackQueries(store).page(model.OPEN, limit=100)) == 15


# -- the client is back, or the call over ----------------------------------------------------------


def test_withdrawn_is_cancelled_and_asked_again_is_a_new_callback(store, clock):
    first = take(store, clock.now, call="c1")
    gone = store.withdraw("c1", by(clock.move(1), "the client came back"))
    assert gone is not None
    assert (gone.id, gone.state, gone.ended) == (first.id, State.CANCELLED, clock.now)
    assert store.withdraw("c1", by(clock.now)) is None
    again = store.take(asks(clock.move(1), call="c1"), by(clock.now))
    assert again.what == "taken"
    assert again.callback.id != first.id
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.cancelled, promise.open) == (2, 1, 1)


def test_what_another_call_asks_for_too_is_not_withdrawn(store, clock):
    callback = take(store, clock.now, call="c1")
    take(store, clock.now, call="c2")
    assert store.withdraw("c1", by(clock.now)) is None
    assert store.get(callback.id).state is State.WAITING
    last = store.withdraw("c2", by(clock.now))
    assert last is not None
    assert last.state is State.CANCELLED


def test_withdrawing_what_nobody_asked_for_does_nothing(store, clock):
    assert store.withdraw("never", by(clock.now)) is None


@pytest.mark.parametrize(
    ("ends_after", "due_after"), [(0, 0), (3, 3), (14, 14), (15, 15), (40, 15)]
)
def test_a_callback_at_once_is_due_when_its_call_has_ended(store, clock, ends_after, due_after):
    asked = clock.now
    callback = take(store, asked, call="c1", call_on=True)
    assert seconds(callback.due, asked) == 15
    ended = store.call_ended("c1", by(clock.move(ends_after)))
    now = store.get(callback.id)
    assert seconds(now.due, asked) == due_after
    assert now.early is None
    if due_after < 15:
        assert ended == now
        assert now.key != callback.key
        assert waiting(store) == {now.key: now.next}


def test_a_call_ends_once_and_only_its_own_callback_is_due(store, clock):
    other = take(store, clock.now, phone=client(2), call="c2", call_on=True)
    take(store, clock.now, call="c1", call_on=True)
    assert store.call_ended("c1", by(clock.move(1))) is not None
    assert store.call_ended("c1", by(clock.move(1))) is None
    assert store.get(other.id) == other


# -- two open callbacks of one client become one ---------------------------------------------------


def test_a_number_found_that_has_an_open_callback_joins_it(store, clock):
    known = take(store, clock.now, due=600.0, reason="hold")
    unknown = take(store, clock.now, phone=None, due=30.0, name=NAME)
    before, after = store.change(
        unknown.id, "number_set", by(clock.now), lambda c: transitions.set_number(c, PHONE)
    )
    assert (before.id, after.id) == (unknown.id, known.id)
    assert set(waiting(store)) == {after.key} != {known.key}
    assert after.reasons == ("hold", "dropped")
    assert seconds(after.due, clock.now) == 30
    assert after.name == NAME
    assert store.get(known.id) == after
    assert store.get(unknown.id).state is State.CANCELLED
    assert whats(store, unknown.id) == ["taken", "joined"]
    assert whats(store, known.id) == ["taken", "merged"]
    assert rows(store, "SELECT DISTINCT callback FROM requests") == [(known.id,)]
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.open, promise.cancelled, promise.missing) == (2, 2, 0, 0)


def test_retry_of_an_ended_one_joins_the_clients_open_one(store, clock):
    ended = reached(store, take(store, clock.now), clock.now)
    open_one = take(store, clock.move(60), due=600.0)
    _, after = store.change(
        ended.id, "retried", by(clock.now), lambda c: transitions.retry(c, clock.now)
    )
    assert after.id == open_one.id
    assert after.due == clock.now
    assert store.get(ended.id).state is State.CANCELLED
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.open, promise.reached, promise.missing) == (2, 2, 0, 0)


def test_one_that_rings_is_joined_without_a_second_ring(store, clock):
    ringing = take(store, clock.now)
    key = begin(store, ringing, clock.now)
    unknown = take(store, clock.now, phone=None)
    _, after = store.change(
        unknown.id, "number_set", by(clock.move(5)), lambda c: transitions.set_number(c, PHONE)
    )
    assert (after.id, after.state, after.key) == (ringing.id, State.RINGING, key)
    assert waiting(store) == {}
    assert after.again is not None


def test_a_change_that_the_rule_refuses_leaves_no_trace(store, clock):
    callback = reached(store, take(store, clock.now), clock.now)
    told = whats(store, callback.id)
    with pytest.raises(RuleError, match="it has ended"):
        store.change(
            callback.id, "cancelled", by(clock.now), lambda c: transitions.cancel(c, clock.now)
        )
    assert whats(store, callback.id) == told
    with pytest.raises(RuleError, match="nobody: there is no such callback"):
        store.change(
            "nobody", "cancelled", by(clock.now), lambda c: transitions.cancel(c, clock.now)
        )
    with pytest.raises(RuleError, match="there is no such callback"):
        store.get("nobody")
    assert store.find("nobody") is None


def test_the_client_who_calls_closes_his_open_callback_alone(store, clock):
    mine = take(store, clock.now)
    other = take(store, clock.now, phone=client(2))
    changed = store.client_called(PHONE, by(clock.now))
    assert [after.id for _, after in changed] == [mine.id]
    assert set(waiting(store)) == {other.key}
    assert store.get(other.id) == other
    again = store.client_called(PHONE, by(clock.now))
    assert again == []


# -- the clock -------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_jump_of_the_clock_moves_what_was_promised_from_now_and_nothing_else(store, clock, step):
    def callbacks() -> dict[str, Any]:
        return {name: store.get(id) for name, id in ids.items()}

    ids = {
        "waits": take(store, clock.now, phone=client(1), due=90.0).id,
        "agreed": take(store, clock.now, phone=client(2), at="2026-11-24T18:00").id,
        "rings": take(store, clock.now, phone=client(3)).id,
        "no number": take(store, clock.now, phone=None, due=90.0).id,
        "ended": take(store, clock.now, phone=client(4)).id,
    }
    begin(store, store.get(ids["rings"]), clock.now)
    reached(store, store.get(ids["ended"]), clock.now)
    before = callbacks()
    moved = store.shift(step, by(clock.now + step, "the clock jumped"))
    assert moved is not None
    after = callbacks()
    shifted = {"waits", "rings", "no number"}
    assert {callback.id for callback in moved} == {ids[name] for name in shifted}
    for name, callback in after.items():
        if name in shifted:
            assert callback.due - before[name].due == step, name
        else:
            assert callback == before[name], name
    assert after["rings"].key == before["rings"].key
    assert set(waiting(store)) == {after["waits"].key, before["agreed"].key}
    assert after["waits"].key != before["waits"].key
    assert whats(store, ids["waits"]) == ["taken", "clock"]


@pytest.mark.parametrize(
    ("jumps", "news"),
    [
        ([(0, 3600), (3, 3600.4)], [True, False]),  # two nodes see one jump
        ([(0, 3600), (5, -3600)], [True, True]),  # it is taken back
        ([(0, 30), (5, -30)], [True, True]),
        ([(0, 30), (5, 45)], [True, True]),
        ([(0, 3600), (120, 3600)], [True, True]),
    ],
)
def test_nodes_that_see_a_jump_together_move_things_once(url, policy, clock, jumps, news):
    start = clock.now
    store, other = Store(url, policy), Store(url, policy)
    told = [
        node.shift(timedelta(seconds=step), by(start + timedelta(seconds=at))) is not None
        for node, (at, step) in zip((store, other), jumps, strict=True)
    ]
    store.close()
    other.close()
    assert told == news


# -- what is due -----------------------------------------------------------------------------------


def test_what_is_due_comes_earliest_first_and_no_more_than_asked_for(store, clock):
    late = take(store, clock.now, phone=client(1), due=20.0)
    soon = take(store, clock.now, phone=client(2), due=10.0)
    take(store, clock.now, phone=client(3), due=20.1)
    begin(store, take(store, clock.now, phone=client(4)), clock.now)
    take(store, clock.now, phone=None)
    reached(store, take(store, clock.now, phone=client(5)), clock.now)
    until = clock.now + timedelta(seconds=20)
    assert store.due(until, 9) == (None, [(soon.key, soon.next), (late.key, late.next)])
    assert store.due(until, 1) == (None, [(soon.key, soon.next)])
    assert store.due(clock.now, 9) == (None, [])


def test_a_shift_by_one_of_several_nodes_is_told_with_what_is_due(url, policy, clock):
    store = Store(url, policy)
    take(store, clock.now, due=60.0)
    assert store.last_shift() is None
    store.shift(HOUR, by(clock.now + HOUR))
    first = store.last_shift()
    assert first is not None
    assert store.due(clock.now, 9) == (first, [])
    store.shift(-HOUR, by(clock.now))
    assert store.last_shift() not in (None, first)
    store.close()


# -- time, and who waits for whom ------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 11, 24, 9, 0, 0, 123456, UTC),
        datetime(2026, 11, 24, 9, 0, 0, 1, UTC),
        datetime.fromisoformat("2026-11-24T12:00:00.999999+03:00"),
        datetime.fromisoformat("2026-10-25T02:30:00.000001+02:00"),
    ],
)
def test_times_come_back_aware_in_utc_to_the_microsecond(store, when):
    callback = take(store, when, due=0.000002)
    read = store.get(callback.id)
    assert read.created == when
    assert read.due == when + timedelta(microseconds=2)
    assert read.created.utcoffset() == timedelta(0)
    (change,) = CallbackQueries(store).history(callback.id)
    assert (change.at, change.at.utcoffset()) == (when, timedelta(0))


def test_a_time_without_a_zone_is_an_error_of_the_program(store):
    with pytest.raises((AssertionError, StoreError)):
        store.take(asks(datetime(2026, 11, 24, 12), due=None), by(datetime(2026, 11, 24, 12)))
    assert CallbackQueries(store).promise().taken == 0


def test_a_callback_that_somebody_holds_too_long_is_an_error_not_a_wait(
    url, policy, clock, monkeypatch
):
    monkeypatch.setattr(database, "BUSY_MS", 200)
    store = Store(url, policy)
    callback = take(store, clock.now)
    with psycopg.connect(url) as stopped:  # as a process that was suspended
        stopped.execute("SELECT * FROM callbacks FOR UPDATE")
        with pytest.raises(StoreError, match="lock"):
            store.change(
                callback.id, "cancelled", by(clock.now), lambda c: transitions.cancel(c, clock.now)
            )
    after = store.change(
        callback.id, "cancelled", by(clock.now), lambda c: transitions.cancel(c, clock.now)
    )[1]
    assert after.state is State.CANCELLED
    store.close()


def test_a_stopped_process_does_not_hold_a_callback_for_ever(url, policy, clock, monkeypatch):
    monkeypatch.setattr(database, "STOPPED_S", 0.3)
    stopped, store = Store(url, policy), Store(url, policy)
    callback = take(store, clock.now)
    with pytest.raises(StoreError), stopped.database.writing() as held:  # noqa: PT012
        held.execute(sa.text("SELECT * FROM callbacks FOR UPDATE"))
        key = begin(store, callback, clock.now)  # waits until the server lets go
        assert store.end(key, Outcome.BUSY, "", by(clock.now)) is not None
        held.execute(sa.text("SELECT 1"))
    stopped.close()
    store.close()


def test_a_key_that_was_anothers_is_refused_and_loses_nothing(store, clock):
    first = asks(clock.now, phone=client(1))
    store.take(first, by(clock.now))
    assert store.take(first, by(clock.now)).what == "duplicate"
    for other in (
        replace(first, phone=client(2)),
        replace(first, reason="client_hold"),
        replace(first, call="another"),
    ):
        with pytest.raises(RuleError, match="used for another request"):
            store.take(other, by(clock.now))
    assert [one.phone for one in CallbackQueries(store).page()] == [client(1)]
