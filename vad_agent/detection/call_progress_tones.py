"""Recognizes tones of the telephone network: one or two pure partials of constant frequency and level.

    power   ▁▁▁▁▁█▁▁▁▁▁▁▁▁▁▁▁     425 Hz: busy, ringback, dial tone        PROGRESS
            ▁▁▁▁▁▁▁█▁▁▁▁▁█▁▁▁     770 + 1336 Hz: the key 5                 DTMF
            ▁▁▁▁▁▁▁▁▁▁▁▁▁▁█▁▁     1400 Hz: a beep                          OTHER
            ▂▃█▃▆▂▅▂▃▂▄▂▂▁▃▂▁     a voice, a chord, a hum, noise           None

A voice has harmonics. If the telephone band leaves only one of them, its frequency and level vary.
One or two partials must therefore hold nearly all the energy, and a single partial must keep its
frequency and level from frame to frame. `classify` is called where a sound begins and at intervals
while a tone plays; it costs 16 µs, 30 µs for a tone.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vad_agent.audio.pcm import from_dbfs
from vad_agent.core.endpointer_port import Progress
from vad_agent.core.frames import FRAMES_PER_SECOND, SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.detection.cadence import RING_PAUSE, Cadence

Float32Array = NDArray[np.float32]
Power = NDArray[np.floating[Any]]

FEWEST, MOST = 3, 4
"""Frames analysed: in three, 440 and 480 Hz cannot be separated."""
BAND_HZ = (200, 3_600)
LOBE = 3
"""Bins on either side of a peak that belong to it (Hann window)."""
LEAST_DBFS = -55.0

SHARE = 0.97
"""Of the band's energy, in the one or two partials: noise 20 dB below them leaves 0.99."""
RESIDUE = 0.002
"""-27 dB: the largest other bin against the peak. A voice's harmonics are above that …"""
OCTAVE = 0.0004
"""… but for a dark vowel sung high: -34 dB, at twice the frequency of a lone partial."""
DRIFT_HZ = 2.0
"""From the first two frames to the last two."""
SWELL = 1.19
"""1.5 dB, from the weakest frame to the strongest."""

SINGLES_HZ = (400.0, 425.0, 440.0, 450.0)
"""Call progress by one partial (ITU-T E.180, Supplement 2; 425 Hz in Russia and most of Europe).
Women's voices lie at 330 to 400 Hz, so more frequencies would cause false detections."""
PAIRS_HZ = (350.0, *SINGLES_HZ, 480.0, 620.0)
"""Any two of them: dial tone 350 + 440, ringback 440 + 480 or 400 + 450, busy 480 + 620."""
TOLERANCE_HZ = 12.5
PAIR_TOLERANCE_HZ = 15.0
"""Partials 40 Hz apart shift each other's estimate."""
PAIR_TWIST = 0.25
"""6 dB, of the peaks: a gliding voice smears into a second peak 8 dB and more below the first."""

ROWS_HZ = (697.0, 770.0, 852.0, 941.0)
COLUMNS_HZ = (1_209.0, 1_336.0, 1_477.0, 1_633.0)
"""ITU-T Q.23. No two of them are in the ratio of a voice's harmonics."""
DTMF_TOLERANCE = 0.02
"""Q.24 requires 1.8 % to be accepted; the estimate errs by up to 0.2 %."""
DTMF_TWIST = 0.08
"""11 dB, of the energies."""

BEEP_HZ = 940.0
"""A single partial below this, at no frequency of an exchange, may be a singing voice."""


class Tone(Enum):
    """Kinds of tones."""

    PROGRESS = auto()
    """Call progress: dial tone, ringback, busy."""
    DTMF = auto()
    """A key was pressed."""
    OTHER = auto()
    """Another pure tone: a beep, a fax."""


