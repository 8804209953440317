"""The standing watch: each duty by itself, and what it does when one of them fails."""

from __future__ import annotations

import queue
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tests.callbacks.scripted_desk import ScriptedDesk
from tests.callbacks.store_requests import PHONE, asks, by, client, seconds
from vad_agent.callbacks import reconciler as watching
from vad_agent.callbacks.cluster_membership import DEAD_S, ClusterMembership
from vad_agent.callbacks.dialers.base import Ringing
from vad_agent.callbacks.model import Outcome, State
from vad_agent.errors import StoreError


@pytest.fixture
def at(store, clock):
    return ScriptedDesk(store, clock)


def _away(*_, **__):
    raise StoreError("the database is away")


# -- overdue, and what needs somebody --------------------------------------------------------------


@pytest.mark.parametrize(("after_s", "overdue"), [(59, False), (60, False), (61, True)])
def test_what_nothing_rings_for_is_overdue_after_a_minute(at, after_s, overdue):
    callback = at.take(due=10.0)
    at.hand.move(10 + after_s)
    at.watch.look_for_overdue()
    assert at.on() == ([("overdue", callback.id)] if overdue else [])


def test_overdue_is_an_alarm_until_it_rings(at):
    callback = at.take()
    at.hand.move(61)
    at.watch.look_for_overdue()
    at.dispatcher.make(callback.key)
    at.watch.look_for_overdue()
    assert at.on() == []
    assert at.alarms.sounded["overdue"] == 1


@pytest.mark.parametrize(
    ("about", "kind", "repair"),
    [
        ({"phone": None}, "needs_number", lambda desk, id: desk.set_number(id, PHONE, "x")),
        (
            {"due": None},
            "needs_time",
            lambda desk, id: desk.set_time(id, "2030-01-01T10:00+03:00", "x"),
        ),
    ],
)
def test_what_needs_somebody_is_an_alarm_until_he_came(at, about, kind, repair):
    callback = at.take(**about)
    at.watch.look_for_overdue()
    assert at.on() == [(kind, callback.id)]
    repair(at.desk, callback.id)
    at.watch.look_for_overdue()
    assert at.on() == []


def test_what_failed_too_often_needs_a_person(at, policy):
    callback = at.take()
    for _ in range(len(policy.failed_pauses_s) + 1):
        now = at.store.get(callback.id)
        at.hand.move(max(0.0, seconds(now.next, at.now)))
        at.dispatcher.make(now.key)
        at.desk.report(now.key, Outcome.FAILED, "dialer")
    at.watch.look_for_overdue()
    assert ("needs_person", callback.id) in at.on()
    at.desk.retry(callback.id, "supervisor")
    at.watch.look_for_overdue()
    assert at.on() == []


def test_what_nobody_reports_is_an_alarm_until_somebody_does(at, policy):
    at.dialer.statuses = [Ringing("r-1")]
    callback = at.ringing()
    at.hand.move(policy.answer_limit_s)
    at.watch._look_after()
    assert at.on() == []
    at.hand.move(1)
    at.watch._look_after()
    assert at.on() == [("unreported", callback.id)]
    at.desk.done(callback.id, Outcome.REACHED, "ivanova")
    at.watch._look_after()
    assert at.on() == []


# -- the clock -------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_of_the_clock_moves_what_was_promised_from_now(at, jump):
    waits = at.take(phone=client(1), due=120.0)
    agreed_at = at.now + timedelta(hours=5)
    agreed = at.take(phone=client(2), at=agreed_at.isoformat())
    at.ahead = jump
    at.watch.look_at_clock()
    moved = at.store.get(waits.id)
    assert seconds(moved.due, at.now) == 120.0
    assert at.armed == {
        moved.key: 120.0,
        agreed.key: 4 * 3600.0 if jump > timedelta() else 6 * 3600.0,
    }
    assert moved.key != waits.key
    assert (at.scheduler.held, at.scheduler.woken) == (False, 3)
    assert at.store.get(agreed.id).due == agreed_at
    assert at.alarms.sounded["clock"] == 1
    assert at.on() == []


def test_a_small_step_moves_nothing(at):
    waits = at.take(due=120.0)
    at.ahead = timedelta(seconds=1.9)
    at.watch.look_at_clock()
    assert at.store.get(waits.id) == waits
    assert at.alarms.sounded["clock"] == 0


def test_a_jump_while_the_database_is_away_is_made_up_for(at, monkeypatch):
    waits = at.take(due=120.0)
    at.ahead = HOUR
    with monkeypatch.context() as patch:
        patch.setattr(at.store, "shift", _away)
        for _ in range(3):
            with pytest.raises(StoreError):
                at.watch.look_at_clock()
            assert at.scheduler.held  # by the clock that has jumped, what waits looks due
    assert at.store.get(waits.id) == waits
    at.watch.look_at_clock()
    assert seconds(at.store.get(waits.id).due, at.now) == 120.0
    at.watch.look_at_clock()
    assert seconds(at.store.get(waits.id).due, at.now) == 120.0


