"""Audio drawn as text: one letter per frame, or run lengths, and what an endpointer reported.

    ".*50 S*40 .*30"     a second of comfort noise, 0.8 s of a voice, 0.6 s of comfort noise
    "..kk...k"           key clicks

    .  comfort noise, -58 dBFS, seeded       S  a real voice at -20 dBFS active level
    n  loud steady noise, -35 dBFS, seeded   t  a tone of 425 Hz, -20 dBFS
    0  digital zero                          m  hold music
    z  constant 8, the zero of A-law         k  a key click
    ,  next to nothing (one step of dither)  -  no frame came

A run of a letter starts its sound anew, so a frame is known by its place in its run. The voice is
the vowel-rich middle of clips, without a pause of more than 0.15 s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_fixtures import clips, dsp
from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import Channel
from vad_agent.detection.endpointer import Endpointer
from vad_agent.script.settings import Settings

Frame = bytes | None
Samples = NDArray[np.int64]
RATE = 8_000
SIZE = 160
TELEPHONE = dsp.band_pass(300.0, 3400.0, RATE, 41)

VOICES = (
    "woman_long", "woman_questions", "woman_leave_message", "woman_who_calls", "woman_repeat",
    "woman_check_number", "woman_nobody_here", "woman_busy_now", "woman_cannot_complete",
    "woman_try_again", "woman_call_later", "woman_not_answering", "woman_one_moment",
    "woman_thanks_for_patience", "woman_number_correct", "woman_wrong",
)  # fmt: skip
"""Clips of a real voice of a second and more."""
MUSIC = ("music_cold_day", "music_project_system", "music_robot_dity")


# -- sounds ----------------------------------------------------------------------------------------


def cut(samples: Samples, size: int = SIZE) -> list[bytes]:
    """Whole frames of samples, saturated to int16."""
    whole = samples[: len(samples) // size * size]
    data = np.clip(whole, -32768, 32767).astype("<i2").tobytes()
    return [data[at : at + 2 * size] for at in range(0, len(data), 2 * size)]


def join(frames: Iterable[bytes]) -> Samples:
    """The samples of frames."""
    return np.frombuffer(b"".join(frames), "<i2").astype(np.int64)


@cache
def comfort(count: int, level_db: float = -58.0, seed: int = 1) -> Samples:
    """Samples of telephone-band noise."""
    return dsp.noise(count, level_db, TELEPHONE, seed)


def noise(frames: int, level_db: float = -58.0, seed: int = 1) -> list[bytes]:
    """Frames of telephone-band noise."""
    return cut(comfort(frames * SIZE, level_db, seed)) if frames else []


def tone(
    frames: int,
    level_db: float = -20.0,
    cadence: Sequence[float] = (1.0, 0.0),
    phase_s: float = 0.0,
    hz: Sequence[float] = (425.0,),
) -> list[bytes]:
    """Frames of a tone of these partials, `level_db` dBFS RMS, on and off for so many seconds in turn."""
    amplitude = 10 ** (level_db / 20) * 32768 * np.sqrt(2 / len(hz))
    at = np.arange(frames * SIZE) / RATE + phase_s
    edges = np.cumsum(cadence)
    on = np.searchsorted(edges, at % edges[-1], "right") % 2 == 0
    waves = sum(np.sin(2 * np.pi * one * at) for one in hz)
    return cut(np.rint(amplitude * on * waves).astype(np.int64))


@cache
def pressed() -> Samples:
    """A voice without pauses: all voice clips joined, every quiet frame beyond three left out."""
    kept: list[Samples] = []
    quiet = 0
    for name in VOICES:
        samples = clips.load(name)
        for frame in samples[: len(samples) // SIZE * SIZE].reshape(-1, SIZE):
            loud = 10 * np.log10(float((frame * frame).mean()) / 32768**2 + 1e-12) > -38
            quiet = 0 if loud else quiet + 1
            if quiet <= 3:
                kept.append(frame)
    samples = np.concatenate(kept)
    return samples[4 * SIZE :]  # begins within a vowel


def voice(frames: int, level_db: float = -20.0) -> list[bytes]:
    """Frames of a voice at an active level of `level_db` dBFS."""
    return cut(dsp.gain(np.resize(pressed(), frames * SIZE), level_db + 20.0))


def music(frames: int, name: str = MUSIC[0], gain_db: float = 0.0) -> list[bytes]:
    """Frames of hold music."""
    return cut(dsp.gain(np.resize(clips.load(name), frames * SIZE), gain_db))


def clip(name: str, gain_db: float = 0.0) -> list[bytes]:
    """A whole clip, padded with zero to whole frames."""
    samples = dsp.gain(clips.load(name), gain_db)
    return cut(np.pad(samples, (0, -len(samples) % SIZE)))


def over(frames: Sequence[Frame], other: Sequence[bytes]) -> list[Frame]:
    """Two sounds at once; missing frames stay missing."""
    return [
        None if one is None else cut(join([one]) + join([two]))[0]
        for one, two in zip(frames, other, strict=True)
    ]


def _click(frames: int) -> list[bytes]:
    samples = np.zeros(frames * SIZE, np.int64)
    key = clips.load("noise_click")
    for at in range(0, frames * SIZE - len(key), SIZE):
        samples[at + 40 : at + 40 + len(key)] += key[: len(samples) - at - 40]
    return cut(samples + comfort(frames * SIZE))


KINDS: dict[str, Callable[[int], Sequence[Frame]]] = {
    ".": noise,
    "S": voice,
    "n": lambda count: noise(count, -35.0, 2),
    "t": tone,
    "m": music,
    "k": _click,
    "0": lambda count: [bytes(2 * SIZE)] * count,
    "z": lambda count: [b"\x08\x00" * SIZE] * count,
    ",": lambda count: cut(np.random.default_rng(5).integers(-1, 2, count * SIZE)),
    "-": lambda count: [None] * count,
}
_RUN = re.compile(r"(.)\*(\d+)|(.)\3*")


def runs_of(drawing: str) -> Iterator[tuple[str, int]]:
    """The letters of a drawing with their counts."""
    for token in drawing.split():
        for match in _RUN.finditer(token):
            yield (match[1], int(match[2])) if match[1] else (match[3], len(match[0]))


def draw(drawing: str) -> list[Frame]:
    """The frames of a drawing."""
    return [frame for kind, count in runs_of(drawing) for frame in KINDS[kind](count)]


def speech(*names: str, gap: int = 30, gain_db: float = 0.0) -> tuple[list[Frame], list[range]]:
    """Clips with comfort noise between, before and behind them; the true frames of each."""
    frames: list[Frame] = list(noise(gap))
    truth = []
    for number, name in enumerate(names):
        sound = clip(name, gain_db)
        truth.append(range(len(frames), len(frames) + len(sound)))
        frames += over(sound, noise(len(sound), seed=100 + number))
        frames += noise(gap, seed=200 + number)
    return frames, truth


# -- a detector that says what its drawing says ------------------------------------------------------

LEVELS = (1500, 5000, 900, 7000, 2600, 700, 4000)
"""Of loud frames, in turn: no noise or tone moves so much."""


class Drawn:
    """A detector that calls speech what is drawn as "a": its frames begin loud, whatever the gain."""

    threshold = 0.5

    def probability(self, frame: bytes, /) -> float:
        return float(int.from_bytes(frame[:2], "little", signed=True) > 4 * QUIET)


QUIET = 20


def scripted(drawing: str) -> Segments:
    """What an endpointer without a network makes of a drawing whose frames the detector judges as drawn.

    a: loud, and called speech; l: loud, not speech; h: quiet, not speech; 0 and - as ever.
    """
    letters = "".join(kind * count for kind, count in runs_of(drawing))
    frames = [_drawn(letter, LEVELS[at % len(LEVELS)]) for at, letter in enumerate(letters)]
    endpointer = Endpointer(RATE, detector=Drawn(), network=None)
    heard = listen(endpointer, frames)
    assert not endpointer.failed
    return heard


def _drawn(letter: str, loud: int) -> Frame:
    level = {"a": loud, "l": -loud, "h": QUIET, "0": 0}.get(letter)
    if level is None:
        return None
    return np.resize([level] * 8 + [-level] * 8, SIZE).astype("<i2").tobytes()


def carets(drawing: str) -> list[tuple[int, int]]:
    """Runs drawn under a drawing: ^ is the first frame of each, $ the last."""
    starts = [at for at, letter in enumerate(drawing) if letter in "^"]
    ends = [at + 1 for at, letter in enumerate(drawing) if letter == "$"]
    return list(zip(starts, ends, strict=True))


# -- listening -------------------------------------------------------------------------------------


@dataclass
class Segments:
    """What an endpointer said, frame by frame. Frames are counted from 0."""

    runs: list[tuple[int, int]] = field(default_factory=list)
    """Accepted runs, closed."""
    opened: list[int] = field(default_factory=list)
    """Frames at which a run opened, taken back or not."""
    accepted: list[int] = field(default_factory=list)
    """Frames at which an utterance was counted."""
    lines: list[tuple[int, LineState | None, int]] = field(default_factory=list)
    """(frame, state, since) at each change of the line."""
    speaking: str = ""
    """One letter a frame: # while a run is open, _ otherwise."""

    def states(self) -> list[tuple[str, int]]:
        """The line's states as (name, since)."""
        return [(str(state), since) for _, state, since in self.lines]


