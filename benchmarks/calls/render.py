"""Renders a recipe: two channels as a session is fed, and their truth. The same bytes each time.

operator  clips ──────────────────────────────> band ── hiss ─────────────────> A-law
             └─ echo ──────┐
client    clips ───────────┴── noise ─────────> band ── hiss ── gain ── hold, ─> A-law ── gate, ──> lost
                                                                        tones             dead line  packets
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_fixtures import g711
from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import FRAME, RATE, Run, Samples
from benchmarks.calls import noises
from benchmarks.calls.ground_truth import Flags, Truth, audible, truth
from benchmarks.calls.recipe import Carries, Leg, Recipe, Utterance
from benchmarks.calls.voices import Library
from training.source_clips import active_frames, runs
from vad_agent.core.frames import Channel

Pair = tuple[bytes | None, bytes | None]
BAND_HZ = (300.0, 3400.0)
EDGE_HZ = 120.0
"""Width of the slopes beside the band."""


@dataclass(frozen=True)
class RenderedCall:
    """A rendered call. int16 at 8 kHz."""

    recipe: Recipe
    operator: NDArray[np.int16]
    client: NDArray[np.int16]
    lost: Flags
    """Lost frames of the client's leg; they are zero in `client`."""
    truth: Truth
    in_band: Mapping[Channel, tuple[Run, ...]]
    """As `truth.speech`, but 30 dB under the loud frames of the clip within the telephone's band."""

    def pairs(self) -> Iterator[Pair]:
        """Frames of 20 ms, operator and client; None: it did not come."""
        operator, client = frames_of(self.operator), frames_of(self.client)
        for mine, theirs, gone in zip(operator, client, self.lost.tolist(), strict=True):
            yield mine, None if gone else theirs


def frames_of(samples: NDArray[np.int16]) -> list[bytes]:
    """Whole frames of 20 ms of samples at 8 kHz."""
    audio = samples.astype("<i2").tobytes()
    return [audio[at : at + 2 * FRAME] for at in range(0, len(audio) - 2 * FRAME + 1, 2 * FRAME)]


def render(recipe: Recipe, library: Library) -> RenderedCall:
    """The call of the recipe. `library`: the one that it was sampled with."""
    count = recipe.frames * FRAME
    operator, operator_active, operator_in_band = _spoken(recipe, Channel.OPERATOR, library)
    client, client_active, client_in_band = _spoken(recipe, Channel.CLIENT, library)
    if recipe.room:
        client = noises.in_room(client, signals.random(recipe.name, "room"), near=True)
    operator, client = in_band(operator), in_band(client)
    background = _power(recipe.client.floor_dbfs)
    rest = np.zeros(count)
    if recipe.noise != "none":
        noise_dbfs = recipe.client.level_dbfs - recipe.snr_db
        others = [name for name in library.voices if name not in _voices(recipe)]
        room = noises.Room(library, others or list(library.voices))
        rng = signals.random(recipe.name, "noise")
        noise = in_band(noises.make(recipe.noise, count, rng, room))
        noise = signals.at_level(noise, noise_dbfs, active=recipe.noise in noises.UNEVEN)
        rest += noise
        background += _power(signals.level(noise))
    if recipe.echo is not None:
        delay = recipe.echo.delay_ms * RATE // 1000
        rest[delay:] += signals.amplify(operator, recipe.echo.level_db)[: count - delay]
    floor, under = recipe.operator.floor_dbfs, 10 * float(np.log10(background))
    speech = {
        Channel.OPERATOR: audible(operator_active, operator, floor),
        Channel.CLIENT: audible(client_active, client, under),
    }
    within = {
        Channel.OPERATOR: tuple(runs(audible(operator_in_band, operator, floor))),
        Channel.CLIENT: tuple(runs(audible(client_in_band, client, under))),
    }
    operator = operator + _hiss(recipe, Channel.OPERATOR)
    client = client + rest + _hiss(recipe, Channel.CLIENT)
    client = client * _gain(recipe, count)
    _replace(recipe, library, client)
    near, far = _on_line(operator), _on_line(client)
    lost = _lose(recipe, far, client_active)
    return RenderedCall(recipe, near, far, lost, truth(recipe, speech), within)


# -- speech ----------------------------------------------------------------------------------------


def _spoken(recipe: Recipe, side: Channel, library: Library) -> tuple[Samples, Flags, Flags]:
    """The side's clips at their level, the frames in which they are speech, and those within the band."""
    out, active = np.zeros(recipe.frames * FRAME), np.zeros(recipe.frames, bool)
    within = active.copy()
    leg = recipe.operator if side is Channel.OPERATOR else recipe.client
    for said in recipe.said:
        if said.channel is not side:
            continue
        clip = library.clip(said.voice, said.clip, leg.speed)
        clip = np.pad(clip, (0, said.length * FRAME - len(clip)))
        start = said.at * FRAME
        out[start : start + len(clip)] += _weakened(clip, said) * _factor(leg)
        active[said.at : said.end] |= active_frames(clip.astype(np.float32))
        within[said.at : said.end] |= active_frames(in_band(clip).astype(np.float32))
    return out, active, within


