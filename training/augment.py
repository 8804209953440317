"""Seeded pieces of telephone audio with their labels: what a client's line may carry.

    speech   one voice, sometimes two; speed, level, equaliser, room
    behind   noise, babble, music, tones, keys, breath, the echo of another voice
    line     telephone band, lost packets, mute, A-law, int16

A frame's label is 1 (speech), 0 (none) or -1 (nobody could say: it does not count in training).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.signal import (  # type: ignore[import-untyped]
    fftconvolve,
    firwin,
    firwin2,
    istft,
    lfilter,
    stft,
)

from training.data import HOP, RATE, Bools, Floats, Pools, Voice, active_frames, frame_rms

Labels = NDArray[np.int8]
Random = np.random.Generator

MARGIN_BEFORE = 1
MARGIN_AFTER = 3
"""Frames beside a run of speech that count neither way: no gate knows an edge better."""


class Piece(NamedTuple):
    """A piece of a line."""

    samples: NDArray[np.int16]
    speech: Labels
    music: Labels


def db(decibels: float) -> float:
    """As a factor of amplitude."""
    return float(10 ** (decibels / 20))


# -- sounds ----------------------------------------------------------------------------------------


def shaped(random: Random, count: int, slope_db: float, wobble_db: float = 0.0) -> Floats:
    """Noise with a spectrum that falls `slope_db` an octave, RMS 1; `wobble_db`: random peaks."""
    spectrum = np.fft.rfft(random.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / RATE)
    octaves = np.log2(np.maximum(hz, 40) / 1000)
    shape = slope_db * octaves
    if wobble_db:
        knots = np.sort(random.uniform(-4.6, 2, 8))
        shape = shape + np.interp(octaves, knots, random.normal(0, wobble_db, 8))
    noise = np.fft.irfft(spectrum * 10 ** (shape / 20), count)
    out: Floats = (noise / (noise.std() + 1e-9)).astype(np.float32)
    return out


def pink(random: Random, count: int) -> Floats:
    """3 dB an octave."""
    return shaped(random, count, -3.0)


def car(random: Random, count: int) -> Floats:
    """Rumble under 300 Hz with the engine's lines."""
    out = shaped(random, count, -float(random.uniform(8, 14)))
    t = np.arange(count) / RATE
    engine = random.uniform(25, 60)
    drift = 1 + 0.02 * np.sin(2 * np.pi * random.uniform(0.05, 0.3) * t)
    for k in range(1, 9):
        out += random.uniform(0, 0.3) * np.sin(
            2 * np.pi * engine * k * t * drift + random.uniform(0, 6)
        )
    return unit(out)


def hum(random: Random, count: int) -> Floats:
    """The mains, with harmonics."""
    t = np.arange(count) / RATE
    out = np.zeros(count)
    for k in range(1, 16):
        out += random.uniform(0, 1) / k * np.sin(2 * np.pi * 50 * k * t + random.uniform(0, 6))
    return unit(out + 0.1 * random.normal(size=count))


