"""Sounds that are not speech, and short words that are: what a contender says of them frame by frame.

lead-in          sound
▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪
hiss, or speech  |1 s|<- counted ->|     share of frames judged speech
and a pause      |< 4 s >|               music is known as music
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy import assembled_dialogues, scoring, signals, split
from benchmarks.accuracy.conditions import on_line
from benchmarks.accuracy.contenders import Contender
from benchmarks.accuracy.labels import FRAME, RATE, Samples, read_mono
from vad_agent.core.frames import Channel, frames

MUSIC_DB = (0, -10, -20)
STARTS = 8
"""Places of a piece of music from which it is heard."""
SOUND_S = 20
HISS_DBFS = -60.0
SETTLED = frames(1)
KNOWN = frames(4)
ANSWER_MS = (150, 200, 300, 400)
ANSWER_DBFS = (-20, -26, -33, -40, -46)
REPEATS = 2


@dataclass(frozen=True, slots=True)
class Sound:
    """One piece that is heard."""

    row: str
    frames: list[bytes]
    begins: int
    """Frame; the lead-in ends."""
    ends: int
    """Frame; a short word has hiss after it."""


@dataclass(slots=True)
class Share:
    """`said` of `of`."""

    said: int = 0
    of: int = 0

    def __iadd__(self, other: Share) -> Share:
        self.said += other.said
        self.of += other.of
        return self

    @property
    def percent(self) -> float:
        """0…100."""
        return 100 * self.said / self.of if self.of else 0.0


def _lead_in(part: str, spoken: bool, rng: np.random.Generator) -> Samples:
    """1.5 s of hiss, or 8 s of a client's speech and 1.5 s of hiss."""
    hiss = signals.at_level(signals.white(RATE * 3 // 2, rng), HISS_DBFS)
    if not spoken:
        return hiss
    texts = [read_mono(path) for path in split.prompts(part)[:6]]
    speech = signals.at_level(np.concatenate(texts)[: 8 * RATE], -24, active=True)
    return np.concatenate([speech, hiss])


def _after(row: str, part: str, sound: Samples, spoken: bool, *words: str) -> Sound:
    rng = signals.random(row, *words)
    lead = _lead_in(part, spoken, rng)
    heard = on_line(np.concatenate([lead, sound]))
    return Sound(row, heard, len(lead) // FRAME, len(heard))


def music(part: str, *, quick: bool) -> Iterator[Sound]:
    """Every piece at every level, from several places; every second time after speech."""
    for path in split.music(part):
        piece = read_mono(path)
        starts = np.linspace(0, len(piece) - SOUND_S * RATE, 2 if quick else STARTS).astype(int)
        for decibels in MUSIC_DB:
            for number, start in enumerate(starts):
                sound = signals.amplify(piece[start : start + SOUND_S * RATE], decibels)
                yield _after(
                    f"{path.stem} {decibels} dB", part, sound, bool(number % 2), str(start)
                )


def others(part: str) -> Iterator[Sound]:
    """Tones, keys and breath: after hiss and after speech."""
    count = SOUND_S * RATE
    made_of: dict[str, tuple[Callable[[np.random.Generator], Samples], Sequence[int], float | None]]
    made_of = {
        "425 Hz, continuous": (lambda _: signals.tone(count, [425], 1, 0), (-12, -25), None),
        "425 Hz, ringback 1/4 s": (lambda _: signals.tone(count, [425], 1, 4), (-12, -25), None),
        "425 Hz, busy 0.35/0.35 s": (lambda _: signals.tone(count, [425], 0.35, 0.35), (-12, -25), None),
        "DTMF 100/100 ms": (lambda _: signals.dialled(count, 0.1, 0.1), (-12, -25), None),
        "DTMF 250/250 ms": (lambda _: signals.dialled(count, 0.25, 0.25), (-12, -25), None),
        "key clicks": (lambda rng: signals.typing(count, rng, split.keys(part)), (-30, -40), HISS_DBFS),
        "breath": (lambda rng: signals.breath(count, rng), (-35, -45), HISS_DBFS),
    }  # fmt: skip
    for name, (make, levels, hiss) in made_of.items():
        for dbfs in levels:
            row = f"{name} {dbfs} dBFS"
            for spoken in (False, True):
                rng = signals.random(row, part, str(spoken))
                sound = signals.at_level(make(rng), dbfs, active=True)
                if hiss is not None:
                    sound = sound + signals.at_level(signals.white(count, rng), hiss)
                yield _after(row, part, sound, spoken, part)


def answers(part: str, *, quick: bool) -> Iterator[Sound]:
    """Short words, cut to a length, after 1 to 2 s of hiss, with 4 s of it behind them."""
    for path in split.answers(part):
        clip = read_mono(path)
        first, _ = assembled_dialogues.speech_runs(clip)[0]
        word = clip[first * FRAME :]
        for ms in (ANSWER_MS[0],) if quick else ANSWER_MS:
            for dbfs in ANSWER_DBFS:
                for repeat in range(1 if quick else REPEATS):
                    yield _answer(path, word[: ms * RATE // 1000], ms, dbfs, repeat)


def _answer(path: Path, word: Samples, ms: int, dbfs: float, repeat: int) -> Sound:
    rng = signals.random(path.stem, str(ms), str(dbfs), str(repeat))
    fade = np.clip((len(word) - np.arange(len(word))) / (RATE // 100), 0, 1)
    word = signals.at_level(word * fade, dbfs, active=True)
    lead = int(rng.uniform(1, 2) * 50) * FRAME
    line = signals.white(lead + len(word) + 6 * RATE, rng)
    line = signals.at_level(line, HISS_DBFS)
    line[lead : lead + len(word)] += word
    return Sound(f"{dbfs} dBFS", on_line(line), lead // FRAME, -(-(lead + len(word)) // FRAME))


def detected_speech(contender: Contender, sound: Sound) -> tuple[Share, Share]:
    """Frames judged speech after the first second; starts known as music within 4 s."""
    heard = contender(sound.frames, sound.frames[:0], Channel.CLIENT)
    settled = heard.speech[sound.begins + SETTLED :]
    known = Share(0, 1)
    if heard.music is not None and heard.music[sound.begins : sound.begins + KNOWN].any():
        known.said = 1
    return Share(int(settled.sum()), len(settled)), known


def is_heard(contender: Contender, sound: Sound) -> bool:
    """The word is judged speech at once, and the clock runs anew from it."""
    heard = contender(sound.frames, sound.frames[:0], Channel.CLIENT)
    noticed = heard.speech[sound.begins : sound.ends + frames(0.3)].any()
    early = [fire for fire in heard.fires if fire < sound.ends + scoring.EARLIEST]
    return bool(noticed) and not early
