"""Adaptive filter: models how a prompt appears in the channel (gain, resampler, clock drift).

    prompt      ▁▂▇▇▅▇▆▇▂▁     24 taps, fitted by least squares to about the last 70 ms
    estimate    ▁▁▃▃▂▃▃▃▁▁     is subtracted; the filter cannot produce a client's voice from the prompt

If two clocks differ, the prompt's position in the channel drifts. The drift is fitted together with
the taps, and the taps' input is interpolated between the prompt's samples.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vad_agent.audio.delay_estimator import PAD, WINDOW, Float64Array

FRAME: Final = 320
TAPS: Final = 24
BEFORE: Final = TAPS // 2
MEMORY: Final = 0.72
"""Weight of a frame, one frame later: about 70 ms are decisive."""
NEWS: Final = 0.02
"""A frame with a smaller share of the prompt's power is ignored: the taps stay."""
STIFF: Final = 1e-5
"""Regularization: share of the prompt's power by which the filter prefers its previous taps."""

# Clock drift: the prompt's position moves. In samples per sample.
DRIFT_MOST: Final = 3e-4
DRIFT_EVERY: Final = 5
"""Frames between two measurements."""
DRIFT_DOUBT: Final = 2e-4
"""Uncertainty before the first measurement."""
DRIFT_CHANGE: Final = 4e-6
"""Possible change of the drift within DRIFT_EVERY."""
DRIFT_LEAST: Final = 4e-6
"""A smaller change is ignored; on a single device there is no drift."""
REFITTED: Final = 6
"""Frames."""
COLOUR: Final = 5.0
"""Samples of a voice are correlated: they carry this factor less information."""
REACH: Final = 8
"""Samples on either side from which one between two is interpolated."""
CLIPPED: Final = 32_000.0
"""A resampler behind the mixer rounds clipped samples off: samples near full scale are not trusted."""

MIDDLE: Final = np.arange(FRAME + TAPS - 1) - (FRAME + TAPS - 1) / 2


def _between(part: float) -> Float64Array:
    """Interpolation taps for the sample at position `part`, 0…1, between two samples."""
    at = np.arange(1 - REACH, REACH + 1) - part
    taps: Float64Array = np.sinc(at) * np.cos(np.pi / 2 * at / (REACH + 0.5)) ** 2
    return taps[::-1]


PHASES: Final = 512
BETWEEN: Final = np.stack([_between(phase / PHASES) for phase in range(PHASES + 1)])


