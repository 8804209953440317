"""Calls of two channels, and the labels of each frame.

A folder has `calls/NAME.flac` (or .wav) with `NAME.labels.json`:

    {"sample_rate_hz": 8000, "frame_ms": 20, "channels": ["operator", "client"],
     "client": {"frames": 12269, "speech": [[48, 67], …], "ambiguous": [[109, 118], …]}, …}

Runs are [first, last) in frames of 20 ms. `CHANNEL_buried_in_noise` (optional) are runs of speech so
weak that only the recording as it is has them: in every other condition they are ambiguous.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from vad_agent.core.frames import FRAME_MS, Channel

RATE = 8_000
"""Hz; everything is measured on the telephone's band."""
FRAME = RATE * FRAME_MS // 1000
"""Samples in one frame."""

Samples = NDArray[np.float64]
"""Mono samples in units of one int16 step."""
Run = tuple[int, int]
"""Frames [first, last)."""


class LabelsError(Exception):
    """A file of the folder cannot be used: the text says which and why."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What one channel carries, in frames."""

    frames: int
    speech: tuple[Run, ...]
    """In order, not touching."""
    ambiguous: tuple[Run, ...] = ()
    """Breath, coughs, a far voice: heard or not, it is no fault."""
    buried: tuple[Run, ...] = ()
    """Speech that noise covers."""
    music: tuple[Run, ...] = ()
    """Hold music of the recording itself: no speech, but it takes seconds to be known."""

    def in_noise(self) -> Labels:
        """With the buried runs as ambiguous ones."""
        speech = tuple(run for run in self.speech if run not in self.buried)
        return replace(
            self, speech=speech, ambiguous=tuple(sorted(self.ambiguous + self.buried)), buried=()
        )

    def mask(self) -> NDArray[np.bool_]:
        """True where speech is."""
        mask = np.zeros(self.frames, bool)
        for first, last in self.speech:
            mask[first:last] = True
        return mask


@dataclass(frozen=True, slots=True)
class LabelledCall:
    """A clean recording with its labels."""

    name: str
    part: str
    """tuning or test."""
    samples: Mapping[Channel, Samples]
    labels: Mapping[Channel, Labels]
    note: str = field(default="")

    def first(self, frames: int) -> LabelledCall:
        """Its beginning."""
        return replace(
            self,
            samples={side: samples[: frames * FRAME] for side, samples in self.samples.items()},
            labels={side: _cut(labels, frames) for side, labels in self.labels.items()},
        )


def _cut(labels: Labels, frames: int) -> Labels:
    def runs(of: Sequence[Run]) -> tuple[Run, ...]:
        return tuple((first, min(last, frames)) for first, last in of if first < frames)

    return Labels(
        min(frames, labels.frames),
        runs(labels.speech),
        runs(labels.ambiguous),
        runs(labels.buried),
        runs(labels.music),
    )


def read_audio(path: Path) -> Samples:
    """All channels, shape (samples, channels), at 8 kHz.

    Raises:
        LabelsError: the file cannot be read.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise LabelsError(f"{path}: {error}") from error
    return resampled(np.asarray(samples * 32_768, dtype=np.float64), rate, RATE)


def resampled(samples: Samples, rate_from: float, rate_to: float) -> Samples:
    """At another rate; between rates that are not the file's own, at another speed and pitch."""
    if rate_from == rate_to:
        return samples
    return np.asarray(soxr.resample(samples, rate_from, rate_to), dtype=np.float64)


def read_mono(path: Path) -> Samples:
    """The mean of the file's channels."""
    mono: Samples = read_audio(path).mean(axis=1)
    return mono


def load_calls(folder: Path, part: str) -> list[LabelledCall]:
    """Every call of the folder that has labels, all of one part.

    Raises:
        LabelsError: a recording or its labels cannot be used.
    """
    return [_load(path, part) for path in sorted((folder / "calls").glob("*.labels.json"))]


def _load(path: Path, part: str) -> LabelledCall:
    name = path.name.removesuffix(".labels.json")
    found = [
        file for kind in ("flac", "wav") if (file := path.with_name(f"{name}.{kind}")).exists()
    ]
    if not found:
        raise LabelsError(f"{path}: expected {name}.flac or {name}.wav beside it")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["frame_ms"] != FRAME_MS:
            raise LabelsError(f"{path}: frame_ms: expected {FRAME_MS}, got {table['frame_ms']}")
        sides = [Channel(side) for side in table["channels"]]
        labels = {
            side: Labels(
                table[side]["frames"],
                _runs(table[side]["speech"]),
                _runs(table[side].get("ambiguous", ())),
                _runs(table.get(f"{side}_buried_in_noise", ())),
            )
            for side in sides
        }
    except (ValueError, KeyError, TypeError) as error:
        raise LabelsError(f"{path}: {type(error).__name__}: {error}") from error
    audio = read_audio(found[0])
    if audio.shape[1] != len(sides) or set(sides) != set(Channel):
        raise LabelsError(
            f"{path}: expected an operator and a client, got {audio.shape[1]} channels"
        )
    frames = min(*(one.frames for one in labels.values()), len(audio) // FRAME)
    samples = {side: audio[:, column] for column, side in enumerate(sides)}
    return LabelledCall(name, part, samples, labels, "given").first(frames)


def _runs(table: Sequence[Sequence[int]]) -> tuple[Run, ...]:
    return tuple((int(first), int(last)) for first, last in table)
