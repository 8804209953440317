"""Asterisk's chan_websocket: one socket for each leg of a call. No I/O.

    Dial(WebSocket/NAME/c(slin)f(json)v(call=X,leg=in))    the parameters are in the request's URI
    text    {"event": "MEDIA_START", "format": "slin", …}  first; MEDIA_MARK_PROCESSED, …
    binary  a frame as Asterisk has it                     leg=both: interleaved stereo, left the client
    to it   {"command": "MARK_MEDIA" | "FLUSH_MEDIA", …}   at most MOST_COMMAND bytes, or it is not read

Asterisk paces: binary is queued, 1,000 frames at most. A mark comes one frame before its sound; a flush
deletes the marks in the queue. Source: chan_websocket.c of Asterisk 22.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from vad_agent.audio.pcm import split_stereo
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES
from vad_agent.errors import MediaError
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.media_dialect import (
    MediaEvent,
    Message,
    SampleCodec,
    SamplesReceived,
    StreamParameters,
    mark_name,
    mark_reached,
    one_side,
    parse_object,
)

WHAT = "chan_websocket"
START = "MEDIA_START"
MOST_COMMAND = 128
"""Bytes; Asterisk ignores a longer command without a word."""
_SLIN = re.compile(r"slin(12|16|24|32|44|48|96|192)?")


class ChanWebSocket:
    """One connection of Asterisk. `parameters`: of the request's URI."""

    paces = True
    marks_begin = True
    lag_s = FRAME_S

    def __init__(self, parameters: StreamParameters) -> None:
        self._parameters = parameters
        self._side = parameters.leg
        self._codecs: list[SampleCodec] = []
        self._frame = 0
        """Bytes of 20 ms of one side."""
        self._rest = b""

    def receive(self, message: Message) -> Sequence[MediaEvent]:
        """What this message means.

        Raises:
            MediaError: it is none of Asterisk's. The connection cannot be used any more.
        """
        if isinstance(message, bytes):
            return self._audio(message)
        told = parse_object(message, f"{WHAT}: with f(json) in the dial string")
        if told.get("event") == START and not self._codecs:
            codec = self._codec(told.get("format"))
            self._codecs = (
                [codec] if self._side is not None else [codec, self._codec(told["format"])]
            )
            self._frame = round(codec.rate * FRAME_S) * codec.sample_bytes
            # Without a name in the URI each socket is a call of its own.
            call = told.get("channel_id", told.get("channel"))
            return [self._parameters.started(call, side=self._side, two_way=True, what=WHAT)]
        if told.get("event") == "MEDIA_MARK_PROCESSED":
            return mark_reached(told.get("correlation_id"))
        return []

    def _codec(self, format: object) -> SampleCodec:
        found = _SLIN.fullmatch(format) if isinstance(format, str) else None
        if found is None:
            return SampleCodec(format, 8_000, WHAT)
        thousands = int(found[1] or 8)
        return SampleCodec("slin", 44_100 if thousands == 44 else thousands * 1_000, WHAT)

    def _audio(self, frame: bytes) -> Sequence[MediaEvent]:
        if not self._codecs:
            raise MediaError(f"{WHAT}: expected {START} first, got {len(frame)} bytes of sound")
        if self._side is not None:
            return one_side(self._side, self._codecs[0].decode(frame))
        if self._codecs[0].sample_bytes != SAMPLE_BYTES or len(frame) % (2 * self._frame):
            raise MediaError(
                f"{WHAT}: expected leg=in or leg=out in the URI, or slin in stereo, got {len(frame)} bytes"
            )
        left, right = split_stereo(frame)
        client, operator = (
            codec.decode(side) for codec, side in zip(self._codecs, (left, right), strict=True)
        )
        return [SamplesReceived(client, operator)] if frame else []

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """The sound, for Asterisk's queue: whole frames, since it drops what is left over."""
        if not self._codecs:
            return []
        self._rest += self._codecs[0].encode(pcm)
        whole = len(self._rest) // self._frame * self._frame
        sound, self._rest = self._rest[:whole], self._rest[whole:]
        return [sound] if sound else []

    def mark(self, number: int, mark: Mark) -> Sequence[Message]:
        """Ask for an event when the queue is played up to here."""
        last: list[Message] = []
        if self._rest:
            silence = self._codecs[0].encode(bytes(2 * self._frame))
            last, self._rest = [(self._rest + silence)[: self._frame]], b""
        return [*last, _command("MARK_MEDIA", correlation_id=mark_name(number, mark))]

    def clear(self) -> Sequence[Message]:
        """Empty the queue."""
        self._rest = b""
        return [_command("FLUSH_MEDIA")]


def _command(name: str, **more: str) -> str:
    text = json.dumps({"command": name, **more})
    assert len(text) <= MOST_COMMAND, text
    return text
