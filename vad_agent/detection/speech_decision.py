"""Decides what is speech: which frames, by the detector and the network together, and which segments.

detector's probability ─┐
network's logit ────────┴─> FrameDecision ─> flags ─> Segments: utterances with a beginning and an end

flags    ..x..xxxxxx.xxx...x..............
open     ▁▁▁▁▁▁▁▁▁█████████████████████▁▁     opens at HEARD flags of the last OF, closes
              |start        |end               HANGOVER after the last frame that was part of so many
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vad_agent.detection.feature_extractor import LIKELY
from vad_agent.detection.line_watch import FLAT_MAX
from vad_agent.detection.neural_network import SPEECH, Float32Array

THRESHOLD = 0.2
"""A frame with a lower detector probability is never speech."""
WEIGHT, LOGIT = 4.0, 1.1
"""A frame is speech if the network's logit plus WEIGHT times the detector's probability exceeds LOGIT."""
OPENING = 50
"""In the first frames with sound the line's noise floor is unknown: the detector alone is enough."""
HEARD, OF = 4, 6
"""Frames: a click has fewer, the shortest word more."""
HANGOVER = 15
"""Frames; a pause inside an utterance is shorter."""


class FrameDecision:
    """Decides for each frame of one channel whether it is speech. Gets the frames in order, in blocks."""

    __slots__ = ("_sounded",)

    def __init__(self) -> None:
        self._sounded = 0  # frames with sound so far, counted up to OPENING

    def decide(
        self,
        probabilities: Sequence[float],
        logits: Float32Array | None,
        levels: Sequence[float],
        *,
        detector: bool,
    ) -> list[bool]:
        """Whether each frame of a block is speech.

        `probabilities`: the detector's, 0 where a gate refused the frame. `logits`: the network's
        (frames, heads); None: there is no network. `levels`: smoothed RMS of int16 samples.
        `detector`: one exists and has not failed.
        """
        if logits is None:
            return [probability > 0 for probability in probabilities]
        said = np.array(probabilities)
        speech = (said > 0) & (logits[:, SPEECH] + WEIGHT * said > LOGIT)
        if self._sounded < OPENING and detector:
            sounded = self._sounded + np.cumsum(np.array(levels) > FLAT_MAX)
            speech |= (said >= LIKELY) & (sounded < OPENING)
            self._sounded = int(sounded[-1])
        flags: list[bool] = speech.tolist()
        return flags


class Segments:
    """Segments of speech of one channel. Gets the frames one by one, in order."""

    __slots__ = ("_history", "_mask", "end", "open", "start")

    def __init__(self) -> None:
        self.open = False
        self.start = 0
        """First frame of the open segment, or of the last one."""
        self.end = 0
        """One past the last frame of speech so far."""
        self._history = 0
        self._mask = (1 << OF) - 1

    def feed(self, frame: int, flag: bool) -> bool:
        """Frame number `frame`, counted from 1, is speech or not. True: a segment has opened or closed."""
        history = self._history = (self._history << 1 | flag) & self._mask
        if flag and history.bit_count() >= HEARD:
            if not self.open:
                self.open = True
                self.start = max(frame - history.bit_length(), self.end)
                self.end = frame
                return True
            self.end = frame
        elif self.open and frame - self.end >= HANGOVER:
            self.open = False
            return True
        return False

    def forget(self) -> None:
        """Discard the open segment and the last frames: they were not speech."""
        self._history = 0
        self.open = False
