"""The product's own prompt, taken out of the client's channel where that is what the headset plays.

    told      |play                |          where the prompt is expected, ±150 ms
    channel   ▁▁▁▁▁▂▇▇▅▇▆▇▇▅▆▇▇▂▁▁▁▁▁▁▁       the prompt, and the client's voice with it
    state     ....mmmm-------------           m: muted until its place is known; -: subtracted
    cleaned   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▅▇▇▆▁▁▁▁▁        who speaks over it is heard

What is captured is the very signal that was played, at another volume and through the server's resampler: so
its place is found to the sample by correlation, and a short filter, fitted anew in each frame by least
squares to the last ones, makes of the prompt what the channel has of it. The client's voice is nothing that
such a filter can make of a prompt: it stays. Nor is anything else taken out where no prompt is found: on
another device there is none.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vad_agent.core.frames import SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.errors import FrameError
from vad_agent.hearing.level import from_dbfs

Floats = NDArray[np.float64]

RATE: Final = 16_000
FRAME: Final = 320
FRAME_BYTES: Final = FRAME * SAMPLE_BYTES
NEVER: Final = 1 << 62

UNCERTAIN: Final = 2_400
"""Samples: a prompt begins so much sooner or later than expected."""

# Where it is.
WINDOW: Final = 3_200
"""Samples of the channel that are compared with the prompt: 200 ms."""
SHORT: Final = 320
"""While something is left over: has it jumped, since a frame was repeated or left out?"""
FFT: Final = 8_192
"""Not less than WINDOW + 2 * UNCERTAIN …"""
SHORT_FFT: Final = 5_120
"""… and SHORT + 2 * UNCERTAIN."""
LIKE: Final = 0.4
"""Correlation: a client as loud as the prompt leaves 0.7 of 1, a voice alone may reach this by chance …"""
CLEAR: Final = 1.5
"""… but then it is hardly so much less at every other place."""
LESS_LIKE: Final = 0.2
CLEARER: Final = 2.5
"""The same for a louder client."""
SAME: Final = 2
"""Samples: two looks, a frame apart, agree."""
NEIGHBOURS: Final = 40
"""Samples beside the best place that do not count as elsewhere."""
LEAST: Final = 4.0
"""Level of the prompt in a window, its treble raised, to be looked for."""
JUMPED: Final = 0.85
VAIN: Final = 25
"""Loud frames of the prompt of which the channel kept more than half: it was not the prompt."""
GONE: Final = 8
"""Loud frames that were the prompt and nearly nothing else: it is in this channel."""
LEFT: Final = 0.1
"""Share of a frame's power that is more than should be left of a prompt alone."""

# The filter.
TAPS: Final = 24
BEFORE: Final = TAPS // 2
MEMORY: Final = 0.72
"""A frame later a frame counts so much: about 70 ms decide."""
NEWS: Final = 0.02
"""A frame with less of the prompt's power than this says nothing: what was known before it stands."""
STIFF: Final = 1e-5
"""Share of the prompt's power by which the filter prefers to stay as it is."""

# Two clocks: the prompt's place moves.
DRIFT_MOST: Final = 3e-4
DRIFT_EVERY: Final = 5
"""Frames."""
DRIFT_DOUBT: Final = 2e-4
"""Before it was measured."""
DRIFT_CHANGE: Final = 4e-6
"""What it may change by in DRIFT_EVERY."""
DRIFT_LEAST: Final = 4e-6
"""Less is no reason to move: on one device there is none."""
REFITTED: Final = 6
"""Frames."""
COLOUR: Final = 5.0
"""Samples of a voice are alike: they tell so much less."""
REACH: Final = 8
"""Samples on either side that make one between two."""
BLOCK: Final = 160
"""10 ms: the rest of a stopped prompt, as it fades, is measured so."""

# While nothing is known.
CLIPPED: Final = 32_000.0
"""A resampler behind it rounds clipped samples off: near full scale none is taken at its word."""
BEGINS: Final = 0.05
"""Share of its highest sample with which a prompt begins to sound."""
LOUD: Final = from_dbfs(-56)
"""What is below is heard as nobody in any case."""
SOUNDS: Final = from_dbfs(-36)
"""A frame of the prompt that tells whether it is in the channel."""
MUTED: Final = 6.0
"""Level of muted frames: no floor is measured there, nor is it digital zero."""
MUTE_FRAMES: Final = 12
"""Loud frames without a prompt in them: there is none in this channel."""
TAIL_FRAMES: Final = 10
"""A stopped prompt is over so many frames after the one in which it was expected to stop."""


