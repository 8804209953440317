"""Every call in every condition through every contender: which decisions were right."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from benchmarks.accuracy import assembled_dialogues, conditions, scoring, split
from benchmarks.accuracy.conditions import Condition
from benchmarks.accuracy.contenders import CONTENDERS, Detections
from benchmarks.accuracy.labels import LabelledCall, Labels, load_calls
from benchmarks.accuracy.scoring import Score, WrongDecision
from vad_agent.core.frames import Channel, frames

QUICK_CALLS = 2
"""Made calls of a part."""
QUICK_FRAMES = frames(60)


@dataclass(frozen=True, slots=True)
class Task:
    """One call in one condition."""

    call: LabelledCall
    condition: Condition
    contenders: tuple[str, ...]
    folder: Path


@dataclass(slots=True)
class CallDecisions:
    """What one contender decided on one call in one condition, all judged channels together."""

    call: str
    given: bool
    """Not made here."""
    condition: Condition
    contender: str
    score: Score = field(default_factory=Score)
    faults: list[tuple[Channel, WrongDecision]] = field(default_factory=list)
    taken_for_music: int = 0
    """Frames of labelled speech; where music does play, none."""


def calls(folder: Path, parts: Sequence[str], *, quick: bool) -> list[LabelledCall]:
    """The given ones, all test, and the made ones.

    Raises:
        LabelsError: a file cannot be used, or a Debian package is missing.
    """
    given = load_calls(folder, "test") if "test" in parts else []
    count = QUICK_CALLS if quick else assembled_dialogues.CALLS
    found = given + [
        assembled_dialogues.assemble(part, number) for part in parts for number in range(count)
    ]
    return [call.first(QUICK_FRAMES) for call in found] if quick else found


def tasks(
    folder: Path, part: str, contenders: Sequence[str], *, quick: bool, only: Sequence[str] = ()
) -> list[Task]:
    """All work, the longest calls first. `only`: conditions with one of these words in their names."""
    parts = split.PARTS if part == "all" else (part,)
    rows = conditions.QUICK if quick else conditions.CONDITIONS
    rows = tuple(row for row in rows if not only or any(word in row.name for word in only))
    return [
        Task(call, condition, tuple(contenders), folder)
        for call in calls(folder, parts, quick=quick)
        for condition in rows
    ]


def evaluate(task: Task) -> list[CallDecisions]:
    """One outcome for each contender."""
    call, condition = task.call, task.condition
    audio = conditions.apply(condition, call, task.folder)
    found = []
    for name in task.contenders:
        outcome = CallDecisions(call.name, call.note == "given", condition, name)
        for side in condition.sides:
            labels = call.labels[side]
            if condition.kind != "plain":
                labels = labels.in_noise()
            other = Channel.CLIENT if side is Channel.OPERATOR else Channel.OPERATOR
            heard = CONTENDERS[name](audio[side], audio[other], side)
            score, faults = scoring.score(labels, heard.fires)
            outcome.score += score
            outcome.faults += [(side, fault) for fault in faults]
            if condition.kind != "music":
                outcome.taken_for_music += _music_frames(heard, labels)
        found.append(outcome)
    return found


def _music_frames(heard: Detections, labels: Labels) -> int:
    if heard.music is None:
        return 0
    taken = heard.music & labels.mask()[: len(heard.music)]
    for _, last in labels.music:
        taken[last : last + frames(4)] = (
            False  # that music has ended takes seconds to be known, too
        )
    return int(taken.sum())


def evaluate_all(work: Sequence[Task], jobs: int) -> Iterator[list[CallDecisions]]:
    """As they are done, in order."""
    if jobs == 1:
        yield from map(evaluate, work)
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(evaluate, work)
