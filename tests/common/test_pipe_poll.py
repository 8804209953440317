"""One thread reads several pipes: all of them, in time, and none for which nobody waits any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from vad_agent.common.pipe_poll import PipePoll, pipe_poll

pytestmark = pytest.mark.skipif(pipe_poll() is None, reason="Windows cannot wait for pipes")
LONG_S = 20.0


class End:
    """A pipe in a poll, and what was read from it."""

    def __init__(self, poll: PipePoll, goes_on: bool = True) -> None:
        self.out, self._in = os.pipe()
        self.read: list[bytes] = []
        self.overs = 0
        self._goes_on = goes_on
        poll.add(self.out, self._take, self._over)

    def _take(self, data: bytes) -> bool:
        self.read.append(data)
        return self._goes_on

    def _over(self) -> None:
        self.overs += 1

    def write(self, data: bytes) -> None:
        os.write(self._in, data)

    def end(self) -> None:
        os.close(self._in)


@pytest.fixture
def poll() -> Iterator[PipePoll]:
    made = PipePoll()
    yield made
    made.close()


def later(act: object) -> None:
    threading.Timer(0.05, act).start()  # type: ignore[arg-type]


def test_what_comes_into_any_pipe_ends_the_sleep_and_is_read(poll: PipePoll) -> None:
    one, other = End(poll), End(poll)
    poll.wait(LONG_S)  # the pipes are new
    later(lambda: other.write(b"a"))
    poll.wait(LONG_S)
    assert (one.read, other.read) == ([], [b"a"])
    one.write(b"b")
    other.write(b"c")
    poll.wait(LONG_S)
    assert (one.read, other.read) == ([b"b"], [b"a", b"c"])


def test_nothing_ends_it_after_its_time(poll: PipePoll) -> None:
    End(poll)
    poll.wait(LONG_S)  # the pipe is new
    began = time.monotonic()
    poll.wait(0.02)
    assert time.monotonic() - began >= 0.02


def test_a_quiet_pipe_is_read_when_another_one_has_data(poll: PipePoll) -> None:
    quiet, other = End(poll), End(poll)
    poll.wait(LONG_S)
    poll.quiet = quiet.out
    quiet.write(b"a")
    poll.wait(0.01)
    assert quiet.read == [b"a"]  # its time was over: then all are read
    quiet.write(b"b")
    later(lambda: other.write(b"c"))
    began = time.monotonic()
    poll.wait(LONG_S)
    assert time.monotonic() - began >= 0.04
    assert (quiet.read, other.read) == ([b"a", b"b"], [b"c"])
    poll.quiet = 9999  # a pipe that has ended
    poll.wait(0.001)


def test_a_pipe_that_ends_or_is_broken_is_handed_back(poll: PipePoll) -> None:
    ended, broken = End(poll), End(poll, goes_on=False)
    poll.wait(LONG_S)
    ended.write(b"a")
    ended.end()
    broken.write(b"?")
    poll.wait(LONG_S)
    poll.wait(LONG_S)
    assert (ended.read, ended.overs) == ([b"a", b""], 1)
    assert (broken.read, broken.overs) == ([b"?"], 1)
    broken.write(b"!")
    poll.wait(0.001)
    assert broken.read == [b"?"]


def test_another_thread_can_wake_it(poll: PipePoll) -> None:
    later(poll.wake)
    began = time.monotonic()
    poll.wait(LONG_S)
    assert time.monotonic() - began < LONG_S / 2
    for _ in range(100_000):  # more than the pipe holds: nobody blocks
        poll.wake()


def test_after_its_end_every_pipe_is_handed_back_also_a_later_one(poll: PipePoll) -> None:
    read, new = End(poll), End(poll)
    poll.wait(LONG_S)
    poll.close()
    poll.close()
    late = End(poll)
    poll.wake()
    assert [one.overs for one in (read, new, late)] == [1, 1, 1]