MIDDLE: Final = np.arange(FRAME + TAPS - 1) - (FRAME + TAPS - 1) / 2


def _between(part: float) -> Floats:
    """Taps that make the sample which lies so far, 0…1, between two."""
    at = np.arange(1 - REACH, REACH + 1) - part
    taps: Floats = np.sinc(at) * np.cos(np.pi / 2 * at / (REACH + 0.5)) ** 2
    return taps[::-1]


PHASES: Final = 512
BETWEEN: Final = np.stack([_between(phase / PHASES) for phase in range(PHASES + 1)])


class OwnPrompt:
    """Takes prompts out of the client's channel: 16 kHz, frames of 20 ms.

    `play` and `stop` say what the channel may carry; `clean` is given each of its frames.

    Raises:
        FrameError: another sample rate.
    """

    __slots__ = ("_from", "_muting", "_played")

    def __init__(self, sample_rate: int = RATE) -> None:
        if samples_per_frame(sample_rate) != FRAME:
            raise FrameError(f"own prompt: expected {RATE} Hz, got {sample_rate}")
        self._played: list[_Played] = []
        self._from = NEVER
        self._muting = True

    def play(self, pcm: bytes, index: int) -> None:
        """A prompt was begun: int16 mono at 16 kHz, expected in the channel at frame `index` ±150 ms."""
        prompt = _Played(pcm, index, muting=self._muting)
        self._played.append(prompt)
        self._from = min(self._from, prompt.first)

    def stop(self, index: int) -> None:
        """All that plays fades out, expected in the channel at frame `index` ±150 ms."""
        for prompt in self._played:
            prompt.stop(index)

    def clean(self, frame: bytes | None, index: int) -> bytes | None:
        """The channel's frame `index` without what the product itself says; None: it did not come.

        Frames come in order. One without a prompt to take out is returned as it is.

        Raises:
            FrameError: not one frame of int16 mono at 16 kHz.
        """
        # Hot path: nothing plays.
        if index < self._from:
            return frame
        if frame is not None:
            frame = check_frame(frame, FRAME_BYTES)
        for prompt in self._played:
            if index >= prompt.first:
                frame = prompt.clean(frame, index)
        self._forget(index)
        return frame

    def _forget(self, index: int) -> None:
        kept = []
        for prompt in self._played:
            if index + 1 < prompt.last:
                kept.append(prompt)
            elif prompt.known or prompt.absent:
                self._muting = prompt.known
        self._played = kept
        self._from = min((prompt.first for prompt in kept), default=NEVER)


