"""AudioSocket: Asterisk's audio of one channel over TCP. No I/O: bytes in, messages out, and back.

    kind (1 byte)  length (2, big-endian)  payload
    0x00           0                       hangup; closing the connection is the same
    0x01           16                      the call's UUID, the first message
    0x03           1                       a DTMF digit, ASCII
    0x10 … 0x18    n                       int16 little-endian at 8 kHz … 192 kHz
    0xff           1                       an error; Asterisk itself never sends it

From us Asterisk accepts audio and hangup alone; any other kind, or audio without a payload, ends the
leg. Source: res_audiosocket.c of Asterisk 22.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from vad_agent.errors import MediaError

HANGUP, IDENTITY, DTMF, AUDIO, ERROR = 0x00, 0x01, 0x03, 0x10, 0xFF
RATES = dict(
    enumerate((8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000), AUDIO)
)
"""Kind of an audio message → its sample rate, Hz."""
_KINDS = {rate: kind for kind, rate in RATES.items()}
_HEADER = struct.Struct(">BH")
_DIGITS = frozenset(b"0123456789*#ABCDabcd")


@dataclass(frozen=True, slots=True)
class CallIdentified:
    """The first message: which call this connection belongs to."""

    id: UUID


class AudioReceived(NamedTuple):
    """Audio as it came: int16 little-endian, any length of whole samples."""

    rate: int
    """Hz."""
    pcm: bytes


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """A pressed key: one of 0-9, *, #, A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class HangupReceived:
    """The channel has ended. Messages after it are ignored."""


Message = CallIdentified | AudioReceived | DigitReceived | HangupReceived


class AudioSocketReceiver:
    """Parses the bytes of one connection. Holds at most one message, 64 KiB."""

    def __init__(self) -> None:
        self._rest = b""
        self._identified = False
        self._ended = False

    def receive(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete, in order.

        Raises:
            MediaError: the bytes are no AudioSocket. The connection cannot be used any more.
        """
        if self._ended:
            return
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        while size - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, at)
            if not self._identified and (kind, length) != (IDENTITY, 16):
                raise self._fail(f"expected the call's UUID first, got kind 0x{kind:02x}")
            end = at + _HEADER.size + length
            if end > size:
                break
            message = self._message(kind, data[at + _HEADER.size : end])
            at = end
            if message is None:
                continue
            yield message
            if isinstance(message, HangupReceived):
                self._ended, self._rest = True, b""
                return
        self._rest = data[at:]

    def _message(self, kind: int, payload: bytes) -> Message | None:
        if kind in RATES:
            if len(payload) % 2:
                raise self._fail(f"audio: expected whole int16 samples, got {len(payload)} bytes")
            return AudioReceived(RATES[kind], payload) if payload else None
        if kind == HANGUP:
            return HangupReceived()
        if kind == IDENTITY:
            if self._identified:
                raise self._fail("a second UUID on one connection")
            self._identified = True
            return CallIdentified(UUID(bytes=payload))
        if kind == DTMF:
            if len(payload) != 1 or payload[0] not in _DIGITS:
                raise self._fail("DTMF: expected one digit")
            return DigitReceived(payload.decode().upper())
        if kind == ERROR:
            code = payload.hex() or "none"
            raise self._fail(f"the peer reports an error, code {code}")
        raise self._fail(f"unknown kind 0x{kind:02x}")

    def _fail(self, problem: str) -> MediaError:
        self._ended, self._rest = True, b""
        return MediaError(f"AudioSocket: {problem}")


def audio_message(pcm: bytes, rate: int = 8_000) -> bytes:
    """A message with audio: int16 little-endian, mono.

    Raises:
        ValueError: no samples, half a sample, more than 65,535 bytes, or a rate without a kind.
    """
    kind = _KINDS.get(rate)
    if kind is None or not pcm or len(pcm) % 2 or len(pcm) > 0xFFFF:
        raise ValueError(
            f"expected 1 to 32,767 int16 samples at a known rate, got {len(pcm)} bytes"
        )
    return _HEADER.pack(kind, len(pcm)) + pcm


def identity_message(id: UUID) -> bytes:
    """The message with the call's UUID, as a PBX sends it."""
    return _HEADER.pack(IDENTITY, 16) + id.bytes


HANGUP_MESSAGE = _HEADER.pack(HANGUP, 0)
"""Ends the leg."""
