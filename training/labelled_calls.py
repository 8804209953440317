"""Stretches of a folder of labelled real calls, changed as generated calls are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.accuracy import labels, signals
from benchmarks.accuracy.labels import FRAME, RATE
from training.impairments import disturbed, lost, on_line
from training.library import library
from training.rows import Row, heard, marked
from training.source_clips import runs
from vad_agent.core.frames import Channel

STRETCH = 80 * 50
"""Frames."""


@cache
def real_calls(folder: Path) -> list[labels.LabelledCall]:
    """The labelled calls of the folder."""
    return labels.load_calls(folder, "tuning")


def real(number: int, cache: Path, folder: Path) -> list[Row]:
    """One side of a stretch of a real call, the other side there, leaking, quiet or dead."""
    rng = signals.random("real stretch", str(number))
    source = library(rng, cache, folder, number)
    calls = real_calls(folder)
    call = calls[int(rng.integers(len(calls)))]
    side = (Channel.CLIENT, Channel.OPERATOR)[number % 2]
    other = Channel.OPERATOR if side is Channel.CLIENT else Channel.CLIENT
    speed = float(rng.uniform(0.8, 1.25))
    need = int(STRETCH * speed) + 2
    total = call.labels[side].frames
    start = int(rng.integers(max(total - need, 1)))
    mine, theirs = (
        labels.resampled(
            call.samples[one][start * FRAME : (start + need) * FRAME], RATE * speed, RATE
        )
        for one in (side, other)
    )
    count = min(len(mine), len(theirs)) // FRAME
    mine, theirs = mine[: count * FRAME], theirs[: count * FRAME]
    known = call.labels[side]
    at = np.minimum((start + (np.arange(count) + 0.5) * speed).astype(int), total - 1)
    said, they_said = (call.labels[one].mask()[:total][at] for one in (side, other))
    edge = np.zeros(total, np.int8)
    for first, last in known.ambiguous + known.buried:
        edge[max(first - 2, 0) : last + 4] = -1
    speech = marked(tuple(runs(said)), count)
    speech[edge[at] == -1] = -1
    gain = float(rng.uniform(-26, 6))
    mine = signals.amplify(mine, gain)
    level = signals.active_level(mine, speech == 1) if (speech == 1).any() else -40.0
    mine = mine + signals.at_level(rng.standard_normal(len(mine)), rng.uniform(-75, -60))
    if rng.random() < 0.75:
        mine = disturbed(mine, level, rng, source)
    theirs = signals.amplify(theirs, float(rng.uniform(-14, 6)))
    way = rng.random()
    if way < 0.3:
        delay = int(rng.uniform(0.02, 0.4) * RATE)
        echo = signals.amplify(theirs, -rng.uniform(20, 40))
        mine[delay:] += echo[: len(mine) - delay]
    elif way < 0.5:
        theirs = signals.at_level(rng.standard_normal(len(theirs)), rng.uniform(-75, -50))
    elif way < 0.7:
        theirs = np.zeros(len(theirs))
    if rng.random() < 0.4:
        mine = lost(mine, rng)
    far = None if way > 0.9 else on_line(theirs)
    there = they_said.astype(np.int8) if way >= 0.7 or way < 0.3 else np.zeros(count, np.int8)
    return heard(on_line(mine), far, speech, there, np.zeros(count, np.int8), rng)