class _Played:
    """One prompt in the channel. Samples of the channel count from the frame in which it is expected."""

    def __init__(self, pcm: bytes, begin: int, *, muting: bool) -> None:
        samples = np.frombuffer(pcm, "<i2").astype(np.float64)
        self._begin = begin
        self._pad = WINDOW + 3 * UNCERTAIN + TAPS + 2 * FRAME
        self._prompt = np.pad(samples, self._pad)
        sharp = _sharp(self._prompt)
        self._sharp = sharp.astype(np.float32)
        self._energy = np.concatenate(([0.0], np.cumsum(sharp * sharp)))  # up to each sample
        self._size = len(samples)
        heights = np.abs(samples)
        self._sounds_at = int(np.argmax(heights > heights.max(initial=0.0) * BEGINS))
        self.first = begin - UNCERTAIN // FRAME - 1
        self.last = begin + (len(samples) + UNCERTAIN) // FRAME + 2
        """One past the last frame in which anything of it may be."""
        self._stopped = NEVER
        self._heard = np.zeros(WINDOW + 1)
        self._next = self.first

        self.found = False
        self.absent = not muting
        """It is taken for not being there; it is looked for all the same."""
        self._gone = 0  # loud frames of which next to nothing was left
        self._candidate: int | None = None
        self._vain = 0  # frames in a row from which little could be taken
        self._unknown = 0  # loud frames while it was not found
        self._lag = 0.0  # its first sample in the channel …
        self._drift = 0.0  # … so many more for each sample …
        self._origin = 0  # … after this one
        self._doubt = DRIFT_DOUBT**2
        self._measure_in = 1
        self._taps = np.zeros(TAPS)
        self._power = np.zeros((TAPS, TAPS))
        self._cross = np.zeros(TAPS)

    @property
    def known(self) -> bool:
        """It was there, and was taken out."""
        return self._gone >= GONE

    def stop(self, index: int) -> None:
        if index < self._stopped:
            self._stopped = index
            self.last = min(self.last, index + TAIL_FRAMES + UNCERTAIN // FRAME)

    def clean(self, frame: bytes | None, index: int) -> bytes | None:
        for _ in range(min(index - self._next, WINDOW // FRAME)):
            self._hear(np.zeros(FRAME))
        self._next = index + 1
        heard = np.zeros(FRAME) if frame is None else np.frombuffer(frame, "<i2").astype(np.float64)
        self._hear(heard)
        at = (index - self._begin) * FRAME
        if frame is None:
            return None
        loud = float(heard @ heard) > FRAME * LOUD * LOUD
        if not self.found and loud:
            self._find(at)
        if self.found:
            return _frame_of(self._subtract(heard, at))
        if not loud and at > self._sounds_at + 2 * UNCERTAIN:
            self.absent = True  # it should be heard by now
        if not loud or self.absent or not self._may_sound(at):
            return frame
        self._unknown += 1
        self.absent = self._unknown >= MUTE_FRAMES
        return _frame_of(_muted(heard))

    def _hear(self, heard: Floats) -> None:
        self._heard[:-FRAME] = self._heard[FRAME:]
        self._heard[-FRAME:] = heard

    def _may_sound(self, at: int) -> bool:
        """Any of its places within the uncertainty puts something of it here."""
        return -UNCERTAIN - FRAME < at < self._size + UNCERTAIN

    # -- where it is ---------------------------------------------------------------------------------

    def _find(self, at: int) -> None:
        best = self._compare(at, WINDOW, 0)
        if best is None:
            self._candidate = None
            return
        lag, likeness, elsewhere = best
        before, self._candidate = self._candidate, None
        if likeness < max(LIKE, CLEAR * elsewhere) and likeness < max(
            LESS_LIKE, CLEARER * elsewhere
        ):
            return
        self._candidate = lag
        if before is None or abs(lag - before) > SAME:
            return
        self.found, self.absent = True, False
        self._vain = 0
        self._place(lag, at)
        self._fit(at, WINDOW // FRAME - 1)
        self._solve()
        self._measure_in = 1
        self._change = 0.0  # of the drift, measured

    def _find_again(self, at: int) -> bool:
        """The prompt, and nearly nothing else, is somewhere else now."""
        here = round(self._lag_at(at))
        best = self._compare(at, SHORT, here)
        if best is None or best[1] < JUMPED or abs(best[0] - here) <= BEFORE:
            return False
        self._place(best[0], at)
        self._fit(at, 0)
        return True

    def _place(self, lag: float, at: int) -> None:
        self._lag, self._origin = lag, at

    def _lag_at(self, at: float) -> float:
        return self._lag + self._drift * (at - self._origin)

    def _compare(self, at: int, window: int, around: int) -> tuple[int, float, float] | None:
        """The best place, its correlation, and the best one elsewhere; None: there is nothing yet."""
        heard = _sharp(self._heard[-window - 1 :])[1:].astype(np.float32)
        begin = self._pad + at + FRAME - window - UNCERTAIN - around
        if begin < 0 or begin + window + 2 * UNCERTAIN > len(self._sharp):
            return None
        size = FFT if window > SHORT else SHORT_FFT
        part = self._sharp[begin : begin + window + 2 * UNCERTAIN]
        cross = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(heard, size)), size)
        ends = self._energy[begin + window : begin + window + 2 * UNCERTAIN + 1]
        powers = ends - self._energy[begin : begin + 2 * UNCERTAIN + 1]
        scale = np.sqrt(np.maximum(powers * float(heard @ heard), 1.0))
        likeness = cross[: 2 * UNCERTAIN + 1] / scale
        likeness[powers < window * LEAST * LEAST] = 0.0
        best = int(likeness.argmax())
        low, high = max(best - NEIGHBOURS, 0), best + NEIGHBOURS + 1
        elsewhere = max(likeness[:low].max(initial=0.0), likeness[high:].max(initial=0.0))
        return around + UNCERTAIN - best, float(likeness[best]), float(elsewhere)

    # -- what the channel has of it ------------------------------------------------------------------

    def _rows(self, at: int) -> Floats:
        """(FRAME, TAPS): what each tap sees at the samples from `at` on."""
        count = FRAME + TAPS - 1
        place = self._pad + at - self._lag_at(at + FRAME / 2) - BEFORE
        first = math.floor(place)
        first = min(max(first, REACH), len(self._prompt) - count - REACH - 1)
        if not self._drift and place == first:
            return _windows(self._prompt, first)
        wide = self._prompt[first - REACH + 1 : first + count + REACH]
        seen = np.convolve(wide, BETWEEN[round((place - first) * PHASES)], "valid")
        seen -= self._drift * MIDDLE * _slope(seen)
        return _windows(seen, 0)

    def _fit(self, at: int, frames: int) -> None:
        """Anew, to the frame at `at` and so many before it."""
        self._power[:] = 0.0
        self._cross[:] = 0.0
        self._taps[:] = 0.0
        for ago in range(frames, 0, -1):
            self._learn(self._rows(at - ago * FRAME), self._frame(ago))

    def _frame(self, ago: int) -> Floats:
        end = len(self._heard) - ago * FRAME
        return self._heard[end - FRAME : end]

    def _learn(self, rows: Floats, heard: Floats) -> None:
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
        """Fit the filter and a movement of the prompt together, over all that is remembered."""
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
        """The prompt moves otherwise than it was taken to: the filter is fitted anew to the last frames."""
        self._place(self._lag_at(at), at)
        self._drift = min(max(self._drift + self._change, -DRIFT_MOST), DRIFT_MOST)
        self._change = 0.0
        taps = self._taps.copy()
        self._fit(at, REFITTED)
        self._taps[:] = taps

    # -- out of the frame ----------------------------------------------------------------------------

    def _subtract(self, heard: Floats, at: int) -> Floats:
        rows = self._rows(at)
        if self._next - 1 >= self._stopped - UNCERTAIN // FRAME:
            return self._limited(heard, self._faded(rows @ self._taps, heard))
        if abs(self._change) > DRIFT_LEAST:
            self._move(at)
            rows = self._rows(at)
        rest = self._fitted(heard, rows)
        self._judge(float(rest @ rest), float(heard @ heard), rows)
        self._measure_in -= 1
        if self._measure_in <= 0:
            self._measure_in = DRIFT_EVERY
            self._measure_drift(at)
        elif float(rest @ rest) > LEFT * float(heard @ heard) and self._find_again(at):
            return self._fitted(heard, self._rows(at))
        return rest

    def _judge(self, left: float, came: float, rows: Floats) -> None:
        """Is it the prompt that is taken out?"""
        sounds = rows[:, BEFORE]
        if came < FRAME * LOUD * LOUD or float(sounds @ sounds) < FRAME * SOUNDS * SOUNDS:
            return
        self._gone += left < LEFT * came
        self._vain = self._vain + 1 if left > came / 2 else 0
        if self._vain >= VAIN:
            self.found, self.absent, self._candidate = False, True, None

    def _fitted(self, heard: Floats, rows: Floats) -> Floats:
        self._learn(rows, heard)
        self._solve()
        return self._limited(heard, rows @ self._taps)

    def _limited(self, heard: Floats, made: Floats) -> Floats:
        """Never louder than it came: where the device itself left a hole, nothing is put in."""
        rest = (heard - np.clip(made, -32_768.0, 32_767.0)).reshape(-1, BLOCK)
        came = heard.reshape(-1, BLOCK)
        louder = np.einsum("ij,ij->i", rest, rest) > np.einsum("ij,ij->i", came, came)
        rest[louder] = came[louder]
        return rest.reshape(-1)

    def _faded(self, made: Floats, heard: Floats) -> Floats:
        """So much of it as each 10 ms still have."""
        blocks, channel = made.reshape(-1, BLOCK), heard.reshape(-1, BLOCK)
        powers = np.einsum("ij,ij->i", blocks, blocks)
        shares = np.einsum("ij,ij->i", blocks, channel) / np.maximum(powers, 1.0)
        faded: Floats = (blocks * np.clip(shares, 0.0, 1.0)[:, None]).reshape(-1)
        return faded


def _windows(samples: Floats, first: int) -> Floats:
    """A view, (FRAME, TAPS): a row for each sample from `first` on."""
    return np.ndarray((FRAME, TAPS), np.float64, samples, first * 8, (8, 8))


def _slope(samples: Floats) -> Floats:
    """A sample; at both ends of it, none."""
    slope = np.zeros(len(samples))
    slope[1:-1] = (samples[2:] - samples[:-2]) * 0.5
    return slope


def _sharp(samples: Floats) -> Floats:
    """With the treble raised: voices differ there, and a telephone's voice has none above 4 kHz."""
    sharp = samples.copy()
    sharp[1:] -= 0.95 * samples[:-1]
    return sharp


def _muted(heard: Floats) -> Floats:
    level = math.sqrt(float(heard @ heard) / FRAME)
    return heard * (MUTED / max(level, MUTED))


def _frame_of(samples: Floats) -> bytes:
    whole: bytes = np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes()
    return whole
