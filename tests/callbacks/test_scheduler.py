"""The scheduler over a real store, on both databases; its attempts are begun, and ring nobody."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import sqlalchemy as sa

from tests.callbacks.store_requests import asks, begin, by, client, take
from vad_agent.callbacks import scheduler as waking
from vad_agent.callbacks import transitions
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Outcome
from vad_agent.callbacks.scheduler import QUEUED, WORKERS, Scheduler
from vad_agent.errors import StoreError

LIMIT_S = 15.0


class Bench:
    """Schedulers of one store; `woken`: the keys, as they are run. A run begins its attempt, as a desk's."""

    def __init__(self, store) -> None:
        self.store = store
        self.ahead = timedelta()
        """By which the clock's authority is ahead of the machine's."""
        self.clock = Clock(lambda: datetime.now(UTC) + self.ahead)
        self.woken: queue.Queue[str] = queue.Queue()
        self.scheduler: Scheduler | None = None

    @property
    def now(self):
        return self.clock.now()

    def start(self, run=None, node="north"):
        self.scheduler = Scheduler(self.store, self.clock, node)
        with self.scheduler.holding():
            pass
        self.scheduler.start(run or self.begun)
        return self.scheduler

    def begun(self, key, node="north"):
        begun = self.store.begin(key, node, by(self.now))
        if begun is not None and begun.attempt.node == node:
            self.woken.put(key)

    def take(self, number=0, *, due=0.0, wake=True):
        callback = take(self.store, self.now, phone=client(number), due=due)
        if wake and self.scheduler is not None:
            self.scheduler.wake()
        return callback

    def next(self, limit_s=LIMIT_S):
        return self.woken.get(timeout=limit_s)

    def nothing(self, for_s=0.2):
        """Nothing is woken in so long."""
        with pytest.raises(queue.Empty):
            self.woken.get(timeout=for_s)

    def stop(self):
        if self.scheduler is not None:
            self.scheduler.stop()
            self.scheduler = None


@pytest.fixture
def bench(store, monkeypatch):
    monkeypatch.setattr(waking, "ENDING_S", LIMIT_S)  # a store is closed when nothing uses it
    bench = Bench(store)
    yield bench
    bench.stop()


@pytest.fixture
def never_polls(monkeypatch):
    """What is woken is woken by a change, or because its time has come."""
    monkeypatch.setattr(waking, "POLL_S", 3600.0)


only_sqlite = pytest.mark.parametrize("where", ["sqlite"], indirect=True)
"""No matter of the database."""
only_postgresql = pytest.mark.parametrize("where", ["postgresql"], indirect=True)
"""Of several nodes."""


# -- at its time -----------------------------------------------------------------------------------


def test_what_waits_is_woken_at_its_time_and_moved_and_cancelled(bench, never_polls):
    scheduler = bench.start()
    began = time.monotonic()
    now, soon = bench.take(1), bench.take(2, due=0.5)
    bench.take(3, due=600.0)
    never, moved = bench.take(4, due=0.5), bench.take(5, due=600.0)
    bench.store.change(
        never.id, "cancelled", by(bench.now), lambda c: transitions.cancel(c, bench.now)
    )
    earlier = bench.store.take(asks(bench.now, phone=client(5), due=0.5), by(bench.now)).callback
    scheduler.wake()
    assert (earlier.id, earlier.key != moved.key) == (moved.id, True)
    assert bench.next() == now.key
    assert {bench.next(), bench.next()} == {soon.key, earlier.key}
    assert time.monotonic() - began >= 0.5
    bench.nothing()


@only_sqlite
def test_one_that_waits_again_is_woken_again(bench, never_polls):
    def run(key):
        bench.begun(key)
        bench.store.end(key, Outcome.BUSY, "", by(bench.now))
        bench.scheduler.wake()

    bench.store.policy = replace(bench.store.policy, gaps_s=(0.0, 0.0))
    bench.start(run)
    bench.take()
    assert [bench.next().rpartition(".")[2] for _ in range(3)] == ["1", "2", "3"]


def test_what_another_process_stored_is_found_without_being_told(bench, monkeypatch):
    monkeypatch.setattr(waking, "POLL_S", 0.05)
    bench.start()
    callback = bench.take(wake=False)
    assert bench.next() == callback.key


def test_of_many_that_are_due_at_once_each_is_run_once_by_few_threads(bench, never_polls):
    ran: Counter[str] = Counter()
    threads = set()

    def run(key):
        threads.add(threading.get_ident())
        ran[key] += 1
        bench.begun(key)

    count = 2 * QUEUED + 5
    keys = {bench.take(number).key for number in range(count)}
    bench.start(run)
    assert {bench.next() for _ in range(count)} == keys
    assert set(ran.values()) == {1}
    assert len(threads) <= WORKERS


