"""What the loop shows of itself: written by the loop's thread, read by the surface at its own pace.

Plain fields, each replaced as a whole: a reader sees a moment that is at most one frame old, and no lock
is needed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.frames import Channel


@dataclass(slots=True)
class SideStatus:
    """A side of the call as it is heard."""

    device: str = ""
    state: DeviceState = DeviceState.OPENING
    level_db: float = -100.0
    """dBFS of the last frames."""
    speaking: bool = False
    line: LineState | None = None
    late: int = 0
    """Frames that came after their time."""
    missing: int = 0
    """Frames that did not come."""
    overruns: int = 0
    """Frames lost since nobody took them, and what the device itself reported lost."""


@dataclass(slots=True)
class PhraseStatus:
    """The phrase of the step that is under way."""

    text: str
    state: str
    """cue (the operator is to say it), asked, playing."""
    from_s: float
    """Seconds from now until its window opens; negative: it is open."""
    to_s: float
    """Seconds from now until its window closes."""


@dataclass(slots=True)
class Status:
    """All that the surface shows."""

    mode: str = "auto"
    calls: str = "auto"
    sides: dict[Channel, SideStatus] = field(
        default_factory=lambda: {channel: SideStatus() for channel in Channel}
    )
    prompt_device: str = ""
    prompt_state: DeviceState = DeviceState.OPENING
    voice_problem: str | None = None
    """Why phrases cannot be voiced: the cue is shown instead."""
    phase: Phase | None = None
    """None: no call."""
    call_s: float = 0.0
    """Seconds since the call's first frame."""
    guessed: bool = False
    """The call began, or ended, by a guess that can be undone."""
    client_name: str | None = None
    silence_s: float | None = None
    """What the silence clock shows, or the hold's; None: it does not run."""
    window_s: tuple[float, float] | None = None
    """The window of the step that comes next, on the same clock."""
    suspended: tuple[str, ...] = ()
    """Why the clock stands still: paused, muted, client_device_lost, no_client_media, …"""
    held: bool = False
    phrase: PhraseStatus | None = None
    upcoming: PhraseStatus | None = None
    """The phrase that the silence is counted for, before its step begins; its state: next."""
    after: str | None = None
    """What is said after the phrase that is being carried out; empty: the call ends and is called back."""
    callback: str | None = None
    """The last callback asked for, in words."""
    hang_up: bool = False
    """The operator is to hang up himself."""
    panel: str = ""
    """Where the operator's page is, with what lets him in; empty: nowhere."""
    messages: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=6))
    """(seconds of the call, what happened), the newest last."""
