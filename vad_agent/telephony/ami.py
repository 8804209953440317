"""Asterisk's Manager Interface (AMI): bytes to messages, actions to bytes. Without I/O.

    Asterisk Call Manager/11.0.0                       the first line
    Event: Hold⏎ Channel: PJSIP/101-01⏎ Uniqueid: 1796067448.3⏎ ⏎        a message: lines, an empty line
    Action: Hangup⏎ ActionID: 7⏎ Channel: 1796067448.0⏎ ⏎                an action
    Response: Success⏎ ActionID: 7⏎ Message: …⏎ ⏎                        its response

Lines end with CR LF. Names of headers are in lower case here. Of a repeated header the first counts, so
that a value cannot replace a header before it; a line that is no header is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from vad_agent.errors import DialError

GREETING = b"Asterisk Call Manager/"
MOST_BYTES = 256 * 1024
"""Of a message that has not ended. Asterisk's largest are some kilobytes."""

Message = Mapping[str, str]


class AmiReceiver:
    """Takes the bytes of one connection."""

    def __init__(self) -> None:
        self.version: str | None = None
        """Of the protocol; None: the greeting has not come."""
        self._buffer = bytearray()
        self._searched = 0

    def receive(self, data: bytes) -> list[Message]:
        """Take bytes. Return the messages that they complete.

        Raises:
            DialError: this is no AMI, or a message does not end.
        """
        self._buffer += data
        if self.version is None and not self._greeted():
            return []
        found = []
        while (end := self._buffer.find(b"\r\n\r\n", max(self._searched - 3, 0))) >= 0:
            if message := _parse(bytes(self._buffer[:end])):
                found.append(message)
            del self._buffer[: end + 4]
            self._searched = 0
        self._searched = len(self._buffer)
        if len(self._buffer) > MOST_BYTES:
            raise DialError(f"AMI: a message has not ended after {MOST_BYTES} bytes")
        return found

    def _greeted(self) -> bool:
        beginning = bytes(self._buffer[: len(GREETING)])
        if not GREETING.startswith(beginning):
            raise DialError(f"AMI: expected {GREETING.decode()}…, got {beginning[:20]!r}")
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > len(GREETING) + 40:
                raise DialError("AMI: the first line does not end")
            return False
        self.version = self._buffer[len(GREETING) : end].decode("utf-8", "replace")
        del self._buffer[: end + 2]
        return True


def _parse(block: bytes) -> Message:
    found: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def action(name: str, id: str, **headers: str) -> bytes:
    """The bytes of an action.

    >>> action("Ping", "1")
    b'Action: Ping\\r\\nActionID: 1\\r\\n\\r\\n'

    Raises:
        DialError: a value has a line break, and would be another header.
    """
    lines = {"Action": name, "ActionID": id, **headers}
    if any(sign in value for value in lines.values() for sign in "\r\n\0"):
        raise DialError(f"AMI: {name}: expected values of one line")
    return "".join(f"{key}: {value}\r\n" for key, value in lines.items()).encode() + b"\r\n"


def challenge_key(challenge: str, secret: str) -> str:
    """What `Login` has instead of the secret (AuthType MD5), so that the secret is not on the network."""
    return hashlib.md5((challenge + secret).encode(), usedforsecurity=False).hexdigest()
