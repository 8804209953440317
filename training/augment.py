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
from scipy.signal import fftconvolve, firwin, firwin2, lfilter  # type: ignore[import-untyped]

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


def music(random: Random, count: int, pools: Pools) -> Floats:
    """A cut of a piece, at another speed too, RMS 1."""
    track = pools.music[int(random.integers(len(pools.music)))]
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


def pick_voice(random: Random, pools: Pools) -> Voice:
    """Half of the time a speaker of whole sentences, else syllables or a synthetic voice."""
    kind = random.random()
    if kind < 0.55:
        group = [v for v in pools.voices if not v.name.startswith(("espeak", "syllables"))]
    elif kind < 0.75:
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
    """A synthetic room: decaying noise behind the direct sound."""
    seconds = random.uniform(0.08, 0.5)
    count = int(seconds * RATE)
    response = random.normal(size=count) * np.exp(-6.9 * np.arange(count) / count)
    response *= db(-random.uniform(3, 16)) / (np.sqrt((response**2).sum()) + 1e-9)
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
        place(draft, clip * db(random.uniform(-4, 4)), at)
        at += len(clip) + max(int(gaps() * RATE), HOP)


def place(draft: Draft, clip: Floats, at: int) -> None:
    """Adds a clip of speech from sample `at` (taken to a whole frame) on, with its labels."""
    first = at // HOP
    clip = np.pad(clip, (0, -len(clip) % HOP))
    active = active_frames(clip)
    low, high = max(0, -first), min(len(active), draft.count // HOP - first)
    if high <= low:
        return
    draft.speech[(first + low) * HOP : (first + high) * HOP] += clip[low * HOP : high * HOP]
    draft.active[first + low : first + high] |= active[low:high]


def short_clip(random: Random, pools: Pools) -> Floats:
    """A word of 0.15 to 0.6 s, cut out of a sentence if need be."""
    for _ in range(8):
        voice = pick_voice(random, pools)
        clip = voice.clips[int(random.integers(len(voice.clips)))]
        if len(clip) < 0.6 * RATE:
            return vary_speed(random, clip)
    length = int(random.uniform(0.15, 0.5) * RATE)
    at = int(random.integers(0, max(len(clip) - length, 1)))
    cut = clip[at : at + length].copy()
    cut[:40] *= np.linspace(0, 1, len(cut[:40]))
    cut[-80:] *= np.linspace(1, 0, len(cut[-80:]))
    return vary_speed(random, cut) if np.sqrt((cut**2).mean()) > 0.3 else short_clip(random, pools)


def make(random: Random, pools: Pools, frames: int) -> Piece:
    """One piece of `frames` frames."""
    count = frames * HOP
    empty = np.zeros(count, np.float32)
    draft = Draft(
        random, pools, count, empty, np.zeros(frames, bool), empty.copy(), np.zeros(frames, bool)
    )  # fmt: skip
    kind = random.random()
    if kind < 0.20:
        pass
    elif kind < 0.42:
        for _ in range(int(random.choice([1, 1, 2, 3]))):
            place(draft, short_clip(random, pools), int(random.uniform(-0.1, frames / 50) * RATE))
    elif kind < 0.62:
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
    level = random.uniform(-38, -12) if random.random() < 0.85 else random.uniform(-50, -38)
    if spoken:
        rms = np.sqrt((frame_rms(draft.speech)[draft.active] ** 2).mean())
        draft.speech *= db(level) / (rms + 1e-9)
    _add_noise(draft, level)
    _add_music(draft, level, spoken)
    _add_events(draft, level)
    if spoken and draft.active.sum() > 75 and random.random() < 0.15:
        _add_echo(draft, level)
    return _through_line(draft)


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
    below = random.uniform(12, 35) if kind == "babble" else random.uniform(3, 35)
    noise *= db(level - below)
    if random.random() < 0.1:  # it begins or ends within the piece
        cut = int(random.integers(0, count))
        noise[: cut if random.random() < 0.5 else 0] = 0
    draft.other += noise


def _add_music(draft: Draft, level: float, spoken: bool) -> None:
    random, count = draft.random, draft.count
    if random.random() > (0.28 if spoken else 0.6):
        return
    track = melody(random, count) if random.random() < 0.2 else music(random, count, draft.pools)
    if random.random() < 0.4:
        track = equalise(random, track)
    start, end = 0, count
    if random.random() < 0.4:
        start = int(random.integers(0, count)) // HOP * HOP
    if random.random() < 0.4:
        end = int(random.integers(start, count + 1)) // HOP * HOP
    if spoken and random.random() < 0.5:  # on hold: nobody speaks
        draft.speech[start:end] = 0
        draft.active[start // HOP : end // HOP] = False
        loud = random.uniform(-45, -8)
    elif spoken:
        loud = level - random.uniform(8, 32)
    else:
        loud = random.uniform(-50, -8)
    draft.other[start:end] += track[start:end] * db(loud)
    draft.is_music[start // HOP : end // HOP] = True


def _add_events(draft: Draft, level: float) -> None:
    random = draft.random
    seconds = draft.count / RATE

    def scatter(rate: float, make_one: Callable[[], Floats], low: float, high: float) -> None:
        loud = level + random.uniform(low, high)
        for _ in range(int(random.poisson(rate * seconds))):
            event = make_one() * db(loud + random.uniform(-5, 5))
            at = int(random.integers(0, draft.count))
            draft.other[at : at + len(event)] += event[: draft.count - at]

    if random.random() < 0.3:
        keys = draft.pools.keys
        scatter(random.uniform(0.3, 7), lambda: keys[int(random.integers(len(keys)))], -20, 14)
    if random.random() < 0.35:
        scatter(random.uniform(0.2, 0.9), lambda: breath(random), -28, 4)
    if random.random() < 0.25:
        scatter(random.uniform(0.2, 2), lambda: knock(random), -20, 14)
    if random.random() < 0.12:
        start = int(random.integers(0, draft.count))
        tone = tones(random, draft.count - start)
        draft.other[start:] += tone * db(random.uniform(-40, -8))
        if random.random() < 0.7:
            draft.speech[start:] = 0
            draft.active[start // HOP :] = False


def _add_echo(draft: Draft, level: float) -> None:
    random = draft.random
    echo = np.zeros(draft.count, np.float32)
    other = Draft(
        random, draft.pools, draft.count, echo, np.zeros(len(draft.active), bool), echo, draft.is_music
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


def _through_line(draft: Draft) -> Piece:
    random = draft.random
    if random.random() < 0.12:
        _gate_noise(draft)
    if random.random() < 0.6:
        draft.speech = telephone(random, draft.speech)
        if random.random() < 0.7:
            draft.other = telephone(random, draft.other)
    speech_rms, other_rms = frame_rms(draft.speech), frame_rms(draft.other)
    speech = draft.active.astype(np.int8)
    drowned = draft.active & (speech_rms < 0.5 * other_rms)
    speech[drowned] = -1
    for shift in range(1, MARGIN_AFTER + 1):
        after = np.zeros_like(draft.active)
        after[shift:] = draft.active[:-shift]
        speech[after & (speech == 0)] = -1
    before = np.append(draft.active[MARGIN_BEFORE:], [False] * MARGIN_BEFORE)
    speech[before & (speech == 0)] = -1
    # Music counts as such where it is the loudest of what is no speech, and can be heard.
    audible = other_rms > max(db(-60), 0.03 * float(other_rms.max()))
    is_music = np.where(draft.is_music, np.where(audible & ~draft.active, 1, -1), 0).astype(np.int8)

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
    if peak > 1 and random.random() < 0.8:
        samples = samples / peak
    if random.random() < 0.1:
        samples = gsm(samples)
    if random.random() < 0.75:
        samples = a_law(samples)
    scaled = np.clip(np.rint(samples * 32_767), -32_768, 32_767)
    return Piece(scaled.astype(np.int16), speech, is_music)
