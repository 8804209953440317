"""What one generated call is: everything that was drawn by chance, as data.

    sample(part, number, library) ──> Recipe ──render──> two channels and their truth

A recipe depends on its part and number alone: call 17 is the same in a run of 200 and of 1,000. Its kind and
its noise are not drawn: 260 calls in a row (20 slots of kinds by 13 noises) have each pair once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from benchmarks.calls.noises import NOISES, WORLD
from vad_agent.core.actions import Reason
from vad_agent.core.frames import Channel


class Kind(StrEnum):
    """How a call goes."""

    NOBODY = "nobody answers"
    SILENT = "falls silent"
    AGAIN = "answers, silent again"
    ANSWERED = "answers, talks on"
    TALK = "talks to the end"
    HELD = "hold told, lost"
    HELD_BACK = "hold told, back"
    MUSIC = "hold music, lost"
    MUSIC_BACK = "hold music, back"
    DROP = "drop"


KINDS = (
    *(Kind.SILENT, Kind.NOBODY, Kind.TALK, Kind.SILENT, Kind.AGAIN),
    *(Kind.NOBODY, Kind.SILENT, Kind.HELD, Kind.DROP, Kind.SILENT),
    *(Kind.ANSWERED, Kind.NOBODY, Kind.MUSIC, Kind.SILENT, Kind.TALK),
    *(Kind.AGAIN, Kind.HELD_BACK, Kind.NOBODY, Kind.SILENT, Kind.MUSIC_BACK),
)
"""Three quarters of them end with a client who is not heard."""


def kind_of(number: int) -> Kind:
    """The kind of the call of that number."""
    return KINDS[number % len(KINDS)]


def noise_of(part: str, number: int) -> str:
    """Its noise: 13 and 20 have no common divisor, so each kind meets each noise."""
    names = WORLD if part == "world" else tuple(NOISES)
    return names[number % len(names)]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip of a voice in a channel."""

    channel: Channel
    voice: str
    clip: int
    at: int
    length: int
    fade_db: float = 0.0
    """The last word is so much weaker."""

    @property
    def end(self) -> int:
        """One past its last frame."""
        return self.at + self.length


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of the call."""

    voice: str
    speed: float
    level_dbfs: float
    """Of the speech while it is active."""
    floor_dbfs: float
    """Hiss of the line."""


@dataclass(frozen=True, slots=True)
class Echo:
    """The operator in the client's leg."""

    level_db: float
    """Against the operator's own leg."""
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Packets of the client's leg that do not come."""

    share: float
    burst: float
    """Frames, on average."""
    missing: bool
    """No frame at all; else a frame of zeros."""


class Carries(StrEnum):
    """What the client's leg carries from some frame on in place of the client's room."""

    ZERO = "digital zero"
    COMFORT = "comfort noise"
    MUSIC = "music"
    BUSY = "busy tone"
    NOTHING = "no frames"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames [start, end) of the client's leg that somebody else than the client's telephone sends."""

    start: int
    end: int
    carries: Carries
    level_dbfs: float = 0.0
    piece: int = 0
    """Music: which one, and from which sample on."""
    piece_at: int = 0
    on_s: float = 0.35
    """Busy tone: on and off for so long each."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence, or a hold, in which the script has something to say.

    It begins with the last sound of anybody before `until`, a hold at `hold`. `until`: the client speaks
    again, or the recording ends.
    """

    reason: Reason
    until: int
    hold: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One call."""

    name: str
    kind: Kind
    noise: str
    snr_db: float
    """Level of the client's active speech over the noise."""
    frames: int
    operator: Leg
    client: Leg
    said: tuple[Utterance, ...]
    silences: tuple[Silence, ...]
    callback: Reason | None
    """Why the client is to be called back; None: he is not."""
    echo: Echo | None = None
    room: bool = False
    """The client is heard through a room."""
    gate: int | None = None
    """The client's telephone sends digital zero so many frames after each word."""
    gain_steps: tuple[tuple[int, float], ...] = ()
    """The client's leg is so many dB louder from that frame on."""
    loss: Loss | None = None
    idle: int = 0
    """The sample of digital zero: 0, or 8 as A-law knows it."""
    stretches: tuple[Stretch, ...] = ()
    events: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()
    """Call control: before which frame, and its fields."""

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)
