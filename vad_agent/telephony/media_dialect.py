"""What all dialects of media over WebSocket have in common. No I/O: messages in, events out, and back.

    a peer's message ──receive()──> StreamStarted, SamplesReceived, MarkReached, StreamEnded
    prompts          ──audio(), mark(), clear()──> messages to the peer

Each dialect is a file of its own; `recognize_dialect` tells which one a peer speaks. All of a peer's
faults are a `MediaError`. Keys that a client presses are ignored: the script has no use for them, and they
may be a card's number, which no trace should hold.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from vad_agent.audio.pcm import from_alaw, from_ulaw, swap_bytes, to_alaw, to_ulaw
from vad_agent.audio.stream_resampler import StreamResampler
from vad_agent.core.frames import SAMPLE_BYTES, Channel
from vad_agent.errors import MediaError
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.media_capture import SAMPLE_RATE

Message = str | bytes
"""A WebSocket message: text or binary."""
Object = Mapping[str, Any]

MOST_TEXT = 200
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
_CALL = re.compile(r"[!-~]{1,200}")
_PHONE = re.compile(r"\+?[0-9]{3,20}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_SIDES = {
    **dict.fromkeys(("in", "inbound", "client", "caller"), Channel.CLIENT),
    **dict.fromkeys(("out", "outbound", "operator", "agent", "callee"), Channel.OPERATOR),
}


# -- events ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The first event: which call this connection carries."""

    call: str
    """The name of the tap."""
    side: Channel | None
    """That it carries; None: both."""
    two_way: bool
    """It takes prompts."""
    operator: str | None = None
    """The operator's login, if the stream tells it."""
    phone: str | None = None
    """The client's number, if the stream tells it."""


@dataclass(frozen=True, slots=True)
class SamplesReceived:
    """Samples of a side or both, int16 little-endian mono at 8 kHz, any number; None: none."""

    client: bytes | None
    operator: bytes | None


@dataclass(frozen=True, slots=True)
class MarkReached:
    """The peer has played phrase `number` up to this mark."""

    number: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The stream is over. Messages after it are ignored."""


MediaEvent = StreamStarted | SamplesReceived | MarkReached | StreamEnded


class MediaDialect(Protocol):
    """One connection's protocol."""

    paces: bool
    """The peer has a queue, and tells by marks what it has played."""
    marks_begin: bool
    """A mark in an empty queue comes back at once, so that it tells when a phrase begins."""
    lag_s: float
    """Seconds from a mark to its sound."""

    def receive(self, message: Message) -> Sequence[MediaEvent]:
        """What this message means.

        Raises:
            MediaError: it is none of this dialect. The connection cannot be used any more.
        """

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Messages with this sound: int16 mono at 8 kHz."""

    def mark(self, number: int, mark: Mark) -> Sequence[Message]:
        """Messages that ask for a `MarkReached`; none where the peer does not pace."""

    def clear(self) -> Sequence[Message]:
        """Messages that empty the peer's queue."""


# -- what a stream tells of its call ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamParameters:
    """What the engineer has written into the address, or the provider's own parameters:
    `call`, `leg`, `operator`, `phone`, `prompts`; FreeSWITCH also `rate` and `mix`.
    """

    call: str | None = None
    leg: Channel | None = None
    """The party whose channel the stream is attached to."""
    operator: str | None = None
    phone: str | None = None
    prompts: bool | None = None
    """It takes prompts; None: not said."""
    rate: str | None = None
    mix: str | None = None

    def updated(self, found: object) -> StreamParameters:
        """With what is in here: an object of texts, or its JSON text; what is unknown is ignored.

        Raises:
            MediaError: a value that cannot be.
        """
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                return self
        if not isinstance(found, Mapping):
            return self
        values: dict[str, Any] = {}
        for name in ("call", "leg", "operator", "phone", "prompts", "rate", "mix"):
            value = found.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, int):
                value = str(value)
            if not isinstance(value, str) or len(value) > MOST_TEXT or not value.isprintable():
                raise MediaError(f"parameter {name}: expected a short text, got {cut(value)}")
            values[name] = value.strip()
        if "call" in values and not _CALL.fullmatch(values["call"]):
            raise MediaError(f"parameter call: expected a name, got {cut(values['call'])}")
        if "leg" in values:
            leg = values.pop("leg").lower()
            if leg not in (*_SIDES, "both"):
                raise MediaError(f"parameter leg: expected in, out or both, got {cut(leg)}")
            values["leg"] = _SIDES.get(leg)
        if "prompts" in values:
            if values["prompts"] not in ("yes", "no"):
                raise MediaError(
                    f"parameter prompts: expected yes or no, got {cut(values['prompts'])}"
                )
            values["prompts"] = values["prompts"] == "yes"
        if "phone" in values and not _PHONE.fullmatch(values["phone"]):
            del values["phone"]  # `anonymous`, a name
        return replace(self, **values)

    def started(
        self, call: object, *, side: Channel | None, two_way: bool, what: str
    ) -> StreamStarted:
        """The first event. `call`: the provider's own name of the call, if `call` does not say it.

        Raises:
            MediaError: nobody says which call it is.
        """
        name = self.call or call
        if not isinstance(name, str) or not _CALL.fullmatch(name):
            raise MediaError(f"{what}: expected the call's name, got {cut(name)}")
        two_way = two_way if self.prompts is None else self.prompts
        return StreamStarted(name, side, two_way, self.operator, self.phone)


