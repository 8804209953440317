"""What is known of one Mango call, and the outcome that follows; see `mango.py`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vad_agent.callbacks.dialers.base import Ended
from vad_agent.callbacks.model import Outcome

DONE = 1000
BUSY = 1121
NOBODY = frozenset({1124, 1160, 1162, 1163, 1164, 3330, 4200})
"""Refusals of a command that concern the operator: not available, or without a telephone."""
NEVER_RANG = frozenset({1130, 1132, 1133, 1134, 1140, 1150, 1151, 1152, 1190, 1191, 1192})
"""Reasons where the client's telephone was not reached; all of 2xxx, 3xxx, 45xx and 5xxx count too."""


@dataclass(slots=True)
class MangoLeg:
    """One leg, built from its events in any order."""

    client: bool = False
    connected: bool = False
    gone: bool = False
    seqs: set[int] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """The leg has ended, and all its events have arrived."""
        return self.gone and len(self.seqs) == max(self.seqs, default=0)


@dataclass(slots=True)
class Seen:
    """What is known of a key."""

    taken: bool = False
    legs: dict[str, MangoLeg] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    ended: Ended | None = None


def decide(seen: Seen, talk_s: int) -> Ended | None:
    """The outcome; None: more events must come. `talk_s`: a talk of this length was with a person."""
    if (summary := seen.summary) is None:
        return None
    legs = list(seen.legs.values())
    client = [leg for leg in legs if leg.client]
    reason = number_of(summary.get("disconnect_reason")) or 0
    began, ended = number_of(summary.get("talk_time")), number_of(summary.get("end_time"))
    if any(leg.connected for leg in client):
        lasted = max(ended - began, 0) if began and ended else 0
        if number_of(summary.get("entry_result")) == 1 and lasted >= talk_s:
            return Ended(Outcome.REACHED)
        return Ended(Outcome.NO_ANSWER, f"answered, but ended after {lasted} s")
    if client:
        whole = all(leg.complete for leg in client)
        return _unanswered(reason) if whole else None
    if any(leg.connected for leg in legs):  # the client's leg may have begun without an event
        never = _unanswered(reason)
        return never if never.outcome is Outcome.FAILED else None
    if all(leg.complete for leg in legs):
        return Ended(Outcome.OPERATOR_UNAVAILABLE, f"reason {reason}")
    return None


def _unanswered(reason: int) -> Ended:
    if reason == BUSY:
        return Ended(Outcome.BUSY)
    never = reason in NEVER_RANG or reason // 100 == 45 or reason // 1000 in (2, 3, 5)
    return Ended(Outcome.FAILED if never else Outcome.NO_ANSWER, f"reason {reason}")


def of_client(told: Mapping[str, Any]) -> bool:
    """The leg from the operator to the client, not the one that rings the operator."""
    by, to = told.get("from"), told.get("to")
    if not isinstance(by, dict) or not isinstance(to, dict) or not by.get("extension"):
        return False
    return bool(by.get("taken_from_call_id")) or not to.get("extension")


def number_of(value: object) -> int | None:
    """An integer field, which Mango writes sometimes as a number and sometimes as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None
