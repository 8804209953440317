"""Attempts: the intent first, then the dial, once for a key whatever the dialer answers or fails with."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import time, timedelta
from types import SimpleNamespace

import pytest

from tests.callbacks.scripted_desk import ScriptedDesk
from tests.callbacks.store_requests import (
    NAME,
    OPENING,
    PHONE,
    TOPIC,
    at_once,
    by,
    client,
    rows,
    whats,
)
from vad_agent.callbacks import dispatcher, failpoints
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    OutcomeReport,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.model import Outcome, State
from vad_agent.errors import StoreError


@pytest.fixture
def at(store, clock):
    return ScriptedDesk(store, clock)


@pytest.fixture
def passing():
    """What is to be done when a point is passed."""
    hooks = {}
    failpoints.watch(lambda point: hooks.pop(point, lambda: None)())
    yield hooks
    failpoints.watch(None)


# -- made ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_the_order_says_all_that_the_operator_needs(at):
    callback = at.take(
        name=NAME, topic=TOPIC, opening=OPENING, operator="ivanova", session="s-1", reason="hold"
    )
    at.dispatcher.make(callback.key)
    assert at.dialer.orders == [
        DialRequest(
            key=callback.key,
            number=PHONE,
            due=callback.due,
            attempt=1,
            attempts=3,
            operator="ivanova",
            name=NAME,
            opening=OPENING,
            topic=TOPIC,
            reasons=("hold",),
            session="s-1",
        )
    ]


def test_the_intent_is_stored_before_anything_is_dialled(at):
    seen = []
    at.dialer.while_dialling = lambda order: seen.append(at.store.attempt(order.key))
    callback = at.take()
    at.dispatcher.make(callback.key)
    (intent,) = seen
    assert (intent.node, intent.intent, intent.dialled, intent.ended) == (
        "north",
        at.now,
        None,
        None,
    )


def test_how_late_it_began_is_told_once(at):
    callback = at.take(due=10.0)
    at.hand.move(12.5)
    at.dispatcher.make(callback.key)
    at.dispatcher.make(callback.key)
    assert at.late == [2.5]


REFUSED, UNCERTAIN = DialRefused("no"), DialUncertain("perhaps")
WRONG = RuntimeError("a bug")


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize(
    ("dial", "status", "state", "outcome", "asked"),
    [
        (Ringing("r-1"), None, State.RINGING, None, ["dial"]),
        (Ended(Outcome.REACHED, "talked"), None, State.REACHED, Outcome.REACHED, ["dial"]),
        (Ended(Outcome.BUSY), None, State.WAITING, Outcome.BUSY, ["dial"]),
        (
            Ended(Outcome.OPERATOR_UNAVAILABLE),
            None,
            State.WAITING,
            Outcome.OPERATOR_UNAVAILABLE,
            ["dial"],
        ),
        (REFUSED, None, State.WAITING, Outcome.FAILED, ["dial"]),
        (UNCERTAIN, Ringing("r-2"), State.RINGING, None, ["dial", "status"]),
        (UNCERTAIN, Ended(Outcome.BUSY), State.WAITING, Outcome.BUSY, ["dial", "status"]),
        (UNCERTAIN, Unknown(), State.WAITING, Outcome.FAILED, ["dial", "status"]),
        (UNCERTAIN, UNCERTAIN, State.RINGING, None, ["dial", "status"]),
        (UNCERTAIN, REFUSED, State.RINGING, None, ["dial", "status"]),
        (UNCERTAIN, WRONG, State.RINGING, None, ["dial", "status"]),
        (WRONG, Ringing("r-2"), State.RINGING, None, ["dial", "status"]),
        (WRONG, Ended(Outcome.REACHED), State.REACHED, Outcome.REACHED, ["dial", "status"]),
        (WRONG, Unknown(), State.WAITING, Outcome.FAILED, ["dial", "status"]),
        (WRONG, WRONG, State.RINGING, None, ["dial", "status"]),
    ],
)
def test_whatever_the_dialer_answers_or_fails_with(at, dial, status, state, outcome, asked):
    at.dialer.dials, at.dialer.statuses = [dial], [status]
    callback = at.take()
    at.dispatcher.make(callback.key)
    assert at.store.get(callback.id).state is state
    (attempt,) = at.store.attempts_of(callback.id)
    assert attempt.outcome is outcome
    assert [what for what, _ in at.dialer.asked] == asked
    reference = {("dial",): "r-1", ("dial", "status"): "r-2"}[tuple(asked)]
    rings = Ringing(reference) in (dial, status)
    assert (attempt.dialled, attempt.reference) == ((at.now, reference) if rings else (None, ""))


def test_a_refusal_uses_no_attempt_up_and_after_the_last_a_person_is_needed(at, policy):
    at.dialer.dials = [REFUSED]
    callback = at.take()
    pauses = []
    while (now := at.store.get(callback.id)).state is State.WAITING:
        pauses.append((now.next - at.now).total_seconds())
        at.hand.move(pauses[-1])
        at.dispatcher.make(now.key)
    assert pauses == [0.0, *policy.failed_pauses_s]
    assert (now.state, now.attempt) == (State.NEEDS_PERSON, 1)


# -- begun before ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize(
    ("status", "state", "dials"),
    [
        (Ringing("r-9"), State.RINGING, 0),
        (Ended(Outcome.BUSY), State.WAITING, 0),
        (Unknown(), State.RINGING, 1),
        (UNCERTAIN, State.RINGING, 0),
        (WRONG, State.RINGING, 0),
    ],
)
def test_what_was_begun_before_is_asked_after_first(at, status, state, dials):
    callback = at.take()
    begun = at.store.begin(callback.key, "north", by(at.now))
    at.store.dialled(begun.attempt.key, "r-9", at.now)
    at.dialer.statuses = [status]
    at.dispatcher.make(callback.key)
    assert at.dialer.asked[0] == ("status", callback.key)
    assert at.dialer.references == ["r-9"]
    assert at.dialer.count("dial") == dials
    assert at.store.get(callback.id).state is state
    assert at.late == []


def test_what_another_node_has_begun_is_left_to_it(at, store, clock):
    """Woken twice, as by two nodes at once: it may be dialling just now."""
    south = ScriptedDesk(store, clock, "south")
    callback = at.take()
    south.dialer.while_dialling = lambda _: at.dispatcher.make(callback.key)
    south.dispatcher.make(callback.key)
    assert at.dialer.asked == []
    assert south.dialer.asked == [("dial", callback.key)]
    assert store.attempt(callback.key).node == "south"


@pytest.mark.parametrize("ended", [Outcome.REACHED, Outcome.NO_ANSWER])
def test_what_has_ended_is_never_dialled_again(at, ended):
    callback = at.ringing()
    at.desk.report(callback.key, ended, "dialer")
    at.dispatcher.make(callback.key)
    assert at.dialer.asked == [("dial", callback.key)]


def test_what_was_cancelled_is_never_dialled(at):
    callback = at.take()
    at.desk.cancel(callback.id, "a test")
    at.dispatcher.make(callback.key)
    assert at.dialer.asked == []
    assert at.store.attempts_of(callback.id) == []


def test_two_threads_with_one_key_dial_once(at):
    inside, go = threading.Event(), threading.Event()

    def hold(_):
        inside.set()
        assert go.wait(10)

    at.dialer.while_dialling = hold
    callback = at.take()
    first = threading.Thread(target=at.dispatcher.make, args=(callback.key,))
    first.start()
    assert inside.wait(10)
    at.dispatcher.make(callback.key)  # returns while the other one is at it
    assert first.is_alive()
    go.set()
    first.join()
    assert at.dialer.asked == [("dial", callback.key)]


def test_many_threads_and_two_nodes_with_one_key_dial_once(at, store, clock):
    south = ScriptedDesk(store, clock, "south")
    at.dialer.statuses = south.dialer.statuses = [Ringing("r-1")]
    callback = at.take()
    at_once(lambda n: (at, south)[n % 2].dispatcher.make(callback.key), 32)
    assert at.dialer.count("dial") + south.dialer.count("dial") == 1


# -- stopped in its middle -------------------------------------------------------------------------


@pytest.mark.parametrize(("stopped_s", "dials"), [(0.0, 1), (5.0, 0)])
def test_claimed_by_another_node_between_intent_and_dial(
    at, monkeypatch, passing, stopped_s, dials
):
    """A process that stood still dials only what nobody has taken over; a look costs time, so only then."""
    ahead = [0.0]
    monkeypatch.setattr(dispatcher, "time", SimpleNamespace(monotonic=lambda: ahead[0]))
    callback = at.take()

    def stopped():
        ahead[0] = stopped_s
        assert at.store.claim(callback.key, "north", "south")

    passing[failpoints.INTENT] = stopped
    _stop_after_intent(monkeypatch, passing)
    at.dispatcher.make(callback.key)
    assert at.dialer.count("dial") == dials


def test_stopped_for_long_and_still_its_own_it_is_dialled(at, monkeypatch, passing):
    ahead = [0.0]
    monkeypatch.setattr(dispatcher, "time", SimpleNamespace(monotonic=lambda: ahead[0]))
    callback = at.take()
    passing[failpoints.INTENT] = lambda: ahead.__setitem__(0, 5.0)
    _stop_after_intent(monkeypatch, passing)
    at.dispatcher.make(callback.key)
    assert at.dialer.count("dial") == 1


def _stop_after_intent(monkeypatch, passing):
    """The stop falls behind the moment from which it is counted."""
    stop = passing.pop(failpoints.INTENT)
    ring = dispatcher.Dispatcher._ring

    def ring_after_a_stop(self, begun, since):
        stop()
        ring(self, begun, since)

    monkeypatch.setattr(dispatcher.Dispatcher, "_ring", ring_after_a_stop)


@pytest.mark.parametrize("close", ["cancel", "client_called"])
def test_what_is_closed_while_it_is_dialled_is_hung_up(at, close):
    """There was nothing to hang up when it was closed: it did not ring yet."""
    callback = at.take()

    def closed(_):
        if close == "cancel":
            at.desk.cancel(callback.id, "a test")
        else:
            at.desk.client_called(PHONE, "a test")

    at.dialer.while_dialling = closed
    at.dispatcher.make(callback.key)
    assert at.dialer.asked[-1] == ("hang_up", callback.key)
    assert at.dialer.references[-1] == "r-1"


def test_what_is_wanted_is_not_hung_up(at):
    at.ringing()
    assert at.dialer.count("hang_up") == 0


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_a_dialer_that_cannot_hang_up_changes_nothing(at, monkeypatch):
    callback = at.ringing()

    def broken(key, reference):
        raise WRONG

    monkeypatch.setattr(at.dialer, "hang_up", broken)
    assert at.desk.cancel(callback.id, "a test").state is State.CANCELLED


# -- too early -------------------------------------------------------------------------------------


def test_woken_too_early_it_waits_for_its_time(at):
    callback = at.take(due=90.0)
    at.hand.move(89.999)
    at.dispatcher.make(callback.key)
    assert at.dialer.asked == []
    assert at.armed == {callback.key: pytest.approx(0.001, abs=1e-5)}
    at.hand.move(0.001)
    at.dispatcher.make(callback.key)
    assert at.dialer.count("dial") == 1


def test_an_old_key_dials_nothing_and_the_next_one_waits(at):
    old = at.take(due=0.0)
    new = at.desk.done(old.id, Outcome.BUSY, "ivanova")
    at.dispatcher.make(old.key)
    assert at.dialer.asked == []
    assert at.armed == {new.key: 60.0}


def test_in_quiet_hours_it_waits_for_their_end(at, policy):
    callback = at.take(due=60.0)
    at.store.policy = replace(policy, quiet=(time(12, 1), time(13)))  # it is noon
    at.hand.move(60)
    at.dispatcher.make(callback.key)
    after = at.store.get(callback.id)
    assert at.dialer.asked == []
    assert after.state is State.WAITING
    assert at.armed == {after.key: 59 * 60.0}
    assert whats(at.store, callback.id)[-1] == "quiet_hours"
    at.hand.move(59 * 60)
    at.dispatcher.make(after.key)
    assert at.dialer.count("dial") == 1


def test_while_the_store_is_away_nothing_is_dialled(at, monkeypatch):
    callback = at.take()

    def away(*_):
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(at.store, "begin", away)
        with pytest.raises(StoreError):
            at.dispatcher.make(callback.key)
    assert at.dialer.asked == []
    at.dispatcher.make(callback.key)  # and nobody is thought to be at it
    assert at.dialer.count("dial") == 1


# -- told from outside -----------------------------------------------------------------------------


def test_what_the_dialer_reports_is_stored_with_who_said_it(at):
    callback = at.ringing()
    at.dispatcher.report(OutcomeReport(callback.key, Outcome.NO_ANSWER, "rang out"))
    assert at.store.get(callback.id).attempt == 2
    assert rows(at.store, "SELECT who, why FROM history WHERE what = 'no_answer'") == [
        ("scripted at north", "rang out")
    ]


def test_what_the_dialer_reports_of_others_is_not_kept(at):
    waits = at.take()
    at.dispatcher.report(OutcomeReport("else.1.1", Outcome.REACHED))
    at.dispatcher.report(OutcomeReport(waits.key, Outcome.REACHED))
    assert at.store.get(waits.id).state is State.WAITING


def test_a_report_that_cannot_be_stored_is_an_error_to_be_told_again(at, monkeypatch):
    callback = at.ringing()

    def away(*_):
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(at.store, "end", away)
        with pytest.raises(StoreError):
            at.dispatcher.report(OutcomeReport(callback.key, Outcome.REACHED))
    at.dispatcher.report(OutcomeReport(callback.key, Outcome.REACHED))
    assert at.store.get(callback.id).state is State.REACHED


# -- left behind -----------------------------------------------------------------------------------

ALIVE = {"north"}


def left_behind(at, node="north", *, reference=None, **about):
    """An attempt whose process is no more."""
    callback = at.take(**about)
    begun = at.store.begin(callback.key, node, by(at.now))
    if reference is not None:
        at.store.dialled(begun.attempt.key, reference, at.now)
    return callback


@pytest.mark.parametrize(
    ("node", "alive", "after_s", "adopted"),
    [
        ("north", {"north"}, 2.999, False),  # a thread of this process may be at it
        ("north", {"north"}, 3.0, True),
        ("south", {"north"}, 2.999, False),  # it has just left, and may be at it
        ("south", {"north"}, 3.0, True),
        ("south", {"north", "south"}, 3.0, False),
        ("south", {"north", "south"}, 1000.0, False),
    ],
)
def test_who_adopts_what(at, node, alive, after_s, adopted):
    callback = left_behind(at, node)
    at.dispatcher.look_after(alive, at.hand.move(after_s))
    assert at.store.attempt(callback.key).node == ("north" if adopted else node)
    assert at.dialer.asked == (
        [("status", callback.key), ("dial", callback.key)] if adopted else []
    )


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize("node", ["north", "south"])
@pytest.mark.parametrize(
    ("status", "state", "outcome", "dials"),
    [
        (Unknown(), State.RINGING, None, 1),
        (Ringing("r-1"), State.RINGING, None, 0),
        (Ended(Outcome.NO_ANSWER), State.WAITING, Outcome.NO_ANSWER, 0),
        (Ended(Outcome.REACHED), State.REACHED, Outcome.REACHED, 0),
        (UNCERTAIN, State.RINGING, None, 0),
        (WRONG, State.RINGING, None, 0),
    ],
)
def test_what_is_adopted_is_asked_after_and_only_an_unknown_one_dialled(
    at, node, status, state, outcome, dials
):
    callback = left_behind(at, node)
    at.dialer.statuses = [status]
    assert at.dispatcher.look_after(ALIVE, at.hand.move(3)) == []
    assert at.store.get(callback.id).state is state
    assert at.store.attempt(callback.key).outcome is outcome
    assert at.dialer.count("dial") == dials


def test_what_was_adopted_and_rings_is_left_in_peace(at):
    callback = left_behind(at, "south", reference="r-5")
    at.dialer.statuses = [Ringing("r-5")]
    at.dispatcher.look_after(ALIVE, at.hand.move(3))
    at.dispatcher.look_after(ALIVE, at.hand.move(60))
    assert at.dialer.asked == [("status", callback.key)]


def test_an_uncertain_one_is_asked_after_until_it_is_certain(at):
    at.dialer.dials = [UNCERTAIN]
    at.dialer.statuses = [UNCERTAIN, UNCERTAIN, Ended(Outcome.BUSY)]
    callback = at.take()
    at.dispatcher.make(callback.key)
    at.dispatcher.look_after(ALIVE, at.hand.move(2))
    assert at.dialer.count("status") == 1
    at.dispatcher.look_after(ALIVE, at.hand.move(1))
    assert at.store.get(callback.id).state is State.RINGING
    at.dispatcher.look_after(ALIVE, at.hand.move(2))
    assert at.store.get(callback.id).attempt == 2
    assert at.dialer.count("dial") == 1


@pytest.mark.parametrize(
    ("over_s", "status", "state", "outcome", "alarms"),
    [
        (0.0, UNCERTAIN, State.RINGING, None, False),
        (0.001, UNCERTAIN, State.WAITING, Outcome.LOST, False),
        (0.001, WRONG, State.WAITING, Outcome.LOST, False),
        (0.001, Ringing("r-1"), State.RINGING, None, True),  # somebody forgot to say how it ended
        (0.001, Ended(Outcome.REACHED), State.REACHED, Outcome.REACHED, False),
    ],
)
def test_past_the_limit_nobody_waits_for_an_answer(at, over_s, status, state, outcome, alarms):
    callback = at.ringing()
    at.dialer.statuses = [status]
    now = at.hand.move(at.store.policy.answer_limit_s + over_s)
    too_long = at.dispatcher.look_after(ALIVE, now)
    assert at.store.get(callback.id).state is state
    assert at.store.attempt(callback.key).outcome is outcome
    assert [attempt.key for attempt in too_long] == ([callback.key] if alarms else [])
    assert at.dialer.count("dial") == 1


def test_what_was_closed_and_nobody_reports_is_lost_past_the_limit(at):
    callback = at.ringing()
    at.desk.cancel(callback.id, "a test")
    limit_s = at.store.policy.answer_limit_s
    at.dispatcher.look_after(ALIVE, at.hand.move(limit_s))
    assert at.store.attempt(callback.key).ended is None
    at.dispatcher.look_after(ALIVE, at.hand.move(0.001))
    assert at.store.attempt(callback.key).outcome is Outcome.LOST
    assert at.store.get(callback.id).state is State.CANCELLED
    assert at.dialer.count("dial") == 1


def test_two_nodes_that_adopt_at_once_dial_once(at, store, clock):
    south = ScriptedDesk(store, clock, "south")
    callbacks = [left_behind(at, "dead", phone=client(n)) for n in range(8)]
    now = clock.move(3)
    alive = {"north", "south"}
    at_once(lambda n: (at, south)[n % 2].dispatcher.look_after(alive, now), 8)
    dialled = [key for one in (at, south) for what, key in one.dialer.asked if what == "dial"]
    assert sorted(dialled) == sorted(callback.key for callback in callbacks)


def test_one_that_ended_while_it_was_looked_for_is_not_dialled(at, monkeypatch):
    callback = left_behind(at, "south")
    claim = at.store.claim

    def told_meanwhile(key, owner, node):
        at.desk.report(key, Outcome.REACHED, "dialer")
        return claim(key, owner, node)

    monkeypatch.setattr(at.store, "claim", told_meanwhile)
    at.dispatcher.look_after(ALIVE, at.hand.move(3))
    assert at.dialer.asked == []
    assert at.store.get(callback.id).state is State.REACHED


def test_a_dead_nodes_attempt_that_never_dialled_is_dialled_hours_later(at):
    callback = left_behind(at, "south")
    at.dispatcher.look_after(ALIVE, at.hand.move(timedelta(hours=3).total_seconds()))
    assert at.dialer.asked == [("status", callback.key), ("dial", callback.key)]
