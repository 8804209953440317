"""The verdict on a prompt: one rule for reports, the desk, the panel and archives."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """In its window, outside of it, or not judged."""

    OK = "ok"
    BAD = "bad"
    NOTE = "note"
    """Not judged: the prompt was no longer needed."""


class PhraseCompliance(StrEnum):
    """What became of a phrase that the script required."""

    SAID = "said"
    """In its window."""
    EARLY = "early"
    LATE = "late"
    MISSING = "missing"
    INTERRUPTED = "interrupted"
    """It began in its window; somebody spoke before its end."""
    UNKNOWN = "unknown"
    """The recording does not tell."""


def verdict(outcome: str, started: float | None, silence: float, lo: float, hi: float) -> Verdict:
    """The verdict on one line of the trace; all times in seconds. `started`: None if it made no sound."""
    if outcome in ("failed", "missed"):
        return Verdict.BAD
    if started is None:
        return Verdict.NOTE
    return Verdict.OK if lo <= silence <= hi else Verdict.BAD


def phrase_status(
    outcome: str,
    started: float | None,
    silence: float,
    lo: float,
    hi: float,
    tolerance: float = 0.0,
) -> tuple[PhraseCompliance, float] | None:
    """The status of one line of the trace, and its seconds outside of the window: negative if early.

    `tolerance`: seconds outside of the window that count as inside it; 0 gives the rule of `verdict`.
    None: the phrase was no longer needed.

    >>> phrase_status("said", 7.0, 3.5, 2.0, 3.0)
    (<PhraseCompliance.LATE: 'late'>, 0.5)
    """
    match verdict(outcome, started, silence, lo - tolerance, hi + tolerance):
        case Verdict.NOTE:
            return None
        case Verdict.OK:
            status = (
                PhraseCompliance.INTERRUPTED if outcome == "interrupted" else PhraseCompliance.SAID
            )
            return status, 0.0
    if outcome in ("failed", "missed"):
        return PhraseCompliance.MISSING, 0.0
    return (
        (PhraseCompliance.EARLY, round(silence - lo, 2))
        if silence < lo
        else (PhraseCompliance.LATE, round(silence - hi, 2))
    )
