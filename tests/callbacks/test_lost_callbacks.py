"""Callbacks that a call's trace asks for and that no store has: known, counted, made. On both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.callbacks.scripted_desk import ScriptedDesk
from tests.callbacks.store_requests import NAME, PHONE, TOPIC, asks, at_once, by, rows, whats
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.call_store import LOST_S, CallStore, LostCall
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key
from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.retention import erase
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import id_of_call
from vad_agent.errors import RuleError

CALL = "pc-1-call"
LENGTH_S = 30.0


def line(kind: str = "callback", t: float = 28.0, **more: Any) -> dict[str, Any]:
    return {"t": t, "kind": kind, "reason": "silence_in_dialogue", "due_in_s": 0.0} | more


ASKED = line(phone="8 912 345-67-89", name=NAME, topic=TOPIC, opening="Здравствуйте", session="s-1")
WITHDRAWN = {"t": 29.0, "kind": "callback_withdrawn", "reason": "silence_in_dialogue"}
END = {"t": LENGTH_S, "kind": "phase", "phase": "ended"}


@pytest.fixture
def desk(store, clock) -> CallbackService:
    return CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))


def ended(clock, *lines: dict[str, Any], call: str = CALL, ago_s: float = 0.0) -> CallRecord:
    """A call that ended so many seconds ago."""
    began = clock.now - timedelta(seconds=LENGTH_S + ago_s)
    return CallRecord(call, "anna", "auto", began, [*lines, END])


# -- what is lost ------------------------------------------------------------------------------------


def test_a_minute_after_its_end_a_call_whose_callback_nobody_requested_is_lost(desk, store, clock):
    over = clock.now
    desk.take_call(ended(clock, ASKED))
    calls, queries = CallStore(store), CallbackQueries(store)
    assert calls.lost(clock.move(LOST_S - 1)) == []
    assert queries.promise(now=clock.now).missing == 0
    assert calls.lost(clock.move(1)) == [LostCall(CALL, "anna", over)]
    promise = queries.promise(now=clock.now)
    assert (promise.taken, promise.lost, promise.missing, promise.unaccounted) == (0, 1, 1, 0)


@pytest.mark.parametrize(
    "lines",
    [[], [ASKED, WITHDRAWN], [ASKED, line("callback_revised", 28.5), WITHDRAWN], [WITHDRAWN]],
)
def test_a_trace_that_asks_for_no_callback_at_its_end_loses_none(desk, store, clock, lines):
    desk.take_call(ended(clock, *lines))
    assert CallStore(store).lost(clock.move(3600)) == []


def test_asked_for_again_after_it_was_withdrawn_it_is_asked_for(desk, store, clock):
    desk.take_call(ended(clock, ASKED, WITHDRAWN, line(t=29.5)))
    assert len(CallStore(store).lost(clock.move(3600))) == 1


@pytest.mark.parametrize("first", ["request", "call"])
def test_a_call_whose_request_came_is_not_lost_whichever_came_first(desk, store, clock, first):
    steps = [
        lambda: desk.take(asks(clock.now, call=CALL), "headset"),
        lambda: desk.take_call(ended(clock, ASKED)),
    ]
    for step in steps if first == "request" else reversed(steps):
        step()
    assert CallStore(store).lost(clock.move(3600)) == []
    assert CallbackQueries(store).promise(now=clock.now).missing == 0
    assert rows(store, "SELECT call FROM calls WHERE owed IS NOT NULL") == []


def test_a_request_that_was_withdrawn_was_no_lost_one(desk, store, clock):
    desk.take(asks(clock.now, call=CALL), "headset")
    desk.take_call(ended(clock, ASKED))
    desk.withdraw(CALL, "headset")
    assert CallStore(store).lost(clock.move(3600)) == []


def test_a_withdrawal_alone_settles_what_its_trace_asked_for(desk, store, clock):
    """The operator has said after the call that it ended well; only the request was lost."""
    desk.take_call(ended(clock, ASKED))
    desk.withdraw(CALL, "headset")
    assert CallStore(store).lost(clock.move(3600)) == []


def test_a_call_told_late_is_lost_at_once_and_one_of_a_clock_ahead_a_minute_after_it_came(
    desk, store, clock
):
    desk.take_call(ended(clock, ASKED, call="late", ago_s=7200.0))
    desk.take_call(ended(clock, ASKED, call="ahead", ago_s=-7200.0))
    calls = CallStore(store)
    assert [one.call for one in calls.lost(clock.now)] == ["late"]
    assert [one.call for one in calls.lost(clock.move(LOST_S))] == ["late", "ahead"]


def test_only_the_calls_of_a_day_are_lost_on_that_day(desk, store, clock):
    desk.take_call(ended(clock, ASKED))
    begin, end = clock.now - timedelta(hours=1), clock.now + timedelta(hours=1)
    later = clock.now + timedelta(days=2)
    promise = CallbackQueries(store).promise
    assert promise(begin, end, now=later).lost == 1
    assert promise(begin - timedelta(days=1), begin, now=later).lost == 0


def test_no_trace_is_read_to_find_the_lost(desk, store, clock, monkeypatch):
    desk.take_call(ended(clock, ASKED))
    monkeypatch.setattr(CallStore, "get", None)
    assert len(CallStore(store).lost(clock.move(3600))) == 1


def test_a_lost_callback_is_an_alarm_until_it_is_made(store, clock):
    at = ScriptedDesk(store, clock)
    at.desk.take_call(ended(clock, ASKED))
    at.watch.look_for_lost()
    assert at.on() == []
    at.hand.move(LOST_S)
    at.watch.look_for_lost()
    at.watch.check_promise()
    assert at.on() == [("lost", CALL)]
    at.desk.make(CALL, "irina")
    at.watch.look_for_lost()
    assert at.on() == []


# -- made --------------------------------------------------------------------------------------------


def test_it_is_made_out_of_the_trace_with_all_that_it_says(desk, store, clock):
    over = clock.now
    desk.take_call(ended(clock, ASKED))
    clock.move(600)
    taken = desk.make(CALL, "panel:irina")
    made = taken.callback
    assert (taken.what, made.state) == ("taken", State.WAITING)
    told = (made.phone, made.name, made.topic, made.opening, made.operator, made.session)
    assert told == (PHONE, NAME, TOPIC, "Здравствуйте", "anna", "s-1")
    assert made.reasons == ("silence_in_dialogue",)
    assert made.due == made.asked == over - timedelta(seconds=LENGTH_S - 28.0)
    assert CallbackQueries(store).promise(now=clock.now).missing == 0
    assert CallbackQueries(store).history(made.id)[0].who == "panel:irina"


def test_of_a_callback_that_was_revised_the_last_line_counts(desk, store, clock):
    revised = line("callback_revised", 29.0, reason="agreed", at="2026-11-25T10:00+03:00")
    desk.take_call(ended(clock, ASKED, revised))
    made = desk.make(CALL, "irina").callback
    assert (made.reasons, made.fixed) == (("agreed",), True)


@pytest.mark.parametrize(
    ("broken", "state"),
    [
        ({"phone": None}, State.NEEDS_NUMBER),
        ({"phone": 8912}, State.NEEDS_NUMBER),
        ({"phone": "8 912"}, State.NEEDS_NUMBER),
        ({"at": "tomorrow"}, State.NEEDS_TIME),
        ({"due_in_s": None}, State.NEEDS_TIME),
        ({"due_in_s": -5}, State.WAITING),
        ({"reason": None}, State.WAITING),
        ({"reason": "x" * 100}, State.WAITING),
        ({"name": ["x"], "topic": "\0"}, State.WAITING),
    ],
)
def test_a_trace_with_gaps_makes_a_callback_that_needs_what_is_missing(desk, clock, broken, state):
    desk.take_call(ended(clock, ASKED | broken))
    assert desk.make(CALL, "irina").callback.state is state


def test_twice_or_by_many_at_once_it_is_made_once(desk, store, clock):
    desk.take_call(ended(clock, ASKED))
    made = at_once(lambda _: desk.make(CALL, "irina"), 8, threads=8)
    assert len({one.callback.id for one in made}) == 1
    assert sorted(one.what for one in made) == ["duplicate"] * 7 + ["taken"]
    assert len(rows(store, "SELECT * FROM callbacks")) == 1


def test_what_was_requested_is_not_made_again(desk, clock):
    asked = desk.take(asks(clock.now, call=CALL), "headset").callback
    desk.take_call(ended(clock, ASKED))
    again = desk.make(CALL, "irina")
    assert (again.what, again.callback.id) == ("duplicate", asked.id)


def test_the_id_is_the_one_that_the_request_itself_would_have_had(desk, clock):
    desk.take_call(ended(clock, ASKED))
    assert desk.make(CALL, "irina").callback.id == id_of_call(CALL)
    own = desk.take(asks(clock.now, phone="+79161234567", call="other"), "headset")
    assert own.callback.id == id_of_call("other") != id_of_call(CALL)


def test_a_second_callback_of_one_call_has_an_id_of_its_own(desk, clock):
    first = desk.take(asks(clock.now, call=CALL), "headset").callback
    desk.cancel(first.id, "irina")
    second = desk.take(asks(clock.now, call=CALL), "headset").callback
    assert (second.state, second.id != first.id) == (State.WAITING, True)


def test_a_letter_that_comes_late_completes_the_made_callback_and_is_no_second_one(
    desk, store, clock
):
    desk.take_call(ended(clock, ASKED | {"phone": None, "topic": None}))
    asked = clock.now
    made = desk.make(CALL, "irina").callback
    clock.move(600)
    late = desk.take(asks(asked, call=CALL, topic=TOPIC, call_on=True), "headset")
    assert (late.what, late.callback.id) == ("revised", made.id)
    found = store.get(made.id)
    assert (found.phone, found.topic, found.state) == (PHONE, TOPIC, State.WAITING)
    assert found.due == made.due
    promise = CallbackQueries(store).promise(now=clock.now)
    assert (promise.taken, promise.open, promise.missing) == (2, 2, 0)


def test_a_letter_that_comes_when_the_made_callback_has_ended_rings_nobody(desk, store, clock):
    desk.take_call(ended(clock, ASKED))
    asked = clock.now
    made = desk.make(CALL, "irina").callback
    store.begin(made.key, "north", by(clock.now))
    desk.report(made.key, Outcome.REACHED, "dialer")
    late = desk.take(asks(asked, call=CALL), "headset")
    assert late.callback.id == made.id
    assert store.get(made.id).state is State.REACHED
    assert len(rows(store, "SELECT * FROM callbacks")) == 1
    assert whats(store, made.id)[-2:] == ["taken", "revised"]
    assert CallbackQueries(store).promise(now=clock.now).missing == 0


def test_what_cannot_be_made_is_refused_with_one_line(desk, store, clock):
    desk.take_call(ended(clock, call="silent"))
    desk.take_call(ended(clock, ASKED, call="erased"))
    erase(store, 0, by(clock.move(10)))
    for call in ("nothing", "silent", "erased"):
        with pytest.raises(RuleError, match=r"^call: ") as refused:
            desk.make(call, "irina")
        assert "\n" not in str(refused.value)


def test_what_was_erased_is_lost_no_longer(desk, store, clock):
    desk.take_call(ended(clock, ASKED))
    erase(store, 30, by(clock.move(29 * 86400.0)))
    assert len(CallStore(store).lost(clock.now)) == 1
    erase(store, 30, by(clock.move(86400.0)))
    assert CallStore(store).lost(clock.now) == []


def test_with_a_key_the_trace_that_it_is_made_from_is_sealed(opened, clock):
    store = opened(encryption=FieldEncryption(new_key()))
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))
    desk.take_call(ended(clock, ASKED))
    assert desk.make(CALL, "irina").callback.phone == PHONE
    assert all(row.lines.startswith("f:") for row in rows(store, "SELECT lines FROM calls"))