def _factor(leg: Leg) -> float:
    """Of an RMS of 1 to the leg's level."""
    return signals.FULL_SCALE * float(10 ** (leg.level_dbfs / 20))


def _weakened(clip: Samples, said: Utterance) -> Samples:
    """The last word weaker: from the quietest moment between 1 and 0.25 s before the end on."""
    if not said.fade_db:
        return clip
    powers = signals.frame_power(clip)
    last = len(powers) - 12
    first = max(len(powers) - 50, 0)
    word = first + int(powers[first:last].argmin()) if last > first + 12 else 0
    decibels = np.full(len(clip), -said.fade_db)
    decibels[: word * FRAME] = 0
    if word:
        decibels[word * FRAME : (word + 1) * FRAME] = np.linspace(0, -said.fade_db, FRAME)
    weaker: Samples = clip * 10 ** (decibels / 20)
    return weaker


def _voices(recipe: Recipe) -> set[str]:
    return {recipe.operator.voice, recipe.client.voice}


# -- the line --------------------------------------------------------------------------------------


def in_band(samples: Samples) -> Samples:
    """The telephone's band, 300 to 3,400 Hz."""
    size = -(-(len(samples) + 1) // RATE) * RATE
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    low, high = BAND_HZ
    up = np.clip((hertz - low + EDGE_HZ) / EDGE_HZ, 0, 1)
    down = np.clip((high + EDGE_HZ - hertz) / EDGE_HZ, 0, 1)
    shape = 0.5 - 0.5 * np.cos(np.pi * up * down)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, size) * shape, size)[: len(samples)])


def _power(dbfs: float) -> float:
    return float(10 ** (dbfs / 10))


def _hiss(recipe: Recipe, side: Channel) -> Samples:
    leg = recipe.operator if side is Channel.OPERATOR else recipe.client
    rng = signals.random(recipe.name, "hiss", side.value)
    hiss = rng.standard_normal(recipe.frames * FRAME)
    return signals.at_level(in_band(hiss), leg.floor_dbfs)


def _gain(recipe: Recipe, count: int) -> Samples:
    decibels = np.zeros(count)
    for frame, step in recipe.gain_steps:
        decibels[frame * FRAME :] = step
    factors: Samples = 10 ** (decibels / 20)
    return factors


def _replace(recipe: Recipe, library: Library, client: Samples) -> None:
    """What the client's leg carries in place of the client's room."""
    for number, stretch in enumerate(recipe.stretches):
        start, end = stretch.start * FRAME, stretch.end * FRAME
        count = len(client[start:end])
        rng = signals.random(recipe.name, "stretch", str(number))
        match stretch.carries:
            case Carries.COMFORT:
                sound = in_band(rng.standard_normal(count))
            case Carries.MUSIC:
                piece = np.asarray(library.music[stretch.piece], np.float64)
                sound = in_band(np.resize(np.roll(piece, -stretch.piece_at), count))
            case Carries.BUSY:
                sound = signals.tone(count, [425], stretch.on_s, stretch.on_s)
            case _:
                sound = np.zeros(count)
        level = stretch.level_dbfs
        client[start:end] = signals.at_level(sound, level, active=stretch.carries is Carries.BUSY)


def _on_line(samples: Samples) -> NDArray[np.int16]:
    whole = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
    return g711.round_trip(whole, "alaw")


def _lose(recipe: Recipe, far: NDArray[np.int16], active: Flags) -> Flags:
    """Digital zero and lost packets, written into the leg; returns the frames that do not come."""
    by_frame = far.reshape(-1, FRAME)
    if recipe.gate is not None:
        kernel = np.ones(recipe.gate + 3)  # open two frames before the word
        shut = np.convolve(active, kernel)[2:][: len(active)] < 0.5
        for stretch in recipe.stretches:
            shut[stretch.start : stretch.end] = False  # that is not the client's telephone
        by_frame[shut] = recipe.idle
    lost = np.zeros(recipe.frames, bool)
    for stretch in recipe.stretches:
        if stretch.carries is Carries.ZERO:
            by_frame[stretch.start : stretch.end] = recipe.idle
        elif stretch.carries is Carries.NOTHING:
            lost[stretch.start : stretch.end] = True
    if recipe.loss is not None:
        rng = signals.random(recipe.name, "loss")
        gone = signals.lost(recipe.frames, recipe.loss.share, recipe.loss.burst, rng)
        by_frame[gone] = 0
        if recipe.loss.missing:
            lost |= gone
    by_frame[lost] = 0
    return lost
