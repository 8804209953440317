"""One channel's listening to the network judge: the energies of what was heard are kept, not the sound.

asked at      ……………………|                 |
frames given           |<-- 110 frames ->|      their energies are computed, 1 µs each
looked at     |<----- WINDOW frames ---->|      energies kept from before, and these

Half of a question's cost is the energies; each frame's are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vad_agent.core.frames import samples_per_frame
from vad_agent.hearing import features, network
from vad_agent.hearing.features import Floats
from vad_agent.hearing.judge import LEAST, WINDOW, Verdict, decide
from vad_agent.hearing.network import STRIDE, Network


class NetworkListener:
    """Implements `judge.Listener` with the shipped network, or another one. One per channel and call.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
        WeightsError: the file of the weights is damaged or missing.
    """

    __slots__ = ("_before", "_energies", "_network", "_rate")

    knows_music = True

    def __init__(self, sample_rate: int, weights: Network | None = None) -> None:
        samples_per_frame(sample_rate)
        self._rate = sample_rate
        self._network = weights or network.load()
        self._energies: Floats = np.empty((0, features.BANDS), np.float32)
        self._before: bytes | None = None  # the frame before those that come

    def hear(self, frames: Sequence[bytes]) -> Verdict:
        """The frames since it was asked last; of WINDOW and more, only the newest are looked at."""
        if len(frames) >= WINDOW:
            frames = frames[-WINDOW:]
            self._before = None
        if frames:
            new = self._energies_of(frames)
            kept = 0 if len(new) >= WINDOW else WINDOW - len(new)
            self._energies = np.concatenate([self._energies[-kept:] if kept else new[:0], new])
            self._before = frames[-1]
        heard = self._energies[len(self._energies) % STRIDE :]
        if len(heard) < LEAST:
            return Verdict(None, None, doubtful=True)
        return decide(self._network.logits(features.normalise(heard)))

    def _energies_of(self, frames: Sequence[bytes]) -> Floats:
        if self._before is None:
            return features.log_mel(frames, self._rate)
        # A frame's window reaches back into the one before it.
        return features.log_mel([self._before, *frames], self._rate)[1:]
