"""Texts beside things on one line: moved to the next level where they would cover each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vad_agent.archive.canvas import WIDTH
from vad_agent.archive.timeline import Mark


@dataclass(frozen=True, slots=True)
class Label:
    """A text with the place it takes in a lane of levels."""

    level: int
    x: float
    align: str


def stacked(wanted: Iterable[tuple[float, float, float]], most: int) -> list[Label | None]:
    """Places labels beside their things so that none covers another.

    Each of `wanted` is the thing's left and right edge and the label's width (px), in order. A
    label that does not fit to the right of its thing goes to the left; None: there was no room.
    """
    ends = [0.0] * most
    placed: list[Label | None] = []
    for x0, x1, width in wanted:
        right = x1 + 4 + width <= WIDTH
        start, end = (x0, x1 + 4 + width) if right else (x0 - 4 - width, x1)
        level = next((level for level in range(most) if ends[level] <= start), None)
        if level is None:
            placed.append(None)
            continue
        ends[level] = end + 10
        placed.append(Label(level, x1 + 4 if right else x0 - 4, "left" if right else "right"))
    return placed


def levels(labels: Iterable[Label | None]) -> int:
    """How many levels a lane needs; a label without room still has its thing on the first."""
    return max((label.level + 1 if label else 1 for label in labels), default=0)


def merged(marks: Iterable[Mark], x: Callable[[float], float]) -> list[tuple[float, str, bool]]:
    """Place, text and strength of each line; what happens at one moment (in 4 px) shares one."""
    groups: list[tuple[float, list[Mark]]] = []
    for mark in marks:
        at = x(mark.t)
        if groups and at - groups[-1][0] < 4:
            groups[-1][1].append(mark)
        else:
            groups.append((at, [mark]))
    return [
        (at, " · ".join(dict.fromkeys(mark.text for mark in group)), any(m.strong for m in group))
        for at, group in groups
    ]
