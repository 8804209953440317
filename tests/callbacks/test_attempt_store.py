"""Attempts: an intent before anything is dialled, an outcome once; one node at a time. On both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.callbacks.store_requests import (
    OPENING,
    PHONE,
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
from vad_agent.callbacks import transitions
from vad_agent.callbacks.model import Outcome, State
from vad_agent.errors import RuleError


def closed(store, callback, now):
    """The client has rung himself."""
    return store.change(
        callback.id, "client_called", by(now), lambda c: transitions.client_called(c, now)
    )[1]


def retried(store, callback, now):
    return store.change(callback.id, "retried", by(now), lambda c: transitions.retry(c, now))[1]


# -- an attempt begins -----------------------------------------------------------------------------


def test_an_attempt_that_begins_is_stored_before_it_is_dialled(store, clock):
    callback = take(store, clock.now, operator="ivanova", opening=OPENING)
    begun = store.begin(callback.key, "north", by(clock.move(0.25)))
    assert begun is not None
    assert not begun.again
    assert store.get(callback.id) == begun.callback
    assert begun.callback.state is State.RINGING
    attempt = store.attempt(callback.key)
    assert attempt == begun.attempt
    assert (attempt.due, attempt.intent) == (callback.next, clock.now)
    assert (attempt.node, attempt.number, attempt.operator) == ("north", 1, "ivanova")
    assert (attempt.dialled, attempt.ended, attempt.outcome) == (None, None, None)
    assert waiting(store) == {}


@pytest.mark.parametrize(("after", "begins"), [(-0.000001, False), (0, True), (0.000001, True)])
def test_no_attempt_begins_before_its_time(store, clock, after, begins):
    callback = take(store, clock.now, due=90.0)
    begun = store.begin(callback.key, "north", by(clock.move(90 + after)))
    assert (begun is not None) == begins
    assert store.get(callback.id).state is (State.RINGING if begins else State.WAITING)
    assert (store.attempt(callback.key) is not None) == begins


def test_one_that_has_begun_begins_again_for_who_recovers_it(store, clock):
    callback = take(store, clock.now)
    first = store.begin(callback.key, "north", by(clock.now))
    again = store.begin(callback.key, "south", by(clock.move(5)))
    assert first is not None
    assert again is not None
    assert (first.again, again.again) == (False, True)
    assert again.attempt == first.attempt
    assert whats(store, callback.id) == ["taken", "begun"]


def test_one_that_has_ended_does_not_begin_again(store, clock):
    callback = take(store, clock.now)
    key = begin(store, callback, clock.now)
    store.end(key, Outcome.NO_ANSWER, "", by(clock.move(30)))
    assert store.begin(key, "north", by(clock.move(600))) is None


def test_the_key_of_an_attempt_that_was_moved_does_not_begin(store, clock):
    before = take(store, clock.now, due=0.0)
    store.change(
        before.id,
        "time_set",
        by(clock.now),
        lambda c: transitions.set_time(c, "2026-11-24T12:30", store.policy),
    )
    after = store.get(before.id)
    assert store.begin(before.key, "north", by(clock.move(3600))) is None
    assert store.begin(after.key, "north", by(clock.now)) is not None


def test_the_key_of_a_callback_that_nobody_knows_is_an_error(store, clock):
    with pytest.raises(RuleError, match="there is no such callback"):
        store.begin("nobody.1.1", "north", by(clock.now))


def test_an_attempt_left_behind_by_a_closed_and_retried_callback_rings_nobody(store, clock):
    old = begin(store, take(store, clock.now), clock.now)
    callback = store.get(old.partition(".")[0])
    closed(store, callback, clock.move(1))
    new = begin(store, retried(store, callback, clock.move(1)), clock.move(1))
    assert new != old
    assert store.begin(old, "north", by(clock.move(1))) is None
    again = store.begin(new, "north", by(clock.now))
    assert again is not None
    assert again.again
    rings = {attempt.key: state is State.RINGING for attempt, state in store.under_way()}
    assert rings == {old: False, new: True}


def test_sixteen_who_begin_one_attempt_at_once_begin_it_once(store, clock):
    for n in range(5):
        callback = take(store, clock.now, phone=client(n))
        begun = at_once(lambda k, c=callback: store.begin(c.key, f"n{k}", by(clock.now)), 16)
        assert [one.again for one in begun if one is not None].count(False) == 1
        assert whats(store, callback.id) == ["taken", "begun"]
        assert len(store.attempts_of(callback.id)) == 1


# -- it is dialled ---------------------------------------------------------------------------------


def test_what_dials_leaves_its_reference(store, clock):
    key = begin(store, take(store, clock.now), clock.now)
    store.dialled(key, "channel-7", clock.move(1))
    attempt = store.attempt(key)
    assert (attempt.reference, attempt.dialled) == ("channel-7", clock.now)
    store.dialled("nobody.1.1", "channel-8", clock.now)
    assert store.attempt("nobody.1.1") is None


# -- it ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state", "number", "next_in_s"),
    [
        (Outcome.REACHED, State.REACHED, 1, None),
        (Outcome.NO_ANSWER, State.WAITING, 2, 60),
        (Outcome.BUSY, State.WAITING, 2, 60),
        (Outcome.MACHINE, State.WAITING, 2, 60),
        (Outcome.LOST, State.WAITING, 2, 60),
        (Outcome.FAILED, State.WAITING, 1, 5),
        (Outcome.OPERATOR_UNAVAILABLE, State.WAITING, 1, 15),
    ],
)
def test_an_outcome_is_stored_with_what_comes_next(store, clock, outcome, state, number, next_in_s):
    callback = take(store, clock.now)
    key = begin(store, callback, clock.now)
    after = store.end(key, outcome, "as told", by(clock.move(30)))
    assert after == store.get(callback.id)
    assert (after.state, after.attempt) == (state, number)
    assert seconds(after.next, clock.now) == next_in_s
    attempt = store.attempt(key)
    assert (attempt.outcome, attempt.ended, attempt.detail) == (outcome, clock.now, "as told")
    assert whats(store, callback.id) == ["taken", "begun", outcome.value]


def test_three_attempts_and_the_callback_is_accounted_for(store, clock):
    callback = take(store, clock.now)
    for gap_s in (0, 60, 120):
        key = begin(store, store.get(callback.id), clock.move(gap_s))
        store.end(key, Outcome.NO_ANSWER, "", by(clock.now))
    after = store.get(callback.id)
    assert (after.state, after.ended) == (State.NOT_REACHED, clock.now)
    numbers = [attempt.number for attempt in store.attempts_of(callback.id)]
    assert numbers == [1, 2, 3]
    assert store.under_way() == []


def test_an_outcome_told_twice_counts_once(store, clock):
    callback = take(store, clock.now)
    key = begin(store, callback, clock.now)
    first = store.end(key, Outcome.NO_ANSWER, "", by(clock.move(30)))
    assert store.end(key, Outcome.REACHED, "", by(clock.move(1))) is None
    assert store.get(callback.id) == first
    assert store.attempt(key).outcome is Outcome.NO_ANSWER


def test_an_outcome_told_by_sixteen_at_once_counts_once(store, clock):
    callback = take(store, clock.now)
    key = begin(store, callback, clock.now)
    told = at_once(lambda _: store.end(key, Outcome.BUSY, "", by(clock.now)), 16)
    assert sum(one is not None for one in told) == 1
    assert store.get(callback.id).attempt == 2
    assert whats(store, callback.id) == ["taken", "begun", "busy"]


def test_an_outcome_of_no_attempt_is_an_error(store, clock):
    callback = take(store, clock.now)
    with pytest.raises(RuleError, match="there is no such attempt"):
        store.end(callback.key, Outcome.BUSY, "", by(clock.now))
    assert store.get(callback.id) == callback


def test_an_outcome_after_the_client_has_called_is_told_and_changes_nothing(store, clock):
    callback = take(store, clock.now)
    key = begin(store, callback, clock.now)
    ended = closed(store, callback, clock.move(1))
    assert store.end(key, Outcome.NO_ANSWER, "", by(clock.move(20))) is None
    assert store.get(callback.id) == ended
    assert store.attempt(key).outcome is Outcome.NO_ANSWER
    assert whats(store, callback.id) == ["taken", "begun", "client_called", "late_outcome"]
    assert store.under_way() == []


def test_the_outcome_of_an_old_attempt_does_not_end_the_new_one(store, clock):
    callback = take(store, clock.now)
    old = begin(store, callback, clock.now)
    closed(store, callback, clock.move(1))
    new = begin(store, retried(store, callback, clock.move(1)), clock.now)
    assert store.end(old, Outcome.REACHED, "", by(clock.move(1))) is None
    assert store.get(callback.id).state is State.RINGING
    assert store.end(new, Outcome.REACHED, "", by(clock.move(1))) is not None


def test_an_outcome_against_the_client_who_calls_ends_one_way(store, clock):
    for n in range(8):
        callback = take(store, clock.now, phone=client(n))
        key = begin(store, callback, clock.now)

        def either(turn, n=n, key=key):
            if turn:
                return store.end(key, Outcome.REACHED, "", by(clock.now))
            try:
                return store.change_client(
                    client(n),
                    "client_called",
                    by(clock.now),
                    lambda c: transitions.client_called(c, c.due),
                )
            except RuleError:
                return None

        by_client, by_outcome = at_once(either, 2, threads=2)
        after = store.get(callback.id)
        assert (by_client is None) != (by_outcome is None)
        assert after.state is (State.REACHED if by_client is None else State.CLIENT_CALLED)
        assert store.attempt(key).ended is not None


def test_what_was_asked_for_while_it_rang_is_rung_after_it(store, clock):
    callback = take(store, clock.now)
    key = begin(store, callback, clock.now)
    merged = store.take(asks(clock.move(5), due=600.0, reason="hold"), by(clock.now))
    assert merged.what == "merged"
    assert waiting(store) == {}
    after = store.end(key, Outcome.REACHED, "", by(clock.move(60)))
    assert after.state is State.WAITING
    assert waiting(store) == {after.key: after.next}
    assert seconds(after.next, clock.now) == 540


# -- whose it is -----------------------------------------------------------------------------------


def test_two_nodes_that_claim_a_dead_ones_attempt_do_not_both_get_it(store, clock):
    for n in range(5):
        key = begin(store, take(store, clock.now, phone=client(n)), clock.now, node="dead")
        told = at_once(lambda k, key=key: store.claim(key, "dead", f"n{k}"), 8, threads=8)
        assert told.count(True) == 1
        assert store.attempt(key).node == f"n{told.index(True)}"


def test_what_has_ended_or_is_anothers_cannot_be_claimed(store, clock):
    key = begin(store, take(store, clock.now), clock.now, node="north")
    assert store.owns(key, "north")
    assert not store.owns(key, "south")
    assert not store.claim(key, "west", "south")
    assert store.claim(key, "north", "south")
    assert store.owns(key, "south")
    store.end(key, Outcome.BUSY, "", by(clock.now))
    assert not store.owns(key, "south")
    assert not store.claim(key, "south", "north")
    assert not store.owns("nobody.1.1", "south")


def test_what_is_under_way_is_listed_oldest_first_with_its_callbacks_state(store, clock):
    first = begin(store, take(store, clock.now, phone=client(1)), clock.now)
    second = begin(store, take(store, clock.now, phone=client(2)), clock.move(1))
    reached(store, take(store, clock.now, phone=client(3)), clock.now)
    take(store, clock.now, phone=client(4))
    closed(store, store.get(first.partition(".")[0]), clock.move(1))
    under_way = [(attempt.key, state) for attempt, state in store.under_way()]
    assert under_way == [(first, State.CLIENT_CALLED), (second, State.RINGING)]


def test_every_attempt_of_a_callback_has_a_key_of_its_own(store, clock):
    callback = take(store, clock.now)
    keys = [begin(store, callback, clock.now)]
    for outcome, pause_s in [(Outcome.FAILED, 5), (Outcome.OPERATOR_UNAVAILABLE, 15)] * 3:
        after = store.end(keys[-1], outcome, "", by(clock.now))
        keys.append(begin(store, after, clock.move(max(pause_s, 120))))
    assert len(set(keys)) == 7
    assert [one.key for one in store.attempts_of(callback.id)] == keys
    assert rows(store, "SELECT DISTINCT number FROM attempts") == [(1,)]
    assert store.get(callback.id).phone == PHONE
    assert store.attempts_of("nobody") == []
    assert clock.now - callback.created == timedelta(seconds=720)


def test_a_node_holds_its_attempts_until_they_end_or_are_claimed(store, clock):
    mine, ended, others = (take(store, clock.now, phone=client(n)) for n in range(3))
    begin(store, others, clock.now, "south")
    begin(store, mine, clock.now)
    store.end(begin(store, ended, clock.now), Outcome.BUSY, "", by(clock.now))
    assert (store.held_by("north"), store.held_by("south")) == ([mine.key], [others.key])
    assert store.claim(others.key, "south", "north")
    assert sorted(store.held_by("north")) == sorted([mine.key, others.key])
    assert store.held_by("south") == []


@pytest.mark.parametrize("over", [False, True])
def test_a_cancel_that_waited_for_the_attempts_intent_ends_no_earlier_than_it(store, clock, over):
    """Its time is taken before it has the callback to itself."""
    asked, callback = clock.now, take(store, clock.now)
    key = begin(store, callback, clock.move(0.02))
    if over:
        store.end(key, Outcome.NO_ANSWER, "", by(clock.now))
    _, after = store.change(
        callback.id, "cancelled", by(asked), lambda c: transitions.cancel(c, asked)
    )
    assert (after.state, after.ended) == (State.CANCELLED, clock.now)
    assert store.get(callback.id) == after
