"""What is done to a clean call before it is heard. All end on an A-law line, there and back.

            level, noise, echo            A-law            lost packets
    clean ───────────────────> mixed ───────────────> line ────────────> frames, None: it did not come

An SNR is that of the channel's labelled speech to the noise, RMS to RMS; of keys the loud frames count.
Each channel has its own noise; each call, condition and channel its own seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from audio_fixtures import g711
from benchmarks.accuracy import signals, split
from benchmarks.accuracy.labels import FRAME, RATE, LabelledCall, Samples, read_mono, resampled
from vad_agent.core.frames import Channel

Frames = list[bytes | None]
Kind = Literal["plain", "level", "real", "music", "pink", "car", "keys", "babble", "comfort",
               "zeros", "missing", "echo"]  # fmt: skip
Group = Literal["one channel", "babble", "echo"]

LOSS = 0.05
BURST = 3.0
"""Frames."""
ECHO_MS = (20, 300)
TALKERS = 6


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of the table."""

    name: str
    kind: Kind
    decibels: float = 0.0
    """Gain, SNR, dBFS or loss, as the kind has it."""

    @property
    def group(self) -> Group:
        """What is summed together."""
        if self.kind == "babble" or self.kind == "echo":
            return self.kind
        return "one channel"

    @property
    def sides(self) -> tuple[Channel, ...]:
        """The channels that are judged: the operator's voice leaks into the client's leg."""
        return (Channel.CLIENT,) if self.kind == "echo" else (Channel.OPERATOR, Channel.CLIENT)


CONDITIONS = (
    Condition("as is", "plain"),
    Condition("level −12 dB", "level", -12),
    Condition("level −24 dB", "level", -24),
    Condition("real noise 25 dB", "real", 25),
    Condition("real noise 20 dB", "real", 20),
    Condition("real noise 15 dB", "real", 15),
    Condition("music 25 dB", "music", 25),
    Condition("music 20 dB", "music", 20),
    Condition("pink noise 20 dB", "pink", 20),
    Condition("pink noise 15 dB", "pink", 15),
    Condition("car 15 dB", "car", 15),
    Condition("keys 20 dB", "keys", 20),
    Condition("comfort noise −45 dBFS", "comfort", -45),
    Condition("5 % loss, zeros", "zeros"),
    Condition("5 % loss, missing", "missing"),
    Condition("babble 25 dB", "babble", 25),
    Condition("echo −25 dB", "echo", -25),
    Condition("echo −35 dB", "echo", -35),
)
QUICK = tuple(
    one
    for one in CONDITIONS
    if one.name in {"as is", "level −24 dB", "real noise 15 dB", "music 20 dB", "car 15 dB",
                    "keys 20 dB", "5 % loss, zeros", "babble 25 dB", "echo −25 dB"}
)  # fmt: skip


def apply(condition: Condition, call: LabelledCall, folder: Path) -> Mapping[Channel, Frames]:
    """Both channels of the call as a contender is fed."""
    heard = {}
    for side in Channel:
        rng = signals.random(call.name, condition.name, side.value)
        mixed = _mixed(condition, call, side, folder, rng)
        frames: Frames = list(on_line(mixed))
        if condition.kind in ("zeros", "missing"):
            filler = bytes(2 * FRAME) if condition.kind == "zeros" else None
            gone = signals.lost(len(frames), LOSS, BURST, rng)
            frames = [filler if out else frame for frame, out in zip(frames, gone, strict=True)]
        heard[side] = frames
    return heard


def on_line(samples: Samples) -> list[bytes]:
    """After G.711 A-law, as 20 ms frames."""
    whole = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
    audio = g711.round_trip(whole, "alaw").astype("<i2").tobytes()
    size = 2 * FRAME
    return [audio[at : at + size] for at in range(0, len(audio) - size + 1, size)]


def _mixed(
    condition: Condition,
    call: LabelledCall,
    side: Channel,
    folder: Path,
    rng: np.random.Generator,
) -> Samples:
    clean = call.samples[side]
    if condition.kind in ("plain", "zeros", "missing"):
        return clean
    if condition.kind == "level":
        return signals.amplify(clean, condition.decibels)
    if condition.kind == "echo":
        if side is Channel.OPERATOR:
            return clean
        far = signals.amplify(call.samples[Channel.OPERATOR], condition.decibels)
        delay = int(rng.integers(ECHO_MS[0], ECHO_MS[1] + 1)) * RATE // 1000
        late: Samples = np.concatenate([np.zeros(delay), far])[: len(clean)]
        return clean + late
    noise = background(condition, len(clean), call.part, folder, rng)
    if condition.kind == "comfort":
        return clean + signals.at_level(noise, condition.decibels)
    speech = signals.active_level(clean, call.labels[side].mask())
    wanted = speech - condition.decibels
    return clean + signals.at_level(noise, wanted, active=condition.kind == "keys")


def background(
    condition: Condition, count: int, part: str, folder: Path, rng: np.random.Generator
) -> Samples:
    """The noise of a condition, at no level in particular."""
    match condition.kind:
        case "real":
            return _one(split.noise(folder, part), count, rng)
        case "music":
            return _one(split.music(part), count, rng)
        case "pink":
            return signals.pink(count, rng)
        case "car":
            return signals.car(count, rng)
        case "comfort":
            return signals.white(count, rng)
        case "keys":
            return signals.typing(count, rng, split.keys(part))
        case "babble":
            return babble(part, count, rng)
        case _:
            raise AssertionError(condition.kind)


def _one(files: Sequence[Path], count: int, rng: np.random.Generator) -> Samples:
    file = files[int(rng.integers(len(files)))]
    return signals.looped(_read(file), count, rng)


@cache
def _read(path: Path) -> Samples:
    return read_mono(path)


def babble(part: str, count: int, rng: np.random.Generator) -> Samples:
    """Six others who talk without a pause, each at a speed of its own."""
    files = split.prompts(part)
    out = np.zeros(count)
    for talker in range(TALKERS):
        order = rng.permutation(len(files))
        spoken, length = [], 0
        for at in itertools.cycle(order):
            spoken.append(signals.at_level(_read(files[at]), -25, active=True))
            length += len(spoken[-1])
            if length > min(count, signals.LOOP):
                break
        voice = resampled(np.concatenate(spoken), RATE * (0.75 + 0.1 * talker), RATE)
        out += signals.looped(voice, count, rng)
    return out