# -- what a run does -------------------------------------------------------------------------------


@only_sqlite
def test_one_that_is_running_is_not_run_a_second_time(bench):
    go = threading.Event()

    def run(key):
        bench.woken.put(key)
        assert go.wait(LIMIT_S)
        bench.store.begin(key, "north", by(bench.now))

    scheduler = bench.start(run)
    callback = bench.take()
    assert bench.next() == callback.key
    for _ in range(5):
        scheduler.wake()
        bench.nothing(0.02)
    go.set()


@only_sqlite
def test_a_run_that_raises_ends_and_the_others_go_on(bench, caplog, monkeypatch):
    errors = [RuntimeError("a bug"), KeyError("x"), AssertionError()]
    failing = {bench.take(number).key: error for number, error in enumerate(errors)}

    def run(key):
        if key in failing:
            bench.woken.put(key)
            raise failing[key]
        bench.begun(key)

    bench.start(run)
    assert {bench.next() for _ in failing} == set(failing)
    good = bench.take(9)
    assert bench.next() == good.key
    bench.nothing()
    told = [(one.levelno, one.key) for one in caplog.records if one.name == waking.__name__]
    assert Counter(told) == Counter((logging.ERROR, key) for key in failing)


@pytest.mark.parametrize("error", [StoreError("away"), RuntimeError("a bug"), None])
def test_what_is_still_due_after_its_run_is_run_again(bench, monkeypatch, error):
    for pause in ("POLL_S", "AGAIN_S", "FAILED_S"):
        monkeypatch.setattr(waking, pause, 0.01)
    times = iter(range(4))

    def run(key):
        if next(times) < 3:
            bench.woken.put(key)
            if error is not None:
                raise error
            return
        bench.begun(key)

    bench.start(run)
    callback = bench.take()
    assert [bench.next() for _ in range(4)] == [callback.key] * 4
    bench.nothing(0.1)


def test_a_look_waits_for_a_store_that_is_away(bench, monkeypatch):
    monkeypatch.setattr(waking, "AGAIN_S", 0.01)
    due, looked = bench.store.due, queue.Queue()

    def away(*_):
        looked.put(None)
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "due", away)
        bench.start()
        callback = bench.take()
        for _ in range(3):
            looked.get(timeout=LIMIT_S)
        assert bench.woken.empty()
    assert bench.store.due == due
    assert bench.next() == callback.key


@only_sqlite
def test_a_look_that_raises_an_unexpected_error_is_repeated(bench, monkeypatch, caplog):
    monkeypatch.setattr(waking, "AGAIN_S", 0.01)
    looked = threading.Event()

    def bug(*_):
        looked.set()
        raise KeyError("x")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "due", bug)
        bench.start()
        assert looked.wait(LIMIT_S)
    callback = bench.take()
    assert bench.next() == callback.key
    assert any(one.levelno == logging.ERROR for one in caplog.records)


# -- the clock -------------------------------------------------------------------------------------


@only_sqlite
def test_while_the_clock_may_jump_nothing_is_woken_nor_after_an_error(bench, monkeypatch):
    monkeypatch.setattr(waking, "POLL_S", 0.01)
    scheduler = bench.start()
    with scheduler.holding():
        callback = bench.take()
        bench.nothing(0.1)
        bench.store.change(
            callback.id, "cancelled", by(bench.now), lambda c: transitions.cancel(c, bench.now)
        )
    bench.nothing(0.1)
    with pytest.raises(StoreError), scheduler.holding():
        raise StoreError("the shift could not be stored")
    callback = bench.take()
    bench.nothing(0.1)
    with scheduler.holding():
        pass
    assert bench.next() == callback.key


@only_sqlite
def test_before_the_first_look_at_the_clock_nothing_is_woken(bench, monkeypatch):
    monkeypatch.setattr(waking, "POLL_S", 0.01)
    bench.scheduler = Scheduler(bench.store, bench.clock, "north")
    bench.scheduler.start(bench.begun)
    callback = bench.take()
    bench.nothing(0.1)
    with bench.scheduler.holding():
        pass
    assert bench.next() == callback.key


@only_postgresql
def test_what_another_node_shifted_waits_until_this_nodes_clock_has_followed(bench, monkeypatch):
    """The server's clock goes back an hour. By the old one, what is due in a minute is long overdue."""
    monkeypatch.setattr(waking, "POLL_S", 0.01)
    scheduler = bench.start()
    bench.take(1, due=60.0)
    agreed = bench.take(2, due=0.0)
    assert bench.next() == agreed.key
    bench.ahead = step = timedelta(hours=-1)
    assert bench.store.shift(step, by(bench.now + step, "by another node"))
    scheduler.wake()
    bench.nothing(0.1)
    with scheduler.holding():
        bench.clock.look()
    bench.nothing(0.1)
    now = bench.take(3)
    assert bench.next() == now.key


