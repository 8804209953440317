"""What the network is trained on: whole generated calls and, if given, stretches of real ones.

    python -m training.calls CACHE OUT --calls N [--given FOLDER --stretches M]

CACHE holds the clips (`training.data`). A generated call is drawn and rendered as the benchmark's are
(`benchmarks.calls`), of other voices, music and noises, and changed further: rooms, telephones and codecs,
clients from very loud to very quiet, noises on top, lost packets, a dead other side. A real stretch is cut
from a labelled call of the folder. Each row of the result is one channel as the product hears it
(`StreamingClassifier`):

    columns  float16 (frames, COLUMNS)
    speech   int8 (frames,): 1, 0, or -1 where nobody could say
    music    int8 (frames,): the same of hold music
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_fixtures import g711
from benchmarks.accuracy import labels, signals
from benchmarks.accuracy.labels import FRAME, RATE
from benchmarks.calls import noises, voices
from benchmarks.calls.noises import NOISES, Room
from benchmarks.calls.plan import sample
from benchmarks.calls.recipe import Carries, Kind, kind_of
from benchmarks.calls.render import frames_of, in_band, render
from benchmarks.calls.voices import Library
from training import augment, data
from training.data import runs
from vad_agent.audio.pcm import rms
from vad_agent.core.frames import Channel
from vad_agent.detection import endpointer
from vad_agent.detection.detector import earshot
from vad_agent.detection.spectral import GROUP

Random = np.random.Generator
Samples = NDArray[np.float64]
Marks = NDArray[np.int8]
SPEAKERS = 8
"""Voices of one call: two that talk, the others for babble and television."""
SYNTHETIC, SYLLABLES = 0.15, 0.15
"""Share of voices that a program speaks, and of those that say syllables only."""
PIECES = 6
"""Of music, in one call."""
EVENTFUL = (Kind.SILENT, Kind.TALK, Kind.NOBODY, Kind.MUSIC, Kind.MUSIC_BACK, Kind.HELD)
"""How an eventful call goes."""
STRETCH = 80 * 50
"""Frames."""
EDGES = 2, 4
"""Frames before and after speech that count neither way."""
TAIL = 8
"""The same after speech in a room."""


class Row(NamedTuple):
    """One channel."""

    columns: NDArray[np.float16]
    speech: Marks
    music: Marks


@dataclass(frozen=True)
class Varied(Library):
    """What one call is made of: each voice in its own room, some of its words mumbled or whispered."""

    seed: int = 0

    def clip(self, voice: str, number: int, speed: float = 1.0) -> Samples:
        """One clip. The same each time."""
        clip = super().clip(voice, number, speed)
        manner = signals.random(str(self.seed), voice)
        said = signals.random(str(self.seed), voice, str(number))
        varied = clip.astype(np.float32)
        drawn = said.random()
        if drawn < 0.03:
            varied = augment.whispered(said, varied)
        elif drawn < 0.15:
            varied = augment.mumbled(said, varied)
        if manner.random() < 0.5:
            varied = augment.equalise(manner, varied)
        if manner.random() < 0.35:
            varied = augment.in_room(manner, varied)
        return varied.astype(np.float64)


@cache
def pools(cache: Path) -> data.Pools:
    """All clips that can be used."""
    found = data.build(cache)
    for number, voice in enumerate(found.voices):
        rng = signals.random("hums", voice.name)
        clips = [clip for clip in voice.clips if voices.usable(clip)]
        words = [word for clip in clips for word in data.words(clip) if voices.usable(word)]
        most = min(len(words), len(clips) // 3)
        short = [words[at] for at in sorted(rng.choice(len(words), most, replace=False))]
        clips += [*short, *(augment.hum_word(rng) for _ in range(len(clips) // 20))]
        found.voices[number] = data.Voice(voice.name, clips)
    found.voices = [voice for voice in found.voices if len(voice.clips) >= 8]
    return found


@cache
def recordings(folder: Path | None) -> Sequence[NDArray[np.floating]]:
    """Recorded noises of a folder of labelled calls."""
    return voices.given(folder, "tuning").noises if folder else ()


def library(rng: Random, cache: Path, folder: Path | None, seed: int) -> Varied:
    """Some voices, pieces of music and noises."""
    source = pools(cache)
    groups: dict[str, list[data.Voice]] = {"": [], "espeak": [], "flite": [], "syllables": []}
    for voice in source.voices:
        first = voice.name.split()[0]
        groups[first if first in groups else ""].append(voice)
    synthetic, syllables = groups["espeak"] + groups["flite"], groups["syllables"]
    chosen: dict[str, list[data.Floats]] = {}
    while len(chosen) < SPEAKERS:
        drawn = rng.random()
        group = synthetic if drawn < SYNTHETIC else groups[""]
        if SYNTHETIC <= drawn < SYNTHETIC + SYLLABLES:
            group = syllables
        voice = group[int(rng.integers(len(group)))]
        chosen[voice.name] = voice.clips
    music = []
    for _ in range(PIECES):
        if rng.random() < 0.15:
            music.append(made_music(rng))
        else:
            piece = source.music[int(rng.integers(len(source.music)))]
            varied = rng.random() < 0.5
            music.append(augment.vary_speed(rng, piece, 0.85, 1.2) if varied else piece)
    sounds = [source.sounds[int(at)] for at in rng.integers(len(source.sounds), size=12)]
    return Varied(chosen, music, source.keys, [*sounds, *recordings(folder)], seed)


def made_music(rng: Random) -> data.Floats:
    """Notes of made instruments."""
    count = 25 * RATE
    made = augment.melody(rng, count) * rng.uniform(0.2, 1)
    drawn = rng.random()
    if drawn < 0.5:
        made = made + augment.lead(rng, count) * rng.uniform(0.3, 1)
    if drawn > 0.66:
        made = made + augment.melody(rng, count)
    return augment.unit(made)


# -- generated calls -------------------------------------------------------------------------------


def generated(
    number: int, cache: Path, folder: Path | None, *, eventful: bool = False
) -> list[Row]:
    """Both channels of one call.

    `eventful`: with sounds as loud as speech where nobody speaks, some from somebody's first word on, more
    music.
    """
    rng = signals.random("eventful call" if eventful else "training call", str(number))
    source = library(rng, cache, folder, number)
    # Without its recorded noises the benchmark's own are drawn; the recorded ones come on top.
    recipe = sample("training", number, replace(source, noises=()))
    if rng.random() < 0.35:
        level = round(float(rng.uniform(-46, -10)), 1)
        recipe = replace(recipe, client=replace(recipe.client, level_dbfs=level))
    if rng.random() < 0.3:
        quieter = [
            replace(stretch, level_dbfs=round(float(rng.uniform(-44, -20)), 1))
            if stretch.carries is Carries.MUSIC
            else stretch
            for stretch in recipe.stretches
        ]
        recipe = replace(recipe, stretches=tuple(quieter))
    call = render(recipe, source)
    operator = call.operator.astype(np.float64)
    client = call.client.astype(np.float64)
    speech = {
        side: marked(call.truth.speech[side], recipe.frames)
        for side in (Channel.OPERATOR, Channel.CLIENT)
    }
    music = np.zeros(recipe.frames, np.int8)
    for stretch in recipe.stretches:
        if stretch.carries is Carries.MUSIC:
            music[stretch.start : stretch.end] = sounding(
                client[stretch.start * FRAME : stretch.end * FRAME]
            )
    zero = np.ptp(call.client.reshape(-1, FRAME), axis=1) == 0
    client, tail = through_telephone(client, rng)
    if tail:
        speech[Channel.CLIENT] = marked(call.truth.speech[Channel.CLIENT], recipe.frames, tail)
    if rng.random() < (0.7 if eventful else 0.5):
        client = disturbed(client, recipe.client.level_dbfs, rng, source)
    operator, tail = through_telephone(operator, rng)
    if tail:
        speech[Channel.OPERATOR] = marked(call.truth.speech[Channel.OPERATOR], recipe.frames, tail)
    if rng.random() < 0.3:
        operator = disturbed(operator, recipe.operator.level_dbfs, rng, source)
    client[np.repeat(zero, FRAME)] = recipe.idle
    if rng.random() < 0.25:
        client = lost(client, rng)
    client[np.repeat(call.lost, FRAME)] = 0
    if rng.random() < 0.12:
        operator = np.zeros_like(operator)
        speech[Channel.OPERATOR][:] = 0
    if eventful:
        client += events(speech[Channel.CLIENT], music, recipe.client.level_dbfs, rng, source)
        if rng.random() < 0.4:
            nothing = np.zeros_like(music)
            operator += events(
                speech[Channel.OPERATOR], nothing, recipe.operator.level_dbfs, rng, source
            )
        if rng.random() < 0.4 and (begun := min(_firsts(speech), default=0)) > 4:
            begun -= int(rng.integers(5))
            client, operator = client[begun * FRAME :], operator[begun * FRAME :]
            speech = {side: marks[begun:] for side, marks in speech.items()}
            music = music[begun:]
    near, far = on_line(operator), on_line(client)
    of_client, of_operator = speech[Channel.CLIENT], speech[Channel.OPERATOR]
    return [
        *heard(far, near, of_client, of_operator, music, rng),
        *heard(near, None, of_operator, of_client, np.zeros_like(music), rng),
    ]


def _firsts(speech: dict[Channel, Marks]) -> list[int]:
    """The first frame of speech of each side that speaks."""
    return [int(np.argmax(marks == 1)) for marks in speech.values() if (marks == 1).any()]


def events(speech: Marks, music: Marks, dbfs: float, rng: Random, source: Library) -> Samples:
    """Sounds as loud as the side's speech, where it is silent and no music plays."""
    out = np.zeros(len(speech) * FRAME)
    for _ in range(int(rng.integers(1, 7))):
        length = max(int(50 * np.exp(rng.uniform(np.log(0.06), np.log(12)))), 3)
        at = int(rng.integers(0, max(len(speech) - length, 1)))
        free = np.flatnonzero((speech[at : at + length] != 0) | (music[at : at + length] != 0))
        length = int(free[0]) - 1 if len(free) else min(length, len(speech) - at)
        if length < 3:
            continue
        sound = _event(length * FRAME, rng, source)
        level = min(dbfs + rng.uniform(-14, 8), -8.0)
        sound = signals.at_level(sound, level, active=True) if np.any(sound) else sound
        out[at * FRAME : (at + length) * FRAME] += sound
    return out


