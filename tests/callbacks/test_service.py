"""The desk: stored first, then the scheduler is woken; what nobody needs any more is not rung."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.callbacks.scripted_desk import ScriptedDesk
from tests.callbacks.store_requests import PHONE, asks, client, seconds, waiting, whats
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.errors import ColleagueError, NumberError, RuleError, StoreError

PREMIUM = "8 809 345-67-89"
"""Whoever rings it pays: nobody is lured into that."""


@pytest.fixture
def at(store, clock):
    return ScriptedDesk(store, clock)


# -- taken, armed ----------------------------------------------------------------------------------


def test_what_waits_is_armed_for_its_time(at):
    callback = at.take(due=90.0)
    assert (at.armed, at.scheduler.woken) == ({callback.key: 90.0}, 1)


def test_what_is_due_already_is_armed_for_now(at):
    request = asks(at.now, due=1.0)
    at.hand.move(60)
    callback = at.desk.take(request, "a test").callback
    assert at.armed == {callback.key: 0.0}


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize(
    ("about", "state"),
    [
        ({"phone": None}, State.NEEDS_NUMBER),
        ({"phone": "12"}, State.NEEDS_NUMBER),
        ({"phone": ""}, State.NEEDS_NUMBER),
        ({"phone": PREMIUM}, State.NEEDS_NUMBER),
        ({"due": None}, State.NEEDS_TIME),
        ({"at": "tomorrow"}, State.NEEDS_TIME),
    ],
)
def test_what_lacks_something_is_stored_and_not_armed(at, about, state):
    callback = at.take(**about)
    assert at.store.get(callback.id).state is state
    assert at.armed == {}


@pytest.mark.parametrize(
    ("about", "error"),
    [
        ({"phone": "12"}, NumberError),
        ({"phone": PREMIUM}, NumberError),
        ({"at": "tomorrow"}, RuleError),
    ],
)
def test_who_asks_strictly_is_refused_and_nothing_is_stored(at, about, error):
    with pytest.raises(error):
        at.desk.take(asks(at.now, **about), "a test", strict=True)
    assert waiting(at.store) == {}


def test_an_earlier_time_replaces_the_key_that_was_armed(at):
    first = at.take(due=600.0)
    second = at.take(due=30.0)
    assert second.id == first.id
    assert second.key != first.key
    assert (at.armed, at.scheduler.woken) == ({second.key: 30.0}, 2)


def test_the_same_request_again_is_armed_again_for_what_is_left(at):
    request = asks(at.now, due=90.0)
    first = at.desk.take(request, "a test")
    at.hand.move(30)
    second = at.desk.take(request, "a test")
    assert second.what == "duplicate"
    assert at.armed == {first.callback.key: 60.0}


def test_a_call_that_has_ended_has_its_callback_armed_at_once(at):
    waits = at.take(due=0.0, call="c", call_on=True)
    assert at.armed == {waits.key: 15.0}
    at.hand.move(2)
    at.desk.call_ended("c", "headset")
    now = at.store.get(waits.id)
    assert (at.armed, at.scheduler.woken) == ({now.key: 0.0}, 2)
    at.desk.call_ended("c", "headset")
    at.desk.call_ended("no such call", "headset")
    assert at.armed == {now.key: 0.0}


def test_a_desk_without_a_scheduler_stores_all_the_same(store, clock):
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: 0.0))
    callback = desk.take(asks(clock.now), "a test").callback
    desk.cancel(callback.id, "a test")
    assert store.get(callback.id).state is State.CANCELLED


def test_what_a_store_refuses_is_not_armed(at, monkeypatch):
    monkeypatch.setattr(at.store, "take", _away)
    with pytest.raises(StoreError):
        at.take()
    assert (at.armed, at.scheduler.woken) == ({}, 0)


def _away(*_):
    raise StoreError("away")


# -- an outcome is told ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize(
    ("outcome", "state", "attempt", "in_s"),
    [
        (Outcome.REACHED, State.REACHED, 1, None),
        (Outcome.NO_ANSWER, State.WAITING, 2, 60.0),
        (Outcome.BUSY, State.WAITING, 2, 60.0),
        (Outcome.MACHINE, State.WAITING, 2, 60.0),
        (Outcome.LOST, State.WAITING, 2, 60.0),
        (Outcome.FAILED, State.WAITING, 1, 5.0),
        (Outcome.OPERATOR_UNAVAILABLE, State.WAITING, 1, 15.0),
    ],
)
def test_done_while_it_rings_ends_the_attempt_under_way(at, outcome, state, attempt, in_s):
    ringing = at.ringing()
    at.hand.move(20)
    after = at.desk.done(ringing.id, outcome, "ivanova", "said so")
    assert after == at.store.get(ringing.id)
    assert (after.state, after.attempt) == (state, attempt)
    (told,) = at.store.attempts_of(ringing.id)
    assert (told.outcome, told.detail, told.ended) == (outcome, "said so", at.now)
    assert at.armed == ({} if in_s is None else {after.key: in_s})


@pytest.mark.parametrize(
    ("outcome", "attempt", "left"),
    [
        (Outcome.NO_ANSWER, 2, 60.0),
        (Outcome.FAILED, 1, 600.0),  # by hand nothing changes where nothing rang
        (Outcome.OPERATOR_UNAVAILABLE, 1, 600.0),
    ],
)
def test_done_while_it_waits_is_an_attempt_by_hand(at, outcome, attempt, left):
    waits = at.take(due=600.0)
    after = at.desk.done(waits.id, outcome, "ivanova", "my mobile", key=waits.key)
    assert (after.state, after.attempt) == (State.WAITING, attempt)
    assert at.armed == {after.key: left}
    made = at.store.attempts_of(waits.id)
    assert [(one.key, one.outcome, one.detail) for one in made] == (
        [(waits.key, outcome, "my mobile")] if attempt == 2 else []
    )


def by_hand(at, callback, outcome=Outcome.BUSY):
    key = at.store.get(callback.id).key
    return at.desk.done(callback.id, outcome, "ivanova", key=key)


def test_done_twice_while_it_waits_is_two_attempts_and_a_third_is_the_last(at):
    waits = at.take(due=600.0)
    attempts = []
    for _ in range(3):
        attempts.append(by_hand(at, waits))
        at.hand.move(2)
    assert [one.attempt for one in attempts] == [2, 3, 3]
    assert attempts[-1].state is State.NOT_REACHED
    assert at.armed == {}
    with pytest.raises(RuleError, match="has ended"):
        at.desk.done(waits.id, Outcome.BUSY, "ivanova")


def test_without_a_key_only_an_attempt_under_way_is_done(at):
    waits = at.take(due=600.0)
    for outcome in Outcome:
        with pytest.raises(RuleError, match="no attempt is under way") as refused:
            at.desk.done(waits.id, outcome, "ivanova")
        assert waits.key in str(refused.value)
    assert at.armed == {waits.key: 600.0}
    assert whats(at.store, waits.id) == ["taken"]


@pytest.mark.parametrize("rings", [True, False])
def test_three_reports_in_two_seconds_are_one(at, rings):
    callback = at.ringing() if rings else at.take(due=600.0)
    for _ in range(3):
        if rings:
            after = at.desk.done(callback.id, Outcome.NO_ANSWER, "ivanova")
        else:  # each with the key of the attempt that is the next one then
            after = by_hand(at, callback, Outcome.NO_ANSWER)
        at.hand.move(0.9)
        assert (after.state, after.attempt) == (State.WAITING, 2)
    assert len(at.store.attempts_of(callback.id)) == 1
    at.hand.move(0.2)
    with pytest.raises(RuleError, match="no attempt is under way"):
        at.desk.done(callback.id, Outcome.NO_ANSWER, "ivanova")


def test_reached_is_one_report_too_and_refused_later(at):
    ringing = at.ringing()
    at.desk.done(ringing.id, Outcome.REACHED, "ivanova")
    assert at.desk.done(ringing.id, Outcome.REACHED, "ivanova").state is State.REACHED
    at.hand.move(2)
    with pytest.raises(RuleError, match="has ended"):
        at.desk.done(ringing.id, Outcome.REACHED, "ivanova")
    assert whats(at.store, ringing.id) == ["taken", "begun", "reached"]


@pytest.mark.parametrize("key", ["nothing.1.1", "{id}.9.9", "{id}.1.2"])
def test_a_key_of_no_attempt_of_the_callback_is_refused(at, key):
    waits = at.take(due=600.0)
    with pytest.raises(RuleError, match="attempt"):
        at.desk.done(waits.id, Outcome.REACHED, "ivanova", key=key.format(id=waits.id))
    assert at.store.get(waits.id) == waits


def test_a_call_by_hand_that_is_told_twice_with_its_key_counts_once(at):
    waits = at.take(due=600.0)
    for _ in range(2):
        after = at.desk.done(waits.id, Outcome.BUSY, "ivanova", key=waits.key)
        at.hand.move(30)
    assert after.attempt == 2
    assert len(at.store.attempts_of(waits.id)) == 1


# -- a correction ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Outcome.NO_ANSWER, Outcome.BUSY, Outcome.MACHINE, Outcome.LOST])
def test_reached_after_all_is_a_correction_and_nobody_is_rung_again(at, first):
    ringing = at.ringing()
    at.desk.report(ringing.key, first, "dialer")
    at.hand.move(10)
    after = at.desk.done(ringing.id, Outcome.REACHED, "ivanova", key=ringing.key)
    assert (after.state, at.armed) == (State.REACHED, {})
    assert at.store.attempt(ringing.key).outcome is Outcome.REACHED
    assert whats(at.store, ringing.id)[-3:] == [first.value, "corrected", "reached"]
    told = CallbackQueries(at.store).history(ringing.id)[-2]
    assert (told.who, told.change["outcome"]) == ("ivanova", [first.value, "reached"])
    assert at.desk.report(ringing.key, Outcome.REACHED, "dialer") is None


def test_without_a_key_it_corrects_what_was_said_just_before(at):
    ringing = at.ringing()
    at.desk.done(ringing.id, Outcome.NO_ANSWER, "ivanova")
    assert at.desk.done(ringing.id, Outcome.REACHED, "ivanova").state is State.REACHED
    assert len(at.store.attempts_of(ringing.id)) == 1


def test_a_correction_stops_the_next_attempt_that_rings_already(at):
    ringing = at.ringing()
    at.desk.report(ringing.key, Outcome.NO_ANSWER, "dialer")
    at.hand.move(60)
    following = at.store.get(ringing.id)
    at.dispatcher.make(following.key)
    assert at.store.get(ringing.id).state is State.RINGING
    assert at.desk.report(ringing.key, Outcome.REACHED, "dialer").state is State.REACHED
    assert at.dialer.asked[-1] == ("hang_up", following.key)


def test_a_correction_of_the_last_attempt_says_that_the_client_was_reached(at):
    waits = at.take(due=600.0)
    for _ in range(3):
        key = at.store.get(waits.id).key
        assert by_hand(at, waits).state in (State.WAITING, State.NOT_REACHED)
        at.hand.move(60)
    assert at.store.get(waits.id).state is State.NOT_REACHED
    assert at.desk.report(key, Outcome.REACHED, "dialer").state is State.REACHED


@pytest.mark.parametrize("since", ["asked", "retried", "second", "cancelled"])
def test_a_correction_does_not_end_what_was_asked_for_since(at, since):
    ringing = at.ringing()
    at.desk.report(ringing.key, Outcome.NO_ANSWER, "dialer")
    at.hand.move(10)
    match since:
        case "asked":
            at.take(phone=ringing.phone)
        case "retried":
            at.desk.retry(ringing.id, "irina")
        case "second":
            by_hand(at, ringing)
        case "cancelled":
            at.desk.cancel(ringing.id, "irina")
    before = at.store.get(ringing.id)
    assert at.desk.report(ringing.key, Outcome.REACHED, "dialer") is None
    assert at.store.get(ringing.id) == before
    assert at.store.attempt(ringing.key).outcome is Outcome.REACHED
    assert whats(at.store, ringing.id)[-1] == "corrected"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Outcome.REACHED, Outcome.NO_ANSWER),
        (Outcome.NO_ANSWER, Outcome.BUSY),
        (Outcome.FAILED, Outcome.REACHED),
        (Outcome.OPERATOR_UNAVAILABLE, Outcome.REACHED),
    ],
)
def test_nothing_else_is_a_correction(at, first, second):
    ringing = at.ringing()
    before = at.desk.report(ringing.key, first, "dialer")
    assert at.desk.report(ringing.key, second, "dialer") is None
    assert at.store.get(ringing.id) == before
    assert at.store.attempt(ringing.key).outcome is first


# -- what else was promised ------------------------------------------------------------------------


@pytest.mark.parametrize("settles", [True, False])
def test_reached_settles_the_agreed_time_if_both_say_so(at, settles):
    agreed = at.take(at="2026-12-01T10:00", reason="agreed", name="Анна")
    other = at.take(at="2026-12-01T11:00", reason="agreed", name="Вера")
    dropped = at.ringing(name="Анна")
    after = at.desk.done(dropped.id, Outcome.REACHED, "ivanova", settles=settles)
    assert after.state is State.REACHED
    expected = State.REACHED if settles else State.WAITING
    assert at.store.get(agreed.id).state is expected
    assert at.store.get(other.id).state is State.WAITING
    if settles:
        last = CallbackQueries(at.store).history(agreed.id)[-1]
        assert (last.what, last.who, last.why) == (
            "settled", "ivanova", f"settled in {dropped.id}"
        )  # fmt: skip


def test_who_was_not_reached_settles_nothing(at):
    agreed = at.take(at="2026-12-01T10:00", reason="agreed")
    dropped = at.ringing()
    at.desk.done(dropped.id, Outcome.NO_ANSWER, "ivanova", settles=True)
    assert at.store.get(agreed.id).state is State.WAITING


@pytest.mark.parametrize(
    ("said", "state", "attempt"),
    [
        (Outcome.NO_ANSWER, State.WAITING, 2),  # of the attempt that was told of already
        (Outcome.BUSY, State.WAITING, 2),
        (Outcome.REACHED, State.REACHED, 2),  # it says more: nobody need ring again
    ],
)
def test_two_who_tell_of_one_attempt_at_once_use_up_one(at, monkeypatch, said, state, attempt):
    ringing = at.ringing()
    get = at.store.get

    def seen_ringing_and_ended_then(id):
        found = get(id)
        if found.state is State.RINGING:
            at.desk.report(found.key, Outcome.NO_ANSWER, "the dialer")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(at.store, "get", seen_ringing_and_ended_then)
        after = at.desk.done(ringing.id, said, "ivanova")
    assert (after.state, after.attempt) == (state, attempt)
    assert len(at.store.attempts_of(ringing.id)) == 1


def test_an_outcome_that_is_told_twice_counts_once(at):
    ringing = at.ringing()
    assert at.desk.report(ringing.key, Outcome.NO_ANSWER, "dialer") is not None
    armed, woken = at.armed, at.scheduler.woken
    assert at.desk.report(ringing.key, Outcome.NO_ANSWER, "dialer") is None
    assert at.store.get(ringing.id).attempt == 2
    assert (at.armed, at.scheduler.woken) == (armed, woken)


def test_an_outcome_of_no_attempt_is_refused(at):
    waits = at.take()
    for key in (waits.key, "nothing.1.1"):
        with pytest.raises(RuleError, match="no such attempt"):
            at.desk.report(key, Outcome.REACHED, "dialer")


# -- taken back ------------------------------------------------------------------------------------


def closed_by_the_client(at, callback):
    return at.desk.client_called(PHONE, "headset")


def cancelled(at, callback):
    return at.desk.cancel(callback.id, "supervisor", "not needed")


def withdrawn(at, callback):
    return at.desk.withdraw("c", "headset")


CLOSING = [
    (closed_by_the_client, State.CLIENT_CALLED),
    (cancelled, State.CANCELLED),
    (withdrawn, State.CANCELLED),
]


@pytest.mark.parametrize(("close", "state"), CLOSING)
def test_what_is_closed_while_it_waits_is_woken_no_more(at, close, state):
    waits = at.take(call="c", due=600.0)
    assert close(at, waits).state is state
    assert (at.armed, at.dialer.asked) == ({}, [])


@pytest.mark.parametrize(("close", "state"), CLOSING)
def test_what_is_closed_while_it_rings_is_hung_up_and_no_outcome_opens_it(at, close, state):
    ringing = at.ringing(call="c")
    assert close(at, ringing).state is state
    assert at.dialer.asked[-1] == ("hang_up", ringing.key)
    assert at.dialer.references[-1] == "r-1"
    for outcome in (Outcome.NO_ANSWER, Outcome.REACHED):
        assert at.desk.report(ringing.key, outcome, "dialer") is None
        assert at.store.get(ringing.id).state is state
    assert at.armed == {}
    assert whats(at.store, ringing.id)[-2:] == ["late_outcome", "corrected"]
    at.hand.move(2)
    with pytest.raises(RuleError):
        at.desk.done(ringing.id, Outcome.NO_ANSWER, "ivanova")


def test_who_rings_while_nothing_is_open_closes_nothing(at):
    assert at.desk.client_called(PHONE, "headset") is None
    at.desk.cancel(at.take().id, "a test")
    assert at.desk.client_called(PHONE, "headset") is None
    assert at.desk.withdraw("no such call", "headset") is None
    with pytest.raises(NumberError):
        at.desk.client_called("12", "headset")


def test_another_ones_callback_stays_when_a_client_rings(at):
    other = at.take(phone=client(2))
    at.take()
    at.desk.client_called(PHONE, "headset")
    assert at.store.get(other.id).state is State.WAITING
    assert at.armed == {other.key: 0.0}


def test_a_cancel_that_is_stored_does_not_fail_where_nothing_can_be_hung_up(at, monkeypatch):
    ringing = at.ringing()
    monkeypatch.setattr(at.store, "attempt", _away)
    assert at.desk.cancel(ringing.id, "supervisor").state is State.CANCELLED
    assert at.dialer.count("hang_up") == 0


# -- changed ---------------------------------------------------------------------------------------


def test_a_number_that_is_given_has_it_armed(at):
    lacks = at.take(phone=None, due=90.0)
    after = at.desk.set_number(lacks.id, "8 912 345-67-89", "supervisor")
    assert (after.phone, after.state) == (PHONE, State.WAITING)
    assert at.armed == {after.key: 90.0}
    with pytest.raises(NumberError):
        at.desk.set_number(lacks.id, "12", "supervisor")
    with pytest.raises(NumberError):
        at.desk.set_number(lacks.id, PREMIUM, "supervisor")


def test_an_operator_closes_a_callback_of_theirs_or_of_nobody(at):
    mine = at.take(operator="anna")
    with pytest.raises(ColleagueError):
        at.desk.client_called(PHONE, "panel:boris", operator="boris")
    assert at.store.get(mine.id) == mine
    assert at.desk.client_called(PHONE, "panel:anna", operator="ANNA").id == mine.id
    nobodys = at.take()
    assert at.desk.client_called(PHONE, "panel:boris", operator="boris").id == nobodys.id


def test_a_number_of_a_client_who_has_a_callback_makes_the_two_one(at):
    other = at.take(due=600.0)
    lacks = at.take(phone=None, due=30.0)
    after = at.desk.set_number(lacks.id, PHONE, "supervisor")
    assert after.id == other.id
    assert seconds(after.due, at.now) == 30.0
    assert at.armed == {after.key: 30.0}
    assert at.store.get(lacks.id).state is State.CANCELLED


def test_another_number_of_what_is_armed_leaves_one_row(at):
    waits = at.take(due=90.0)
    after = at.desk.set_number(waits.id, client(2), "supervisor")
    assert after.phone == client(2)
    assert at.armed == {after.key: 90.0}


def test_another_time_is_armed_and_the_old_one_is_not(at):
    waits = at.take(due=90.0)
    after = at.desk.set_time(waits.id, (at.now + timedelta(hours=2)).isoformat(), "supervisor")
    assert at.armed == {after.key: 7200.0}
    assert waits.key not in at.armed
    with pytest.raises(RuleError):
        at.desk.set_time(waits.id, "tomorrow", "supervisor")


def test_who_is_handed_it_has_it_at_the_same_time_and_their_stand_ins_are_asked_anew(at):
    waits = at.take(due=90.0, operator="anna")
    after = at.desk.set_operator(waits.id, " boris ", "supervisor", "anna is ill")
    assert (after.operator, after.key) == ("boris", waits.key)
    assert at.armed == {waits.key: 90.0}
    change = CallbackQueries(at.store).history(waits.id)[-1]
    assert (change.what, change.who, change.why) == ("operator_set", "supervisor", "anna is ill")
    assert change.change == {"operator": ["anna", "boris"]}
    assert at.desk.set_operator(waits.id, None, "supervisor").operator is None
    assert at.desk.set_operator(waits.id, "  ", "supervisor").operator is None


def test_what_rings_or_is_over_is_not_handed_over(at):
    ringing = at.ringing()
    with pytest.raises(RuleError, match="ringing"):
        at.desk.set_operator(ringing.id, "boris", "supervisor")
    at.desk.done(ringing.id, Outcome.REACHED, "ivanova")
    with pytest.raises(RuleError, match="reached"):
        at.desk.set_operator(ringing.id, "boris", "supervisor")


def test_retry_begins_anew_at_once(at):
    ringing = at.ringing()
    with pytest.raises(RuleError, match="ringing"):
        at.desk.retry(ringing.id, "supervisor")
    at.desk.done(ringing.id, Outcome.REACHED, "ivanova")
    after = at.desk.retry(ringing.id, "supervisor")
    assert (after.state, after.attempt) == (State.WAITING, 1)
    assert at.armed == {after.key: 0.0}
    assert after.key != ringing.key


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize(
    "change",
    [
        lambda desk: desk.done("nothing", Outcome.REACHED, "x"),
        lambda desk: desk.cancel("nothing", "x"),
        lambda desk: desk.retry("nothing", "x"),
        lambda desk: desk.set_number("nothing", PHONE, "x"),
        lambda desk: desk.set_time("nothing", "2026-12-01T10:00", "x"),
        lambda desk: desk.set_operator("nothing", "boris", "x"),
    ],
)
def test_what_is_not_there_cannot_be_changed(at, change):
    with pytest.raises(RuleError, match="no such callback"):
        change(at.desk)


# -- many at once ----------------------------------------------------------------------------------


def test_too_many_that_wait_to_write_are_told_so(tmp_path, policy, clock, monkeypatch):
    from vad_agent.callbacks import database
    from vad_agent.callbacks.store import Store

    monkeypatch.setattr(database, "BUSY_MS", 50)
    store = Store(str(tmp_path / "c.sqlite"), policy)
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: 0.0))
    began = time.monotonic()
    with store.database._writing, pytest.raises(StoreError, match="too many wait to write"):
        desk.take(asks(clock.now), "a test")
    assert time.monotonic() - began < 5
    assert desk.take(asks(clock.now), "a test").what == "taken"  # nobody holds it now
    other = sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        desk.take(asks(clock.now, phone=client(2)), "a test")
    other.execute("ROLLBACK")
    other.close()
    assert desk.take(asks(clock.now, phone=client(2)), "a test").what == "taken"
    with store.database.reading() as c:
        assert c.execute(sa.text("SELECT count(*) FROM callbacks")).scalar() == 2
    store.close()
