"""The judge of whole calls finds each kind of wrong, and finds nothing wrong with a right call."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.calls.evaluation import Defect, Fault, evaluate
from benchmarks.calls.ground_truth import TOLERANCE, Due, Step, Truth
from benchmarks.calls.recipe_sampling import phrase_frames, steps_of
from vad_agent.core.actions import Reason
from vad_agent.core.frames import Channel, frames, seconds

CLIENT_ENDS = frames(10)
END = frames(60)
DIALOGUE = Reason.SILENCE_IN_DIALOGUE


def due(reason: Reason, start: int, until: int = END) -> Due:
    """The ladder of a reason."""
    steps = [
        Step(step.prompt, step.window.lo - TOLERANCE, step.window.hi + TOLERANCE, phrase_frames(step))
        for step in steps_of(reason)
    ]  # fmt: skip
    return Due(start, until, tuple(steps))


def falls_silent(until: int = END, callback: Reason | None = DIALOGUE) -> Truth:
    """The client speaks from 8 to 10 s and is heard no more."""
    speech = {Channel.OPERATOR: ((50, 200),), Channel.CLIENT: ((400, CLIENT_ENDS),)}
    return Truth(speech, (due(DIALOGUE, CLIENT_ENDS, until),), callback)


def phrase(prompt: str, started_s: float, ended_s: float, outcome: str = "said") -> dict[str, Any]:
    times = {"started_s": started_s, "ended_s": ended_s, "outcome": outcome}
    return {"t": ended_s, "kind": "prompt", "id": prompt} | times


def callback(t: float, reason: Reason = DIALOGUE) -> dict[str, Any]:
    return {"t": t, "kind": "callback", "reason": reason.value}


FIRST = phrase("not_heard_in_dialogue", 13.5, 14.44)
LAST = phrase("farewell_in_dialogue", 16.94, 20.52)
RIGHT = [FIRST, callback(16.94), LAST]


def defects(truth: Truth, *trace: dict[str, Any]) -> set[Defect]:
    return {fault.defect for fault in evaluate(truth, trace)}


def test_a_right_call_has_no_fault() -> None:
    assert evaluate(falls_silent(), RIGHT) == []


def test_what_the_judge_does_not_know_is_passed_over() -> None:
    news = [{"t": 1.0, "kind": "of_tomorrow", "reason": 5}, {"t": 2.0, "kind": "line"}]
    more = [record | {"of_tomorrow": True} for record in RIGHT]
    assert evaluate(falls_silent(), [*news, *more]) == []


def test_a_callback_that_is_not_asked_for_is_missing() -> None:
    assert defects(falls_silent(), FIRST, LAST) == {Defect.MISSING}


def test_a_callback_that_is_withdrawn_is_missing() -> None:
    withdrawn = {"t": 30.0, "kind": "callback_withdrawn", "reason": DIALOGUE.value}
    assert defects(falls_silent(), *RIGHT, withdrawn) == {Defect.MISSING}


def test_a_callback_asked_for_twice_is_wrong() -> None:
    assert defects(falls_silent(), *RIGHT, callback(20.0)) == {Defect.TWICE}


def test_a_revised_callback_is_one_callback() -> None:
    wrong = callback(5.0, Reason.DROPPED)
    revised = callback(16.94) | {"kind": "callback_revised"}
    assert defects(falls_silent(), wrong, FIRST, revised, LAST) == set()


def test_a_callback_for_another_reason_is_wrong() -> None:
    trace = [FIRST, callback(16.94, Reason.DROPPED), LAST]
    assert defects(falls_silent(), *trace) == {Defect.REASON}


def test_a_callback_where_none_is_due_is_wrong() -> None:
    talk = Truth({Channel.OPERATOR: (), Channel.CLIENT: ((50, 100),)}, (), None)
    assert defects(talk, callback(3.0)) == {Defect.REASON}
    assert evaluate(talk, []) == []


@pytest.mark.parametrize(("after", "over"), [(-50, True), (0, True), (89, True), (90, False)])
def test_a_phrase_within_1_8_s_of_the_client_is_spoken_over_him(after: int, over: bool) -> None:
    begun = seconds(CLIENT_ENDS + after)
    trace = [phrase("not_heard_in_dialogue", begun, begun + 1)]
    assert (Defect.OVER in defects(falls_silent(), *trace)) is over


def test_a_phrase_after_the_operator_alone_is_not_spoken_over_the_client() -> None:
    speech = {Channel.OPERATOR: ((50, CLIENT_ENDS),), Channel.CLIENT: ((10, 40),)}
    truth = Truth(speech, (due(DIALOGUE, CLIENT_ENDS),), DIALOGUE)
    early = phrase("not_heard_in_dialogue", 10.5, 11.44)
    assert defects(truth, early, callback(14), LAST | {"started_s": 13.94}) == {Defect.WINDOW}


def test_a_phrase_in_a_call_that_expects_none_is_wrong() -> None:
    talk = Truth({Channel.OPERATOR: (), Channel.CLIENT: ((50, 100),)}, (), None)
    assert defects(talk, phrase("not_heard_in_dialogue", 10, 11)) == {Defect.PHRASES}


def test_phrases_out_of_order_are_wrong() -> None:
    skipped = [callback(13.5), phrase("farewell_in_dialogue", 13.5, 17.08)]
    assert defects(falls_silent(), *skipped) == {Defect.PHRASES}


def test_a_phrase_that_is_said_again_is_wrong() -> None:
    again = phrase("not_heard_in_dialogue", 16.94, 17.88)
    assert Defect.PHRASES in defects(falls_silent(), FIRST, again, callback(20), LAST)


def test_a_phrase_after_the_last_one_is_wrong() -> None:
    more = phrase("not_heard_in_dialogue", 23.0, 24.0)
    assert defects(falls_silent(), *RIGHT, more) == {Defect.PHRASES}


def test_phrases_that_lack_are_wrong() -> None:
    assert defects(falls_silent(), callback(17)) == {Defect.PHRASES}
    assert defects(falls_silent(), FIRST, callback(17)) == {Defect.PHRASES}


def test_a_phrase_that_the_operator_said_is_not_the_products() -> None:
    his = phrase("not_heard_in_dialogue", 13.5, 14.44, "said_by_operator")
    assert defects(falls_silent(), his, callback(17), LAST) == {Defect.PHRASES}


def test_an_interrupted_phrase_was_begun() -> None:
    until = frames(15.5)
    answered = falls_silent(until, None)
    speech = answered.speech | {Channel.CLIENT: ((400, CLIENT_ENDS), (until, until + 50))}
    truth = Truth(speech, answered.due, None)
    cut = phrase("not_heard_in_dialogue", 14.26, 15.6, "interrupted")
    assert evaluate(truth, [cut]) == []
    assert defects(truth) == {Defect.PHRASES}


def test_a_step_whose_window_the_answer_cuts_short_may_be_left_out() -> None:
    """13.5 s is possible, 14.3 s the last moment: the client answers at 14.2."""
    truth = falls_silent(frames(14.2), None)
    assert evaluate(truth, []) == []
    assert evaluate(truth, [FIRST]) == []


@pytest.mark.parametrize(
    ("after", "right"), [(134, False), (135, True), (175, True), (215, True), (216, False)]
)
def test_the_first_phrase_begins_in_its_window_with_a_tolerance(after: int, right: bool) -> None:
    start = CLIENT_ENDS + after
    first = phrase("not_heard_in_dialogue", seconds(start), seconds(start + 47))
    begun = start + 47 + 125
    last = phrase("farewell_in_dialogue", seconds(begun), seconds(begun + 179))
    found = evaluate(falls_silent(), [first, callback(seconds(begun)), last])
    assert [fault.defect for fault in found] == ([] if right else [Defect.WINDOW])


@pytest.mark.parametrize(("after", "right"), [(84, False), (85, True), (165, True), (166, False)])
def test_the_next_one_is_measured_from_the_end_of_the_last(after: int, right: bool) -> None:
    begun = frames(14.44) + after
    last = phrase("farewell_in_dialogue", seconds(begun), seconds(begun + 179))
    found = evaluate(falls_silent(), [FIRST, callback(seconds(begun)), last])
    assert [fault.defect for fault in found] == ([] if right else [Defect.WINDOW])


def test_a_fault_says_what_and_when() -> None:
    (fault,) = evaluate(falls_silent(), [FIRST, callback(16.94, Reason.DROPPED), LAST])
    assert fault == Fault(Defect.REASON, "dropped, due: silence_in_dialogue")