# -- the promise -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tamper", "missing"),
    [
        ("DELETE FROM requests", 1),
        ("DELETE FROM history WHERE what = 'taken'", -1),
    ],
)
def test_a_request_that_is_not_accounted_for_is_an_alarm(at, tamper, missing):
    at.take()
    at.watch.check_promise()
    assert at.on() == []
    with at.store.database.writing() as c:
        c.execute(sa.text(tamper))
    at.watch.check_promise()
    (alarm,) = at.alarms.all()
    assert (alarm.kind, alarm.detail) == ("promise", f"{missing} requests are missing")


def test_a_promise_that_is_kept_again_is_no_alarm(at):
    request = asks(at.now)
    at.desk.take(request, "a test")
    with at.store.database.writing() as c:
        kept = c.execute(sa.text("SELECT * FROM requests")).mappings().one()
        c.execute(sa.text("DELETE FROM requests"))
    at.watch.check_promise()
    assert at.on() == [("promise", "")]
    with at.store.database.writing() as c:
        names = ", ".join(f'"{name}"' for name in kept)
        values = ", ".join(f":{name}" for name in kept)
        c.execute(sa.text(f"INSERT INTO requests ({names}) VALUES ({values})"), dict(kept))
    at.watch.check_promise()
    assert at.on() == []


# -- other nodes -----------------------------------------------------------------------------------


def test_a_dead_nodes_work_is_taken_over_and_it_is_an_alarm_until_it_is_back(at):
    south = ClusterMembership(at.store.database, "south")
    south.beat(at.now, started=True)
    for number in range(4):
        assert at.store.begin(at.take(phone=client(number)).key, "south", by(at.now))
    at.watch._beat()
    assert at.on() == []
    at.hand.move(DEAD_S + 0.001)
    at.watch._beat()
    (alarm,) = at.alarms.all()
    assert (alarm.kind, alarm.about, alarm.detail) == ("node", "south", "4 attempts taken over")
    south.beat(at.now)
    at.watch._beat()
    assert at.on() == []


@pytest.mark.parametrize(("silent_s", "adopted"), [(DEAD_S, False), (DEAD_S + 0.001, True)])
def test_a_node_that_starts_adopts_from_the_dead_and_not_from_the_living(at, silent_s, adopted):
    ClusterMembership(at.store.database, "south").beat(at.now, started=True)
    callback = at.take()
    assert at.store.begin(callback.key, "south", by(at.now))
    at.hand.move(silent_s)
    at.watch.start()
    at.watch.leave()
    assert at.store.attempt(callback.key).node == ("north" if adopted else "south")
    assert bool(at.dialer.asked) is adopted


def test_who_leaves_is_not_dead(at, store, clock):
    at.watch.start()
    at.watch.leave()
    clock.move(3600)
    assert ClusterMembership(store.database, "south").seen(clock.now) == ({"south"}, set())


# -- duties that fail ------------------------------------------------------------------------------


def test_the_database_away_is_an_alarm_until_every_duty_is_done_again(at):
    at.watch._do("promise", _away)
    at.watch._do("overdue", _away)
    assert at.watch.trouble == dict.fromkeys(("promise", "overdue"), "the database is away")
    assert at.on() == [("database", "")]
    at.watch._do("promise", lambda: None)
    assert (list(at.watch.trouble), at.on()) == (["overdue"], [("database", "")])
    at.watch._do("overdue", lambda: None)
    assert (at.watch.trouble, at.on()) == ({}, [])
    assert at.alarms.sounded["database"] == 1


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_a_duty_that_has_a_bug_is_trouble_and_told_in_the_log(at, caplog):
    def bug():
        raise KeyError("x")

    at.watch._do("overdue", bug)
    assert at.watch.trouble == {"overdue": "KeyError"}
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.duty == "overdue"


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
@pytest.mark.parametrize("error", [RuntimeError("a bug"), StoreError("away")])
@pytest.mark.parametrize(
    "fails", ["look_at_clock", "_look_after", "look_for_overdue", "check_promise"]
)
def test_the_other_duties_go_on_when_one_raises(at, monkeypatch, fails, error):
    """In the watch's own thread, with every interval gone by at each tick."""
    done: queue.Queue[str] = queue.Queue()
    names = {
        "look_at_clock",
        "_beat",
        "_look_after",
        "look_for_overdue",
        "check_promise",
    }

    def duty(name):
        def do(**_):
            done.put(name)
            if name == fails and started:
                raise error

        return do

    started = False
    for name in names:
        monkeypatch.setattr(at.watch, name, duty(name))
    monkeypatch.setattr(watching, "TICK_S", 0.001)
    ticks = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    at.watch.start()
    started = True
    try:
        seen = [done.get(timeout=10) for _ in range(40)]
    finally:
        at.watch.leave()
    assert set(seen[-20:]) == names
    assert seen.count(fails) >= 2  # and it is tried again


def test_the_first_round_that_fails_is_told_to_who_starts_it(at, monkeypatch):
    monkeypatch.setattr(at.store, "under_way", _away)
    with pytest.raises(StoreError):
        at.watch.start()
    assert "reconciler" not in {thread.name for thread in threading.enumerate()}


def test_a_start_adopts_and_beats_and_looks_at_the_clock_before_it_returns(at):
    left = at.take(phone=client(2))
    assert at.store.begin(left.key, "north", by(at.now))
    at.hand.move(3)
    at.watch.start()
    at.watch.leave()
    assert not at.scheduler.held
    assert at.dialer.asked == [("status", left.key), ("dial", left.key)]
    assert at.store.get(left.id).state is State.RINGING
