"""A hold belongs to a party, and the call is held until the last one has ended theirs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tape import play, transcript

BEFORE = ("S*50 .*50", "S*30 .*70")  # 100 frames


def by(party: str, kind: str) -> dict[str, Any]:
    return {"kind": kind, "party": party}


def heard(events: dict[int, Any], frames: int = 6000, client: str = ".") -> list[str]:
    tape = f"{BEFORE[0]} .*{frames}", f"{BEFORE[1]} {client}*{frames}"
    return transcript(play(*tape, events))[2:]


def test_the_operator_comes_back_first_and_the_client_holds_on():
    events = {
        100: by("client", "hold"),
        400: by("operator", "hold"),
        650: by("operator", "unhold"),
        1900: by("client", "unhold"),
        2000: by("operator", "hangup"),
    }
    assert heard(events) == ["100 phase on_hold", "1900 phase dialogue", "2000 phase ended"]


def test_the_clients_minute_goes_on_while_the_operator_holds_too():
    events = {100: by("client", "hold"), 400: by("operator", "hold"), 650: by("operator", "unhold")}
    assert heard(events)[:3] == [
        "100 phase on_hold",
        "3125 callback client_hold",
        "3125 play hold_farewell",
    ]


def test_a_minute_that_has_passed_while_the_operator_held_is_stale():
    events = {
        100: by("client", "hold"),
        400: by("operator", "hold"),
        4000: by("operator", "unhold"),
    }
    assert heard(events, 8000)[:2] == ["100 phase on_hold", "7025 callback client_hold"]


def test_who_does_not_hold_ends_nobodys():
    events = {
        100: by("operator", "hold"),
        400: by("client", "unhold"),
        1650: by("operator", "unhold"),
    }
    assert heard(events)[:3] == [
        "100 phase on_hold",
        "1650 phase dialogue",
        "1825 play not_heard_in_dialogue",
    ]


def test_the_client_holds_while_the_operator_looks_something_up():
    events = {
        100: by("operator", "hold"),
        500: by("client", "hold"),
        900: by("operator", "unhold"),
    }
    assert heard(events)[:2] == ["100 phase on_hold", "3525 callback client_hold"]


def test_while_the_operator_holds_nothing_is_said_to_the_client():
    events = {100: by("client", "hold"), 400: by("operator", "hold")}
    assert heard(events) == [
        "100 phase on_hold",
        "6100 callback client_hold",  # the recording ends, and the client still holds
        "6100 phase ended",
    ]


@pytest.mark.parametrize("party", ["client", "operator"])
def test_told_twice_it_is_one_hold(party: str):
    events = {100: by(party, "hold"), 200: by(party, "hold"), 300: by(party, "unhold")}
    assert heard(events, 500)[:2] == ["100 phase on_hold", "300 phase dialogue"]


def test_an_unhold_that_does_not_say_whose_ends_all():
    events = {100: by("client", "hold"), 200: by("operator", "hold"), 300: "unhold"}
    assert heard(events, 500)[:2] == ["100 phase on_hold", "300 phase dialogue"]


def test_music_is_the_clients_hold_and_the_operators_unhold_does_not_end_it():
    events = {300: by("operator", "unhold")}
    assert heard(events, 3300, "m")[:3] == [
        "105 phase on_hold",
        "3125 callback client_hold",
        "3125 play hold_farewell",
    ]


def test_the_operator_holds_in_the_clients_music():
    events = {300: by("operator", "hold"), 500: by("operator", "unhold")}
    assert heard(events, 3300, "m")[:3] == [
        "105 phase on_hold",
        "3125 callback client_hold",
        "3125 play hold_farewell",
    ]
