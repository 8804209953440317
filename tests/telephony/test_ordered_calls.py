"""Numbered events of calls, late, twice and in any order; a call's transcript is the same."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.core.events import Event, EventKind
from vad_agent.errors import EventError
from vad_agent.telephony import ordered_calls
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.ordered_calls import KINDS, OrderedCalls

Row = tuple[int, str, str | None]
"""seq, kind, party; of `answered` the party is the operator."""
TALK: list[Row] = [
    (1, "ringing", None),
    (2, "answered", "101"),
    (3, "hold", "client"),
    (4, "unhold", "client"),
    (5, "operator_mute", None),
]


def play(rows: list[Row], calls: OrderedCalls, call: str = "c", tap: str = "t") -> list[TapEvent]:
    found = []
    for seq, kind, party in rows:
        answered = kind == "answered"
        event = Event(EventKind(kind), party=None if answered else party, call_id=call, seq=seq)
        found += calls.take(tap, party if answered else None, event) or []
    return found


def lines(found: list[TapEvent]) -> list[str]:
    return [
        " ".join(filter(None, (one.event.call_id, one.event.kind.value, one.event.party)))
        + f" {one.operator}"
        for one in found
    ]


def told(rows: list[Row]) -> list[str]:
    return lines(play(rows, OrderedCalls()))


def test_in_order_each_event_is_told() -> None:
    assert told([*TALK, (6, "hangup", "client")]) == [
        "c answered 101",
        "c hold client 101",
        "c unhold client 101",
        "c operator_mute 101",
        "c hangup client 101",
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(TALK)))))
def test_in_any_order_the_state_at_the_end_is_the_same(order: tuple[int, ...]) -> None:
    found = told([TALK[n] for n in order])
    assert found.count("c answered 101") == 1
    assert found[0] == "c answered 101"
    holds = [line.split()[1] for line in found if "hold" in line]
    assert holds in ([], ["hold", "unhold"])
    assert [line for line in found if "mute" in line] == ["c operator_mute 101"]


def test_an_unhold_that_overtakes_its_hold_leaves_no_hold() -> None:
    assert told([(1, "answered", "101"), (3, "unhold", "client"), (2, "hold", "client")]) == [
        "c answered 101"
    ]


def test_an_event_counts_once() -> None:
    calls = OrderedCalls()
    play(TALK, calls)
    event = Event(EventKind.HOLD, party="client", call_id="c", seq=3)
    assert calls.take("t", None, event) is None
    assert play(TALK, calls) == []


def test_a_call_that_has_ended_does_not_begin_again() -> None:
    calls = OrderedCalls()
    play([(2, "answered", "101"), (9, "hangup", "operator")], calls)
    assert calls.take("t", "101", Event(EventKind.ANSWERED, call_id="c", seq=3)) is None
    assert len(calls) == 0
    assert calls.call_of("t") is None
    assert told([(2, "hangup", None), (1, "answered", "101")]) == []  # it was over already


def test_two_sides_hold_apart_and_an_unhold_without_a_side_ends_both() -> None:
    rows: list[Row] = [(1, "answered", "101"), (2, "hold", "client"), (3, "hold", "operator")]
    assert told([*rows, (4, "unhold", "client")])[-1] == "c unhold client 101"
    assert told([*rows, (4, "unhold", None)])[-2:] == [
        "c unhold client 101",
        "c unhold operator 101",
    ]


def test_the_next_operator_of_a_call_has_a_call_of_their_own() -> None:
    rows: list[Row] = [
        (1, "answered", "101"),
        (2, "answered", "102"),
        (3, "answered", "102"),
        (4, "hold", "client"),
        (5, "hangup", "client"),
    ]
    assert told(rows) == [
        "c answered 101",
        "c hangup operator 101",
        "c-2 answered 102",
        "c-2 hold client 102",
        "c-2 hangup client 102",
    ]


def test_another_call_of_the_same_tap_is_a_transfer() -> None:
    calls = OrderedCalls()
    found = play([(1, "answered", "101")], calls, "first")
    found += play([(1, "ringing", None), (2, "answered", "102")], calls, "second")
    assert calls.call_of("t") == "second"
    found += play([(2, "hangup", "operator")], calls, "first")  # late
    assert lines(found) == [
        "first answered 101",
        "first hangup operator 101",
        "second answered 102",
    ]
    assert calls.call_of("t") == "second"


def test_the_number_of_the_ringing_is_that_of_the_call() -> None:
    calls = OrderedCalls()
    calls.take("t", None, Event(EventKind.RINGING, phone="+79161234567", call_id="c", seq=1))
    (found,) = calls.take("t", "101", Event(EventKind.ANSWERED, call_id="c", seq=2)) or []
    assert found.event.phone == "+79161234567"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_calls, "MOST_CALLS", 5)
    monkeypatch.setattr(ordered_calls, "MOST_ENDED", 5)
    monkeypatch.setattr(ordered_calls, "MOST_EVENTS", 5)
    calls = OrderedCalls()
    for number in range(50):
        play(TALK, calls, f"c{number}", f"t{number}")
    assert (len(calls), len(calls._ended), len(calls._of_tap)) == (5, 5, 5)
    with pytest.raises(EventError, match="5 events of one call at most"):
        play([(6, "hold", None)], calls, "c49", "t49")


EVENTS = st.tuples(
    st.sampled_from(["t1", "t2"]),
    st.sampled_from(["c1", "c2", "c3"]),
    st.integers(0, 9),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["client", "operator", "network", None]),
    st.sampled_from(["101", "102", None]),
)


@given(st.lists(EVENTS, max_size=60))
def test_whatever_comes_each_tap_is_answered_and_hung_up_in_turn(
    events: list[tuple[str, str, int, EventKind, str | None, str | None]],
) -> None:
    calls = OrderedCalls()
    on: dict[str, str | None] = {}
    for tap, call, seq, kind, party, operator in events:
        event = Event(kind, party=party, call_id=call, seq=seq)
        for one in calls.take(tap, operator, event) or ():
            if one.event.kind is EventKind.ANSWERED:
                assert on.get(one.tap) is None
                on[one.tap] = one.event.call_id
                continue
            assert one.event.call_id == on[one.tap]
            if one.event.kind is EventKind.HANGUP:
                on[one.tap] = None


def test_a_thousand_calls_shuffled_leave_nothing() -> None:
    random_ = random.Random(1)
    calls = OrderedCalls()
    rows = [(f"c{n}", row) for n in range(1000) for row in TALK]
    random_.shuffle(rows)
    for call, row in rows:
        play([row], calls, call, call)
    for number in range(1000):
        play([(9, "hangup", "client")], calls, f"c{number}", f"c{number}")
    assert (len(calls), calls._of_tap) == (0, {})
