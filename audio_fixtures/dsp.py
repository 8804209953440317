"""Signal processing in whole numbers, so that every machine gets the same samples bit for bit.

Coefficients are designed in floating point and rounded to 15 or 16 fraction bits at once; from there
on all is int64. Levels are dBFS RMS: 0 dBFS is the square wave of full scale.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Wide = NDArray[np.int64]
"""Samples in int64, in units of one int16 step."""

_Q = 15
FULL_SCALE = 32768


def gain(samples: Wide, decibels: float) -> Wide:
    """The samples louder by so many dB, rounded to whole steps."""
    factor = round(10 ** (decibels / 20) * (1 << 16))
    return (samples * factor + (1 << 15)) >> 16


def fir(samples: Wide, taps: Wide) -> Wide:
    """Filter with odd-length linear-phase taps of 15 fraction bits, delay taken out."""
    full: Wide = np.convolve(samples, taps)
    half = len(taps) // 2
    return (full[half : half + len(samples)] + (1 << (_Q - 1))) >> _Q


def band_pass(low_hz: float, high_hz: float, rate: int, length: int = 161) -> Wide:
    """Taps (15 fraction bits) that pass low_hz … high_hz at `rate` Hz."""
    at = np.arange(length) - length // 2
    window = np.hamming(length)
    low, high = 2 * low_hz / rate, 2 * high_hz / rate
    ideal = high * np.sinc(high * at) - low * np.sinc(low * at)
    taps: Wide = np.rint(ideal * window * (1 << _Q)).astype(np.int64)
    return taps


def resample(samples: Wide, rate_from: int, rate_to: int) -> Wide:
    """The samples at another rate (Hz): polyphase, windowed sinc, delay taken out."""
    if rate_from == rate_to:
        return samples
    common = math.gcd(rate_from, rate_to)
    up, down = rate_to // common, rate_from // common
    cutoff = 0.94 * min(1.0, up / down)  # of the source's own half rate
    reach = math.ceil(24 / cutoff)  # source samples on either side
    phase = np.arange(up)[:, None] / up
    at = np.arange(-reach, reach + 1)[None, :] - phase
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip(at / (reach + 1), -1, 1))
    table = np.rint(cutoff * np.sinc(cutoff * at) * window * (1 << _Q)).astype(np.int64)
    count = -(-len(samples) * up // down)
    place = np.arange(count, dtype=np.int64) * down
    padded = np.concatenate([np.zeros(reach, np.int64), samples, np.zeros(reach + 1, np.int64)])
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    out = np.empty(count, np.int64)
    for start in range(0, count, 1 << 14):  # in pieces: the products need much memory
        block = slice(start, start + (1 << 14))
        out[block] = (views[place[block] // up] * table[place[block] % up]).sum(axis=1)
    return (out + (1 << (_Q - 1))) >> _Q


def random_words(count: int, *seed: int) -> Wide:
    """`count` whole numbers of a bell curve (standard deviation `WORD_DEVIATION`).

    Drawn from the bare bit generator: its stream is fixed for good, that of the distributions is not.
    """
    raw = np.asarray(np.random.PCG64(list(seed)).random_raw(count), dtype=np.uint64)
    parts = [(raw >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
    return sum((part.astype(np.int64) for part in parts), np.zeros(count, np.int64)) - 2 * 0xFFFF


WORD_DEVIATION = math.sqrt(4 * (65536**2 - 1) / 12)


def noise(count: int, level_db: float, taps: Wide, *seed: int) -> Wide:
    """Seeded noise shaped by `taps`, `level_db` dBFS RMS."""
    shaped = fir(random_words(count, *seed), taps)
    response = math.sqrt(float((taps.astype(np.float64) ** 2).sum())) / (1 << _Q)
    wanted = 10 ** (level_db / 20) * FULL_SCALE
    factor = round(wanted / (WORD_DEVIATION * response) * (1 << 24))
    return (shaped * factor + (1 << 23)) >> 24


def fade(samples: Wide, first: int, last: int) -> Wide:
    """Straight ramps over the first and the last so many samples."""
    out = samples.copy()
    if first:
        out[:first] = out[:first] * np.arange(1, first + 1) // first
    if last:
        out[-last:] = out[-last:] * np.arange(last, 0, -1) // last
    return out


def block_rms(samples: Wide, size: int) -> NDArray[np.float64]:
    """RMS of each whole block of `size` samples, in int16 steps."""
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    return np.asarray(np.sqrt((blocks * blocks).sum(axis=1) / size), dtype=np.float64)


def active_level_db(samples: Wide, rate: int) -> float:
    """dBFS RMS of the 20 ms blocks that are within 30 dB of the loudest: the level of the speech."""
    rms = block_rms(samples, rate // 50)
    if not len(rms) or not rms.max():
        return -math.inf
    power = rms[rms >= rms.max() * 10 ** (-30 / 20)] ** 2
    return 10 * math.log10(float(power.mean()) / FULL_SCALE**2)


def trim(samples: Wide, rate: int, below_peak_db: float = 45.0) -> Wide:
    """Cut to the true extent: from the first to the last 2.5 ms not quieter than the peak by so many dB."""
    size = rate // 400
    peak = int(np.abs(samples).max())
    loud = np.flatnonzero(block_rms(samples, size) >= peak * 10 ** (-below_peak_db / 20))
    if not len(loud):
        raise ValueError("trim: nothing but silence")
    return samples[loud[0] * size : (loud[-1] + 1) * size]
