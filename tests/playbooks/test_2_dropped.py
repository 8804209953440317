"""Scenario 2: the call drops in the dialogue. The client is called back at once."""

from __future__ import annotations

import re

import pytest

from tests.tape import play, transcript
from vad_agent.core import actions as act

DIALOGUE = {"operator": "S*50 .*50 S*50 .*100", "client": ".*60 S*30 .*160"}
DROPPED = ["200 callback dropped", "200 hangup dropped", "200 phase ended"]
UNCONFIRMED = ["200 callback unconfirmed", "200 phase ended"]


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
        "750 callback silence_in_dialogue",  # the recording ends in the silence
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


# -- tones of the exchange after the client has hung up ------------------------------------------------

BUSY = "t*17 .*18 " * 20
RINGING = "t*50 .*200 " * 3


def test_a_dial_tone_of_two_seconds_means_that_the_client_is_gone():
    actions = play("S*50 .*50 S*50 .*400", ".*60 S*30 .*60 t*400")
    assert transcript(actions, lines=True)[3:] == [
        "106 phase dialogue",
        "155 line client tone",
        "250 callback dropped",
        "250 hangup dropped",
        "250 phase ended",
    ]


def test_a_busy_tone_says_so_before_anything_is_said_into_it():
    actions = play("S*50 .*50 S*50 .*800", f".*60 S*30 .*60 {BUSY}")
    assert transcript(actions, lines=True)[4:] == [
        "155 line client tone",
        "264 callback dropped",  # by its cadence, in the fourth pulse
        "264 hangup dropped",
        "264 phase ended",
    ]


def test_a_prompt_waits_for_it():
    """It was due at 325."""
    actions = play("S*50 .*50 S*50 .*800", f".*60 S*30 .*130 {BUSY}")
    assert transcript(actions)[2:] == [
        "334 callback dropped",
        "334 hangup dropped",
        "334 phase ended",
    ]


def test_a_prompt_waits_for_it_no_longer_than_its_window_allows():
    """Until 0.2 s before the window's end, so that the phrase still begins within it."""
    actions = play("S*50 .*50 S*50 .*800", f".*60 S*30 .*160 {BUSY}")
    assert transcript(actions)[2:] == [
        "340 play not_heard_in_dialogue",
        "364 stop not_heard_in_dialogue",
        "364 not_heard_in_dialogue interrupted after 190",
        "364 callback dropped",
        "364 hangup dropped",
        "364 phase ended",
    ]


def test_a_cue_is_shown_in_a_tone_too_for_the_operator_hears_it():
    actions = play("S*50 .*50 S*50 .*800", f".*60 S*30 .*160 {BUSY}", mode="cue")
    assert transcript(actions)[2:4] == [
        "290 cue not_heard_in_dialogue",
        "364 dismiss not_heard_in_dialogue",
    ]


def test_the_operator_who_speaks_into_the_tone_is_told_by_the_callback():
    actions = play("S*50 .*50 S*300 .*100", ".*60 S*30 .*60 t*350")
    assert transcript(actions)[2:] == [
        "250 callback dropped",
        "250 hangup dropped",
        "250 phase ended",
    ]


def test_the_second_ring_means_that_he_is_gone():
    actions = play("S*50 .*50 S*50 .*800", f".*60 S*30 .*60 {RINGING}", {160: "pause"})
    assert transcript(actions)[2:] == [
        "450 callback dropped",
        "450 hangup dropped",
        "450 phase ended",
    ]


@pytest.mark.parametrize("party", ["client", "operator"])
def test_a_busy_tone_in_a_held_call_means_that_he_is_gone(party):
    hold = {170: {"kind": "hold", "party": party}}
    actions = play("S*50 .*50 S*50 .*800", f".*60 S*30 .*110 {BUSY}", hold)
    assert transcript(actions)[2:] == [
        "170 phase on_hold",
        "314 callback dropped",
        "314 hangup dropped",
        "314 phase ended",
    ]


