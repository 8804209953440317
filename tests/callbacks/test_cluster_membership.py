"""Who is alive and who is dead. On both databases."""

from __future__ import annotations

import pytest

from tests.callbacks.store_requests import at_once, rows
from vad_agent.callbacks.cluster_membership import BEAT_S, DEAD_S, ClusterMembership


@pytest.fixture
def north(store):
    return ClusterMembership(store.database, "north")


@pytest.fixture
def south(store):
    return ClusterMembership(store.database, "south")


def test_one_that_has_never_beaten_is_alive_to_itself_alone(north, south, clock):
    assert north.seen(clock.now) == ({"north"}, set())
    south.beat(clock.now, started=True)
    assert north.seen(clock.now) == ({"north", "south"}, set())


@pytest.mark.parametrize(
    ("silent_s", "dead"),
    [(0, False), (11.999999, False), (12, False), (12.000001, True), (3600, True)],
)
def test_a_node_without_a_beat_for_so_long_is_dead(north, south, clock, silent_s, dead):
    south.beat(clock.now, started=True)
    now = clock.move(silent_s)
    north.beat(now)
    assert north.seen(now) == (({"north"}, {"south"}) if dead else ({"north", "south"}, set()))


def test_a_dead_nodes_work_is_taken_over_within_thirty_seconds():
    assert DEAD_S >= 3 * BEAT_S  # one that is late is not dead
    assert DEAD_S + 2 * BEAT_S <= 30


def test_one_that_comes_back_is_alive(north, south, clock):
    south.beat(clock.now, started=True)
    assert north.seen(clock.move(60))[1] == {"south"}
    south.beat(clock.now)
    assert north.seen(clock.now) == ({"north", "south"}, set())


def test_one_that_leaves_is_not_dead(north, south, clock):
    south.beat(clock.now, started=True)
    north.beat(clock.now, started=True)
    south.leave()
    south.leave()
    assert north.seen(clock.move(60)) == ({"north"}, set())


def test_a_beat_keeps_when_the_node_started_and_a_start_sets_it(store, north, clock):
    def started_and_beat():
        (row,) = rows(store, "SELECT started = beat FROM nodes WHERE name = 'north'")
        return bool(row[0])

    north.beat(clock.now)
    assert started_and_beat()
    north.beat(clock.move(3))
    assert not started_and_beat()
    north.beat(clock.move(3), started=True)
    assert started_and_beat()


def test_nodes_that_beat_at_once_are_all_seen(store, north, clock):
    names = [f"n{k}" for k in range(16)]
    at_once(lambda k: ClusterMembership(store.database, names[k]).beat(clock.now, started=True), 16)
    assert north.seen(clock.now) == ({*names, "north"}, set())


def test_a_node_that_has_been_dead_for_a_day_is_forgotten(store, clock):
    north, south = (
        ClusterMembership(store.database, "north"),
        ClusterMembership(store.database, "south"),
    )
    south.beat(clock.now, started=True)
    now = clock.move(86_400.0)
    north.beat(now)
    north.forget_dead(now)
    assert north.seen(now) == ({"north"}, {"south"})
    now = clock.move(1.0)
    north.beat(now)
    north.forget_dead(now)
    assert north.seen(now) == ({"north"}, set())
