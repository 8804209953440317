"""Decimates a channel of 16, 32 or 48 kHz to 8 kHz, frame by frame, with kept state."""

from __future__ import annotations

import numpy as np

from vad_agent.detection.spectral_features import HOP, RATE, Float32Array

CUTOFF_HZ = 3_600.0
TAPS = 16
"""Taps of the low-pass filter per output sample."""
LOWEST, HIGHEST = -32_768, 32_767


class Decimator:
    """The decimator of one channel. `sample_rate`: a multiple of RATE, in Hz."""

    __slots__ = ("_earlier", "_frame", "_last", "_out", "_rows", "_taps")

    def __init__(self, sample_rate: int) -> None:
        factor = sample_rate // RATE
        length = TAPS * factor
        at = np.arange(length) - (length - 1) / 2
        cutoff = 2 * CUTOFF_HZ / sample_rate
        taps = np.sinc(cutoff * at) * np.hamming(length)
        self._taps: Float32Array = (taps / taps.sum()).astype(np.float32)
        # Every frame passes here, so all arrays and views are made once.
        samples = np.zeros(length - 1 + HOP * factor, np.float32)
        self._earlier, self._frame = samples[: length - 1], samples[length - 1 :]
        self._last = samples[-(length - 1) :]
        self._rows: Float32Array = np.ndarray(
            (HOP, length), np.float32, samples, 0, (4 * factor, 4)
        )
        self._out: Float32Array = np.empty(HOP, np.float32)

    def decimate(self, frame: bytes) -> bytes:
        """Convert one frame, int16 little-endian mono, to RATE."""
        self._earlier[:] = self._last
        self._frame[:] = np.frombuffer(frame, "<i2")
        out = np.matmul(self._rows, self._taps, self._out)
        np.rint(out, out)
        if out.max() > HIGHEST or out.min() < LOWEST:
            np.clip(out, LOWEST, HIGHEST, out)
        return out.astype("<i2").tobytes()
