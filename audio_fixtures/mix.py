"""Stage 2: a recording out of its recipe and the committed clips, the same bit for bit everywhere.

background (seeded) + clips (gain, cut) ──> channels ──> line (A-law, µ-law) ──> file
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from audio_fixtures import clips, dsp, g711
from audio_fixtures.clips import FixtureError
from audio_fixtures.recipe import CHANNELS, FRAMES_PER_SECOND, Recipe, Run, Sound

Samples = NDArray[np.int16]

_EVENT_TIME_S = 1 / FRAMES_PER_SECOND
_CUT_FADE_S = 0.005
_NOISE_HZ = (300.0, 3400.0)


def mix_rate(recipe: Recipe) -> int:
    """Samples a second while mixing; a 44.1 kHz file is converted at the end."""
    return 8_000 if recipe.rate == 44_100 else recipe.rate


def channel(recipe: Recipe, side: str) -> Samples:
    """One channel as it is in the file, int16.

    Raises:
        FixtureError: a sample would pass full scale.
    """
    rate = mix_rate(recipe)
    out = np.concatenate(
        [
            _background(run, rate, (recipe.seed, CHANNELS.index(side), index))
            for index, run in enumerate(recipe.background[side])
        ]
    )
    for sound in recipe.sounds:
        if sound.channel == side:
            samples = _sound(sound, rate)
            start = sound.at * rate // FRAMES_PER_SECOND
            out[start : start + len(samples)] += samples
    out = dsp.resample(out, rate, recipe.rate)
    peak = int(np.abs(out).max())
    if peak >= dsp.FULL_SCALE:
        raise FixtureError(f"{recipe.name}: {side}: a sample of {peak} is over full scale")
    samples16 = out.astype(np.int16)
    if recipe.coding == "alaw":
        return g711.round_trip(samples16, "alaw")
    if recipe.coding == "ulaw":
        return g711.round_trip(samples16, "ulaw")
    return samples16


def _background(run: Run, rate: int, seed: tuple[int, ...]) -> dsp.Wide:
    count = (run.end - run.start) * rate // FRAMES_PER_SECOND
    if run.kind == "constant":
        return np.full(count, run.value, np.int64)
    return dsp.noise(count, run.level_db, dsp.band_pass(*_NOISE_HZ, rate, 41), *seed)


def _sound(sound: Sound, rate: int) -> dsp.Wide:
    clip = clips.catalogue()[sound.clip]
    samples = clips.load(sound.clip)
    if sound.cut is not None and sound.cut * clip.rate // FRAMES_PER_SECOND < len(samples):
        samples = samples[: sound.cut * clip.rate // FRAMES_PER_SECOND]
        samples = dsp.fade(samples, 0, round(_CUT_FADE_S * clip.rate))
    return dsp.gain(dsp.resample(samples, clip.rate, rate), sound.gain_db)


def render(recipe: Recipe) -> dict[Path, Samples]:
    """Every audio file of the recipe: samples, (frames × channels) or (frames,)."""
    files: dict[Path, Samples] = {}
    for path, sides in recipe.recordings.items():
        channels = [channel(recipe, side) for side in sides]
        files[path] = channels[0] if len(channels) == 1 else np.stack(channels, axis=1)
    return files


def events_text(recipe: Recipe) -> str:
    """NAME.events.jsonl: one event a line, `t` in seconds."""
    lines: list[str] = []
    for event in recipe.events:
        body: dict[str, Any] = dict(event)
        at = int(body.pop("at"))
        # A callback's agreed time is a field of the event itself, so the recipe calls it `agreed_at`.
        if "agreed_at" in body:
            body["at"] = body.pop("agreed_at")
        line = {"t": round(at * _EVENT_TIME_S, 2)} | body
        lines.append(json.dumps(line, ensure_ascii=False))
    return "".join(line + "\n" for line in lines)


_SUBTYPES = {"pcm": "PCM_16", "alaw": "ALAW", "ulaw": "ULAW"}


def subtype(recipe: Recipe) -> str:
    """How the file stores its samples: FLAC has no companded form and keeps them as they came."""
    return _SUBTYPES[recipe.coding] if recipe.file == "wav" else "PCM_16"


def read(path: Path) -> Samples | None:
    """A committed recording's samples, or None where it is missing."""
    if not path.exists():
        return None
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples, dtype=np.int16)


def differs(path: Path, samples: Samples, recipe: Recipe) -> bool:
    """The committed file is missing, or has other samples, another rate or another coding."""
    found = read(path)
    if found is None or not np.array_equal(found, samples):
        return True
    info = soundfile.info(path)
    return bool(info.samplerate != recipe.rate or info.subtype != subtype(recipe))


def rebuild(recipe: Recipe, check: bool) -> list[str]:
    """Names of the recipe's files that differ from what it says; unless `check`, written anew."""
    changed: list[str] = []
    for path, samples in render(recipe).items():
        if differs(path, samples, recipe):
            changed.append(path.name)
            if not check:
                soundfile.write(path, samples, recipe.rate, subtype=subtype(recipe))
    text = events_text(recipe)
    path = recipe.events_path
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    if text != found:
        changed.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
    return changed
