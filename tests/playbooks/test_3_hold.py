"""Scenario 3: the client puts the call on hold and does not return for more than a minute.

«Вы поставили звонок на удержание, я вам перезвоню», the call is ended, callback after 90 s.
"""

from __future__ import annotations

import pytest

from tests.tape import play, transcript

BEFORE = ("S*50 .*50", "S*30 .*70")  # 100 frames; both have spoken
FAREWELL = [
    "callback client_hold",
    "play hold_farewell",
    "hold_farewell said after 3025",
    "hangup client_hold",
    "phase ended",
]


def test_held_and_not_returned():
    actions = play(f"{BEFORE[0]} .*3300", f"{BEFORE[1]} .*3300", {100: "hold"})
    assert transcript(actions)[2:] == [
        "100 phase on_hold",
        "3125 callback client_hold",
        "3125 play hold_farewell",
        "3225 hold_farewell said after 3025",
        "3225 hangup client_hold",
        "3225 phase ended",
    ]


@pytest.mark.parametrize("line", [".", "0", "-", "m"])
def test_whatever_the_held_line_carries(line):
    """Media may stop on hold, or be music: the minute counts from the event."""
    actions = play(f"{BEFORE[0]} .*3300", f"{BEFORE[1]} {line}*3300", {100: "hold"})
    assert [text.split(maxsplit=1)[1] for text in transcript(actions)[3:]] == FAREWELL


def test_returned_after_fifty_seconds():
    events = {100: "hold", 2600: "unhold"}
    actions = play(f"{BEFORE[0]} .*2600 S*50 .*100", f"{BEFORE[1]} .*2750", events)
    assert transcript(actions)[2:] == [
        "100 phase on_hold",
        "2600 phase dialogue",
        "2850 phase ended",
    ]


def test_returned_in_the_farewell():
    events = {100: "hold", 3150: "unhold"}
    actions = play(f"{BEFORE[0]} .*3200", f"{BEFORE[1]} .*3200", events)
    assert transcript(actions)[3:] == [
        "3125 callback client_hold",
        "3125 play hold_farewell",
        "3150 stop hold_farewell",
        "3150 hold_farewell interrupted after 3025",
        "3150 phase dialogue",
        "3300 phase ended",
    ]


def test_hold_music_without_an_event_counts_from_its_beginning():
    actions = play(f"{BEFORE[0]} .*3300", f"{BEFORE[1]} m*3300")
    assert transcript(actions)[2:] == [
        "105 phase on_hold",
        "3125 callback client_hold",
        "3125 play hold_farewell",
        "3225 hold_farewell said after 3025",
        "3225 hangup client_hold",
        "3225 phase ended",
    ]


def test_hold_music_that_ends_after_fifty_seconds():
    actions = play(f"{BEFORE[0]} .*2600", f"{BEFORE[1]} m*2500 .*20 S*50 .*30")
    assert transcript(actions)[2:] == [
        "105 phase on_hold",
        "2601 phase dialogue",
        "2700 callback silence_in_dialogue",  # cut off before the operator has answered
        "2700 phase ended",
    ]


def test_an_announcement_on_hold_is_not_the_client():
    actions = play(f"{BEFORE[0]} .*3300", f"{BEFORE[1]} .*1000 S*200 .*2100", {100: "hold"})
    assert [text.split(maxsplit=1)[1] for text in transcript(actions)[3:]] == FAREWELL


def test_an_operator_who_mutes_himself_on_hold_changes_nothing():
    events = {100: "hold", 200: "operator_mute"}
    actions = play(f"{BEFORE[0]} .*3300", f"{BEFORE[1]} .*3300", events)
    assert transcript(actions)[3] == "3125 callback client_hold"


def test_the_operators_own_hold_is_his_look_up():
    events = {100: {"kind": "hold", "party": "operator"}, 4000: "unhold"}
    actions = play(f"{BEFORE[0]} .*4100", f"{BEFORE[1]} .*4100", events)
    assert transcript(actions)[2:] == [
        "100 phase on_hold",
        "4000 phase dialogue",
        "4175 play not_heard_in_dialogue",
        "4200 stop not_heard_in_dialogue",
        "4200 not_heard_in_dialogue interrupted after 175",
        "4200 callback silence_in_dialogue",  # the recording ends in the silence
        "4200 phase ended",
    ]


def test_an_operator_who_gives_up_a_held_call():
    events = {100: "hold", 1000: {"kind": "hangup", "party": "operator"}}
    actions = play(f"{BEFORE[0]} .*1100", f"{BEFORE[1]} .*1100", events)
    assert transcript(actions)[3:] == [
        "1000 callback client_hold",
        "1000 hangup client_hold",
        "1000 phase ended",
    ]


def test_cued():
    actions = play(
        f"{BEFORE[0]} .*3020 S*60 .*100", f"{BEFORE[1]} .*3180", {100: "hold"}, mode="cue"
    )
    assert transcript(actions)[3:] == [
        "3090 callback client_hold",
        "3090 cue hold_farewell",
        "3125 dismiss hold_farewell",
        "3230 hold_farewell said_by_operator after 3020",
        "3230 hangup client_hold",
        "3230 phase ended",
    ]


# -- music that comes and goes -------------------------------------------------------------------------


def test_music_that_pauses_is_one_hold():
    """Between two pieces nobody speaks: the minute counts from the first note."""
    client = f"{BEFORE[1]} m*1500 .*60 m*1600"
    actions = play(f"{BEFORE[0]} .*3160", client)
    assert transcript(actions)[2:7] == [
        "105 phase on_hold",
        "1601 phase dialogue",
        "1665 phase on_hold",
        "3125 callback client_hold",
        "3125 play hold_farewell",
    ]


def test_an_operator_who_has_talked_in_between_is_held_anew():
    """What sounded like music a minute ago, while the operator talks on, is not this hold's beginning."""
    client = f"{BEFORE[1]} m*100 .*3300 m*3100"
    actions = play(f"{BEFORE[0]} .*150 S*3200 .*3150", client)
    assert "callback client_hold" not in " ".join(transcript(actions)[:4])
    assert "6525 callback client_hold" in transcript(actions)


def test_a_client_who_has_spoken_in_between_holds_anew():
    client = f"{BEFORE[1]} m*1500 .*60 S*60 .*20 m*3200"
    actions = play(f"{BEFORE[0]} .*1650 S*50 .*3140", client)
    assert "4765 callback client_hold" in transcript(actions)


def test_a_noise_that_sounds_like_music_now_and_then_does_not_hold_the_call_for_ever():
    noise = " ".join(["m*100 .*150"] * 12)
    actions = play(f"{BEFORE[0]} .*3000", f"{BEFORE[1]} {noise}")
    texts = transcript(actions)
    assert "451 play not_heard_in_dialogue" in texts  # as the second music ends
    assert "callback silence_in_dialogue" in " ".join(texts)


def test_a_noise_that_sounds_like_music_to_the_end_leaves_the_callback():
    noise = " ".join(["m*100 .*20"] * 10)
    actions = play(f"{BEFORE[0]} .*1200", f"{BEFORE[1]} {noise}")
    assert "callback" in " ".join(transcript(actions))
