"""Delay estimator: finds a prompt in the channel to the sample by correlation, even during other
speech.

channel      ▁▁▁▂▇▇▅▇▇     its last 200 ms, compared with the prompt
correlation  ▁▁▂▁▁█▁▂▁     at every place within ±150 ms: how high, and is the peak unique
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

UNCERTAIN: Final = 2_400
"""Samples at 16 kHz by which a prompt may begin sooner or later than expected."""
WINDOW: Final = 3_200
"""Samples of the channel that are compared with the prompt: 200 ms."""
SHORT: Final = 320
"""Window for a known prompt, when only a jump is searched for."""
MIDDLE: Final = 960
"""Window for the same below other sound: 60 ms."""
FFT: Final = 8_192
"""At least WINDOW + 2 * UNCERTAIN …"""
SHORT_FFT: Final = 5_832
"""… and MIDDLE + 2 * UNCERTAIN."""
PAD: Final = 12_000
"""Samples of silence before and after a prompt: no comparison and no filter reaches beyond."""
LIKE: Final = 0.4
"""Minimum correlation. A client as loud as the prompt leaves 0.7 of 1; a voice alone may reach it …"""
CLEAR: Final = 1.5
"""… but then other places reach almost the same. The minimum ratio to the best other place."""
LESS_LIKE: Final = 0.2
CLEARER: Final = 2.5
"""The same for a louder client."""
ALIKE: Final = 0.7
"""A vowel also matches itself one period later; a prompt located there by mistake is soon found again."""
SAME: Final = 2
"""Samples by which two consecutive results may differ."""
NEIGHBOURS: Final = 40
"""Samples around the best place that do not count as another place."""
LEAST: Final = 4.0
"""Minimum level of the prompt in a window, with raised treble, for a search."""
JUMPED: Final = 0.85


class Place(NamedTuple):
    """`lag`: the prompt's first sample in the channel. Correlation there, and the highest elsewhere."""

    lag: int
    likeness: float
    elsewhere: float

    @property
    def clear(self) -> bool:
        """The prompt, or a very similar sound, is there."""
        return (
            self.likeness >= ALIKE
            or self.likeness >= max(LIKE, CLEAR * self.elsewhere)
            or self.likeness >= max(LESS_LIKE, CLEARER * self.elsewhere)
        )


class DelayEstimator:
    """Searches for one prompt. `prompt`: int16 values at 16 kHz, PAD samples of silence on either side."""

    def __init__(self, prompt: Float64Array) -> None:
        sharp = _sharp(prompt)
        self._sharp = sharp.astype(np.float32)
        self._energy = np.concatenate(([0.0], np.cumsum(sharp * sharp)))  # up to each sample
        self._before: int | None = None

    def find(self, heard: Float64Array, end: int) -> int | None:
        """The prompt's lag, if two consecutive searches agree. `heard`: the channel up to sample `end`."""
        before, self._before = self._before, None
        place = self._compare(heard[-WINDOW - 1 :], end, 0)
        if place is None or not place.clear:
            return None
        self._before = place.lag
        return place.lag if before is not None and abs(place.lag - before) <= SAME else None

    def find_again(self, heard: Float64Array, end: int, lag: int) -> int | None:
        """The prompt's new lag, if it was found elsewhere and almost no other sound is present."""
        place = self._compare(heard[-SHORT - 1 :], end, lag)
        return None if place is None or place.likeness < JUMPED else place.lag

    def find_moved(self, heard: Float64Array, end: int, lag: int) -> int | None:
        """The same from MIDDLE samples, while other sound is present."""
        place = self._compare(heard[-MIDDLE - 1 :], end, lag)
        return place.lag if place is not None and place.clear else None

    def _compare(self, heard: Float64Array, end: int, around: int) -> Place | None:
        """The best place, its correlation, and the best one elsewhere. None: there is nothing yet."""
        sharp = _sharp(heard)[1:].astype(np.float32)
        window = len(sharp)
        begin = PAD + end - window - UNCERTAIN - around
        if begin < 0 or begin + window + 2 * UNCERTAIN > len(self._sharp):
            return None
        size = FFT if window > MIDDLE else SHORT_FFT
        part = self._sharp[begin : begin + window + 2 * UNCERTAIN]
        cross = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(sharp, size)), size)
        ends = self._energy[begin + window : begin + window + 2 * UNCERTAIN + 1]
        powers = ends - self._energy[begin : begin + 2 * UNCERTAIN + 1]
        scale = np.sqrt(np.maximum(powers * float(sharp @ sharp), 1.0))
        likeness = cross[: 2 * UNCERTAIN + 1] / scale
        likeness[powers < window * LEAST * LEAST] = 0.0
        best = int(likeness.argmax())
        low, high = max(best - NEIGHBOURS, 0), best + NEIGHBOURS + 1
        elsewhere = max(likeness[:low].max(initial=0.0), likeness[high:].max(initial=0.0))
        return Place(around + UNCERTAIN - best, float(likeness[best]), float(elsewhere))


def _sharp(samples: Float64Array) -> Float64Array:
    """Raise the treble: voices differ there, and a telephone voice has nothing above 4 kHz."""
    sharp = samples.copy()
    sharp[1:] -= 0.95 * samples[:-1]
    return sharp
