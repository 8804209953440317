"""How many calls a process takes by what it measures. Time and processor time are arguments."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.telephony.test_websocket_server import until
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.load_admission import CALL_LOAD, LOG_S, LoadAdmission
from vad_agent.telephony.router_clock import RouterClock

TURNS = 50


class Processor:
    """A process on a processor where each call costs `cost`, and all else `base`, of it."""

    def __init__(self, cost: float, *, base: float = 0.0, most: float = 0.75) -> None:
        self.cost, self.base = cost, base
        self.used = self.now = 0.0
        self.calls = 0
        self.admission = LoadAdmission(most, cpu=lambda: self.used)
        self.admission.start()

    def run(self, seconds: int, *, late: int = 0) -> None:
        """So many seconds, in each of which so many turns of the clock are late."""
        for _ in range(seconds):
            self.now += 1.0
            self.used += min(1.0, self.base + self.calls * self.cost)
            self.admission.sample(self.now, self.calls, TURNS, late)

    def offer(self, calls: int) -> int:
        """So many calls at once. Return how many are admitted."""
        before = self.calls
        for _ in range(calls):
            self.calls += not self.admission.refuses(self.calls, self.now)
        return self.calls - before


def test_the_first_calls_are_admitted_at_the_cost_of_a_slow_processor() -> None:
    assert Processor(0.001).offer(1000) == int(0.75 / CALL_LOAD)


@pytest.mark.parametrize("cost", [0.003, 0.005, 0.009, 0.02])
def test_one_and_a_half_times_what_the_processor_can_do_is_refused(cost: float) -> None:
    one = Processor(cost, base=0.01)
    most = int(0.74 / cost)
    for _ in range(600):  # a call a second, and then some
        if one.calls < most * 3 // 2:
            one.offer(1)
        one.run(1)
    assert 0.85 * most <= one.calls <= 1.06 * most  # up to 0.8 of the processor


def test_a_cheaper_call_is_believed_in_minutes_and_a_dearer_one_in_seconds() -> None:
    one = Processor(0.003)
    assert one.offer(100) == 100
    one.run(10)
    assert one.admission.call_load > 0.9 * CALL_LOAD
    one.run(400)
    assert one.admission.call_load < 0.0035
    one.cost = 0.006
    one.run(20)
    assert one.admission.call_load > 0.0059
    assert 20 <= one.offer(100) <= 27


def test_what_the_process_does_without_calls_is_not_the_cost_of_one() -> None:
    one = Processor(0.003, base=0.03)
    one.offer(1)
    one.run(600)
    assert one.admission.call_load < 1.5 * CALL_LOAD


def test_what_is_prepared_before_the_calls_is_not_measured() -> None:
    one = Processor(1.0)
    one.admission = LoadAdmission(cpu=lambda: one.used)
    one.calls = 1
    one.run(60)
    assert (one.admission.load, one.admission.call_load) == (0.0, CALL_LOAD)
    one.admission.start()
    one.run(10)
    assert one.admission.load > 0.9


def test_a_clock_that_is_late_admits_nobody_and_one_long_turn_disturbs_nobody() -> None:
    one = Processor(0.001)
    one.run(1, late=1)
    assert one.offer(1) == 1
    one.run(3, late=25)
    assert one.offer(1) == 0
    one.run(10)
    assert one.offer(1) == 1


def test_why_calls_are_refused_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    one = Processor(CALL_LOAD)
    one.offer(300)
    assert len(caplog.records) == 1
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert vars(said)["calls"] == one.calls
    assert vars(said)["call_us"] == 120
    one.run(int(LOG_S))
    one.offer(2)
    assert len(caplog.records) == 2


def test_the_clock_tells_how_many_of_its_turns_were_late() -> None:
    told: list[tuple[int, int, int]] = []

    class Told(LoadAdmission):
        def sample(self, now: float, calls: int, turns: int, late: int) -> None:
            told.append((calls, turns, late))

    async def run() -> None:
        router = CallRouter(lambda *_: pytest.fail("a line"), str, controlled=None, most_calls=1)
        clock = RouterClock(router, Told())
        clock.start()
        await until(lambda: bool(told))
        clock.close()

    asyncio.run(run())
    ((calls, turns, late),) = told
    assert calls == 0
    assert 0 <= late <= turns <= TURNS + 1
