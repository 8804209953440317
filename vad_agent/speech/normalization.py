"""Prepares a phrase for playback: trims silence, and sets a uniform loudness.

Used only in the rendering process: pyloudnorm imports scipy, which a call does not need.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vad_agent.errors import VoiceError

Samples = NDArray[np.float64]

SILENT_DB = -50.0
"""dB below the peak: silence at the edges."""
KEPT_S = 0.01
"""Seconds of silence that stay before and after the sound."""
EDGE_S = 0.004
PEAK = 10 ** (-1 / 20)
"""-1 dBFS."""
FAINT = 1e-3
"""A lower peak means silence: -60 dBFS."""
METERED_S = 0.4
"""Block length of the loudness measurement (BS.1770), s."""


def normalize(samples: Samples, rate: int, lufs: float) -> Samples:
    """Mono samples (±1) at `rate` Hz, trimmed, faded at the edges, at `lufs` (BS.1770), peak ≤ -1 dBFS.

    Raises:
        VoiceError: it contains no sound.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak) or peak < FAINT:
        raise VoiceError("expected a voice, got silence")
    samples = _trim(samples, rate, peak)
    gain = _gain(samples, rate, lufs)
    samples = samples * min(gain, PEAK / float(np.abs(samples).max()))
    edge = min(round(EDGE_S * rate), len(samples) // 2)
    ramp = np.linspace(0, 1, edge)
    samples[:edge] *= ramp
    samples[len(samples) - edge :] *= ramp[::-1]
    return samples


def _trim(samples: Samples, rate: int, peak: float) -> Samples:
    sounding = np.flatnonzero(np.abs(samples) > peak * 10 ** (SILENT_DB / 20))
    kept = round(KEPT_S * rate)
    return samples[max(int(sounding[0]) - kept, 0) : int(sounding[-1]) + 1 + kept]


def _gain(samples: Samples, rate: int, lufs: float) -> float:
    import pyloudnorm  # type: ignore[import-untyped]

    if len(samples) < METERED_S * rate:
        samples = np.tile(samples, int(METERED_S * rate / len(samples)) + 1)
    meter: Any = pyloudnorm.Meter(rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loudness = float(meter.integrated_loudness(samples))
    return float(10 ** ((lufs - loudness) / 20)) if np.isfinite(loudness) else 1.0
