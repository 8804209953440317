"""The trace's lines: each kind has the contract's fields, and no more than it says."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, Phase, PromptOutcome, Reason
from vad_agent.core.frames import Channel
from vad_agent.errors import OutputError
from vad_agent.trace.trace_format import Trace, record

CALLBACK: dict[str, Any] = {
    "reason": Reason.AGREED,
    "due_in_s": None,
    "opening": "Здравствуйте, Анна",
    "at": "2030-05-14T15:00:00+03:00",
    "name": "Анна",
    "phone": "+7 000 000-00-01",
    "topic": "доставка холодильника",
}

EXAMPLES: list[act.Action] = [
    act.PhaseChanged(1, Phase.GREETING),
    act.Speech(62, Channel.CLIENT, 11, 47),
    act.LineChanged(53, Channel.CLIENT, LineState.DIGITAL_ZERO, 3),
    act.Play(175, "not_heard", "Вас не слышно"),
    act.Stop(180, "not_heard"),
    act.Cue(90, "not_heard", "Вас не слышно", 100, 150),
    act.Dismiss(120, "not_heard"),
    act.PromptDone(285, "not_heard", "Вас не слышно", 100, 150, 127, 185, 285, PromptOutcome.SAID),
    act.CallbackRequested(300, **CALLBACK),
    act.CallbackRevised(301, **CALLBACK),
    act.CallbackWithdrawn(310, Reason.SILENCE_IN_DIALOGUE),
    act.Hangup(311, Reason.DROPPED),
    act.Alert(250, "no_greeting"),
]

FIELDS = {
    "phase": ["phase"],
    "speech": ["channel", "start_s", "end_s"],
    "line": ["channel", "state", "since_s"],
    "prompt": [
        "id", "text", "window_s", "silence_s", "started_s", "ended_s", "outcome",
    ],
    "cue": ["id", "text", "from_s", "to_s"],
    "callback": ["reason", "due_in_s", "opening", "at"],
    "callback_revised": ["reason", "due_in_s", "opening", "at"],
    "callback_withdrawn": ["reason"],
    "hangup": ["reason"],
    "alert": ["id"],
}  # fmt: skip
SILENT = (act.Play, act.Stop, act.Dismiss)  # the prompt's line tells what came of them


def below(base: type) -> set[str]:
    """Names: a slotted dataclass leaves its first self among the subclasses."""
    return {sub.__name__ for sub in base.__subclasses__()}.union(*map(below, base.__subclasses__()))


def test_the_examples_are_all_there_is() -> None:
    assert {type(one).__name__ for one in EXAMPLES} == below(act.Action)


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: type(action).__name__)
def test_every_action_has_its_line_or_is_silent_on_purpose(action: act.Action) -> None:
    line = record(action)
    if isinstance(action, SILENT):
        assert line is None
        return
    assert line is not None
    assert list(line) == ["t", "kind", *FIELDS[str(line["kind"])]]
    assert line["t"] == action.frame / 50
    assert json.loads(json.dumps(line)) == line


def test_an_action_that_nobody_thought_of_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="without a trace line"):
        record(act.Action(1))


def test_a_prompt_as_the_contract_has_it() -> None:
    done = next(one for one in EXAMPLES if isinstance(one, act.PromptDone))
    assert record(done) == {
        "t": 5.7,
        "kind": "prompt",
        "id": "not_heard",
        "text": "Вас не слышно",
        "window_s": [2.0, 3.0],
        "silence_s": 2.54,
        "started_s": 3.7,
        "ended_s": 5.7,
        "outcome": "said",
    }


def test_a_prompt_without_a_sound_has_no_times_of_one() -> None:
    missed = act.PromptDone(400, "not_heard", "…", 100, 150, 215, None, None, PromptOutcome.MISSED)
    line = record(missed)
    assert line is not None
    assert (line["started_s"], line["ended_s"], line["outcome"]) == (None, None, "missed")


@pytest.mark.parametrize("kind", [act.CallbackRequested, act.CallbackRevised])
def test_a_callback_tells_nobodys_name_but_in_its_opening(
    kind: type[act.CallbackRequested],
) -> None:
    line = record(kind(300, **CALLBACK))
    assert line is not None
    assert line.pop("opening") == "Здравствуйте, Анна"
    text = json.dumps(line, ensure_ascii=False)
    for personal in ("Анна", "000", "холодильника"):
        assert personal not in text


def test_a_callback_without_an_agreed_time_has_no_such_field() -> None:
    line = record(act.CallbackRequested(300, Reason.DROPPED, 0.0, "Здравствуйте"))
    assert line is not None
    assert "at" not in line
    assert line["due_in_s"] == 0.0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_times_are_multiples_of_20_ms(start: int, length: int) -> None:
    line = record(act.Speech(start + length, Channel.OPERATOR, start, start + length))
    assert line is not None
    for name, frame in (("t", start + length), ("start_s", start), ("end_s", start + length)):
        assert line[name] == frame / 50
        assert len(str(line[name]).partition(".")[2]) <= 2  # 0.02, never 0.020000000000000004


def test_a_line_each_in_order() -> None:
    out = io.StringIO()
    Trace(out, "here").write(EXAMPLES)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines == [line for line in map(record, EXAMPLES) if line is not None]
    assert "Здравствуйте" in out.getvalue()  # readable, and not \\u0417


class FullDisk(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class NoReader(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_full_disk_is_named() -> None:
    path = Path("/var/trace.jsonl")
    with pytest.raises(OutputError, match=r"^/var/trace\.jsonl: .*No space left on device$"):
        Trace(FullDisk(), str(path)).write(EXAMPLES)


def test_a_reader_who_has_gone_is_no_error_of_the_file() -> None:
    with pytest.raises(BrokenPipeError):
        Trace(NoReader(), "stdout").write(EXAMPLES)
