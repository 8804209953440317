"""Scenario 2: the call drops in the dialogue. The client is called back at once."""

from __future__ import annotations

import pytest

from tests.tape import play, transcript

DIALOGUE = {"operator": "S*50 .*50 S*50 .*100", "client": ".*60 S*30 .*160"}


@pytest.mark.parametrize("party", ["client", "network", None])
def test_the_clients_leg_is_gone(party):
    actions = play(**DIALOGUE, events={200: {"kind": "hangup", "party": party}})
    assert transcript(actions) == [
        "1 phase greeting",
        "106 phase dialogue",
        "200 callback dropped",
        "200 hangup dropped",
        "200 phase ended",
    ]


def test_a_client_who_hangs_up_after_the_goodbyes_is_not_called_back():
    actions = play(**DIALOGUE, events={180: "goodbye", 200: {"kind": "hangup", "party": "client"}})
    assert transcript(actions)[2:] == ["200 phase ended"]


def test_an_operator_who_hangs_up_ends_the_call_as_calls_end():
    actions = play(**DIALOGUE, events={200: {"kind": "hangup", "party": "operator"}})
    assert transcript(actions)[2:] == ["200 phase ended"]


def test_media_that_stops_is_reported_at_once_and_counts_as_dropped_after_ten_seconds():
    actions = play("S*50 .*50 S*50 .*800", ".*60 S*30 .*60 -*800")
    assert transcript(actions, lines=True) == [
        "1 phase greeting",
        "1 line operator live",
        "1 line client live",
        "106 phase dialogue",
        "200 line client no_media",
        "650 callback dropped",
        "650 hangup dropped",
        "650 phase ended",
    ]


def test_media_that_returns_goes_on_and_the_clock_begins_anew():
    actions = play("S*50 .*50 S*50 .*600", ".*60 S*30 .*60 -*300 .*300")
    assert transcript(actions)[2:] == [
        "626 play not_heard_in_dialogue",  # 3.5 s after the media's return at 451, not at once
        "726 not_heard_in_dialogue said after 175",
        "750 phase ended",
    ]


def test_a_call_that_drops_while_a_prompt_is_played():
    hangup = {"kind": "hangup", "party": "client"}
    actions = play("S*50 .*50 S*50 .*400", ".*60 S*30 .*460", events={360: hangup})
    assert transcript(actions)[2:] == [
        "325 play not_heard_in_dialogue",
        "360 stop not_heard_in_dialogue",
        "360 not_heard_in_dialogue interrupted after 175",
        "360 callback dropped",
        "360 hangup dropped",
        "360 phase ended",
    ]


def test_a_call_that_was_never_answered_asks_for_nothing():
    events = {0: "ringing", 100: {"kind": "hangup", "party": "client"}}
    assert transcript(play(".*200", ".*200", events)) == ["0 phase greeting", "100 phase ended"]


def test_media_that_stops_after_the_goodbyes_ends_the_call_as_calls_end():
    actions = play("S*50 .*50 S*50 .*800", ".*60 S*30 .*60 -*800", {150: "goodbye"})
    assert transcript(actions)[2:] == ["650 phase ended"]
