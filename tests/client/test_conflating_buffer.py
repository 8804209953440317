"""What the desk was not told yet: whatever comes in between, it ends with the state as it is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vad_agent.client.conflating_buffer import LONGEST_VALUE, MOST_BYTES, ConflatingBuffer

STATES = st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.integers(0, 3), st.text()))


def drained(unsent: ConflatingBuffer) -> list[dict[str, Any]]:
    told = []
    while (text := unsent.next()) is not None:
        assert len(text.encode()) <= MOST_BYTES
        told.append(json.loads(text))
    return told


def test_first_everything_is_told_then_what_changed() -> None:
    unsent = ConflatingBuffer()
    assert unsent.next() is None
    assert unsent.take({"phase": None, "level": 0.1})
    assert unsent.take({"level": 0.2})
    assert drained(unsent) == [{"phase": None, "level": 0.2}]
    assert not unsent.take({"phase": None, "level": 0.2})
    assert unsent.take({"phase": None, "level": 0.3})
    assert drained(unsent) == [{"level": 0.3}]
    unsent.again()
    assert drained(unsent) == [{"phase": None, "level": 0.3}]


def test_what_is_changed_in_place_is_seen() -> None:
    unsent, sides = ConflatingBuffer(), {"level": 1}
    unsent.take({"sides": sides})
    drained(unsent)
    sides["level"] = 2
    assert unsent.take({"sides": sides})
    assert drained(unsent) == [{"sides": {"level": 2}}]


def test_a_long_state_comes_in_parts_and_what_is_too_long_not_at_all() -> None:
    unsent = ConflatingBuffer()
    state = {f"key{number}": "я" * (LONGEST_VALUE // 2 - 10) for number in range(10)}
    unsent.take({"before": 1, **state, "before_too": "x" * LONGEST_VALUE})
    told = drained(unsent)
    assert len(told) > 1
    assert {key: value for part in told for key, value in part.items()} == {"before": 1, **state}


def test_half_a_letter_harms_nothing() -> None:
    unsent = ConflatingBuffer()
    unsent.take({"device": "a\ud800"})
    assert drained(unsent) == [{"device": "a?"}]


@given(st.lists(st.one_of(STATES, st.sampled_from(["told", "lost", "again"])), max_size=30))
def test_whatever_is_lost_on_the_way_the_last_state_arrives(steps: list[Any]) -> None:
    unsent = ConflatingBuffer()
    state: dict[str, Any] = {}
    desk: dict[str, Any] = {}
    for step in steps:
        if isinstance(step, dict):
            state |= step
            unsent.take(step)
        elif step == "told":
            desk |= json.loads(unsent.next() or "{}")
        else:
            if step == "lost":
                unsent.next()
            unsent.again()
            desk = {}
    for part in drained(unsent):
        desk |= part
    assert desk == state
