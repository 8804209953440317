"""Whole conversations of each media protocol, as its documents and sources show them: what the tests and
the mutations begin with.
"""

from __future__ import annotations

import json
from base64 import b64encode
from uuid import UUID

from vad_agent.telephony.audiosocket import HANGUP_MESSAGE, audio_message, identity_message
from vad_agent.telephony.media_dialect import Message

CALL = UUID("7b3f6a52-9d1c-4f0e-8a51-0123456789ab")
ULAW = bytes(code for code in range(256) if code != 0x7F)[:160]  # 0x7F, -0, is sent as 0xFF
L16 = bytes(range(256)) * 2 + bytes(128)
"""20 ms of stereo at 8 kHz."""

AUDIOSOCKET = (
    identity_message(CALL)
    + audio_message(b"\x01\x02" * 320)
    + b"\x03\x00\x01#"
    + audio_message(b"\x05\x00" * 160)
    + HANGUP_MESSAGE
)


def text(**fields: object) -> str:
    """A JSON message."""
    return json.dumps(fields)


def payload(samples: bytes = ULAW) -> str:
    """Samples as JSON carries them."""
    return b64encode(samples).decode()


TWILIO = [
    text(event="connected", protocol="Call", version="1.0.0"),
    text(
        event="start",
        sequenceNumber="1",
        streamSid="MZ18ad3ab5a668481ce02b83e7395059f0",
        start={
            "accountSid": "AC123",
            "streamSid": "MZ18ad3ab5a668481ce02b83e7395059f0",
            "callSid": "CA555",
            "tracks": ["inbound", "outbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"operator": "anna", "phone": "+79160000001"},
        },
    ),
    *(
        text(
            event="media",
            sequenceNumber=str(3 + n),
            streamSid="MZ18ad3ab5a668481ce02b83e7395059f0",
            media={
                "track": track,
                "chunk": str(1 + n),
                "timestamp": str(20 * (n // 2)),
                "payload": payload(),
            },
        )
        for n, track in enumerate(("inbound", "outbound") * 2)
    ),
    text(
        event="mark",
        sequenceNumber="7",
        streamSid="MZ18ad3ab5a668481ce02b83e7395059f0",
        mark={"name": "va3e"},
    ),
    text(
        event="dtmf",
        streamSid="MZ18ad3ab5a668481ce02b83e7395059f0",
        sequenceNumber="8",
        dtmf={"track": "inbound_track", "digit": "1"},
    ),
    text(event="stop", sequenceNumber="9", stop={"accountSid": "AC123", "callSid": "CA555"}),
]

TELNYX = [
    text(event="connected", version="1.0.0"),
    text(
        event="start",
        sequence_number="1",
        stream_id="32DE0DEA-53CB-4B21-89A4-9E1819C043BC",
        start={
            "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
            "call_control_id": "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
            "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
            "from": "+13122010094",
            "to": "+13122123456",
            "custom_parameters": {"operator": "anna"},
            "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
        },
    ),
    *(
        text(
            event="media",
            sequence_number=str(n),
            stream_id="32DE0DEA-53CB-4B21-89A4-9E1819C043BC",
            media={
                "track": "inbound",
                "chunk": str(n),
                "timestamp": str(20 * n),
                "payload": payload(bytes([n]) * 160),
            },
        )
        for n in (1, 3, 2, 4)
    ),
    text(event="mark", sequence_number="6", mark={"name": "va1b"}),
    text(event="stop", sequence_number="7", stop={"user_id": "3E6F995F"}),
]

PLIVO = [
    text(
        event="start",
        sequenceNumber=1,
        start={
            "callId": "12345678-1234-1234-1234-123456789abc",
            "streamId": "87654321-4321-4321-4321-cba987654321",
            "accountId": "MA1",
            "tracks": ["inbound", "outbound"],
            "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000},
        },
        extra_headers="operator=anna;phone=79160000001",
    ),
    text(
        event="media",
        sequenceNumber=2,
        streamId="87654321-4321-4321-4321-cba987654321",
        media={
            "track": "outbound",
            "timestamp": "1705312200000",
            "chunk": 1,
            "payload": payload(L16),
        },
    ),
    text(event="playedStream", streamId="87654321-4321-4321-4321-cba987654321", name="va2e"),
    text(event="clearedAudio", sequenceNumber=4, streamId="87654321-4321-4321-4321-cba987654321"),
]

VOXIMPLANT = [
    *(
        text(
            event="start",
            sequenceNumber=n,
            start={
                "tag": tag,
                "mediaFormat": {"encoding": "PCM8", "sampleRate": 8000},
                "customParameters": json.dumps({"call": "vox-1", "operator": "anna"}),
            },
        )
        for n, tag in enumerate(("client", "operator"))
    ),
    *(
        text(
            event="media",
            sequenceNumber=2 + n,
            media={
                "tag": tag,
                "chunk": n // 2,
                "timestamp": 160 * (n // 2),
                "payload": payload(L16[:320]),
            },
        )
        for n, tag in enumerate(("client", "operator") * 2)
    ),
    text(event="stop", sequenceNumber=6, stop={"tag": "client", "mediaInfo": {"duration": 40}}),
    text(event="stop", sequenceNumber=7, stop={"tag": "operator", "mediaInfo": {"duration": 40}}),
]

CHAN_WEBSOCKET: list[Message] = [
    text(
        event="MEDIA_START",
        connection_id="vad",
        channel="WebSocket/vad/0x7f8a1c004560",
        channel_id="1796082113.0",
        format="slin",
        optimal_frame_size=320,
        ptime=20,
        channel_variables={"MEDIA_WEBSOCKET_CONNECTION_ID": "vad"},
    ),
    L16[:320],
    text(event="MEDIA_MARK_PROCESSED", channel_id="1796082113.0", correlation_id="va1b"),
    text(event="DTMF_END", channel_id="1796082113.0", digit="5"),
    L16[320:],
    text(event="MEDIA_XOFF", channel_id="1796082113.0"),
    text(event="STATUS", channel_id="1796082113.0", queue_length=43, queue_full=False),
]

FREESWITCH: list[Message] = [
    text(call="fs-1", operator="anna", phone="+79160000001", rate=8000, mix="stereo"),
    L16,
    L16,
]

WEBSOCKET: dict[str, tuple[str, list[Message]]] = {
    "chan_websocket": ("/media?call=X&leg=in", CHAN_WEBSOCKET),
    "twilio": ("/", [*TWILIO]),
    "telnyx": ("/", [*TELNYX]),
    "plivo": ("/", [*PLIVO]),
    "voximplant": ("/", [*VOXIMPLANT]),
    "freeswitch": ("/", FREESWITCH),
}
"""Name → the request's target, and the messages."""
