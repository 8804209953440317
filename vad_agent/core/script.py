"""The script as data: which scenario is armed by what, climbs which rungs, and ends how.

Theory of operation: a scenario is a row. At any moment at most one row is armed; its rungs are
climbed in order, each at its window after the last sound; after the last rung the call ends and the
row's callback is due. A row without rungs ends the call (or only asks for the callback) at once.
The texts, windows and delays come from a TOML file; what arms a row is fixed here, since it is what
the call can notice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vad_agent.core.actions import Phase, Reason


class Trigger(StrEnum):
    """What arms a row."""

    GREETED = "the operator has greeted, the client has not spoken"
    CLIENT_SILENT = "nobody is heard in the dialogue"
    HELD = "the client put the call on hold"
    LEG_GONE = "the client's leg is gone, nobody said goodbye"
    AGREED = "the operator agreed a callback with the client"
    CANNOT_HEAR = "the operator says that the client cannot hear"


class ClockSource(StrEnum):
    """What a row's windows are measured from."""

    SILENCE = "silence"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Window:
    """A prompt's first sample falls in [lo, hi] and is aimed at `aim`; frames after the clock's start."""

    lo: int
    aim: int
    hi: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a prompt and its window."""

    prompt: str
    text: str
    """Template: see `fill`."""
    window: Window
    dead_line_window: Window | None = None
    """Used instead where the client's line is digitally dead."""

    def window_for(self, dead_line: bool) -> Window:
        """The window in force."""
        return self.dead_line_window if dead_line and self.dead_line_window else self.window


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the script."""

    reason: Reason
    trigger: Trigger
    phase: Phase | None
    """The phase in which it is armed; None: any."""
    clock: ClockSource | None
    client_resets: bool
    """The client's speech disarms it (not where the client cannot hear us: his «алло» is no reply)."""
    rungs: tuple[Step, ...]
    callback_in_s: float | None
    """Seconds until the callback; None: at the agreed time."""
    opening: str
    """Template of the phrase that begins the callback."""


@dataclass(frozen=True, slots=True)
class Row:
    """The fixed part of a scenario: what the call notices."""

    trigger: Trigger
    phase: Phase | None
    clock: ClockSource | None
    client_resets: bool = True


ROWS: Mapping[Reason, Row] = {
    Reason.SILENCE_AFTER_GREETING: Row(Trigger.GREETED, Phase.GREETING, ClockSource.SILENCE),
    Reason.DROPPED: Row(Trigger.LEG_GONE, None, None),
    Reason.CLIENT_HOLD: Row(Trigger.HELD, Phase.ON_HOLD, ClockSource.HOLD),
    Reason.SILENCE_IN_DIALOGUE: Row(Trigger.CLIENT_SILENT, Phase.DIALOGUE, ClockSource.SILENCE),
    Reason.AGREED: Row(Trigger.AGREED, None, None),
    Reason.CLIENT_CANNOT_HEAR: Row(
        Trigger.CANNOT_HEAR, None, ClockSource.SILENCE, client_resets=False
    ),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Times that are not windows of prompts, in frames."""

    no_greeting: int
    """Nobody spoke for so long after the call began: reported."""
    no_media_drop: int
    """No frames of the client for so long: the call counts as dropped."""
    utterance_gap: int
    """A pause of the operator that ends what he was saying."""
    takeover_lead: int
    """An operator who begins so long before the window says this step."""
    defer: int
    """A prompt waits so long for a beginning sound to show whether it is speech."""
    prompt_start: int
    """A prompt that has not begun so long after it was asked for has failed."""
    prompt_end: int
    """A prompt that has not ended so long after it began has failed."""
    unknown_sound: int
    """Silence for so long lets a step begin although something sounds that may be speech."""
    answer_talk: int
    """An operator who has talked for so long while it rings was answered."""
    one_sided: int
    """One side has talked for so long and the other was never heard: it is not recorded."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script, compiled: frames instead of seconds, rows instead of tables."""

    scenarios: Mapping[Reason, Scenario]
    timing: Timing
    shop: str
    operator_name: str | None

    def fields(self, client_name: str | None) -> dict[str, str | None]:
        """Values for templates; None where unknown."""
        return {
            "client_name": client_name,
            "operator_name": self.operator_name,
            "shop": self.shop,
        }


FIELDS = ("client_name", "operator_name", "shop")
OPTIONAL_FIELDS = ("client_name", "operator_name")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_FIELD = re.compile(r"\{([^{}]*)\}")
_SENTENCE_START = re.compile(r"(^|[.!?…]\s+)([^\W\d_])")


def fill(template: str, values: Mapping[str, str | None]) -> str:
    """The template's text: `{field}` is replaced; `[part]` is left out where a field in it is unknown.

    >>> fill("[{client_name}, ]вас не слышно", {"client_name": None})
    'Вас не слышно'
    >>> fill("[{client_name}, ]вас не слышно", {"client_name": "Анна"})
    'Анна, вас не слышно'
    """

    def part(match: re.Match[str]) -> str:
        known = all(values.get(name) for name in _FIELD.findall(match[1]))
        return match[1] if known else ""

    # One pass over the template, so that a name with a brace or a bracket in it stays as it is.
    text = _FIELD.sub(lambda match: values.get(match[1]) or "", _OPTIONAL.sub(part, template))
    return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), text).strip()
