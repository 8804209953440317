"""Traces as packed texts: the same again, bounded, and nothing believed of what comes from elsewhere."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import tracemalloc
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.callbacks import trace_compression
from vad_agent.callbacks.outbox_message import CALL, MOST_BYTES, OutboxMessage
from vad_agent.callbacks.trace_compression import (
    LONGEST_S,
    MOST_PACKED,
    MOST_UNPACKED,
    number,
    pack,
    unpack,
)
from vad_agent.core import actions as act
from vad_agent.core.frames import Channel
from vad_agent.trace.trace_format import record

SECRET = "Пелагея"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["\u2028", "\x85", "a\nb", "🎧", "\0", "\\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
LINES = st.lists(
    st.builds(
        lambda rest, t, kind: rest | {"t": t, "kind": kind},
        st.dictionaries(TEXT, VALUES, max_size=4),
        st.integers(0, 400_000).map(lambda frames: round(frames / 50, 2)),
        st.sampled_from(["phase", "speech", "line", "prompt", "hangup", "callback", "alert"]),
    ),
    max_size=8,
)


def packed(*lines: Any) -> str:
    """As another program may make it: whatever the lines are, a text or bytes as they stand."""
    told = [
        one
        if isinstance(one, bytes)
        else (one if isinstance(one, str) else json.dumps(one)).encode()
        for one in lines
    ]
    return base64.b64encode(zlib.compress(b"\n".join(told))).decode()


# -- the same again ---------------------------------------------------------------------------------


@given(LINES)
def test_what_was_packed_is_unpacked_the_same(lines: list[dict[str, Any]]):
    text = pack(lines)
    assert unpack(text) == lines
    assert text.isascii()
    assert len(text) <= MOST_PACKED


def test_a_calls_actions_come_through_as_the_trace_has_them():
    told = [
        act.PhaseChanged(0, act.Phase.GREETING),
        act.Speech(90, Channel.OPERATOR, 1, 76),
        act.PromptDone(300, "not_heard", f"Вас не слышно, {SECRET}", 125, 150, 126, 202, 270,
                       act.PromptOutcome.SAID),
        act.CallbackRequested(400, act.Reason.DROPPED, 0.0, SECRET),
        act.Hangup(500, act.Reason.DROPPED),
    ]  # fmt: skip
    lines = [line for action in told if (line := record(action)) is not None]
    assert unpack(pack(lines)) == lines


def test_half_a_letter_becomes_a_sign_that_every_database_takes():
    line = {"t": 0.0, "kind": "prompt", "text": "Ан\ud800на", "\udfff": 1}
    mended = {"t": 0.0, "kind": "prompt", "text": "Ан?на", "?": 1}
    assert unpack(pack([line])) == [mended]
    assert unpack(packed(line)) == [mended]
    assert unpack(packed({"t": 0, "kind": "🎧"})) == [{"t": 0, "kind": "🎧"}]


def test_nothing_is_a_call_without_lines():
    assert unpack(pack([])) == []


# -- what is too long -------------------------------------------------------------------------------


def filled(kinds: Sequence[str], bytes_each: int = 200) -> list[dict[str, Any]]:
    """Lines that do not compress."""
    chance = random.Random(7)
    return [
        {"t": at / 50, "kind": kind, "text": chance.randbytes(bytes_each // 2).hex()}
        for at, kind in enumerate(kinds)
    ]


def kept(lines: Sequence[dict[str, Any]]) -> list[str]:
    text = pack(lines)
    assert len(text) <= MOST_PACKED
    found = unpack(text)
    assert all(line in lines for line in found)
    assert [line["t"] for line in found] == sorted(line["t"] for line in found)
    return [line["kind"] for line in found]


def test_what_is_too_long_leaves_out_who_spoke_when():
    kinds = ["phase", "speech", "line", "prompt", "alert", "speech"] * 80
    assert kept(filled(kinds)) == [kind for kind in kinds if kind != "speech"]


def test_what_is_still_too_long_keeps_what_the_script_did():
    kinds = ["phase", "line", "prompt", "cue", "callback", "alert", "callback_revised", "hangup",
             "callback_withdrawn", "speech"] * 60  # fmt: skip
    left_out = ("line", "cue", "alert", "speech")
    assert kept(filled(kinds)) == [kind for kind in kinds if kind not in left_out]


def test_what_is_too_long_even_so_keeps_the_first_that_fit():
    lines = filled(["prompt"] * 2000)
    found = unpack(pack(lines))
    assert 300 < len(found) < 1000
    assert found == lines[: len(found)]
    one_more = packed(*lines[: len(found) + 1])
    assert len(one_more) > MOST_PACKED


def test_one_line_that_is_too_long_alone_is_left_out():
    assert unpack(pack(filled(["prompt"], 200_000))) == []


def test_lines_that_compress_well_are_bounded_by_their_own_length():
    lines = [{"t": 0.0, "kind": "line", "text": "я" * 1000} for _ in range(5000)]
    assert unpack(pack(lines)) == []
    found = unpack(pack([line | {"kind": "prompt"} for line in lines]))
    length = sum(len(json.dumps(line, ensure_ascii=False).encode()) + 1 for line in found)
    assert MOST_UNPACKED - 3000 < length <= MOST_UNPACKED


def test_the_longest_text_fits_into_a_letter_with_the_longest_names():
    letter = OutboxMessage(
        CALL, "k" * 200, "🎧" * 200, "2026-11-24T12:00:00.123456+03:00", operator="🎧" * 100,
        began="2026-11-24T12:00:00.123456+03:00", mode="auto", lines="A" * MOST_PACKED,
    )  # fmt: skip
    assert len(letter.to_json()) <= MOST_BYTES
    assert set(dataclasses.asdict(letter)) >= {"began", "mode", "lines"}


# -- what comes from elsewhere ----------------------------------------------------------------------

GOOD = {"t": 1.5, "kind": "phase"}
MALFORMED = {
    "no base64": SECRET,
    "base64 with a line end": packed(GOOD)[:-4] + "\n" + packed(GOOD)[-4:],
    "base64 for URLs": base64.urlsafe_b64encode(b"\xff" * 60).decode(),
    "base64 that lacks its end": packed(GOOD).rstrip("=") + "A",
    "nothing compressed": base64.b64encode(SECRET.encode()).decode(),
    "nothing": "",
    "something after the end": base64.b64encode(
        base64.b64decode(packed(GOOD)) + SECRET.encode()
    ).decode(),
    "two of them": base64.b64encode(base64.b64decode(packed(GOOD)) * 2).decode(),
    "not Unicode": packed(b"\xff\xfe"),
    "no JSON": packed(GOOD, SECRET),
    "half a line": packed(json.dumps(GOOD)[:-1]),
    "a list": packed([GOOD]),
    "a text": packed(json.dumps(SECRET)),
    "null": packed("null"),
    "nested without end": packed("[" * 100_000),
    "nested in a line": packed('{"t": 0, "kind": "x", "y": ' + "[" * 100_000),
    "no t": packed({"kind": SECRET}),
    "no kind": packed({"t": 1, "text": SECRET}),
    "a kind that is none": packed({"t": 1, "kind": [SECRET]}),
    "another number that is none": packed('{"t": 1, "kind": "x", "y": NaN}'),
    "another number without end": packed('{"t": 1, "kind": "x", "y": [-1e999]}'),
    "a number of 5,000 digits": packed(f'{{"t": 1, "kind": "x", "y": {"9" * 5000}}}'),
    **{
        f"t is {t}": packed(f'{{"t": {t}, "kind": "x"}}')
        for t in ("NaN", "Infinity", "1e999", "-0.02", "true", "null", '"1"', "[]", "9" * 400)
    },
    "t after all calls": packed({"t": LONGEST_S + 1, "kind": "x"}),
    "too long": "A" * (MOST_PACKED + 4),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_is_none_is_refused_and_not_repeated(text: str):
    with pytest.raises(ValueError, match=r"^lines: ") as refused:
        unpack(text)
    assert len(str(refused.value)) < 100
    assert SECRET not in str(refused.value)


def test_every_truncation_is_refused():
    text = pack(filled(["phase", "prompt", "hangup"]))
    whole = base64.b64decode(text)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"^lines: "):
            unpack(base64.b64encode(whole[:length]).decode())
    for length in range(len(text)):
        with pytest.raises(ValueError, match=r"^lines: "):
            unpack(text[:length])


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: base64.b64encode(b).decode())
       | st.lists(VALUES.map(json.dumps) | st.text(max_size=20), max_size=4).map(
           lambda lines: packed(*(line.encode(errors="replace") for line in lines))))  # fmt: skip
def test_whatever_comes_is_lines_or_a_value_error(text: str):
    try:
        lines = unpack(text)
    except ValueError:
        return
    assert unpack(pack(lines)) == lines


@pytest.mark.parametrize("size", [MOST_UNPACKED + 1, 40 * 1024 * 1024])
def test_a_bomb_takes_no_more_memory_than_a_call(size: int):
    bomb = base64.b64encode(zlib.compress(b" " * size, 9)).decode()
    assert len(bomb) < MOST_PACKED
    tracemalloc.start()
    with pytest.raises(ValueError, match="too long"):
        unpack(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * MOST_UNPACKED


def test_the_longest_lines_are_taken(monkeypatch: pytest.MonkeyPatch):
    line = json.dumps(GOOD)
    monkeypatch.setattr(trace_compression, "MOST_UNPACKED", len(line))
    assert unpack(packed(line)) == [GOOD]
    with pytest.raises(ValueError, match="too long"):
        unpack(packed(line + " "))


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), (-2.5, -2.5), (10, 10.0), (-10, -10.0), (10.1, None), (10**400, None),
     (float("nan"), None), (float("inf"), None), (True, None), ("1", None), (None, None)],
)  # fmt: skip
def test_a_number_is_one_within_its_range(value: object, found: float | None):
    assert number(value, 10.0) == found
