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
from vad_agent.hearing.verdict import last_run

# Logits.
RUN = -3.0
SURE = -0.5
END = -1.0
DOUBT = -2.0
MUSIC = -1.0

SURE_STEPS = 2
"""80 ms: a click or a knock has one."""
DOUBT_STEPS = 3
"""120 ms, the newest."""
MUSIC_STEPS = 60
"""2.4 s at least up to now …"""
NOTE = 1.0
"""Speech of no more than this may be a note of it."""
PLAYS_STEPS = 25
"""A second."""
MUSIC_SHARE = 0.65
"""… so much of them music, and nobody speaks in them."""

WINDOW = 200
"""Frames: 4 s; the network was trained on 1.3 to 6 s. More are not looked at."""
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
    music_ago: int | None = None
    """Frames since the music began that the newest seconds are; None: they are no music."""
    strength: float = 10.0
    """The highest logit of that run of speech; 0 is the least that counts as one."""
    plays: bool = False
    """There is music in the newest second, whether somebody spoke before it or not."""

    @property
    def music(self) -> bool:
        """The newest seconds are music, and nobody speaks over it."""
        return self.music_ago is not None

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


class Listener(Protocol):
    """One channel's judge: it remembers what it was given. One per channel and call."""

    @property
    def knows_music(self) -> bool:
        """Its verdicts tell music; otherwise the cheap path's own are taken."""

    def hear(self, frames: Sequence[bytes]) -> Verdict:
        """`frames`: those since the last question, int16 little-endian mono, 20 ms each, the newest last.

        Raises:
            FrameError: a frame is wrong.
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
    doubtful = bool((speech[-DOUBT_STEPS:] > DOUBT).any())
    run = last_run(speech, floor=RUN, sure=SURE, together=SURE_STEPS)
    ended_ago = began_ago = None
    if run is not None:
        first, past = run
        if past < steps:  # it fades out: noise behind it is not it
            past = first + int(np.flatnonzero(speech[first:past] > END)[-1]) + 1
        began_ago, ended_ago = (steps - first) * STRIDE, (steps - past) * STRIDE
    strength = float(speech[run[0] : run[1]].max()) if run is not None else 0.0
    plays = float((logits[-PLAYS_STEPS:, network.MUSIC] > MUSIC).mean()) >= 0.5
    since_speech = None if strength < NOTE else ended_ago
    return Verdict(
        ended_ago, began_ago, doubtful, _music_ago(logits, since_speech), strength, plays
    )


def _music_ago(logits: NDArray[np.float32], ended_ago: int | None) -> int | None:
    """Frames since the earliest step after the last speech from which on it is mostly music."""
    if ended_ago is not None:
        logits = logits[len(logits) - ended_ago // STRIDE :]
    steps = len(logits)
    if steps < MUSIC_STEPS:
        return None
    music = logits[:, network.MUSIC] > MUSIC
    share = np.cumsum(music[::-1])[::-1] / np.arange(steps, 0, -1)
    found = np.flatnonzero(music & (share >= MUSIC_SHARE))
    if not len(found) or found[0] > steps - MUSIC_STEPS:
        return None
    return (steps - int(found[0])) * STRIDE
