"""What was wrong with a call: its trace against its truth.

    missing       the callback that was due is not asked for, or was withdrawn
    twice         it is asked for more than once
    reason        it is asked for another reason, or none was due
    over          a phrase begins while the client speaks or less than 1.8 s after
    phrases       others than the ladder of the silence, or where none is due
    window        more than 0.3 s outside of its window

A trace is what `vad_agent.trace.record` gives: kinds and fields that are not known here are passed over.
Only phrases that the product began count, also those that were interrupted; not those that the operator said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchmarks.calls.ground_truth import Due, Truth
from vad_agent.core.frames import Channel, frames, seconds

Record = Mapping[str, Any]
TOO_SOON = frames(1.8)
_OWN = ("said", "interrupted", "failed")


class Defect(StrEnum):
    """What can be wrong."""

    MISSING = "missing"
    TWICE = "twice"
    REASON = "reason"
    OVER = "over"
    PHRASES = "phrases"
    WINDOW = "window"
    CRASH = "crash"
    """The call could not be run to its end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong thing."""

    defect: Defect
    text: str


@dataclass(frozen=True, slots=True)
class _Phrase:
    prompt: str
    start: int
    end: int


def evaluate(truth: Truth, trace: Iterable[Record]) -> list[Fault]:
    """Everything that is wrong with the call; empty: it is right."""
    records = list(trace)
    phrases = sorted(_phrases(records), key=lambda phrase: phrase.start)
    return [*_callback(truth, records), *_over(truth, phrases), *_ladders(truth, phrases)]


def _phrases(records: Sequence[Record]) -> Iterable[_Phrase]:
    for record in records:
        if record["kind"] == "prompt" and record["outcome"] in _OWN:
            started, ended = record["started_s"], record["ended_s"]
            if started is not None:
                end = started if ended is None else ended
                yield _Phrase(record["id"], frames(started), frames(end))


def _callback(truth: Truth, records: Sequence[Record]) -> Iterable[Fault]:
    asked = [record for record in records if record["kind"] == "callback"]
    standing: str | None = None
    for record in records:
        if record["kind"] in ("callback", "callback_revised"):
            standing = record["reason"]
        elif record["kind"] == "callback_withdrawn":
            standing = None
    if len(asked) > 1:
        times = ", ".join(f"{record['t']:g}" for record in asked)
        yield Fault(Defect.TWICE, f"asked for at {times} s")
    if truth.callback is not None and standing is None:
        yield Fault(Defect.MISSING, f"{truth.callback.value} is due")
    elif standing != truth.callback:
        due = "none" if truth.callback is None else truth.callback.value
        yield Fault(Defect.REASON, f"{standing}, due: {due}")


def _over(truth: Truth, phrases: Sequence[_Phrase]) -> Iterable[Fault]:
    for phrase in phrases:
        begun = [run for run in truth.speech[Channel.CLIENT] if run[0] <= phrase.start]
        if begun and (after := phrase.start - begun[-1][1]) < TOO_SOON:
            where = "while the client speaks" if after < 0 else f"{seconds(after):g} s after"
            yield Fault(Defect.OVER, f"{phrase.prompt} at {seconds(phrase.start):g} s: {where}")


def _ladders(truth: Truth, phrases: Sequence[_Phrase]) -> Iterable[Fault]:
    placed: dict[int, list[_Phrase]] = {}
    for phrase in phrases:
        found = [n for n, due in enumerate(truth.due) if due.start <= phrase.start < due.until]
        if not found:
            text = f"{phrase.prompt} at {seconds(phrase.start):g} s: none is due"
            yield Fault(Defect.PHRASES, text)
        else:
            placed.setdefault(found[-1], []).append(phrase)
    for number, due in enumerate(truth.due):
        yield from _ladder(truth, due, placed.get(number, []))


def _ladder(truth: Truth, due: Due, phrases: Sequence[_Phrase]) -> Iterable[Fault]:
    """The phrases of one silence against its steps, each from the true end of what was before it."""
    base = due.start
    for number, step in enumerate(due.steps):
        if number >= len(phrases):
            if base + step.hi <= due.until:
                yield Fault(Defect.PHRASES, f"{step.prompt} lacks after {seconds(base):g} s")
            return
        phrase = phrases[number]
        at = f"{phrase.prompt} at {seconds(phrase.start):g} s"
        if phrase.prompt != step.prompt:
            yield Fault(Defect.PHRASES, f"{at}: {step.prompt} is due")
            return
        waited = phrase.start - base
        if not step.lo <= waited <= step.hi:
            window = f"{seconds(step.lo):g} to {seconds(step.hi):g}"
            yield Fault(Defect.WINDOW, f"{at}: after {seconds(waited):g} s instead of {window}")
        base = phrase.end
    if len(phrases) > len(due.steps):
        extra = phrases[len(due.steps)]
        text = f"{extra.prompt} at {seconds(extra.start):g} s: after the last one"
        yield Fault(Defect.PHRASES, text)
