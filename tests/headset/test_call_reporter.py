"""Calls that are over as letters: after those of callbacks, in a thread, never in a callback's way."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.headset.source_recording import until
from vad_agent.callbacks import outbox as letters
from vad_agent.callbacks import outbox_message
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_consumer import as_record
from vad_agent.callbacks.outbox_message import CALL, ENDED, REQUESTED, OutboxMessage
from vad_agent.callbacks.trace_compression import unpack
from vad_agent.core.actions import (
    Action,
    CallbackRequested,
    CallbackWithdrawn,
    Phase,
    PhaseChanged,
    Play,
    PromptDone,
    PromptOutcome,
    Reason,
    Speech,
)
from vad_agent.core.frames import Channel
from vad_agent.headset import call_reporter as module
from vad_agent.headset import callback_write_ahead
from vad_agent.headset.action_sinks import ActionSinks
from vad_agent.headset.call_reporter import MOST_LINES, MOST_WAITING, CallReporter, CallWriter
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.callback_write_ahead import OutboxWriter
from vad_agent.trace.trace_format import record
from vad_agent.trace.window_compliance import Verdict

LIMIT_S = 10.0
ZONE = timezone(timedelta(hours=3))
BEGAN = datetime(2026, 11, 24, 12, 0, 7, tzinfo=ZONE)
ASKED = datetime(2026, 11, 24, 12, 3, tzinfo=ZONE)
GREETING, ENDED_AT_60 = PhaseChanged(0, Phase.GREETING), PhaseChanged(3000, Phase.ENDED)
PROMPT = PromptDone(300, "not_heard", "Пелагея, …", 125, 150, 126, 202, 270, PromptOutcome.SAID)
DROPPED = CallbackRequested(500, Reason.DROPPED, 0.0, "Здравствуйте")


class Carrier:
    """Notes the kinds of the letters that lie there when it is woken."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.found: list[list[str]] = []

    def wake(self) -> None:
        self.found.append([self._outbox.read(path).kind for path in self._outbox.waiting()])