def _event(count: int, rng: Random, source: Library) -> Samples:
    """A sound of one kind that is no speech."""
    kind = int(rng.integers(10))
    if kind in (8, 9):
        return np.asarray(augment.texture(rng, count), np.float64)
    if kind in (0, 1):
        return np.asarray(augment.tones(rng, count), np.float64)
    if kind in (2, 3):  # noise that sets in
        shaped = augment.shaped(
            rng, count, -float(rng.uniform(-3, 8)), float(rng.choice([0, 4, 8]))
        )
        return np.asarray(shaped, np.float64)
    if kind == 4:
        return noises.keys(count, rng, Room(source, ()))
    if kind == 5:
        return sparse(count, rng)
    if kind == 6:
        return np.asarray(augment.hum(rng, count), np.float64)
    return recorded(count, rng, source)


def through_telephone(samples: Samples, rng: Random) -> tuple[Samples, int]:
    """What a room, a telephone and a codec make of a side; frames for which a word may ring on."""
    out, tail = (samples / signals.FULL_SCALE).astype(np.float32), 0
    if rng.random() < 0.15:
        out, tail = augment.in_room(rng, out), TAIL
    if rng.random() < 0.2:
        out = augment.equalise(rng, out, 6.0)
    if rng.random() < 0.15:
        out = augment.telephone(rng, out)
    if rng.random() < 0.1:
        out = augment.level_control(rng, out)
    if rng.random() < 0.06:
        out = augment.overdriven(rng, out)
    if rng.random() < 0.12:
        out = augment.gsm(out)
    return out.astype(np.float64) * signals.FULL_SCALE, tail


