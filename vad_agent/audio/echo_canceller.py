"""Echo canceller: removes the product's own prompt from the client's channel, if the headset plays
it there.

    play      |play                |          where the prompt is expected, ±150 ms
    channel   ▁▁▁▁▁▂▇▇▅▇▆▇▇▅▆▇▇▂▁▁▁▁▁▁▁       the prompt, and the client's voice with it
    state     ....mmmm-------------           m: muted until its place is known; -: subtracted
    cleaned   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▅▇▇▆▁▁▁▁▁        a client who speaks over it is heard

The captured signal is the played one with another gain and the server's resampler. Correlation
therefore finds it to the sample. A short filter, fitted by least squares to the last frames in each
frame, models how the prompt appears in the channel. The filter cannot produce the client's voice
from the prompt, so the voice remains. If no prompt is found, nothing is removed: on another device
there is none.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vad_agent.audio.adaptive_filter import FRAME, AdaptiveFilter
from vad_agent.audio.delay_estimator import PAD, UNCERTAIN, WINDOW, DelayEstimator, Float64Array
from vad_agent.audio.pcm import from_dbfs
from vad_agent.core.frames import ENDLESS, SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.errors import FrameError

RATE: Final = 16_000
FRAME_BYTES: Final = FRAME * SAMPLE_BYTES

VAIN: Final = 25
"""Loud frames of the prompt of which the channel kept more than half: it was not the prompt."""
GONE: Final = 8
"""Loud frames that contained the prompt and almost nothing else: it is in this channel."""
LEFT: Final = 0.1
"""Larger share of a frame's power than should remain of a prompt alone."""

MOVED: Final = 3
"""Frames of which too much remained until the prompt is searched for below other sound."""

BLOCK: Final = 160
"""10 ms: resolution for measuring a stopped prompt while it fades."""

# Limits while nothing is known.
BEGINS: Final = 0.05
"""Share of its highest sample at which a prompt becomes audible."""
LOUD: Final = from_dbfs(-56)
"""Sound below this level is never detected as speech."""
SOUNDS: Final = from_dbfs(-36)
"""Level of a frame of the prompt that shows whether it is in the channel."""
MUTED: Final = 6.0
"""Level of muted frames: not measured as background noise, and not digital zero."""
MUTE_FRAMES: Final = 12
"""Loud frames without a prompt in them: there is none in this channel."""
TAIL_FRAMES: Final = 10
"""A stopped prompt is over this many frames after the expected stop."""


