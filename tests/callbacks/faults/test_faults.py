"""Faults with real processes, on SQLite and on a real PostgreSQL: what was taken comes to its end, once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.callbacks.faults.exchange import course, locked, read_ledger
from tests.callbacks.faults.storm import killed_at, storm
from tests.callbacks.faults.trial import ROOT, Trial, started
from tests.callbacks.postgres import Postgres
from vad_agent.callbacks.cluster_membership import BEAT_S, DEAD_S
from vad_agent.callbacks.failpoints import POINTS
from vad_agent.callbacks.model import Outcome
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage, new_key

LATE_S = 5.0
"""After a restart."""

MakeTrial = Callable[..., Trial]


@pytest.fixture
def trial(where: str, tmp_path: Path) -> MakeTrial:
    def make(seed: int = 1, slow_s: float = 0.2) -> Trial:
        return Trial(tmp_path / "trial", where, seed, slow_s=slow_s)

    return make


@pytest.fixture(autouse=True)
def no_node_outlives_its_test() -> Iterator[None]:
    """One that a failed test leaves would use the database and the processors of the next ones."""
    yield
    while started:
        started.pop().kill()


@pytest.mark.serial
def test_a_storm_of_kills_loses_and_doubles_nothing(trial: MakeTrial) -> None:
    report = storm(trial(seed=11), requests=200, kills=30)
    assert (report.requests, report.kills) == (200, 30)
    report.check(LATE_S)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_named_point(trial: MakeTrial, point: str) -> None:
    report = killed_at(trial(seed=POINTS.index(point)), point)
    assert report.kills == 2
    report.check(LATE_S)


def test_a_killed_node_that_comes_back_under_another_name(trial: MakeTrial) -> None:
    run = trial(seed=3)
    run.ask(12)
    node = run.node("one")
    assert node.ready()
    time.sleep(1.5)
    node.kill()
    node = run.node("another")
    assert node.ready(), node.said
    assert run.until_idle()
    node.end()
    report = run.report()
    report.late_s.clear()  # what the first one was at is adopted once it is known to be dead
    report.check(LATE_S)


def test_an_upgrade_between_two_attempts(trial: MakeTrial, tmp_path: Path) -> None:
    """The source that arms and the source that rings differ; what was armed before rings all the same."""
    run = trial(seed=5)
    run.ask(10)
    node = run.node()
    assert node.ready()
    time.sleep(1.2)
    assert node.end() == 0
    before = len(read_ledger(run.ledger))
    newer = tmp_path / "newer"
    shutil.copytree(ROOT / "vad_agent", newer / "vad_agent", ignore=_no_caches)
    (newer / "tests").symlink_to(ROOT / "tests")
    for name in ("scheduler.py", "service.py", "dispatcher.py"):
        file = newer / "vad_agent" / "callbacks" / name
        file.write_text(
            file.read_text(encoding="utf-8") + "\n# a newer version\n", encoding="utf-8"
        )
    run.sources = newer
    node = run.node()
    assert node.ready(), node.said
    assert run.until_idle()
    node.end()
    assert len(read_ledger(run.ledger)) > before > 0
    run.report().check(LATE_S)


def _no_caches(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def test_an_outcome_that_comes_while_the_node_is_down(trial: MakeTrial) -> None:
    """The telephone rings on while the desk is dead; at its start it asks what became of it."""
    run = trial(seed=8, slow_s=1.5)
    run.ask(6)
    node = run.node()
    assert node.ready()
    _until(lambda: len(read_ledger(run.ledger)) >= 6)
    node.kill()
    time.sleep(2.0)
    node = run.node()
    assert node.ready()
    assert run.until_idle()
    node.end()
    run.report().check(LATE_S)


def test_cancelled_when_due(trial: MakeTrial) -> None:
    """A cancel in the same moment as the attempt: what was cancelled before its intent never rings."""
    from vad_agent.callbacks.model import State
    from vad_agent.callbacks.policy_from_script import policy_of
    from vad_agent.callbacks.queries import CallbackQueries
    from vad_agent.callbacks.store import Store
    from vad_agent.script.settings import Settings

    run = trial(seed=9, slow_s=0.0)
    node = run.node()
    assert node.ready()
    for _ in range(20):
        run.ask(1)
        letter = OutboxMessage(
            "withdrawn", new_key(), f"call-{len(run.phones)}", _now().isoformat()
        )
        time.sleep(run.dice.uniform(0.0, 0.25))
        run.outbox.post(letter)
    time.sleep(6.0)
    assert node.end() == 0
    store = Store(run.database, policy_of(Settings.load(run.script)))
    cancelled = [one for one in CallbackQueries(store).all() if one.state is State.CANCELLED]
    intents = {one.id: [it.intent for it in store.attempts_of(one.id)] for one in cancelled}
    rung = {line["phone"] for line in read_ledger(run.ledger)}
    ended = [one for one in CallbackQueries(store).all() if not one.open]
    promise = CallbackQueries(store).promise()
    store.close()
    assert len(ended) == 20
    assert promise.missing == 0
    assert cancelled
    for one in cancelled:
        assert one.ended is not None
        assert all(intent <= one.ended for intent in intents[one.id])
        assert intents[one.id] or one.phone not in rung


# -- the clock: the machine's beside SQLite, the server's beside PostgreSQL -----------------------------


@pytest.mark.parametrize("hours", [1, -1])
def test_the_clock_jumps_by_an_hour(tmp_path: Path, hours: int) -> None:
    run = Trial(tmp_path / "trial", str(tmp_path / "c.sqlite"), 2, slow_s=0.0)
    run.clock = tmp_path / "clock"
    run.clock.write_text("0", encoding="utf-8")
    node = run.node()
    assert node.ready()
    asked = time.time()
    run.ask(5, due_in_s=6.0)
    _until(lambda: not run.outbox.waiting())
    run.clock.write_text(str(3600 * hours), encoding="utf-8")
    time.sleep(3.0)
    assert read_ledger(run.ledger) == []
    assert run.until_idle()
    node.end()
    first = [line["at"] - asked for line in read_ledger(run.ledger) if line["attempt"] == 1]
    assert min(first) > 6.0 - 0.05
    assert min(first) < 6.0 + 3.0
    run.report().check(LATE_S)


def test_an_agreed_time_stays_on_the_wall(tmp_path: Path) -> None:
    run = Trial(tmp_path / "trial", str(tmp_path / "c.sqlite"), 2, slow_s=0.0)
    run.clock = tmp_path / "clock"
    run.clock.write_text("0", encoding="utf-8")
    node = run.node()
    assert node.ready()
    at = _now() + timedelta(seconds=3604)
    letter = OutboxMessage(
        REQUESTED,
        new_key(),
        "c",
        _now().isoformat(),
        "agreed",
        at=at.isoformat(),
        phone="+79120000001",
    )
    run.outbox.post(letter)
    _until(lambda: not run.outbox.waiting())
    run.clock.write_text("3600", encoding="utf-8")
    _until(lambda: len(read_ledger(run.ledger)) > 0, 15)
    rung = read_ledger(run.ledger)[0]["at"]
    assert 0 <= rung + 3600 - at.timestamp() < 3.0
    node.end()


def test_a_node_with_a_wrong_clock_goes_by_the_servers(url: str, tmp_path: Path) -> None:
    run = Trial(tmp_path / "trial", url, 2, slow_s=0.0)
    run.clock = tmp_path / "clock"
    run.clock.write_text("0", encoding="utf-8")
    node = run.node()
    assert node.ready()
    run.ask(4, due_in_s=5.0)
    _until(lambda: not run.outbox.waiting())
    run.clock.write_text("3600", encoding="utf-8")
    assert run.until_idle()
    node.end()
    run.report().check(LATE_S)


# -- several nodes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_three_nodes_and_one_dies_or_stands_still(url: str, tmp_path: Path, how: int) -> None:
    run = Trial(tmp_path / "trial", url, 21, slow_s=0.3)
    if how == signal.SIGSTOP:  # it may hold locks: the others' beats wait for them, up to 5 s
        run.beat_s, run.dead_s = BEAT_S, DEAD_S
    nodes = [run.node(name) for name in ("one", "two", "three")]
    assert all(node.ready() for node in nodes)
    run.ask(30)
    time.sleep(1.0)
    with locked(run.ledger):  # an exchange goes on when one of its desks stands still
        nodes[0].process.send_signal(how)
        time.sleep(0.2)
    run.ask(30)
    assert run.until_idle()
    if how == signal.SIGSTOP:
        nodes[0].process.send_signal(signal.SIGCONT)
        run.ask(10)
        assert run.until_idle()
        assert nodes[0].end() == 0
    else:
        nodes[0].gone()
    for node in nodes[1:]:
        assert node.end() == 0
    report = run.report()
    assert {line["node"] for line in read_ledger(run.ledger)} >= {"two", "three"}
    report.check(30.0 if how == signal.SIGSTOP else 20.0)


def test_two_nodes_killed_in_turn(url: str, tmp_path: Path) -> None:
    run = Trial(tmp_path / "trial", url, 22, slow_s=0.3)
    nodes = {name: run.node(name) for name in ("one", "two")}
    assert all(node.ready() for node in nodes.values())
    for turn in range(6):
        run.ask(8)
        time.sleep(0.7)
        name = ("one", "two")[turn % 2]
        nodes[name].kill()
        run.kills += 1
        nodes[name] = run.node(name)
        assert nodes[name].ready()
    assert run.until_idle()
    for node in nodes.values():
        assert node.end() == 0
    run.report().check(20.0)


# -- the database --------------------------------------------------------------------------------------


def test_postgresql_is_down_for_half_a_minute(postgres: Postgres, url: str, tmp_path: Path) -> None:
    run = Trial(tmp_path / "trial", url, 31, slow_s=0.3)
    node = run.node()
    assert node.ready()
    run.ask(10)
    time.sleep(1.5)
    postgres.kill()
    run.ask(5)  # the letters wait
    time.sleep(30.0)
    postgres.start()
    run.ups.append(time.time())
    assert run.until_idle()
    assert node.end() == 0
    run.report().check(15.0)


def test_a_locked_sqlite_file(tmp_path: Path) -> None:
    run = Trial(tmp_path / "trial", str(tmp_path / "c.sqlite"), 32, slow_s=0.3)
    node = run.node()
    assert node.ready()
    run.ask(10)
    time.sleep(1.2)
    other = sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    run.ask(5)
    time.sleep(15.0)
    other.execute("ROLLBACK")
    other.close()
    run.ups.append(time.time())
    assert run.until_idle()
    assert node.end() == 0
    run.report().check(10.0)


def test_a_second_process_on_the_file_is_refused(tmp_path: Path) -> None:
    run = Trial(tmp_path / "trial", str(tmp_path / "c.sqlite"), 1)
    first = run.node("one")
    assert first.ready()
    second = run.node("two")
    assert not second.ready()
    assert "another process has the callbacks" in second.said
    assert second.gone() == 2
    assert first.end() == 0


def test_a_file_of_an_older_versions_engine_harms_nothing_and_is_left(tmp_path: Path) -> None:
    """Earlier versions had a second database, which held nothing of its own: everything rings without it."""
    run = Trial(tmp_path / "trial", str(tmp_path / "c.sqlite"), 34, slow_s=0.0)
    run.ask(6, due_in_s=3.0)
    node = run.node()
    assert node.ready()
    _until(lambda: not run.outbox.waiting())
    node.kill()
    engine = tmp_path / "c.engine.sqlite"
    torn = os.urandom(8192)
    engine.write_bytes(torn)
    node = run.node()
    assert node.ready(), node.said
    assert run.until_idle()
    assert node.end() == 0
    assert list(tmp_path.glob("c.engine.sqlite*")) == [engine]
    assert engine.read_bytes() == torn
    run.report().check(LATE_S)


# -- what the trial itself would see -------------------------------------------------------------------


def test_the_courses_are_known_and_of_every_kind() -> None:
    seen = {outcome for n in range(200) for _, outcome in course(11, f"+7912{n:07}", 3)}
    assert seen == set(Outcome) - {Outcome.LOST}


def _now() -> datetime:
    return datetime.now(UTC)


def _until(true: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
