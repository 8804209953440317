"""Noises and their levels. Samples are float64 in units of one int16 step at 8 kHz; levels are dBFS RMS.

Everything random comes from `random(words…)`: the same words, the same noise.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.labels import FRAME, RATE, Samples, read_mono

FULL_SCALE = 32_768.0
LOOP = 30 * RATE
"""Stationary noise repeats after so many samples, without a seam."""


def random(*words: str) -> np.random.Generator:
    """A generator of its own for whatever the words name."""
    return np.random.default_rng([zlib.crc32(word.encode()) for word in words])


# -- levels ----------------------------------------------------------------------------------------


def power(samples: Samples) -> float:
    """Mean square."""
    return float(np.mean(samples**2)) if len(samples) else 0.0


def level(samples: Samples) -> float:
    """dBFS RMS; silence is -inf."""
    mean = power(samples)
    return 10 * math.log10(mean / FULL_SCALE**2) if mean > 0 else -math.inf


def frame_power(samples: Samples) -> NDArray[np.float64]:
    """Mean square of each whole frame."""
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.asarray((whole**2).mean(axis=1), dtype=np.float64)


def active_level(samples: Samples, mask: NDArray[np.bool_] | None = None) -> float:
    """dBFS RMS of the frames of `mask`; without one, of those within 30 dB of the loudest."""
    powers = frame_power(samples)
    if mask is None:
        mask = powers >= powers.max(initial=0.0) * 1e-3
    chosen = powers[mask[: len(powers)]]
    mean = float(chosen.mean()) if len(chosen) else 0.0
    return 10 * math.log10(mean / FULL_SCALE**2) if mean > 0 else -math.inf


def amplify(samples: Samples, decibels: float) -> Samples:
    """Louder by so many dB."""
    louder: Samples = samples * 10 ** (decibels / 20)
    return louder


def at_level(samples: Samples, dbfs: float, *, active: bool = False) -> Samples:
    """Brought to a level; `active`: that of its loud frames."""
    now = active_level(samples) if active else level(samples)
    return samples if now == -math.inf else amplify(samples, dbfs - now)


# -- noises, each `count` samples long ---------------------------------------------------------------


def looped(samples: Samples, count: int, rng: np.random.Generator) -> Samples:
    """From a random place on, over and over."""
    start = int(rng.integers(len(samples)))
    return np.resize(np.roll(samples, -start), count)


def shaped(count: int, rng: np.random.Generator, slope: float, low_hz: float) -> Samples:
    """Noise whose power falls as frequency to the `slope`, nothing below `low_hz`."""
    hz = np.fft.rfftfreq(LOOP, 1 / RATE)
    shape = np.where(hz >= low_hz, np.maximum(hz, 1.0) ** (-slope / 2), 0.0)
    bell = rng.standard_normal((2, len(hz)))
    return looped(np.fft.irfft((bell[0] + 1j * bell[1]) * shape, LOOP), count, rng)


def pink(count: int, rng: np.random.Generator) -> Samples:
    """3 dB less each octave."""
    return shaped(count, rng, 1.0, 60.0)


def white(count: int, rng: np.random.Generator) -> Samples:
    """A line's hiss, and comfort noise."""
    return shaped(count, rng, 0.0, 100.0)


def car(count: int, rng: np.random.Generator) -> Samples:
    """Road and wind (power falls as frequency squared) that swells slowly, over an engine's hum."""
    road = shaped(count, rng, 2.0, 80.0)
    at = np.arange(count) / RATE
    swell = 10 ** (3 * np.sin(2 * math.pi * at / 7 + rng.uniform(0, 6)) / 20)
    turns = 2 * math.pi * np.cumsum(28 + 3 * np.sin(2 * math.pi * at / 11)) / RATE
    engine = np.zeros(count)
    for k in range(3, 9):
        engine += np.sin(k * turns + rng.uniform(0, 6)) / k
    mixed: Samples = road * swell / road.std() + 0.3 * engine / engine.std()
    return mixed


