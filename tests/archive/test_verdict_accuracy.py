"""How the benchmark of verdicts compares: what is right, wrong, and a false accusation."""

from __future__ import annotations

import pytest

from benchmarks.archive.spoken_ladders import Expected
from benchmarks.archive.verdict_accuracy import Judged, compare
from vad_agent.trace.call_verdicts import CallVerdicts, OwedCallback, PhraseVerdict
from vad_agent.trace.window_compliance import PhraseCompliance as Is


def phrase(status, *, prompt="not_heard", at=12.0, confidence=0.9):
    return PhraseVerdict("x", prompt, status, "operator", at, 2.5, 2.0, 3.0, 0.0, confidence)


def judged(expected, *found, owed=None, due=False):
    due_phrases = [Expected(prompt, status, 10.0, 30.0) for prompt, status in expected]
    told = CallVerdicts("x", found, owed, (), told=True)
    return compare(Judged("a", "b"), told, due_phrases, due)


def test_the_same_verdict_within_its_silence_is_right():
    told = judged([("not_heard", Is.LATE)], phrase(Is.LATE))
    assert (told.due, told.right, told.accused, told.falsely) == (1, 1, 1, [])


@pytest.mark.parametrize(
    "found", [(), (phrase(Is.SAID),), (phrase(Is.LATE, at=40.0),), (phrase(Is.LATE, prompt="x"),)]
)
def test_another_or_none_or_elsewhere_is_wrong(found):
    assert judged([("not_heard", Is.LATE)], *found).right == 0


def test_an_accusation_of_who_kept_the_ladder_is_false_unless_it_is_doubtful():
    assert len(judged([("not_heard", Is.SAID)], phrase(Is.LATE)).falsely) == 1
    assert judged([("not_heard", Is.SAID)], phrase(Is.LATE, confidence=0.5)).falsely == []
    assert len(judged([], phrase(Is.MISSING)).falsely) == 1


def test_another_phrase_of_a_ladder_with_a_fault_accuses_nobody_who_did_nothing():
    expected = [("greeting_again", Is.MISSING), ("not_heard", Is.SAID)]
    told = judged(expected, phrase(Is.MISSING))
    assert (told.right, told.accused, told.falsely) == (0, 1, [])


@pytest.mark.parametrize("due", [True, False])
def test_an_owed_callback_is_right_if_one_was_due(due):
    assert judged([], owed=OwedCallback("dropped", 1.0, 0.0, 0.9), due=due).owed_right is due


def test_phrases_of_a_ladder_that_change_places_are_alike():
    expected = [("greeting_again", Is.MISSING), ("not_heard", Is.SAID)]
    found = [phrase(Is.SAID, prompt="greeting_again"), phrase(Is.MISSING)]
    told = judged(expected, *found)
    assert (told.right, told.alike) == (0, 2)
    assert judged(expected, phrase(Is.SAID, prompt="greeting_again")).alike == 1
