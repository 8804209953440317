"""All that can come out of a call: what is to be done, and what was found.

Every action carries `frame`, the count of frames fed when it was decided. Other times are frames
too, counted from the first frame fed. `trace.py` writes them as JSON lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vad_agent.core.frames import Channel


class Phase(StrEnum):
    """Where the call stands."""

    GREETING = "greeting"
    DIALOGUE = "dialogue"
    ON_HOLD = "on_hold"
    ENDED = "ended"


class LineState(StrEnum):
    """What a channel carries, and why it is quiet."""

    LIVE = "live"
    """A live line: room noise, comfort noise or voice."""
    QUIET = "quiet"
    """Frames come and are not zero, but next to nothing is in them."""
    DIGITAL_ZERO = "digital_zero"
    """One constant value: zero, or the value nearest to zero of a companded line."""
    NO_MEDIA = "no_media"
    """No frames come."""
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


class PromptOutcome(StrEnum):
    """What became of a prompt."""

    SAID = "said"
    INTERRUPTED = "interrupted"
    SAID_BY_OPERATOR = "said_by_operator"
    FAILED = "failed"
    """The player could not play it."""
    MISSED = "missed"
    """It was cued, its window passed, and nobody said it."""


@dataclass(frozen=True, slots=True)
class Action:
    """Anything that comes out."""

    frame: int


# -- what is to be done ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Play(Action):
    """Play the phrase into the call; report prompt_started and prompt_ended (or prompt_failed)."""

    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Stop(Action):
    """Stop the phrase being played: somebody speaks."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Cue(Action):
    """Show the operator the phrase to say, to begin between frames `lo` and `hi`."""

    prompt: str
    text: str
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Dismiss(Action):
    """Take the cue back: it is said, or no longer needed."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Callback(Action):
    """Store the request for a callback, durably, before carrying out the actions after this one."""

    reason: Reason
    due_in_s: float | None
    """Seconds from now; None: at `at`, or as soon as somebody sets it."""
    opening: str
    at: str | None = None
    name: str | None = None
    phone: str | None = None
    topic: str | None = None
    call_id: str | None = None
    """The switchboard's."""


@dataclass(frozen=True, slots=True)
class CallbackRevised(Callback):
    """The one callback of this call stands, but for another reason or at another time."""


@dataclass(frozen=True, slots=True)
class CallbackWithdrawn(Action):
    """The client came back and the call ended well: the callback asked for is not needed."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Hangup(Action):
    """End the call (or, where the line is already gone, the record of it)."""

    reason: Reason


# -- what was found -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PhaseChanged(Action):
    """The call entered a phase."""

    phase: Phase
    detector_missing: str | None = field(default=None, repr=False)
    """With the call's first phase: the detector that is set and not installed: it is heard without."""


@dataclass(frozen=True, slots=True)
class Speech(Action):
    """A run of speech [start, end), hangover taken back. Written at its end."""

    channel: Channel
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LineChanged(Action):
    """A channel's state since frame `since`."""

    channel: Channel
    state: LineState
    since: int


@dataclass(frozen=True, slots=True)
class PromptDone(Action):
    """A prompt's outcome. `started`, `ended`: None where it made no sound.

    `silence`: frames of silence before its first sample; `lo`, `hi`: its window, in such frames.
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
    """Something a person should know and the script has no step for."""

    id: str