# -- ended and started -----------------------------------------------------------------------------


def test_what_waited_is_woken_by_the_next_scheduler(bench, never_polls):
    bench.start()
    soon = bench.take(1, due=0.3)
    bench.take(2, due=600.0)
    bench.stop()
    bench.start()
    assert bench.next() == soon.key
    bench.nothing()


def test_what_this_node_had_begun_is_run_at_its_start_and_another_nodes_is_not(bench, never_polls):
    mine, others, ended = (bench.take(number) for number in range(3))
    begin(bench.store, mine, bench.now, "north")
    begin(bench.store, others, bench.now, "south")
    key = begin(bench.store, ended, bench.now, "north")
    bench.store.end(key, Outcome.REACHED, "", by(bench.now))
    bench.start(bench.woken.put)
    assert bench.next() == mine.key
    bench.nothing()


@only_sqlite
def test_a_stop_waits_for_no_store_and_hardly_for_a_dial(bench, monkeypatch):
    monkeypatch.setattr(waking, "ENDING_S", 0.1)
    monkeypatch.setattr(waking, "AGAIN_S", 3600.0)
    go = threading.Event()

    def run(key):
        bench.woken.put(key)
        if key == hangs.key:
            go.wait(LIMIT_S)
        raise StoreError("away")

    hangs = bench.take(1)
    bench.take(2)
    bench.start(run)
    bench.next()
    bench.next()
    began = time.monotonic()
    bench.stop()
    assert time.monotonic() - began < 5
    go.set()


@only_sqlite
def test_after_a_stop_nothing_is_woken(bench, monkeypatch):
    monkeypatch.setattr(waking, "POLL_S", 0.01)
    scheduler = bench.start()
    scheduler.stop()
    bench.take()
    bench.nothing(0.1)


@only_sqlite
def test_one_that_was_never_started_stops(bench):
    Scheduler(bench.store, bench.clock, "north").stop()


# -- several nodes ---------------------------------------------------------------------------------


@only_postgresql
def test_of_two_nodes_one_makes_each_attempt(bench, opened):
    """A node's threads wait for the other's first attempt, so that the faster one cannot make them all."""
    south = Bench(opened())
    count = 3 * WORKERS
    keys = {bench.take(number).key for number in range(count)}
    first = {"north": threading.Event(), "south": threading.Event()}

    def run(node, other, one):
        def run(key):
            one.begun(key, node)
            if key in one.store.held_by(node):
                first[node].set()
            assert first[other].wait(LIMIT_S)

        return run

    try:
        bench.start(run("north", "south", bench))
        south.start(run("south", "north", south), "south")
        for one in (bench, south):
            one.scheduler.wake()
        deadline = time.monotonic() + LIMIT_S
        while bench.woken.qsize() + south.woken.qsize() < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        held = {node: bench.store.held_by(node) for node in first}
    finally:
        for event in first.values():
            event.set()
        south.stop()
    assert sorted(held["north"] + held["south"]) == sorted(keys)
    assert all(held.values())


@only_postgresql
def test_what_a_node_that_stands_still_has_locked_delays_nothing_else(bench, never_polls):
    locked, free = bench.take(1), bench.take(2)
    with bench.store.database.writing() as c:
        c.execute(sa.text("SELECT * FROM callbacks WHERE id = :id FOR UPDATE"), {"id": locked.id})
        scheduler = bench.start()
        assert bench.next() == free.key
        bench.nothing()
    scheduler.wake()
    assert bench.next() == locked.key


# -- many ------------------------------------------------------------------------------------------


@pytest.mark.serial
def test_five_thousand_that_wait_cost_few_threads_and_are_looked_through_quickly(bench):
    _multiplied(bench, bench.take(due=600.0), 5000)
    before = psutil.Process().num_threads()
    bench.start()
    began = time.monotonic()
    _, found = bench.store.due(bench.now, QUEUED)
    assert time.monotonic() - began < 1.0
    assert found == []
    assert psutil.Process().num_threads() - before < 3
    now = bench.take(1)
    assert bench.next() == now.key


def _multiplied(bench, callback, count):
    """Copies of a callback without its number: to take so many takes half a minute."""
    with bench.store.database.writing() as c:
        row = c.execute(sa.text("SELECT * FROM callbacks")).mappings().one()
        others = ", ".join(f'"{name}"' for name in row if name not in ("id", "phone", "client"))
        c.execute(
            sa.text(
                f"INSERT INTO callbacks (id, {others}) SELECT :id || id, {others} FROM callbacks "
                "WHERE id = :callback"
            ),
            [{"id": f"{n}-", "callback": callback.id} for n in range(1, count)],
        )
