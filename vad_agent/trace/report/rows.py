"""Selects the parts of a call that are drawn, and their length.

One minute per row while that makes no more than MAX_ROWS rows; then longer rows. Of an even longer
call, only the rows with events other than speech, as fine as they fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vad_agent.trace.report.call_timeline import Span, Timeline
from vad_agent.trace.window_compliance import Verdict

MAX_ROWS = 30
ROW_SECONDS = (60, 120, 300)
"""The finest that fits is used: at more than 300 s per row a window of one second is not visible."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The parts of the call that are drawn, in order; all are `seconds` long."""

    seconds: float
    shown: Sequence[Span]
    total: int
    only_speech_left_out: bool
    """False: even some rows with other events are left out."""


def rows(call: Timeline) -> Rows:
    """Split the call into at most MAX_ROWS rows."""
    moments = _moments(call)
    duration = max(call.duration, 1.0)
    for seconds in ROW_SECONDS:
        total = math.ceil(round(duration / seconds, 6))
        if total <= MAX_ROWS:  # all of it, in rows of equal length instead of a short last one
            even = math.ceil(duration / total / 5) * 5 if total > 1 else duration
            total = math.ceil(round(duration / even, 6))
            return Rows(even, _cut(range(total), even), total, True)
    for seconds in ROW_SECONDS:
        total = math.ceil(round(duration / seconds, 6))
        weights: dict[int, int] = {}
        for t, weight in moments:
            row = min(max(int(t // seconds), 0), total - 1)
            weights[row] = max(weights.get(row, 0), weight)
        if len(weights) <= MAX_ROWS:
            return Rows(seconds, _cut(sorted(weights), seconds), total, True)
    weightiest = sorted(weights, key=lambda row: (-weights[row], row))[:MAX_ROWS]
    return Rows(seconds, _cut(sorted(weightiest), seconds), total, False)


def _cut(numbers: Iterable[int], seconds: float) -> list[Span]:
    return [Span(number * seconds, (number + 1) * seconds) for number in numbers]


def _moments(call: Timeline) -> list[tuple[float, int]]:
    """Times of events other than speech, and their importance."""
    found = [(mark.t, 2 if mark.strong else 1) for mark in call.marks]
    found += [(span.start, 1) for span in call.phases]
    found += [(span.start, 0) for spans in call.lines.values() for span in spans]
    for prompt in call.prompts:
        weight = 4 if prompt.verdict is Verdict.BAD else 3
        at = prompt.t if prompt.started is None else prompt.started
        found += [(at, weight), (at - min(prompt.silence, prompt.hi), 1)]
    return found
