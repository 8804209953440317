"""Streams one channel: the detector on every frame, and the network's input for blocks of frames.

    frame ──> level, own level, crosstalk ─┐
          └─> detector ────────────────────┼──> columns ──> network ──> logits of speech and music
    other side's level and detector ───────┘

No state is ever reset. `take` returns the same columns whether it is called early or late, and for
few frames or many; the number is always a multiple of GROUP. Levels are RMS of int16 samples.
"""

from __future__ import annotations

import numpy as np

from vad_agent.audio.pcm import from_dbfs, gain
from vad_agent.detection import spectral_features
from vad_agent.detection.line_watch import FLAT_MAX
from vad_agent.detection.spectral_features import GROUP, HOP, Float32Array, Spectrum
from vad_agent.detection.third_party_detectors import Detector

COLUMNS = spectral_features.COLUMNS + 7
"""Inputs of the network per frame."""
UNKNOWN = 0.5
"""The probability if there is no detector."""
LIKELY = 0.5
"""From this probability on, a frame's level counts as the level of this side's sound."""
SMOOTHING = 0.3
ATTACK = 10 ** (1 / 20)
"""Per frame, 1 dB: a click must not set the level."""
DECAY = 10 ** (-0.01 / 20)
"""Per frame; 0.5 dB per second."""
CROSSTALK = 10 ** (-16 / 20)
"""Relative to the other side's level: a weaker sound may be that side's voice …"""
CROSSTALK_FROM = from_dbfs(-45)
"""… if that side is at least this loud."""
CROSSTALK_DECAY = 0.97
"""Per frame: an echo arrives up to 0.4 s late."""
SILENT = 16.0
"""-66 dBFS: anything weaker is silence on any line, so the detector is not called …"""
SPARE = 10 ** (-6 / 20)
"""… nor about frames so far below the gates that they cannot pass."""
QUIET = from_dbfs(-34)
"""A weaker side is amplified up to this level for its detector, which misses quiet speech …"""
MOST_GAIN, FIRST_GAIN = 4.0, 2.0
"""… by at most this factor, and by the second one while its level is unknown."""
DROP = 10 ** (-15 / 20)
"""Relative to the smoothed level, which falls late: a weaker frame comes after the sound."""


class FeatureExtractor:
    """One per channel and call.

    `threshold`: of the detector's probability. `near`: a frame below this fraction of the own level
    is a person in the background.
    """

    __slots__ = (
        "_audio", "_detector", "_likely_level", "_near", "_rows", "_spectrum", "_threshold",
        "failed", "own_level", "peak", "probability", "smoothed",
    )  # fmt: skip

    def __init__(self, detector: Detector | None, *, threshold: float, near: float) -> None:
        self._detector = detector
        self._threshold = threshold
        self._near = near
        self.probability = UNKNOWN if detector is None else 0.0
        """The detector's, for the newest frame."""
        self.smoothed = 0.0
        """The smoothed level."""
        self.peak = 0.0
        """The decaying peak of the level."""
        self.own_level = 0.0
        """The own level: that of this side's known speech; 0: it has not spoken yet."""
        self.failed = False
        """The detector has failed; the channel goes on without it."""
        self._likely_level = 0.0  # the level of what the detector takes for speech, including music
        self._spectrum = Spectrum()
        self._audio = bytearray()  # of the frames that wait to be taken, as are the rows:
        self._rows: list[tuple[float, float, float, float, float, bool]] = []

    @property
    def without_detector(self) -> bool:
        """There is no detector, or it has failed."""
        return self._detector is None

    def __len__(self) -> int:
        """Number of frames that wait to be taken."""
        return len(self._rows)

    def feed(self, frame: bytes, level: int, other: FeatureExtractor | None) -> bool:
        """Process the next frame (int16 little-endian mono at RATE) with its RMS.

        `other`: the other side, which has processed its frame of the same time already.

        True: the detector calls it speech, and it passes the gates of the own level and of the crosstalk.
        """
        smoothed = self.smoothed = self.smoothed + SMOOTHING * (level - self.smoothed)
        peak = self.peak * CROSSTALK_DECAY
        self.peak = level if level > peak else peak
        own_level = self.own_level = self.own_level * DECAY
        near_from = own_level * self._near
        crosstalk = other_peak = other_probability = 0.0
        if other is not None:
            other_peak, other_probability = other.peak, other.probability
            if other_peak > CROSSTALK_FROM:
                crosstalk = other_peak * CROSSTALK
        loud = level if level > smoothed else smoothed
        if loud < SILENT or loud < near_from * SPARE or loud < crosstalk * SPARE:
            probability = 0.0
        elif self._detector is None:
            probability = UNKNOWN
        else:
            probability = self._ask(self._detector, frame)
        self.probability = probability
        own = self._likely_level = self._likely_level * DECAY
        if probability >= LIKELY and smoothed >= crosstalk:
            own = self._likely_level = _risen(own, smoothed)
        sounds = level > FLAT_MAX or frame != frame[:2] * HOP
        self._rows.append((smoothed, own, other_peak, probability, other_probability, sounds))
        self._audio += frame
        if probability < self._threshold or level < crosstalk or level < smoothed * DROP:
            return False
        return smoothed >= near_from

    def _ask(self, detector: Detector, frame: bytes) -> float:
        own = self._likely_level
        factor = min(QUIET / own, MOST_GAIN) if own else FIRST_GAIN
        try:
            return detector.probability(gain(frame, 2, factor) if factor > 1 else frame)
        except Exception:  # a failing detector must not end the call
            self._detector, self.failed = None, True
            return UNKNOWN

    def learn_level(self, smoothed: float) -> None:
        """Learn the own level from a frame of this side's speech, given its smoothed level."""
        self.own_level = _risen(self.own_level, smoothed)

    def levels(self, count: int) -> list[float]:
        """The smoothed levels of the oldest `count` waiting frames."""
        return [row[0] for row in self._rows[:count]]

    def take(self, count: int) -> Float32Array:
        """Remove the oldest `count` waiting frames (a multiple of GROUP) and return the network's input.

        Out: float32, (count, COLUMNS).
        """
        assert count % GROUP == 0
        smootheds, likely, peaks, said, other_said, sounding = zip(*self._rows[:count], strict=True)
        sounds = np.array(sounding)
        columns = np.empty((count, COLUMNS), np.float32)
        used = spectral_features.COLUMNS
        columns[:, :used] = self._spectrum.features(bytes(self._audio[: count * 2 * HOP]), sounds)
        levels = np.array((smootheds, likely, peaks), np.float32)
        np.maximum(levels, 1, out=levels)
        smoothed, own, peak = np.log10(levels, out=levels) * 2  # in units of 10 dB
        known = own > 0
        columns[:, used] = ((smoothed - own) * known).clip(-4, 2)
        columns[:, used + 1] = known
        columns[:, used + 2] = (smoothed - peak).clip(-4, 4)
        columns[:, used + 3] = (peak - 4.5).clip(-2, 4)
        columns[:, used + 4] = sounds
        columns[:, used + 5] = said
        columns[:, used + 6] = other_said
        self.drop(count)
        return columns

    def drop(self, count: int) -> None:
        """Remove the oldest `count` waiting frames."""
        del self._rows[:count]
        del self._audio[: count * 2 * HOP]


def _risen(level: float, smoothed: float) -> float:
    """The level after a frame with this smoothed level: it rises by at most ATTACK and does not fall."""
    if level == 0:
        return smoothed
    return min(max(level, smoothed), level * ATTACK)
