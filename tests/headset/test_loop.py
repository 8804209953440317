"""The loop with fakes for all that makes sound: what comes in, in which order it is carried out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tape import TapePlan, tape, told
from vad_agent.audio.jitter_buffer import Pair
from vad_agent.client.headset_protocol import Command
from vad_agent.core.actions import Action, CallbackRequested, Cue, Phase, PhaseChanged, Play, Stop
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.headset.action_sinks import ActionSinks
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.loop import CONTROL, Loop
from vad_agent.headset.status import Status
from vad_agent.headset.status_presenter import StatusPresenter


class Tape:
    """A headset that gives a tape at once, and then quits."""

    def __init__(self, operator: str, client: str) -> None:
        self._pairs = list(zip(tape(operator), tape(client), strict=True))
        self.slot = 0
        self.loop: Loop | None = None

    def overdue(self) -> Sequence[Event]:
        return ()

    def pairs(self, now: float) -> Iterator[Pair]:
        for slot in range(self.slot, len(self._pairs)):
            self.slot = slot + 1
            yield Pair(slot, *self._pairs[slot])
        assert self.loop is not None
        self.loop.put(CONTROL, Command.QUIT)

    def take(self, channel: Channel, what: object) -> Sequence[Event]:
        return ()


def run(operator: str, client: str, *inputs: Event | Command) -> tuple[list[str], Loop]:
    said: list[str] = []

    def tell(actions: Sequence[Action]) -> None:
        said.extend(text for action in actions if (text := told(action)) is not None)

    loop = Loop(CallTracker(TapePlan(), 8_000, policy="manual"), tell)
    headset = loop.headset = Tape(operator, client)  # type: ignore[assignment]
    headset.loop = loop  # type: ignore[attr-defined]
    for what in inputs:
        loop.put(CONTROL, what)
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return said, loop


def test_without_a_speaker_the_phrase_has_failed_and_is_shown():
    said, _ = run("S*50 .*200", ".*250", Command.START_CALL)
    start = said.index("play greeting_again")
    assert said[start : start + 3] == [
        "play greeting_again",
        "greeting_again failed after 125",
        "cue greeting_again",
    ]


def test_a_call_that_is_on_at_the_end_is_ended():
    said, loop = run("S*50 .*50", ".*100", Command.START_CALL)
    assert said[-1] == "phase ended"
    assert loop.tracker.session is None


def test_an_event_that_cannot_be_taken_does_not_end_the_loop():
    bad = Event(EventKind.CALLBACK_AGREED, at="tomorrow")
    said, loop = run("S*50 .*150", ".*200", Command.START_CALL, bad)
    assert loop.refused == 1
    assert "play greeting_again" in said


def test_the_desk_s_errors_end_it_and_are_told():
    loop = Loop(CallTracker(TapePlan(), 8_000), lambda actions: None)
    headset = loop.headset = Tape("S", ".")  # type: ignore[assignment]
    headset.loop = loop  # type: ignore[attr-defined]
    loop._on_actions = None  # type: ignore[assignment]
    loop.put(CONTROL, Command.START_CALL)
    with pytest.raises(TypeError):
        loop.run()


def test_the_meters_get_the_client_without_our_own_phrase():
    class Cleaner:
        def clean(self, frame: bytes | None, index: int) -> bytes | None:
            return None if frame is None else bytes(len(frame))

    seen: list[Pair] = []
    loop = Loop(
        CallTracker(TapePlan(), 8_000),
        lambda actions: None,
        cleaner=Cleaner(),
        after_pair=lambda _, pair: seen.append(pair),
    )
    headset = loop.headset = Tape("S*9", "S*9")  # type: ignore[assignment]
    headset.loop = loop  # type: ignore[attr-defined]
    loop.run()
    assert len(seen) == 9
    assert all(pair.client is not None and not any(pair.client) for pair in seen)
    assert all(pair.operator is not None and any(pair.operator) for pair in seen)


def test_an_event_that_was_refused_is_shown_to_the_operator_once():
    status = Status()
    shown = StatusPresenter(status)
    tracker = SimpleNamespace(session=None, guessed=False, goodbye=False, standing={})
    loop: Any = SimpleNamespace(refused=1, headset=None, prompt_player=None, tracker=tracker)
    for slot in range(20):
        shown.look(loop, Pair(slot, None, None))
    assert [text for _, text in status.messages] == ["событие не принято: оно неверно"]


# -- a phrase that promises waits for the disk, and nothing else does ---------------------------------


class Script:
    """In the desk's place: at the frames of a script it says what the script has there."""

    def __init__(self, **at: list[Action]) -> None:
        self.session = None
        self._at = {int(name[1:]): actions for name, actions in at.items()}
        self.fed = 0
        self.signalled: list[str] = []

    def feed(self, operator: object, client: object) -> Sequence[Action]:
        self.fed += 1
        return self._at.get(self.fed, ())

    def signal(self, event: Event) -> Sequence[Action]:
        self.signalled.append(event.kind.value)
        return ()


