"""Tapes: two lines of text stand for the two channels of a call; actions come back as a transcript.

    S speech   . a live quiet line   0 digital zero   m hold music   - no frame came
    t a tone of call progress        d a key pressed
    s a quiet word, told late      n noise that sounds like speech, and is refused
    = the other side's sound, on this one too

`"S*50 .*125"` is 50 frames of speech, then 125 of a quiet line. Frames, not seconds: 50 are a second.
Hearing is scripted, with the real endpointer's delays and its faults: a run opens at its 5th frame, closes 16
after its last; noise holds it open, unknown, as long as it lasts; a quiet word may be over when it is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vad_agent import CallSession, Event, Settings
from vad_agent.core import actions as act
from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import Progress
from vad_agent.core.frames import Channel
from vad_agent.core.script import Script
from vad_agent.detection.call_progress_tones import Tone, ToneWatch
from vad_agent.trace.event_files import TimedEvent
from vad_agent.trace.replay import Replay

ONSET, HANGOVER, ACCEPTED = 5, 15, 50
LATE = 20  # frames from the beginning of a quiet word until it is told
STATE_AFTER = 50  # frames of zero, or of nothing, until the line is called so
MUSIC_AFTER = 5
TONE_AFTER = 5
TONES = {"t": Tone.PROGRESS, "d": Tone.DTMF}
PHRASE = 100  # frames that every phrase lasts on a tape

Events = Mapping[int, str | Mapping[str, object] | Sequence[Any]]


def tape(drawing: str) -> list[bytes | None]:
    """Frames of a drawing such as "S*50 .*125"."""
    frames: list[bytes | None] = []
    for letters, count in re.findall(r"([S.0mtdsn=-]+)(?:\*(\d+))?", drawing):
        line = letters * int(count or 1)
        frames += [None if letter == "-" else letter.encode() * 320 for letter in line]
    return frames


class ScriptedEndpointer:
    """Hears what the tape says. Implements `vad_agent.core.endpointer_port.EndpointerPort`."""

    def __init__(self) -> None:
        self.speaking = self.sure = False
        self.start = self.end = self.utterances = self.segments_ended = self.since = 0
        self.line: LineState | None = None
        self.progress: Progress | None = None
        self.failed = self.gated = self.dual_mono = False
        self.detector_missing: str | None = None
        self.own_prompts: list[bool] = []
        self._now = self._last = self._run = 0
        self._letters = ""  # the last run of one letter, its first letter and length
        self._count = 0
        self._last_start = 0
        self._noise = False  # the open run is noise, and will be refused
        self._quiet_word: tuple[int, int] | None = None  # not told yet
        self._tones = ToneWatch()

    def feed(self, frame: Any) -> bool:
        letter = "-" if frame is None else chr(frame[0])
        before = self._state()
        self._now += 1
        self._count = self._count + 1 if letter == self._letters else 1
        self.gated = self.gated or (letter == "S" and self._letters == "0")
        self.dual_mono = letter == "="
        self._letters = letter
        self._script_speech(letter)
        self._script_quiet_word(letter == "s")
        self._watch_line(letter)
        return self._state() != before

    def _script_speech(self, letter: str) -> None:
        active = letter in "Sn" or (letter == "s" and self.sure)
        if active:
            self._last = self._now
            self._noise = self._noise and letter == "n"
            if not self.speaking and self._count >= ONSET:
                self._open(self._now - ONSET)
                self._noise = letter == "n"
        elif self.speaking and self._now - self._last > HANGOVER:
            self._close()
        if self.speaking and not self.sure and self._now - self.start >= ACCEPTED:
            self._accept()

    def _script_quiet_word(self, active: bool) -> None:
        """Told LATE frames after its beginning, though it may be over by then."""
        if active and not self.speaking:
            first = self._quiet_word[0] if self._quiet_word and self._count > 1 else self._now - 1
            self._quiet_word = first, self._now
        found = self._quiet_word
        if found is None or self._now < found[0] + LATE or self.speaking:
            return
        self._quiet_word = None
        if active:
            self._open(found[0])
            self._last = self._now
            self._accept()
        elif found[1] - found[0] >= ONSET:
            self.start, self.end = max(found[0], self.end), found[1]
            self._last_start = self.start
            self.utterances += 1
            self.segments_ended += 1

    def _open(self, start: int) -> None:
        self.speaking, self.sure, self._noise = True, False, False
        self.start = max(start, self.end)

    def _accept(self) -> None:
        if self._noise:
            return
        self.sure = True
        self.utterances += 1
        self._tones.speech()

    def _close(self) -> None:
        if self._noise:
            self.speaking, self.start = False, self._last_start
            return
        if not self.sure:
            self._accept()
        self.speaking = self.sure = False
        self.segments_ended += 1
        self.end = self._last
        self._last_start = self.start

    def _watch_line(self, letter: str) -> None:
        self._watch_tones(letter)
        state = {
            "0": LineState.DIGITAL_ZERO if self._count >= STATE_AFTER else None,
            "-": LineState.NO_MEDIA if self._count >= STATE_AFTER else None,
            "m": LineState.MUSIC if self._count >= MUSIC_AFTER else None,
            "t": None,
            "d": None,
        }.get(letter, LineState.LIVE)
        if self._tones.playing:
            state = LineState.TONE
        if letter in "0mtd" and self.line in (None, LineState.NO_MEDIA):
            state = state or LineState.LIVE
        if state is not None and state is not self.line:
            was_tone = self.line is LineState.TONE
            self.line = state
            self.since = self._tones.ended if was_tone else self._now - self._count

    def _watch_tones(self, letter: str) -> None:
        if letter not in TONES:
            self._tones.feed(None, self._now - 1, self._now)
        elif self._count >= TONE_AFTER:
            self._tones.feed(TONES[letter], self._now - self._count, self._now)
        self.progress = self._tones.progress

    def _state(self) -> tuple[object, ...]:
        return (
            self.speaking, self.sure, self.utterances, self.segments_ended, self.line, self.progress,
            self.dual_mono,
        )  # fmt: skip

    def doubtful(self) -> bool:
        return not self.speaking and self._letters in ("S", "n") and self._count >= 2

    def lacks_frame(self) -> bool:
        return self._letters == "-" and self.line not in (None, LineState.NO_MEDIA)

    def expect_crosstalk_of(self, other: ScriptedEndpointer) -> None:
        pass

    def own_prompt(self, playing: bool) -> None:
        self.own_prompts.append(playing)

    def hold_over(self) -> None:
        self._tones.speech()
        self.progress = None
        if self.line in (LineState.MUSIC, LineState.TONE):
            self.line, self.since = LineState.LIVE, self._now

    def finish(self) -> bool:
        before = self._state()
        if self.speaking:
            self._close()
        return self._state() != before


@dataclass
class TapePlan:
    """Settings whose endpointers read the tape and whose phrases last PHRASE frames."""

    settings: Settings = field(default_factory=Settings)
    endpointers: dict[Channel, ScriptedEndpointer] = field(default_factory=dict)

    @property
    def script(self) -> Script:
        return self.settings.script

    def endpointer(self, channel: Channel, sample_rate: int) -> ScriptedEndpointer:
        return self.endpointers.setdefault(channel, ScriptedEndpointer())

    def phrase_frames(self, prompt_id: str, text: str) -> int:
        return PHRASE


def play(operator: str, client: str, events: Events | None = None, **more: Any) -> list[act.Action]:
    """All actions of a tape: as `run`."""
    return list(run(operator, client, events, **more))


def run(
    operator: str,
    client: str,
    events: Events | None = None,
    *,
    mode: str = "auto",
    settings: Settings | None = None,
    session_type: type[CallSession] = CallSession,
    beside: Iterator[act.Action] | None = None,
) -> Iterator[act.Action]:
    """The actions of a tape; `events`: frame → event, or events. The shorter channel ends in nothing.

    `beside`: another call, which is taken to its next action before each frame of this one.
    """
    plan = TapePlan(settings or Settings())
    session = session_type(plan, 8000, mode=mode)
    timed = [
        TimedEvent(frame, Event.parse(one))
        for frame, given in sorted((events or {}).items())
        for one in (given if isinstance(given, list | tuple) else [given])
    ]
    left, right = tape(operator), tape(client)
    length = max(len(left), len(right))
    left += [None] * (length - len(left))
    right += [None] * (length - len(right))

    def frames() -> Iterator[tuple[bytes | None, bytes | None]]:
        for pair in zip(left, right, strict=True):
            if beside is not None:
                next(beside, None)
            yield pair

    return Replay(session, plan, timed).run(frames())


def transcript(actions: Iterable[act.Action], *, lines: bool = False) -> list[str]:
    """Actions as text, "frame what"; speech runs are left out, line states unless asked for."""
    return [
        f"{action.frame} {text}"
        for action in actions
        if (text := told(action)) is not None and (lines or not text.startswith("line"))
    ]


def told(action: act.Action) -> str | None:
    """What an action says, without its frame."""
    match action:
        case act.PhaseChanged(phase=phase):
            return f"phase {phase}"
        case act.LineChanged(channel=channel, state=state):
            return f"line {channel} {state}"
        case act.Play(prompt=prompt):
            return f"play {prompt}"
        case act.Stop(prompt=prompt):
            return f"stop {prompt}"
        case act.Cue(prompt=prompt):
            return f"cue {prompt}"
        case act.Dismiss(prompt=prompt):
            return f"dismiss {prompt}"
        case act.PromptDone(prompt=prompt, outcome=outcome, silence=silence):
            return f"{prompt} {outcome} after {silence}"
        case act.CallbackRevised(reason=reason):
            return f"callback revised {reason}"
        case act.CallbackRequested(reason=reason):
            return f"callback {reason}"
        case act.CallbackWithdrawn(reason=reason):
            return f"callback withdrawn {reason}"
        case act.Hangup(reason=reason):
            return f"hangup {reason}"
        case act.Alert(id=name):
            return f"alert {name}"
    return None
