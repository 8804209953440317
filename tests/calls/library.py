"""A small library of the committed clips: calls without a package."""

from __future__ import annotations

from functools import cache

import numpy as np

from audio_fixtures import clips
from benchmarks.calls.voices import Library
from training import source_clips


def _of(voice: str) -> list[source_clips.Float32Array]:
    found = []
    for clip in clips.catalogue().values():
        if (
            clip.name.startswith(f"{voice}_")
            and clip.kind == "speech"
            and clip.rate == source_clips.RATE
        ):
            samples = (clips.load(clip.name) / 32_768).astype(np.float32)
            if (spoken := source_clips.clean_speech(samples)) is not None:
                found.append(spoken)
    return found


def _music() -> list[source_clips.Float32Array]:
    pieces = [
        clips.load(clip.name) / 32_768
        for clip in clips.catalogue().values()
        if clip.kind == "music" and clip.rate == source_clips.RATE
    ]
    return [(piece / np.sqrt((piece**2).mean())).astype(np.float32) for piece in pieces]


@cache
def small() -> Library:
    """Three voices, the fixtures' hold music, no keys."""
    return Library({voice: _of(voice) for voice in ("man", "caller", "woman")}, _music(), ())
