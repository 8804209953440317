"""Call control in one form: what a PBX tells of a call, and what it can be asked to do.

Asterisk's events, signed JSON, a provider's webhooks ──adapter──> TapEvent ──> CallRouter
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from uuid import uuid4

from vad_agent.core.events import Event

CHECK = "00000000-0000-"
"""Names of `pbx check`'s taps begin with it. No other UUID does: theirs are random."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@lru_cache(maxsize=4_096)
def tap_key(name: str) -> str:
    """The same for all names of one tap: the UUIDs of its mono legs differ in the last digit alone."""
    return name[:-1] if _UUID.fullmatch(name) else name


def check_tap() -> str:
    """A new name for a tap of `pbx check`: a `vad-agent pbx` that runs leaves its call alone."""
    return CHECK + str(uuid4())[len(CHECK) :]


@dataclass(frozen=True, slots=True)
class TapEvent:
    """What happened to the call of a tap."""

    tap: str
    """The name of the call's media stream: the UUID of AudioSocket, or what the dialect calls it."""
    event: Event
    operator: str | None = None
    """The operator's telephone or login, as the PBX names it: `101` of PJSIP/101."""
    resumed: bool = False
    """The call was answered before this connection to the PBX; nobody saw its beginning."""


class CallControl(Protocol):
    """A connection to what rules the calls. Its events go where its constructor was told."""

    @property
    def connected(self) -> bool:
        """Events are being received: who answers and how calls end will be told."""

    @property
    def waiting(self) -> int:
        """Commands that are not carried out yet."""

    def start(self) -> None:
        """Connect in the background."""

    def hang_up(self, tap: str) -> None:
        """End the client's side of this tap's call. Does not block; what fails is logged."""

    def tap(self, tap: str) -> None:
        """Begin a new stream of a call that has none, where the PBX can. Does not block."""

    def close(self) -> None:
        """Receive no more."""