def side_named(name: object) -> Channel | None:
    """The side that a track or tag means; None: neither."""
    return _SIDES.get(name.removesuffix("_track").lower()) if isinstance(name, str) else None


# -- JSON ------------------------------------------------------------------------------------------


def cut(value: object) -> str:
    """A peer's value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def parse_object(message: Message, what: str) -> Object:
    """The JSON object of a text message.

    Raises:
        MediaError: it is none.
    """
    if isinstance(message, str):
        try:
            found = json.loads(message)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, Mapping):
            return found
    raise MediaError(f"{what}: expected a JSON object, got {cut(message)}")


def part(message: Object, name: str, what: str) -> Object:
    """The object in a field of this message.

    Raises:
        MediaError: there is none.
    """
    found = message.get(name)
    if not isinstance(found, Mapping):
        raise MediaError(f"{what}: {name}: expected an object, got {cut(found)}")
    return found


def whole_number(value: object, what: str) -> int | None:
    """A count: a number or a text of digits; None: it is not told.

    Raises:
        MediaError: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    raise MediaError(f"{what}: expected a whole number, got {cut(value)}")


def base64_payload(value: object, what: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        MediaError: it is none.
    """
    if isinstance(value, str):
        try:
            return binascii.a2b_base64(value, strict_mode=True) if value else b""
        except ValueError:
            pass
    raise MediaError(f"{what}: payload: expected base64, got {cut(value)}")


# -- samples ---------------------------------------------------------------------------------------

_ENCODINGS = {
    **dict.fromkeys(("mulaw", "ulaw", "pcmu", "x-mulaw"), "ulaw"),
    **dict.fromkeys(("alaw", "pcma", "x-alaw"), "alaw"),
    **dict.fromkeys(("l16", "x-l16", "x-raw", "slin", "pcm8", "pcm16"), "l16"),
}


class SampleCodec:
    """Converts a peer's samples (mono) to int16 at 8 kHz, and prompts to the peer's format.

    `encoding`: as the peer calls it; `rate`: Hz; `big_endian`: of 16-bit samples.

    Raises:
        MediaError: an encoding or a rate that is not known.
    """

    def __init__(
        self, encoding: object, rate: int | None, what: str, *, big_endian: bool = False
    ) -> None:
        name = encoding.removeprefix("audio/").lower() if isinstance(encoding, str) else ""
        if name not in _ENCODINGS:
            raise MediaError(f"{what}: expected u-law, A-law or L16, got {cut(encoding)}")
        if rate not in RATES:
            known = ", ".join(map(str, RATES))
            raise MediaError(f"{what}: expected a rate of {known} Hz, got {cut(rate)}")
        assert rate is not None
        self.rate = rate
        self._what = what
        self._encoding = _ENCODINGS[name]
        self._big_endian = big_endian
        self._down: StreamResampler | None = None
        self._up: StreamResampler | None = None

    @property
    def sample_bytes(self) -> int:
        """Of the peer's samples."""
        return SAMPLE_BYTES if self._encoding == "l16" else 1

    def decode(self, payload: bytes) -> bytes:
        """Samples from the peer, any number.

        Raises:
            MediaError: not whole samples.
        """
        if self._encoding == "ulaw":
            pcm = from_ulaw(payload, SAMPLE_BYTES)
        elif self._encoding == "alaw":
            pcm = from_alaw(payload, SAMPLE_BYTES)
        elif len(payload) % SAMPLE_BYTES:
            raise MediaError(
                f"{self._what}: expected whole int16 samples, got {len(payload)} bytes"
            )
        else:
            pcm = swap_bytes(payload, SAMPLE_BYTES) if self._big_endian else payload
        if self.rate == SAMPLE_RATE or not pcm:
            return pcm
        if self._down is None:
            self._down = StreamResampler(self.rate, SAMPLE_RATE)
        return self._down.push(pcm)

    def encode(self, pcm: bytes) -> bytes:
        """Samples to the peer."""
        if self.rate != SAMPLE_RATE:
            if self._up is None:
                self._up = StreamResampler(SAMPLE_RATE, self.rate)
            pcm = self._up.push(pcm)
        if self._encoding == "ulaw":
            return to_ulaw(pcm, SAMPLE_BYTES)
        if self._encoding == "alaw":
            return to_alaw(pcm, SAMPLE_BYTES)
        return swap_bytes(pcm, SAMPLE_BYTES) if self._big_endian else pcm


# -- marks -----------------------------------------------------------------------------------------

_MARKS = {Mark.STARTED: "b", Mark.ENDED: "e"}
_MARK = re.compile(r"va([0-9]{1,9})([be])")


def mark_name(number: int, mark: Mark) -> str:
    """The name of a mark at a peer."""
    return f"va{number}{_MARKS[mark]}"


def mark_reached(name: object) -> list[MediaEvent]:
    """The event of a mark with this name; none if it is not ours."""
    found = _MARK.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return []
    mark = Mark.STARTED if found[2] == "b" else Mark.ENDED
    return [MarkReached(int(found[1]), mark)]


def one_side(side: Channel, pcm: bytes) -> list[MediaEvent]:
    """The event of samples of this side; none if there are none."""
    if not pcm:
        return []
    return [SamplesReceived(pcm, None) if side is Channel.CLIENT else SamplesReceived(None, pcm)]
