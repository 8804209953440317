"""Makes a phrase ready to be played: trimmed to its sound, as loud as the others.

In the rendering process alone: pyloudnorm brings scipy, which the call has no use for.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vad_agent.errors import VoiceError

Samples = NDArray[np.float64]

SILENT_DB = -50.0
"""Below the peak: no sound of the phrase's."""
KEPT_S = 0.01
"""Silence that stays before and after the sound."""
EDGE_S = 0.004
PEAK = 10 ** (-1 / 20)
"""-1 dBFS."""
FAINT = 1e-3
"""A peak below it is silence: -60 dBFS."""
METERED_S = 0.4
"""Loudness (BS.1770) is measured in blocks of so long."""


def normalize(samples: Samples, rate: int, lufs: float) -> Samples:
    """Mono samples (±1) at `rate` Hz, trimmed, faded at the edges, at `lufs` (BS.1770), peak ≤ -1 dBFS.

    Raises:
        VoiceError: there is no sound in it.
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
