"""A call is over and nobody knows how: the operator is asked, and only an answer ends the callback.

From the actions of calls to the callbacks of a real desk, by way of the outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vad_agent.callbacks.model import Callback, Policy, State
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.outbox_message import ENDED, REQUESTED, WITHDRAWN
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.core.actions import (
    Action,
    CallbackRequested,
    CallbackRevised,
    CallbackWithdrawn,
    Phase,
    PhaseChanged,
    Reason,
)
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.action_hooks import ActionHooks
from vad_agent.headset.action_sinks import ActionSinks
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.farewell_questions import FarewellQuestions
from vad_agent.headset.keymap import no, yes
from vad_agent.headset.open_question_file import FOLDER, OpenQuestionFile
from vad_agent.headset.status import FarewellQuestion
from vad_agent.headset.trace_log import TraceLog
from vad_agent.script.settings import Settings

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BEGAN = PhaseChanged(1, Phase.GREETING)
OVER = PhaseChanged(9000, Phase.ENDED)
OPENING = "Здравствуйте, Анна"
UNKNOWN = CallbackRequested(
    9000, Reason.UNCONFIRMED, 120.0, OPENING, name="Анна", phone="+79123456789"
)
DROPPED = CallbackRequested(9000, Reason.DROPPED, 0.0, OPENING, phone="+79123456780")


class FixedClock:
    """The desk's clock: the test's time."""

    def __init__(self, headset: Headset) -> None:
        self._headset = headset

    def now(self) -> datetime:
        return self._headset.time


class Lines:
    """A trace as a sink."""

    def __init__(self, log: TraceLog) -> None:
        self.log = log

    def begin(self, call: str, began: datetime) -> None:
        self.log.begin(call, began, "auto")

    def take(self, actions: Sequence[Action]) -> None:
        self.log.take(actions)

    def end(self) -> None:
        pass

    def late(self, call: str, actions: Sequence[Action]) -> None:
        self.log.late(call, actions)


class Headset:
    """The sinks of one `listen`, and its outbox; a desk that reads it when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.time = NOON
        self.told: list[str] = []
        self.outbox = Outbox(folder / "outbox")
        self.journal: OpenQuestionFile | None = None
        self.trace = TraceLog(folder / "trace.jsonl")
        self._store = store = Store(str(folder / "callbacks.sqlite3"), Policy(UTC))
        self.queries = CallbackQueries(store)
        service = CallbackService(store, FixedClock(self))  # type: ignore[arg-type]
        self._consumer = OutboxConsumer(self.outbox.folder, service)
        self.start()

    def start(self, operator: str = "o1") -> None:
        """As after a restart: nothing is known but what the disk has."""
        now = lambda: self.time  # noqa: E731
        if self.journal is not None:
            self.journal.close()
        self.journal = OpenQuestionFile(self.outbox.folder / FOLDER, operator)
        publisher = CallbackPublisher(self.outbox.post, operator=operator, now=now)
        self.questions = FarewellQuestions(
            Settings().script,
            lambda call, actions: self.sinks.late(call, actions),
            self.told.append,
            publisher,
            self.journal,
            now=now,
        )
        self.sinks = ActionSinks([publisher, Lines(self.trace), self.questions], now)

    def call(self, *actions: Action, minutes: float = 3.0) -> str:
        """A whole call; its id."""
        call = self.sinks.begin()
        self.sinks.take([BEGAN])
        self.time += timedelta(minutes=minutes)
        self.sinks.take([*actions, OVER])
        return call

    def kinds(self) -> list[str]:
        return [self.outbox.read(path).kind for path in self.outbox.waiting()]

    def waiting(self) -> list[str]:
        return [one.id for one in self.questions.waiting()]

    def desk(self) -> list[Callback]:
        """All callbacks, once the desk has read the outbox."""
        self._consumer.read_all()
        return list(self.queries.all())

    def close(self) -> None:
        assert self.journal is not None
        self.journal.close()
        self.trace.close()
        self._store.close()


@pytest.fixture
def headset(tmp_path: Path) -> Iterator[Headset]:
    made = Headset(tmp_path)
    yield made
    made.close()


def test_a_call_whose_end_nobody_reported_is_asked_about(headset: Headset) -> None:
    call = headset.call(UNKNOWN)
    [asked] = headset.questions.waiting()
    assert asked == FarewellQuestion(
        call, NOON, NOON + timedelta(minutes=3), NOON + timedelta(minutes=5), "Анна"
    )


