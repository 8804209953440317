"""For any input in any order: no exception, and the attributes are consistent."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.endpointer_tape import KINDS, Frame, draw, new_endpointer, scripted, state
from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import EndpointerPort

DETECTORS = ("earshot", "network", "webrtcvad")
CALLS = ("prompt begins", "prompt ends", "hold over")
steps = st.one_of(
    st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 160)),
    st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 9)),
    st.tuples(st.sampled_from(CALLS), st.just(0)),
)


@cache
def sound(kind: str) -> list[Frame]:
    """The longest run of a letter; shorter ones are its beginning."""
    return draw(f"{kind}*160")


def tell(endpointer: EndpointerPort, call: str) -> None:
    if call == "hold over":
        endpointer.hold_over()
    else:
        endpointer.own_prompt(call == "prompt begins")


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, max_size=14), st.sampled_from(DETECTORS))
def test_any_call_fits_together(call: list[tuple[str, int]], detector: str) -> None:
    endpointer = new_endpointer(detector=detector)
    now = 0
    ended: list[tuple[int, int]] = []
    utterances = runs = 0

    told = state(endpointer)
    for kind, count in call:
        if kind in CALLS:
            tell(endpointer, kind)
            continue
        for frame in sound(kind)[:count]:
            before = told
            changed = endpointer.feed(frame)
            now += 1
            told = state(endpointer)
            assert changed is (before != told)
            if endpointer.segments_ended != runs:
                assert endpointer.segments_ended == runs + 1
                runs = endpointer.segments_ended
                ended.append((endpointer.start, endpointer.end))
            assert utterances <= endpointer.utterances <= utterances + 1
            utterances = endpointer.utterances
            assert 0 <= endpointer.start <= now
            assert 0 <= endpointer.end <= now
            assert 0 <= endpointer.since <= now
            assert endpointer.speaking or endpointer.start <= endpointer.end
            assert endpointer.segments_ended <= endpointer.utterances
            assert endpointer.speaking or not endpointer.sure
            assert not (endpointer.speaking and endpointer.line is LineState.MUSIC)
            assert not (endpointer.lacks_frame() and frame is not None)
            assert not (endpointer.speaking and endpointer.doubtful())
    while endpointer.finish():
        if endpointer.segments_ended != runs:
            assert endpointer.segments_ended == runs + 1
            runs = endpointer.segments_ended
            ended.append((endpointer.start, endpointer.end))
    assert not endpointer.speaking
    assert endpointer.segments_ended == len(ended) <= endpointer.utterances
    assert all(start < end <= now for start, end in ended)
    assert all(one[1] <= two[0] for one, two in pairwise(ended))


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=8))
def test_two_ears_hear_the_same_and_do_not_know_of_each_other(call: list[tuple[str, int]]) -> None:
    one, two = new_endpointer(), new_endpointer()
    other = new_endpointer()
    for kind, count in call:
        if kind in CALLS:
            tell(one, kind)
            tell(two, kind)
            continue
        for frame in sound(kind)[:count]:
            assert one.feed(frame) == two.feed(frame)
            other.feed(sound("S")[3])
            assert (one.start, one.end, one.since) == (two.start, two.end, two.since)
            assert state(one) == state(two)


@settings(max_examples=60, deadline=None)
@given(st.text("al-h0", min_size=1, max_size=120))
def test_any_answers_of_any_detector(drawing: str) -> None:
    heard = scripted("h" * 12 + drawing + "h" * 20)
    active = {at + 12 for at, letter in enumerate(drawing) if letter == "a"}
    assert len(heard.runs) <= len(heard.opened)
    for start, end in heard.runs:
        assert start in active
        assert sum(at in active for at in range(start, end)) >= 1
