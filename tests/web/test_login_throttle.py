"""Wrong attempts: when there is a pause, how long it is, and that memory has an end."""

from __future__ import annotations

import pytest

from vad_agent.web.login_throttle import LoginThrottle, TooManyAttempts


class Hand:
    """A timer that is moved by hand, s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_s(tries: LoginThrottle, key: str = "olga") -> float:
    """Until the next one; 0: now."""
    try:
        tries.check(key)
    except TooManyAttempts as pause:
        return pause.wait_s
    return 0


def test_five_wrong_ones_make_a_pause_from_the_last_and_then_there_are_five_more() -> None:
    timer = Hand()
    tries = LoginThrottle(5, 600, 60, timer=timer)
    for _ in range(2):
        for _ in range(5):
            assert wait_s(tries) == 0
            tries.wrong("olga")
            timer.now += 10
        assert wait_s(tries) == 50
        assert wait_s(tries, "anna") == 0
        timer.now += 49.9
        assert wait_s(tries) == pytest.approx(0.1)
        timer.now += 0.1


def test_slow_ones_are_forgotten() -> None:
    timer = Hand()
    tries = LoginThrottle(5, 600, 60, timer=timer)
    for _ in range(20):
        assert wait_s(tries) == 0
        tries.wrong("olga")
        timer.now += 150


def test_without_a_pause_one_more_may_be_made_as_the_oldest_is_forgotten() -> None:
    timer = Hand()
    tries = LoginThrottle(3, 600, timer=timer)
    for timer.now in (0, 100, 200):
        tries.wrong("olga")
    assert wait_s(tries) == 400
    timer.now = 600
    assert wait_s(tries) == 0
    tries.wrong("olga")
    assert wait_s(tries) == 100


def test_a_right_one_forgives() -> None:
    tries = LoginThrottle(5, 600, 60, timer=Hand())
    for _ in range(4):
        tries.wrong("olga")
    tries.right("olga")
    tries.wrong("olga")
    assert wait_s(tries) == 0


def test_so_many_keys_are_remembered_and_no_more() -> None:
    tries = LoginThrottle(1, 600, 60, most_keys=2, timer=Hand())
    for key in ("olga", "anna", "olga", "ivan"):
        tries.wrong(key)
    assert [wait_s(tries, key) > 0 for key in ("olga", "anna", "ivan")] == [True, False, True]
    assert len(tries._wrong) == 2
