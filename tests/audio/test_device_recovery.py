"""A child that hangs in any of its states is lost, killed and opened anew; nobody waits for it."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from benchmarks.headset.prompt_latency import sound_server
from tests.headset.source_recording import until
from vad_agent.audio import device_recovery as module
from vad_agent.audio import duplex_capture as headset_module
from vad_agent.audio.device_recovery import AudioWorker, DeviceState, Lost, Opened
from vad_agent.audio.duplex_capture import DuplexCapture
from vad_agent.audio.ipc_framing import Flag, Record
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel

CHILD = "tests.audio.scripted_worker"
LIMIT_S = 20.0
What = Opened | Lost | Record

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")


class Parent:
    """An audio child, its loop's turns, and what it tells."""

    def __init__(self, **spec: bool) -> None:
        self.heard: queue.SimpleQueue[What] = queue.SimpleQueue()
        how: dict[str, Any] = {"opens": True, "lives": True, "takes": True, **spec}
        self.child = AudioWorker(CHILD, {"role": "prompt", **how}, self.heard.put)

    def until(
        self, true: Callable[[What], bool], turns: Callable[[], object] | None = None
    ) -> What:
        """What comes, while the loop turns."""
        end = time.perf_counter() + LIMIT_S
        while time.perf_counter() < end:
            (turns or self.child.watch)()
            try:
                what = self.heard.get(timeout=0.01)
            except queue.Empty:
                continue
            if true(what):
                return what
        raise TimeoutError(f"not within {LIMIT_S:g} s")

    def opened(self) -> psutil.Process:
        what = self.until(lambda what: isinstance(what, Opened))
        assert isinstance(what, Opened)
        return psutil.Process(what.pid)

    def lost(self) -> str:
        what = self.until(lambda what: isinstance(what, Lost))
        assert isinstance(what, Lost)
        return what.why

    def process(self) -> psutil.Process:
        """The child's, as soon as there is one."""
        until(lambda: self.child._process is not None, LIMIT_S, "a process")
        assert self.child._process is not None
        return psutil.Process(self.child._process.pid)


@pytest.fixture
def parents(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Parent]]:
    """Ended after the test; none of their processes is left."""
    made: list[Parent] = []
    yield made
    for parent in made:
        parent.child.close()
    assert [one for one in psutil.Process().children() if is_ours(one)] == []


def is_ours(process: psutil.Process) -> bool:
    try:
        return CHILD in " ".join(process.cmdline())
    except psutil.Error:  # another test's, that has just ended
        return False


def gone(process: psutil.Process) -> bool:
    return not process.is_running()


