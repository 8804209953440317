"""Draws a recipe: who says what when, where the silence is, what is done to the line.

operator ▁███▁▁▁▁▁▁████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
client   ▁▁▁▁▁▁██▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
         |<-    turns    ->|<- silence: the ladder and a margin ->|
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import RATE
from benchmarks.calls.noises import RECORDED
from benchmarks.calls.recipe import (
    KINDS,
    Carries,
    Echo,
    Kind,
    Leg,
    Loss,
    Recipe,
    Silence,
    Stretch,
    Utterance,
    kind_of,
    noise_of,
)
from benchmarks.calls.voices import Library
from vad_agent.core.actions import Reason
from vad_agent.core.frames import Channel, frames
from vad_agent.core.script import Step, fill
from vad_agent.script.settings import Settings

CLIENT_DBFS = (-44.0, -18.0)
OPERATOR_DBFS = (-32.0, -16.0)
FLOOR_DBFS = (-72.0, -58.0)
SNR_DB = (15.0, 35.0)
PAUSE_S = (0.3, 2.2)
AFTER_GREETING_S = 1.9
"""No longer pause after the greeting, where the script's window begins at 2 s …"""
GATED_PAUSE_S = 1.7
"""… and none where a noise gate makes the line look dead: then its shorter window holds."""
WEAKEST_DB = 14.0
"""The last word is at most so much weaker,"""
HEARD_DB = 10.0
"""but so far over the noise that its end can be known."""
ANSWER_S = (0.5, 1.3)
"""After the phrase is expected to have ended; a phrase at either edge of its window stays possible."""
MARGIN_S = 6.0
"""The recording goes on so long after the call should have ended: what is late is late, not missing."""
TOLERANCE_S = 0.3
"""A phrase may begin so far outside its window."""
NO_MEDIA_S = 14.0
QUIETEST_MUSIC_DB = -10.0
"""A piece on hold begins no quieter than so far under its own level."""


@cache
def settings() -> Settings:
    """The script that calls are judged by: the built-in one."""
    return Settings()


def steps_of(reason: Reason) -> tuple[Step, ...]:
    """The ladder of a row of the script."""
    return settings().script.scenarios[reason].steps


def phrase_frames(step: Step) -> int:
    """How long the step's phrase lasts in a replay."""
    script = settings().script
    return settings().phrase_frames(step.prompt, fill(step.text, script.fields(None)))


