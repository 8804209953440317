"""How a call stands at a moment, for whoever shows it. Times are frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One look at a session. None: there is no such thing now."""

    silence: int | None
    """What the silence clock shows, or the hold's; None: it stands still, somebody speaks, nothing waits."""
    lo: int | None
    """The window of the step that comes next, on the same clock."""
    hi: int | None
    suspended: tuple[str, ...]
    """Why the clock stands still: paused, muted, no_client_media, operator_device_lost, …"""
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
    """What is to be said next; while a step is being carried out, after it."""
    ends: bool = False
    """After the step being carried out the call ends."""