class Voice:
    """In the speaker's place: notes at which frame a phrase begins and stops."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int]] = []

    def watch(self) -> None:
        pass

    def due(self, slot: int) -> Sequence[Event]:
        return ()

    def play(self, action: Play, slot: int) -> Sequence[Event]:
        self.noted.append((action.prompt, slot))
        return ()

    def stop(self, slot: int) -> None:
        self.noted.append(("stop", slot))


class Slow(Tape):
    """A pair at each turn of the loop."""

    def pairs(self, now: float) -> Iterator[Pair]:
        for pair in super().pairs(now):
            yield pair
            return


FAREWELL = Play(2, "farewell_after_greeting", "…")


def held(stored_at: int, **at: list[Action]) -> tuple[Script, list[tuple[str, int]]]:
    """Ten frames; a callback is on the disk when so many were fed."""
    tracker, voice = Script(**at), Voice()
    loop = Loop(
        tracker,  # type: ignore[arg-type]
        lambda actions: None,
        may_promise=lambda: tracker.fed >= stored_at,
    )
    headset = loop.headset = Slow("S*10", ".*10")  # type: ignore[assignment]
    headset.loop = loop  # type: ignore[attr-defined]
    loop.prompt_player = voice  # type: ignore[assignment]
    loop.run()
    assert tracker.fed == 10
    return tracker, voice.noted


def test_a_phrase_begins_at_once_where_all_is_stored():
    assert held(0, f2=[FAREWELL])[1] == [("farewell_after_greeting", 2)]


def test_frames_are_fed_while_a_phrase_waits_for_the_disk():
    assert held(7, f2=[FAREWELL])[1] == [("farewell_after_greeting", 7)]


def test_a_phrase_that_is_stopped_while_it_waits_is_not_said():
    assert held(7, f2=[FAREWELL], f4=[Stop(4, FAREWELL.prompt)])[1] == [("stop", 4)]


def test_a_phrase_that_the_operator_is_to_say_meanwhile_is_not_said_over_him():
    assert held(7, f2=[FAREWELL], f4=[Cue(4, FAREWELL.prompt, "…", 4, 9)])[1] == []


def test_a_phrase_that_waits_at_the_end_is_not_said():
    tracker, noted = held(99, f2=[FAREWELL])
    assert noted == []
    assert tracker.signalled == ["source_ended"]


# -- outlets ------------------------------------------------------------------------------------------


class Noted:
    """An outlet that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, call: str, began: datetime) -> None:
        self.told.append(f"begin {call[-4:]}")

    def take(self, actions: Sequence[Action]) -> None:
        self.told += [told(action) or type(action).__name__ for action in actions]

    def end(self) -> None:
        self.told.append("end")


ENDED = PhaseChanged(9, Phase.ENDED)
GREETING = PhaseChanged(0, Phase.GREETING)


def outlets() -> tuple[ActionSinks, Noted]:
    noted = Noted()
    return ActionSinks([noted], lambda: datetime(2030, 5, 13, 12, 0, 7)), noted


def test_each_call_has_its_own_beginning_and_end():
    made, noted = outlets()
    made.begin()
    made.take([GREETING, Play(1, "not_heard", "…"), ENDED])
    made.begin()
    made.take([GREETING])
    made.end()
    assert noted.told == [
        "begin 0-07",
        "phase greeting",
        "play not_heard",
        "phase ended",
        "end",
        "begin 07-2",  # in the same second
        "phase greeting",
        "end",
    ]


def test_a_call_that_ends_another_comes_after_its_last_word():
    made, noted = outlets()
    made.begin()
    made.take([GREETING])
    made.begin()  # its session is made before the other's last actions are taken
    made.take([ENDED, GREETING])
    assert noted.told[1:] == [
        "phase greeting",
        "phase ended",
        "end",
        "begin 07-2",
        "phase greeting",
    ]


def test_what_is_withdrawn_is_withdrawn_under_the_call_that_asked_for_it():
    from vad_agent.core.actions import CallbackWithdrawn, Reason

    made, noted = outlets()
    made.begin()
    made.take([GREETING, CallbackRequested(5, Reason.DROPPED, 0.0, "…"), ENDED])
    made.begin()
    made.take([CallbackWithdrawn(0, Reason.DROPPED), GREETING])
    assert noted.told[-3:] == ["callback withdrawn dropped", "begin 07-2", "phase greeting"]
