"""Is it hold music? Notes stand still in the spectrum, voices glide, noise has no peaks.

    share of spectral peaks that are still there 64 and 128 ms later (`stay`), their number (`peaks`),
    and how much the spectrum moves from one to the next (`flux`), measured over three seconds:

               stay 10 % / median / 90 %    peaks     flux
    music      0.29–0.43 / 0.5 / 0.65       12–27     1.5–2.8
    speech     0.02–0.12 / 0.1 / 0.27        6–10     1.6–3.4
    noise      0.00–0.01                     3–5      1.35–1.4
    hum, tone  0.75–1.00                    21–38     0.1–1.25

A judgement costs about a millisecond, so it is asked only where the line is suspicious: loud without
the pauses that speech has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vad_agent.core.frames import FRAMES_PER_SECOND

JUDGE_FRAMES = 125
"""Frames (2.5 s) that a first judgement needs."""
REJUDGE_FRAMES = 100
"""While music plays, each stretch of so many is judged again."""

STAY_MIN = 0.27
PEAKS_MIN = 11.0
FLUX_MIN = 1.4
PROMINENCE_DB = 9.0
WINDOW_S = 0.128
BAND_HZ = (200.0, 3400.0)
NEIGHBOURS = 16


def is_music(frames: Sequence[bytes], sample_rate: int) -> bool:
    """Judge a stretch of frames (int16 little-endian mono, 20 ms each, 2 s and more)."""
    stay, peaks, flux = features(frames, sample_rate)
    return stay >= STAY_MIN and peaks >= PEAKS_MIN and flux >= FLUX_MIN


def features(frames: Sequence[bytes], sample_rate: int) -> tuple[float, float, float]:
    """`stay` (0…1), `peaks` (per window) and `flux` (in units of 10/ln 10 dB); see above."""
    samples = np.frombuffer(b"".join(frames), dtype="<i2").astype(np.float32)
    size = 2 ** round(math.log2(WINDOW_S * sample_rate))
    count = (len(samples) - size) // (size // 2) + 1
    # Overlapping rows: a tenth of the time of sliding_window_view.
    windows = np.ndarray((count, size), np.float32, samples, 0, (size * 2, 4))
    spectrum = np.fft.rfft(windows * np.hanning(size).astype(np.float32), axis=1)
    low, high = (int(hz / sample_rate * size) for hz in BAND_HZ)
    cut = spectrum[:, low:high]
    power = cut.real**2 + cut.imag**2
    level = (10 * np.log10(power + 1)).astype(np.float32)

    # Each bin against the mean of its neighbourhood, by a running sum.
    width = 2 * NEIGHBOURS + 1
    padded = np.empty((count, high - low + width), np.float32)
    padded[:, : NEIGHBOURS + 1] = level[:, :1]
    padded[:, NEIGHBOURS + 1 : NEIGHBOURS + 1 + high - low] = level
    padded[:, NEIGHBOURS + 1 + high - low :] = level[:, -1:]
    total = np.cumsum(padded, axis=1)
    above = level - (total[:, width:] - total[:, :-width]) / width

    peak = np.zeros(above.shape, dtype=bool)
    middle = above[:, 1:-1]
    peak[:, 1:-1] = (middle > above[:, :-2]) & (middle >= above[:, 2:]) & (middle > PROMINENCE_DB)
    near = peak.copy()
    near[:, 1:] |= peak[:, :-1]
    near[:, :-1] |= peak[:, 1:]
    kept = (peak[:-2] & near[1:-1] & near[2:]).sum(axis=1)
    peaks = peak.sum(axis=1)
    # The loud windows count: a hum stays under a voice, too.
    weight = power.sum(axis=1) ** 0.75 + 1
    stay = (kept * weight[:-2]).sum() / max(float((peaks[:-2] * weight[:-2]).sum()), 1.0)
    flux = np.abs(np.diff(level, axis=0)).mean() * math.log(10) / 10
    return float(stay), float(peaks.mean()), float(flux)


class MusicWatch:
    """Collects a suspicious stretch and judges it; goes on judging while music plays.

    `hear` is to be called on every frame while `busy`.
    """

    __slots__ = (
        "_frames",
        "_negative",
        "_pause",
        "_rate",
        "_retry",
        "began",
        "busy",
        "ended",
        "playing",
    )

    RETRY = 2 * FRAMES_PER_SECOND
    """So long after a no it may be asked again; after each further no, twice as long."""
    LONGEST_RETRY = 60 * FRAMES_PER_SECOND
    BREAK = 3 * FRAMES_PER_SECOND
    """So long a break ends the music."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frames: list[bytes] = []
        self._negative = 0
        self._retry = 0
        self._pause = self.RETRY
        self.busy = False
        """Frames are being collected."""
        self.playing = False
        self.began = 0
        self.ended = 0

    def suspect(self, since: int, now: int) -> None:
        """The line sounds as music might since frame `since`."""
        if not self.busy and now >= self._retry:
            self.busy = True
            self.began = since

    def drop(self) -> None:
        """The line went dead: whatever it was, it is over."""
        self.busy = self.playing = False
        self._frames.clear()

    def hear(self, frame: bytes, loud: bool, now: int) -> bool:
        """One frame; True where `playing` has changed (`began` or `ended` says since when)."""
        self._frames.append(frame)
        if loud:
            self.ended = now
        elif self.playing and now - self.ended >= self.BREAK:
            self.drop()
            return True
        if len(self._frames) < (REJUDGE_FRAMES if self.playing else JUDGE_FRAMES):
            return False
        music = is_music(self._frames, self._rate)
        collected = len(self._frames)
        self._frames.clear()
        if not self.playing:
            self.playing = self.busy = music
            self._negative = 0
            self._retry = now + self._pause
            self._pause = self.RETRY if music else min(self._pause * 2, self.LONGEST_RETRY)
            return music
        self._negative = 0 if music else self._negative + 1
        if self._negative < 2:
            return False
        self.drop()
        self.ended = now - 2 * collected
        return True