def marked(speech: tuple[tuple[int, int], ...], count: int, tail: int = 0) -> Marks:
    """Runs of speech as marks, their edges doubtful."""
    out = np.zeros(count, np.int8)
    before, after = EDGES[0], max(EDGES[1], tail)
    for first, last in speech:
        out[max(first - before, 0) : last + after] = -1
    for first, last in speech:
        out[first + before : last] = 1
    return out


def sounding(samples: Samples) -> Marks:
    """Music where it can be heard; its own pauses are doubtful."""
    powers = signals.frame_power(samples)
    return np.where(powers > powers.mean() * 10**-2.5, 1, -1).astype(np.int8)


def disturbed(samples: Samples, dbfs: float, rng: Random, source: Library) -> Samples:
    """One noise more, 14 to 32 dB under the speech, now and then only for a while."""
    noise = any_noise(len(samples), rng, source)
    if noise is None:
        return samples
    noise = signals.at_level(in_band(noise), dbfs - rng.uniform(14, 32), active=True)
    if rng.random() < 0.4:
        start = int(rng.integers(len(samples)))
        noise[:start] = 0
    return samples + noise


def any_noise(count: int, rng: Random, source: Library) -> Samples | None:
    """Of the benchmark's kinds, recorded, or made otherwise."""
    others = {
        "street": augment.street, "steady": augment.steady, "car": augment.car, "hum": augment.hum,
        "tones": augment.tones, "melody": augment.melody, "texture": augment.texture,
    }  # fmt: skip
    names = [*NOISES, *others, *["texture"] * 7, *["sparse"] * 5, *["recorded"] * 5]
    name = names[int(rng.integers(len(names)))]
    if name == "sparse":
        return sparse(count, rng)
    if name in others:
        return np.asarray(others[name](rng, count), np.float64)
    if name == "recorded":
        return recorded(count, rng, source)
    maker = NOISES[name]
    return None if maker is None else maker(count, rng, Room(source, list(source.voices)))


