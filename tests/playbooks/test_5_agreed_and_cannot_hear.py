"""Scenario 5, an agreed callback, and the client who does not hear the operator."""

from __future__ import annotations

import pytest

from tests.tape import play, transcript
from vad_agent.core.actions import CallbackRequested, CallbackRevised
from vad_agent.errors import EventError

BEFORE = ("S*50 .*50", "S*30 .*70")
AGREED = {
    "kind": "callback_agreed",
    "name": "Анна",
    "phone": "+79161234567",
    "at": "2026-11-24T15:00:00+03:00",
    "ts": "2026-11-24T14:30:00+03:00",
    "topic": "доставка",
}


def test_an_agreed_callback_is_asked_for_at_once_and_the_call_ends_as_calls_end():
    events = {150: AGREED, 200: {"kind": "hangup", "party": "operator"}}
    actions = play(f"{BEFORE[0]} .*150", f"{BEFORE[1]} .*150", events)
    assert transcript(actions)[2:] == ["150 callback agreed", "200 phase ended"]
    callback = next(a for a in actions if isinstance(a, CallbackRequested))
    assert (callback.name, callback.phone, callback.topic) == ("Анна", "+79161234567", "доставка")
    assert (callback.at, callback.due_in_s) == ("2026-11-24T15:00:00+03:00", 1800)
    assert callback.opening.startswith("Здравствуйте, Анна, Интернет-магазин Haieronline.")
    assert "Ранее мы с вами договаривались" in callback.opening


def test_an_agreed_callback_stands_when_the_call_drops_afterwards():
    events = {150: AGREED, 200: {"kind": "hangup", "party": "client"}}
    actions = play(f"{BEFORE[0]} .*150", f"{BEFORE[1]} .*150", events)
    assert transcript(actions)[2:] == [
        "150 callback agreed",
        "200 hangup dropped",
        "200 phase ended",
    ]


def test_a_time_agreed_after_a_farewell_that_the_client_interrupted_revises_the_callback():
    actions = play(f"{BEFORE[0]} .*600", f"{BEFORE[1]} .*360 S*60 .*180", {600: AGREED})
    assert transcript(actions)[4:9] == [
        "450 callback silence_in_dialogue",
        "450 play farewell_in_dialogue",
        "465 stop farewell_in_dialogue",
        "465 farewell_in_dialogue interrupted after 125",
        "600 callback revised agreed",
    ]
    assert sum(isinstance(a, CallbackRevised) for a in actions) == 1


@pytest.mark.parametrize(
    "at", ["tomorrow", "25:00", "2026-13-01", "2026-12-01", "20261201", "2026-W49-2"]
)
def test_a_time_that_is_none_changes_nothing(at):
    with pytest.raises(EventError, match="expected an ISO 8601 time"):
        play(f"{BEFORE[0]} .*150", f"{BEFORE[1]} .*150", {150: AGREED | {"at": at}})


def test_the_client_cannot_hear():
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300", {150: "client_cannot_hear"})
    assert transcript(actions)[2:] == [
        "150 callback client_cannot_hear",
        "275 play farewell_in_dialogue",
        "375 farewell_in_dialogue said after 125",
        "375 hangup client_cannot_hear",
        "375 phase ended",
    ]


def test_his_hello_is_no_reply():
    """«Алло! Алло!»: he is waited for, but neither stops the farewell nor keeps the call."""
    client = f"{BEFORE[1]} .*80 S*30 .*140 S*30 .*200"
    actions = play(f"{BEFORE[0]} .*480", client, {150: "client_cannot_hear"})
    assert transcript(actions)[2:] == [
        "150 callback client_cannot_hear",
        "335 play farewell_in_dialogue",  # 2.5 s after his «алло»
        "435 farewell_in_dialogue said after 125",
        "435 hangup client_cannot_hear",
        "435 phase ended",
    ]


def test_the_operator_hangs_up_without_the_farewell():
    events = {150: "client_cannot_hear", 200: {"kind": "hangup", "party": "operator"}}
    actions = play(f"{BEFORE[0]} .*150", f"{BEFORE[1]} .*150", events)
    assert transcript(actions)[2:] == [
        "150 callback client_cannot_hear",
        "200 hangup client_cannot_hear",
        "200 phase ended",
    ]
