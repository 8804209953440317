"""Whom to ring: the number and the id that the switchboard tells go into every callback, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.tape import ScriptedEndpointer, TapePlan, play, tape
from vad_agent import CallSession, Event
from vad_agent.client.headset_protocol import Command
from vad_agent.core import actions as act
from vad_agent.core.actions import Reason
from vad_agent.core.frames import Channel
from vad_agent.errors import EventError
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.trace.trace_format import record

NUMBER, OTHER = "+79123456789", "8 (916) 123-45-67"
ID = "pbx-4711"
ANSWERED = {"kind": "answered", "phone": NUMBER, "call_id": ID}
AGREED = {
    "kind": "callback_agreed",
    "at": "2026-11-24T15:00:00+03:00",
    "ts": "2026-11-24T14:30:00+03:00",
}
DIALOGUE = "S*50 .*50 S*30 .*900", ".*60 S*30 .*940"
HANGUP = {"kind": "hangup", "party": "client"}


def callbacks(actions: Sequence[act.Action]) -> list[act.CallbackRequested]:
    return [action for action in actions if isinstance(action, act.CallbackRequested)]


def numbers(actions: Sequence[act.Action]) -> list[str | None]:
    return [callback.phone for callback in callbacks(actions)]


CALLS: dict[Reason, tuple[tuple[str, str], Mapping[int, Any]]] = {
    Reason.SILENCE_AFTER_GREETING: (("S*50 .*3000", ".*3050"), {}),
    Reason.SILENCE_IN_DIALOGUE: (("S*50 .*50 S*30 .*3000", ".*60 S*30 .*3040"), {}),
    Reason.DROPPED: (DIALOGUE, {300: HANGUP}),
    Reason.CLIENT_HOLD: (
        ("S*50 .*50 S*30 .*6000", ".*60 S*30 .*6040"),
        {200: {"kind": "hold", "party": "client"}},
    ),
    Reason.AGREED: (DIALOGUE, {200: AGREED}),
    Reason.CLIENT_CANNOT_HEAR: (DIALOGUE, {200: "client_cannot_hear"}),
    Reason.UNCONFIRMED: (DIALOGUE, {300: "line_gone"}),
}


def test_every_reason_has_a_call():
    assert set(CALLS) == set(Reason)


@pytest.mark.parametrize("reason", CALLS, ids=str)
def test_number_and_id_are_in_the_callback(reason: Reason):
    sides, events = CALLS[reason]
    [callback] = callbacks(play(*sides, {0: ANSWERED, **events}))
    assert (callback.reason, callback.phone, callback.call_id) == (reason, NUMBER, ID)


@pytest.mark.parametrize("reason", CALLS, ids=str)
def test_nothing_of_it_is_in_the_trace(reason: Reason):
    sides, events = CALLS[reason]
    actions = play(*sides, {0: ANSWERED, **events})
    assert callbacks(actions)
    lines = json.dumps([record(action) for action in actions])
    assert NUMBER[1:] not in lines
    assert ID not in lines


@pytest.mark.parametrize("reason", CALLS, ids=str)
def test_where_nobody_tells_them_the_callback_has_none(reason: Reason):
    sides, events = CALLS[reason]
    [callback] = callbacks(play(*sides, events))
    assert (callback.phone, callback.call_id) == (None, None)


TOLD: dict[str, tuple[Mapping[int, Any], str | None, str | None]] = {
    "by the ringing alone": ({0: ANSWERED | {"kind": "ringing"}, 5: "answered"}, NUMBER, ID),
    "by the answer alone": ({0: "ringing", 5: ANSWERED}, NUMBER, ID),
    "one by each": (
        {0: {"kind": "ringing", "phone": NUMBER}, 5: {"kind": "answered", "call_id": ID}},
        NUMBER,
        ID,
    ),
    "twice, the later word counts": (
        {0: {"kind": "ringing", "phone": OTHER, "call_id": "x"}, 5: ANSWERED},
        NUMBER,
        ID,
    ),
    "long after the beginning": ({250: ANSWERED}, NUMBER, ID),
    "the id as a number": ({0: {"kind": "answered", "call_id": 4711}}, None, "4711"),
    "both empty": ({0: ANSWERED, 5: {"kind": "answered", "phone": "", "call_id": ""}}, NUMBER, ID),
}


@pytest.mark.parametrize(("events", "phone", "call_id"), TOLD.values(), ids=TOLD)
def test_they_may_be_told(events: Mapping[int, Any], phone: str | None, call_id: str | None):
    [callback] = callbacks(play(*DIALOGUE, {**events, 300: HANGUP}))
    assert (callback.phone, callback.call_id) == (phone, call_id)


@pytest.mark.parametrize("kind", ["hold", "hangup", "client_name", "goodbye"])
def test_what_other_events_say_of_a_number_is_not_the_calls(kind: str):
    other = {"kind": kind, "phone": OTHER, "party": "client", "name": "Анна"}
    events = {0: ANSWERED, 200: [other, {"kind": "unhold", "party": "client"}], 250: AGREED}
    actions = play(
        *DIALOGUE, {**events, 300: HANGUP} if kind != "hangup" else {0: ANSWERED, 200: other}
    )
    assert set(numbers(actions)) == {NUMBER}


def test_the_operator_tells_the_number():
    told = {"kind": "client_phone", "phone": OTHER}
    for events in ({200: told}, {0: ANSWERED, 200: told}, {0: ANSWERED, 150: told, 200: "resume"}):
        [callback] = callbacks(play(*DIALOGUE, {**events, 300: HANGUP}))
        assert callback.phone == OTHER
    assert numbers(play(*DIALOGUE, {0: ANSWERED, 200: {"kind": "client_phone"}, 300: HANGUP})) == [
        NUMBER
    ]


def test_a_number_told_after_the_request_revises_it():
    told = {"kind": "client_phone", "phone": NUMBER}
    actions = play(*DIALOGUE, {200: "client_cannot_hear", 250: told, 260: told})
    assert numbers(actions) == [None, NUMBER]
    first, second = callbacks(actions)
    assert type(second) is act.CallbackRevised
    assert (second.reason, second.due_in_s) == (first.reason, first.due_in_s)


def test_a_callback_that_is_revised_is_due_when_it_was():
    """90 s after the farewell of a hold, whenever the number is told."""
    sides, events = CALLS[Reason.CLIENT_HOLD]
    actions = play(*sides, {**events, 3275: {"kind": "client_phone", "phone": NUMBER}})
    first, second = callbacks(actions)
    assert (first.frame, first.due_in_s) == (3225, 90.0)
    assert (second.frame, second.due_in_s, second.phone) == (3275, 89.0, NUMBER)


def test_a_name_told_after_the_request_revises_it():
    told = {"kind": "client_name", "name": "Анна"}
    _, second = callbacks(play(*DIALOGUE, {200: "client_cannot_hear", 250: told}))
    assert second.name == "Анна"
    assert second.opening.startswith("Здравствуйте, Анна,")


def test_a_number_told_later_does_not_replace_the_agreed_one():
    events = {200: AGREED | {"phone": OTHER}, 250: {"kind": "client_phone", "phone": NUMBER}}
    assert numbers(play(*DIALOGUE, events)) == [OTHER]


def test_an_agreed_number_wins():
    actions = play(*DIALOGUE, {0: ANSWERED, 200: AGREED | {"phone": OTHER}})
    [callback] = callbacks(actions)
    assert (callback.phone, callback.call_id) == (OTHER, ID)


def test_an_agreement_without_a_number_keeps_the_calls():
    assert numbers(play(*DIALOGUE, {0: ANSWERED, 200: AGREED})) == [NUMBER]


def test_an_agreed_number_stays_whatever_the_switchboard_tells_later():
    events = {0: ANSWERED, 200: AGREED | {"phone": OTHER}, 210: ANSWERED, 220: AGREED}
    assert numbers(play(*DIALOGUE, events)) == [OTHER, OTHER]


def test_an_agreement_of_no_time_changes_no_number():
    session = CallSession(TapePlan(), 8_000)
    session.signal(Event.parse(ANSWERED))
    with pytest.raises(EventError):
        session.signal(Event.parse({"kind": "callback_agreed", "at": "noon", "phone": OTHER}))
    assert numbers(session.signal(Event.parse(AGREED))) == [NUMBER]


def test_a_revised_callback_has_them_too():
    events = {0: ANSWERED, 200: "client_cannot_hear", 250: AGREED | {"phone": OTHER}}
    first, second = callbacks(play(*DIALOGUE, events))
    assert isinstance(second, act.CallbackRevised)
    assert (first.phone, second.phone) == (NUMBER, OTHER)
    assert (first.call_id, second.call_id) == (ID, ID)


# -- a call desk ------------------------------------------------------------------------------------


class NewEndpointers(TapePlan):
    """Scripted endpointers, new ones for each call."""

    def endpointer(self, channel: Channel, sample_rate: int) -> ScriptedEndpointer:
        return ScriptedEndpointer()


class Headset:
    """A desk of calls, and what it asked for."""

    def __init__(self) -> None:
        self.tracker = CallTracker(NewEndpointers(), 8_000)
        self.asked: list[act.CallbackRequested] = []

    def feed_tape(self, operator: str, client: str) -> None:
        for pair in zip(tape(operator), tape(client), strict=True):
            self.asked += callbacks(self.tracker.feed(*pair))

    def tell(self, kind: str, **more: object) -> None:
        self.asked += callbacks(self.tracker.signal(Event.parse({"kind": kind, **more})))

    def undo(self) -> list[act.Action]:
        actions = list(self.tracker.command(Command.UNDO))
        self.asked += callbacks(actions)
        return actions

    @property
    def whom(self) -> list[tuple[str | None, str | None]]:
        return [(callback.phone, callback.call_id) for callback in self.asked]


LOST = ".*600", "-*600"
"""Media that stops: a drop, or so it is guessed."""
TELLINGS: dict[str, list[dict[str, Any]]] = {
    "answered": [ANSWERED],
    "ringing, then answered": [{"kind": "ringing", "phone": NUMBER, "call_id": ID}, ANSWERED],
    "one by each": [{"kind": "ringing", "phone": NUMBER, "call_id": ID}, {"kind": "answered"}],
}


def in_dialogue(tellings: Sequence[dict[str, Any]]) -> Headset:
    headset = Headset()
    for event in tellings:
        headset.tell(**event)
    headset.feed_tape(".*25 S*75 .*100", ".*125 S*50 .*25")
    return headset


@pytest.mark.parametrize("tellings", TELLINGS.values(), ids=TELLINGS)
def test_an_end_that_is_undone_keeps_number_and_id(tellings: list[dict[str, Any]]):
    headset = in_dialogue(tellings)
    for ends in (1, 2, 3):
        headset.feed_tape(*LOST)
        assert headset.tracker.session is None
        assert headset.whom == [(NUMBER, ID)] * ends
        assert any(isinstance(action, act.CallbackWithdrawn) for action in headset.undo())
        assert headset.tracker.session is not None
        headset.feed_tape(".*25 S*50 .*100", ".*100 S*50 .*25")


def test_an_undone_call_is_still_the_one_that_its_switchboard_speaks_of():
    headset = in_dialogue([ANSWERED])
    headset.feed_tape(*LOST)
    headset.undo()
    session = headset.tracker.session
    headset.tell("hangup", call_id="another", party="client")
    assert headset.tracker.session is session
    headset.tell("hangup", call_id=ID, party="client")
    assert headset.tracker.session is None
    assert headset.whom == [(NUMBER, ID)] * 2


def test_the_next_call_has_nothing_of_the_one_before():
    headset = in_dialogue([ANSWERED])
    headset.feed_tape(*LOST)
    headset.tell("answered", call_id="pbx-4712")
    headset.feed_tape(".*25 S*75 .*100", ".*125 S*50 .*25")
    headset.feed_tape(*LOST)
    headset.tracker.command(Command.START_CALL)
    headset.feed_tape(".*25 S*75 .*100", ".*125 S*50 .*25")
    headset.feed_tape(*LOST)
    headset.undo()
    headset.feed_tape(*LOST)
    assert headset.whom == [(NUMBER, ID), (None, "pbx-4712"), (None, None), (None, None)]


def test_a_call_that_knocks_changes_nothing():
    headset = in_dialogue([ANSWERED])
    headset.tell("ringing", phone=OTHER, call_id="pbx-4712")
    headset.feed_tape(*LOST)
    headset.undo()
    headset.tell("hangup", call_id=ID, party="client")
    assert headset.whom == [(NUMBER, ID)] * 2