@pytest.mark.parametrize(
    "actions", [(), (DROPPED,), (UNKNOWN, CallbackWithdrawn(9000, Reason.UNCONFIRMED))]
)
def test_no_other_call_is(actions: Sequence[Action], headset: Headset) -> None:
    headset.call(*actions)
    assert headset.waiting() == []
    assert not headset.questions.answer(Event(EventKind.GOODBYE), in_call=False)


def test_the_request_is_on_the_disk_before_the_question_and_survives_a_kill(
    headset: Headset,
) -> None:
    headset.call(UNKNOWN)
    assert headset.kinds() == [REQUESTED, ENDED]
    headset.start("o2")  # killed with the question open; another operator has started
    assert headset.waiting() == []
    [callback] = headset.desk()
    assert (callback.state, callback.reasons) == (State.WAITING, ("unconfirmed",))
    assert callback.due == NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("answer", "state", "reasons"),
    [(yes, State.CANCELLED, ("unconfirmed",)), (no, State.WAITING, ("dropped",))],
)
def test_an_open_question_is_asked_again_after_a_restart(
    answer: Callable[[str], Event], state: State, reasons: tuple[str, ...], headset: Headset
) -> None:
    other = CallbackRequested(5, Reason.UNCONFIRMED, 120.0, "", phone="+79123456781")
    first, second = headset.call(other, minutes=0.5), headset.call(UNKNOWN, minutes=0.5)
    before = headset.questions.waiting()
    headset.start()
    headset.start()
    assert headset.questions.waiting() == before
    assert headset.questions.answer(answer(second), in_call=False)
    assert headset.waiting() == [first]
    callbacks = {one.phone: (one.state, one.reasons) for one in headset.desk()}
    assert callbacks[UNKNOWN.phone] == (state, reasons)
    assert callbacks[other.phone] == (State.WAITING, ("unconfirmed",))
    headset.start()
    assert headset.waiting() == [first]


def test_a_question_whose_time_is_over_is_not_asked_after_a_restart(headset: Headset) -> None:
    headset.call(UNKNOWN)
    headset.time += timedelta(seconds=120)
    headset.start()
    assert headset.waiting() == []
    assert list((headset.outbox.folder / FOLDER).glob("*.json")) == []


def test_the_questions_of_a_listen_that_runs_are_its_own(headset: Headset) -> None:
    headset.call(UNKNOWN)
    journal, headset.journal = headset.journal, None
    assert journal is not None
    journal.finish()
    headset.start()
    assert headset.waiting() == []
    journal.close()


@pytest.mark.parametrize("damage", ["", "[]", '{"operator": "o1", "questions": [{}]}', "\x00"])
def test_a_damaged_file_costs_a_question_and_nothing_else(damage: str, headset: Headset) -> None:
    headset.call(UNKNOWN)
    assert headset.journal is not None
    headset.journal.close()
    (path,) = (headset.outbox.folder / FOLDER).glob("*.json")
    path.write_text(damage, "utf-8")
    headset.start()
    assert headset.waiting() == []
    assert headset.call(UNKNOWN) in headset.waiting()
    assert len(headset.desk()) == 1


def test_yes_withdraws_the_callback(headset: Headset) -> None:
    call = headset.call(UNKNOWN)
    headset.desk()
    assert headset.questions.answer(yes(call), in_call=False)
    assert headset.kinds() == [WITHDRAWN]
    assert headset.waiting() == []
    [callback] = headset.desk()
    assert callback.state is State.CANCELLED


def test_no_makes_it_due_at_once_and_a_drop(headset: Headset) -> None:
    call = headset.call(UNKNOWN)
    headset.desk()
    headset.time += timedelta(seconds=10)
    assert headset.questions.answer(no(call), in_call=False)
    assert headset.kinds() == [REQUESTED, ENDED]
    [callback] = headset.desk()
    assert (callback.state, callback.reasons) == (State.WAITING, ("dropped",))
    assert callback.due == headset.time
    assert callback.name == "Анна"
    assert "ранее прервался" in callback.opening


