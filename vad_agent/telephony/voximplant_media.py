"""Voximplant's media over WebSocket: one socket for a call, a tag for each leg. No I/O.

    clientCall.sendMediaTo(socket, {tag: "client", encoding: …, customParameters: {call: …}})
    operatorCall.sendMediaTo(socket, {tag: "operator", …})
    start    tag, mediaFormat PCM8 (8 kHz), PCM16 (16 kHz), ULAW, ALAW; customParameters, a JSON text
    media    tag, timestamp in samples, base64 payload
    stop     this tag is over; the socket outlives it

A stream to Voximplant begins with a start of ours. Its queue is emptied by the scenario alone, so we set
the pace: a frame each 20 ms. Source: Voximplant's media stream format.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence

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
    one_side,
    parse_object,
    part,
    side_named,
    whole_number,
)

WHAT = "Voximplant"
_RATES = {"PCM8": 8_000, "PCM16": 16_000, "ULAW": 8_000, "ALAW": 8_000}


class VoximplantMedia:
    """One connection of a scenario. `parameters`: of the request's URI."""

    paces = False
    marks_begin = False
    lag_s = 0.0

    def __init__(self, parameters: StreamParameters) -> None:
        self._parameters = parameters
        self._legs: dict[Channel, tuple[SampleCodec, ChunkOrder]] = {}
        self._started = False
        self._out = SampleCodec("ULAW", 8_000, WHAT)
        self._sent = 0
        """Messages to the peer, the start included."""

    def receive(self, message: Message) -> Sequence[MediaEvent]:
        """What this message means.

        Raises:
            MediaError: it is none of Voximplant's. The connection cannot be used any more.
        """
        told = parse_object(message, WHAT)
        event = told.get("event")
        if event == "media":
            return self._media(told, part(told, "media", WHAT))
        if event == "start":
            return self._start(told, part(told, "start", WHAT))
        if event == "stop":
            stop = told.get("stop")
            self._legs.pop(self._side(told, stop if isinstance(stop, dict) else {}), None)
            return [] if self._legs else [StreamEnded()]
        return []  # a message of the scenario's own

    def _side(self, told: Object, inner: Object) -> Channel:
        tag = inner.get("tag", told.get("tag"))
        side = self._parameters.leg if tag in (None, "") else side_named(tag)
        if side is None:
            raise MediaError(f"{WHAT}: tag: expected client or operator, got {cut(tag)}")
        return side

    def _start(self, told: Object, start: Object) -> Sequence[MediaEvent]:
        side = self._side(told, start)
        format = part(start, "mediaFormat", WHAT)
        encoding = format.get("encoding")
        rate = whole_number(format.get("sampleRate"), f"{WHAT}: sampleRate")
        if rate is None and isinstance(encoding, str):
            rate = _RATES.get(encoding)
        codec = SampleCodec(encoding, rate, WHAT)
        self._legs[side] = codec, ChunkOrder(codec.rate)
        if self._started:
            return []
        self._parameters = self._parameters.updated(start.get("customParameters"))
        self._started = True
        # Without a tag the socket is one leg's.
        tagged = start.get("tag", told.get("tag")) not in (None, "")
        alone = None if tagged else side
        # Nothing tells whether the scenario plays what we send: prompts=yes says so.
        return [self._parameters.started(None, side=alone, two_way=False, what=WHAT)]

    def _media(self, told: Object, media: Object) -> Sequence[MediaEvent]:
        side = self._side(told, media)
        if side not in self._legs:
            raise MediaError(f"{WHAT}: expected a start of tag {side} first, got media")
        codec, order = self._legs[side]
        payload = base64_payload(media.get("payload"), WHAT)
        at = whole_number(media.get("timestamp"), f"{WHAT}: timestamp")
        chunks = order.push(at, len(payload) // codec.sample_bytes, payload)
        return one_side(side, b"".join(map(codec.decode, chunks)))

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """A frame for the call."""
        found = []
        if not self._sent:
            format = {"encoding": "ULAW", "sampleRate": 8_000}
            found.append(self._message("start", mediaFormat=format))
        payload = self._out.encode(pcm)
        at = (self._sent - 1) * len(payload)
        media = {"chunk": self._sent, "timestamp": at, "payload": b64encode(payload).decode()}
        return [*found, self._message("media", **media)]

    def _message(self, event: str, **more: object) -> str:
        number, self._sent = self._sent, self._sent + 1
        return json.dumps({"event": event, "sequenceNumber": number, event: more})

    def mark(self, number: int, mark: Mark) -> Sequence[Message]:
        """Nothing: there are no marks."""
        return []

    def clear(self) -> Sequence[Message]:
        """Nothing: nothing is sent ahead."""
        return []
