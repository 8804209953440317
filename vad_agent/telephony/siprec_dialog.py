"""What the recording server's SIP keeps of a session and of a request: no behaviour but repetition. Pure.

`siprec_agent.py` has the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vad_agent.telephony.sdp import MediaLine
from vad_agent.telephony.sip_message import SipRequest
from vad_agent.telephony.siprec_metadata import Metadata

T1_S, T2_S = 0.5, 4.0
"""Seconds until a message is sent again, and at most (RFC 3261, 17.1.1.1)."""
GIVEN_UP_S = 64 * T1_S
"""Seconds after which it is not, and for which an answer is kept."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where messages come from and go to."""

    transport: str
    """UDP or TCP."""
    host: str
    port: int
    local: str
    """Our address, as this peer reaches it."""
    connection: int = 0
    """Of TCP: its number."""


@dataclass(frozen=True, slots=True)
class Send:
    """A message to send."""

    peer: Peer
    data: bytes


class OfferRefused(Exception):
    """The offer is not taken. `status`: of the answer, such as `486 Busy Here`."""

    def __init__(self, status: str, why: str, *headers: str) -> None:
        self.status = status
        self.why = why
        self.headers = headers
        super().__init__(f"{status}: {why}")


class RecordingCalls(Protocol):
    """What takes the calls. `call`: the Call-ID; `metadata`: all that is known; None: nothing.

    `begin` and `change` return for each media line the port on which it is received; None: it is not. They
    raise `OfferRefused`.
    """

    def begin(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> Sequence[int | None]:
        """A recording session is offered."""

    def change(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> Sequence[int | None]:
        """Its streams or its participants have changed."""

    def established(self, call: str, now: float) -> None:
        """The client has confirmed the session."""

    def ended(self, call: str, cause: str, now: float) -> None:
        """It is over, or has never begun."""


@dataclass(slots=True)
class Repeated:
    """A message that is sent again until it is answered."""

    send: Send
    at: float
    interval: float = T1_S
    until: float = 0.0

    def due(self, now: float) -> Iterator[Send]:
        """The message, if its time has come."""
        if now >= self.at:
            self.interval = min(2 * self.interval, T2_S)
            self.at = now + self.interval
            yield self.send


def repeat(send: Send, now: float) -> Repeated:
    """Send it again from `now` on."""
    return Repeated(send, now + T1_S, until=now + GIVEN_UP_S)


@dataclass(slots=True)
class Transaction:
    """A request, and what was answered."""

    until: float
    answer: Send | None = None
    repeated: Repeated | None = None
    """A refusal of an INVITE, until its ACK."""


@dataclass(slots=True)
class Dialog:
    """One recording session."""

    call: str
    tag: str
    remote_tag: str
    local: str
    """Our From header in this dialog: the To of the INVITE, with our tag."""
    remote: str
    target: str
    routes: tuple[str, ...]
    peer: Peer
    cseq: int
    lines: tuple[MediaLine, ...] = ()
    ports: tuple[int | None, ...] = ()
    metadata: Metadata | None = None
    version: int = 0
    established: bool = False
    accepted: Repeated | None = None
    """Our 200 to an INVITE, until its ACK."""
    accepted_cseq: int = 0
    expires_at: float | None = None
    """When the client must have refreshed the session (RFC 4028)."""
    bye: Repeated | None = None


def session_timer(dialog: Dialog, request: SipRequest, now: float) -> list[str]:
    """RFC 4028: the client refreshes the session, or it ends."""
    seconds, _, parameters = request.header("Session-Expires").partition(";")
    seconds = seconds.strip()
    can = "timer" in request.tokens("Supported") + request.tokens("Require")
    if not can or "uas" in parameters.lower() or not seconds.isascii() or not seconds.isdecimal():
        dialog.expires_at = None
        return []
    seconds = str(min(max(int(seconds[:9]), 90), 86_400))
    dialog.expires_at = now + int(seconds)
    return ["Require: timer", f"Session-Expires: {seconds};refresher=uac"]
