"""Spectral inputs of the network: each frame's spectrum relative to the line's noise floor. Kept state.

    samples  |--96--|-----160-----|      a frame's window reaches back into the frame before
    bands    12, 100 to 3,900 Hz, natural logarithm of power
    floor    of each band: rises slowly, falls fast; lost packets are ignored
    out      bands over the floor | bands over the frame's mean | flatness | likeness to earlier frames

All values are relative, so a gain does not change them. The floor is updated once per GROUP frames;
blocks are therefore whole groups, and their size does not change the result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

RATE = 8_000
"""Hz."""
HOP = 160
WINDOW = 256
BANDS = 12
LOW_HZ, HIGH_HZ = 100.0, 3_900.0
GROUP = 5
"""Frames between two steps of the floor …"""
SOUNDING = 3
"""… of which so many must carry sound."""
RISE = 0.02
FALL = 2.0
"""Of the floor in a group, in units of the natural logarithm of power."""
REACH = 9.0
SCALE = 1 / 3
EPSILON = 1e-2
"""Added to the power of a bin, in squared int16 steps: what rounding leaves."""
LIKE_AGO = (2, 5, 15)
"""Lags in frames at which the spectrum is compared with itself: notes and tones are constant."""
COLUMNS = 2 * BANDS + 1 + len(LIKE_AGO)

_LOW_BIN, _HIGH_BIN = (round(hz * WINDOW / RATE) for hz in (LOW_HZ, HIGH_HZ))
_BINS = _HIGH_BIN - _LOW_BIN + 1


def _bands() -> Float32Array:
    """Triangles on the mel scale, and all bins: float32, (bins, BANDS + 1); each has a weight of 1 in all."""
    low, high = (1127 * np.log1p(hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    edges = 700 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127)
    bins = (np.arange(_BINS)[:, None] + _LOW_BIN) * RATE / WINDOW
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle))
    triangles = np.append(np.maximum(triangles, 0), np.ones((_BINS, 1)), axis=1)
    return np.asarray(triangles / triangles.sum(axis=0), np.float32)


_HANN: Float32Array = (np.hanning(WINDOW + 1)[:-1] / np.sqrt(WINDOW * 3 / 8)).astype(np.float32)
_TO_BANDS = _bands()
_TO_MEAN: Float32Array = np.full((_BINS, 1), 1 / _BINS, np.float32)
_BANDS_MEAN: Float32Array = np.full((BANDS, 1), 1 / BANDS, np.float32)


class Spectrum:
    """The features of one channel."""

    __slots__ = ("_earlier", "_floor", "_tail")

    def __init__(self) -> None:
        self._tail: Float32Array = np.zeros(WINDOW - HOP, np.float32)
        self._floor: Float32Array | None = None
        self._earlier: Float32Array = np.zeros((max(LIKE_AGO), _BINS), np.float32)

    def features(self, audio: bytes, sounds: NDArray[np.bool_]) -> Float32Array:
        """Compute the next whole groups of frames.

        `audio`: int16 little-endian mono at RATE; `sounds`: (frames,), False where all samples are the same.
        Out: float32, (frames, COLUMNS).
        """
        count = len(sounds)
        samples = np.empty(len(self._tail) + count * HOP, np.float32)
        samples[: len(self._tail)] = self._tail
        samples[len(self._tail) :] = np.frombuffer(audio, "<i2")
        self._tail = samples[-len(self._tail) :].copy()
        # Overlapping rows: a tenth of the time of sliding_window_view.
        windows: Float32Array = np.ndarray((count, WINDOW), np.float32, samples, 0, (HOP * 4, 4))
        cut = np.fft.rfft(windows * _HANN)[:, _LOW_BIN : _HIGH_BIN + 1]
        power = cut.real**2
        power += cut.imag**2
        power += EPSILON
        level = np.log(power)
        mean = level @ _TO_MEAN
        level -= mean  # what is left is the shape of the spectrum
        powers = np.log(power @ _TO_BANDS)
        bands = powers[:, :BANDS]

        out = np.empty((count, COLUMNS), np.float32)
        np.subtract(bands, self._floors(bands, sounds), out=out[:, :BANDS])
        np.subtract(bands, bands @ _BANDS_MEAN, out=out[:, BANDS : 2 * BANDS])
        out[:, 2 * BANDS] = (mean[:, 0] - powers[:, BANDS]) * 2  # flatness
        np.minimum(out, REACH, out=out)
        np.maximum(out, -REACH, out=out)
        out[:, : 2 * BANDS + 1] *= SCALE
        self._liken(level, out[:, 2 * BANDS + 1 :])
        return out

    def _floors(self, bands: Float32Array, sounds: NDArray[np.bool_]) -> Float32Array:
        """The floor of each frame, which is that of its group."""
        groups = np.where(sounds[:, None], bands, np.inf).reshape(-1, GROUP, BANDS)
        # The second lowest: a partly lost packet must not set the floor.
        lowest = np.partition(groups, 1, axis=1)[:, 1]
        known = (sounds.reshape(-1, GROUP).sum(axis=1) >= SOUNDING).tolist()
        floors = np.empty_like(lowest)
        floor = self._floor
        most, least = np.empty((2, BANDS), np.float32)
        for low, new, sounding, first in zip(lowest, floors, known, bands[::GROUP], strict=True):
            if sounding:
                if floor is None:
                    floor = low
                np.subtract(floor, FALL, out=least)
                np.add(floor, RISE, out=most)
                floor = np.minimum(np.maximum(low, least, out=new), most, out=new)
            new[:] = first if floor is None else floor
        self._floor = floor if floor is None else floor.copy()
        return np.repeat(floors, GROUP, axis=0)

    def _liken(self, shape: Float32Array, out: Float32Array) -> None:
        """Correlation of each frame's spectrum with that of earlier frames, -1 to 1."""
        shape = shape / np.sqrt(np.einsum("ij,ij->i", shape, shape) + EPSILON)[:, None]
        shape = np.concatenate([self._earlier, shape])
        most = max(LIKE_AGO)
        for column, ago in enumerate(LIKE_AGO):
            before = shape[most - ago : len(shape) - ago]
            out[:, column] = np.einsum("ij,ij->i", shape[most:], before)
        self._earlier = shape[-most:].copy()
