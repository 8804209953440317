"""What one call of the training data is made of: some voices, music, keys and noises of the pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import RATE
from benchmarks.calls import voices
from benchmarks.calls.voices import Library
from training import augment, source_clips
from training.rows import Random, Samples

SPEAKERS = 8
"""Voices of one call: two that talk, the others for babble and television."""
SYNTHETIC, SYLLABLES = 0.15, 0.15
"""Share of voices that a program speaks, and of those that say syllables only."""
PIECES = 6
"""Of music, in one call."""


@dataclass(frozen=True)
class Varied(Library):
    """What one call is made of: each voice in its own room, some of its words mumbled or whispered."""

    seed: int = 0

    def clip(self, voice: str, number: int, speed: float = 1.0) -> Samples:
        """One clip. The same each time."""
        clip = super().clip(voice, number, speed)
        manner = signals.random(str(self.seed), voice)
        said = signals.random(str(self.seed), voice, str(number))
        varied = clip.astype(np.float32)
        drawn = said.random()
        if drawn < 0.03:
            varied = augment.whispered(said, varied)
        elif drawn < 0.15:
            varied = augment.mumbled(said, varied)
        if manner.random() < 0.5:
            varied = augment.equalise(manner, varied)
        if manner.random() < 0.35:
            varied = augment.in_room(manner, varied)
        return varied.astype(np.float64)


@cache
def pools(cache: Path) -> source_clips.Pools:
    """All clips that can be used."""
    found = source_clips.build(cache)
    for number, voice in enumerate(found.voices):
        rng = signals.random("hums", voice.name)
        clips = [clip for clip in voice.clips if voices.usable(clip)]
        words = [word for clip in clips for word in source_clips.words(clip) if voices.usable(word)]
        most = min(len(words), len(clips) // 3)
        short = [words[at] for at in sorted(rng.choice(len(words), most, replace=False))]
        clips += [*short, *(augment.hum_word(rng) for _ in range(len(clips) // 20))]
        found.voices[number] = source_clips.Voice(voice.name, clips)
    found.voices = [voice for voice in found.voices if len(voice.clips) >= 8]
    return found


@cache
def recordings(folder: Path | None) -> Sequence[NDArray[np.floating]]:
    """Recorded noises of a folder of labelled calls."""
    return voices.given(folder, "tuning").noises if folder else ()


def library(rng: Random, cache: Path, folder: Path | None, seed: int) -> Varied:
    """Some voices, pieces of music and noises."""
    source = pools(cache)
    groups: dict[str, list[source_clips.Voice]] = {
        "": [],
        "espeak": [],
        "flite": [],
        "syllables": [],
    }
    for voice in source.voices:
        first = voice.name.split()[0]
        groups[first if first in groups else ""].append(voice)
    synthetic, syllables = groups["espeak"] + groups["flite"], groups["syllables"]
    chosen: dict[str, list[source_clips.Float32Array]] = {}
    while len(chosen) < SPEAKERS:
        drawn = rng.random()
        group = synthetic if drawn < SYNTHETIC else groups[""]
        if SYNTHETIC <= drawn < SYNTHETIC + SYLLABLES:
            group = syllables
        voice = group[int(rng.integers(len(group)))]
        chosen[voice.name] = voice.clips
    music = []
    for _ in range(PIECES):
        if rng.random() < 0.15:
            music.append(made_music(rng))
        else:
            piece = source.music[int(rng.integers(len(source.music)))]
            varied = rng.random() < 0.5
            music.append(augment.vary_speed(rng, piece, 0.85, 1.2) if varied else piece)
    sounds = [source.sounds[int(at)] for at in rng.integers(len(source.sounds), size=12)]
    return Varied(chosen, music, source.keys, [*sounds, *recordings(folder)], seed)


def made_music(rng: Random) -> source_clips.Float32Array:
    """Notes of made instruments."""
    count = 25 * RATE
    made = augment.melody(rng, count) * rng.uniform(0.2, 1)
    drawn = rng.random()
    if drawn < 0.5:
        made = made + augment.lead(rng, count) * rng.uniform(0.3, 1)
    if drawn > 0.66:
        made = made + augment.melody(rng, count)
    return augment.unit(made)
