"""The state of a call at one moment, for display. Times are frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One snapshot of a session. None: not present now."""

    silence: int | None
    """The silence clock or the hold clock; None: it is stopped, somebody speaks, or nothing waits."""
    lo: int | None
    """The window of the next step, on the same clock."""
    hi: int | None
    suspended: tuple[str, ...]
    """Why the clock is stopped: paused, muted, no_client_media, operator_device_lost, …"""
    held: bool
    prompt: str | None
    """The step being carried out."""
    prompt_text: str | None
    prompt_state: str | None
    """asked, playing, cued, by_operator."""
    prompt_lo: int | None
    """Its window, in frames of the call."""
    prompt_hi: int | None
    next_text: str | None = None
    """The text to be said next; during a step, the text after it."""
    ends: bool = False
    """The call ends after the step being carried out."""
