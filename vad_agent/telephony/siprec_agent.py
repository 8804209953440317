"""The recording server's side of SIP (RFC 3261, RFC 7866). No I/O: messages and times in, messages out.

    recording client                          this agent
      INVITE, SDP + metadata   ────────────>  begin()
                               <────────────  100, 200 with an answer (recvonly), until ACK or 32 s
      ACK                      ────────────>  established()
      INVITE, UPDATE           ────────────>  change(): a stream is inactive on hold
                               <────────────  200
      BYE                      ────────────>  ended()
                               <────────────  200

A request that comes again gets the answer that it got before. What is not taken has its status: 415, 420,
421, 488, and 486 or 503 if no more calls are. No name is looked up: an answer goes back where its request
came from, and so does our BYE.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from vad_agent.errors import MediaError
from vad_agent.telephony.sdp import MediaLine, build_answer, parse_offer
from vad_agent.telephony.sip_message import (
    Request,
    Response,
    build_request,
    build_response,
    find_uri,
    parse_message,
)
from vad_agent.telephony.siprec_metadata import (
    METADATA_TYPE,
    SDP_TYPE,
    Body,
    Metadata,
    parse_body,
    parse_metadata,
)

T1_S, T2_S = 0.5, 4.0
"""Seconds until a message is sent again, and at most (RFC 3261, 17.1.1.1)."""
GIVEN_UP_S = 64 * T1_S
"""Seconds after which it is not, and for which an answer is kept."""
MOST_TRANSACTIONS = 20_000
METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"
EXTENSIONS = frozenset(("siprec", "timer"))
"""What a request may require."""
SERVER = "Server: vad-agent"
_ACCEPT = f"Accept: {SDP_TYPE}, {METADATA_TYPE}, application/rs-metadata, multipart/mixed"


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


class Refused(Exception):
    """The offer is not taken. `status`: of the answer, such as `486 Busy Here`."""

    def __init__(self, status: str, why: str, *headers: str) -> None:
        self.status = status
        self.why = why
        self.headers = headers
        super().__init__(f"{status}: {why}")


class RecordingCalls(Protocol):
    """What takes the calls. `call`: the Call-ID; `metadata`: all that is known; None: nothing.

    `begin` and `change` return for each media line the port on which it is received; None: it is not. They
    raise `Refused`.
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
class _Repeated:
    """A message that is sent again until it is answered."""

    send: Send
    at: float
    interval: float = T1_S
    until: float = 0.0

    def due(self, now: float) -> Iterator[Send]:
        if now >= self.at:
            self.interval = min(2 * self.interval, T2_S)
            self.at = now + self.interval
            yield self.send


def _repeated(send: Send, now: float) -> _Repeated:
    return _Repeated(send, now + T1_S, until=now + GIVEN_UP_S)


@dataclass(slots=True)
class _Transaction:
    until: float
    answer: Send | None = None
    repeated: _Repeated | None = None
    """A refusal of an INVITE, until its ACK."""


@dataclass(slots=True)
class _Dialog:
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
    accepted: _Repeated | None = None
    """Our 200 to an INVITE, until its ACK."""
    accepted_cseq: int = 0
    expires_at: float | None = None
    """When the client must have refreshed the session (RFC 4028)."""
    bye: _Repeated | None = None


@dataclass(slots=True)
class AgentCounters:
    """Counted since the start."""

    sessions: int = 0
    refused: int = 0
    malformed: int = 0
    not_confirmed: int = 0
    """Sessions without an ACK."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Refusals, by status."""


