"""Impairments of one side of a call: noises, sounds, a room, a telephone, a codec, lost packets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_fixtures import g711
from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import FRAME, RATE
from benchmarks.calls import noises
from benchmarks.calls.noises import NOISES, Room
from benchmarks.calls.render import in_band
from benchmarks.calls.voices import Library
from training import augment
from training.rows import Marks, Random, Samples

TAIL = 8
"""Frames after speech in a room that count neither way."""


def events(speech: Marks, music: Marks, dbfs: float, rng: Random, source: Library) -> Samples:
    """Sounds as loud as the side's speech, where it is silent and no music plays."""
    out = np.zeros(len(speech) * FRAME)
    for _ in range(int(rng.integers(1, 7))):
        length = max(int(50 * np.exp(rng.uniform(np.log(0.06), np.log(12)))), 3)
        at = int(rng.integers(0, max(len(speech) - length, 1)))
        free = np.flatnonzero((speech[at : at + length] != 0) | (music[at : at + length] != 0))
        length = int(free[0]) - 1 if len(free) else min(length, len(speech) - at)
        if length < 3:
            continue
        sound = _event(length * FRAME, rng, source)
        level = min(dbfs + rng.uniform(-14, 8), -8.0)
        sound = signals.at_level(sound, level, active=True) if np.any(sound) else sound
        out[at * FRAME : (at + length) * FRAME] += sound
    return out


def _event(count: int, rng: Random, source: Library) -> Samples:
    """A sound of one kind that is no speech."""
    kind = int(rng.integers(10))
    if kind in (8, 9):
        return np.asarray(augment.texture(rng, count), np.float64)
    if kind in (0, 1):
        return np.asarray(augment.tones(rng, count), np.float64)
    if kind in (2, 3):  # noise that sets in
        shaped = augment.shaped(
            rng, count, -float(rng.uniform(-3, 8)), float(rng.choice([0, 4, 8]))
        )
        return np.asarray(shaped, np.float64)
    if kind == 4:
        return noises.keys(count, rng, Room(source, ()))
    if kind == 5:
        return sparse(count, rng)
    if kind == 6:
        return np.asarray(augment.hum(rng, count), np.float64)
    return recorded(count, rng, source)


def through_telephone(samples: Samples, rng: Random) -> tuple[Samples, int]:
    """What a room, a telephone and a codec make of a side; frames for which a word may ring on."""
    out, tail = (samples / signals.FULL_SCALE).astype(np.float32), 0
    if rng.random() < 0.15:
        out, tail = augment.in_room(rng, out), TAIL
    if rng.random() < 0.2:
        out = augment.equalise(rng, out, 6.0)
    if rng.random() < 0.15:
        out = augment.telephone(rng, out)
    if rng.random() < 0.1:
        out = augment.level_control(rng, out)
    if rng.random() < 0.06:
        out = augment.overdriven(rng, out)
    if rng.random() < 0.12:
        out = augment.gsm(out)
    return out.astype(np.float64) * signals.FULL_SCALE, tail


def disturbed(samples: Samples, dbfs: float, rng: Random, source: Library) -> Samples:
    """One noise more, 14 to 32 dB under the speech, now and then only for a while."""
    noise = any_noise(len(samples), rng, source)
    if noise is None:
        return samples
    noise = signals.at_level(in_band(noise), dbfs - rng.uniform(14, 32), active=True)
    if rng.random() < 0.4:
        start = int(rng.integers(len(samples)))
        noise[:start] = 0
    return samples + noise


def any_noise(count: int, rng: Random, source: Library) -> Samples | None:
    """Of the benchmark's kinds, recorded, or made otherwise."""
    others = {
        "street": augment.street, "steady": augment.steady, "car": augment.car, "hum": augment.hum,
        "tones": augment.tones, "melody": augment.melody, "texture": augment.texture,
    }  # fmt: skip
    names = [*NOISES, *others, *["texture"] * 7, *["sparse"] * 5, *["recorded"] * 5]
    name = names[int(rng.integers(len(names)))]
    if name == "sparse":
        return sparse(count, rng)
    if name in others:
        return np.asarray(others[name](rng, count), np.float64)
    if name == "recorded":
        return recorded(count, rng, source)
    maker = NOISES[name]
    return None if maker is None else maker(count, rng, Room(source, list(source.voices)))


def recorded(count: int, rng: Random, source: Library) -> Samples:
    """One recorded noise again and again, or several one after the other."""
    if rng.random() < 0.4:
        return noises.recorded(count, rng, Room(source, ()))
    out, at = np.zeros(count), 0
    while at < count:
        noise = source.noises[int(rng.integers(len(source.noises)))]
        piece = augment.vary_speed(rng, np.asarray(noise, np.float32), 0.6, 1.6)[: count - at]
        out[at : at + len(piece)] = piece * rng.uniform(0.3, 1)
        at += len(piece) + int(rng.exponential(0.5) * RATE)
    return out


def sparse(count: int, rng: Random) -> Samples:
    """Single sounds: knocks, breaths, rustles, cutlery, wind in the microphone."""
    out = np.zeros(count + 4 * RATE)
    kind, at = int(rng.integers(5)), 0
    every = rng.uniform(0.1, 1.5)
    while at < count:
        if kind == 0:
            sound = augment.knock(rng)
        elif kind == 1:
            sound = augment.breath(rng)
        elif kind == 2:  # rustle: a cluster of short bursts
            length = int(rng.uniform(0.2, 1.2) * RATE)
            sound = augment.shaped(rng, length, float(rng.uniform(-3, 4)), 5.0)
            points = rng.uniform(0, 1, max(length // 160, 2)) ** 4
            sound = sound * np.interp(
                np.arange(length), np.linspace(0, length, len(points)), points
            )
        elif kind == 3:  # cutlery: ringing partials
            length = int(rng.uniform(0.05, 0.4) * RATE)
            when = np.arange(length) / RATE
            sound = np.zeros(length)
            for _ in range(int(rng.integers(2, 6))):
                sound += np.sin(2 * np.pi * rng.uniform(900, 3600) * when) * np.exp(
                    -when * rng.uniform(10, 80)
                )
            sound /= np.abs(sound).max() + 1e-9
        else:  # wind: slow low gusts
            length = int(rng.uniform(0.3, 2.5) * RATE)
            sound = augment.shaped(rng, length, -float(rng.uniform(6, 12)), 3.0)
            sound = sound * np.hanning(length)
        out[at : at + len(sound)] += (sound * rng.uniform(0.2, 1))[: len(out) - at]
        at += int(rng.exponential(every) * RATE) + 400
    return out[:count]


def lost(samples: Samples, rng: Random) -> Samples:
    """Packets of zeros."""
    out = samples.copy()
    gone = signals.lost(len(out) // FRAME, rng.uniform(0.01, 0.08), rng.uniform(1.5, 4), rng)
    out[np.repeat(gone, FRAME)] = 0
    return out


def on_line(samples: Samples) -> NDArray[np.int16]:
    """Through A-law."""
    whole = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
    return g711.round_trip(whole, "alaw")
