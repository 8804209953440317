"""Which dialect a peer speaks, by its first message and the request's URI. Pure.

{"event": "MEDIA_START", …}                          Asterisk, chan_websocket
{"event": "connected"}, or start with a stream's id  Twilio and its family
{"event": "start"} without one                       Voximplant
any other text, or sound at once                     a fork of FreeSWITCH
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

from vad_agent.errors import MediaError
from vad_agent.telephony.chan_websocket import START, ChanWebSocket
from vad_agent.telephony.freeswitch_fork import FreeSwitchFork
from vad_agent.telephony.media_dialect import MediaDialect, Message, StreamParameters
from vad_agent.telephony.media_streams import STREAM_NAMES, MediaStreams
from vad_agent.telephony.voximplant_media import VoximplantMedia

MOST_FIELDS = 32


def parse_target(target: str) -> tuple[str, StreamParameters]:
    """The path of a request's target, and its parameters.

    Raises:
        MediaError: it cannot be read, or a parameter cannot be.
    """
    try:
        parts = urlsplit(target)
        fields = dict(parse_qsl(parts.query, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise MediaError("the request's address cannot be read") from None
    return parts.path, StreamParameters().updated(fields)


def recognize_dialect(parameters: StreamParameters, message: Message) -> MediaDialect:
    """The dialect of a connection. `message`: its first one, which the dialect has yet to receive."""
    told: object = None
    if isinstance(message, str):
        if message.startswith(START):  # its plain text: refused with what to do
            return ChanWebSocket(parameters)
        try:
            told = json.loads(message)
        except (ValueError, RecursionError):
            told = None
    if not isinstance(told, dict):
        return FreeSwitchFork(parameters)
    event = told.get("event")
    if event == START:
        return ChanWebSocket(parameters)
    if event == "start":
        start = told.get("start")
        named = {*told, *(start if isinstance(start, dict) else ())}.intersection(STREAM_NAMES)
        return MediaStreams(parameters) if named else VoximplantMedia(parameters)
    return MediaStreams(parameters) if event == "connected" else FreeSwitchFork(parameters)
