"""Where the two sides cannot be told apart, or one is not recorded: it is said, and nothing rests on it."""

from __future__ import annotations

import pytest

from tests.tape import play, transcript
from vad_agent import Settings

VERDICTS = ("play", "cue", "callback", "hangup")


def verdicts(texts: list[str]) -> list[str]:
    return [text for text in texts if text.split()[1] in VERDICTS]


# -- both sides carry the same sound -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "cue"])
def test_one_sound_on_both_sides_is_told_and_no_verdict_rests_on_it(mode: str):
    texts = transcript(play("S*150 .*1500", "=*1650", mode=mode))
    assert "1 alert both_sides_alike" in texts
    assert verdicts(texts) == []


def test_two_sides_again_and_the_clock_begins_anew():
    """An announcement that both sides hear is not the end of the watch."""
    texts = transcript(play("S*150 .*500", "=*150 .*500"))
    assert "276 play greeting_again" in texts


def test_a_hold_that_is_told_counts_all_the_same():
    texts = transcript(play("S*150 .*3500", "=*3650", {200: {"kind": "hold", "party": "client"}}))
    assert "3225 callback client_hold" in texts


# -- a side that is never heard ------------------------------------------------------------------------

TALK = " ".join(
    ["S*200 .*90"] * 20
)  # four seconds, a pause of 1.8 s; the sixth ends after 30 s of talk
LISTENS = len(TALK.split()) // 2 * 290


def test_an_operator_who_talks_on_and_on_to_nobody_is_not_alone():
    texts = transcript(play(f"{TALK} .*1500", f".*{LISTENS + 1500}"))
    assert [text for text in texts if "never_heard" in text] == ["2246 alert client_never_heard"]
    assert verdicts(texts) == []


def test_a_client_who_is_heard_late_was_not_recorded_before():
    client = f".*{LISTENS} S*100 .*1500"
    texts = transcript(play(f"{TALK} .*1600", client))
    assert f"{LISTENS + 100 + 16 + 175} play not_heard_in_dialogue" in texts


def test_an_operator_who_is_never_heard_is_missed_too():
    texts = transcript(play(f".*{LISTENS + 1500}", f"{TALK} .*1500"))
    assert [text for text in texts if "never_heard" in text] == ["2246 alert operator_never_heard"]
    assert verdicts(texts) == []


def test_a_long_greeting_and_all_his_phrases_are_not_so_much_talk():
    operator = "S*400 .*115 S*250 .*115 S*120 .*165 S*300 .*100"
    texts = transcript(play(operator, ".*1565", mode="cue"))
    assert not any("never_heard" in text for text in texts)
    assert "callback silence_after_greeting" in " ".join(texts)


def test_how_much_talk_is_a_setting():
    settings = Settings(timing={"one_sided_s": 3.0})
    texts = transcript(play("S*200 .*500", ".*700", settings=settings))
    assert "216 alert client_never_heard" in texts


# -- a recording that ends early -----------------------------------------------------------------------


@pytest.mark.parametrize("party", ["client", "operator"])
def test_one_sides_recording_ends_early(party: str):
    """As a pause that was left out of one file: what is not there is not taken for silence."""
    events = {400: {"kind": "source_ended", "party": party}}
    sides = {"client": ".*60 S*30 .*310 -*1200", "operator": "S*50 .*50 S*50 .*250 -*1200"}
    other = {"client": "S*50 .*50 S*150 .*1350", "operator": ".*60 S*30 .*60 S*150 .*1300"}
    operator = sides["operator"] if party == "operator" else other["client"]
    client = sides["client"] if party == "client" else other["operator"]
    texts = transcript(play(operator, client, events))
    assert f"400 alert {party}_recording_ended" in texts
    assert verdicts(texts) == []


# -- an answer that nobody told ------------------------------------------------------------------------


def test_who_talks_in_ringing_was_answered():
    texts = transcript(play(".*100 S*60 .*600", ".*760", {0: "ringing"}))
    assert texts[1:3] == ["176 alert answer_not_told", "285 play greeting_again"]


def test_both_talk_in_ringing_and_it_is_a_dialogue():
    texts = transcript(play(".*100 S*60 .*700", ".*40 S*50 .*770", {0: "ringing"}))
    assert texts[1:3] == ["176 alert answer_not_told", "176 phase dialogue"]
    assert "335 play not_heard_in_dialogue" in texts


@pytest.mark.parametrize(("talk", "answered"), [(49, False), (50, True), (51, True)])
def test_a_second_of_talk_is_an_answer(talk: int, answered: bool):
    texts = transcript(play(f".*100 S*{talk} .*100", f".*{200 + talk}", {0: "ringing"}))
    assert any("answer_not_told" in text for text in texts) is answered


def test_the_answer_comes_after_all_and_the_call_begins_with_it():
    """He talked to a colleague while it rang."""
    events = {0: "ringing", 250: "answered"}
    texts = transcript(play(".*100 S*60 .*140 S*50 .*300", ".*650", events))
    assert texts[1:] == [
        "176 alert answer_not_told",
        "475 play greeting_again",
        "575 greeting_again said after 125",
        "650 callback silence_after_greeting",
        "650 phase ended",
    ]