@dataclass(slots=True)
class _Draft:
    """A call on its way."""

    name: str
    kind: Kind
    noise: str
    rng: np.random.Generator
    library: Library
    legs: dict[Channel, Leg]
    snr_db: float
    gate: int | None
    now: int = 0
    """The end of the last sound."""
    said: list[Utterance] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    events: list[tuple[int, tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pause(self, longest_s: float = PAUSE_S[1]) -> int:
        """Frames between two sides."""
        longest = min(longest_s, GATED_PAUSE_S) if self.gate is not None else longest_s
        return frames(self.between(PAUSE_S[0], longest))

    def event(self, at: int, kind: str, **told: str) -> None:
        self.events.append((at, (("kind", kind), *told.items())))

    # -- speech

    def say(self, side: Channel, at: int, longest_s: float = 4.5) -> int:
        """An utterance of one clip or more, from `at` on; returns its end."""
        leg = self.legs[side]
        clips = self.library.voices[leg.voice]
        wanted = at + frames(self.between(0.3, longest_s))
        first = len(self.said)
        while True:
            clip = int(self.rng.integers(len(clips)))
            length = self.library.length(leg.voice, clip, leg.speed)
            self.said.append(Utterance(side, leg.voice, clip, at, length))
            at += length
            if at >= wanted or at - self.said[first].at > frames(7):
                break
            at += frames(self.between(0.1, 0.7))
        if side is Channel.CLIENT:
            self._weaken()
        self.now = max(self.now, at)
        return at

    def _weaken(self) -> None:
        """The last word of what was said last."""
        leg, last = self.legs[Channel.CLIENT], self.said[-1]
        under = [leg.floor_dbfs]
        if self.noise != "none":
            under.append(leg.level_dbfs - self.snr_db)
        background = 10 * np.log10(sum(10 ** (level / 10) for level in under))
        most = min(WEAKEST_DB, leg.level_dbfs - background - HEARD_DB)
        fade = self.between(0, WEAKEST_DB)
        if self.chance(0.7) and most > 0:
            self.said[-1] = Utterance(
                last.channel, last.voice, last.clip, last.at, last.length, round(min(fade, most), 1)
            )

    def greet(self) -> None:
        self.now = frames(self.between(0.3, 1.5))
        self.say(Channel.OPERATOR, self.now, 3.5)

    def turns(self, count: int) -> None:
        """The client, then the operator, `count` times; half of the time he leaves out the last one."""
        for turn in range(count):
            longest = AFTER_GREETING_S if not self._client_spoke() else PAUSE_S[1]
            self.say(Channel.CLIENT, self.now + self.pause(longest))
            if turn == count - 1 and self.chance(0.5):
                return
            begun = self.now + self.pause()
            ended = self.say(Channel.OPERATOR, begun)
            if ended - begun > frames(2) and self.chance(0.2):  # a word over his
                self.say(Channel.CLIENT, (begun + ended) // 2, 0.3)

    def _client_spoke(self) -> bool:
        return any(said.channel is Channel.CLIENT for said in self.said)

    @property
    def client_end(self) -> int:
        """The end of the client's last sound."""
        ends = [said.end for said in self.said if said.channel is Channel.CLIENT]
        return max(ends, default=0)

    # -- silences

    def fall_silent(self, reason: Reason) -> None:
        """To the end of the ladder."""
        length = sum(
            step.window.hi + frames(TOLERANCE_S) + phrase_frames(step) for step in steps_of(reason)
        )
        end = self.now + length + frames(MARGIN_S)
        self._change_line(end)
        self.now = end
        self.silences.append(Silence(reason, end))

    def _operator_waited(self) -> bool:
        """The operator's last words came so late that on a dead line they would count as the phrase."""
        after = [said.at for said in self.said if said.at >= self.client_end]
        return bool(after) and min(after) - self.client_end > frames(GATED_PAUSE_S)

    def _change_line(self, end: int) -> None:
        """What the client's line carries when he is silent for good: half of the time the same as before."""
        drawn = self.rng.random()
        if drawn < 0.6 or self.gate is not None:
            return
        begun = self.client_end if self.chance(0.5) and not self._operator_waited() else self.now
        start = begun + frames(self.between(0.1, 0.8))
        if not self._client_spoke() and self.chance(0.5):
            start = 0
        level = round(self.between(-72, -52), 1)
        carries = Carries.ZERO if drawn < 0.8 else Carries.COMFORT
        self.stretches.append(Stretch(start, end, carries, level))

    def fall_silent_and_answer(self, reason: Reason) -> None:
        """The client answers the first phrase."""
        step = steps_of(reason)[0]
        phrase = self.now + step.window.aim + phrase_frames(step)
        at = phrase + frames(self.between(*ANSWER_S))
        self.silences.append(Silence(reason, at))
        self.say(Channel.CLIENT, at, 2.5)
        self.say(Channel.OPERATOR, self.now + self.pause())
        self.turns(int(self.rng.integers(1, 3)))

    # -- holds, drops, ends

    def hold(self, *, told: bool, back: bool) -> None:
        start = self.now + frames(self.between(0.3, 1.5))
        lasts = self.between(8, 50) if back else 61 + TOLERANCE_S + 4 + MARGIN_S
        end = start + frames(lasts)
        if told:
            self.event(start, "hold", party="client")
            choices = (Carries.MUSIC, Carries.ZERO, Carries.COMFORT, None)
            carries = choices[int(self.rng.integers(len(choices)))]
            if back:
                self.event(end, "unhold", party="client")
        else:
            carries = Carries.MUSIC
        if carries is not None:
            music = carries is Carries.MUSIC
            level = self.between(-34, -14) if music else self.between(-72, -52)
            piece = int(self.rng.integers(len(self.library.music)))
            lead = _audible_from(self.library.music[piece], self.chance(0.5), self.rng)
            self.stretches.append(Stretch(start, end, carries, round(level, 1), piece, lead))
        self.silences.append(Silence(Reason.CLIENT_HOLD, end, hold=start))
        self.now = end
        if back:
            self.say(Channel.CLIENT, end + frames(self.between(0.3, 1.5)), 2.5)
            self.say(Channel.OPERATOR, self.now + self.pause())
            self.turns(int(self.rng.integers(1, 3)))
            self.part()

    def drop(self, way: int) -> None:
        at = self.now + frames(self.between(0.1, 1.5))
        if way == 0:
            self.event(at, "hangup", party="client")
        elif way == 1:
            self.event(at, "hangup", party="network", cause="38")
        else:
            carries = Carries.NOTHING if way == 2 else Carries.BUSY
            level, on_s = self.between(-25, -12), float(self.rng.choice([0.25, 0.35, 0.5]))
            end = at + frames(NO_MEDIA_S)
            self.stretches.append(Stretch(at, end, carries, round(level, 1), on_s=on_s))
            at = end
        self.now = at

    def part(self) -> None:
        """The call ends as calls do."""
        way = int(self.rng.integers(4))
        if way < 2:
            self.event(self.now - frames(self.between(0, 1)), "goodbye")
        self.now += frames(self.between(0.3, 1.6))
        if way < 3:  # the last of them: the recording ends
            self.event(self.now, "hangup", party="client" if way == 0 else "operator")


def _audible_from(piece: NDArray[np.floating], from_start: bool, rng: np.random.Generator) -> int:
    """The sample of the piece at which it can be heard at once: hold begins with music, not before it."""
    powers = np.asarray(piece[: len(piece) // RATE * RATE], np.float64).reshape(-1, RATE // 4)
    heard = np.flatnonzero((powers**2).mean(axis=1) >= 10 ** (QUIETEST_MUSIC_DB / 10))
    return int(heard[0 if from_start else rng.integers(len(heard))]) * (RATE // 4)


@dataclass(frozen=True, slots=True)
class _Line:
    """How often a call has what, and how loud its client is."""

    client_dbfs: tuple[float, float]
    gate: float
    echo: float
    steps: float
    loss: float
    room: float


_LINES = {"world": _Line((-46.0, -10.0), gate=0.15, echo=0.3, steps=0.2, loss=0.3, room=0.5)}
_USUAL = _Line(CLIENT_DBFS, gate=0.1, echo=0.3, steps=0.12, loss=0.18, room=0.0)


def sample(part: str, number: int, library: Library) -> Recipe:
    """The call of that number. Of a given folder's library every second call has a noise of the folder."""
    name = f"{part}-{number:05}"
    kind, line = kind_of(number), _LINES.get(part, _USUAL)
    folder = part.endswith("given") and library.noises
    noise = RECORDED if folder and number % 2 else noise_of(part, number)
    rng = signals.random("call", part, str(number))
    names = sorted(library.voices)
    speakers = rng.choice(len(names), 2, replace=False)
    levels = {Channel.OPERATOR: OPERATOR_DBFS, Channel.CLIENT: line.client_dbfs}
    legs = {
        side: Leg(
            names[int(speaker)],
            round(float(rng.uniform(0.9, 1.1)), 3),
            round(float(rng.uniform(*levels[side])), 1),
            round(float(rng.uniform(*FLOOR_DBFS)), 1),
        )
        for side, speaker in zip(levels, speakers, strict=True)
    }
    snr = round(float(rng.uniform(*SNR_DB)), 1)
    answered = kind in (Kind.AGAIN, Kind.ANSWERED)
    gate = int(rng.integers(5, 16)) if rng.random() < line.gate and not answered else None
    draft = _Draft(name, kind, noise, rng, library, legs, snr, gate)
    _follow(draft, number)
    client = legs[Channel.CLIENT]
    echo = Echo(round(float(rng.uniform(-42, -18)), 1), int(rng.integers(20, 401)))
    share, burst = round(float(rng.uniform(0.01, 0.06)), 3), round(float(rng.uniform(1.5, 4)), 1)
    loss = Loss(share, burst, bool(rng.random() < 0.5))
    has_echo, has_steps, has_loss = rng.random(3) < (line.echo, line.steps, line.loss)
    return Recipe(
        name=name,
        kind=kind,
        noise=noise,
        snr_db=snr,
        frames=draft.now + 1,
        operator=legs[Channel.OPERATOR],
        client=client,
        said=tuple(draft.said),
        silences=tuple(draft.silences),
        callback=_callback(draft),
        echo=echo if has_echo else None,
        gate=gate,
        gain_steps=_gain_steps(rng, draft.now, client.level_dbfs) if has_steps else (),
        loss=loss if has_loss else None,
        idle=int(rng.choice([0, 8])),
        stretches=tuple(draft.stretches),
        events=tuple(draft.events),
        room=bool(line.room and rng.random() < line.room),
    )


def _follow(draft: _Draft, number: int) -> None:
    """Fill the draft as its kind goes."""
    draft.greet()
    talked = int(draft.rng.integers(1, 6))
    match draft.kind:
        case Kind.NOBODY:
            draft.fall_silent(Reason.SILENCE_AFTER_GREETING)
        case Kind.SILENT:
            draft.turns(talked)
            draft.fall_silent(Reason.SILENCE_IN_DIALOGUE)
        case Kind.AGAIN | Kind.ANSWERED:
            if draft.chance(0.4):
                draft.fall_silent_and_answer(Reason.SILENCE_AFTER_GREETING)
            else:
                draft.turns(talked)
                draft.fall_silent_and_answer(Reason.SILENCE_IN_DIALOGUE)
            if draft.kind is Kind.AGAIN:
                draft.fall_silent(Reason.SILENCE_IN_DIALOGUE)
            else:
                draft.part()
        case Kind.TALK:
            draft.turns(talked)
            draft.part()
        case Kind.HELD | Kind.HELD_BACK | Kind.MUSIC | Kind.MUSIC_BACK:
            draft.turns(min(talked, 3))
            told = draft.kind in (Kind.HELD, Kind.HELD_BACK)
            draft.hold(told=told, back=draft.kind in (Kind.HELD_BACK, Kind.MUSIC_BACK))
        case Kind.DROP:
            draft.turns(talked)
            draft.drop(number // len(KINDS) % 4)


def _callback(draft: _Draft) -> Reason | None:
    if draft.kind in (Kind.TALK, Kind.ANSWERED, Kind.HELD_BACK, Kind.MUSIC_BACK):
        return None
    return Reason.DROPPED if draft.kind is Kind.DROP else draft.silences[-1].reason


def _gain_steps(
    rng: np.random.Generator, length: int, level: float
) -> tuple[tuple[int, float], ...]:
    """One to three; a quiet client becomes no quieter."""
    low = -8.0 if level > -34 else 0.0
    count = int(rng.integers(1, 4))
    at = sorted(int(frame) for frame in rng.integers(0, length, count))
    return tuple((frame, round(float(rng.uniform(low, 8)), 1)) for frame in at)