def recorded(count: int, rng: Random, source: Library) -> Samples:
    """One recorded noise again and again, or several one after the other."""
    if rng.random() < 0.4:
        return noises.recorded(count, rng, Room(source, ()))
    out, at = np.zeros(count), 0
    while at < count:
        noise = source.noises[int(rng.integers(len(source.noises)))]
        piece = augment.vary_speed(rng, np.asarray(noise, np.float32), 0.6, 1.6)[: count - at]
        out[at : at + len(piece)] = piece * rng.uniform(0.3, 1)
        at += len(piece) + int(rng.exponential(0.5) * RATE)
    return out


def sparse(count: int, rng: Random) -> Samples:
    """Single sounds: knocks, breaths, rustles, cutlery, wind in the microphone."""
    out = np.zeros(count + 4 * RATE)
    kind, at = int(rng.integers(5)), 0
    every = rng.uniform(0.1, 1.5)
    while at < count:
        if kind == 0:
            sound = augment.knock(rng)
        elif kind == 1:
            sound = augment.breath(rng)
        elif kind == 2:  # rustle: a cluster of short bursts
            length = int(rng.uniform(0.2, 1.2) * RATE)
            sound = augment.shaped(rng, length, float(rng.uniform(-3, 4)), 5.0)
            points = rng.uniform(0, 1, max(length // 160, 2)) ** 4
            sound = sound * np.interp(
                np.arange(length), np.linspace(0, length, len(points)), points
            )
        elif kind == 3:  # cutlery: ringing partials
            length = int(rng.uniform(0.05, 0.4) * RATE)
            when = np.arange(length) / RATE
            sound = np.zeros(length)
            for _ in range(int(rng.integers(2, 6))):
                sound += np.sin(2 * np.pi * rng.uniform(900, 3600) * when) * np.exp(
                    -when * rng.uniform(10, 80)
                )
            sound /= np.abs(sound).max() + 1e-9
        else:  # wind: slow low gusts
            length = int(rng.uniform(0.3, 2.5) * RATE)
            sound = augment.shaped(rng, length, -float(rng.uniform(6, 12)), 3.0)
            sound = sound * np.hanning(length)
        out[at : at + len(sound)] += (sound * rng.uniform(0.2, 1))[: len(out) - at]
        at += int(rng.exponential(every) * RATE) + 400
    return out[:count]


def lost(samples: Samples, rng: Random) -> Samples:
    """Packets of zeros."""
    out = samples.copy()
    gone = signals.lost(len(out) // FRAME, rng.uniform(0.01, 0.08), rng.uniform(1.5, 4), rng)
    out[np.repeat(gone, FRAME)] = 0
    return out


def on_line(samples: Samples) -> NDArray[np.int16]:
    """Through A-law."""
    whole = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
    return g711.round_trip(whole, "alaw")


# -- real calls ------------------------------------------------------------------------------------


@cache
def real_calls(folder: Path) -> list[labels.LabelledCall]:
    """The labelled calls of the folder."""
    return labels.load_calls(folder, "tuning")


def real(number: int, cache: Path, folder: Path) -> list[Row]:
    """One side of a stretch of a real call, the other side there, leaking, quiet or dead."""
    rng = signals.random("real stretch", str(number))
    source = library(rng, cache, folder, number)
    calls = real_calls(folder)
    call = calls[int(rng.integers(len(calls)))]
    side = (Channel.CLIENT, Channel.OPERATOR)[number % 2]
    other = Channel.OPERATOR if side is Channel.CLIENT else Channel.CLIENT
    speed = float(rng.uniform(0.8, 1.25))
    need = int(STRETCH * speed) + 2
    total = call.labels[side].frames
    start = int(rng.integers(max(total - need, 1)))
    mine, theirs = (
        labels.resampled(
            call.samples[one][start * FRAME : (start + need) * FRAME], RATE * speed, RATE
        )
        for one in (side, other)
    )
    count = min(len(mine), len(theirs)) // FRAME
    mine, theirs = mine[: count * FRAME], theirs[: count * FRAME]
    known = call.labels[side]
    at = np.minimum((start + (np.arange(count) + 0.5) * speed).astype(int), total - 1)
    said, they_said = (call.labels[one].mask()[:total][at] for one in (side, other))
    edge = np.zeros(total, np.int8)
    for first, last in known.ambiguous + known.buried:
        edge[max(first - 2, 0) : last + 4] = -1
    speech = marked(tuple(runs(said)), count)
    speech[edge[at] == -1] = -1
    gain = float(rng.uniform(-26, 6))
    mine = signals.amplify(mine, gain)
    level = signals.active_level(mine, speech == 1) if (speech == 1).any() else -40.0
    mine = mine + signals.at_level(rng.standard_normal(len(mine)), rng.uniform(-75, -60))
    if rng.random() < 0.75:
        mine = disturbed(mine, level, rng, source)
    theirs = signals.amplify(theirs, float(rng.uniform(-14, 6)))
    way = rng.random()
    if way < 0.3:
        delay = int(rng.uniform(0.02, 0.4) * RATE)
        echo = signals.amplify(theirs, -rng.uniform(20, 40))
        mine[delay:] += echo[: len(mine) - delay]
    elif way < 0.5:
        theirs = signals.at_level(rng.standard_normal(len(theirs)), rng.uniform(-75, -50))
    elif way < 0.7:
        theirs = np.zeros(len(theirs))
    if rng.random() < 0.4:
        mine = lost(mine, rng)
    far = None if way > 0.9 else on_line(theirs)
    there = they_said.astype(np.int8) if way >= 0.7 or way < 0.3 else np.zeros(count, np.int8)
    return heard(on_line(mine), far, speech, there, np.zeros(count, np.int8), rng)


# -- as the product hears it -----------------------------------------------------------------------


def heard(
    mine: NDArray[np.int16],
    theirs: NDArray[np.int16] | None,
    speech: Marks,
    their_speech: Marks,
    music: Marks,
    rng: Random,
) -> list[Row]:
    """One channel with the other in view. Now and then without earshot, as where it is not installed.

    Both learn how loud they are from the truth.
    """
    deaf = rng.random() < 0.08
    one = endpointer.classifier(None if deaf else earshot())
    other = None if theirs is None else endpointer.classifier(None if deaf else earshot())
    frames = frames_of(mine)
    others = frames_of(theirs) if theirs is not None else frames
    both = np.stack([speech, their_speech], axis=1).tolist()
    for frame, far, (said, they_said) in zip(frames, others, both, strict=True):
        if other is not None:
            other.hear(far, rms(far, 2), None)
            if they_said == 1:
                other.learn_level(other.smooth)
        one.hear(frame, rms(frame, 2), other)
        if said == 1:
            one.learn_level(one.smooth)
    count = len(frames) // GROUP * GROUP
    columns = one.take(count)
    return [Row(columns.astype(np.float16), speech[:count], music[:count])]


# -- all of it -------------------------------------------------------------------------------------


Task = tuple[str, int, Path, Path | None]


def _work(task: Task) -> list[Row]:
    kind, number, cache, folder = task
    if kind == "real":
        assert folder is not None
        return real(number, cache, folder)
    return generated(number, cache, folder, eventful=kind == "eventful")


def make(
    cache: Path, calls: int, eventful: int, folder: Path | None, stretches: int, jobs: int
) -> Iterator[list[Row]]:
    """The rows of each call and stretch, then those of each eventful call."""
    pools(cache)  # before the processes part: they share both
    recordings(folder)
    tasks: list[Task] = [("call", number, cache, folder) for number in range(calls)]
    tasks += [("real", number, cache, folder) for number in range(stretches if folder else 0)]
    order = signals.random("order").permutation(len(tasks))
    numbers = [number for number in range(20 * eventful) if kind_of(number) in EVENTFUL]
    more: list[Task] = [("eventful", number, cache, folder) for number in numbers[:eventful]]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_work, [tasks[at] for at in order] + more, chunksize=4)


def save(rows: list[Row], path: Path) -> None:
    """All rows in one file, their lengths beside them."""
    np.savez(
        path,
        lengths=[len(row.speech) for row in rows],
        columns=np.concatenate([row.columns for row in rows]),
        speech=np.concatenate([row.speech for row in rows]),
        music=np.concatenate([row.music for row in rows]),
    )


def main() -> None:
    """Writes OUT/rows-000.npz, rows-001.npz …, the rows of 100 tasks each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--eventful", type=int, default=1_500)
    parser.add_argument("--given", type=Path)
    parser.add_argument("--stretches", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("rows-*.npz"):
        old.unlink()
    rows: list[Row] = []
    made = make(
        options.cache,
        options.calls,
        options.eventful,
        options.given,
        options.stretches,
        options.jobs,
    )
    for done, of_task in enumerate(made, 1):
        rows += of_task
        if done % 100 == 0:
            save(rows, options.out / f"rows-{done // 100:03}.npz")
            rows = []
            print(f"{done} calls and stretches", flush=True)
    if rows:
        save(rows, options.out / "rows-999.npz")


if __name__ == "__main__":
    main()