class Headset:
    """Both outlets of one folder, in their order; `near`: a desk is."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder)
        self.told: list[str] = []
        self.near = True
        self.asked_in: list[str] = []
        self.carrier = Carrier(self.outbox)
        self.writer = OutboxWriter(self.outbox, self.told.append, carrier=self.carrier)
        self.callbacks = CallbackPublisher(self.writer.post, now=lambda: ASKED)
        self.call_writer = CallWriter(
            self.writer,
            self.outbox,
            self.told.append,
            carrier=self.carrier,
            takes_calls=self.takes_calls,
            now=lambda: ASKED,
        )
        self.calls = CallReporter(self.callbacks, self.call_writer, mode="auto", operator="o1")

    def takes_calls(self) -> bool:
        self.asked_in.append(threading.current_thread().name)
        return self.near

    def call(self, *actions: Action, began: datetime = BEGAN) -> None:
        """A whole call."""
        for outlet in (self.callbacks, self.calls):
            outlet.begin("2026-11-24T12-00-07", began)
        for outlet in (self.callbacks, self.calls):
            outlet.take(actions)
        for outlet in (self.callbacks, self.calls):
            outlet.end()
        self.wait()

    def wait(self) -> None:
        assert self.call_writer._writer.flush(LIMIT_S)

    @property
    def letters(self) -> list[OutboxMessage]:
        self.writer.flush(LIMIT_S)
        return [self.outbox.read(path) for path in self.outbox.waiting()]


@pytest.fixture
def headset(tmp_path: Path) -> Iterator[Headset]:
    one = Headset(tmp_path / "outbox")
    yield one
    one.call_writer.close()
    one.writer.close()


# -- what is written --------------------------------------------------------------------------------


def test_a_call_is_told_with_its_trace_after_its_callback(headset: Headset):
    actions = [GREETING, Speech(90, Channel.OPERATOR, 1, 76), PROMPT, DROPPED, ENDED_AT_60]
    headset.call(*actions)
    request, ended, letter = headset.letters
    assert (request.kind, ended.kind, letter.kind) == (REQUESTED, ENDED, CALL)
    assert dataclasses.asdict(letter) == {
        **dict.fromkeys(dataclasses.asdict(letter)),
        "kind": CALL,
        "key": letter.key,
        "call": request.call,
        "asked": "2026-11-24T12:03:00+03:00",
        "operator": "o1",
        "began": "2026-11-24T12:00:07+03:00",
        "mode": "auto",
        "lines": letter.lines,
    }
    assert unpack(letter.lines or "") == [record(action) for action in actions]
    assert headset.carrier.found[-1] == [REQUESTED, ENDED, CALL]
    assert headset.told == []


def test_the_desk_reads_the_call_and_its_steps_in_it(headset: Headset):
    headset.call(GREETING, PROMPT, ENDED_AT_60)
    [letter] = headset.letters
    told = as_record(letter)
    assert (told.call, told.operator, told.mode) == (letter.call, "o1", "auto")
    assert (told.began, told.seconds) == (BEGAN, 60.0)
    [step] = told.steps()
    assert (step.prompt, step.verdict) == ("not_heard", Verdict.OK)
    assert step.at == BEGAN + timedelta(seconds=202 / 50)


def test_a_beginning_by_the_machines_clock_has_its_zone(headset: Headset):
    headset.call(ENDED_AT_60, began=datetime(2026, 11, 24, 12, 0, 7))
    [letter] = headset.letters
    began = datetime.fromisoformat(letter.began or "")
    assert began == datetime(2026, 11, 24, 12, 0, 7).astimezone()
    assert began.tzinfo is not None


def test_each_call_has_its_own_lines(headset: Headset):
    headset.call(GREETING, ENDED_AT_60)
    headset.call(PROMPT, ENDED_AT_60)
    first, second = headset.letters
    kinds = [[line["kind"] for line in unpack(one.lines or "")] for one in (first, second)]
    assert kinds == [["phase", "phase"], ["prompt", "phase"]]
    assert first.call != second.call


SHORT = {
    "nothing": ([], 0),
    "less than a second": ([GREETING, PhaseChanged(49, Phase.ENDED)], 0),
    "a second": ([GREETING, PhaseChanged(50, Phase.ENDED)], 1),
    "less, and a prompt": ([dataclasses.replace(PROMPT, frame=49)], 1),
    "what leaves no line": ([Play(3000, "not_heard", "…")], 0),
}


@pytest.mark.parametrize(("actions", "count"), SHORT.values(), ids=SHORT)
def test_what_was_too_short_is_no_call(actions: list[Action], count: int, headset: Headset):
    headset.call(*actions)
    assert len(headset.letters) == count
    assert headset.told == []


def test_what_is_said_between_calls_is_of_none(headset: Headset):
    headset.calls.take([PROMPT])
    headset.calls.end()
    headset.call(GREETING, ENDED_AT_60)
    headset.calls.take([CallbackWithdrawn(3001, Reason.DROPPED)])
    headset.calls.end()
    headset.wait()
    [letter] = headset.letters
    assert len(unpack(letter.lines or "")) == 2


def test_of_an_endless_call_the_first_lines_are_kept(headset: Headset):
    endless = [PhaseChanged(at, Phase.DIALOGUE) for at in range(MOST_LINES + 50)]
    for outlet in (headset.callbacks, headset.calls):
        outlet.begin("endless", BEGAN)
    headset.calls.take(endless)
    headset.calls.take(endless)
    assert len(headset.calls._lines) == MOST_LINES
    headset.calls.end()
    headset.wait()
    [letter] = headset.letters
    found = unpack(letter.lines or "")
    assert found == [record(action) for action in endless[: len(found)]]


def test_as_the_loop_has_it_each_call_ends_at_its_own_end(headset: Headset):
    outlets = ActionSinks([headset.callbacks, headset.calls], lambda: BEGAN)
    outlets.begin()
    outlets.begin()
    outlets.take([GREETING, DROPPED, ENDED_AT_60, GREETING, ENDED_AT_60])
    headset.wait()
    kinds = [letter.kind for letter in headset.letters]
    assert kinds == [REQUESTED, ENDED, CALL, CALL]
    request, _, *calls = headset.letters
    assert [letter.call == request.call for letter in calls].count(True) == 1


# -- is a desk expected? ----------------------------------------------------------------------------


def test_without_a_desk_nothing_is_written_and_nobody_told(headset: Headset):
    headset.near = False
    headset.call(PROMPT, DROPPED, ENDED_AT_60)
    assert [letter.kind for letter in headset.letters] == [REQUESTED, ENDED]
    assert headset.told == []
    headset.near = True
    headset.call(PROMPT)
    assert headset.letters[-1].kind == CALL


def test_nobody_said_whether_there_is_a_desk(tmp_path: Path):
    outbox, told = Outbox(tmp_path), [""]
    writer = OutboxWriter(outbox, told.append)
    callbacks = CallbackPublisher(writer.post)
    call_writer = CallWriter(writer, outbox, told.append)
    calls = CallReporter(callbacks, call_writer, mode="cue")
    for outlet in (callbacks, calls):
        outlet.begin("call", BEGAN)
    calls.take([PROMPT])
    calls.end()
    call_writer.close()
    writer.close()
    assert outbox.waiting() == []
    assert told == [""]


def test_whether_there_is_a_desk_is_not_asked_in_the_loop(headset: Headset):
    headset.call(PROMPT)
    assert headset.asked_in == ["call reporter"]


# -- never in a callback's way ----------------------------------------------------------------------


def fails(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_cannot_be_written_is_dropped_and_told_once(
    headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as full:
        full.setattr(letters.os, "write", fails)
        headset.call(PROMPT, ENDED_AT_60)
    [told] = headset.told
    assert told.startswith("звонок не передан на стол: ")
    assert told.endswith("cannot write the call: No space left on device")
    headset.call(PROMPT)
    assert len(headset.letters) == 1
    assert len(headset.told) == 1


def test_while_callbacks_wait_for_room_a_call_takes_none(
    headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(callback_write_ahead, "AGAIN_S", 60.0)
    with monkeypatch.context() as full:
        full.setattr(letters.os, "write", fails)
        headset.callbacks.begin("call", BEGAN)
        headset.callbacks.take([DROPPED])
        until(lambda: headset.told, LIMIT_S, "the disk's refusal")
    headset.call(PROMPT, ENDED_AT_60)
    assert headset.letters == []
    assert headset.told[-1] == "звонок не передан на стол: перезвоны ещё не записаны"


def test_calls_that_nobody_takes_do_not_pile_up(headset: Headset, monkeypatch: pytest.MonkeyPatch):
    assert MOST_WAITING * outbox_message.MOST_BYTES < 40_000_000
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    for _ in range(3):
        headset.call(PROMPT, DROPPED)
    assert [letter.kind for letter in headset.letters] == [REQUESTED, ENDED] * 3 + [CALL] * 2
    assert headset.told == ["звонок не передан на стол: прежние (2) никто не взял"]


def test_whatever_fails_is_told_without_what_it_says(
    headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    def fail(_: Any) -> str:
        raise KeyError("Пелагея")

    monkeypatch.setattr(module, "pack", fail)
    headset.call(PROMPT)
    assert headset.told == ["звонок не передан на стол: KeyError"]


def test_the_loop_waits_for_no_disk_and_close_for_a_moment(
    headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    """The disk hangs; the next call's callback is written all the same."""
    hangs, goes_on = threading.Event(), threading.Event()
    post = headset.outbox.post
    writing: set[threading.Thread] = set()

    def hanging(letter: OutboxMessage) -> Path:
        if letter.kind == CALL:
            writing.add(threading.current_thread())
            hangs.set()
            assert goes_on.wait(LIMIT_S)
        return post(letter)

    monkeypatch.setattr(headset.outbox, "post", hanging)
    monkeypatch.setattr(headset, "wait", lambda: None)
    headset.call(PROMPT)
    assert hangs.wait(LIMIT_S)
    headset.call(PROMPT, DROPPED)
    assert [letter.kind for letter in headset.letters] == [REQUESTED, ENDED]
    monkeypatch.setattr(module, "CLOSE_S", 0.0)
    headset.call_writer.close()
    assert [thread.is_alive() for thread in writing] == [True]
    monkeypatch.setattr(module, "CLOSE_S", LIMIT_S)
    goes_on.set()
    headset.call_writer.close()
    assert [thread.is_alive() for thread in writing] == [False]
    assert [letter.kind for letter in headset.letters] == [REQUESTED, ENDED, CALL, CALL]


def test_close_without_any_call_is_silent(headset: Headset):
    headset.call_writer.close()
    headset.call_writer.close()
    assert headset.told == []
