"""Seeded sounds, and what rooms and lines do to them: what a line may carry beside clean speech."""

from __future__ import annotations

import io
from typing import Any

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

from training.source_clips import HOP, RATE, Float32Array, frame_rms

Random = np.random.Generator


def db(decibels: float) -> float:
    """As a factor of amplitude."""
    return float(10 ** (decibels / 20))


# -- sounds ----------------------------------------------------------------------------------------


def shaped(random: Random, count: int, slope_db: float, wobble_db: float = 0.0) -> Float32Array:
    """Noise with a spectrum that falls `slope_db` an octave, RMS 1; `wobble_db`: random peaks."""
    spectrum = np.fft.rfft(random.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / RATE)
    octaves = np.log2(np.maximum(hz, 40) / 1000)
    shape = slope_db * octaves
    if wobble_db:
        knots = np.sort(random.uniform(-4.6, 2, 8))
        shape = shape + np.interp(octaves, knots, random.normal(0, wobble_db, 8))
    noise = np.fft.irfft(spectrum * 10 ** (shape / 20), count)
    out: Float32Array = (noise / (noise.std() + 1e-9)).astype(np.float32)
    return out


def car(random: Random, count: int) -> Float32Array:
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


def hum(random: Random, count: int) -> Float32Array:
    """The mains, with harmonics."""
    t = np.arange(count) / RATE
    out = np.zeros(count)
    for k in range(1, 16):
        out += random.uniform(0, 1) / k * np.sin(2 * np.pi * 50 * k * t + random.uniform(0, 6))
    return unit(out + 0.1 * random.normal(size=count))


def street(random: Random, count: int) -> Float32Array:
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


def texture(random: Random, count: int) -> Float32Array:
    """Coloured noise that swells, flutters, comes in bursts or crackles, at random: what moves or rubs."""
    out = shaped(random, count, -float(random.uniform(-4, 12)), float(random.choice([0, 4, 8])))
    gain_db = np.zeros(count)
    gusts, flutter = (random.uniform(0.1, 1.5), 14), (random.uniform(3, 30), 10)
    for hz, most_db in (gusts, flutter):
        if random.random() < 0.6:
            knots = max(int(count / RATE * hz), 2)
            depth = random.uniform(2, most_db)
            gain_db += np.interp(
                np.arange(count), np.linspace(0, count, knots), random.normal(0, depth, knots)
            )
    out = out * 10 ** (gain_db.clip(-40, 25) / 20)
    if random.random() < 0.5:  # there and not there
        on, at = np.zeros(count), 0
        while at < count:
            length = int(random.exponential(random.choice([0.08, 0.4, 1.5])) * RATE) + 160
            on[at : at + length] = random.uniform(0.2, 1)
            at += length + int(random.exponential(random.choice([0.1, 0.6, 2.5])) * RATE)
        smooth = np.hanning(int(random.uniform(0.004, 0.06) * RATE)) + 1e-9
        out = out * fftconvolve(on, smooth / smooth.sum(), "same")
    if random.random() < 0.3:  # crackle
        clicks = random.random(count) < random.uniform(2, 60) / RATE
        ring = np.exp(-np.arange(240) / random.uniform(4, 60)) * random.normal(size=240)
        crackle = fftconvolve(clicks * random.exponential(1, count), ring)[:count]
        out = unit(out) + unit(crackle) * random.uniform(0.3, 3)
    return unit(out)


def unit(samples: NDArray[Any]) -> Float32Array:
    """RMS 1."""
    out: Float32Array = (samples / (np.sqrt((samples**2).mean()) + 1e-9)).astype(np.float32)
    return out


def steady(random: Random, count: int) -> Float32Array:
    """A fan or a line: coloured noise that stays."""
    return shaped(random, count, -float(random.uniform(-2, 8)), float(random.choice([0, 4, 8])))


def melody(random: Random, count: int) -> Float32Array:
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


def tones(random: Random, count: int) -> Float32Array:
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


def breath(random: Random) -> Float32Array:
    """Air: noise in a band that swells and falls, peak RMS about 1."""
    count = int(random.uniform(0.15, 1.2) * RATE)
    air = shaped(random, count, float(random.uniform(-5, 3)), float(random.choice([0, 4])))
    low, high = random.uniform(100, 900), random.uniform(1800, 3600)
    air = lfilter(firwin(41, [low, high], pass_zero=False, fs=RATE), 1, air)
    rise = random.uniform(0.2, 0.7)
    at = np.linspace(0, 1, count)
    swell = np.minimum(at / rise, (1 - at) / (1 - rise)) ** random.uniform(0.5, 2)
    return (unit(air) * swell).astype(np.float32)


