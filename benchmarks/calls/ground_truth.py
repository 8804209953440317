"""What is true of a rendered call, frame by frame, and what the script asks of it.

A frame is speech where the clean clip is within 30 dB of its own loud frames
(`training.source_clips.active_frames`) and not buried in the noise and the hiss of its line; gaps of less
than 0.3 s belong to the word. The end of a word is thus the last frame in which a listener could hear it.

A phrase is due in a silence within its window after the last sound of either side or of the phrase before it.
Where the client's line is digital zero in the silence:
  for good (the line went dead while there was hiss between the words before)    the dead-line window alone
  as after every word (a noise gate)                                             either window
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.labels import Run, Samples
from benchmarks.accuracy.signals import FULL_SCALE, frame_power
from benchmarks.calls.recipe import Carries, Recipe, Silence
from benchmarks.calls.recipe_sampling import TOLERANCE_S, phrase_frames, steps_of
from training.source_clips import runs
from vad_agent.core.actions import Reason
from vad_agent.core.frames import Channel, frames

Flags = NDArray[np.bool_]
GAP = frames(0.3)
"""A shorter gap belongs to the word."""
BURIED_DB = 5.0
"""A frame so far under noise and hiss is not heard."""
TOLERANCE = frames(TOLERANCE_S)


@dataclass(frozen=True, slots=True)
class Step:
    """One phrase that is due. Frames."""

    prompt: str
    lo: int
    """Of its window, tolerance included."""
    hi: int
    length: int
    """Of the phrase."""


@dataclass(frozen=True, slots=True)
class Due:
    """The ladder of one silence. Frames."""

    start: int
    """The end of the last sound of either side, or the beginning of the hold."""
    until: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a call."""

    speech: Mapping[Channel, tuple[Run, ...]]
    """Frames [first, last) in order."""
    due: tuple[Due, ...]
    callback: Reason | None

    def mask(self, channel: Channel, count: int) -> Flags:
        """Which of the call's `count` frames are that side's speech."""
        mask = np.zeros(count, bool)
        for first, last in self.speech[channel]:
            mask[first:last] = True
        return mask


def audible(active: Flags, clean: Samples, background_dbfs: float) -> Flags:
    """The frames of `active` in which the clean speech (units of one int16 step) can be heard."""
    level = 10 * np.log10(frame_power(clean) / FULL_SCALE**2 + 1e-12)
    return filled(active & (level >= background_dbfs - BURIED_DB))


def filled(speech: Flags) -> Flags:
    """Short gaps closed."""
    out = speech.copy()
    for start, end in runs(~speech):
        if start > 0 and end < len(out) and end - start < GAP:
            out[start:end] = True
    return out


def truth(recipe: Recipe, speech: Mapping[Channel, Flags]) -> Truth:
    """The truth of a call whose frames of speech are these."""
    known = {side: tuple(runs(flags)) for side, flags in speech.items()}
    either = sorted(run for side in known.values() for run in side)
    due = tuple(_due(recipe, silence, either) for silence in recipe.silences)
    return Truth(known, due, recipe.callback)


def _due(recipe: Recipe, silence: Silence, either: list[Run]) -> Due:
    start = max((last for first, last in either if first < silence.until), default=0)
    if silence.hold is not None:
        start = silence.hold
    steps = []
    for step in steps_of(silence.reason):
        lo, hi = step.window.lo, step.window.hi
        if (dead := step.dead_line_window) is not None:
            if recipe.gate is not None:
                lo, hi = min(lo, dead.lo), max(hi, dead.hi)
            elif _goes_dead(recipe, silence):
                lo, hi = dead.lo, dead.hi
        steps.append(Step(step.prompt, lo - TOLERANCE, hi + TOLERANCE, phrase_frames(step)))
    return Due(start, silence.until, tuple(steps))


def _goes_dead(recipe: Recipe, silence: Silence) -> bool:
    return any(
        stretch.carries is Carries.ZERO and stretch.end == silence.until
        for stretch in recipe.stretches
    )