def test_an_answer_before_the_desk_has_read_anything_is_worth_the_same(headset: Headset) -> None:
    first = headset.call(UNKNOWN)
    headset.questions.answer(yes(first), in_call=False)
    [callback] = headset.desk()
    assert callback.state is State.CANCELLED


def test_unanswered_it_stands_and_is_asked_no_longer(headset: Headset) -> None:
    call = headset.call(UNKNOWN)
    headset.time += timedelta(seconds=119)
    assert headset.waiting() == [call]
    headset.time += timedelta(seconds=1)
    assert headset.waiting() == []
    assert headset.told == ["звонок 12:00–12:03: не сказано, попрощались ли; клиенту перезвонят"]
    assert headset.kinds() == [REQUESTED, ENDED]
    assert headset.questions.answer(yes(call), in_call=False)  # too late: nothing is sent
    assert headset.kinds() == [REQUESTED, ENDED]
    assert "время вышло" in headset.told[-1]


def test_the_time_for_an_answer_is_in_the_settings() -> None:
    assert Settings().scenarios.unconfirmed.callback_in_s == 120.0


def test_each_answer_is_of_its_own_call(headset: Headset) -> None:
    first = headset.call(UNKNOWN, minutes=0.5)
    second = headset.call(
        CallbackRequested(5, Reason.UNCONFIRMED, 120.0, "", phone="+79123456781"), minutes=0.5
    )
    headset.sinks.begin()
    headset.sinks.take([BEGAN])  # and a third one is on
    assert headset.waiting() == [second, first]
    assert headset.questions.answer(yes(first), in_call=True)
    assert headset.waiting() == [second]
    states = {one.phone: one.state for one in headset.desk()}
    assert states == {"+79123456789": State.CANCELLED, "+79123456781": State.WAITING}


def test_keys_of_a_call_answer_no_question(headset: Headset) -> None:
    headset.call(UNKNOWN)
    assert not headset.questions.answer(Event(EventKind.GOODBYE), in_call=True)
    assert not headset.questions.answer(Event(EventKind.HANGUP, party="client"), in_call=True)
    assert not headset.questions.answer(Event(EventKind.PAUSE), in_call=False)
    assert len(headset.waiting()) == 1


@pytest.mark.parametrize(
    ("party", "reasons"), [("operator", []), ("client", ["dropped"]), ("network", ["dropped"])]
)
def test_a_softphone_that_tells_later_who_hung_up_answers_it(
    party: str, reasons: list[str], headset: Headset
) -> None:
    headset.call(UNKNOWN)
    assert headset.questions.answer(Event(EventKind.HANGUP, party=party), in_call=False)
    open_now = [one for one in headset.desk() if one.open]
    assert [reason for one in open_now for reason in one.reasons] == reasons


def test_a_call_that_goes_on_after_all_is_not_asked_about(headset: Headset) -> None:
    headset.call(UNKNOWN)
    headset.sinks.begin()
    headset.sinks.take([CallbackWithdrawn(0, Reason.UNCONFIRMED), BEGAN])
    assert headset.waiting() == []
    [callback] = headset.desk()
    assert callback.state is State.CANCELLED


def test_the_trace_names_the_call_that_an_answer_is_of(headset: Headset) -> None:
    first = headset.call(UNKNOWN)
    headset.call()
    headset.questions.answer(yes(first), in_call=False)
    last = headset.trace.path.read_text("utf-8").splitlines()[-1]
    assert '"kind": "callback_withdrawn", "reason": "unconfirmed"' in last
    assert f'"of": "{first}"' in last


def test_hooks_are_told_under_the_calls_own_id(tmp_path: Path) -> None:
    out = tmp_path / "out"
    hook = tmp_path / "hook.sh"
    hook.write_text(f"#!/bin/sh\ncat >> {out}\n")
    hook.chmod(0o700)
    hooks = ActionHooks([f"callback_withdrawn,callback_revised={hook}"], print)
    hooks.begin("second")
    hooks.late("first", [CallbackWithdrawn(5, Reason.UNCONFIRMED)])
    hooks.late("first", [CallbackRevised(5, Reason.DROPPED, 0.0, "")])
    hooks.close()
    assert out.read_text().count('"call": "first"') == 2


def test_at_the_end_of_the_program_the_operator_is_told(headset: Headset) -> None:
    headset.call(UNKNOWN)
    headset.questions.close()
    assert "клиенту перезвонят" in headset.told[-1]