def classify(frames: Sequence[bytes], sample_rate: int) -> Tone | None:
    """The tone in these frames. None: no tone, or fewer frames than FEWEST.

    `frames`: consecutive, int16 little-endian mono, 20 ms each at `sample_rate` Hz, the newest last; only
    the newest MOST are analysed.

    Raises:
        FrameError: a frame or the rate is wrong.
    """
    size = samples_per_frame(sample_rate) * SAMPLE_BYTES
    heard = frames[-MOST:]
    if set(map(len, heard)) - {size}:
        for frame in heard:
            check_frame(frame, size)
    count = len(heard)
    if count < FEWEST:
        return None
    samples = np.frombuffer(b"".join(heard), "<i2")
    # A bin is 50 Hz / count wide, whatever the rate.
    low, high = (hz * count // FRAMES_PER_SECOND for hz in BAND_HZ)
    band = np.fft.rfft(samples * _window(len(samples)))[low : high + 1]
    power: Power = band.real**2 + band.imag**2
    total = float(power.sum())
    if total <= _least(len(samples)):
        return None

    first = int(power.argmax())
    peak = float(power[first])
    lobe = slice(max(first - LOBE, 0), first + LOBE + 1)
    energy = float(power[lobe].sum())
    if energy < (SHARE - 0.5) * total:
        return None  # two partials would differ too much in level: most sounds end here
    hz = (_summit(power, first) + low) * FRAMES_PER_SECOND / count
    power[lobe] = 0
    second = int(power.argmax())
    if energy >= SHARE * total:
        octave = power[round(2 * hz * count / FRAMES_PER_SECOND) - low - 1 :][:3]
        if power[second] > RESIDUE * peak or (octave > OCTAVE * peak).any():
            return None
        return _lone(hz) if _stands(samples, hz, count) else None

    second_peak = float(power[second])
    lobe = slice(max(second - LOBE, 0), second + LOBE + 1)
    second_energy = float(power[lobe].sum())
    if energy + second_energy < SHARE * total:
        return None
    second_hz = (_summit(power, second) + low) * FRAMES_PER_SECOND / count
    if second_energy >= DTMF_TWIST * energy and _is_key(min(hz, second_hz), max(hz, second_hz)):
        return Tone.DTMF
    power[lobe] = 0
    alike = second_peak >= PAIR_TWIST * peak and power.max() <= 2 * RESIDUE * peak
    both = all(_near(one, PAIRS_HZ, PAIR_TOLERANCE_HZ) for one in (hz, second_hz))
    return Tone.PROGRESS if alike and both else None


def _lone(hz: float) -> Tone | None:
    if _near(hz, SINGLES_HZ, TOLERANCE_HZ):
        return Tone.PROGRESS
    return Tone.OTHER if hz > BEEP_HZ else None


def _is_key(lower: float, upper: float) -> bool:
    row = _near(lower, ROWS_HZ, DTMF_TOLERANCE * lower)
    return row and _near(upper, COLUMNS_HZ, DTMF_TOLERANCE * upper)


def _near(hz: float, places: Sequence[float], tolerance_hz: float) -> bool:
    return any(abs(hz - place) <= tolerance_hz for place in places)


def _summit(power: Power, at: int) -> float:
    """The partial's position between the bins, from the two highest bins (Hann window)."""
    if not 0 < at < len(power) - 1:
        return float(at)
    left, middle, right = (math.sqrt(value) for value in power[at - 1 : at + 2].tolist())
    side = max(left, right)
    offset = (2 * side - middle) / (side + middle)
    return at + offset if right >= left else at - offset


def _stands(samples: NDArray[np.int16], hz: float, count: int) -> bool:
    """The partial has one frequency and one level in all `count` frames of the samples."""
    size = len(samples) // count
    turn = np.exp(np.arange(size) * (-2j * math.pi * hz / (size * FRAMES_PER_SECOND)))
    levels = (samples.reshape(count, size) @ turn).tolist()
    if not all(levels):
        return False
    first, last = levels[1] / levels[0], levels[-1] / levels[-2]
    drift_hz = abs(cmath.phase(last / first)) * FRAMES_PER_SECOND / (2 * math.pi)
    loud = [abs(level) for level in levels]
    return drift_hz <= DRIFT_HZ and max(loud) <= SWELL * min(loud)


@cache
def _window(length: int) -> Float32Array:
    return np.hanning(length + 1)[:-1].astype(np.float32)


@cache
def _least(length: int) -> float:
    """The power of a sine at LEAST_DBFS under the window, over the bins of one side."""
    return from_dbfs(LEAST_DBFS) ** 2 * length**2 * 3 / 16


class ToneWatch:
    """Which tone plays, its pauses included. Works on the results of `classify`, not on samples.

    busy         ▁▁███▁▁▁███▁▁▁███▁▁▁▁▁▁▁▁▁▁▁▁▁     0.35 s on, 0.35 s off
    playing      ▁▁████████████████████████▁▁▁▁     gaps of up to GAPS belong to it
                   |began         |ended  |        known when the gap has become too long
    progress     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████…     known by its cadence (`cadence.py`), until speech

    All times are frames of the call. Digits and beeps occur within calls: they are no call progress.
    """

    __slots__ = ("_cadence", "began", "ended", "tone")

    GAPS: Mapping[Tone, int] = {
        Tone.PROGRESS: RING_PAUSE,
        Tone.DTMF: FRAMES_PER_SECOND,
        Tone.OTHER: FRAMES_PER_SECOND,
    }
    """Frames; a pause up to this long belongs to the tone: ringback is off for 4 s."""

    def __init__(self) -> None:
        self.tone: Tone | None = None
        """What plays, its gaps included."""
        self.began = 0
        """First frame of the tone that plays, or of the last one."""
        self.ended = 0
        """One past the last frame of it so far."""
        self._cadence = Cadence()

    @property
    def playing(self) -> bool:
        """A tone plays; its gaps are part of it."""
        return self.tone is not None

    @property
    def progress(self) -> Progress | None:
        """Which call-progress tone was heard since the last speech; None: none, or it is not known yet."""
        return self._cadence.progress

    def feed(self, tone: Tone | None, since: int, now: int) -> bool:
        """Process frames [since, now); `tone` None: no tone. True: `tone` or `progress` has changed.

        The same frames may be passed again. Quiet frames may be left out, except for a call at
        intervals, from which the end of a tone is recognized.
        """
        before = self.tone, self.progress
        upto = now if tone is None else since
        if self.tone is not None and upto - self.ended > self.GAPS[self.tone]:
            self.tone = None
        if tone is not None:
            since = max(since, self.ended)
            if tone is not self.tone:
                self.tone, self.began = tone, since
            self.ended = max(self.ended, now)
            if tone is Tone.PROGRESS:
                self._cadence.feed(since, now)
            else:
                self._cadence.interrupt()
        return (self.tone, self.progress) != before

    def interrupt(self) -> None:
        """Another sound interrupted the tone: its cadence starts again."""
        self._cadence.interrupt()

    def speech(self) -> bool:
        """Somebody speaks, or has been found present: end the tones so far. True: as in `feed`."""
        changed = self.playing or self.progress is not None
        self.tone = None
        self._cadence.forget()
        return changed
