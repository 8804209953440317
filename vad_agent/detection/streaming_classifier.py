"""One channel, streamed: its detector on every frame, what the network is to see of blocks of frames.

    frame ──> level, own level, leak ───┐
          └─> detector ─────────────────┼──> columns ──> network ──> logits of speech and music
    other side's level and detector ────┘

Neither is ever reset. What is asked for late is the same as what is asked for at once: `take` may have
few frames or many, always whole groups. Levels are RMS of int16 samples.
"""

from __future__ import annotations

import numpy as np

from vad_agent.audio.pcm import from_dbfs, gain
from vad_agent.detection import spectral
from vad_agent.detection.detector import Detector
from vad_agent.detection.line_watch import FLAT_MAX
from vad_agent.detection.spectral import GROUP, HOP, Floats, Spectrum

COLUMNS = spectral.COLUMNS + 7
"""What the network sees of a frame."""
UNKNOWN = 0.5
"""Stands for the probability where there is no detector."""
LIKELY = 0.5
"""Of this and more the level of what sounds is learnt."""
SMOOTHING = 0.3
ATTACK = 10 ** (1 / 20)
"""A frame, 1 dB: a click is no voice."""
DECAY = 10 ** (-0.01 / 20)
"""A frame, 0.5 dB a second."""
LEAK = 10 ** (-16 / 20)
"""Of the other side's level: what is weaker may be its voice …"""
LEAK_FROM = from_dbfs(-45)
"""… if that is as loud as this."""
LEAK_DECAY = 0.97
"""A frame: an echo comes up to 0.4 s late."""
SILENT = 16.0
"""-66 dBFS: what is weaker is silence on any line, and the detector is not asked of it …"""
SPARE = 10 ** (-6 / 20)
"""… nor of what is so far beyond the gates of the own level and of the leak that it cannot be near."""
QUIET = from_dbfs(-34)
"""A side that is weaker is amplified up to this for its detector: each hears less of quiet speech …"""
MOST_GAIN, FIRST_GAIN = 4.0, 2.0
"""… by so much at most, and by so much while nobody knows how loud it is."""
DROP = 10 ** (-15 / 20)
"""Of the smoothed level: a frame that has less is after the sound, though that has not fallen yet."""


class StreamingClassifier:
    """One per channel and call.

    `threshold`: of the detector's probability. `near`: a frame that has less of the own level is somebody
    behind.
    """

    __slots__ = (
        "_audio", "_detector", "_near", "_own", "_rows", "_spectrum", "_threshold",
        "failed", "loudest", "probability", "smooth", "speaker",
    )  # fmt: skip

    def __init__(self, detector: Detector | None, *, threshold: float, near: float) -> None:
        self._detector = detector
        self._threshold = threshold
        self._near = near
        self.probability = UNKNOWN if detector is None else 0.0
        """The detector's of the newest frame."""
        self.smooth = 0.0
        """The level of the newest frames."""
        self.loudest = 0.0
        """The highest level lately."""
        self.speaker = 0.0
        """The level of what is known to be this side's speech; 0: there was none yet."""
        self.failed = False
        """The detector died; who asked it goes on without."""
        self._own = 0.0  # the level of what the detector takes for speech, music too
        self._spectrum = Spectrum()
        self._audio = bytearray()  # of the frames that wait to be taken, and so is this:
        self._rows: list[tuple[float, float, float, float, float, bool]] = []

    @property
    def deaf(self) -> bool:
        """There is no detector, or none any more."""
        return self._detector is None

    def __len__(self) -> int:
        """Frames that wait to be taken."""
        return len(self._rows)

    def hear(self, frame: bytes, level: int, other: StreamingClassifier | None) -> bool:
        """The next frame: int16 little-endian mono at RATE, and its RMS. `other` has heard it already.

        True: the detector calls it speech, and it is as loud as this side is, and no leak of the other one.
        """
        smooth = self.smooth = self.smooth + SMOOTHING * (level - self.smooth)
        loudest = self.loudest * LEAK_DECAY
        self.loudest = level if level > loudest else loudest
        speaker = self.speaker = self.speaker * DECAY
        near_from = speaker * self._near
        leak = others = theirs = 0.0
        if other is not None:
            others, theirs = other.loudest, other.probability
            if others > LEAK_FROM:
                leak = others * LEAK
        loud = level if level > smooth else smooth
        if loud < SILENT or loud < near_from * SPARE or loud < leak * SPARE:
            probability = 0.0
        elif self._detector is None:
            probability = UNKNOWN
        else:
            probability = self._ask(self._detector, frame)
        self.probability = probability
        own = self._own = self._own * DECAY
        if probability >= LIKELY and smooth >= leak:
            own = self._own = _risen(own, smooth)
        sounds = level > FLAT_MAX or frame != frame[:2] * HOP
        self._rows.append((smooth, own, others, probability, theirs, sounds))
        self._audio += frame
        if probability < self._threshold or level < leak or level < smooth * DROP:
            return False
        return smooth >= near_from

    def _ask(self, detector: Detector, frame: bytes) -> float:
        own = self._own
        factor = min(QUIET / own, MOST_GAIN) if own else FIRST_GAIN
        try:
            return detector.probability(gain(frame, 2, factor) if factor > 1 else frame)
        except Exception:  # whatever a detector dies of, the client must not be hung up on
            self._detector, self.failed = None, True
            return UNKNOWN

    def learn_level(self, smooth: float) -> None:
        """A frame of this side's speech was of this level, smoothed."""
        self.speaker = _risen(self.speaker, smooth)

    def levels(self, count: int) -> list[float]:
        """The smoothed level of each of the oldest `count` frames that wait."""
        return [row[0] for row in self._rows[:count]]

    def take(self, count: int) -> Floats:
        """What the network is to see of the oldest `count` frames that wait, a multiple of GROUP.

        Out: float32, (count, COLUMNS).
        """
        assert count % GROUP == 0
        smooths, owns, others, said, theirs, sounding = zip(*self._rows[:count], strict=True)
        sounds = np.array(sounding)
        columns = np.empty((count, COLUMNS), np.float32)
        used = spectral.COLUMNS
        columns[:, :used] = self._spectrum.features(bytes(self._audio[: count * 2 * HOP]), sounds)
        levels = np.array((smooths, owns, others), np.float32)
        np.maximum(levels, 1, out=levels)
        smooth, own, peak = np.log10(levels, out=levels) * 2  # in units of 10 dB
        known = own > 0
        columns[:, used] = ((smooth - own) * known).clip(-4, 2)
        columns[:, used + 1] = known
        columns[:, used + 2] = (smooth - peak).clip(-4, 4)
        columns[:, used + 3] = (peak - 4.5).clip(-2, 4)
        columns[:, used + 4] = sounds
        columns[:, used + 5] = said
        columns[:, used + 6] = theirs
        self.drop(count)
        return columns

    def drop(self, count: int) -> None:
        """Nobody is to see the oldest `count` frames that wait."""
        del self._rows[:count]
        del self._audio[: count * 2 * HOP]


def _risen(level: float, smooth: float) -> float:
    """The level after a frame of so much: it rises by ATTACK at most, and does not fall."""
    if level == 0:
        return smooth
    return min(max(level, smooth), level * ATTACK)