class EchoCanceller:
    """Removes prompts from the client's channel: 16 kHz, frames of 20 ms.

    `play` and `stop` announce what the channel may contain; `clean` takes each of its frames.

    Raises:
        FrameError: another sample rate.
    """

    __slots__ = ("_from", "_muting", "_played")

    def __init__(self, sample_rate: int = RATE) -> None:
        if samples_per_frame(sample_rate) != FRAME:
            raise FrameError(f"own prompt: expected {RATE} Hz, got {sample_rate}")
        self._played: list[_Played] = []
        self._from = ENDLESS
        self._muting = True

    def play(self, pcm: bytes, index: int) -> None:
        """A prompt began: int16 mono at 16 kHz, expected in the channel at frame `index` ±150 ms."""
        if not pcm:
            return
        prompt = _Played(pcm, index, muting=self._muting)
        self._played.append(prompt)
        self._from = min(self._from, prompt.first)

    def stop(self, index: int) -> None:
        """All prompts fade out, expected in the channel at frame `index` ±150 ms."""
        for prompt in self._played:
            prompt.stop(index)
        # A prompt that had not begun by then never will.
        self._played = [prompt for prompt in self._played if prompt.first < prompt.last]
        self._from = min((prompt.first for prompt in self._played), default=ENDLESS)

    def clean(self, frame: bytes | None, index: int) -> bytes | None:
        """The channel's frame `index` without our own prompts. None: the frame did not arrive.

        Frames come in order. A frame without a prompt is returned unchanged.

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
        self._from = min((prompt.first for prompt in kept), default=ENDLESS)


class _Played:
    """One prompt in the channel. Sample numbers start at the frame in which it is expected."""

    def __init__(self, pcm: bytes, begin: int, *, muting: bool) -> None:
        samples = np.frombuffer(pcm, "<i2").astype(np.float64)
        self._begin = begin
        self._heard = np.zeros(WINDOW + 1)
        prompt = np.pad(samples, PAD)
        self._search = DelayEstimator(prompt)
        self._filter = AdaptiveFilter(prompt, self._heard)
        self._size = len(samples)
        heights = np.abs(samples)
        self._sounds_at = int(np.argmax(heights > heights.max(initial=0.0) * BEGINS))
        self.first = begin - UNCERTAIN // FRAME - 1
        self._stopped = ENDLESS
        self.last = 0
        """One past the last frame that may contain it."""
        self._lasts_until(0)
        self._next = self.first

        self.found = False
        self.absent = not muting
        """It is assumed to be absent; the search continues."""
        self._moving = 0  # consecutive frames of which too much remained
        self._gone = 0  # loud frames of which almost nothing remained
        self._vain = 0  # consecutive frames from which little could be removed
        self._unknown = 0  # loud frames while it was not found

    @property
    def known(self) -> bool:
        """It was found and removed."""
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
            lag = self._search.find(self._heard, at + FRAME)
            if lag is not None:
                self.found, self.absent, self._vain = True, False, 0
                self._filter.begin(lag, at)
        if self.found:
            return _frame_of(self._subtract(heard, at))
        if not loud and at > self._sounds_at + 2 * UNCERTAIN:
            self.absent = True  # it should be audible by now
        if not loud or self.absent or not self._may_sound(at):
            return frame
        self._unknown += 1
        self.absent = self._unknown >= MUTE_FRAMES
        return _frame_of(_muted(heard))

    def _hear(self, heard: Float64Array) -> None:
        self._heard[:-FRAME] = self._heard[FRAME:]
        self._heard[-FRAME:] = heard

    def _may_sound(self, at: int) -> bool:
        """Some of it may be here, for a place within the uncertainty."""
        return -UNCERTAIN - FRAME < at < self._size + UNCERTAIN

    # -- removal
    # --------------------------------------------------------------------------------------

    def _subtract(self, heard: Float64Array, at: int) -> Float64Array:
        if self._next - 1 >= self._stopped - UNCERTAIN // FRAME:
            return self._limited(heard, self._faded(self._filter.made(at), heard))
        rest = self._limited(heard, self._filter.fitted(at))
        left, came = float(rest @ rest), float(heard @ heard)
        self._check_remainder(left, came, self._filter.sees(at))
        if left <= LEFT * came:
            self._moving = 0
        elif came > FRAME * LOUD * LOUD:
            self._moving += 1
            lag = self._moved(at)
            if lag is not None and self._filter.jump(lag, at):
                self._lasts_until(lag)
                # The frame spans the old and the new position: its remainder is no evidence.
                return _muted(self._limited(heard, self._filter.fitted(at)))
        self._filter.watch_drift(at)
        return rest

    def _moved(self, at: int) -> int | None:
        """Where the prompt is now, if an underrun of the device has moved it: by a frame of it
        alone, or by a few frames since it has moved, in which the client may speak too.
        """
        around = round(self._filter.lag_at(at))
        if (lag := self._search.find_again(self._heard, at + FRAME, around)) is not None:
            return lag
        if self._moving < MOVED:
            return None
        return self._search.find_moved(self._heard, at + FRAME, around)

    def _lasts_until(self, lag: int) -> None:
        """Set its end for a beginning at `lag`, also if only the rest of it was moved."""
        if self._stopped == ENDLESS:
            last = self._begin + (lag + self._size + UNCERTAIN) // FRAME + 2
            self.last = max(self.last, last)

    def _check_remainder(self, left: float, came: float, prompt: Float64Array) -> None:
        """Decide from the remainder whether the removed signal was the prompt."""
        sounds = float(prompt @ prompt) > FRAME * SOUNDS * SOUNDS
        if came < FRAME * LOUD * LOUD or not sounds:
            return
        self._gone += left < LEFT * came
        self._vain = self._vain + 1 if left > came / 2 else 0
        if self._vain >= VAIN:
            self.found, self.absent = False, True

    def _limited(self, heard: Float64Array, made: Float64Array) -> Float64Array:
        """Limit the result to the input's level: where the device left a gap, nothing is added."""
        rest = (heard - np.clip(made, -32_768.0, 32_767.0)).reshape(-1, BLOCK)
        came = heard.reshape(-1, BLOCK)
        louder = np.einsum("ij,ij->i", rest, rest) > np.einsum("ij,ij->i", came, came)
        rest[louder] = came[louder]
        return rest.reshape(-1)

    def _faded(self, made: Float64Array, heard: Float64Array) -> Float64Array:
        """Scale the estimate to what each 10 ms still contain of it."""
        blocks, channel = made.reshape(-1, BLOCK), heard.reshape(-1, BLOCK)
        powers = np.einsum("ij,ij->i", blocks, blocks)
        shares = np.einsum("ij,ij->i", blocks, channel) / np.maximum(powers, 1.0)
        faded: Float64Array = (blocks * np.clip(shares, 0.0, 1.0)[:, None]).reshape(-1)
        return faded


def _muted(heard: Float64Array) -> Float64Array:
    level = math.sqrt(float(heard @ heard) / FRAME)
    return heard * (MUTED / max(level, MUTED))


def _frame_of(samples: Float64Array) -> bytes:
    whole: bytes = np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes()
    return whole
