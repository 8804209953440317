"""Made music: random pieces for the instruments of a General MIDI sound font, played by fluidsynth.

    a key, a progression of chords, some of: chords | bass | melody | drums ──mido──> MIDI ──fluidsynth──> WAV

Recorded music is never enough of it: hold music may be any instrument, any tempo, alone or a band.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import mido  # type: ignore[import-untyped]
import numpy as np

Random = np.random.Generator

RATE = 16_000
"""Hz, of fluidsynth."""
SECONDS = 32
TICKS = 480
"""A beat."""
DRUMS = 9
"""The channel that General MIDI keeps for drums."""
KICK, SNARE, HAT, OPEN_HAT, RIDE = 36, 38, 42, 46, 51
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
PROGRESSIONS = (
    (0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (1, 4, 0, 0), (0, 0, 3, 4), (5, 3, 0, 4), (0, 2, 3, 4),
)  # fmt: skip
# Programs of General MIDI, counted from 0.
CHORDS = (
    0, 1, 2, 4, 5, 6, 11, 16, 19, 21, 24, 25, 26, 27, 45, 46,
    48, 49, 50, 52, 54, 61, 88, 89, 91, 95,
)  # fmt: skip
LEADS = (0, 4, 8, 9, 10, 11, 12, 13, 22, 24, 25, 27, 40, 41, 42, 52, 53, 54, 56, 57, 60, 64, 65, 66, 68, 71,
         73, 74, 75, 79, 80, 81, 85, 104, 105)  # fmt: skip
BASSES = (32, 33, 34, 35, 36, 38, 39, 43)

Note = tuple[float, float, int, int, int]
"""Its beginning and length in beats, channel, key, velocity."""


def play(job: tuple[Path, int], wave: Path) -> None:
    """Writes the piece of that number. `job`: the sound font and the number.

    Raises:
        subprocess.CalledProcessError: fluidsynth could not do it.
        FileNotFoundError: there is no fluidsynth.
    """
    font, number = job
    score = wave.with_suffix(".mid")
    compose(np.random.default_rng((20_261_130, number))).save(score)
    command = ["fluidsynth", "-ni", "-q", "-r", str(RATE), "-g", "0.5", "-T", "wav", "-O", "s16"]
    subprocess.run(
        [*command, "-F", str(wave), str(font), str(score)],
        check=True,
        timeout=120,
        capture_output=True,
    )


def compose(random: Random) -> mido.MidiFile:
    """A piece of SECONDS."""
    bpm = float(random.uniform(56, 150))
    meter = int(random.choice([3, 4, 4, 4]))
    bars = int(SECONDS * bpm / 60 / meter)
    scale = SCALES[int(random.integers(len(SCALES)))]
    root = int(random.integers(36, 48))
    roots = PROGRESSIONS[int(random.integers(len(PROGRESSIONS)))]
    degrees = [roots[bar % len(roots)] for bar in range(bars)]
    way = random.random()  # alone, two, a band
    parts = [_melody] if way < 0.15 else [_chords] if way < 0.4 else [_chords, _melody]
    notes: list[Note] = []
    programs: list[int] = []
    for part, choice in ((_chords, CHORDS), (_bass, BASSES), (_melody, LEADS)):
        if part in parts or (way > 0.65 and part is _bass):
            notes += part(random, degrees, scale, root, meter, len(programs))
            programs.append(int(random.choice(choice)))
    if way > 0.65 and random.random() < 0.85:
        notes += _drums(random, bars, meter)
    return _file(notes, programs, bpm, random)


def _key(scale: tuple[int, ...], root: int, degree: int) -> int:
    return root + 12 * (degree // len(scale)) + scale[degree % len(scale)]


def _chords(
    random: Random, degrees: list[int], scale: tuple[int, ...], root: int, meter: int, channel: int
) -> Iterator[Note]:
    pattern = int(random.integers(4))  # held, on the beat, arpeggio, off the beat
    loud = int(random.integers(45, 95))
    high = 12 * int(random.integers(1, 3))
    size = int(random.choice([3, 3, 4]))
    step = float(random.choice([0.25, 0.5, 0.5, 1]))
    for bar, degree in enumerate(degrees):
        keys = [_key(scale, root + high, degree + 2 * voice) for voice in range(size)]
        start = bar * meter
        if pattern == 0:
            yield from ((start, meter * 0.98, channel, key, loud) for key in keys)
        elif pattern == 2:
            for number in range(int(meter / step)):
                touch = loud + int(random.integers(-12, 8))
                yield start + number * step, step * 1.5, channel, keys[number % size], touch
        else:
            for beat in range(meter):
                if random.random() < 0.12:
                    continue
                at = start + beat + (0.5 if pattern == 3 else 0)
                for key in keys:
                    touch = loud + int(random.integers(-10, 8))
                    yield at, float(random.uniform(0.2, 0.9)), channel, key, touch


def _bass(
    random: Random, degrees: list[int], scale: tuple[int, ...], root: int, meter: int, channel: int
) -> Iterator[Note]:
    every = float(random.choice([0.5, 1, 1, 2]))
    loud = int(random.integers(60, 110))
    for bar, degree in enumerate(degrees):
        at = 0.0
        while at < meter:
            fifth = random.random() < 0.25
            yield (
                bar * meter + at,
                every * 0.85,
                channel,
                _key(scale, root - 12, degree + 4 * fifth),
                loud,
            )
            at += every


def _melody(
    random: Random, degrees: list[int], scale: tuple[int, ...], root: int, meter: int, channel: int
) -> Iterator[Note]:
    high = 12 * int(random.integers(2, 4))
    loud = int(random.integers(60, 115))
    rests = float(random.uniform(0, 0.35))
    lengths = [(0.5, 1, 2), (0.25, 0.5, 1), (1, 2, 3), (0.5, 0.5, 1)][int(random.integers(4))]
    at, step = 0.0, int(random.integers(0, 7))
    while at < len(degrees) * meter:
        length = float(random.choice(lengths))
        if random.random() < 0.3:  # a note of the chord
            step = degrees[int(at) // meter] + int(random.choice([0, 2, 4]))
        step = min(max(step + int(random.integers(-2, 3)), -3), 11)
        if random.random() > rests:
            touch = loud + int(random.integers(-15, 10))
            yield (
                at,
                length * float(random.uniform(0.5, 1)),
                channel,
                _key(scale, root + high, step),
                touch,
            )
        at += length


def _drums(random: Random, bars: int, meter: int) -> Iterator[Note]:
    loud = int(random.integers(50, 110))
    hat = int(random.choice([HAT, HAT, RIDE, OPEN_HAT]))
    step = float(random.choice([0.25, 0.5, 0.5, 1]))
    for bar in range(bars):
        for beat in range(meter):
            yield bar * meter + beat, 0.2, DRUMS, SNARE if beat % 2 else KICK, loud
            if random.random() < 0.2:
                yield bar * meter + beat + 0.5, 0.2, DRUMS, KICK, loud
        for number in range(int(meter / step)):
            yield bar * meter + number * step, 0.1, DRUMS, hat, loud - int(random.integers(10, 35))


def _file(notes: list[Note], programs: list[int], bpm: float, random: Random) -> mido.MidiFile:
    file = mido.MidiFile(ticks_per_beat=TICKS)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
    for channel, program in enumerate(programs):
        track.append(mido.Message("program_change", channel=channel, program=program))
    events = []
    for start, length, channel, key, velocity in notes:
        late = float(random.normal(0, 0.01))  # nobody plays on the tick
        on = max(int((start + late) * TICKS), 0)
        off = on + max(int(length * TICKS), 10)
        touch = min(max(velocity, 20), 127)
        events.append((on, 1, mido.Message("note_on", channel=channel, note=key, velocity=touch)))
        events.append((off, 0, mido.Message("note_off", channel=channel, note=key)))
    now = 0
    for at, _, message in sorted(events, key=lambda event: (event[0], event[1], str(event[2]))):
        track.append(message.copy(time=at - now))
        now = at
    return file
