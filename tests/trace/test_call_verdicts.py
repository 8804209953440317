"""Verdicts and measures of whole calls, drawn as tapes: the people on the recording said the phrases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tape import play
from vad_agent import Settings
from vad_agent.trace.call_measures import CallMeasures, MeasureThresholds, measures
from vad_agent.trace.call_verdicts import (
    SURE,
    CallVerdicts,
    FindingKind,
    VerdictRules,
    call_verdicts,
)
from vad_agent.trace.phrase_alignment import OperatorUtterance, align
from vad_agent.trace.report.call_timeline import Span, timeline
from vad_agent.trace.trace_format import record

SCRIPT = Settings().script
GREETED = "S*75 "  # 1.5 s


def heard(operator, client, events=None, *, mode="cue", mono=False, limits=None):
    lines = [
        line for action in play(operator, client, events, mode=mode) if (line := record(action))
    ]
    count = sum(
        int(n) for n in __import__("re").findall(r"\*(\d+)", max(operator, client, key=len))
    )
    call = timeline(lines, count / 50)
    measured = measures(call, limits or MeasureThresholds(), mono=mono)
    rules = VerdictRules()
    return measured, call_verdicts(call, measured, SCRIPT, rules, recorded=mode == "cue", mono=mono)


def said(verdicts: CallVerdicts) -> list[str]:
    return [
        f"{one.prompt} {one.status}" + (f" {one.off:+g}" if one.off else "")
        for one in verdicts.phrases
    ]


def greeting(*gaps: float) -> str:
    """A greeting, and then utterances of 2 s after so many seconds of silence each."""
    return GREETED + " ".join(f".*{round(gap * 50)} S*100" for gap in gaps)


NO_CLIENT = ".*1500"


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((2.5, 2.5, 3.5), ["greeting_again said", "not_heard said", "farewell_after_greeting said"]),
        ((2.5, 4.5, 3.5), ["greeting_again said", "not_heard late +1.5", "farewell_after_greeting said"]),
        ((1.2, 2.5, 3.5), ["greeting_again early -0.8", "not_heard said", "farewell_after_greeting said"]),
        ((2.5, 3.7), ["greeting_again said", "not_heard missing", "farewell_after_greeting said"]),
        ((1.7, 3.3, 4.3), ["greeting_again said", "not_heard said", "farewell_after_greeting said"]),
    ],
)  # fmt: skip
def test_each_phrase_of_the_greeting_is_said_early_late_or_missing(gaps, expected):
    _, verdicts = heard(
        greeting(*gaps) + " .*10", f".*{round(75 + 50 * (sum(gaps) + 2 * len(gaps)))}"
    )
    assert said(verdicts) == expected
    assert verdicts.scenario == "silence_after_greeting"


def test_a_ladder_that_nobody_began_lacks_each_phrase_and_the_callback_is_owed():
    _, verdicts = heard(GREETED + ".*1000", ".*1075")
    assert said(verdicts) == [
        "greeting_again missing", "not_heard missing", "farewell_after_greeting missing",
    ]  # fmt: skip
    assert verdicts.owed is not None
    assert verdicts.owed.reason == "silence_after_greeting"


def test_a_client_who_answers_in_time_needs_no_phrase():
    _, verdicts = heard(GREETED + ".*260", ".*175 S*100 .*60")
    assert said(verdicts) == []
    assert verdicts.scenario == "normal"
    assert verdicts.owed is None


def test_a_pause_within_the_operators_own_speech_is_no_phrase():
    _, verdicts = heard(GREETED + ".*70 S*100 .*190", ".*275 S*100 .*60")
    assert said(verdicts) == []


def test_a_ladder_that_is_left_before_its_end_is_a_drop_without_goodbye():
    _, verdicts = heard(greeting(2.5) + " .*60", NO_CLIENT.replace("1500", "360"))
    assert said(verdicts) == ["greeting_again said"]
    assert [one.kind for one in verdicts.findings] == [FindingKind.DROPPED]


def test_a_busy_tone_is_a_drop_and_what_lacks_after_it_is_nobodys_fault():
    operator = GREETED + ".*100 S*100 .*500"
    _, verdicts = heard(operator, ".*100 S*60 .*120 t*500")
    assert verdicts.scenario == "dropped"
    assert said(verdicts) == []
    assert [one.kind for one in verdicts.findings] == [FindingKind.DROPPED]


def test_an_operator_who_never_greets_is_told_with_the_second():
    _, verdicts = heard(".*350 S*100 .*100", ".*100 S*60 .*390")
    [found] = [one for one in verdicts.findings if one.kind is FindingKind.NO_GREETING]
    assert (found.at, found.length) == (5.0, 7.0)
    assert found.confidence >= SURE


def test_who_begins_while_the_other_speaks_has_spoken_over_them():
    measured, verdicts = heard("S*75 .*75 .*50 S*100 .*100", ".*130 S*150 .*120")
    assert [(one.by, one.length) for one in measured.overlaps or ()] == [("operator", 1.6)]
    assert [one.kind for one in verdicts.findings] == [FindingKind.SPOKE_OVER]


def test_assent_is_no_overtalk():
    measured, _ = heard("S*75 .*100 S*20 .*100", ".*100 S*150 .*45")
    assert measured.overlaps == []


def test_what_the_product_said_is_told_apart():
    _, verdicts = heard(GREETED + ".*1000", ".*1075", mode="auto")
    assert {one.by for one in verdicts.phrases} == {"product"}
    assert said(verdicts) == [
        "greeting_again said", "not_heard said", "farewell_after_greeting said",
    ]  # fmt: skip


def test_one_channel_for_both_tells_no_phrase_and_no_fault_of_a_person():
    measured, verdicts = heard(GREETED + ".*1000", ".*1075", mono=True)
    assert not verdicts.told
    assert (verdicts.scenario, verdicts.owed, said(verdicts)) == ("unknown", None, [])
    assert measured.operator_share is None
    assert measured.silences  # silence of both can be told


def cause(measured: CallMeasures) -> list[tuple[str, str, bool, bool]]:
    return [(one.cause, one.waits_for, one.held, one.dead_air) for one in measured.silences]


def test_a_silence_has_its_cause_and_who_is_waited_for():
    measured, _ = heard(GREETED + ".*700", ".*100 S*75 0*600")
    assert cause(measured)[-1] == ("digital_zero", "operator", False, True)


def test_a_hold_is_no_dead_air():
    measured, _ = heard(GREETED + ".*900", ".*100 S*75 .*800", {200: "hold", 850: "unhold"})
    assert (True, False) in [(held, dead) for _, _, held, dead in cause(measured)]
    assert measured.hold_s == 13.0


def test_a_vendors_definition_changes_what_is_dead_air():
    strict = MeasureThresholds(dead_air_s=3.0)
    operator, client = GREETED + ".*100 S*75 .*200", ".*100 S*60 .*290"
    assert not any(dead for *_, dead in cause(heard(operator, client)[0]))
    assert any(dead for *_, dead in cause(heard(operator, client, limits=strict)[0]))


def test_latencies_and_shares():
    measured, _ = heard(".*50 S*75 .*125 S*100 .*50", ".*150 S*75 .*175")
    assert measured.greeting_latency_s == 1.0
    assert measured.response_latency_s == 0.5
    assert measured.operator_share == pytest.approx(175 / 400, abs=0.001)


@pytest.mark.parametrize("until", [9.31, 9.29])
def test_a_step_is_due_only_if_its_window_ended_before_the_stretch_did(until):
    steps = align([], [[(2.0, 3.0)], [(2.0, 3.0)]], base=3.0, until=until, tolerance=0.3)
    assert len(steps) == (2 if until > 9.3 else 1)


def test_a_step_is_missing_after_the_last_thing_that_was_said():
    reply = OperatorUtterance(4.0, 6.0, 0.5)
    [step] = align([reply], [[(2.0, 3.0)]], base=3.5, until=20.0, tolerance=0.3)
    assert (step.said, step.base) == (None, 6.0)


def test_an_operator_who_talks_for_hours_is_aligned():
    talk = [OperatorUtterance(at * 4.0, at * 4.0 + 2.8, 1.2) for at in range(1, 4000)]
    windows = [[(2.0, 3.0)], [(2.0, 3.0)]]
    steps = align(talk, windows, base=1.0, until=16_100.0, tolerance=0.3)
    assert [one.number for one in steps] == [0, 1]


def test_an_early_phrase_does_not_shift_the_ones_after_it():
    utterances = [OperatorUtterance(2.0, 4.0, 1.2), OperatorUtterance(6.5, 8.5, 2.5)]
    windows = [[(2.0, 3.0)], [(2.0, 3.0)]]
    steps = align(utterances, windows, base=0.8, until=9.0, tolerance=0.3, ended=True)
    assert [one.off for one in steps] == [-0.8, 0.0]


def test_which_of_two_phrases_with_the_same_pause_was_said_has_a_half_each():
    utterances = [OperatorUtterance(2.5, 4.5, 2.5), OperatorUtterance(8.0, 10.0, 3.5)]
    windows = [[(2.0, 3.0)], [(2.0, 3.0)], [(3.0, 4.0)]]
    steps = align(utterances, windows, base=0.0, until=30.0, tolerance=0.3)
    assert sorted(one.status for one in steps) == ["missing", "said", "said"]
    missing = next(one for one in steps if one.status == "missing")
    assert 0.4 < missing.probability < 0.6
    assert steps[2].probability > 0.7


def test_a_phrase_within_its_window_is_nearly_certain():
    utterances = [OperatorUtterance(2.5, 4.5, 2.5), OperatorUtterance(7.0, 9.0, 2.5)]
    windows = [[(2.0, 3.0)], [(2.0, 3.0)]]
    steps = align(utterances, windows, base=0.0, until=30.0, tolerance=0.3)
    assert all(one.probability > 0.9 for one in steps)


def test_who_speaks_soon_after_the_client_replies_and_says_no_phrase():
    utterances = [OperatorUtterance(1.0, 4.0, 1.0), OperatorUtterance(7.5, 8.5, 3.5)]
    windows = [[(3.0, 4.0)], [(2.0, 3.0)]]
    [first, *_] = align(utterances, windows, base=0.0, until=10.0, tolerance=0.3, replies=True)
    assert (first.said, first.off) == (utterances[1], 0.0)


@pytest.mark.parametrize(("sounds", "sure"), [([], True), ([Span(3.0, 3.6)], False)])
def test_an_accusation_is_doubtful_if_the_silence_had_sounds_that_may_be_the_client(sounds, sure):
    spoken = [Span(1.0, 2.5)]
    call = replace(timeline([], 25.0), speech={"operator": spoken, "client": []}, unsure=sounds)
    found = call_verdicts(
        call, measures(call, MeasureThresholds()), SCRIPT, VerdictRules(), recorded=True
    )
    [first, *_] = found.phrases
    assert first.status == "missing"
    assert (first.confidence >= SURE) is sure
