"""Dialogues made of a real voice's prompts, with labels that are right by construction.

    operator ▁███▁██▁▁▁▁▁▁▁▁▁▁███▁▁▁▁▁▁████▁♪♪♪♪♪♪♪♪♪♪♪♪♪▁▁██     silences of 0.4 to 6 s
    client   ▁▁▁▁▁▁▁▁████▁█▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁     at times a word over the other's

Speech is where a prompt's clean frame is within 40 dB of its loudest ones; gaps under 0.2 s are filled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.accuracy import signals, split
from benchmarks.accuracy.labels import (
    FRAME,
    RATE,
    LabelledCall,
    Labels,
    Run,
    Samples,
    read_mono,
    resampled,
)
from vad_agent.core.frames import Channel, frames

CALLS = 4
"""Of each part."""
LENGTH_S = 110
GATE_DB = 40.0
FILL = frames(0.2)
HOLD_S = 12
SPEECH_DBFS = (-24.0, -16.0)
"""A speaker's level lies in between; that of the real calls known is -17."""
LINES_DBFS = (-65.0, -55.0, None, -72.0)
"""Hiss of the line, call by call; None: digital silence between the words."""


def speech_runs(samples: Samples) -> list[Run]:
    """Frames of a clean recording that have speech."""
    powers = signals.frame_power(samples)
    loudest = np.sort(powers)[-max(1, len(powers) // 20) :].mean()
    runs: list[Run] = []
    for frame in np.flatnonzero(powers >= loudest * 10 ** (-GATE_DB / 10)):
        at = int(frame)
        if runs and at - runs[-1][1] < FILL:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


@dataclass(slots=True)
class _Side:
    """One channel while it is filled."""

    speed: float
    dbfs: float
    samples: Samples
    speech: list[Run] = field(default_factory=list)

    @property
    def free(self) -> int:
        """The frame after its last speech."""
        return self.speech[-1][1] if self.speech else 0

    def say(self, prompt: Samples, at: int) -> int:
        """Put a prompt there; returns the frame of its end."""
        spoken = resampled(prompt, RATE * self.speed, RATE)
        runs = speech_runs(spoken)
        first, last = runs[0][0], runs[-1][1]
        piece = signals.at_level(spoken[first * FRAME : last * FRAME], self.dbfs, active=True)
        self.samples[at * FRAME : at * FRAME + len(piece)] += piece
        self.speech += [(at + a - first, at + b - first) for a, b in runs]
        return self.free


def assemble(part: str, number: int) -> LabelledCall:
    """The call of that number of a part, the same every time.

    Raises:
        LabelsError: asterisk-core-sounds-ru-wav or asterisk-moh-opsound-wav is not installed.
    """
    name = f"made_{part}_{number}"
    rng = signals.random(name)
    every = split.prompts(part)
    # Each call has prompts of its own.
    mine = [every[k] for k in rng.permutation(np.arange(number % CALLS, len(every), CALLS))]
    texts = iter([read_mono(path) for path in mine] * 3)
    speeds = split.speeds(part)
    length = frames(LENGTH_S)
    pick = rng.permutation(len(speeds))
    sides = {
        side: _Side(speeds[pick[k]], rng.uniform(*SPEECH_DBFS), np.zeros((length + 1000) * FRAME))
        for k, side in enumerate((Channel.OPERATOR, Channel.CLIENT))
    }
    music: list[Run] = []
    now, speaker = frames(rng.uniform(0.3, 1.0)), Channel.OPERATOR
    while now < length - frames(8):
        side = sides[speaker]
        for _ in range(int(rng.integers(1, 4 if speaker is Channel.OPERATOR else 3))):
            begun = max(now, side.free + FILL)
            now = side.say(next(texts), begun) + frames(rng.uniform(0.2, 0.9))
        other = sides[Channel.CLIENT if speaker is Channel.OPERATOR else Channel.OPERATOR]
        if rng.random() < 0.15 and now - begun > frames(2):  # a word over the other's speech
            middle = begun + (now - begun) // 2
            if middle > other.free + FILL:
                now = max(now, other.say(_word(next(texts)), middle) + frames(0.4))
        if number % 2 == 0 and not music and now > length // 2 and speaker is Channel.OPERATOR:
            now += frames(1)
            music.append((now, now + frames(HOLD_S)))
            now += frames(HOLD_S + 0.6)
            continue
        now += frames(rng.choice([rng.uniform(0.4, 2.4), rng.uniform(2.4, 6.0)]))
        if rng.random() < 0.75:
            speaker = Channel.CLIENT if speaker is Channel.OPERATOR else Channel.OPERATOR
    _hold(sides[Channel.OPERATOR], music, part, rng)
    return _finished(name, part, number, sides, music, rng)


def _word(prompt: Samples) -> Samples:
    """Its first half second of speech."""
    first, _ = speech_runs(prompt)[0]
    return prompt[first * FRAME : first * FRAME + RATE // 2]


def _hold(side: _Side, music: list[Run], part: str, rng: np.random.Generator) -> None:
    for first, last in music:
        pieces = split.music(part)
        piece = read_mono(pieces[int(rng.integers(len(pieces)))])
        start = int(rng.integers(len(piece) - (last - first) * FRAME))
        heard = piece[start : start + (last - first) * FRAME]
        side.samples[first * FRAME : last * FRAME] += signals.at_level(heard, side.dbfs)


def _finished(
    name: str,
    part: str,
    number: int,
    sides: dict[Channel, _Side],
    music: list[Run],
    rng: np.random.Generator,
) -> LabelledCall:
    length = max(max(side.free for side in sides.values()) + frames(4.5), frames(20))
    samples: dict[Channel, Samples] = {}
    labels: dict[Channel, Labels] = {}
    hiss = LINES_DBFS[number % len(LINES_DBFS)]
    for channel, side in sides.items():
        audio = side.samples[: length * FRAME]
        if number % 2 and channel is Channel.OPERATOR:  # who works with a computer
            audio = audio + signals.amplify(_keys(len(audio), part, rng), side.dbfs - 18 + 30)
        if hiss is not None:
            audio = audio + signals.at_level(signals.white(len(audio), rng), hiss)
        samples[channel] = audio
        held = tuple(music) if channel is Channel.OPERATOR else ()
        labels[channel] = Labels(length, _joined(side.speech), music=held)
    extras = " with hold music" if music else " with keys" if number % 2 else ""
    return LabelledCall(name, part, samples, labels, f"made{extras}")


def _keys(count: int, part: str, rng: np.random.Generator) -> Samples:
    return signals.typing(count, rng, split.keys(part))


def _joined(runs: list[Run]) -> tuple[Run, ...]:
    found: list[Run] = []
    for first, last in sorted(runs):
        if found and first - found[-1][1] < FILL:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)