def typing(count: int, rng: np.random.Generator, keys: Sequence[Path]) -> Samples:
    """Keys struck 4 to 8 times a second in bursts of 1 to 5 s, with pauses of up to 2 s."""
    return struck(count, rng, [_click(path) for path in keys])


def struck(count: int, rng: np.random.Generator, keys: Sequence[Samples]) -> Samples:
    """The same of clicks as samples; made ones where there are none."""
    clicks = [at_level(click, -30, active=True) for click in keys] or [
        _made_click(rng) for _ in range(12)
    ]
    out = np.zeros(count + RATE)
    now, burst_ends = 0.0, rng.uniform(1, 5)
    while now * RATE < count:
        click = amplify(clicks[int(rng.integers(len(clicks)))], rng.uniform(-6, 3))[:RATE]
        start = int(now * RATE)
        out[start : start + len(click)] += click
        now += rng.uniform(0.125, 0.25)
        if now >= burst_ends:
            now += rng.uniform(0.2, 2)
            burst_ends = now + rng.uniform(1, 5)
    return out[:count]


def _click(path: Path) -> Samples:
    return read_mono(path)[: RATE // 4]


def _made_click(rng: np.random.Generator) -> Samples:
    """Two strokes of noise and a ringing housing, 60 ms."""
    at = np.arange(RATE * 60 // 1000) / RATE
    strokes = np.exp(-at / 0.003) + 0.5 * np.exp(-np.abs(at - 0.03) / 0.002)
    ring = np.sin(2 * math.pi * rng.uniform(800, 3000) * at) * np.exp(-at / 0.01)
    return at_level(strokes * rng.standard_normal(len(at)) + 0.5 * ring, -30, active=True)


def breath(count: int, rng: np.random.Generator) -> Samples:
    """In and out: 0.6 to 1.2 s of noise around 1.5 kHz that swells and fades, then a pause."""
    hiss = shaped(count, rng, 1.0, 400.0)
    envelope = np.zeros(count)
    now = 0.0
    while now * RATE < count:
        length = int(rng.uniform(0.6, 1.2) * RATE)
        start = int(now * RATE)
        piece = np.hanning(length)[: max(0, count - start)] * rng.uniform(0.5, 1.0)
        envelope[start : start + len(piece)] = piece
        now += length / RATE + rng.uniform(0.4, 1.5)
    return hiss * envelope


def tone(count: int, hertz: Sequence[float], on_s: float, off_s: float) -> Samples:
    """Sines of equal level, switched on and off (5 ms ramps); off_s = 0: continuous."""
    at = np.arange(count) / RATE
    sines = sum((np.sin(2 * math.pi * f * at) for f in hertz), np.zeros(count))
    if not off_s:
        return sines
    inside = at % (on_s + off_s)
    ramp = np.clip(np.minimum(inside, on_s - inside) / 0.005, 0, 1)
    return sines * ramp


DTMF = {
    "1": (697, 1209), "2": (697, 1336), "3": (697, 1477), "4": (770, 1209), "5": (770, 1336),
    "6": (770, 1477), "7": (852, 1209), "8": (852, 1336), "9": (852, 1477), "0": (941, 1336),
}  # fmt: skip


def dialled(count: int, on_s: float, off_s: float) -> Samples:
    """Digits, one after the other."""
    pairs = list(DTMF.values())
    step = int((on_s + off_s) * RATE)
    pieces = [tone(step, pairs[k % len(pairs)], on_s, off_s) for k in range(-(-count // step))]
    return np.concatenate(pieces)[:count]


def lost(frames: int, share: float, burst: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which packets do not come: bursts of `burst` frames on average, `share` of all (Gilbert's model)."""
    enter = share / (burst * (1 - share))
    gone = np.zeros(frames, bool)
    bad = False
    for frame, dice in enumerate(rng.random(frames)):
        bad = dice >= 1 / burst if bad else dice < enter
        gone[frame] = bad
    return gone
