"""A finished call as its headset reported it, and its script steps. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from vad_agent.callbacks.model import Request
from vad_agent.callbacks.outbox_message import MODES, YEARS
from vad_agent.callbacks.row_mapping import storable_text
from vad_agent.callbacks.trace_compression import LONGEST_S, number
from vad_agent.trace.window_compliance import Verdict, verdict

MOST_STEPS = 1000
"""Upper limit on steps; no real call has so many."""
LONGEST = {"id": 40, "outcome": 24, "reason": 32}
"""Column lengths of the tables."""
LONGEST_TEXT = 1000
ASKS = ("callback", "callback_revised")
WITHDRAWS = "callback_withdrawn"
UNKNOWN_REASON = "dropped"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One prompt of a call. `number`: from 1, in order. `at`: aware time of its first sample.

    If the prompt made no sound, `at` is when that was known. `lo_s`, `hi_s`: its window;
    `silence_s`: the silence before it; all in seconds.
    """

    call: str
    operator: str | None
    number: int
    at: datetime
    prompt: str
    lo_s: float
    hi_s: float
    silence_s: float
    outcome: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A finished call. `began`: aware; `mode`: auto or cue; `lines`: its trace, from
    `trace_compression.unpack`.

    Raises:
        ValueError: the record is not valid; the message does not quote its content.
    """

    call: str
    operator: str | None
    mode: str
    began: datetime
    lines: Sequence[Mapping[str, Any]] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.call:
            raise ValueError("call: missing")
        if self.mode not in MODES:
            raise ValueError(f"mode: expected {' or '.join(MODES)}")
        if self.began.tzinfo is None or self.began.year not in YEARS:
            years = f"{YEARS[0]} to {YEARS[-1]}"
            raise ValueError(
                f"began: expected a time with a zone, in {years}, by a clock that is set"
            )
        self.steps()

    @property
    def seconds(self) -> float:
        """Length of the call up to its last trace line."""
        return max((float(line["t"]) for line in self.lines), default=0.0)

    @property
    def ended(self) -> datetime:
        """When the call ended."""
        return self.began + timedelta(seconds=self.seconds)

    @property
    def asks(self) -> bool:
        """The trace asks for a callback, and does not take that back."""
        return self._asking() is not None

    def request(self) -> Request | None:
        """The request for the callback that the trace asks for, as it stands at the call's end.

        None: it asks for none. A headset's trace has the client's number, name and topic in the
        callback's line, another one may not.
        """
        line = self._asking()
        if line is None:
            return None
        texts = {
            name: storable_text(told)[:LONGEST_TEXT]
            for name in ("at", "phone", "name", "topic", "opening", "session")
            if isinstance(told := line.get(name), str) and told
        }
        at = texts.get("at")
        due_in_s = number(line.get("due_in_s"), LONGEST_S)
        reason = line.get("reason")
        return Request(
            key=made_key(self.call),
            reason=reason[: LONGEST["reason"]] if isinstance(reason, str) else UNKNOWN_REASON,
            asked=self.began + timedelta(seconds=float(line["t"])),
            due_in_s=None if at or due_in_s is None else max(0.0, due_in_s),
            at=at,
            phone=texts.get("phone"),
            name=texts.get("name"),
            topic=texts.get("topic"),
            opening=texts.get("opening", ""),
            operator=self.operator,
            call=self.call,
            session=texts.get("session"),
            made=True,
        )

    def _asking(self) -> Mapping[str, Any] | None:
        kinds = (*ASKS, WITHDRAWS)
        last = next((one for one in reversed(self.lines) if one["kind"] in kinds), None)
        return None if last is None or last["kind"] == WITHDRAWS else last

    def steps(self) -> list[StepRecord]:
        """The steps, in order.

        Raises:
            ValueError: a prompt's line is not valid, or there are too many.
        """
        prompts = [line for line in self.lines if line["kind"] == "prompt"]
        if len(prompts) > MOST_STEPS:
            raise ValueError(f"lines: expected {MOST_STEPS} prompts at most")
        return [self._step(at, line) for at, line in enumerate(prompts, start=1)]

    def _step(self, at: int, line: Mapping[str, Any]) -> StepRecord:
        window = line.get("window_s")
        if not isinstance(window, list | tuple) or len(window) != 2:
            raise ValueError("lines: expected two numbers in a prompt: window_s")
        lo_s, hi_s = (_seconds(value, "window_s") for value in window)
        silence_s = _seconds(line.get("silence_s"), "silence_s")
        told = line.get("started_s")
        started_s = None if told is None else _seconds(told, "started_s")
        outcome = _text(line, "outcome")
        after_s = float(line["t"]) if started_s is None else started_s
        return StepRecord(
            call=self.call,
            operator=self.operator,
            number=at,
            at=self.began + timedelta(seconds=after_s),
            prompt=_text(line, "id"),
            lo_s=lo_s,
            hi_s=hi_s,
            silence_s=silence_s,
            outcome=outcome,
            verdict=verdict(outcome, started_s, silence_s, lo_s, hi_s),
        )


def made_key(call: str) -> str:
    """The key of the request that is made from the call's trace: one for each call."""
    return f"trace {hashlib.sha256(call.encode()).hexdigest()}"


def _seconds(value: object, name: str) -> float:
    told = number(value, LONGEST_S)
    if told is None:
        raise ValueError(f"lines: expected seconds in a prompt: {name}")
    return told


def _text(line: Mapping[str, Any], name: str) -> str:
    told = line.get(name)
    if not isinstance(told, str) or not told:
        raise ValueError(f"lines: expected a text in a prompt: {name}")
    return storable_text(told)[: LONGEST[name]]