class SiprecAgent:
    """All sessions of one server. `port`: on which it listens; `new_tag`: makes a tag."""

    def __init__(
        self,
        calls: RecordingCalls,
        port: int,
        *,
        new_tag: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._calls = calls
        self._port = port
        self._new_tag = new_tag
        self._dialogs: dict[str, _Dialog] = {}
        self._transactions: dict[tuple[str, tuple[str, str, int | None], str], _Transaction] = {}
        self.counters = AgentCounters()

    def __len__(self) -> int:
        return len(self._dialogs)

    # -- input -------------------------------------------------------------------------------------

    def receive(self, data: bytes, peer: Peer, now: float) -> list[Send]:
        """Take one message that came at `now` (s). Return what to send.

        Raises:
            MediaError: it is no SIP message that could be answered.
        """
        try:
            message = parse_message(data)
        except MediaError:
            self.counters.malformed += 1
            raise
        if isinstance(message, Response):
            self._response(message)
            return []
        if message.method == "ACK":
            self._ack(message, now)
            return []
        key = (message.call_id, message.branch, message.method)
        known = self._transactions.get(key)
        if known is not None:
            return [known.answer] if known.answer is not None else []
        if len(self._transactions) >= MOST_TRANSACTIONS:
            return []
        transaction = self._transactions[key] = _Transaction(now + GIVEN_UP_S)
        return self._answer(message, peer, now, transaction)

    def due(self, now: float) -> list[Send]:
        """What the clock asks for at `now` (s). Call it about each 0.1 s."""
        found: list[Send] = []
        for key, transaction in tuple(self._transactions.items()):
            if now >= transaction.until:
                del self._transactions[key]
            elif transaction.repeated is not None:
                found += transaction.repeated.due(now)
        for dialog in tuple(self._dialogs.values()):
            found += self._dialog_due(dialog, now)
        return found

    def hang_up(self, call: str, now: float) -> list[Send]:
        """End this session: nobody is told of it, since the caller knows."""
        dialog = self._dialogs.get(call)
        if dialog is None or dialog.bye is not None:
            return []
        dialog.accepted = None
        headers = [f"Route: {route}" for route in dialog.routes]
        sent_by = f"{_host(dialog.peer.local)}:{self._port}"
        branch = f"z9hG4bK{self._new_tag()}"
        headers += [
            f"Via: SIP/2.0/{dialog.peer.transport} {sent_by};rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: {dialog.local}",
            f"To: {dialog.remote}",
            f"Call-ID: {dialog.call}",
            "CSeq: 1 BYE",
        ]
        send = Send(dialog.peer, build_request(f"BYE {dialog.target}", headers))
        dialog.bye = _repeated(send, now)
        return [send]

    # -- the clock ---------------------------------------------------------------------------------

    def _dialog_due(self, dialog: _Dialog, now: float) -> Iterator[Send]:
        if dialog.bye is not None:
            if now >= dialog.bye.until:
                self._dialogs.pop(dialog.call, None)
            elif dialog.peer.transport == "UDP":
                yield from dialog.bye.due(now)
        elif dialog.accepted is not None and now >= dialog.accepted.until:
            self.counters.not_confirmed += 1
            self._end(dialog, "no ACK", now, keep=True)
            yield from self.hang_up(dialog.call, now)
        elif dialog.expires_at is not None and now >= dialog.expires_at:
            self._end(dialog, "session expired", now, keep=True)
            yield from self.hang_up(dialog.call, now)
        elif dialog.accepted is not None:
            yield from dialog.accepted.due(now)

    def _end(self, dialog: _Dialog, cause: str, now: float, *, keep: bool = False) -> None:
        if not keep:
            self._dialogs.pop(dialog.call, None)
        if dialog.bye is None:
            self._calls.ended(dialog.call, cause, now)

    # -- responses and ACK -------------------------------------------------------------------------

    def _response(self, response: Response) -> None:
        """To our BYE: whatever it says, the session is over."""
        dialog = self._dialogs.get(response.call_id)
        if dialog is not None and dialog.bye is not None and response.code >= 200:
            del self._dialogs[response.call_id]

    def _ack(self, ack: Request, now: float) -> None:
        refused = self._transactions.get((ack.call_id, ack.branch, "INVITE"))
        if refused is not None:
            refused.repeated = None
        dialog = self._of(ack)
        if dialog is None or dialog.accepted is None or ack.cseq != dialog.accepted_cseq:
            return
        dialog.accepted = None
        if not dialog.established:
            dialog.established = True
            self._calls.established(dialog.call, now)

    def _of(self, request: Request) -> _Dialog | None:
        dialog = self._dialogs.get(request.call_id)
        if dialog is None or (dialog.tag, dialog.remote_tag) != (request.to_tag, request.from_tag):
            return None
        return dialog

    # -- requests ----------------------------------------------------------------------------------

    def _answer(
        self, request: Request, peer: Peer, now: float, transaction: _Transaction
    ) -> list[Send]:
        to = peer
        if peer.transport == "UDP" and not request.rport:
            to = replace(peer, port=request.branch[2] or 5060)
        source = (peer.host, peer.port)
        sends: list[Send] = []
        try:
            if request.method == "INVITE":
                sends.append(Send(to, build_response(request, "100 Trying", source)))
            made = self._dispatch(request, peer, source, now)
            dialog = self._dialogs.get(request.call_id)
            if request.method == "INVITE" and dialog is not None:
                dialog.accepted = _repeated(Send(to, made), now)
                dialog.accepted_cseq = request.cseq
        except Refused as no:
            self.counters.statuses[no.status] = self.counters.statuses.get(no.status, 0) + 1
            self.counters.refused += request.method == "INVITE"
            headers = [SERVER, *no.headers, f'Warning: 399 vad-agent "{_quotable(no.why)}"']
            made = build_response(request, no.status, source, tag=self._new_tag(), headers=headers)
            if request.method == "INVITE" and peer.transport == "UDP":
                transaction.repeated = _repeated(Send(to, made), now)
        transaction.answer = Send(to, made)
        return [*sends, transaction.answer]

    def _dispatch(self, request: Request, peer: Peer, source: tuple[str, int], now: float) -> bytes:
        method = request.method
        if method == "CANCEL":
            if (request.call_id, request.branch, "INVITE") not in self._transactions:
                raise Refused("481 Call/Transaction Does Not Exist", "nothing to cancel")
            # Each INVITE has its final answer at once: a CANCEL changes nothing (RFC 3261, 9.2).
            return build_response(request, "200 OK", source, headers=[SERVER])
        if method not in METHODS.split(", "):
            raise Refused("405 Method Not Allowed", f"not {method[:20]}", f"Allow: {METHODS}")
        unknown = [name for name in request.tokens("Require") if name not in EXTENSIONS]
        if unknown:
            named = ", ".join(unknown)
            raise Refused("420 Bad Extension", f"not {named[:60]}", f"Unsupported: {named}")
        if not request.to_tag:
            if method == "INVITE":
                return self._invite(request, peer, source, now)
            if method == "OPTIONS":
                return self._options(request, source)
        dialog = self._of(request)
        if dialog is None or (dialog.bye is not None and method != "BYE"):
            raise Refused("481 Call/Transaction Does Not Exist", "no such session")
        if request.cseq <= dialog.cseq:
            raise Refused("500 Server Internal Error", "CSeq is not above the last one")
        dialog.cseq, dialog.peer = request.cseq, peer
        if method == "BYE":
            self._end(dialog, _reason(request), now)
            return build_response(request, "200 OK", source, headers=[SERVER])
        if method == "OPTIONS":
            return self._options(request, source)
        return self._change(dialog, request, source, now)

    def _options(self, request: Request, source: tuple[str, int]) -> bytes:
        headers = [SERVER, f"Allow: {METHODS}", _ACCEPT, f"Supported: {', '.join(EXTENSIONS)}"]
        return build_response(request, "200 OK", source, tag=self._new_tag(), headers=headers)

    def _invite(self, request: Request, peer: Peer, source: tuple[str, int], now: float) -> bytes:
        if request.call_id in self._dialogs:
            raise Refused("482 Loop Detected", "this Call-ID has a session")
        body = _body(request)
        if body.metadata is None and "siprec" not in request.tokens("Require"):
            why = "only recording sessions (RFC 7866) are taken"
            raise Refused("421 Extension Required", why, "Require: siprec")
        target = find_uri(request.header("Contact"))
        if not target:
            raise Refused("400 Bad Request", "expected a Contact")
        if body.sdp is None:
            raise Refused("488 Not Acceptable Here", "expected an SDP offer")
        tag = self._new_tag()
        given = request.message.headers
        routes = tuple(
            f"<{find_uri(one)}>"
            for text in given.getlist("Record-Route")
            for one in text.split(",")
        )
        dialog = _Dialog(
            call=request.call_id,
            tag=tag,
            remote_tag=request.from_tag,
            local=f"{given['To']};tag={tag}",
            remote=given["From"],
            target=target,
            routes=routes,
            peer=peer,
            cseq=request.cseq,
        )
        self._negotiate(dialog, body, self._calls.begin, now)
        self._dialogs[dialog.call] = dialog
        self.counters.sessions += 1
        return self._accepted(dialog, request, source, now, with_sdp=True)

    def _change(
        self, dialog: _Dialog, request: Request, source: tuple[str, int], now: float
    ) -> bytes:
        body = _body(request)
        if target := find_uri(request.header("Contact")):
            dialog.target = target
        if body != Body():
            self._negotiate(dialog, body, self._calls.change, now)
        # An INVITE without an offer asks for ours: the present session.
        with_sdp = body.sdp is not None or request.method == "INVITE"
        return self._accepted(dialog, request, source, now, with_sdp=with_sdp)

    def _negotiate(
        self,
        dialog: _Dialog,
        body: Body,
        tell: Callable[[str, Sequence[MediaLine], Metadata | None, float], Sequence[int | None]],
        now: float,
    ) -> None:
        """Raises Refused; nothing has changed then."""
        lines, metadata = dialog.lines, dialog.metadata
        try:
            if body.sdp is not None:
                lines = parse_offer(body.sdp)
            if body.metadata is not None:
                metadata = parse_metadata(body.metadata).after(metadata)
        except MediaError as error:
            raise Refused("400 Bad Request", str(error)) from error
        if not any(line.usable for line in lines):
            raise Refused("488 Not Acceptable Here", "expected audio, RTP/AVP, PCMA or PCMU")
        ports = tuple(tell(dialog.call, lines, metadata, now))
        dialog.lines, dialog.metadata, dialog.ports = lines, metadata, ports
        dialog.version += body.sdp is not None

    def _accepted(
        self,
        dialog: _Dialog,
        request: Request,
        source: tuple[str, int],
        now: float,
        *,
        with_sdp: bool,
    ) -> bytes:
        peer = dialog.peer
        transport = ";transport=tcp" if peer.transport == "TCP" else ""
        headers = [f"Record-Route: {r}" for r in request.message.headers.getlist("Record-Route")]
        headers += [
            f"Contact: <sip:{_host(peer.local)}:{self._port}{transport}>;+sip.srs",
            SERVER,
            f"Allow: {METHODS}",
            f"Supported: {', '.join(sorted(EXTENSIONS))}",
        ]
        headers += _session_timer(dialog, request, now)
        body = b""
        if with_sdp:
            headers.append(f"Content-Type: {SDP_TYPE}")
            body = build_answer(peer.local, dialog.version, dialog.lines, dialog.ports)
        return build_response(request, "200 OK", source, tag=dialog.tag, headers=headers, body=body)


def _session_timer(dialog: _Dialog, request: Request, now: float) -> list[str]:
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


def _body(request: Request) -> Body:
    """Raises Refused."""
    data, kind = request.message.body, request.header("Content-Type")
    if not data.strip():
        return Body()
    if request.tokens("Content-Encoding") not in ([], ["identity"]):
        raise Refused("415 Unsupported Media Type", "encoded", "Accept-Encoding: identity")
    plain = kind.partition(";")[0].strip().lower()
    if not plain.startswith("multipart/") and plain != SDP_TYPE and "rs-metadata" not in plain:
        raise Refused("415 Unsupported Media Type", f"not {plain[:40]}", _ACCEPT)
    try:
        return parse_body(kind, data)
    except MediaError as error:
        raise Refused("400 Bad Request", str(error)) from error


def _reason(request: Request) -> str:
    """Why the client ends the session: its Reason header (RFC 3326), such as Q.850;cause=16."""
    return request.header("Reason")[:60] or "BYE"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _quotable(text: str) -> str:
    return "".join(c if c.isprintable() and c not in '"\\' else " " for c in text)[:200]
