"""Decimates a channel of 16, 32 or 48 kHz to 8 kHz, frame by frame, with kept state."""

from __future__ import annotations

import numpy as np

from vad_agent.detection.spectral_features import RATE, Float32Array

CUTOFF_HZ = 3_600.0
TAPS = 16
"""Taps of the low-pass filter per output sample."""


class Decimator:
    """The decimator of one channel. `sample_rate`: a multiple of RATE, in Hz."""

    __slots__ = ("_factor", "_tail", "_taps")

    def __init__(self, sample_rate: int) -> None:
        self._factor = sample_rate // RATE
        length = TAPS * self._factor
        at = np.arange(length) - (length - 1) / 2
        cutoff = 2 * CUTOFF_HZ / sample_rate
        taps = np.sinc(cutoff * at) * np.hamming(length)
        self._taps: Float32Array = (taps / taps.sum()).astype(np.float32)
        self._tail: Float32Array = np.zeros(length - 1, np.float32)

    def decimate(self, frame: bytes) -> bytes:
        """Convert one frame, int16 little-endian mono, to RATE."""
        samples = np.concatenate([self._tail, np.frombuffer(frame, "<i2")])
        self._tail = samples[-len(self._tail) :]
        rows = np.lib.stride_tricks.sliding_window_view(samples, len(self._taps))[:: self._factor]
        return np.rint(rows @ self._taps).clip(-32_768, 32_767).astype("<i2").tobytes()
