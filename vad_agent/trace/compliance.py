"""What the script says of a prompt: one rule for reports, the desk and the panel."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """In its window, not, or of no account."""

    OK = "ok"
    BAD = "bad"
    NOTE = "note"
    """Neither: it was no longer needed."""


def verdict(outcome: str, started: float | None, silence: float, lo: float, hi: float) -> Verdict:
    """Of one line of the trace; all in seconds. `started`: None where it made no sound."""
    if outcome in ("failed", "missed"):
        return Verdict.BAD
    if started is None:
        return Verdict.NOTE
    return Verdict.OK if lo <= silence <= hi else Verdict.BAD
