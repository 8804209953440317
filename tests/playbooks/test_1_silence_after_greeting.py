"""Scenario 1: after the operator's greeting there is silence on the line.

the greeting again after 2–3 s, «К сожалению, вас не слышно» after 2–3 s, the farewell after 3–4 s,
then the call is ended and the client called back at once. Frames: 50 are a second.
"""

from __future__ import annotations

from tests.tape import play, transcript


def test_the_client_is_never_heard():
    actions = play(operator="S*50 .*800", client=".*850")
    assert transcript(actions) == [
        "1 phase greeting",
        "175 play greeting_again",
        "275 greeting_again said after 125",
        "400 play not_heard",
        "500 not_heard said after 125",
        "675 callback silence_after_greeting",
        "675 play farewell_after_greeting",
        "775 farewell_after_greeting said after 175",
        "775 hangup silence_after_greeting",
        "775 phase ended",
    ]


def test_the_client_answers_before_the_second_greeting():
    actions = play(operator="S*50 .*300", client=".*150 S*50 .*150")
    assert transcript(actions) == ["1 phase greeting", "200 phase dialogue", "350 phase ended"]


def test_the_client_answers_in_the_middle_of_the_second_greeting():
    actions = play(operator="S*50 .*300", client=".*200 S*60 .*90")
    assert transcript(actions) == [
        "1 phase greeting",
        "175 play greeting_again",
        "205 stop greeting_again",
        "205 greeting_again interrupted after 125",
        "250 phase dialogue",
        "350 callback silence_in_dialogue",  # cut off before the operator has answered
        "350 phase ended",
    ]


def test_a_short_yes_in_the_ladder_returns_to_the_dialogue():
    actions = play(operator="S*50 .*500", client=".*300 S*8 .*242")
    assert transcript(actions) == [
        "1 phase greeting",
        "175 play greeting_again",
        "275 greeting_again said after 125",
        "324 phase dialogue",
        "483 play not_heard_in_dialogue",  # 3.5 s after the «да», and from the first rung
        "550 stop not_heard_in_dialogue",  # the recording ends
        "550 not_heard_in_dialogue interrupted after 175",
        "550 callback silence_in_dialogue",
        "550 phase ended",
    ]


def test_the_client_answers_in_the_farewell_and_the_call_ends_well():
    actions = play(
        operator="S*50 .*700 S*100 .*50",
        client=".*700 S*60 .*140",
        events={900: {"kind": "hangup", "party": "operator"}},
    )
    assert transcript(actions)[5:] == [
        "675 callback silence_after_greeting",
        "675 play farewell_after_greeting",
        "705 stop farewell_after_greeting",
        "705 farewell_after_greeting interrupted after 175",
        "750 phase dialogue",
        "900 callback withdrawn silence_after_greeting",
        "900 phase ended",
    ]


def test_the_operator_says_every_phrase_himself_when_cued():
    actions = play(
        operator="S*50 .*115 S*80 .*120 S*40 .*170 S*90 .*100",
        client=".*765",
        mode="cue",
    )
    assert transcript(actions) == [
        "1 phase greeting",
        "140 cue greeting_again",
        "170 dismiss greeting_again",
        "295 greeting_again said_by_operator after 115",
        "335 cue not_heard",
        "370 dismiss not_heard",
        "455 not_heard said_by_operator after 120",
        "545 callback silence_after_greeting",
        "545 cue farewell_after_greeting",
        "580 dismiss farewell_after_greeting",
        "715 farewell_after_greeting said_by_operator after 170",
        "715 hangup silence_after_greeting",
        "715 phase ended",
    ]


def test_an_operator_who_begins_just_before_the_prompt_says_it_himself():
    actions = play(operator="S*50 .*110 S*80 .*160", client=".*400")
    assert transcript(actions)[1:] == [
        "290 greeting_again said_by_operator after 110",
        "365 play not_heard",
        "400 stop not_heard",
        "400 not_heard interrupted after 125",
        "400 callback silence_after_greeting",
        "400 phase ended",
    ]


def test_the_operator_does_not_greet():
    actions = play(operator=".*400", client=".*400")
    assert transcript(actions) == ["1 phase greeting", "250 alert no_greeting", "400 phase ended"]


def test_the_client_speaks_first():
    actions = play(operator=".*100 S*50 .*150", client="S*50 .*250")
    assert transcript(actions) == [
        "1 phase greeting",
        "50 phase dialogue",
        "300 phase ended",
    ]


def test_the_operator_hangs_up_in_the_ladder_and_the_client_is_called_back():
    hangup = {"kind": "hangup", "party": "operator"}
    actions = play(operator="S*50 .*400", client=".*450", events={300: hangup})
    assert transcript(actions)[1:] == [
        "175 play greeting_again",
        "275 greeting_again said after 125",
        "300 callback silence_after_greeting",
        "300 hangup silence_after_greeting",
        "300 phase ended",
    ]
