"""The endpointer's results: who speaks from when to when, and what is on the line."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.detection.endpointer_tape import draw, new_endpointer
from tests.detection.test_endpointer_frame_checks import WRONG
from vad_agent.audio.pcm import gain
from vad_agent.core.actions import LineState
from vad_agent.detection.endpointer import Endpointer
from vad_agent.detection.speech_decision import HANGOVER, HEARD, OF, Segments
from vad_agent.errors import FrameError


def listen(tape: str) -> Endpointer:
    """The endpointer after the tape."""
    endpointer = new_endpointer()
    for frame in draw(tape):
        endpointer.feed(frame)
    return endpointer


@pytest.mark.parametrize("gap", ["", ".*7", ".*23"])
def test_a_voice_is_heard_from_its_beginning_to_its_end(gap: str):
    before = 100 + len(draw(gap)) if gap else 100
    endpointer = listen(f".*100 {gap} S*60 .*60")
    assert (endpointer.speaking, endpointer.segments_ended, endpointer.utterances) == (False, 1, 1)
    assert abs(endpointer.start - before) <= 8
    assert abs(endpointer.end - (before + 60)) <= 10


@pytest.mark.parametrize("tape", [".*300", "0*300", ",*300", ".*50 k .*20 k .*9 k .*80", "t*200"])
def test_what_is_no_voice_is_not_heard(tape: str):
    endpointer = listen(tape)
    assert (endpointer.segments_ended, endpointer.utterances, endpointer.speaking) == (0, 0, False)


def test_it_is_known_within_04_s_whether_a_sound_is_speech():
    endpointer, unknown, longest = new_endpointer(), 0, 0
    for frame in draw(".*100 S*60 .*40 n*60 .*40 S*9 .*50 m*100 .*60"):
        endpointer.feed(frame)
        unknown = (
            unknown + 1 if endpointer.doubtful() or endpointer.speaking > endpointer.sure else 0
        )
        longest = max(longest, unknown)
    assert 0 < longest <= 20


@pytest.mark.parametrize(
    ("tape", "state"),
    [
        (".*100 0*60", LineState.DIGITAL_ZERO),
        (".*100 -*60", LineState.NO_MEDIA),
        (".*100 -*60 .*5", LineState.LIVE),
        (".*100 t*60", LineState.TONE),
        (".*100 ,*200", LineState.QUIET),
        (".*100 m*200", LineState.MUSIC),
        (".*100 m*200 .*250", LineState.LIVE),
    ],
)
def test_the_state_of_the_line_is_told(tape: str, state: LineState):
    endpointer, last = new_endpointer(), None
    for frame in draw(tape):
        if endpointer.feed(frame):
            last = endpointer.line  # as the core sees it: only where a change was told
    assert (endpointer.line, last) == (state, state)


def test_a_change_is_told_in_the_frame_in_which_it_happens():
    endpointer, told = new_endpointer(), None
    for frame in draw(".*60 S*40 .*40 t*40 .*60 0*80 -*70 .*30 S*30 .*50 m*150 .*100"):
        changed = endpointer.feed(frame)
        state = (
            endpointer.speaking,
            endpointer.sure,
            endpointer.segments_ended,
            endpointer.utterances,
            endpointer.line,
            endpointer.progress,
        )
        assert changed == (state != told) or told is None
        told = state


def test_each_run_is_seen_closed_before_the_next_one_opens():
    endpointer, runs, spans = new_endpointer(), 0, []
    for frame in draw(".*60 S*30 .*17 S*30 .*19 S*25 .*21 S*30 .*60"):
        endpointer.feed(frame)
        if endpointer.segments_ended != runs:
            assert endpointer.segments_ended == runs + 1
            assert not endpointer.speaking
            runs = endpointer.segments_ended
            spans.append((endpointer.start, endpointer.end))
    assert runs >= 2
    assert all(first < last for first, last in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))


def test_finish_closes_what_is_open():
    endpointer = listen(".*100 S*40")
    assert endpointer.speaking
    assert endpointer.finish()
    assert (endpointer.speaking, endpointer.segments_ended) == (False, 1)


@pytest.mark.parametrize(("frame", "text"), WRONG)
def test_what_is_no_frame_is_refused_and_leaves_no_trace(frame: object, text: str):
    endpointer, other = new_endpointer(), new_endpointer()
    for good in draw(".*20 S*40 .*20"):
        with pytest.raises(FrameError, match=r"^frame: expected") as caught:
            endpointer.feed(frame)  # type: ignore[arg-type]
        assert text in str(caught.value)
        assert endpointer.feed(good) == other.feed(good)
    assert (endpointer.start, endpointer.end, endpointer.segments_ended) == (
        other.start,
        other.end,
        other.segments_ended,
    )


def test_the_operators_leak_is_not_the_client():
    operator, client = new_endpointer(), new_endpointer()
    client.expect_crosstalk_of(operator)
    for frame in draw(".*100 S*100 .*60"):
        operator.feed(frame)
        client.feed(gain(frame or b"", 2, 10 ** (-25 / 20)))
    assert operator.utterances >= 1
    assert client.utterances == 0


def test_the_same_sound_on_both_sides_is_nobodys():
    operator, client = new_endpointer(), new_endpointer()
    client.expect_crosstalk_of(operator)
    for frame in draw(".*100 S*150 .*60"):
        operator.feed(frame)
        client.feed(frame)
        if client.dual_mono:
            assert not client.speaking


def test_few_flags_are_no_segment_and_a_pause_does_not_end_one():
    segments = Segments()
    flags = [False] * 5 + [True] * (HEARD - 1) + [False] * OF + [True] * 10
    flags += [False] * (HANGOVER - 5) + [True] * 10 + [False] * HANGOVER
    seen = [segments.feed(at, flag) for at, flag in enumerate(flags, 1)]
    assert sum(seen) == 2
    assert not segments.open
    assert segments.start == 5 + HEARD - 1 + OF
    assert segments.end == len(flags) - HANGOVER
