"""What the judge's network sees of a sound: log-mel energies of each frame, made level-free twice.

    samples  |--96--|-----160-----|      the window of a frame reaches back into the frame before
    window   .-~~~~~~~~~~~~~~~~~~-.      256 samples, Hann
    energies 20 mel bands, 80-3,900 Hz, natural logarithm
    out      minus each band's mean over all frames | minus each band's 10th percentile

The mean says what a frame is against the whole sound, the percentile what it is against the noise
floor; a gain changes neither. Everything is float32: half the time of float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vad_agent.core.frames import SAMPLE_BYTES, check_frame, samples_per_frame

Floats = NDArray[np.float32]

RATE = 8_000
"""Hz. Telephone speech ends at 3.4 kHz; more is filtered out before anything else."""
HOP = 160
WINDOW = 256
BANDS = 20
LOW_HZ = 80.0
HIGH_HZ = 3_900.0
CHANNELS = 2 * BANDS

EPSILON = 1e-9
"""Added to a band's energy: about what rounding to int16 leaves, so that digital silence is not
infinitely far below the quietest sound."""
FLOOR_SHARE = 10
"""One frame in so many is at its band's floor or below."""
REACH = 6.0
"""Differences of the logarithm beyond this (26 dB) are cut to it."""
SCALE = 1 / 3

CUTOFF_HZ = 3_700.0
TAPS = 16
"""Of the anti-alias filter, per sample that it gives."""
STRIP = 32
"""Samples that one row of its matrix product gives."""
BLOCK = 50
"""Frames at once, half as many at 32 and 48 kHz: arrays that take fresh pages cost more than arithmetic."""


def log_mel(frames: Sequence[bytes], sample_rate: int) -> Floats:
    """Energies of each frame.

    `frames`: int16 little-endian mono, 20 ms each, at `sample_rate` Hz.
    Out: float32, (frames, BANDS), natural logarithm of power, full scale = 1.

    Raises:
        FrameError: the rate is not one that the product takes, or a frame has another size.
    """
    size = samples_per_frame(sample_rate) * SAMPLE_BYTES
    if set(map(len, frames)) - {size}:
        for frame in frames:
            check_frame(frame, size)
    factor = sample_rate // RATE
    energies = np.empty((len(frames), BANDS), np.float32)
    block = BLOCK if factor <= 2 else BLOCK // 2
    for begin in range(0, len(frames), block):
        samples = _samples(frames, begin, min(begin + block, len(frames)), factor)
        count = (len(samples) - WINDOW) // HOP + 1
        # Overlapping rows: a tenth of the time of sliding_window_view.
        windows: Floats = np.ndarray((count, WINDOW), np.float32, samples, 0, (HOP * 4, 4))
        spectrum = np.fft.rfft(windows * _window())
        parts = spectrum.astype(np.complex64, copy=False).view(np.float32)
        np.square(parts, out=parts)  # real and imaginary parts side by side
        np.matmul(parts, _mel(), out=energies[begin : begin + count])
    energies += EPSILON
    return np.log(energies, out=energies)


def _samples(frames: Sequence[bytes], begin: int, end: int, factor: int) -> Floats:
    """The samples of frames [begin, end) at RATE and the `WINDOW - HOP` before them, full scale = 1."""
    reach = TAPS // 2 * factor if factor > 1 else 0
    before, after = (WINDOW - HOP) * factor + reach, reach
    parts = [*frames[begin:end]]
    parts.insert(0, frames[max(begin - 1, 0)][-before * SAMPLE_BYTES :])
    if after:
        parts.append(frames[min(end, len(frames) - 1)][: after * SAMPLE_BYTES])
    samples = np.frombuffer(b"".join(parts), "<i2").astype(np.float32)
    samples *= 1 / 32_768
    if not begin:  # nothing came before: the beginning, mirrored
        samples[:before] = samples[before : 2 * before][::-1]
    if factor == 1:
        return samples
    width, step = (STRIP + TAPS) * factor, STRIP * factor
    count = (len(samples) - width) // step + 1
    rows: Floats = np.ndarray((count, width), np.float32, samples, 0, (step * 4, 4))
    decimated: Floats = rows @ _low_pass(factor)
    return decimated.reshape(-1)


@cache
def _low_pass(factor: int) -> Floats:
    """A windowed sinc (Hamming), once for each sample of a strip: float32, (inputs, STRIP)."""
    length = factor * TAPS
    at = np.arange(length) - (length - 1) / 2
    cutoff = 2 * CUTOFF_HZ / (RATE * factor)
    taps = np.sinc(cutoff * at) * np.hamming(length)
    taps /= taps.sum()
    matrix = np.zeros(((STRIP + TAPS) * factor, STRIP), np.float32)
    for column in range(STRIP):
        matrix[column * factor : column * factor + length, column] = taps
    return matrix


@cache
def _window() -> Floats:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@cache
def _mel() -> Floats:
    """Triangles on the mel scale (O'Shaughnessy), each row twice: float32, (WINDOW + 2, BANDS)."""
    low, high = (1127 * np.log1p(hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    edges = 700 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127)
    bins = np.arange(WINDOW // 2 + 1)[:, None] * RATE / WINDOW
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle))
    triangles = np.maximum(triangles, 0)
    # Each gets the same weight in all: the lowest are hardly wider than a bin.
    triangles /= triangles.sum(axis=0) * WINDOW * WINDOW / 8
    return np.repeat(triangles, 2, axis=0).astype(np.float32)


def normalise(energies: Floats) -> Floats:
    """Both level-free views side by side.

    `energies`: float32, (frames, BANDS). Out: float32, (frames, CHANNELS), about -2 to 2.
    """
    count = len(energies)
    out = np.empty((count, CHANNELS), np.float32)
    floor = count // FLOOR_SHARE
    np.subtract(energies, energies.mean(axis=0), out=out[:, :BANDS])
    np.subtract(energies, np.partition(energies, floor, axis=0)[floor], out=out[:, BANDS:])
    np.clip(out, -REACH, REACH, out=out)
    out *= SCALE
    return out
