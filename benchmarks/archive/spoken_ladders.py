"""Generated calls in which the operator, not the product, says the phrases: in time, early, late, or not.

    generated call ──render──> its silences ──a course for each──> the operator's clips there ──render──> call
                                                   └──> what the verdict on each phrase must be

A phrase is one clip of the operator's own voice: what is said does not matter, since a recording does not
tell it. The course of a silence is drawn with a seed of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import FRAME
from benchmarks.calls.ground_truth import TOLERANCE, Due, Step
from benchmarks.calls.recipe import Recipe, Utterance
from benchmarks.calls.render import RenderedCall, render
from benchmarks.calls.voices import Library
from training.source_clips import active_frames
from vad_agent.core.frames import Channel, frames, seconds
from vad_agent.trace.window_compliance import PhraseCompliance

LATER = frames(14.0)
"""A recording that ends in a silence is so much longer: a late phrase is late, not missing."""
EDGE = frames(0.1)
SHORTEST, LONGEST = frames(0.7), frames(3.0)
"""Of a phrase."""


class Course(StrEnum):
    """What the operator does in one silence."""

    KEEPS = "keeps"
    LATE = "late"
    EARLY = "early"
    SKIPS = "skips"
    LEAVES = "leaves"
    SILENT = "silent"


SHARES = {Course.KEEPS: 0.4, Course.LATE: 0.15, Course.EARLY: 0.1, Course.SKIPS: 0.1,
          Course.LEAVES: 0.15, Course.SILENT: 0.1}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """A phrase of one silence, and where its clip is heard; None: the operator leaves it out. Frames."""

    due: Due
    step: Step
    at: int | None
    held: bool
    """Its window counts the hold."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the verdict on a phrase must be. Seconds: the silence in which it was due."""

    prompt: str
    status: PhraseCompliance
    start: float
    until: float


@dataclass(frozen=True, slots=True)
class SpokenCall:
    """The call with the operator's phrases, and what must be said of them."""

    call: RenderedCall
    expected: Sequence[Expected]
    in_band: Sequence[Expected]
    """The same by the truth within the telephone's band."""


def spoken(recipe: Recipe, library: Library) -> SpokenCall:
    """A generated call in which the operator says the phrases."""
    longer = _longer(recipe)
    plain = render(longer, library)
    rng = signals.random(recipe.name, "phrases")
    clips = _phrases(longer, library)
    said: list[Utterance] = []
    planned: list[Planned] = []
    for due in plain.truth.due:
        phrases, told = _ladder(due, rng, clips, longer.operator.voice)
        said += phrases
        planned += told
    changed = replace(longer, said=tuple(sorted([*longer.said, *said], key=lambda one: one.at)))
    call = render(changed, library)
    return SpokenCall(
        call,
        _all_expected(planned, call.truth.speech),
        _all_expected(planned, call.in_band),
    )


def _all_expected(
    planned: Sequence[Planned], speech: Mapping[Channel, Sequence[tuple[int, int]]]
) -> list[Expected]:
    either = sorted(run for side in speech.values() for run in side)
    return [_expected(one, either, speech[Channel.OPERATOR]) for one in planned]


def _expected(
    planned: Planned, either: Sequence[tuple[int, int]], operator: Sequence[tuple[int, int]]
) -> Expected:
    """By the true gap before what is heard; UNKNOWN: so near to an edge that either verdict is right."""
    due, step = planned.due, planned.step
    start, until = seconds(due.start), seconds(due.until)
    at = planned.at
    if at is None:
        return Expected(step.prompt, PhraseCompliance.MISSING, start, until)
    begun = min((first for first, _ in operator), key=lambda first: abs(first - at))
    ends = [last for first, last in either if first < begun]
    base = due.start if planned.held else max(ends, default=0)
    waited = begun - base
    if min(abs(waited - step.lo), abs(waited - step.hi)) < EDGE:
        return Expected(step.prompt, PhraseCompliance.UNKNOWN, start, until)
    status = PhraseCompliance.SAID
    if waited < step.lo:
        status = PhraseCompliance.EARLY
    elif waited > step.hi:
        status = PhraseCompliance.LATE
    return Expected(step.prompt, status, start, until)


def _longer(recipe: Recipe) -> Recipe:
    """A recording whose last silence has room for late phrases."""
    last = recipe.silences[-1] if recipe.silences else None
    if last is None or recipe.frames - last.until > frames(0.1):
        return recipe
    end = recipe.frames + LATER
    stretches = tuple(
        replace(one, end=end) if one.end >= last.until else one for one in recipe.stretches
    )
    silences = (*recipe.silences[:-1], replace(last, until=end))
    return replace(recipe, frames=end, silences=silences, stretches=stretches)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is long enough for a phrase. Frames; its voice is heard in [first, last)."""

    number: int
    length: int
    first: int
    last: int


def _phrases(recipe: Recipe, library: Library) -> list[Clip]:
    leg = recipe.operator
    found = []
    for number in range(len(library.voices[leg.voice])):
        length = library.length(leg.voice, number, leg.speed)
        if SHORTEST <= length <= LONGEST:
            clip = library.clip(leg.voice, number, leg.speed)
            padded = np.pad(clip, (0, length * FRAME - len(clip)))
            heard = np.flatnonzero(active_frames(padded.astype(np.float32)))
            found.append(Clip(number, length, int(heard[0]), int(heard[-1]) + 1))
    return found


def _ladder(
    due: Due, rng: np.random.Generator, clips: Sequence[Clip], voice: str
) -> tuple[list[Utterance], list[Planned]]:
    course = rng.choice(list(SHARES), p=list(SHARES.values()))
    odd = int(rng.integers(len(due.steps)))
    said: list[Utterance] = []
    found: list[Planned] = []
    base, missed = due.start, 0

    def tell(step: Step, at: int | None) -> None:
        found.append(Planned(due, step, at, held=step.lo > frames(10)))

    for number, step in enumerate(due.steps):
        lo, hi = step.lo + TOLERANCE, step.hi - TOLERANCE
        gone = course == Course.SILENT or (course == Course.LEAVES and number >= odd)
        gone = gone or (course == Course.SKIPS and number == odd and number < len(due.steps) - 1)
        if gone:
            missed += hi
            if base + missed + TOLERANCE > due.until:
                break  # it may have been about to be said
            tell(step, None)
            continue
        waited = int(rng.uniform(lo + 5, hi - 5))
        if course == Course.LATE and number == odd:
            waited = hi + frames(rng.uniform(0.7, 3.0))
        elif course == Course.EARLY and number == odd and lo > frames(1.8) and lo < frames(10):
            waited = lo - frames(rng.uniform(0.6, 0.9))
        clip = clips[int(rng.integers(len(clips)))]
        at = base + waited - clip.first
        if at + clip.length + 25 > due.until:  # there is no room for it
            if base + missed + hi + TOLERANCE <= due.until:
                tell(step, None)
            break
        said.append(Utterance(Channel.OPERATOR, voice, clip.number, at, clip.length))
        tell(step, at + clip.first)
        base, missed = at + clip.last, 0
    return said, found
