"""The real engine on both databases: one at a time in a process, so each test stops its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter

import psutil
import pytest
import sqlalchemy as sa

from vad_agent.callbacks import scheduler as waking
from vad_agent.callbacks.database import DatabaseLocation
from vad_agent.callbacks.scheduler import WORKERS, DbosScheduler
from vad_agent.errors import EngineError, StoreError

LIMIT_S = 15.0


class Bench:
    """Starts engines of one database; `woken`: the keys, as they are run."""

    def __init__(self, where: DatabaseLocation) -> None:
        self.where = where
        self.woken: queue.Queue[str] = queue.Queue()
        self.engine: DbosScheduler | None = None

    def start(self, run=None, node="north"):
        self.engine = DbosScheduler(self.where, node)
        self.engine.start(run or self.woken.put)
        return self.engine

    def next(self, limit_s=LIMIT_S):
        return self.woken.get(timeout=limit_s)

    def stop(self):
        if self.engine is not None:
            self.engine.stop()
            self.engine = None

    def rows(self):
        """Id → status."""
        schema = "dbos." if self.where.file is None else ""
        made = waking.engine(self.where)
        with made.connect() as c:
            query = sa.text(f"SELECT workflow_uuid, status FROM {schema}workflow_status")
            found = dict(c.execute(query).all())
        made.dispose()
        return found

    def clear(self):
        """On PostgreSQL a database is used by test after test, and the engine's tables stay."""
        if self.where.file is None:
            made = waking.engine(self.where)
            with made.begin() as c:
                if c.execute(sa.text("SELECT to_regclass('dbos.workflow_status')")).scalar():
                    c.execute(sa.text("TRUNCATE dbos.workflow_status CASCADE"))
            made.dispose()

    def until(self, true):
        """Rows are written by the engine's threads."""
        deadline = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < deadline, self.rows()
            threading.Event().wait(0.02)


@pytest.fixture
def bench(where, monkeypatch):
    monkeypatch.setattr(waking, "LISTEN_S", 0.01)
    monkeypatch.setattr(waking, "ENDING_S", 0)
    bench = Bench(DatabaseLocation.parse(where).beside(".engine.sqlite"))
    if bench.where.file is not None:
        bench.where.file.parent.mkdir(parents=True)
    bench.clear()
    yield bench
    bench.stop()
    bench.clear()


# -- armed, woken ----------------------------------------------------------------------------------


def test_what_is_armed_is_woken_at_its_time_and_moved_and_cancelled(bench):
    engine = bench.start()
    began = time.monotonic()
    for key, in_s in (("now.1.1", 0.0), ("soon.1.1", 0.5), ("late.1.1", 600.0), ("never.1.1", 0.5)):
        engine.arm(key, in_s)
    engine.arm("moved.1.1", 600.0)
    engine.arm("moved.1.1", 0.5)
    engine.cancel(["never.1.1", "nobody.1.1"])
    assert engine.pending() >= {"soon.1.1", "late.1.1", "moved.1.1"}
    assert "never.1.1" not in engine.pending()
    assert bench.next() == "now.1.1"
    assert {bench.next(), bench.next()} == {"soon.1.1", "moved.1.1"}
    assert time.monotonic() - began >= 0.5
    bench.until(lambda: engine.pending() == {"late.1.1"})
    assert bench.rows()["moved.1.1"] == "SUCCESS"
    assert bench.woken.empty()
    engine.cancel([])
    engine.cancel(["late.1.1"])
    assert engine.pending() == set()


def test_a_key_that_was_woken_or_cancelled_is_armed_again_under_another_id(bench):
    engine = bench.start()
    engine.arm("a.1.1", 0.0)
    assert bench.next() == "a.1.1"
    bench.until(lambda: engine.pending() == set())
    engine.arm("a.1.1", 0.0)
    assert bench.next() == "a.1.1"
    bench.until(lambda: engine.pending() == set())
    engine.arm("a.1.1", 600.0)
    engine.arm("a.1.1", 500.0)
    engine.arm("b.1.1", 600.0)
    engine.cancel(["b.1.1"])
    engine.arm("b.1.1", 600.0)
    assert engine.pending() == {"a.1.1", "b.1.1"}
    assert bench.rows() == {
        "a.1.1": "SUCCESS",
        "a.1.1~2": "SUCCESS",
        "a.1.1~3": "DELAYED",
        "b.1.1": "CANCELLED",
        "b.1.1~2": "DELAYED",
    }


def test_one_that_is_awake_is_armed_again_beside_and_may_be_cancelled(bench):
    go = threading.Event()

    def run(key):
        bench.woken.put(key)
        assert go.wait(LIMIT_S)

    engine = bench.start(run)
    engine.arm("a.1.1", 0.0)
    assert bench.next() == "a.1.1"
    assert engine.pending() == {"a.1.1"}
    engine.arm("a.1.1", 0.0)
    assert bench.next() == "a.1.1"
    engine.cancel(["a.1.1"])  # while it is awake: nothing is disturbed
    go.set()
    bench.until(lambda: engine.pending() == set())
    engine.arm("b.1.1", 0.0)
    assert bench.next() == "b.1.1"
    assert set(bench.rows()) == {"a.1.1", "a.1.1~2", "b.1.1"}


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_one_that_arms_itself_again_is_woken_again(bench):
    """As one that was woken too early does."""
    times = iter(range(3))

    def run(key):
        if next(times) < 2:
            bench.engine.arm(key, 0.0)
        bench.woken.put(key)

    engine = bench.start(run)
    engine.arm("a.1.1", 0.0)
    assert [bench.next() for _ in range(3)] == ["a.1.1"] * 3
    bench.until(lambda: engine.pending() == set())


