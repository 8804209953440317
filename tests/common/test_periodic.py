"""Again and again, whatever goes wrong, until it is closed."""

from __future__ import annotations

import threading

from vad_agent.common.periodic import Periodic


def test_it_goes_on_after_a_fault_and_ends_when_it_is_closed() -> None:
    done: list[int] = []
    third = threading.Event()

    def do() -> None:
        done.append(len(done))
        if len(done) == 3:
            third.set()
        raise ValueError("a name")

    beat = Periodic("test", 0.001, do)
    beat.start()
    assert third.wait(10)
    beat.close()
    count = len(done)
    beat.close()
    assert len(done) == count


def test_one_that_was_never_started_is_closed_too() -> None:
    Periodic("test", 0.001, lambda: None).close()
