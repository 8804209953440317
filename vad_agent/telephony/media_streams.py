"""Media streams as Twilio has them, and as SignalWire, Telnyx, Plivo, Exotel and others copy them. No I/O.

    connected                                        not at all providers
    start    the stream's and the call's id, tracks, mediaFormat, customParameters
    media    track inbound | outbound, timestamp in ms, base64 payload of any length
    mark, dtmf, stop                                 to us
    media, mark, clear                               from us; Plivo: playAudio, checkpoint, clearAudio

Names come as `streamSid`, `stream_sid`, `stream_id` or `streamId`; numbers as numbers or texts. Inbound is
what the party says on whose channel the stream is: the client, or with leg=out the operator. Telnyx
sends chunks out of order. Source: the providers' references.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from vad_agent.core.frames import Channel
from vad_agent.errors import MediaError
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.chunk_order import ChunkOrder
from vad_agent.telephony.media_dialect import (
    MediaEvent,
    Message,
    Object,
    SampleCodec,
    StreamEnded,
    StreamParameters,
    base64_payload,
    cut,
    mark_name,
    mark_reached,
    one_side,
    parse_object,
    part,
    side_named,
    whole_number,
)

WHAT = "media stream"
STREAM_NAMES = ("streamSid", "stream_sid", "stream_id", "streamId")
_CALL_NAMES = ("callSid", "call_sid", "call_control_id", "callId", "call_id")
_OTHER = {Channel.CLIENT: Channel.OPERATOR, Channel.OPERATOR: Channel.CLIENT}


class MediaStreams:
    """One connection of such a provider. `parameters`: of the request's URI."""

    paces = True
    lag_s = 0.0

    def __init__(self, parameters: StreamParameters) -> None:
        self.marks_begin = True
        self._parameters = parameters
        self._codecs: dict[Channel, SampleCodec] = {}
        self._orders: dict[Channel, ChunkOrder] = {}
        self._id: dict[str, str] = {}
        self._plivo = False

    def receive(self, message: Message) -> Sequence[MediaEvent]:
        """What this message means.

        Raises:
            MediaError: it is none of such a provider's. The connection cannot be used any more.
        """
        told = parse_object(message, WHAT)
        event = told.get("event")
        if event == "media":
            return self._media(part(told, "media", WHAT))
        if event == "start":
            return self._start(told)
        if event == "mark":
            return mark_reached(part(told, "mark", WHAT).get("name"))
        if event == "playedStream":
            return mark_reached(told.get("name"))
        if event == "stop":
            return [StreamEnded()]
        if not isinstance(event, str):
            raise MediaError(f"{WHAT}: event: expected a text, got {cut(event)}")
        return []

    # -- start -------------------------------------------------------------------------------------

    def _start(self, told: Object) -> Sequence[MediaEvent]:
        if self._codecs:
            raise MediaError(f"{WHAT}: a second start on one connection")
        start = part(told, "start", WHAT)
        name, stream = _first(STREAM_NAMES, start, told)
        _, call = _first(_CALL_NAMES, start, told)
        self._plivo = name == "streamId"
        self.marks_begin = not self._plivo  # its checkpoints need sound before them
        telnyx = "call_control_id" in start
        if isinstance(stream, str) and not telnyx:  # Telnyx's own messages have none
            self._id = {name: stream[:100]}
        given = self._parameters
        for names in ("customParameters", "custom_parameters"):
            given = given.updated(start.get(names))
        given = given.updated(_headers(told.get("extra_headers")))
        self._parameters = given
        format = _first(("mediaFormat", "media_format"), start, told)[1]
        self._make_codecs(format if isinstance(format, dict) else {}, big_endian=telnyx)
        tracks = start.get("tracks")
        named = map(side_named, tracks) if isinstance(tracks, list) else ()
        sides = [self._side(side) for side in {*named} if side is not None]
        side = sides[0] if len(sides) == 1 else None
        # A fork of both tracks takes nothing back; who says no tracks may take it.
        return [given.started(call, side=side, two_way=len(sides) != 2, what=WHAT)]

    def _make_codecs(self, format: Object, *, big_endian: bool) -> None:
        rate = whole_number(_first(("sampleRate", "sample_rate"), format)[1] or 8_000, WHAT)
        for side in Channel:
            codec = SampleCodec(format.get("encoding", "mulaw"), rate, WHAT, big_endian=big_endian)
            self._codecs[side] = codec
            self._orders[side] = ChunkOrder(codec.rate)
        if self._plivo:  # it takes this whatever it sends
            self._out = SampleCodec("mulaw", 8_000, WHAT)
        else:
            self._out = self._codecs[Channel.CLIENT]

    def _side(self, side: Channel) -> Channel:
        return _OTHER[side] if self._parameters.leg is Channel.OPERATOR else side

    # -- media -------------------------------------------------------------------------------------

    def _media(self, media: Object) -> Sequence[MediaEvent]:
        if not self._codecs:
            raise MediaError(f"{WHAT}: expected start first, got media")
        track = media.get("track", "inbound")
        side = side_named(track)
        if side is None:
            raise MediaError(f"{WHAT}: track: expected inbound or outbound, got {cut(track)}")
        side = self._side(side)
        codec = self._codecs[side]
        payload = base64_payload(media.get("payload"), WHAT)
        ms = whole_number(media.get("timestamp"), f"{WHAT}: timestamp")
        at = None if ms is None else ms * codec.rate // 1_000
        length = len(payload) // codec.sample_bytes
        chunks = self._orders[side].push(at, length, payload)
        return one_side(side, b"".join(map(codec.decode, chunks)))

    # -- prompts -----------------------------------------------------------------------------------

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """The sound, for the provider's queue."""
        if not self._codecs:
            return []
        sound = self._out.encode(pcm)
        if not sound:
            return []  # the resampler has just begun
        media: dict[str, Any] = {"payload": b64encode(sound).decode()}
        if self._plivo:
            media |= {"contentType": "audio/x-mulaw", "sampleRate": 8_000}
        return [self._message("playAudio" if self._plivo else "media", media=media)]

    def mark(self, number: int, mark: Mark) -> Sequence[Message]:
        """Ask for a message when the queue is played up to here."""
        name = mark_name(number, mark)
        if self._plivo:
            return [self._message("checkpoint", name=name)] if mark is Mark.ENDED else []
        return [self._message("mark", mark={"name": name})]

    def clear(self) -> Sequence[Message]:
        """Empty the queue."""
        return [self._message("clearAudio" if self._plivo else "clear")]

    def _message(self, event: str, **more: object) -> str:
        return json.dumps({"event": event, **self._id, **more})


def _first(names: Sequence[str], *objects: Object) -> tuple[str, object]:
    """The first of these fields that is there, and its name."""
    return next(
        ((name, found[name]) for found in objects for name in names if name in found), ("", None)
    )


def _headers(text: object) -> object:
    """Plivo's `a=1;b=2` (or a comma) as an object."""
    if not isinstance(text, str) or "=" not in text or text.startswith("{"):
        return text
    pairs = (pair.partition("=") for pair in text.replace(",", ";").split(";"))
    return {name.strip(): value for name, _, value in pairs}
