"""Aligns what the operator said in one stretch without the client with the script's ladder. Pure.

    client    ███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    operator  ▁▁▁██▁▁▁▁████▁▁▁████▁▁▁▁▁▁▁
                 reply    step 1   step 2      which utterance is which step is decided by the windows

A recording does not tell what was said. An utterance in the window of the next step is that step. One
outside of it is either the step, too early or too late, or something else; and a step may be missing.
The cheapest explanation of the whole stretch is taken: it is found exactly, by dynamic programming over
(utterances used, steps done). A live session decides step by step, and cannot revise: an early phrase
shifts all later ones by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

Bounds = tuple[float, float]
"""A window: its first and last second of silence."""
Pairs = tuple[tuple[int, int, bool], ...]
"""(step, utterance, said): not said, the step is missing before that utterance."""

SHORTEST_GAP_S = 0.8
"""A shorter pause is one within the operator's own speech."""
MISSING_COST = 0.8
OFF_COST, OFF_COST_PER_S, MOST_OFF_COST = 0.3, 0.2, 0.7
"""Of a phrase outside of its window."""
LEFT_COST = 0.4
"""Of a ladder that was left before its end, in a call that ended there."""
OTHER_COST, OTHER_DUE_COST = 0.1, 0.6
"""Of an utterance that is no phrase: before the next step was due, and after."""


@dataclass(frozen=True, slots=True)
class OperatorUtterance:
    """An utterance of the operator. Seconds; `gap`: silence of both sides before it."""

    start: float
    end: float
    gap: float


@dataclass(frozen=True, slots=True)
class AlignedStep:
    """One step of the ladder that was due, and the utterance that it is; None: it is missing."""

    number: int
    said: OperatorUtterance | None
    window: Bounds
    """The window by which it is judged."""
    off: float
    """Seconds outside of the window; negative: early."""
    base: float
    """Where its silence began."""


def distance(gap: float, windows: Sequence[Bounds]) -> tuple[float, Bounds]:
    """Seconds by which `gap` is outside the nearest window (0: inside; negative: early), and that window."""

    def off(window: Bounds) -> float:
        return round(min(gap - window[0], 0.0) or max(gap - window[1], 0.0), 2)

    nearest = min(windows, key=lambda window: abs(off(window)))
    return off(nearest), nearest


def outside(gap: float, windows: Sequence[Bounds], tolerance: float) -> bool:
    """The gap is in none of the windows."""
    return abs(distance(gap, windows)[0]) > tolerance


def align(
    said: Sequence[OperatorUtterance],
    ladder: Sequence[Sequence[Bounds]],
    *,
    base: float,
    until: float,
    tolerance: float,
    ended: bool = False,
) -> list[AlignedStep]:
    """The steps of `ladder` that were due in the stretch, in order.

    `said`: the operator's utterances in order. `ladder`: the windows of each step; one is enough.
    `base`: where the first silence began. `until`: where the stretch ends: a step whose window did not
    end `tolerance` before it was not due. `ended`: the call ended there. All in seconds.
    """

    def origin(used: int) -> float:
        return max(base, said[used - 1].end) if used else base

    def due(used: int, step: int, missed: int) -> bool:
        """Each missing step would have begun at the end of its window, and this one so long after."""
        waits = sum(max(hi for _, hi in ladder[at]) for at in range(step - missed, step + 1))
        return origin(used) + waits + tolerance <= until

    @cache
    def best(used: int, step: int, missed: int) -> tuple[float, Pairs]:
        """Cost of the rest, and its pairs. `missed`: steps in a row that are missing before `step`."""
        if step == len(ladder):
            return 0.0, ()
        if used == len(said):
            if not due(used, step, missed):
                return (LEFT_COST if ended and step > missed else 0.0), ()
            cost, rest = best(used, step + 1, missed + 1)
            return cost + MISSING_COST, ((step, used, False), *rest)
        one = said[used]
        off, _ = distance(one.gap, ladder[step])
        cost, rest = best(used + 1, step, missed)
        options = [(cost + (OTHER_COST if off < -tolerance else OTHER_DUE_COST), rest)]
        if one.gap >= SHORTEST_GAP_S:
            cost, rest = best(used + 1, step + 1, 0)
            options.append((cost + _matched(off, tolerance), ((step, used, True), *rest)))
        fits_next = step + 1 < len(ladder) and not outside(one.gap, ladder[step + 1], tolerance)
        if fits_next or one.gap > max(hi for _, hi in ladder[step]) + tolerance:
            cost, rest = best(used, step + 1, missed + 1)
            options.append((cost + MISSING_COST, ((step, used, False), *rest)))
        return min(options, key=lambda option: option[0])

    for used in range(len(said), -1, -1):  # from the end, so that no recursion is deep
        for step in range(len(ladder), -1, -1):
            for missed in range(step + 1):
                best(used, step, missed)
    steps = []
    for step, at, is_said in best(0, 0, 0)[1]:
        if not is_said:
            steps.append(AlignedStep(step, None, ladder[step][0], 0.0, origin(at)))
            continue
        off, window = distance(said[at].gap, ladder[step])
        off = 0.0 if abs(off) <= tolerance else off
        start = round(said[at].start - said[at].gap, 2)
        steps.append(AlignedStep(step, said[at], window, off, start))
    return steps


def _matched(off: float, tolerance: float) -> float:
    if abs(off) <= tolerance:
        return 0.0
    return min(MOST_OFF_COST, OFF_COST + OFF_COST_PER_S * abs(off))