@posix
def test_a_child_that_is_stopped_while_it_starts_is_replaced(
    parents: list[Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENING_S", 0.5)
    parents.append(parent := Parent())
    stopped = parent.process()
    stopped.suspend()
    assert parent.lost() == "its process hung"
    monkeypatch.setattr(module, "OPENING_S", 10.0)
    assert parent.opened().pid != stopped.pid
    assert gone(stopped)


@posix
def test_a_child_that_is_stopped_while_it_is_idle_is_replaced(parents: list[Parent]) -> None:
    parents.append(parent := Parent())
    stopped = parent.opened()
    parent.until(lambda what: isinstance(what, Record), lambda: parent.child.send(b"go on\n"))
    stopped.suspend()
    assert parent.lost() == "its process hung"
    assert parent.opened().pid != stopped.pid
    assert gone(stopped)


@posix
def test_a_child_that_is_stopped_with_a_phrase_on_its_way_is_replaced_and_the_phrase_is_not_told_to_the_next(
    parents: list[Parent],
) -> None:
    parents.append(parent := Parent())
    stopped = parent.opened()
    stopped.suspend()
    turn_s = []
    for _ in range(3):
        began = time.perf_counter()
        assert parent.child.send(b"x" * 1_000_000 + b"\n")  # more than any pipe takes
        turn_s.append(time.perf_counter() - began)
    assert min(turn_s) < 0.1
    assert parent.lost() == "its process hung"
    assert parent.opened().pid != stopped.pid
    parent.child.send(b"x\n")
    report = parent.until(lambda what: isinstance(what, Record))
    assert isinstance(report, Record)
    assert report.json() == {"bytes": 2}


def test_a_child_that_lives_but_takes_nothing_is_replaced(parents: list[Parent]) -> None:
    parents.append(parent := Parent(takes=False))
    deaf = parent.opened()
    parent.child.send(b"x" * 1_000_000)
    assert parent.lost() == "its process hung"
    assert gone(deaf)


def test_what_waits_for_a_child_is_bounded(
    parents: list[Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_S", 0.1)
    parents.append(parent := Parent(takes=False))
    parent.opened()
    sent = [parent.child.send(b"x" * 1_000_000) for _ in range(module.MOST_WAITING + 2)]
    assert sent[: module.MOST_WAITING] == [True] * module.MOST_WAITING
    assert not sent[-1]


def test_a_child_that_never_opens_its_device_is_replaced(
    parents: list[Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENING_S", 0.5)
    parents.append(parent := Parent(opens=False, lives=False))
    assert parent.lost() == "its process hung"


def test_a_child_that_opens_its_device_and_gives_no_sign_of_life_is_replaced(
    parents: list[Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    parents.append(parent := Parent(lives=False))
    monkeypatch.setattr(module, "OPENING_S", 0.5)
    parent.until(lambda what: isinstance(what, Opened))
    assert parent.child.silent_s < 0.5
    parent.child._patience_s = 0.5
    assert parent.lost() == "its process hung"


def test_a_stall_of_the_parent_is_no_silence_of_the_child(
    parents: list[Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    parents.append(parent := Parent())
    parent.opened()
    now = time.perf_counter()
    monkeypatch.setattr(module.time, "perf_counter", lambda: now + 3600)
    parent.child.watch()
    monkeypatch.undo()
    assert parent.child.silent_s < module.SILENT_S
    parent.until(lambda what: isinstance(what, Record), lambda: parent.child.send(b"go on\n"))
    assert not parent.child._hung


@posix
@pytest.mark.parametrize("state", ["starting", "idle", "busy", "ending"])
def test_a_stopped_child_keeps_no_program(
    parents: list[Parent], monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(module, "END_S", 0.2)
    parents.append(parent := Parent(takes=state != "ending"))
    stopped = parent.process()
    if state != "starting":
        parent.opened()
    if state == "ending":
        parent.child.end()
    os.kill(stopped.pid, signal.SIGSTOP)
    if state == "busy":
        parent.child.send(b"x" * 1_000_000)
    parent.child.end()
    parent.child.close()
    assert gone(stopped)
    assert not parent.child._thread.is_alive()


def test_an_ended_child_takes_nothing(parents: list[Parent]) -> None:
    parents.append(parent := Parent())
    parent.opened()
    parent.child.close()
    assert not parent.child.send(b"x\n")


def test_signs_of_life_are_told_nobody(parents: list[Parent]) -> None:
    parents.append(parent := Parent())
    parent.opened()
    told: list[What] = []
    parent.until(
        lambda what: told.append(what) or isinstance(what, Record),  # type: ignore[func-returns-value]
        lambda: parent.child.send(b"x\n"),
    )
    assert all(one.flags == Flag.REPORT for one in told if isinstance(one, Record))


def test_a_device_that_is_not_opened_at_the_start_is_lost_and_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each side once; frames that do not come are then nobody's hanging up."""
    monkeypatch.setattr(headset_module, "CAPTURE", CHILD)
    monkeypatch.setattr(headset_module, "OPENED_S", 0.1)
    monkeypatch.setattr(module, "END_S", 0.1)
    headset = DuplexCapture(
        sound_server("mic.monitor"), sound_server("client.monitor"), lambda channel, what: None
    )
    try:
        events: list[Event] = []
        until(lambda: events.extend(headset.overdue()) or len(events) == 2, LIMIT_S, "both")  # type: ignore[func-returns-value]
        assert {(one.kind, one.party) for one in events} == {
            (EventKind.DEVICE_LOST, "operator"),
            (EventKind.DEVICE_LOST, "client"),
        }
        assert headset.overdue() == []
        assert headset.state(Channel.CLIENT) is DeviceState.LOST
    finally:
        headset.close()
