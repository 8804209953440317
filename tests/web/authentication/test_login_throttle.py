"""Wrong attempts: when there is a pause, how long it is, and that memory has an end."""

from __future__ import annotations

import pytest

from vad_agent.web.authentication.login_throttle import LoginThrottle, TooManyAttempts


class Hand:
    """A timer that is moved by hand, s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_s(throttle: LoginThrottle, key: str = "olga") -> float:
    """Until the next one; 0: now."""
    try:
        throttle.check(key)
    except TooManyAttempts as pause:
        return pause.wait_s
    return 0


def test_five_wrong_ones_make_a_pause_from_the_last_and_then_there_are_five_more() -> None:
    timer = Hand()
    throttle = LoginThrottle(5, 600, 60, timer=timer)
    for _ in range(2):
        for _ in range(5):
            assert wait_s(throttle) == 0
            throttle.wrong("olga")
            timer.now += 10
        assert wait_s(throttle) == 50
        assert wait_s(throttle, "anna") == 0
        timer.now += 49.9
        assert wait_s(throttle) == pytest.approx(0.1)
        timer.now += 0.1


def test_slow_ones_are_forgotten() -> None:
    timer = Hand()
    throttle = LoginThrottle(5, 600, 60, timer=timer)
    for _ in range(20):
        assert wait_s(throttle) == 0
        throttle.wrong("olga")
        timer.now += 150


def test_without_a_pause_one_more_may_be_made_as_the_oldest_is_forgotten() -> None:
    timer = Hand()
    throttle = LoginThrottle(3, 600, timer=timer)
    for timer.now in (0, 100, 200):
        throttle.wrong("olga")
    assert wait_s(throttle) == 400
    timer.now = 600
    assert wait_s(throttle) == 0
    throttle.wrong("olga")
    assert wait_s(throttle) == 100


def test_a_right_one_forgives() -> None:
    throttle = LoginThrottle(5, 600, 60, timer=Hand())
    for _ in range(4):
        throttle.wrong("olga")
    throttle.right("olga")
    throttle.wrong("olga")
    assert wait_s(throttle) == 0


def test_so_many_keys_are_remembered_and_no_more() -> None:
    throttle = LoginThrottle(1, 600, 60, most_keys=2, timer=Hand())
    for key in ("olga", "anna", "olga", "ivan"):
        throttle.wrong(key)
    assert [wait_s(throttle, key) > 0 for key in ("olga", "anna", "ivan")] == [True, False, True]
    assert len(throttle._wrong) == 2