def street(random: Random, count: int) -> Floats:
    """Coloured noise that swells, with bangs and passing things."""
    out = shaped(random, count, -float(random.uniform(0, 7)), 5.0)
    points = max(count // 4000, 2)
    swell = np.interp(
        np.arange(count),
        np.linspace(0, count, points),
        random.normal(0, random.uniform(0, 6), points),
    )
    swollen = out * 10 ** (swell / 20)
    for _ in range(random.poisson(count / RATE * random.choice([0, 0, 0.4, 1.2]))):
        length = int(random.uniform(0.02, 0.5) * RATE)
        at = int(random.integers(0, max(count - length, 1)))
        burst = shaped(random, length, -float(random.uniform(0, 9)), 6.0)
        burst *= np.exp(-np.linspace(0, random.uniform(2, 7), length)) * db(random.uniform(0, 12))
        swollen[at : at + length] += burst[: count - at]
    return unit(swollen)


def unit(samples: NDArray[Any]) -> Floats:
    """RMS 1."""
    out: Floats = (samples / (np.sqrt((samples**2).mean()) + 1e-9)).astype(np.float32)
    return out


def steady(random: Random, count: int) -> Floats:
    """A fan or a line: coloured noise that stays."""
    return shaped(random, count, -float(random.uniform(-2, 8)), float(random.choice([0, 4, 8])))


def babble(random: Random, count: int, pools: Pools) -> Floats:
    """Four to eight voices at once."""
    out = np.zeros(count, np.float32)
    for _ in range(int(random.integers(4, 9))):
        out += stream(random, count, pick_voice(random, pools)) * db(random.uniform(-6, 3))
    return unit(out)


def stream(random: Random, count: int, voice: Voice) -> Floats:
    """One voice that hardly pauses, RMS about 1."""
    out = np.zeros(count, np.float32)
    at = -int(random.integers(0, RATE))
    while at < count:
        clip = voice.clips[int(random.integers(len(voice.clips)))]
        start, end = max(at, 0), min(at + len(clip), count)
        if end > start:
            out[start:end] += clip[start - at : end - at]
        at += len(clip) + int(random.uniform(0, 0.4) * RATE)
    return out


def music(random: Random, count: int, pools: Pools, tracks: list[Floats] | None = None) -> Floats:
    """A cut of a piece (of `tracks`, if given), at another speed too, RMS 1."""
    tracks = tracks or pools.music
    track = tracks[int(random.integers(len(tracks)))]
    speed = float(random.choice([1.0, random.uniform(0.8, 1.25)]))
    need = int(count * speed) + 8
    if len(track) < need:
        track = np.tile(track, need // len(track) + 1)
    at = int(random.integers(0, len(track) - need + 1))
    cut = track[at : at + need]
    if speed != 1.0:
        cut = soxr.resample(cut, RATE * speed, RATE, quality="LQ")
    if len(cut) < count:
        cut = np.pad(cut, (0, count - len(cut)))
    return unit(cut[:count])


def melody(random: Random, count: int) -> Floats:
    """Notes and chords of a made instrument: sawtooth-like harmonics, an envelope, vibrato."""
    out = np.zeros(count)
    at = 0
    base = random.uniform(90, 500)
    harmonics = int(random.integers(1, 10))
    weights = random.uniform(0, 1, harmonics) / np.arange(1, harmonics + 1) ** random.uniform(
        0.3, 2
    )
    beat = int(random.uniform(0.1, 0.9) * RATE)
    decay = random.uniform(0, 5)
    vibrato = random.choice([0, 0, 0.01]) * random.uniform(0.3, 1)
    chord = random.choice([1, 1, 2, 3])
    while at < count:
        length = min(beat * int(random.choice([1, 1, 2, 4])), count - at)
        t = np.arange(length) / RATE
        envelope = np.minimum(1, t / random.uniform(0.004, 0.08)) * np.exp(-t * decay)
        envelope *= np.minimum(1, (length - np.arange(length)) / 160)
        for _ in range(chord):
            hz = base * 2 ** (random.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
            phase = 2 * np.pi * hz * (t + vibrato / 5.5 * np.sin(2 * np.pi * 5.5 * t))
            for k, weight in enumerate(weights, 1):
                if hz * k < 3900:
                    out[at : at + length] += weight * envelope * np.sin(k * phase)
        at += length + (int(random.uniform(0, 0.5) * beat) if random.random() < 0.2 else 0)
    return unit(out)


_DTMF_LOW, _DTMF_HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)


def tones(random: Random, count: int) -> Floats:
    """Dial, ringback or busy tone, DTMF, a beep or a fax whistle."""
    t = np.arange(count) / RATE
    kind = random.choice(["dial", "ringback", "busy", "dtmf", "beep"])
    if kind == "dtmf":
        out = np.zeros(count)
        at = int(random.uniform(0, 0.5) * RATE)
        while at < count:
            length = min(int(random.uniform(0.05, 0.3) * RATE), count - at)
            pair = random.choice(_DTMF_LOW), random.choice(_DTMF_HIGH)
            out[at : at + length] = sum(np.sin(2 * np.pi * hz * t[:length]) for hz in pair)
            at += length + int(random.uniform(0.05, 0.8) * RATE)
        return unit(out)
    hz = {"beep": random.uniform(300, 3000)}.get(
        str(kind), random.choice([425, 425, 425, 440, 400])
    )
    out = np.sin(2 * np.pi * hz * t)
    if random.random() < 0.3:
        out += np.sin(2 * np.pi * (hz + random.choice([25, 40, 50])) * t)
    on, off = {"dial": (9e9, 0), "ringback": (1.0, 4.0), "busy": (0.35, 0.35)}.get(
        str(kind), (random.uniform(0.1, 1.5), random.uniform(0.1, 5))
    )
    if on < 9e9:
        out *= ((t + random.uniform(0, on + off)) % (on + off)) < on
    return unit(out) if out.any() else out.astype(np.float32)


def breath(random: Random) -> Floats:
    """Air: noise in a band that swells and falls, peak RMS about 1."""
    count = int(random.uniform(0.15, 1.2) * RATE)
    air = shaped(random, count, float(random.uniform(-5, 3)), float(random.choice([0, 4])))
    low, high = random.uniform(100, 900), random.uniform(1800, 3600)
    air = lfilter(firwin(41, [low, high], pass_zero=False, fs=RATE), 1, air)
    rise = random.uniform(0.2, 0.7)
    at = np.linspace(0, 1, count)
    swell = np.minimum(at / rise, (1 - at) / (1 - rise)) ** random.uniform(0.5, 2)
    return (unit(air) * swell).astype(np.float32)


def knock(random: Random) -> Floats:
    """A pop, a bump or a rustle, peak about 1."""
    count = int(random.choice([random.uniform(0.002, 0.02), random.uniform(0.02, 0.15)]) * RATE)
    out = shaped(random, count, -float(random.uniform(-3, 9)), 5.0)
    return (out * np.exp(-np.linspace(0, random.uniform(2, 6), count)) / 2).astype(np.float32)


def lead(random: Random, count: int) -> Floats:
    """A singing voice's or a string's lead: held notes of a buzz with vibrato, through formants, RMS 1."""
    hz = np.zeros(count)
    at, base = 0, random.uniform(110, 420)
    while at < count:
        length = int(random.uniform(0.15, 1.4) * RATE)
        hz[at : at + length] = base * 2 ** (random.choice([-5, -3, 0, 2, 4, 5, 7, 9, 12]) / 12)
        at += length
    slide = np.hanning(int(random.uniform(0.02, 0.08) * RATE)) + 1e-9
    hz = np.exp(fftconvolve(np.log(hz), slide / slide.sum(), "same"))
    t = np.arange(count) / RATE
    hz *= 1 + random.uniform(0, 0.012) * np.sin(2 * np.pi * random.uniform(4, 7) * t)
    out = buzz(random, hz, random.uniform(0, 0.15))
    swell = np.interp(t, np.linspace(0, count / RATE, 12), random.uniform(-10, 0, 12))
    return unit(out * 10 ** (swell / 20))


def buzz(random: Random, hz: NDArray[Any], air: float) -> Floats:
    """A voice's source of a pitch that moves (Hz, a sample each) through three random formants."""
    phase = np.cumsum(hz) / RATE
    saw = (phase % 1.0) - 0.5 + air * random.normal(size=len(hz))
    out = saw * 0.1
    for low, high, width in ((250, 850, 90), (800, 2300, 130), (2300, 3200, 200)):
        centre = random.uniform(low, high)
        radius = np.exp(-np.pi * width / RATE)
        feedback = [1, -2 * radius * np.cos(2 * np.pi * centre / RATE), radius**2]
        out = out + lfilter([1 - radius], feedback, saw) * random.uniform(0.2, 1)
    return unit(out)


def hum_word(random: Random) -> Floats:
    """ "Mm", "mm-hm", "eh": a short voiced sound of one or two syllables, RMS 1."""
    count = int(random.uniform(0.12, 0.7) * RATE)
    at = np.linspace(0, 1, count)
    pitch = random.uniform(80, 280) * 2 ** (
        np.interp(at, np.linspace(0, 1, 4), random.uniform(-4, 4, 4)) / 12
    )
    out = buzz(random, pitch * (1 + 0.01 * random.normal(size=count)), random.uniform(0, 0.3))
    if random.random() < 0.6:  # the mouth is closed
        out = lfilter(firwin(31, random.uniform(350, 1100), fs=RATE), 1, out)
    envelope = np.minimum(1, np.minimum(at, 1 - at) * random.uniform(4, 12))
    if random.random() < 0.5:
        envelope = envelope * (1 - random.uniform(0.6, 1) * np.exp(-(((at - 0.5) / 0.08) ** 2)))
    return unit(out * envelope)


def whispered(random: Random, clip: Floats) -> Floats:
    """The clip without its voice: its envelope in time and frequency filled with noise."""
    if len(clip) < 512:
        return clip
    _, _, spectrum = stft(clip, RATE, nperseg=192, noverlap=144)
    size = fftconvolve(np.abs(spectrum), np.ones((9, 1)) / 9, "same")
    phase = np.exp(2j * np.pi * random.random(size.shape))
    _, out = istft(size * phase, RATE, nperseg=192, noverlap=144)
    out = np.resize(out, len(clip)).astype(np.float32)
    out *= np.float32(np.sqrt((clip**2).mean() / ((out**2).mean() + 1e-9)))
    return np.asarray(out, np.float32)


def mumbled(random: Random, clip: Floats) -> Floats:
    """Words that fall in level and in clarity, as people say them: to the end or in between."""
    count = len(clip)
    knots = max(3, int(count / RATE / 0.35))
    if random.random() < 0.5:  # falls towards the end
        begin = random.uniform(0, 0.7)
        fall = -random.uniform(4, 18) * np.clip(
            (np.linspace(0, 1, knots) - begin) / (1 - begin), 0, 1
        )
    else:
        fall = np.minimum(random.normal(-3, 5, knots), 0)
    at = np.linspace(0, 1, count)
    out = clip * 10 ** (np.interp(at, np.linspace(0, 1, knots), fall) / 20)
    if random.random() < 0.4:  # muffled: a hand, a turned head, a closed mouth
        low = lfilter(firwin(41, random.uniform(500, 1800), fs=RATE), 1, out)
        share = np.interp(at, np.linspace(0, 1, knots), random.random(knots) > 0.5)
        out = out * (1 - share) + np.roll(low, -20) * share
    return out.astype(np.float32)


def pick_voice(random: Random, pools: Pools) -> Voice:
    """Mostly people who say words and sentences, else syllables or a synthetic voice."""
    kind = random.random()
    if kind < 0.78:
        group = [v for v in pools.voices if not v.name.startswith(("espeak", "syllables"))]
    elif kind < 0.86:
        group = [v for v in pools.voices if v.name.startswith("syllables")]
    else:
        group = [v for v in pools.voices if v.name.startswith("espeak")]
    return group[int(random.integers(len(group)))]


# -- what a room and a line do -----------------------------------------------------------------------


def equalise(random: Random, samples: Floats, most_db: float = 8.0) -> Floats:
    """A random smooth equaliser."""
    knots = [0, 200, 500, 1000, 1800, 2800, 4000]
    gains = 10 ** (random.normal(0, most_db / 2, len(knots)) / 20)
    out: Floats = fftconvolve(samples, firwin2(63, knots, gains, fs=RATE), "same").astype(
        np.float32
    )
    return out


def in_room(random: Random, samples: Floats) -> Floats:
    """A synthetic room: decaying noise behind the direct sound; one time in five far from the microphone."""
    seconds = random.uniform(0.08, 0.5)
    count = int(seconds * RATE)
    response = random.normal(size=count) * np.exp(-6.9 * np.arange(count) / count)
    response *= db(-random.uniform(3, 16) if random.random() < 0.8 else random.uniform(-3, 5)) / (
        np.sqrt((response**2).sum()) + 1e-9
    )
    response[0] = 1.0
    out: Floats = fftconvolve(samples, response)[: len(samples)].astype(np.float32)
    return out


def a_law(samples: Floats) -> Floats:
    """Through G.711 A-law and back (the continuous law, quantised to 8 bits)."""
    a = 87.6
    scale = 1 + np.log(a)
    x = np.abs(np.clip(samples, -1, 1))
    small = x < 1 / a
    y = np.where(small, a * x / scale, (1 + np.log(np.maximum(a * x, 1))) / scale)
    y = (np.floor(np.minimum(y, 0.9999) * 128) + 0.5) / 128
    x = np.where(y < 1 / scale, y * scale / a, np.exp(y * scale - 1) / a)
    out: Floats = (np.sign(samples) * x).astype(np.float32)
    return out


def lost_frames(random: Random, count: int, share: float) -> Bools:
    """Which frames are lost, in bursts (Gilbert's model, 2.5 frames each)."""
    lost = np.zeros(count, bool)
    state = False
    draws = random.random(count)
    leave, enter = 0.4, 0.4 * share / (1 - share)
    for i in range(count):
        state = draws[i] > leave if state else draws[i] < enter
        lost[i] = state
    return lost


def lose(random: Random, samples: Floats, lost: Bools) -> Floats:
    """Lost frames as zeros, or as the frame before, weaker."""
    frames = samples.reshape(-1, HOP).copy()
    repeat = random.random() < 0.6
    for i in np.flatnonzero(lost):
        frames[i] = frames[i - 1] * 0.6 if repeat and i else 0
    return frames.reshape(-1)


def telephone(random: Random, samples: Floats) -> Floats:
    """A random telephone's band."""
    low, high = random.uniform(80, 350), random.uniform(3000, 3800)
    knots = [0, low * 0.5, low, high, min(high * 1.12, 3990), 4000]
    out: Floats = lfilter(firwin2(127, knots, [0, 0.1, 1, 1, 0.02, 0], fs=RATE), 1, samples)
    return np.roll(out, -63).astype(np.float32)


# -- pieces ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Draft:
    """A piece on its way."""

    random: Random
    pools: Pools
    count: int
    """Samples."""
    speech: Floats
    active: Bools
    other: Floats
    is_music: Bools
    masked: Bools
    """Music, but something else is louder."""


def vary_speed(random: Random, clip: Floats, low: float = 0.72, high: float = 1.42) -> Floats:
    """Played slower or faster: another size of head and another pace."""
    speed = float(np.exp(random.uniform(np.log(low), np.log(high))))
    out: Floats = soxr.resample(clip, RATE * speed, RATE, quality="LQ").astype(np.float32)
    return out


def add_speech(draft: Draft, gaps: Callable[[], float], speed: float | None = None) -> None:
    """One voice, its clips `gaps()` seconds apart."""
    random = draft.random
    voice = pick_voice(random, draft.pools)
    speed = speed or float(np.exp(random.uniform(np.log(0.72), np.log(1.42))))
    at = int((gaps() - random.uniform(0, 2)) * RATE)
    while at < draft.count:
        clip = voice.clips[int(random.integers(len(voice.clips)))]
        clip = soxr.resample(clip, RATE * speed, RATE, quality="LQ").astype(np.float32)
        if random.random() < 0.03:
            clip = whispered(random, clip)
        said = mumbled(random, clip) if random.random() < 0.4 else clip
        aside = random.random() < 0.12
        place(
            draft, said * db(random.uniform(-16, -6) if aside else random.uniform(-6, 3)), at, clip
        )
        at += len(clip) + max(int(gaps() * RATE), HOP)


def place(draft: Draft, clip: Floats, at: int, clean: Floats | None = None) -> None:
    """Adds a clip of speech from sample `at` (taken to a whole frame) on, with its labels.

    `clean`: the clip before it was mumbled, whose words are all there to label.
    """
    first = at // HOP
    clip = np.pad(clip, (0, -len(clip) % HOP))
    active = active_frames(clip if clean is None else np.pad(clean, (0, -len(clean) % HOP)))
    low, high = max(0, -first), min(len(active), draft.count // HOP - first)
    if high <= low:
        return
    draft.speech[(first + low) * HOP : (first + high) * HOP] += clip[low * HOP : high * HOP]
    draft.active[first + low : first + high] |= active[low:high]


def short_clip(random: Random, pools: Pools) -> Floats:
    """A word of 0.15 to 0.6 s, cut out of a sentence or off its beginning if need be."""
    if random.random() < 0.07:
        return hum_word(random)
    for _ in range(8):
        voice = pick_voice(random, pools)
        clip = voice.clips[int(random.integers(len(voice.clips)))]
        if len(clip) < 0.6 * RATE:
            return vary_speed(random, clip)
    length = int(random.uniform(0.15, 0.5) * RATE)
    at = 0 if random.random() < 0.4 else int(random.integers(0, max(len(clip) - length, 1)))
    cut = clip[at : at + length].copy()
    cut[:40] *= np.linspace(0, 1, len(cut[:40]))
    cut[-80:] *= np.linspace(1, 0, len(cut[-80:]))
    return vary_speed(random, cut) if np.sqrt((cut**2).mean()) > 0.3 else short_clip(random, pools)


def _lone_words(draft: Draft) -> None:
    """One to three short words, each at its own level, on a line that only hisses."""
    random = draft.random
    at = random.uniform(0, 4)
    for _ in range(int(random.choice([1, 1, 2, 3]))):
        word = short_clip(random, draft.pools)
        if random.random() < 0.4:
            word = word[: int(random.uniform(0.12, 0.4) * RATE)].copy()
            word[-80:] *= np.linspace(1, 0, len(word[-80:]))
        place(draft, word * db(random.uniform(-50, -16)), int(at * RATE))
        at += len(word) / RATE + random.uniform(0.4, 5)


def _quiet_line(draft: Draft) -> None:
    """Hiss, and what a person does who says nothing: keys, breath, knocks; a tone, or music that begins."""
    random, count = draft.random, draft.count
    if random.random() < 0.9:
        hiss = shaped(random, count, float(random.choice([0, 0, -1, -3])))
        draft.other += hiss * db(random.uniform(-76, -52))


def make(random: Random, pools: Pools, frames: int) -> Piece:
    """One piece of `frames` frames."""
    count = frames * HOP
    empty = np.zeros(count, np.float32)
    draft = Draft(
        random, pools, count, empty, np.zeros(frames, bool), empty.copy(), np.zeros(frames, bool),
        np.zeros(frames, bool),
    )  # fmt: skip
    kind = random.random()
    if kind < 0.12:
        _quiet_line(draft)
        _lone_words(draft)
        if random.random() < 0.3:
            _add_events(draft, random.uniform(-46, -22), often=False)
        return _through_line(draft)
    if kind < 0.22:
        _quiet_line(draft)
        what = random.random()
        if what < 0.3:
            _add_music(draft, random.uniform(-40, -10), spoken=False, always=True)
        else:
            _add_events(draft, random.uniform(-48, -18), often=True)
        return _through_line(draft)
    if kind < 0.34:
        pass
    elif kind < 0.52:
        for _ in range(int(random.choice([1, 1, 2, 3]))):
            word = short_clip(random, pools) * db(random.uniform(-14, 4))
            place(draft, word, int(random.uniform(-0.1, frames / 50) * RATE))
    elif kind < 0.70:
        add_speech(draft, lambda: float(random.uniform(0.1, 0.7)))
    else:
        add_speech(
            draft, lambda: float(random.choice([random.uniform(0.15, 0.9), random.uniform(1, 6)]))
        )
    if random.random() < 0.3:  # an end or a beginning without speech
        cut = int(random.integers(0, frames))
        keep = slice(cut, None) if random.random() < 0.5 else slice(0, cut)
        draft.speech.reshape(-1, HOP)[keep] = 0
        draft.active[keep] = False
    spoken = bool(draft.active.any())
    draft.speech = equalise(random, draft.speech)
    if random.random() < 0.35:
        draft.speech = in_room(random, draft.speech)
    level = random.uniform(-38, -12) if random.random() < 0.8 else random.uniform(-50, -38)
    if spoken:
        rms = np.sqrt((frame_rms(draft.speech)[draft.active] ** 2).mean())
        draft.speech *= db(level) / (rms + 1e-9)
    _add_noise(draft, level)
    _add_music(draft, level, spoken)
    _add_events(draft, level, often=False)
    if spoken and draft.active.sum() > 75 and random.random() < 0.15:
        _add_echo(draft, level)
    return _through_line(draft)


def make_sounds(random: Random, pools: Pools, frames: int) -> Piece:
    """A piece of `frames` frames in which nobody speaks: recorded noises, one after the other."""
    count = frames * HOP
    empty = np.zeros(count, np.float32)
    draft = Draft(
        random, pools, count, empty, np.zeros(frames, bool), empty.copy(), np.zeros(frames, bool),
        np.zeros(frames, bool),
    )  # fmt: skip
    _quiet_line(draft)
    level = random.uniform(-48, -12)
    steadily = random.random() < 0.5
    at = int(random.uniform(-4 if steadily else 0, 1) * RATE)
    one = _sound(random, pools)
    while at < count:
        if random.random() < 0.5:
            one = _sound(random, pools)
        begin, end = max(at, 0), min(at + len(one), count)
        if end > begin:
            draft.other[begin:end] += one[begin - at : end - at] * db(level + random.uniform(-6, 3))
        at += len(one) + (0 if steadily else int(random.exponential(1.2) * RATE))
    if random.random() < 0.3:
        draft.other = in_room(random, draft.other)
    return _through_line(draft)


def make_music(random: Random, pools: Pools, frames: int) -> Piece:
    """A piece of `frames` frames in which music begins, perhaps after somebody has spoken."""
    count = frames * HOP
    empty = np.zeros(count, np.float32)
    draft = Draft(
        random, pools, count, empty, np.zeros(frames, bool), empty.copy(), np.zeros(frames, bool),
        np.zeros(frames, bool),
    )  # fmt: skip
    if random.random() < 0.8:
        _quiet_line(draft)
    first = 0 if random.random() < 0.4 else int(random.integers(0, frames * 3 // 4))
    level = random.uniform(-36, -14)
    if first > 50 and random.random() < 0.5:
        at = random.uniform(-2, 1)
        while at < first / 50:
            voice = pick_voice(random, pools)
            clip = vary_speed(random, voice.clips[int(random.integers(len(voice.clips)))])
            place(draft, clip * db(level), int(at * RATE))
            at += len(clip) / RATE + random.uniform(0.2, 2)
        after = first - int(random.integers(0, 40))
        draft.speech[after * HOP :] = 0
        draft.active[after:] = False
    track = music(random, count, pools, pools.hold if random.random() < 0.25 else None)[
        first * HOP :
    ]
    if random.random() < 0.4:
        track = equalise(random, track)
    if random.random() < 0.2:
        track = track * np.minimum(1, np.arange(len(track)) / random.uniform(0.1, 2) / RATE)
    draft.other[first * HOP :] += track * db(random.uniform(-46, -8))
    draft.is_music[first:] = True
    return _through_line(draft)


def recorded(random: Random, count: int, pools: Pools) -> Floats:
    """Recorded noises one after the other, RMS 1."""
    out = np.zeros(count, np.float32)
    at = 0
    while at < count:
        one = _sound(random, pools)[: count - at]
        out[at : at + len(one)] = one
        at += len(one)
    return unit(out)


def _sound(random: Random, pools: Pools) -> Floats:
    sound = vary_speed(random, pools.sounds[int(random.integers(len(pools.sounds)))], 0.6, 1.6)
    return equalise(random, sound) if random.random() < 0.5 else sound


def _add_noise(draft: Draft, level: float) -> None:
    random, count = draft.random, draft.count
    if random.random() < 0.2:
        return
    kind = random.choice(
        ["pink", "car", "hum", "street", "steady", "babble", "comfort"],
        p=[0.12, 0.12, 0.06, 0.25, 0.2, 0.13, 0.12],
    )
    if kind == "comfort":
        draft.other += random.normal(0, db(random.uniform(-72, -44)), count).astype(np.float32)
        return
    if kind == "babble":
        noise = babble(random, count, draft.pools)
    else:
        noise = {"pink": pink, "car": car, "hum": hum, "street": street, "steady": steady}[
            str(kind)
        ](random, count)
    below = random.uniform(14, 35) if kind == "babble" else random.uniform(3, 35)
    noise *= db(level - below)
    if random.random() < 0.3:  # it comes and goes
        points = int(random.integers(3, 9))
        swell = np.interp(
            np.arange(count), np.linspace(0, count, points), random.normal(0, 5, points)
        )
        noise *= (10 ** (np.minimum(swell, below - 2) / 20)).astype(np.float32)
    if random.random() < 0.1:  # it begins or ends within the piece
        cut = int(random.integers(0, count))
        noise[: cut if random.random() < 0.5 else 0] = 0
    draft.other += noise


def _add_music(draft: Draft, level: float, spoken: bool, *, always: bool = False) -> None:
    random, count = draft.random, draft.count
    if random.random() > (0.28 if spoken else 0.6) and not always:
        return
    kind = random.random()
    if kind < 0.12:
        track = melody(random, count)
    elif kind < 0.18:
        track = unit(lead(random, count) + melody(random, count) * db(random.uniform(-20, 4)))
    elif kind < 0.24:
        track = unit(
            lead(random, count) + music(random, count, draft.pools) * db(random.uniform(-8, 8))
        )
    else:
        track = music(random, count, draft.pools)
    if random.random() < 0.4:
        track = equalise(random, track)
    start, end = 0, count
    if random.random() < 0.4:
        start = int(random.integers(0, count)) // HOP * HOP
    ended = np.flatnonzero(draft.active)
    if spoken and random.random() < 0.2:  # right after a word: put on hold
        start = min((int(random.choice(ended)) + int(random.integers(2, 40))) * HOP, count)
    elif random.random() < 0.3:
        end = int(random.integers(start, count + 1)) // HOP * HOP
    if spoken and random.random() < 0.5:  # on hold: nobody speaks
        draft.speech[start:end] = 0
        draft.active[start // HOP : end // HOP] = False
        loud = random.uniform(-45, -8)
    elif spoken:
        loud = level - random.uniform(8, 32)
    else:
        loud = random.uniform(-50, -8)
    before = frame_rms(draft.other[start:end])
    draft.other[start:end] += track[start:end] * db(loud)
    draft.is_music[start // HOP : end // HOP] = True
    draft.masked[start // HOP : end // HOP] = before > 0.7 * db(loud)


def _add_events(draft: Draft, level: float, *, often: bool) -> None:
    random = draft.random
    seconds = draft.count / RATE

    def scatter(rate: float, make_one: Callable[[], Floats], low: float, high: float) -> None:
        loud = level + random.uniform(low, high)
        for _ in range(int(random.poisson(rate * seconds))):
            event = make_one() * db(loud + random.uniform(-5, 5))
            at = int(random.integers(0, draft.count))
            draft.other[at : at + len(event)] += event[: draft.count - at]

    more = 1.6 if often else 1.0
    if random.random() < 0.3 * more:
        rate = random.uniform(0.3, 8)
        keyboard = float(np.exp(random.uniform(-0.35, 0.35)))
        scatter(rate, lambda: key(random, draft.pools, keyboard), -20, 14)
    if random.random() < 0.35 * more:
        scatter(random.uniform(0.2, 0.9), lambda: breath(random), -28, 4)
    if random.random() < 0.25 * more:
        scatter(random.uniform(0.2, 2), lambda: knock(random), -20, 14)
    if random.random() < 0.12 * more:
        start = int(random.integers(0, draft.count)) if random.random() < 0.8 else 0
        tone = tones(random, draft.count - start)
        draft.other[start:] += tone * db(random.uniform(-40, -8))
        if random.random() < 0.7:
            draft.speech[start:] = 0
            draft.active[start // HOP :] = False


def key(random: Random, pools: Pools, keyboard: float = 1.0) -> Floats:
    """A key's click, another keyboard's if its speed is not 1."""
    click = pools.keys[int(random.integers(len(pools.keys)))]
    if keyboard != 1.0:
        click = soxr.resample(click, RATE * keyboard, RATE, quality="LQ")
    return click.astype(np.float32)


def _add_echo(draft: Draft, level: float) -> None:
    random = draft.random
    echo = np.zeros(draft.count, np.float32)
    other = Draft(
        random, draft.pools, draft.count, echo, np.zeros(len(draft.active), bool), echo, draft.is_music,
        draft.masked,
    )  # fmt: skip
    add_speech(other, lambda: float(random.uniform(0.2, 3)))
    echo = equalise(random, other.speech)
    draft.other += echo * db(level - random.uniform(22, 36))


def _gate_noise(draft: Draft) -> None:
    """A telephone that suppresses noise between words: what is behind comes with the voice only."""
    hold = draft.random.integers(4, 25)
    open_ = np.convolve(draft.active, np.ones(hold + 2))[: len(draft.active)] > 0
    open_ |= np.append(draft.active[2:], [False, False])
    gain = np.where(open_, 1.0, db(-draft.random.uniform(12, 50)))
    draft.other *= np.interp(np.arange(draft.count) / HOP, np.arange(len(gain)) + 0.5, gain)
    draft.is_music &= open_


def gsm(samples: Floats) -> Floats:
    """Through GSM 06.10 full rate and back."""
    file = io.BytesIO()
    scaled = np.clip(samples * 32_767, -32_768, 32_767).astype(np.int16)
    soundfile.write(file, scaled, RATE, format="WAV", subtype="GSM610")
    file.seek(0)
    out = np.resize(soundfile.read(file, dtype="float32")[0], len(samples))
    return out.astype(np.float32)


def level_control(random: Random, draft: Draft) -> None:
    """A telephone's gain that follows the level: noise rises in pauses, loud words are held down."""
    level = 20 * np.log10(frame_rms(draft.speech + draft.other) + 1e-6)
    target, share = random.uniform(-32, -16), random.uniform(0.3, 0.8)
    most = random.uniform(6, 20)
    attack, release = random.uniform(0.1, 0.5), random.uniform(0.005, 0.06)
    gains, gain = np.empty(len(level)), 0.0
    for i, one in enumerate(level):
        wanted = min(max((target - one) * share, -12), most)
        gain += (wanted - gain) * (attack if wanted < gain else release)
        gains[i] = gain
    factor = 10 ** (
        np.interp(np.arange(draft.count) / HOP, np.arange(len(gains)) + 0.5, gains) / 20
    )
    draft.speech *= factor.astype(np.float32)
    draft.other *= factor.astype(np.float32)


def mu_law(samples: Floats) -> Floats:
    """Through G.711 mu-law and back (the continuous law, quantised to 8 bits)."""
    y = np.log1p(255 * np.abs(np.clip(samples, -1, 1))) / np.log(256)
    y = np.rint(y * 127) / 127
    out: Floats = (np.sign(samples) * np.expm1(y * np.log(256)) / 255).astype(np.float32)
    return out


def _through_line(draft: Draft) -> Piece:
    random = draft.random
    if random.random() < 0.1:
        level_control(random, draft)
    if random.random() < 0.12:
        _gate_noise(draft)
    if random.random() < 0.6:
        draft.speech = telephone(random, draft.speech)
        if random.random() < 0.7:
            draft.other = telephone(random, draft.other)
    speech_rms, other_rms = frame_rms(draft.speech), frame_rms(draft.other)
    speech = draft.active.astype(np.int8)
    drowned = draft.active & (speech_rms < np.maximum(0.5 * other_rms, db(-64)))
    speech[drowned] = -1
    for shift in range(1, MARGIN_AFTER + 1):
        after = np.zeros_like(draft.active)
        after[shift:] = draft.active[:-shift]
        speech[after & (speech == 0)] = -1
    before = np.append(draft.active[MARGIN_BEFORE:], [False] * MARGIN_BEFORE)
    speech[before & (speech == 0)] = -1
    # Music counts as such where it is the loudest of what is no speech, and can be heard.
    audible = other_rms > max(db(-60), 0.03 * float(other_rms.max()))
    is_music = np.where(
        draft.is_music, np.where(audible & ~draft.masked & ~draft.active, 1, -1), 0
    ).astype(np.int8)

    samples = draft.speech + draft.other
    if random.random() < 0.06:
        samples += np.float32(random.normal(0, 0.01))
    if random.random() < 0.15:
        lost = lost_frames(random, len(speech), random.uniform(0.01, 0.12))
        samples = lose(random, samples, lost)
        speech[lost & (speech == 1)] = -1
    if random.random() < 0.08:  # muted, or not connected yet
        start = int(random.integers(0, len(speech)))
        end = int(random.integers(start, len(speech) + 1))
        samples[start * HOP : end * HOP] = 0
        speech[start:end] = 0
        is_music[start:end] = 0
    peak = float(np.abs(samples).max())
    if random.random() < 0.05:  # too loud for whatever stands first
        samples = np.clip(samples * db(random.uniform(0, 15)) / max(peak, 0.05), -1, 1)
        samples *= np.float32(db(-random.uniform(0, 15)))
    elif peak > 1 and random.random() < 0.8:
        samples = samples / peak
    for _ in range(int(random.choice([0, 1, 2], p=[0.85, 0.12, 0.03]))):
        samples = gsm(samples)
        if random.random() < 0.3:
            samples = mu_law(samples)
    if random.random() < 0.75:
        samples = a_law(samples)
    scaled = np.clip(np.rint(samples * 32_767), -32_768, 32_767)
    return Piece(scaled.astype(np.int16), speech, is_music)
