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

from vad_agent.errors import MediaError
from vad_agent.telephony.sdp import MediaLine, build_answer, parse_offer
from vad_agent.telephony.sip_message import (
    SipRequest,
    SipResponse,
    build_request,
    build_response,
    find_uri,
    parse_message,
)
from vad_agent.telephony.siprec_dialog import (
    GIVEN_UP_S,
    Dialog,
    OfferRefused,
    Peer,
    RecordingCalls,
    Send,
    Transaction,
    repeat,
    session_timer,
)
from vad_agent.telephony.siprec_metadata import (
    METADATA_TYPE,
    SDP_TYPE,
    MessageBody,
    Metadata,
    parse_body,
    parse_metadata,
)

MOST_TRANSACTIONS = 20_000
METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"
EXTENSIONS = frozenset(("siprec", "timer"))
"""What a request may require."""
SERVER = "Server: vad-agent"
_ACCEPT = f"Accept: {SDP_TYPE}, {METADATA_TYPE}, application/rs-metadata, multipart/mixed"


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
        self._dialogs: dict[str, Dialog] = {}
        self._transactions: dict[tuple[str, tuple[str, str, int | None], str], Transaction] = {}
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
        if isinstance(message, SipResponse):
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
        transaction = self._transactions[key] = Transaction(now + GIVEN_UP_S)
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
        dialog.bye = repeat(send, now)
        return [send]

    # -- the clock ---------------------------------------------------------------------------------

    def _dialog_due(self, dialog: Dialog, now: float) -> Iterator[Send]:
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

    def _end(self, dialog: Dialog, cause: str, now: float, *, keep: bool = False) -> None:
        if not keep:
            self._dialogs.pop(dialog.call, None)
        if dialog.bye is None:
            self._calls.ended(dialog.call, cause, now)

    # -- responses and ACK -------------------------------------------------------------------------

    def _response(self, response: SipResponse) -> None:
        """To our BYE: whatever it says, the session is over."""
        dialog = self._dialogs.get(response.call_id)
        if dialog is not None and dialog.bye is not None and response.code >= 200:
            del self._dialogs[response.call_id]

    def _ack(self, ack: SipRequest, now: float) -> None:
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

    def _of(self, request: SipRequest) -> Dialog | None:
        dialog = self._dialogs.get(request.call_id)
        if dialog is None or (dialog.tag, dialog.remote_tag) != (request.to_tag, request.from_tag):
            return None
        return dialog

    # -- requests ----------------------------------------------------------------------------------

    def _answer(
        self, request: SipRequest, peer: Peer, now: float, transaction: Transaction
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
                dialog.accepted = repeat(Send(to, made), now)
                dialog.accepted_cseq = request.cseq
        except OfferRefused as no:
            self.counters.statuses[no.status] = self.counters.statuses.get(no.status, 0) + 1
            self.counters.refused += request.method == "INVITE"
            headers = [SERVER, *no.headers, f'Warning: 399 vad-agent "{_quotable(no.why)}"']
            made = build_response(request, no.status, source, tag=self._new_tag(), headers=headers)
            if request.method == "INVITE" and peer.transport == "UDP":
                transaction.repeated = repeat(Send(to, made), now)
        transaction.answer = Send(to, made)
        return [*sends, transaction.answer]

    def _dispatch(
        self, request: SipRequest, peer: Peer, source: tuple[str, int], now: float
    ) -> bytes:
        method = request.method
        if method == "CANCEL":
            if (request.call_id, request.branch, "INVITE") not in self._transactions:
                raise OfferRefused("481 Call/Transaction Does Not Exist", "nothing to cancel")
            # Each INVITE has its final answer at once: a CANCEL changes nothing (RFC 3261, 9.2).
            return build_response(request, "200 OK", source, headers=[SERVER])
        if method not in METHODS.split(", "):
            raise OfferRefused("405 Method Not Allowed", f"not {method[:20]}", f"Allow: {METHODS}")
        unknown = [name for name in request.tokens("Require") if name not in EXTENSIONS]
        if unknown:
            named = ", ".join(unknown)
            raise OfferRefused("420 Bad Extension", f"not {named[:60]}", f"Unsupported: {named}")
        if not request.to_tag:
            if method == "INVITE":
                return self._invite(request, peer, source, now)
            if method == "OPTIONS":
                return self._options(request, source)
        dialog = self._of(request)
        if dialog is None or (dialog.bye is not None and method != "BYE"):
            raise OfferRefused("481 Call/Transaction Does Not Exist", "no such session")
        if request.cseq <= dialog.cseq:
            raise OfferRefused("500 Server Internal Error", "CSeq is not above the last one")
        dialog.cseq, dialog.peer = request.cseq, peer
        if method == "BYE":
            self._end(dialog, _reason(request), now)
            return build_response(request, "200 OK", source, headers=[SERVER])
        if method == "OPTIONS":
            return self._options(request, source)
        return self._change(dialog, request, source, now)

    def _options(self, request: SipRequest, source: tuple[str, int]) -> bytes:
        headers = [SERVER, f"Allow: {METHODS}", _ACCEPT, f"Supported: {', '.join(EXTENSIONS)}"]
        return build_response(request, "200 OK", source, tag=self._new_tag(), headers=headers)

    def _invite(
        self, request: SipRequest, peer: Peer, source: tuple[str, int], now: float
    ) -> bytes:
        if request.call_id in self._dialogs:
            raise OfferRefused("482 Loop Detected", "this Call-ID has a session")
        body = _body(request)
        if body.metadata is None and "siprec" not in request.tokens("Require"):
            why = "only recording sessions (RFC 7866) are taken"
            raise OfferRefused("421 Extension Required", why, "Require: siprec")
        target = find_uri(request.header("Contact"))
        if not target:
            raise OfferRefused("400 Bad Request", "expected a Contact")
        if body.sdp is None:
            raise OfferRefused("488 Not Acceptable Here", "expected an SDP offer")
        tag = self._new_tag()
        given = request.message.headers
        routes = tuple(
            f"<{find_uri(one)}>"
            for text in given.getlist("Record-Route")
            for one in text.split(",")
        )
        dialog = Dialog(
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
        self, dialog: Dialog, request: SipRequest, source: tuple[str, int], now: float
    ) -> bytes:
        body = _body(request)
        if target := find_uri(request.header("Contact")):
            dialog.target = target
        if body != MessageBody():
            self._negotiate(dialog, body, self._calls.change, now)
        # An INVITE without an offer asks for ours: the present session.
        with_sdp = body.sdp is not None or request.method == "INVITE"
        return self._accepted(dialog, request, source, now, with_sdp=with_sdp)

    def _negotiate(
        self,
        dialog: Dialog,
        body: MessageBody,
        tell: Callable[[str, Sequence[MediaLine], Metadata | None, float], Sequence[int | None]],
        now: float,
    ) -> None:
        """Raises OfferRefused; nothing has changed then."""
        lines, metadata = dialog.lines, dialog.metadata
        try:
            if body.sdp is not None:
                lines = parse_offer(body.sdp)
            if body.metadata is not None:
                metadata = parse_metadata(body.metadata).after(metadata)
        except MediaError as error:
            raise OfferRefused("400 Bad Request", str(error)) from error
        if not any(line.usable for line in lines):
            raise OfferRefused("488 Not Acceptable Here", "expected audio, RTP/AVP, PCMA or PCMU")
        ports = tuple(tell(dialog.call, lines, metadata, now))
        dialog.lines, dialog.metadata, dialog.ports = lines, metadata, ports
        dialog.version += body.sdp is not None

    def _accepted(
        self,
        dialog: Dialog,
        request: SipRequest,
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
        headers += session_timer(dialog, request, now)
        body = b""
        if with_sdp:
            headers.append(f"Content-Type: {SDP_TYPE}")
            body = build_answer(peer.local, dialog.version, dialog.lines, dialog.ports)
        return build_response(request, "200 OK", source, tag=dialog.tag, headers=headers, body=body)


def _body(request: SipRequest) -> MessageBody:
    """Raises OfferRefused."""
    data, kind = request.message.body, request.header("Content-Type")
    if not data.strip():
        return MessageBody()
    if request.tokens("Content-Encoding") not in ([], ["identity"]):
        raise OfferRefused("415 Unsupported Media Type", "encoded", "Accept-Encoding: identity")
    plain = kind.partition(";")[0].strip().lower()
    if not plain.startswith("multipart/") and plain != SDP_TYPE and "rs-metadata" not in plain:
        raise OfferRefused("415 Unsupported Media Type", f"not {plain[:40]}", _ACCEPT)
    try:
        return parse_body(kind, data)
    except MediaError as error:
        raise OfferRefused("400 Bad Request", str(error)) from error


def _reason(request: SipRequest) -> str:
    """Why the client ends the session: its Reason header (RFC 3326), such as Q.850;cause=16."""
    return request.header("Reason")[:60] or "BYE"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _quotable(text: str) -> str:
    return "".join(c if c.isprintable() and c not in '"\\' else " " for c in text)[:200]
