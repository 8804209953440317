"""SIP messages (RFC 3261): from bytes, from a TCP stream, and our answers. No I/O.

`sipmessage` parses the message and its headers. Here is what it lacks: lines that are folded, spaces before
the colon, limits, messages in a stream, and answers whose Via, From and To are exactly those of the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sipmessage

from vad_agent.errors import MediaError

MOST_HEAD, MOST_BODY = 16_384, 65_536
"""Bytes of the headers, and of the body."""
MOST_LINE = 2_048
"""Bytes of one header that is parsed, and of the first line."""
_END = b"\r\n\r\n"
_CONTROLS = re.compile(rb"[\0-\x08\x0a-\x1f]")
_FIRST = re.compile(rb"\A([A-Za-z]+) [^ \r\n]+ SIP/2\.0(?=\r\n)")
_FOLDED = re.compile(rb"\r\n[ \t]+")
_SPACED = re.compile(rb"(?m)^([A-Za-z-]+)[ \t]+:")
_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*\r?$")
_TAG = re.compile(r";\s*tag\s*=\s*([^\s;,\"]+)", re.IGNORECASE)
_RPORT = re.compile(r";\s*rport(?=\s*(?:;|,|$))(?:\s*=\s*)?", re.IGNORECASE)
_URI = re.compile(r"<([^<>\s]+)>|([^\s;,<>]+)")
_PARSED = ("via", "v", "from", "f", "to", "t", "cseq", "call-id", "i", "contact", "m")


@dataclass(frozen=True, slots=True)
class SipRequest:
    """A request, with what decides where it belongs."""

    method: str
    call_id: str
    cseq: int
    branch: tuple[str, str, int | None]
    """Of the topmost Via: the branch, and who sent it."""
    from_tag: str
    to_tag: str
    """Empty: the request is outside of a dialog."""
    rport: bool
    """The response goes to the port from which the request came, else to the one of `branch`."""
    message: sipmessage.Request

    def header(self, name: str) -> str:
        """The header's first value; empty: it is missing."""
        return (self.message.headers.get(name) or "").strip()

    def tokens(self, name: str) -> list[str]:
        """The header's values, in lower case."""
        text = ",".join(self.message.headers.getlist(name))
        return [word.strip().lower() for word in text.split(",") if word.strip()]


@dataclass(frozen=True, slots=True)
class SipResponse:
    """A response to a request of ours."""

    code: int
    call_id: str
    cseq: int
    method: str


def parse_message(data: bytes) -> SipRequest | SipResponse:
    """Parse one message.

    Raises:
        MediaError: it is no SIP message that could be answered.
    """
    head, end, body = data.partition(_END)
    if not end or len(head) > MOST_HEAD or len(body) > MOST_BODY:
        raise MediaError("SIP: expected headers, an empty line, and a body, within the limits")
    if _CONTROLS.search(head.replace(b"\r\n", b"")):
        raise MediaError("SIP: expected lines that end in CR LF, without control characters")
    # The address in the first line is ours. Some cannot be parsed (a_b), and some take long.
    head = _FIRST.sub(rb"\1 sip:vad-agent SIP/2.0", head)
    head = _SPACED.sub(rb"\1:", _FOLDED.sub(b" ", head))
    _check_lines(head)
    if (found := _LENGTH.search(head)) is not None:
        if int(found[1]) > len(body):
            raise MediaError(f"SIP: expected a body of {int(found[1])} bytes, got {len(body)}")
        body = body[: int(found[1])]
    try:
        message = sipmessage.Message.parse(head + end + body)
        cseq = message.cseq
        common = message.call_id, cseq.sequence
        if not common[0] or cseq.sequence >= 1 << 32:
            raise ValueError("Call-ID or CSeq is not valid")
        if isinstance(message, sipmessage.Response):
            return SipResponse(message.code, *common, cseq.method)
        via = message.via[0]
        if cseq.method != message.method:
            raise ValueError("CSeq is of another method")
        return SipRequest(
            message.method,
            *common,
            branch=(via.parameters.get("branch") or "", via.host.lower(), via.port),
            from_tag=_tag(message.headers["From"]),
            to_tag=_tag(message.headers["To"]),
            rport="rport" in via.parameters,
            message=message,
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        said = str(error)[:100] or type(error).__name__
        # sipmessage raises the same object each time: it would keep the frames of every message.
        error.__traceback__ = error.__context__ = None
        raise MediaError(f"SIP: {said}") from None


def _check_lines(head: bytes) -> None:
    """The patterns of the parser take long for very long lines."""
    first, *lines = head.split(b"\r\n")
    parsed = [
        line
        for line in lines
        if line.partition(b":")[0].strip().lower().decode("ascii", "replace") in _PARSED
    ]
    if any(len(line) > MOST_LINE for line in (first, *parsed)):
        raise MediaError(f"SIP: expected lines of at most {MOST_LINE} bytes")


def _tag(value: str) -> str:
    found = _TAG.search(value.rpartition(">")[2] if ">" in value else value)
    return found[1] if found else ""


class SipStream:
    """Finds the messages in the bytes of one TCP connection. Holds at most one message."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Yield the whole messages, in order; empty lines between them keep the connection open.

        Raises:
            MediaError: the bytes are no SIP; where the next message begins is not known any more.
        """
        self._rest += data
        while True:
            self._rest = self._rest.lstrip(b"\r\n")
            head, end, rest = self._rest.partition(_END)
            if len(head) > MOST_HEAD:
                raise MediaError(f"SIP: expected at most {MOST_HEAD} bytes of headers")
            if not end:
                return
            found = _LENGTH.search(_FOLDED.sub(b" ", head))
            if found is None or int(found[1]) > MOST_BODY:
                raise MediaError(f"SIP: expected Content-Length, at most {MOST_BODY}, over TCP")
            length = int(found[1])
            if len(rest) < length:
                return
            yield head + end + rest[:length]
            self._rest = rest[length:]


def build_response(
    request: SipRequest,
    status: str,
    source: tuple[str, int],
    *,
    tag: str = "",
    headers: Sequence[str] = (),
    body: bytes = b"",
) -> bytes:
    """A response. `status`: `200 OK`; `tag`: of our side, where the request has none."""
    given = request.message.headers
    lines = [f"SIP/2.0 {status}"]
    for number, via in enumerate(given.getlist("Via")):
        lines.append(f"Via: {_received(via, *source) if not number else via}")
    lines.append(f"From: {given['From']}")
    to = given["To"]
    lines.append(f"To: {to};tag={tag}" if tag and not request.to_tag else f"To: {to}")
    lines += [f"Call-ID: {request.call_id}", f"CSeq: {given['CSeq']}", *headers]
    return _with_body(lines, body)


def _received(via: str, host: str, port: int) -> str:
    """The topmost Via says where its request came from (RFC 3261, 18.2.1; RFC 3581)."""
    top, comma, others = via.partition(",")
    top = _RPORT.sub(f";rport={port}", top)
    return f"{top};received={host}{comma}{others}"


def build_request(line: str, headers: Sequence[str]) -> bytes:
    """A request without a body. `line`: `BYE sip:…`."""
    return _with_body([f"{line} SIP/2.0", *headers], b"")


def _with_body(lines: Sequence[str], body: bytes) -> bytes:
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def find_uri(address: str) -> str:
    """The URI of a Contact or Record-Route; empty: there is none."""
    found = _URI.search(address)
    return (found[1] or found[2]) if found else ""
