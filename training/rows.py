"""Rows of the training data: one channel each, as the product hears it, and what it truly carries.

columns  float16 (frames, COLUMNS)
speech   int8 (frames,): 1, 0, or -1 where nobody could say
music    int8 (frames,): the same of hold music
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import signals
from benchmarks.calls.render import frames_of
from vad_agent.audio.pcm import rms
from vad_agent.detection import endpointer
from vad_agent.detection.spectral_features import GROUP
from vad_agent.detection.third_party_detectors import earshot

Random = np.random.Generator
Samples = NDArray[np.float64]
Marks = NDArray[np.int8]
EDGES = 2, 4
"""Frames before and after speech that count neither way."""


class Row(NamedTuple):
    """One channel."""

    columns: NDArray[np.float16]
    speech: Marks
    music: Marks


def marked(speech: tuple[tuple[int, int], ...], count: int, tail: int = 0) -> Marks:
    """Runs of speech as marks, their edges doubtful."""
    out = np.zeros(count, np.int8)
    before, after = EDGES[0], max(EDGES[1], tail)
    for first, last in speech:
        out[max(first - before, 0) : last + after] = -1
    for first, last in speech:
        out[first + before : last] = 1
    return out


def sounding(samples: Samples) -> Marks:
    """Music where it can be heard; its own pauses are doubtful."""
    powers = signals.frame_power(samples)
    return np.where(powers > powers.mean() * 10**-2.5, 1, -1).astype(np.int8)


def heard(
    mine: NDArray[np.int16],
    theirs: NDArray[np.int16] | None,
    speech: Marks,
    their_speech: Marks,
    music: Marks,
    rng: Random,
) -> list[Row]:
    """One channel with the other in view. Now and then without earshot, as where it is not installed.

    Both learn how loud they are from the truth.
    """
    deaf = rng.random() < 0.08
    one = endpointer.feature_extractor(None if deaf else earshot())
    other = None if theirs is None else endpointer.feature_extractor(None if deaf else earshot())
    frames = frames_of(mine)
    others = frames_of(theirs) if theirs is not None else frames
    both = np.stack([speech, their_speech], axis=1).tolist()
    for frame, far, (said, they_said) in zip(frames, others, both, strict=True):
        if other is not None:
            other.feed(far, rms(far, 2), None)
            if they_said == 1:
                other.learn_level(other.smoothed)
        one.feed(frame, rms(frame, 2), other)
        if said == 1:
            one.learn_level(one.smoothed)
    count = len(frames) // GROUP * GROUP
    columns = one.take(count)
    return [Row(columns.astype(np.float16), speech[:count], music[:count])]


def save(rows: list[Row], path: Path) -> None:
    """All rows in one file, their lengths beside them."""
    np.savez(
        path,
        lengths=[len(row.speech) for row in rows],
        columns=np.concatenate([row.columns for row in rows]),
        speech=np.concatenate([row.speech for row in rows]),
        music=np.concatenate([row.music for row in rows]),
    )
