"""The loop's status for display: written by the loop's thread, read by the display at its own pace.

Plain fields, each replaced as a whole. A reader sees a state at most one frame old, and no lock is
needed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.frames import Channel


@dataclass(slots=True)
class SideStatus:
    """The state of one side of the call."""

    device: str = ""
    state: DeviceState = DeviceState.OPENING
    level_db: float = -100.0
    """dBFS of the last frames."""
    speaking: bool = False
    line: LineState | None = None
    late: int = 0
    """Frames that arrived late."""
    missing: int = 0
    """Frames that did not arrive."""
    at_pbx: bool = False
    """The sound comes from the PBX, not from a device."""
    overruns: int = 0
    """Frames dropped because nobody took them, and frames that the device reported lost."""


@dataclass(slots=True)
class PhraseStatus:
    """The prompt of the current step."""

    text: str
    state: str
    """cue (the operator is to say it), asked, playing."""
    from_s: float
    """Seconds from now until its window opens; negative: it is open."""
    to_s: float
    """Seconds from now until its window closes."""


@dataclass(frozen=True, slots=True)
class FarewellQuestion:
    """A call is over, and nothing says whether they said goodbye. Times are local."""

    id: str
    """The call's id."""
    began: datetime
    ended: datetime
    due: datetime
    """The client is called back then, unless somebody answers."""
    client_name: str | None = None


@dataclass(frozen=True, slots=True)
class HeadsetQuestion:
    """Another headset of this operator wants to take over."""

    id: str
    address: str
    """Of the network; empty: unknown."""


@dataclass(slots=True)
class Status:
    """All that the display shows."""

    mode: str = "auto"
    calls: str = "auto"
    sides: dict[Channel, SideStatus] = field(
        default_factory=lambda: {channel: SideStatus() for channel in Channel}
    )
    prompt_device: str = ""
    prompt_state: DeviceState = DeviceState.OPENING
    voice_problem: str | None = None
    """Why prompts cannot be voiced: the cue is shown instead."""
    voice_lost: bool = False
    """The product cannot speak now: its output is lost, or no prompt is rendered."""
    no_voice: str = ""
    """Why the mode is cue although an output for prompts was set up."""
    phase: Phase | None = None
    """None: no call."""
    call_s: float = 0.0
    """Seconds since the call's first frame."""
    guessed: bool = False
    """The call's begin or end was inferred and can be undone."""
    goodbye: bool = False
    """The operator has said goodbye: nothing is watched until the call ends. It can be undone."""
    questions: tuple[FarewellQuestion, ...] = ()
    """Questions about ended calls, the newest first."""
    headset_question: HeadsetQuestion | None = None
    client_name: str | None = None
    client_phone: str | None = None
    """As it is dialled."""
    region: str = "RU"
    """Two letters, for numbers without a country code."""
    silence_s: float | None = None
    """The silence clock or the hold clock; None: it does not run."""
    window_s: tuple[float, float] | None = None
    """The window of the next step, on the same clock."""
    suspended: tuple[str, ...] = ()
    """Why the clock is stopped: paused, muted, client_device_lost, no_client_media, …"""
    held: bool = False
    phrase: PhraseStatus | None = None
    upcoming: PhraseStatus | None = None
    """The prompt that the silence is counted for, before its step begins; its state: next."""
    after: str | None = None
    """What follows the current prompt; empty: the call ends and is called back."""
    callback: str | None = None
    """The last requested callback, as text."""
    hang_up: bool = False
    """The operator must hang up."""
    panel: str = ""
    """The login link of the operator's page; empty: there is no page."""
    messages: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=6))
    """(seconds of the call, what happened), the newest last."""

    @property
    def speaks(self) -> bool:
        """The product says the prompts; False: the operator does."""
        return self.mode == "auto" and not self.voice_lost
