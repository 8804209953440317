"""The detector: webrtcvad (the WebRTC project's Gaussian-mixture detector) behind a small protocol."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import _webrtcvad  # the C module under `webrtcvad`: its Python wrapper costs 0.2 of 1.6 µs a call

from vad_agent.core.frames import samples_per_frame

AGGRESSIVE = 3
"""The only usable mode for a silence timer: 0 to 2 count any noise as speech."""

LONG_RUN = 7
LONG_HANGOVER = 5
SHORT_HANGOVER = 3
"""Frames that mode 3 goes on saying "speech" after a run of LONG_RUN and more, or of fewer, 20 ms
frames (kOverHangMax2VAG and kOverHangMax1VAG in WebRTC's vad_core.c)."""


class Detector(Protocol):
    """Says of one frame whether it is speech. Stateful: one per channel and call."""

    def __call__(self, frame: bytes, samples: int, /) -> bool:
        """`frame`: int16 little-endian mono, 20 ms; `samples`: how many samples it has."""


def webrtc(sample_rate: int) -> Detector:
    """A new detector in mode 3 for `sample_rate` Hz.

    The caller checks the frames: this C function takes an int16 array or a wrong size without a
    word and judges half of it.

    Raises:
        FrameError: a rate that it does not take.
    """
    samples_per_frame(sample_rate)
    state = _webrtcvad.create()
    _webrtcvad.init(state)
    _webrtcvad.set_mode(state, AGGRESSIVE)
    detector: Detector = partial(_webrtcvad.process, state, sample_rate)
    return detector
