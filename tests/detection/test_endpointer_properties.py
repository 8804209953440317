"""For any input in any order: no exception, and the attributes are consistent."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.endpointer_tape import KINDS, Frame, draw, new_ear, scripted, state
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


def tell(ear: EndpointerPort, call: str) -> None:
    if call == "hold over":
        ear.hold_over()
    else:
        ear.own_prompt(call == "prompt begins")


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, max_size=14), st.sampled_from(DETECTORS))
def test_any_call_fits_together(call: list[tuple[str, int]], detector: str) -> None:
    ear = new_ear(detector=detector)
    now = 0
    ended: list[tuple[int, int]] = []
    utterances = runs = 0

    told = state(ear)
    for kind, count in call:
        if kind in CALLS:
            tell(ear, kind)
            continue
        for frame in sound(kind)[:count]:
            before = told
            changed = ear.hear(frame)
            now += 1
            told = state(ear)
            assert changed is (before != told)
            if ear.runs != runs:
                assert ear.runs == runs + 1
                runs = ear.runs
                ended.append((ear.start, ear.end))
            assert utterances <= ear.utterances <= utterances + 1
            utterances = ear.utterances
            assert 0 <= ear.start <= now
            assert 0 <= ear.end <= now
            assert 0 <= ear.since <= now
            assert ear.speaking or ear.start <= ear.end
            assert ear.runs <= ear.utterances
            assert ear.speaking or not ear.sure
            assert not (ear.speaking and ear.line is LineState.MUSIC)
            assert not (ear.lacks_frame() and frame is not None)
            assert not (ear.speaking and ear.doubtful())
    while ear.finish():
        if ear.runs != runs:
            assert ear.runs == runs + 1
            runs = ear.runs
            ended.append((ear.start, ear.end))
    assert not ear.speaking
    assert ear.runs == len(ended) <= ear.utterances
    assert all(start < end <= now for start, end in ended)
    assert all(one[1] <= two[0] for one, two in pairwise(ended))


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=8))
def test_two_ears_hear_the_same_and_do_not_know_of_each_other(call: list[tuple[str, int]]) -> None:
    one, two = new_ear(), new_ear()
    other = new_ear()
    for kind, count in call:
        if kind in CALLS:
            tell(one, kind)
            tell(two, kind)
            continue
        for frame in sound(kind)[:count]:
            assert one.hear(frame) == two.hear(frame)
            other.hear(sound("S")[3])
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