def new_endpointer(rate: int = RATE, detector: str = "earshot") -> Any:
    """An endpointer as the settings make it."""
    return Settings(hearing={"detector": detector}).endpointer(Channel.CLIENT, rate)


def state(endpointer: EndpointerPort) -> tuple[object, ...]:
    """What `feed` tells of when it changes."""
    return (
        endpointer.speaking, endpointer.sure, endpointer.utterances, endpointer.segments_ended,
        endpointer.line, endpointer.progress, endpointer.failed, endpointer.dual_mono,
    )  # fmt: skip


def listen(endpointer: EndpointerPort, frames: Sequence[Frame], *, finish: bool = True) -> Segments:
    """Let the endpointer hear the frames and note what changes."""
    heard = Segments()
    runs, utterances, speaking, line = (
        endpointer.segments_ended,
        endpointer.utterances,
        endpointer.speaking,
        endpointer.line,
    )
    letters = []

    def note(at: int) -> None:
        nonlocal runs, utterances, speaking, line
        if endpointer.segments_ended != runs:
            heard.runs.append((endpointer.start, endpointer.end))
        if endpointer.speaking and not speaking:
            heard.opened.append(at)
        if endpointer.utterances != utterances:
            heard.accepted.append(at)
        if endpointer.line != line:
            heard.lines.append((at, endpointer.line, endpointer.since))
        runs, utterances, speaking, line = (
            endpointer.segments_ended,
            endpointer.utterances,
            endpointer.speaking,
            endpointer.line,
        )

    for at, frame in enumerate(frames):
        if endpointer.feed(frame):
            note(at)
        letters.append("#" if endpointer.speaking else "_")
    while finish and endpointer.finish():
        note(len(frames))
    heard.speaking = "".join(letters)
    return heard


def hear(drawing: str, *, rate: int = RATE) -> Segments:
    """A new endpointer on a drawing."""
    return listen(new_endpointer(rate), draw(drawing))


LATE = 8
"""Frames by which a run may begin or end early or late: earshot looks back, and closes behind a voice."""


def near(
    found: Sequence[tuple[int, int]], expected: Sequence[tuple[int, int]], by: int = LATE
) -> bool:
    """As many runs, each start and end no more than `by` frames away."""
    return len(found) == len(expected) and all(
        abs(a - b) <= by
        for one, two in zip(found, expected, strict=True)
        for a, b in zip(one, two, strict=True)
    )
