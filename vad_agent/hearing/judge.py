"""The judge: did anyone speak in these last seconds, and when did it end?

Asked only where it pays, at a deadline or when something that the cheap detector calls speech holds
the clock. Stateless; one set of weights for all sessions.

    logits   ▁▁▂▅▇▇▆▃▁▁▁▁▁▁▁▁▁▁▁▁▁▁▂▃     one a STEP of two frames
    speech   ▁▁▁████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁     a run above RUN with SURE_STEPS in a row above SURE
                    |<-- ended_ago ->|     frames, counted from the newest
                                 |<->|     the newest are above DOUBT: doubtful
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vad_agent.hearing import features, network
from vad_agent.hearing.network import STRIDE

# Logits.
RUN = -2.0
SURE = 0.5
DOUBT = -3.0
MUSIC = -1.0

SURE_STEPS = 3
"""120 ms: a click or a knock has one or two."""
DOUBT_STEPS = 3
"""120 ms, the newest."""
MUSIC_STEPS = 100
"""The newest 4 s …"""
MUSIC_SHARE = 0.65
"""… must mostly be music, and nobody speak in them."""

WINDOW = 300
"""Frames that the network was trained on: 6 s. More are not looked at."""
LEAST = 50
"""Frames under which there is nothing to compare a sound with: not judged, only doubted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge heard in the last frames."""

    ended_ago: int | None
    """Frames since the last speech ended, 0: it may go on; None: nobody spoke in these frames."""
    began_ago: int | None
    """Frames since that last run of speech began; None with `ended_ago`."""
    doubtful: bool
    """The newest frames may be a word's beginning: ask again in a few frames."""
    music: bool = False
    """The newest seconds are music, and nobody speaks over it."""

    @property
    def spoken(self) -> bool:
        """Did anyone speak in these frames?"""
        return self.ended_ago is not None


class Judge(Protocol):
    """Says whether anyone spoke in the last seconds. Stateless: sessions may share one."""

    def hear(self, frames: Sequence[bytes], sample_rate: int) -> Verdict:
        """`frames`: int16 little-endian mono, 20 ms each at `sample_rate` Hz, the newest last.

        Raises:
            FrameError: a frame or the rate is wrong.
        """


class NetworkJudge:
    """The shipped network behind `Judge`. All instances share its weights.

    Raises:
        WeightsError: the file of the weights is damaged or missing.
    """

    __slots__ = ("_network",)

    def __init__(self, weights: network.Network | None = None) -> None:
        self._network = weights or network.load()

    def hear(self, frames: Sequence[bytes], sample_rate: int) -> Verdict:
        """At most the newest WINDOW frames are looked at; see `Judge`."""
        heard = frames[-WINDOW:]
        heard = heard[len(heard) % STRIDE :]
        energies = features.log_mel(heard, sample_rate)
        if len(heard) < LEAST:
            return Verdict(None, None, doubtful=True)
        return decide(self._network.logits(features.normalise(energies)))


def decide(logits: NDArray[np.float32]) -> Verdict:
    """The verdict that follows from the network's answer.

    `logits`: float32, (steps, HEADS), the newest last, a step = STRIDE frames.
    """
    speech = logits[:, network.SPEECH]
    steps = len(speech)
    sure = speech > SURE
    together = sure[SURE_STEPS - 1 :].copy()
    for shift in range(1, SURE_STEPS):
        together &= sure[SURE_STEPS - 1 - shift : steps - shift]
    doubtful = bool((speech[-DOUBT_STEPS:] > DOUBT).any())
    found = np.flatnonzero(together)
    ended_ago = began_ago = None
    if len(found):
        last = int(found[-1]) + SURE_STEPS - 1
        quiet_after = np.flatnonzero(speech[last:] <= RUN)
        end = last + int(quiet_after[0]) if len(quiet_after) else steps
        quiet_before = np.flatnonzero(speech[:last] <= RUN)
        begin = int(quiet_before[-1]) + 1 if len(quiet_before) else 0
        ended_ago, began_ago = (steps - end) * STRIDE, (steps - begin) * STRIDE
    recent = logits[-MUSIC_STEPS:, network.MUSIC] > MUSIC
    music = (
        steps >= MUSIC_STEPS
        and (ended_ago is None or ended_ago >= MUSIC_STEPS * STRIDE)
        and float(recent.mean()) >= MUSIC_SHARE
    )
    return Verdict(ended_ago, began_ago, doubtful, music)
