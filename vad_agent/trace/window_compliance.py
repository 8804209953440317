"""The verdict on a prompt: one rule for reports, the desk and the panel."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """In its window, outside of it, or not judged."""

    OK = "ok"
    BAD = "bad"
    NOTE = "note"
    """Not judged: the prompt was no longer needed."""


def verdict(outcome: str, started: float | None, silence: float, lo: float, hi: float) -> Verdict:
    """The verdict on one line of the trace; all times in seconds. `started`: None if it made no sound."""
    if outcome in ("failed", "missed"):
        return Verdict.BAD
    if started is None:
        return Verdict.NOTE
    return Verdict.OK if lo <= silence <= hi else Verdict.BAD
