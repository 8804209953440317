"""Output of a call session: actions to carry out and findings to record.

Every action carries `frame`, the number of frames fed when it was decided. All other times are also
frames, counted from the first frame fed. `trace/trace_format.py` writes actions as JSON lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vad_agent.core.frames import Channel


class Phase(StrEnum):
    """The phase of a call."""

    GREETING = "greeting"
    DIALOGUE = "dialogue"
    ON_HOLD = "on_hold"
    ENDED = "ended"


class LineState(StrEnum):
    """What a channel carries, and why it is quiet."""

    LIVE = "live"
    """A live line: room noise, comfort noise or voice."""
    QUIET = "quiet"
    """Frames arrive and are not zero, but they contain almost no signal."""
    DIGITAL_ZERO = "digital_zero"
    """One constant value: zero, or the value nearest to zero of a companded line."""
    NO_MEDIA = "no_media"
    """No frames arrive."""
    MUSIC = "music"
    TONE = "tone"
    MUTED = "muted"


class Reason(StrEnum):
    """Why a call ends or is called back."""

    SILENCE_AFTER_GREETING = "silence_after_greeting"
    SILENCE_IN_DIALOGUE = "silence_in_dialogue"
    DROPPED = "dropped"
    CLIENT_HOLD = "client_hold"
    AGREED = "agreed"
    CLIENT_CANNOT_HEAR = "client_cannot_hear"
    UNCONFIRMED = "unconfirmed"
    """Both sides have talked, the line is gone, and nothing says whether they said goodbye.

    The callback stands until somebody says that they did.
    """


class PromptOutcome(StrEnum):
    """The outcome of a prompt."""

    SAID = "said"
    INTERRUPTED = "interrupted"
    SAID_BY_OPERATOR = "said_by_operator"
    FAILED = "failed"
    """The player could not play it."""
    MISSED = "missed"
    """The prompt was cued, its window passed, and nobody said it."""


@dataclass(frozen=True, slots=True)
class Action:
    """Base class of everything that a session returns."""

    frame: int


# -- actions to carry out -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Play(Action):
    """Play the prompt into the call; report prompt_started and prompt_ended (or prompt_failed)."""

    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Stop(Action):
    """Stop the prompt that is playing: somebody speaks."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Cue(Action):
    """Show the operator the prompt to say. It should begin between frames `lo` and `hi`."""

    prompt: str
    text: str
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Dismiss(Action):
    """Remove the cue: the prompt was said or is no longer needed."""

    prompt: str


@dataclass(frozen=True, slots=True)
class CallbackRequested(Action):
    """Store the callback request durably before carrying out the actions that follow this one."""

    reason: Reason
    due_in_s: float | None
    """Seconds from now. None: due at `at`, or, without `at`, when somebody sets a time."""
    opening: str
    at: str | None = None
    name: str | None = None
    phone: str | None = None
    topic: str | None = None
    call_id: str | None = None
    """The switchboard's identifier of the call."""


@dataclass(frozen=True, slots=True)
class CallbackRevised(CallbackRequested):
    """The call's one callback request still stands, with another reason, time, number or name."""


@dataclass(frozen=True, slots=True)
class CallbackWithdrawn(Action):
    """The client returned and the call ended normally: the requested callback is not needed."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Hangup(Action):
    """End the call (or, where the line is already gone, its record)."""

    reason: Reason


# -- findings -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PhaseChanged(Action):
    """The call entered a phase."""

    phase: Phase
    detector_missing: str | None = field(default=None, repr=False)
    """With the call's first phase: the configured detector if it is not installed.

    The session runs without it.
    """


@dataclass(frozen=True, slots=True)
class Speech(Action):
    """A segment of speech [start, end), without the hangover. Emitted when the segment ends."""

    channel: Channel
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LineChanged(Action):
    """The channel's line has been in this state since frame `since`."""

    channel: Channel
    state: LineState
    since: int


@dataclass(frozen=True, slots=True)
class PromptDone(Action):
    """A prompt's outcome. `started`, `ended`: frames; None if it made no sound.

    `silence`: frames of silence before its first sample. `lo`, `hi`: its window, in frames of
    silence.
    """

    prompt: str
    text: str
    lo: int
    hi: int
    silence: int
    started: int | None
    ended: int | None
    outcome: PromptOutcome


@dataclass(frozen=True, slots=True)
class Alert(Action):
    """A condition that a person should know about and for which the script has no step."""

    id: str
