"""Scenario 4: the client is not heard in the dialogue.

«{имя}, вас не слышно» after 3–4 s (2–3 s where the line is dead), the farewell after 2–3 s, then the
call is ended and the client called back at once.
"""

from __future__ import annotations

from tests.tape import play, transcript
from vad_agent.core.actions import Play

BEFORE = ("S*50 .*50", "S*30 .*70")  # 100 frames; the operator was heard last, until 50


def test_the_client_falls_silent():
    actions = play(f"{BEFORE[0]} .*500", f"{BEFORE[1]} .*500")
    assert transcript(actions)[2:] == [
        "225 play not_heard_in_dialogue",
        "325 not_heard_in_dialogue said after 175",
        "450 callback silence_in_dialogue",
        "450 play farewell_in_dialogue",
        "550 farewell_in_dialogue said after 125",
        "550 hangup silence_in_dialogue",
        "550 phase ended",
    ]


def test_the_clients_name_is_said_if_it_is_known():
    events = {90: {"kind": "client_name", "name": " Анна "}}
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300", events)
    assert [a.text for a in actions if isinstance(a, Play)] == ["Анна, вас не слышно"]


def test_without_a_name_no_comma_is_left():
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300")
    assert [a.text for a in actions if isinstance(a, Play)] == ["Вас не слышно"]


def test_a_line_that_goes_dead_uses_the_shorter_window():
    actions = play(f"{BEFORE[0]} .*200", f"{BEFORE[1]} 0*200")
    assert transcript(actions)[2] == "175 play not_heard_in_dialogue"


def test_a_line_that_goes_dead_late_in_the_silence_is_prompted_at_once():
    # Known to be dead at 190: 2.8 s of silence, inside the shorter window.
    actions = play(f"{BEFORE[0]} .*200", f"{BEFORE[1]} .*40 0*160")
    assert transcript(actions)[2] == "190 play not_heard_in_dialogue"


def test_a_line_that_goes_dead_when_the_shorter_window_has_passed_keeps_the_longer_one():
    actions = play(f"{BEFORE[0]} .*200", f"{BEFORE[1]} .*60 0*140")
    assert transcript(actions)[2] == "225 play not_heard_in_dialogue"


def test_the_client_answers_in_the_prompt_and_the_ladder_begins_anew():
    actions = play(f"{BEFORE[0]} .*700", f"{BEFORE[1]} .*150 S*60 .*490")
    assert transcript(actions)[2:] == [
        "225 play not_heard_in_dialogue",
        "255 stop not_heard_in_dialogue",
        "255 not_heard_in_dialogue interrupted after 175",
        "485 play not_heard_in_dialogue",
        "585 not_heard_in_dialogue said after 175",
        "710 callback silence_in_dialogue",
        "710 play farewell_in_dialogue",
        "800 stop farewell_in_dialogue",
        "800 farewell_in_dialogue interrupted after 125",
        "800 phase ended",
    ]


def test_the_operator_speaks_between_the_steps_and_the_next_one_waits_for_him():
    actions = play(f"{BEFORE[0]} .*250 S*100 .*400", f"{BEFORE[1]} .*750")
    assert transcript(actions)[3:5] == [
        "325 not_heard_in_dialogue said after 175",
        "575 callback silence_in_dialogue",  # 2.5 s after his last word
    ]


def test_the_operator_speaks_over_the_prompt_and_it_is_said_again():
    actions = play(f"{BEFORE[0]} .*150 S*50 .*400", f"{BEFORE[1]} .*600")
    assert transcript(actions)[2:6] == [
        "225 play not_heard_in_dialogue",
        "255 stop not_heard_in_dialogue",
        "255 not_heard_in_dialogue interrupted after 175",
        "475 play not_heard_in_dialogue",
    ]


def test_paused_by_the_operator():
    events = {120: "pause", 1620: "resume"}
    actions = play(f"{BEFORE[0]} .*1800", f"{BEFORE[1]} .*1800", events)
    assert transcript(actions)[2:4] == [
        "1795 play not_heard_in_dialogue",  # 3.5 s after the resume: nothing stale
        "1895 not_heard_in_dialogue said after 175",
    ]


def test_muted_by_the_operator():
    events = {120: "operator_mute", 620: "operator_unmute"}
    actions = play(f"{BEFORE[0]} .*800", f"{BEFORE[1]} .*800", events)
    assert transcript(actions, lines=True)[4:7] == [
        "120 line operator muted",
        "620 line operator live",
        "795 play not_heard_in_dialogue",
    ]


def test_a_pause_in_a_prompt_stops_it_and_the_ladder_begins_anew():
    events = {250: "pause", 400: "resume"}
    actions = play(f"{BEFORE[0]} .*600", f"{BEFORE[1]} .*600", events)
    assert transcript(actions)[2:6] == [
        "225 play not_heard_in_dialogue",
        "250 stop not_heard_in_dialogue",
        "250 not_heard_in_dialogue interrupted after 175",
        "575 play not_heard_in_dialogue",
    ]


def test_cued_and_said_late_or_never():
    late = play(f"{BEFORE[0]} .*170 S*50 .*100", f"{BEFORE[1]} .*320", mode="cue")
    assert transcript(late)[2:5] == [
        "190 cue not_heard_in_dialogue",
        "275 dismiss not_heard_in_dialogue",
        "370 not_heard_in_dialogue said_by_operator after 220",  # outside 150–200: it shows
    ]
    never = play(f"{BEFORE[0]} .*400", f"{BEFORE[1]} .*300 S*60 .*40", mode="cue")
    assert transcript(never)[2:5] == [
        "190 cue not_heard_in_dialogue",
        "450 dismiss not_heard_in_dialogue",
        "450 not_heard_in_dialogue missed after 400",
    ]


def test_cued_and_the_client_comes_back_in_time():
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*100 S*60 .*140", mode="cue")
    assert transcript(actions)[2:4] == [
        "190 cue not_heard_in_dialogue",
        "250 dismiss not_heard_in_dialogue",
    ]


def test_on_a_line_with_a_noise_gate_digital_zero_is_a_pause():
    """The client thinks for 2.8 s: the line is zero between his words, so it is not dead in the pause."""
    operator = "S*50 .*50 S*50 .*140 .*60 .*50 S*50 .*140 S*60 .*100"
    client = "0*60 S*30 0*60 0*140 S*60 0*50 0*50 0*140 0*60 0*100"
    actions = play(operator, client)
    assert not any(isinstance(action, Play) for action in actions)


def test_on_a_gated_line_the_client_is_not_heard_after_the_longer_window():
    actions = play("S*50 .*50 S*50 .*400", "0*60 S*30 0*460")
    assert transcript(actions)[2] == "325 play not_heard_in_dialogue"