# -- what a run raises -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_a_run_that_raises_ends_and_the_engine_goes_on(bench, caplog):
    errors = {"a.1.1": RuntimeError("a bug"), "b.1.1": KeyError("x"), "c.1.1": AssertionError()}

    def run(key):
        bench.woken.put(key)
        if key in errors:
            raise errors[key]

    engine = bench.start(run)
    for key in (*errors, "good.1.1"):
        engine.arm(key, 0.0)
        assert bench.next() == key
    bench.until(lambda: engine.pending() == set())
    assert Counter(bench.rows().values()) == {"SUCCESS": 4}
    told = [(one.levelno, one.key) for one in caplog.records if one.name == waking.__name__]
    assert told == [(logging.ERROR, key) for key in errors]


def test_a_run_waits_for_a_store_that_is_away(bench, monkeypatch):
    monkeypatch.setattr(waking, "AGAIN_S", 0.01)
    times = iter(range(4))

    def run(key):
        bench.woken.put(key)
        if next(times) < 3:
            raise StoreError("away")

    engine = bench.start(run)
    engine.arm("a.1.1", 0.0)
    assert [bench.next() for _ in range(4)] == ["a.1.1"] * 4
    bench.until(lambda: engine.pending() == set())
    assert bench.rows() == {"a.1.1": "SUCCESS"}


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_a_stop_does_not_wait_for_the_store(bench, monkeypatch):
    monkeypatch.setattr(waking, "AGAIN_S", 3600.0)
    monkeypatch.setattr(waking, "ENDING_S", 2)

    def run(key):
        bench.woken.put(key)
        raise StoreError("away")

    bench.start(run).arm("a.1.1", 0.0)
    bench.next()
    began = time.monotonic()
    bench.stop()
    assert time.monotonic() - began < 5


# -- ended and started -----------------------------------------------------------------------------


def test_what_was_armed_is_woken_by_the_next_engine(bench):
    engine = bench.start()
    engine.arm("soon.1.1", 0.3)
    engine.arm("late.1.1", 600.0)
    bench.stop()
    engine = bench.start()
    assert bench.next() == "soon.1.1"
    bench.until(lambda: engine.pending() == {"late.1.1"})
    assert bench.woken.empty()


def test_a_dead_nodes_work_is_done_by_another(bench):
    """What a node was at is its own until it is taken over; the rows are those of a kill."""
    engine = bench.start()
    for key in ("a.1.1", "b.1.1", "c.1.1"):
        engine.arm(key, 600.0)
    schema = "dbos." if bench.where.file is None else ""
    made = waking.engine(bench.where)
    with made.begin() as c:
        c.execute(
            sa.text(
                f"UPDATE {schema}workflow_status SET status = 'PENDING', executor_id = 'south' "
                "WHERE workflow_uuid <> 'c.1.1'"
            )
        )
    made.dispose()
    assert engine.take_over("east") == 0
    assert bench.woken.empty()
    assert engine.take_over("south") == 2
    assert {bench.next(), bench.next()} == {"a.1.1", "b.1.1"}
    assert engine.take_over("south") == 0
    bench.until(lambda: engine.pending() == {"c.1.1"})


def test_a_database_that_cannot_be_used_is_an_engine_error(tmp_path):
    (tmp_path / "folder").mkdir()
    engine = DbosScheduler(DatabaseLocation.parse(str(tmp_path / "folder")), "north")
    try:
        with pytest.raises(EngineError) as told:
            engine.start(print)
        assert "\n" not in str(told.value)
    finally:
        engine.stop()


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database
def test_an_engine_that_was_stopped_takes_nothing(bench):
    engine = bench.start()
    bench.stop()
    with pytest.raises(EngineError):
        engine.arm("a.1.1", 0.0)
    engine.cancel(["a.1.1"])


# -- many ------------------------------------------------------------------------------------------


@pytest.mark.serial
def test_five_thousand_that_wait_cost_few_threads_and_are_looked_through_quickly(bench):
    engine = bench.start()
    for number in range(5):
        engine.arm(f"{number}.1.1", 600.0)
    _multiplied(bench, 1000)
    began = time.monotonic()
    pending = engine.pending()
    assert time.monotonic() - began < 1.0
    assert len(pending) == 5000
    assert psutil.Process().num_threads() < WORKERS
    engine.arm("now.1.1", 0.0)
    assert bench.next() == "now.1.1"
    engine.cancel(pending)
    assert engine.pending() <= {"now.1.1"}


def _multiplied(bench, times):
    """Copies of the rows: to arm so many takes half a minute."""
    table = "dbos.workflow_status" if bench.where.file is None else "workflow_status"
    made = waking.engine(bench.where)
    with made.begin() as c:
        row = c.execute(sa.text(f"SELECT * FROM {table} LIMIT 1")).mappings().one()
        others = [name for name in row if name != "workflow_uuid"]
        names = ", ".join(f'"{name}"' for name in others)
        for copy in range(1, times):
            c.execute(
                sa.text(
                    f'INSERT INTO {table} ("workflow_uuid", {names}) '
                    f"SELECT '{copy}-' || workflow_uuid, {names} FROM {table} "
                    "WHERE workflow_uuid IN ('0.1.1', '1.1.1', '2.1.1', '3.1.1', '4.1.1')"
                )
            )
    made.dispose()