class AdaptiveFilter:
    """Fits one prompt to the channel. Sample numbers of the channel have any fixed origin.

    `prompt`: int16 values at 16 kHz, PAD samples of silence on either side. `heard`: the channel's
    last WINDOW + 1 samples, kept up to date by the caller.
    """

    def __init__(self, prompt: Float64Array, heard: Float64Array) -> None:
        self._prompt = prompt
        self._heard = heard
        self._lag = 0.0  # the prompt's first sample in the channel …
        self._drift = 0.0  # … moves by this much per sample …
        self._origin = 0  # … after this one
        self._doubt = DRIFT_DOUBT**2
        self._change = 0.0  # measured change of the drift
        self._measure_in = 1
        self._taps = np.zeros(TAPS)
        self._power = np.zeros((TAPS, TAPS))
        self._cross = np.zeros(TAPS)

    def begin(self, lag: int, at: int) -> None:
        """The prompt was found at `lag`. The frame at `at` is the newest one."""
        self._drift = self._change = 0.0
        self._doubt = DRIFT_DOUBT**2
        self._measure_in = 1
        self._place(lag, at)
        self._fit(at, WINDOW // FRAME - 1)
        self._solve()

    def jump(self, lag: int, at: int) -> bool:
        """The prompt was found elsewhere. False: the taps cover the new place."""
        if abs(lag - self.lag_at(at)) <= BEFORE:
            return False
        self._place(lag, at)
        self._fit(at, 0)
        self._measure_in = WINDOW // FRAME  # until then the window also covers the old place
        return True

    def sees(self, at: int) -> Float64Array:
        """FRAME samples of the prompt, aligned with the channel's frame at `at`. Shape (FRAME,)."""
        return self._rows(at)[:, BEFORE]

    def made(self, at: int) -> Float64Array:
        """The estimated prompt in the channel's frame at `at`. Shape (FRAME,)."""
        return self._rows(at) @ self._taps

    def fitted(self, at: int) -> Float64Array:
        """The same, after updating the taps with this frame, which must be the newest."""
        if abs(self._change) > DRIFT_LEAST:
            self._move(at)
        rows = self._rows(at)
        self._learn(rows, self._frame(0))
        self._solve()
        made: Float64Array = rows @ self._taps
        return made

    def watch_drift(self, at: int) -> None:
        """Measure the drift if it is due, for the following frames."""
        self._measure_in -= 1
        if self._measure_in <= 0:
            self._measure_in = DRIFT_EVERY
            self._measure_drift(at)

    def _place(self, lag: float, at: int) -> None:
        self._lag, self._origin = lag, at

    def lag_at(self, at: float) -> float:
        """Position of the prompt's first sample in the channel, as seen at sample `at`."""
        return self._lag + self._drift * (at - self._origin)

    def _rows(self, at: int) -> Float64Array:
        """(FRAME, TAPS): the input of each tap for the samples from `at` on."""
        count = FRAME + TAPS - 1
        place = PAD + at - self.lag_at(at + FRAME / 2) - BEFORE
        first = math.floor(place)
        first = min(max(first, REACH), len(self._prompt) - count - REACH - 1)
        if not self._drift and place == first:
            return _windows(self._prompt, first)
        wide = self._prompt[first - REACH + 1 : first + count + REACH]
        seen = np.convolve(
            wide, BETWEEN[round(min(max(place - first, 0.0), 1.0) * PHASES)], "valid"
        )
        seen -= self._drift * MIDDLE * _slope(seen)
        return _windows(seen, 0)

    def _fit(self, at: int, frames: int) -> None:
        """Fit the taps again, to the frame at `at` and `frames` before it."""
        self._power[:] = 0.0
        self._cross[:] = 0.0
        self._taps[:] = 0.0
        for ago in range(frames, 0, -1):
            self._learn(self._rows(at - ago * FRAME), self._frame(ago))

    def _frame(self, ago: int) -> Float64Array:
        end = len(self._heard) - ago * FRAME
        return self._heard[end - FRAME : end]

    def _learn(self, rows: Float64Array, heard: Float64Array) -> None:
        if max(heard.max(), -heard.min()) >= CLIPPED:
            whole = np.abs(heard) < CLIPPED
            rows, heard = rows[whole], heard[whole]
        else:
            rows = np.ascontiguousarray(rows)
        power = rows.T @ rows
        if power[BEFORE, BEFORE] > NEWS * self._power[BEFORE, BEFORE]:
            self._power *= MEMORY
            self._cross *= MEMORY
        self._power += power
        self._cross += rows.T @ heard

    def _solve(self) -> None:
        stiff = STIFF * float(np.trace(self._power)) + 1.0
        power = self._power + stiff * np.eye(TAPS)
        self._taps += np.linalg.solve(power, self._cross - self._power @ self._taps)

    def _measure_drift(self, at: int) -> None:
        """Fit the taps and a movement of the prompt together, over all remembered frames."""
        begins = range(at - WINDOW + FRAME, at + 1, FRAME)
        rows = np.empty((WINDOW // 2, TAPS + 1))
        for place, begin in enumerate(begins):
            part = rows[place * FRAME // 2 : (place + 1) * FRAME // 2]
            part[:, :-1] = self._rows(begin)[::2]
            made = part[:, :-1] @ self._taps
            part[:, -1] = _slope(made) * 0.5
        rows[:, -1] *= (np.arange(0.0, WINDOW, 2.0) - (WINDOW - FRAME / 2)) * DRIFT_DOUBT
        heard = self._heard[1::2]
        if max(heard.max(), -heard.min()) >= CLIPPED:
            whole = np.abs(heard) < CLIPPED
            rows, heard = rows[whole], heard[whole]
        power = rows.T @ rows
        power[np.diag_indices(TAPS + 1)] += STIFF * np.trace(power) / TAPS + 1.0
        inverse = np.linalg.inv(power)
        fitted = inverse @ (rows.T @ heard)
        left = heard - rows @ fitted
        noise = COLOUR * float(left @ left) / max(len(left), 1)
        doubt = noise * float(inverse[-1, -1]) * DRIFT_DOUBT**2
        self._doubt += DRIFT_CHANGE**2
        gain = self._doubt / (self._doubt + doubt)
        self._doubt *= 1.0 - gain
        self._change = -gain * float(fitted[-1]) * DRIFT_DOUBT

    def _move(self, at: int) -> None:
        """The drift has changed: fit the taps again to the last frames."""
        self._place(self.lag_at(at), at)
        self._drift = min(max(self._drift + self._change, -DRIFT_MOST), DRIFT_MOST)
        self._change = 0.0
        taps = self._taps.copy()
        self._fit(at, REFITTED)
        self._taps[:] = taps


def _windows(samples: Float64Array, first: int) -> Float64Array:
    """A view, (FRAME, TAPS): a row for each sample from `first` on."""
    return np.ndarray((FRAME, TAPS), np.float64, samples, first * 8, (8, 8))


def _slope(samples: Float64Array) -> Float64Array:
    """The slope at each sample; at both ends 0."""
    slope = np.zeros(len(samples))
    slope[1:-1] = (samples[2:] - samples[:-2]) * 0.5
    return slope
