"""The port of all dialers: takes a dial request and returns its outcome, at once or later.

    desk ── dial(request) ──> dialer ──> the centre's telephony
         <── Ringing | Offered | Ended ──┘
         <── report(key, outcome) ── later, from its events, by polling, or from `receive`

Each request has a key. A dialer passes it to the other side wherever that side can store it, so
that a second `dial` with the same key rings nobody twice. After a crash the desk calls `status`
first, and dials only what is `Unknown`.
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
    """Unique for the attempt; ASCII letters, digits, `.` and `-`, at most 64."""
    number: str = field(repr=False)
    """E.164, with the plus."""
    due: datetime
    """Aware."""
    attempt: int = 1
    attempts: int = 3
    operator: str | None = None
    """Login of the operator who is to talk; None: anybody."""
    name: str | None = field(default=None, repr=False)
    opening: str = field(default="", repr=False)
    """The operator's first sentence."""
    topic: str | None = field(default=None, repr=False)
    reasons: tuple[str, ...] = ()
    session: str | None = None
    """The failed call's id in the centre's own system, if known."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """The request was accepted; the outcome will be reported. `reference`: the other side's id for it."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """A person was told to call. Nobody rings until one of them accepts it at the desk."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt has ended. `detail`: the cause in a few words, without names or numbers."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The other side does not know the key: nothing has rung for it, and nothing will unless it is
    dialled.
    """


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """The other side's report of an attempt's outcome."""

    key: str
    outcome: Outcome
    detail: str = ""


OutcomeReporter = Callable[[OutcomeReport], None]
"""Called by any thread. Returns when the report is stored; raises if it could not be: report again."""


class DialRefused(DialError):
    """Certainly nothing rings: no connection, or a refusal. The attempt failed before ringing."""


class DialUncertain(DialError):
    """It may ring: the request was sent, the answer did not come or was not readable. Call `status`."""


class HookRefused(DialError):
    """The incoming message is not signed correctly or not readable. `status`: HTTP 401 or 422."""

    def __init__(self, text: str, status: int = 422) -> None:
        self.status = status
        super().__init__(text)


class Dialer(Protocol):
    """One way to ring a client. Several threads may call every method at once."""

    name: ClassVar[str]

    def dial(self, dial_request: DialRequest) -> Ringing | Offered | Ended:
        """Ring the client for the operator. Returns within the dialer's time limit, mostly `Ringing`.

        Raises:
            DialRefused: nothing rings.
            DialUncertain: something may ring.
        """

    def status(self, key: str, reference: str) -> Ringing | Offered | Ended | Unknown:
        """The state of a key. `reference`: from its `Ringing` or `Offered`, "" if that was not stored.

        Raises:
            DialUncertain: the state cannot be determined now.
        """

    def hang_up(self, key: str, reference: str) -> None:
        """The attempt is no longer needed: stop it if it still rings. Failures are ignored."""

    def open(self, report: OutcomeReporter) -> None:
        """Start receiving outcomes: once, before the first `dial`. Connects in the background, for ever."""

    def close(self) -> None:
        """Stop receiving outcomes."""


@runtime_checkable
class Hooked(Protocol):
    """A dialer that receives outcomes by HTTP, at `POST /api/v1/hooks/{name}`."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> Sequence[OutcomeReport]:
        """The outcomes in an HTTP request; header names in lower case.

        Raises:
            HookRefused: the signature is wrong, or the body cannot be read.
        """
