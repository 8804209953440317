"""Noises of the client's room or line, for the whole call.

Each noise is a function of a length in samples, a generator and a library (for voices, music and keys), at
no level in particular: the renderer brings it to the call's SNR within the telephone's band. What is made of
seeded noise and sines has other seeds in the other part; what is cut from recordings, other recordings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import RATE, Samples
from benchmarks.calls.voices import Library

Random = np.random.Generator
TALKERS = 8


@dataclass(frozen=True, slots=True)
class Room:
    """What a noise can be made of."""

    library: Library
    others: Sequence[str]
    """Voices that are not in the call."""


def convolved(samples: Samples, response: Samples) -> Samples:
    """Filtered; as long as before."""
    size = -(-(len(samples) + len(response)) // RATE) * RATE
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(samples)])


def in_room(samples: Samples, rng: Random, *, near: bool = False) -> Samples:
    """From across a room: decaying reflections as strong as the direct sound; `near`: weaker ones."""
    count = int(rng.uniform(0.2, 0.5) * RATE)
    response = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    decibels = rng.uniform(-14, -4) if near else rng.uniform(-4, 4)
    response *= 10 ** (decibels / 20) / math.sqrt((response**2).sum())
    response[0] = 1.0
    return convolved(samples, response)


def _seconds(count: int) -> Samples:
    return np.arange(count) / RATE


def comfort(count: int, rng: Random, room: Room) -> Samples:
    """A flat hiss."""
    return signals.white(count, rng)


def fan(count: int, rng: Random, room: Room) -> Samples:
    """Moving air, and the slowly beating tone of the blades with its harmonics."""
    at = _seconds(count)
    air = signals.shaped(count, rng, rng.uniform(0.8, 2.0), 60.0)
    note = rng.uniform(80, 220)
    blades = np.zeros(count)
    for k in range(1, 7):
        blades += rng.uniform(0.2, 1) / k * np.sin(2 * math.pi * k * note * at + rng.uniform(0, 6))
    beat = 1 + rng.uniform(0.05, 0.3) * np.sin(2 * math.pi * rng.uniform(0.3, 4) * at)
    blowing: Samples = (air / air.std() + rng.uniform(0.1, 0.8) * blades / blades.std()) * beat
    return blowing


def traffic(count: int, rng: Random, room: Room) -> Samples:
    """Road noise inside a car, and other cars that pass."""
    out = signals.car(count, rng)
    out /= out.std()
    at = _seconds(count)
    for _ in range(int(rng.poisson(count / RATE / 6))):
        middle, width = rng.uniform(0, count / RATE), rng.uniform(0.5, 2.5)
        swell = np.exp(-(((at - middle) / width) ** 2))
        out += swell * rng.uniform(1, 3) * signals.shaped(count, rng, rng.uniform(0.5, 1.5), 150.0)
    return out


def hum(count: int, rng: Random, room: Room) -> Samples:
    """The mains and their harmonics."""
    at = _seconds(count)
    hertz = 50 + rng.uniform(-0.1, 0.1)
    out = np.zeros(count)
    for k in range(1, 20):
        strength = rng.uniform(0, 1) * (1.5 if k % 2 else 0.7) / k ** rng.uniform(0.3, 1.0)
        out += strength * np.sin(2 * math.pi * k * hertz * at + rng.uniform(0, 6))
    return out + 0.02 * rng.standard_normal(count)


def buzz(count: int, rng: Random, room: Room) -> Samples:
    """A GSM telephone near a cable: a pulse each 4.615 ms, one of 26 left out."""
    pulse_s, at = 60 / 13 / 1000, _seconds(count)
    number, inside = np.divmod(at, pulse_s)
    pulses = (inside < 0.577e-3) & (number % 26 != 25)
    edge = rng.uniform(0, 0.3)  # the cable takes the edges more, or the pulse itself
    sharp = np.diff(pulses.astype(float), prepend=0.0)
    out: Samples = pulses * (1 - edge) + sharp * edge * 3 - pulses.mean()
    return out


def buzz_bursts(count: int, rng: Random, room: Room) -> Samples:
    """The same in bursts, as when a call or a message comes in."""
    return buzz(count, rng, room) * _switched(count, rng, (0.1, 1.5), (0.1, 3.0))


def thumps(count: int, rng: Random, room: Room) -> Samples:
    """The handset is touched: soft low thuds, some with a rustle."""
    out = np.zeros(count + RATE)
    now = rng.uniform(0, 1)
    while now * RATE < count:
        length = int(rng.uniform(0.06, 0.25) * RATE)
        inside = _seconds(length)
        thud = np.sin(2 * math.pi * rng.uniform(60, 350) * inside + rng.uniform(0, 6))
        thud += rng.uniform(0, 0.8) * rng.standard_normal(length)
        thud *= np.minimum(inside / 0.004, 1) * np.exp(-inside * rng.uniform(15, 45))
        start = int(now * RATE)
        out[start : start + length] += thud * rng.uniform(0.4, 1)
        now += rng.exponential(1.1) + 0.08
    return out[:count]


def keys(count: int, rng: Random, room: Room) -> Samples:
    """Somebody types."""
    clicks = [np.asarray(click, np.float64) for click in room.library.keys]
    return signals.struck(count, rng, clicks)


def breath(count: int, rng: Random, room: Room) -> Samples:
    """The client breathes into the microphone."""
    return signals.breath(count, rng)


def babble(count: int, rng: Random, room: Room) -> Samples:
    """Eight other people who talk."""
    return sum((_talk(count, rng, room, (0.0, 0.4)) for _ in range(TALKERS)), np.zeros(count))


def music(count: int, rng: Random, room: Room) -> Samples:
    """Music plays in the room."""
    return in_room(_piece(count, rng, room), rng)


def television(count: int, rng: Random, room: Room) -> Samples:
    """Somebody who talks in pauses of up to a second and a half, with or without music, across the room."""
    talk = signals.at_level(_talk(count, rng, room, (0.2, 1.5)), -20, active=True)
    if rng.random() < 0.6:
        talk = talk + signals.at_level(_piece(count, rng, room), -20 - rng.uniform(4, 14))
    return in_room(talk, rng)


def wind(count: int, rng: Random, room: Room) -> Samples:
    """Wind in the microphone: gusts of low noise that flutter."""
    air = signals.shaped(count, rng, rng.uniform(1.5, 2.5), 80.0)
    gusts = np.interp(
        np.arange(count), np.linspace(0, count, count // 4_000 + 2), rng.random(count // 4_000 + 2)
    )
    flutter = 1 + 0.5 * np.sin(2 * math.pi * np.cumsum(rng.uniform(3, 12, count)) / RATE)
    blowing: Samples = air * gusts**3 * flutter
    return blowing


def rustle(count: int, rng: Random, room: Room) -> Samples:
    """Cloth or paper at the microphone: crackling in bursts."""
    crackle = signals.white(count, rng) * (rng.random(count) < 0.02)
    crackle = convolved(
        crackle, np.exp(-np.arange(40) / rng.uniform(2, 9)) * rng.choice([-1, 1], 40)
    )
    return crackle * _switched(count, rng, (0.1, 1.2), (0.2, 2.5))


def cutlery(count: int, rng: Random, room: Room) -> Samples:
    """Somebody eats or lays the table: metal and china that ring."""
    out = np.zeros(count + RATE)
    now = rng.uniform(0, 1)
    while now * RATE < count:
        inside = _seconds(int(rng.uniform(0.1, 0.6) * RATE))
        base = rng.uniform(900, 2_400)
        for ratio in (1.0, 1.52, 2.1, 2.73):
            if base * ratio < RATE / 2:
                ring = np.sin(2 * math.pi * base * ratio * inside + rng.uniform(0, 6))
                out[int(now * RATE) :][: len(inside)] += (
                    ring * rng.uniform(0.1, 1) * np.exp(-inside * rng.uniform(12, 60))
                )
        now += rng.exponential(0.7) + 0.05
    return out[:count]


def recorded(count: int, rng: Random, room: Room) -> Samples:
    """A recorded noise of the library."""
    noises = room.library.noises
    piece = np.asarray(noises[int(rng.integers(len(noises)))], np.float64)
    return signals.looped(piece, count, rng)


def _piece(count: int, rng: Random, room: Room) -> Samples:
    pieces = room.library.music
    piece = np.asarray(pieces[int(rng.integers(len(pieces)))], np.float64)
    return signals.looped(piece, count, rng)


def _talk(count: int, rng: Random, room: Room, pauses_s: tuple[float, float]) -> Samples:
    """One of the others, clip after clip."""
    voice = room.others[int(rng.integers(len(room.others)))]
    clips, speed = room.library.voices[voice], rng.uniform(0.85, 1.15)
    out = np.zeros(count)
    at = -int(rng.integers(0, RATE))
    while at < count:
        clip = room.library.clip(voice, int(rng.integers(len(clips))), speed)
        first, last = max(at, 0), min(at + len(clip), count)
        if last > first:
            out[first:last] += clip[first - at : last - at]
        at += len(clip) + int(rng.uniform(*pauses_s) * RATE)
    return out


def _switched(
    count: int, rng: Random, on_s: tuple[float, float], off_s: tuple[float, float]
) -> Samples:
    """1 and 0 in turns of so many seconds."""
    out = np.zeros(count)
    at = int(rng.uniform(*off_s) * RATE)
    while at < count:
        end = at + int(rng.uniform(*on_s) * RATE)
        out[at:end] = 1
        at = end + int(rng.uniform(*off_s) * RATE)
    return out


NOISES: Mapping[str, Callable[[int, Random, Room], Samples] | None] = {
    "none": None,
    "comfort": comfort,
    "fan": fan,
    "traffic": traffic,
    "mains hum": hum,
    "GSM buzz": buzz,
    "GSM bursts": buzz_bursts,
    "thumps": thumps,
    "keys": keys,
    "breath": breath,
    "babble": babble,
    "music": music,
    "television": television,
}
UNEVEN = (
    *("GSM bursts", "thumps", "keys", "breath", "television"),
    *("wind", "rustle", "cutlery", "sounds"),
)
"""Their level is that of their loud frames; of the others that of all."""
RECORDED = "recorded"
"""A noise of the given folder."""
OTHERS: Mapping[str, Callable[[int, Random, Room], Samples] | None] = {
    RECORDED: recorded,
    "sounds": recorded,
    "wind": wind,
    "rustle": rustle,
    "cutlery": cutlery,
}
WORLD = (
    *(
        "television",
        "none",
        "sounds",
        "wind",
        "music",
        "traffic",
        "thumps",
        "rustle",
        "keys",
        "breath",
    ),
    *("GSM bursts", "cutlery", "babble"),
)
"""Of the part `world`; "sounds" are recorded."""


def make(noise: str, count: int, rng: Random, room: Room) -> Samples:
    """`count` samples of the noise, at no level in particular."""
    maker = OTHERS[noise] if noise in OTHERS else NOISES[noise]
    return np.zeros(count) if maker is None else maker(count, rng, room)
