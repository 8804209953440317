"""The script as data: what triggers each scenario, which steps it has, and how it ends.

Theory of operation: a scenario is a row. At most one row is armed at any time. Its steps are
carried out in order, each in its window after the last sound. After the last step the call ends and
the row's callback is due. A row without steps ends the call (or only requests the callback) at
once. The texts, windows and delays come from a TOML file. The triggers are fixed here, because they
depend on what a call can detect.
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
    END_UNKNOWN = "both have talked, the line is gone, nothing says whether they said goodbye"
    AGREED = "the operator agreed a callback with the client"
    CANNOT_HEAR = "the operator says that the client cannot hear"


class ClockSource(StrEnum):
    """The event from which a row's windows are measured."""

    SILENCE = "silence"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Window:
    """A prompt's first sample must fall in [lo, hi] and aims at `aim`. Frames after the clock's start."""

    lo: int
    aim: int
    hi: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a prompt and its window."""

    prompt: str
    text: str
    """Template for `fill`."""
    window: Window
    dead_line_window: Window | None = None
    """Used instead when the client's line is digitally dead."""

    def window_for(self, dead_line: bool) -> Window:
        """The window in force."""
        return self.dead_line_window if dead_line and self.dead_line_window else self.window


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the script."""

    reason: Reason
    trigger: Trigger
    phase: Phase | None
    """The phase in which the row is armed; None: any."""
    clock: ClockSource | None
    client_resets: bool
    """Client speech disarms it. False if the client cannot hear us, because their «алло» is then no reply."""
    steps: tuple[Step, ...]
    callback_in_s: float | None
    """Seconds until the callback; None: at the agreed time."""
    opening: str
    """Template of the prompt that opens the callback."""


@dataclass(frozen=True, slots=True)
class Row:
    """The fixed part of a scenario: what the call detects."""

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
    Reason.UNCONFIRMED: Row(Trigger.END_UNKNOWN, None, None),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Time limits other than prompt windows, in frames."""

    no_greeting: int
    """Nobody has spoken for this long after the call began: an alert is raised."""
    no_media_drop: int
    """No frames from the client for this long: the call counts as dropped."""
    utterance_gap: int
    """A pause of this length ends the operator's utterance."""
    takeover_lead: int
    """If the operator begins at most this long before the window, they are saying this step."""
    defer: int
    """How long a prompt waits to learn whether a beginning sound is speech."""
    prompt_start: int
    """A prompt that has not begun this long after the request has failed."""
    prompt_end: int
    """A prompt that has not ended this long after it began has failed."""
    unknown_sound: int
    """After this much silence a step begins even while a sound that may be speech is heard."""
    answer_talk: int
    """An operator who has talked this long during ringing has been answered."""
    one_sided: int
    """One side has talked this long and the other was never heard: the other is not recorded."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script, compiled: frames instead of seconds, rows instead of tables."""

    scenarios: Mapping[Reason, Scenario]
    timing: Timing
    shop: str
    operator_name: str | None

    def fields(self, client_name: str | None) -> dict[str, str | None]:
        """Values for templates; None if unknown."""
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
    """Fill the template: replace `{field}`; omit `[part]` if a field in it is unknown.

    >>> fill("[{client_name}, ]вас не слышно", {"client_name": None})
    'Вас не слышно'
    >>> fill("[{client_name}, ]вас не слышно", {"client_name": "Анна"})
    'Анна, вас не слышно'
    """

    def part(match: re.Match[str]) -> str:
        known = all(values.get(name) for name in _FIELD.findall(match[1]))
        return match[1] if known else ""

    # One pass over the template, so that a brace or bracket in a name is not interpreted.
    text = _FIELD.sub(lambda match: values.get(match[1]) or "", _OPTIONAL.sub(part, template))
    return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), text).strip()
