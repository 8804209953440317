"""The clock: a jump is told, a drift is not, and between two looks nothing jumps."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from vad_agent.callbacks.clock import Clock, machine_time

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)


class Machine:
    """A counter, and a clock that can be set away from it."""

    def __init__(self) -> None:
        self.counter = 1000.0
        self.set_by = 0.0
        self.answer_takes = (0.0, 0.0)
        """s until the time is read, and s until the answer is here."""

    def steady(self) -> float:
        return self.counter

    def authority(self) -> datetime:
        there, back = self.answer_takes
        self.counter += there
        told = NOON + timedelta(seconds=self.counter - 1000.0 + self.set_by)
        self.counter += back
        return told


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> Clock:
    return Clock(machine.authority, machine.steady)


@pytest.mark.parametrize(
    ("set_by", "told"),
    [
        (0, None),
        (0.001, None),
        (-0.001, None),
        (1.999, None),
        (-1.999, None),
        (2.0, 2.0),
        (-2.0, -2.0),
        (2.001, 2.001),
        (-2.001, -2.001),
        (3600, 3600),
        (-3600, -3600),
    ],
)
def test_a_jump_of_two_seconds_and_more_is_told_once(machine, clock, set_by, told):
    machine.counter += 1
    machine.set_by += set_by
    step = clock.look()
    assert (step and step.total_seconds()) == told
    assert clock.look() is None
    assert clock.now() == machine.authority()


def test_a_drift_is_never_a_jump_however_far_it_goes(machine, clock):
    for _ in range(1000):
        machine.counter += 1
        machine.set_by += 0.05
        assert clock.look() is None
    assert machine.set_by == pytest.approx(50)
    assert abs(clock.now() - machine.authority()) < timedelta(seconds=0.001)


def test_between_two_looks_nothing_the_clock_is_set_to_is_seen(machine, clock):
    seen = []
    for set_by in (0, 3600, -3600, 86400, 0):
        machine.counter += 0.5
        machine.set_by = set_by
        seen.append((clock.now() - NOON).total_seconds())
    assert seen == [0.5, 1.0, 1.5, 2.0, 2.5]


@pytest.mark.parametrize("answer_takes", [(0, 5), (5, 0), (2.5, 2.5), (0, 0.3)])
def test_an_answer_that_is_long_in_coming_is_no_jump(machine, clock, answer_takes):
    machine.answer_takes = answer_takes
    assert clock.look() is None
    machine.answer_takes = (0, 0)
    assert clock.look() is None
    assert clock.now() == machine.authority()


@pytest.mark.parametrize("set_by", [3600, -3600])
def test_a_jump_is_told_though_the_answer_is_long_in_coming(machine, clock, set_by):
    machine.answer_takes = (1, 1)
    machine.set_by = set_by
    step = clock.look()
    assert step is not None
    assert step.total_seconds() == pytest.approx(set_by, abs=1)


def test_an_authority_that_cannot_be_asked_leaves_the_clock_as_it_was(machine):
    answers = iter([NOON])
    clock = Clock(lambda: next(answers), machine.steady)
    machine.counter += 7
    with pytest.raises(StopIteration):
        clock.look()
    assert clock.now() == NOON + timedelta(seconds=7)


def test_the_machines_own_clock_is_aware_and_close_to_the_time():
    clock = Clock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert clock.now().utcoffset() == machine_time().utcoffset() == timedelta(0)
    first = clock.now()
    spun = time.monotonic()
    while time.monotonic() == spun:
        pass
    assert clock.now() > first
    assert clock.look() is None