def knock(random: Random) -> Float32Array:
    """A pop, a bump or a rustle, peak about 1."""
    count = int(random.choice([random.uniform(0.002, 0.02), random.uniform(0.02, 0.15)]) * RATE)
    out = shaped(random, count, -float(random.uniform(-3, 9)), 5.0)
    return (out * np.exp(-np.linspace(0, random.uniform(2, 6), count)) / 2).astype(np.float32)


def lead(random: Random, count: int) -> Float32Array:
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


def buzz(random: Random, hz: NDArray[Any], air: float) -> Float32Array:
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


def hum_word(random: Random) -> Float32Array:
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


def whispered(random: Random, clip: Float32Array) -> Float32Array:
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


def mumbled(random: Random, clip: Float32Array) -> Float32Array:
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


# -- what a room and a line do -----------------------------------------------------------------------


def equalise(random: Random, samples: Float32Array, most_db: float = 8.0) -> Float32Array:
    """A random smooth equaliser."""
    knots = [0, 200, 500, 1000, 1800, 2800, 4000]
    gains = 10 ** (random.normal(0, most_db / 2, len(knots)) / 20)
    out: Float32Array = fftconvolve(samples, firwin2(63, knots, gains, fs=RATE), "same").astype(
        np.float32
    )
    return out


def in_room(random: Random, samples: Float32Array) -> Float32Array:
    """A synthetic room: decaying noise behind the direct sound; one time in five far from the microphone."""
    seconds = random.uniform(0.08, 0.5)
    count = int(seconds * RATE)
    response = random.normal(size=count) * np.exp(-6.9 * np.arange(count) / count)
    response *= db(-random.uniform(3, 16) if random.random() < 0.8 else random.uniform(-3, 5)) / (
        np.sqrt((response**2).sum()) + 1e-9
    )
    response[0] = 1.0
    out: Float32Array = fftconvolve(samples, response)[: len(samples)].astype(np.float32)
    return out


def telephone(random: Random, samples: Float32Array) -> Float32Array:
    """A random telephone's band."""
    low, high = random.uniform(80, 350), random.uniform(3000, 3800)
    knots = [0, low * 0.5, low, high, min(high * 1.12, 3990), 4000]
    out: Float32Array = lfilter(firwin2(127, knots, [0, 0.1, 1, 1, 0.02, 0], fs=RATE), 1, samples)
    return np.roll(out, -63).astype(np.float32)


def vary_speed(
    random: Random, clip: Float32Array, low: float = 0.72, high: float = 1.42
) -> Float32Array:
    """Played slower or faster: another size of head and another pace."""
    speed = float(np.exp(random.uniform(np.log(low), np.log(high))))
    out: Float32Array = soxr.resample(clip, RATE * speed, RATE, quality="LQ").astype(np.float32)
    return out


def overdriven(random: Random, samples: Float32Array) -> Float32Array:
    """Clipped, softly or hard, by a bad microphone or radio; as loud as before."""
    loud = float(np.percentile(np.abs(samples), 99.5)) + 1e-9
    driven = samples / loud * random.uniform(1, 6)
    out = np.tanh(driven) if random.random() < 0.5 else driven.clip(-1, 1)
    before, after = np.sqrt((samples**2).mean()), np.sqrt((out**2).mean()) + 1e-9
    return (out * before / after).astype(np.float32)


def gsm(samples: Float32Array) -> Float32Array:
    """Through GSM 06.10 full rate and back."""
    file = io.BytesIO()
    scaled = np.clip(samples * 32_767, -32_768, 32_767).astype(np.int16)
    soundfile.write(file, scaled, RATE, format="WAV", subtype="GSM610")
    file.seek(0)
    out = np.resize(soundfile.read(file, dtype="float32")[0], len(samples))
    return out.astype(np.float32)


def level_control(random: Random, samples: Float32Array) -> Float32Array:
    """A telephone's gain that follows the level: noise rises in pauses, loud words are held down."""
    level = 20 * np.log10(frame_rms(samples) + 1e-6)
    target, share = random.uniform(-32, -16), random.uniform(0.3, 0.8)
    most = random.uniform(6, 20)
    attack, release = random.uniform(0.1, 0.5), random.uniform(0.005, 0.06)
    gains, gain = np.empty(len(level)), 0.0
    for i, one in enumerate(level):
        wanted = min(max((target - one) * share, -12), most)
        gain += (wanted - gain) * (attack if wanted < gain else release)
        gains[i] = gain
    steps = np.interp(np.arange(len(samples)) / HOP, np.arange(len(gains)) + 0.5, gains)
    out: Float32Array = (samples * 10 ** (steps / 20)).astype(np.float32)
    return out