def test_a_dial_tone_in_a_held_call_means_that_he_is_gone():
    """Once it has lasted longer than a ring."""
    actions = play("S*50 .*50 S*50 .*800", ".*60 S*30 .*110 t*500", {170: "hold"})
    assert transcript(actions)[2:] == [
        "170 phase on_hold",
        "331 callback dropped",
        "331 hangup dropped",
        "331 phase ended",
    ]


@pytest.mark.parametrize(
    "tone",
    [
        "t*50 .*200 ",  # the client transfers the call
        "t*100 .*200 ",
        "t*20 .*10 t*20 .*100 ",
        "t*10 .*200 ",  # his call waits
        "t*9 .*9 t*9 .*175 ",
        "t*15 .*500 ",
    ],
)
def test_ringback_and_waiting_beeps_in_a_held_call_are_no_drop(tone):
    """Neither until he is back, nor when he is: a minute of them, then a word."""
    tones = tone * (2_500 // sum(map(int, re.findall(r"\d+", tone))))
    actions = play(
        "S*50 .*50 S*50 .*2700 S*50 .*100",
        f".*60 S*30 .*110 {tones} .*800",
        {170: "hold", 2_700: "unhold"},
    )
    assert transcript(actions)[2:4] == ["170 phase on_hold", "2700 phase dialogue"]
    assert not any("dropped" in line for line in transcript(actions))


def test_a_transfer_that_finds_the_other_busy_is_a_drop():
    rings = "t*50 .*200 " * 3
    actions = play("S*50 .*50 S*50 .*2000", f".*60 S*30 .*110 {rings} {BUSY}", {170: "hold"})
    assert transcript(actions)[3] == "1064 callback dropped"


def test_ringback_after_the_hold_counts_anew():
    """The rings of the hold say nothing of the dialogue."""
    rings = "t*50 .*200 " * 5
    events = {170: "hold", 720: "unhold", 725: "pause"}
    actions = play("S*50 .*50 S*50 .*2000", f".*60 S*30 .*110 {rings}", events)
    assert transcript(actions)[3:5] == ["720 phase dialogue", "1220 callback dropped"]


@pytest.mark.parametrize(
    "beep", ["t*10 .*200 ", "t*9 .*9 t*9 .*175 ", "t*8 .*8 t*8 .*8 t*8 .*200 "]
)
def test_beeps_of_a_call_that_waits_are_no_drop_in_the_dialogue_either(beep):
    actions = play("S*50 .*50 S*50 .*1500", f".*60 S*30 .*60 {beep * 17}", {160: "pause"})
    assert not any("dropped" in line for line in transcript(actions))


def test_a_tone_after_the_goodbyes_ends_the_call_as_calls_end():
    actions = play("S*50 .*50 S*50 .*400", ".*60 S*30 .*60 t*400", {150: "goodbye"})
    assert transcript(actions)[2:] == ["250 phase ended"]


def test_the_callback_that_was_promised_becomes_that_of_a_drop():
    actions = play("S*50 .*50 S*50 .*1000", ".*60 S*30 .*395 t*400")
    assert transcript(actions)[4:] == [
        "565 callback silence_in_dialogue",
        "565 play farewell_in_dialogue",
        "585 stop farewell_in_dialogue",
        "585 farewell_in_dialogue interrupted after 140",
        "585 callback revised dropped",
        "585 hangup dropped",
        "585 phase ended",
    ]


def test_a_client_who_speaks_after_a_tone_is_there():
    actions = play("S*50 .*50 S*50 .*400", ".*60 S*30 .*60 t*80 .*20 S*60 t*80 .*100")
    assert not any("dropped" in line for line in transcript(actions))


@pytest.mark.parametrize("events", [{0: "ringing", 590: "answered"}, {}])
def test_ringing_before_the_call_is_no_drop(events):
    """Signalled, or only heard: an outgoing call, recorded from its beginning."""
    actions = play(".*600 S*50 .*200", f"{RINGING} .*100", events)
    assert not any("dropped" in line for line in transcript(actions))
    assert "775 play greeting_again" in transcript(actions)


def test_a_client_who_hung_up_before_the_greeting_is_gone_after_it():
    actions = play(".*150 S*100 .*300", "t*550")
    assert [line for line in transcript(actions) if "dropped" in line] == [
        "366 callback dropped",
        "366 hangup dropped",
    ]


# -- keys that the client presses ----------------------------------------------------------------------


def test_keys_pressed_are_a_sign_of_life_but_no_speech_and_no_hangup():
    keys = "d*10 .*10 " * 5
    actions = play("S*50 .*50 S*50 .*600", f".*60 S*30 .*85 {keys} .*400")
    assert transcript(actions, lines=True)[4:] == [
        "180 line client tone",
        "316 line client live",
        "325 play not_heard_in_dialogue",  # counted from the last word
        "425 not_heard_in_dialogue said after 175",
        "550 callback silence_in_dialogue",
        "550 play farewell_in_dialogue",
        "650 farewell_in_dialogue said after 125",
        "650 hangup silence_in_dialogue",
        "650 phase ended",
    ]


def test_a_prompt_does_not_speak_over_the_keys_while_its_window_is_open():
    keys = "d*10 .*10 " * 7
    actions = play("S*50 .*50 S*50 .*300", f".*60 S*30 .*95 {keys} S*60 .*75")
    assert transcript(actions)[2:] == ["460 phase ended"]


# -- nothing says who ended the call ------------------------------------------------------------------


def test_after_talk_on_both_sides_the_callback_is_unconfirmed_and_has_time_for_an_answer():
    actions = play(**DIALOGUE, events={200: "line_gone"})
    assert transcript(actions)[2:] == ["200 callback unconfirmed", "200 phase ended"]
    [request] = [action for action in actions if isinstance(action, act.CallbackRequested)]
    assert request.due_in_s == 120.0


@pytest.mark.parametrize(
    ("call", "events", "told"),
    [
        (DIALOGUE, {180: "goodbye"}, ["200 phase ended"]),
        ({"operator": "S*50 .*150", "client": ".*200"}, {}, DROPPED),
        ({"operator": "S*50 .*150", "client": ".*200"}, {20: "ringing"}, DROPPED),
        (DIALOGUE, {180: {"kind": "hold", "party": "client"}}, DROPPED),
        (DIALOGUE, {180: {"kind": "hold", "party": "operator"}}, DROPPED),
        (DIALOGUE, {180: "goodbye", 190: "goodbye_undone"}, UNCONFIRMED),
    ],
    ids=["goodbye", "no client", "rang after all", "client holds", "operator holds", "undone"],
)
def test_what_is_known_of_the_end_decides(call, events, told):
    actions = play(**call, events={**events, 200: "line_gone"})
    assert transcript(actions)[-len(told) :] == told


def test_where_it_rings_still_nobody_is_called_back():
    actions = play(".*200", ".*200", events={20: "ringing", 200: "line_gone"})
    assert transcript(actions)[-1] == "200 phase ended"
    assert not [action for action in actions if isinstance(action, act.CallbackRequested)]


def test_a_client_who_was_told_that_he_is_not_heard_has_dropped():
    actions = play("S*50 .*50 S*50 .*400", ".*60 S*30 .*460", events={450: "line_gone"})
    assert transcript(actions)[-3:] == [
        "450 callback dropped",
        "450 hangup dropped",
        "450 phase ended",
    ]


def test_an_agreed_callback_stands_and_nothing_is_asked():
    agreed = {"kind": "callback_agreed", "at": "2026-01-31T12:00:00+03:00"}
    actions = play(**DIALOGUE, events={180: agreed, 200: "line_gone"})
    assert transcript(actions)[2:] == ["180 callback agreed", "200 phase ended"]


def test_a_goodbye_that_was_none_brings_the_ladder_back():
    operator, client = "S*50 .*50 S*50 .*450", ".*60 S*30 .*510"
    events = {180: "goodbye", 400: "goodbye_undone"}
    assert not [
        line
        for line in transcript(play(operator, client, events={180: "goodbye"}))
        if "play" in line
    ]
    assert "575 play not_heard_in_dialogue" in transcript(play(operator, client, events=events))
