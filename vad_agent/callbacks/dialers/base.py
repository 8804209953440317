"""The port of everything that dials: a request goes in, what became of it comes out, now or later.

    desk ── dial(request) ──> dialer ──> the centre's telephony
         <── Ringing | Ended ────┘
         <── report(key, outcome) ── later, from its events, by polling, or from `receive`

Each request has a key. A dialer sends it along wherever the other side can keep it, so that a second `dial`
with the same key rings nobody twice. After a crash the desk asks `status` first, and dials only what is
`Unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One attempt to be made now."""

    key: str
    """Unique for the attempt; ASCII letters, digits, `.` and `-`, 64 at most."""
    number: str = field(repr=False)
    """E.164, with the plus."""
    due: datetime
    """Aware."""
    attempt: int = 1
    attempts: int = 3
    operator: str | None = None
    """Login of who is to talk; None: anybody."""
    name: str | None = field(default=None, repr=False)
    opening: str = field(default="", repr=False)
    """What the operator says first."""
    topic: str | None = field(default=None, repr=False)
    reasons: tuple[str, ...] = ()
    session: str | None = None
    """The failed call's id in the centre's own system, where it is known."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """It was taken; the outcome will be reported. `reference`: what the other side calls it."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended so. `detail`: why, in a few words, without names or numbers."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The key was never heard of there: nothing has rung for it, and nothing will unless it is dialled."""


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What the other side said of an attempt."""

    key: str
    outcome: Outcome
    detail: str = ""


Report = Callable[[OutcomeReport], None]
"""Called by any thread; returns when it is stored; raises where it could not be: tell it again."""


class DialRefused(DialError):
    """Certainly nothing rings: no connection, a refusal. The attempt has failed before ringing."""


class DialUncertain(DialError):
    """It may ring: the request left, the answer did not come or could not be read. Ask `status`."""


class HookRefused(DialError):
    """What came in was not signed as it must be, or cannot be read; `status`: of HTTP, 401 or 422."""

    def __init__(self, text: str, status: int = 422) -> None:
        self.status = status
        super().__init__(text)


class Dialer(Protocol):
    """One way to ring a client. Every method may be called by several threads at once."""

    name: ClassVar[str]

    def dial(self, dial_request: DialRequest) -> Ringing | Ended:
        """Ring the client for the operator; returns within the dialer's time limit, mostly `Ringing`.

        Raises:
            DialRefused: nothing rings for it.
            DialUncertain: perhaps something does.
        """

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """What became of a key; `reference`: of its `Ringing`, "" where that was not stored.

        Raises:
            DialUncertain: it cannot be told now.
        """

    def hang_up(self, key: str, reference: str) -> None:
        """The attempt is needed no more: stop it if it still rings. What fails is nobody's error."""

    def open(self, report: Report) -> None:
        """Begin to listen for outcomes: once, before the first `dial`; connects by and by, for ever."""

    def close(self) -> None:
        """Stop listening."""


@runtime_checkable
class Hooked(Protocol):
    """A dialer that is told outcomes by HTTP, at `POST /api/v1/hooks/{name}`."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> Sequence[OutcomeReport]:
        """The outcomes in a call; header names in small letters.

        Raises:
            HookRefused: the signature is wrong, or the body cannot be read.
        """
