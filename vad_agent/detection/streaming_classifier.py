"""One channel, streamed: its detector on every frame, what the network is to see of blocks of frames.

    frame ──> level, own level, leak ───┐
          └─> detector ─────────────────┼──> columns ──> network ──> logits of speech and music
    other side's level and detector ────┘

Neither is ever reset. What is asked for late is the same as what is asked for at once: `take` may have
few frames or many, always whole groups.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from vad_agent.detection import spectral
from vad_agent.detection.detector import Detector
from vad_agent.detection.spectral import GROUP, HOP, Floats, Spectrum

COLUMNS = spectral.COLUMNS + 7
"""What the network sees of a frame."""
UNKNOWN = 0.5
"""Stands for the probability where there is no detector."""
LIKELY = 0.5
"""Of this and more the channel's own level is learnt."""
SMOOTHING = 0.3
ATTACK_DB = 1.0
"""A frame: a click is no voice."""
DECAY_DB = 0.01
"""A frame, 0.5 dB/s."""
LEAK_DB = 16.0
"""Under the other side's loudest of the last LEAK_FRAMES: it may be its voice."""
LEAK_FRAMES = 11
LEAK_FROM_DB = 45.0
"""-45 dBFS; levels here are in dB over an RMS of one int16 step."""
PEAK_FRAMES = 25
SILENT_DB = 24.0
"""-66 dBFS: what is weaker is silence on any line, and the detector is not asked of it …"""
SPARE_DB = 6.0
"""… nor of what is so far beyond the gates of the own level and of the leak that it cannot be near."""


class StreamingClassifier:
    """One per channel and call. `near_db`: a frame so far under the own level is somebody behind.

    `threshold`: of the detector's probability.
    """

    __slots__ = (
        "_audio", "_detector", "_near_db", "_others", "_rows", "_sounds", "_spectrum",
        "_threshold", "db", "failed", "own_db", "probability", "smooth", "speaker_db",
    )  # fmt: skip

    def __init__(self, detector: Detector | None, *, threshold: float, near_db: float) -> None:
        self._detector = detector
        self._threshold = threshold
        self._near_db = near_db
        self.db = 0.0
        """Level of the newest frame."""
        self.probability = UNKNOWN if detector is None else 0.0
        """The detector's of the newest frame."""
        self.smooth = 0.0
        """Its level, smoothed."""
        self.speaker_db = -math.inf
        """The level of what is known to be this side's speech; whoever knows it sets it."""
        self.own_db = -math.inf
        """The level of what the detector takes for speech, music too; -inf: there was nothing yet."""
        self.failed = False
        """The detector died; who asked it goes on without."""
        self._spectrum = Spectrum()
        self._audio = bytearray()  # of the frames that wait to be taken, and so are these
        self._sounds: list[bool] = []
        self._rows: list[tuple[float, float, float, float, float]] = []
        self._others: deque[float] = deque([0.0] * PEAK_FRAMES, PEAK_FRAMES)

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
        db = self.db = 20 * math.log10(level) if level else 0.0
        smooth = self.smooth = self.smooth + SMOOTHING * (db - self.smooth)
        others, theirs = self._others, 0.0
        if other is None:
            others.append(0.0)
        else:
            others.append(other.db)
            theirs = other.probability
        loudest = max(list(others)[-LEAK_FRAMES:])
        leak_db = loudest - LEAK_DB if loudest > LEAK_FROM_DB else -math.inf
        if self._detector is not None:
            behind_db = self.speaker_db - self._near_db
            if max(db, smooth) < max(SILENT_DB, behind_db - SPARE_DB, leak_db - SPARE_DB):
                self.probability = 0.0
            else:
                self._ask(self._detector, frame)
        probability = self.probability
        own = self.own_db = self.own_db - DECAY_DB
        self.speaker_db -= DECAY_DB
        near = False
        if probability >= self._threshold and db >= leak_db:
            if probability >= LIKELY:
                rise = min(max(smooth - own, 0.0), ATTACK_DB)
                own = self.own_db = smooth if own == -math.inf else own + rise
            near = smooth >= self.speaker_db - self._near_db
        self._sounds.append(level > 8 or frame != frame[:2] * HOP)
        self._rows.append((smooth, own, max(others), probability, theirs))
        self._audio += frame
        return near

    def learn_level(self, smooth: float) -> None:
        """A frame of this side's speech was of this level, smoothed."""
        before = self.speaker_db
        rise = min(max(smooth - before, 0.0), ATTACK_DB)
        self.speaker_db = smooth if before == -math.inf else before + rise

    def _ask(self, detector: Detector, frame: bytes) -> None:
        try:
            self.probability = detector.probability(frame)
        except Exception:  # whatever a detector dies of, the client must not be hung up on
            self._detector, self.failed, self.probability = None, True, UNKNOWN

    def take(self, count: int) -> Floats:
        """What the network is to see of the oldest `count` frames that wait, a multiple of GROUP.

        Out: float32, (count, COLUMNS).
        """
        assert count % GROUP == 0
        sounds = np.array(self._sounds[:count])
        rows = np.array(self._rows[:count])
        columns = np.empty((count, COLUMNS), np.float32)
        used = spectral.COLUMNS
        columns[:, :used] = self._spectrum.features(bytes(self._audio[: count * 2 * HOP]), sounds)
        smooth, own, peaks = rows[:, 0], rows[:, 1], rows[:, 2]
        known = own > -np.inf
        columns[:, used] = (
            np.clip(np.where(known, smooth - np.where(known, own, 0), 0), -40, 20) / 10
        )
        columns[:, used + 1] = known
        columns[:, used + 2] = np.clip(smooth - peaks, -40, 40) / 10
        columns[:, used + 3] = np.clip(peaks - LEAK_FROM_DB, -20, 40) / 10
        columns[:, used + 4] = sounds
        columns[:, used + 5 : used + 7] = rows[:, 3:]
        self.drop(count)
        return columns

    def drop(self, count: int) -> None:
        """Nobody is to see the oldest `count` frames that wait."""
        del self._sounds[:count], self._rows[:count]
        del self._audio[: count * 2 * HOP]
