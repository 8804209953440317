"""Recording clients for the tests: their messages as the vendors write them, and RTP."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

CLIENT, OPERATOR = "+79160000001", "101"

RFC_METADATA = f"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
 <datamode>complete</datamode>
 <session session_id="c2Vzc2lvbg=="><sipSessionID>ab30;remote=cd0f</sipSessionID></session>
 <participant participant_id="cGFydHkx">
  <nameID aor="sip:{CLIENT}@192.0.2.1:5060;user=phone"><name xml:lang="ru">Иван Петров</name></nameID>
 </participant>
 <participant participant_id="cGFydHky">
  <nameID aor="sip:{OPERATOR}@192.0.2.2"/>
 </participant>
 <stream stream_id="c3RyZWFtMQ==" session_id="c2Vzc2lvbg=="><label>1</label></stream>
 <stream stream_id="c3RyZWFtMg==" session_id="c2Vzc2lvbg=="><label>2</label></stream>
 <participantstreamassoc participant_id="cGFydHkx">
  <send>c3RyZWFtMQ==</send><recv>c3RyZWFtMg==</recv>
 </participantstreamassoc>
 <participantstreamassoc participant_id="cGFydHky">
  <send>c3RyZWFtMg==</send><recv>c3RyZWFtMQ==</recv>
 </participantstreamassoc>
</recording>
"""

# Ribbon (Sonus): a prefix, addresses without a scheme, and the first participant sends the second stream.
PREFIXED_METADATA = f"""<?xml version="1.0" encoding="UTF-8"?>
<tns:recording xmlns:tns='urn:ietf:params:xml:ns:recording'>
 <tns:datamode>complete</tns:datamode>
 <tns:group group_id="Z3JvdXA="><callData xmlns='urn:ietf:params:xml:ns:callData'>
  <fromhdr>"Client" &lt;sip:{CLIENT}@192.0.2.1&gt;;tag=1</fromhdr></callData></tns:group>
 <tns:participant participant_id="cDE=">
  <tns:nameID aor="{CLIENT}@192.0.2.1"><tns:name xml:lang="en">Extension 8500</tns:name></tns:nameID>
 </tns:participant>
 <tns:participant participant_id="cDI=">
  <tns:nameID aor="{OPERATOR}@192.0.2.2"><tns:name xml:lang="en"> </tns:name></tns:nameID>
 </tns:participant>
 <tns:stream stream_id="czE=" session_id="cw=="><tns:label>1</tns:label></tns:stream>
 <tns:stream stream_id="czI=" session_id="cw=="><tns:label>2</tns:label></tns:stream>
 <tns:participantstreamassoc participant_id="cDE=">
  <tns:send>czI=</tns:send><tns:recv>czE=</tns:recv></tns:participantstreamassoc>
 <tns:participantstreamassoc participant_id="cDI=">
  <tns:send>czE=</tns:send><tns:recv>czI=</tns:recv></tns:participantstreamassoc>
</tns:recording>
"""

# Oracle (Acme Packet): a draft; streams inside of the participants, who called in an extension.
ORACLE_METADATA = f"""<?xml version='1.0' encoding='UTF-8'?>
<recording xmlns='urn:ietf:params:xml:ns:recording'>
 <datamode>complete</datamode>
 <session id="c2Vzc2lvbg=="/>
 <participant id="cDI=" session="c2Vzc2lvbg==">
  <nameID aor="sip:{OPERATOR}@192.0.2.2"><name>{OPERATOR}</name></nameID>
  <send>czI=</send>
  <extensiondata xmlns:apkt="http://acmepacket.com/siprec/extensiondata">
   <apkt:callingParty>false</apkt:callingParty></extensiondata>
 </participant>
 <participant id="cDE=" session="c2Vzc2lvbg==">
  <nameID aor="sip:{CLIENT}@192.0.2.1"><name>{CLIENT}</name></nameID>
  <send>czE=</send>
  <extensiondata xmlns:apkt="http://acmepacket.com/siprec/extensiondata">
   <apkt:callingParty>true</apkt:callingParty></extensiondata>
 </participant>
 <stream id="czE=" session="c2Vzc2lvbg=="><label>16777227</label><mode>separate</mode></stream>
 <stream id="czI=" session="c2Vzc2lvbg=="><label>16777228</label><mode>separate</mode></stream>
</recording>
"""


def broadworks_metadata(mode: str) -> str:
    """An older draft still: <aor>, and ids inside of <send>. Mixed: both send into one stream."""
    second = "urn:uuid:s1" if mode == "mixed" else "urn:uuid:s2"
    more = (
        ""
        if mode == "mixed"
        else f'<stream id="{second}" session="urn:uuid:c"><label>2</label></stream>'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<recording_metadata xmlns="urn:ietf:params:xml:ns:siprec"><dataMode>complete</dataMode>'
        '<recording id="urn:uuid:r"><requestor>SRC</requestor><type>selective</type></recording>'
        '<session id="urn:uuid:c" group="urn:uuid:g"/>'
        f'<participant id="urn:uuid:p1" session="urn:uuid:c"><aor>sip:{CLIENT}@192.0.2.1;user=phone</aor>'
        "<send><id>urn:uuid:s1</id></send></participant>"
        f'<participant id="urn:uuid:p2" session="urn:uuid:c"><aor>sip:{OPERATOR}@192.0.2.2</aor>'
        f"<send><id>{second}</id></send></participant>"
        f'<stream id="urn:uuid:s1" session="urn:uuid:c"><label>1</label><mode>{mode}</mode></stream>{more}'
        "</recording_metadata>"
    )


def sdp(
    labels: tuple[str, ...] = ("1", "2"),
    *,
    directions: tuple[str, ...] = ("sendonly", "sendonly"),
    formats: str = "8 0 101",
    extra: str = "",
) -> str:
    """An offer with a media line for each label."""
    lines = ["v=0", "o=SRC 1247 9367 IN IP4 127.0.0.1", "s=SIP Call", "c=IN IP4 127.0.0.1", "t=0 0"]
    for number, (label, direction) in enumerate(zip(labels, directions, strict=False)):
        lines += [
            f"m=audio {40_000 + 2 * number} RTP/AVP {formats}",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:101 telephone-event/8000",
            f"a=label:{label}",
            f"a={direction}",
        ]
        lines += [extra] if extra else []
    return "\r\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class Offer:
    """A vendor's way to write the body."""

    name: str
    sdp: str
    metadata: str | None
    metadata_type: str = "application/rs-metadata+xml"
    metadata_first: bool = False
    closed: bool = True
    sides: tuple[str, ...] = ("client", "operator")
    """Whose voice each media line carries."""
    client_name: str | None = None
    operator: str | None = OPERATOR
    headers: tuple[str, ...] = field(default=("Require: siprec",))

    @property
    def body(self) -> bytes:
        parts = [f"Content-Type: application/sdp\r\nContent-Disposition: session\r\n\r\n{self.sdp}"]
        if self.metadata is not None:
            text = self.metadata.replace("\n", "\r\n")
            head = f"Content-Type: {self.metadata_type}\r\nContent-Disposition: recording-session"
            parts.append(f"{head}\r\n\r\n{text}")
        if self.metadata_first:
            parts.reverse()
        text = "".join(f"\r\n--OSS-unique-boundary-42\r\n{part}\r\n" for part in parts)
        return (text + ("--OSS-unique-boundary-42--\r\n" if self.closed else "")).encode()


OFFERS = (
    Offer("RFC 7866", sdp(), RFC_METADATA, client_name="Иван Петров"),
    Offer("Cisco: no last boundary", sdp(), RFC_METADATA, closed=False, client_name="Иван Петров"),
    Offer(
        "Ribbon: streams crossed", sdp(), PREFIXED_METADATA, metadata_first=True,
        sides=("operator", "client"), client_name="Extension 8500",
    ),
    Offer("Oracle: long labels", sdp(("16777227", "16777228"), formats="0"), ORACLE_METADATA),
    Offer(
        "SEMS: a_leg", sdp(("a_leg", "b_leg"), formats="8"),
        RFC_METADATA.replace("<label>1", "<label>a_leg").replace("<label>2", "<label>b_leg"),
        metadata_type="application/rs-metadata", client_name="Иван Петров",
    ),
    Offer(
        "BroadWorks: one mixed stream", sdp(("1",)), broadworks_metadata("mixed"),
        metadata_type="application/ +xml", metadata_first=True, sides=("both",), headers=(),
    ),
    Offer(
        "BroadWorks: two streams", sdp(), broadworks_metadata("separate"), metadata_first=True,
        metadata_type="application/rs-metadata+xml",
    ),
    Offer(
        "OpenSIPS: no associations", sdp(("0", "1")),
        RFC_METADATA.partition(" <stream ")[0] + "</recording>", client_name="Иван Петров",
    ),
    Offer("Metaswitch: one stream, no metadata", sdp(("1",)), None, sides=("both",), operator=None),
    Offer(
        "Avaya: a third, mixed stream", sdp(("1", "2", "3"), directions=("sendonly",) * 3),
        RFC_METADATA, sides=("client", "operator", "nobody"), client_name="Иван Петров",
    ),
)  # fmt: skip


def message(
    line: str = "INVITE sip:record@127.0.0.1 SIP/2.0",
    *,
    call: str = "call-1@src",
    cseq: int = 1,
    branch: str | None = None,
    tag: str = "",
    transport: str = "UDP",
    headers: tuple[str, ...] = (),
    body: bytes = b"",
    kind: str = "multipart/mixed;boundary=OSS-unique-boundary-42",
) -> bytes:
    """A request. `tag`: the server's, in a dialog."""
    method = line.partition(" ")[0]
    branch = branch or f"z9hG4bK-{method}-{cseq}"
    lines = [
        line,
        f"Via: SIP/2.0/{transport} 192.0.2.9:5070;branch={branch};rport",
        "Max-Forwards: 70",
        "From: <sip:src@192.0.2.9>;tag=src-1",
        "To: <sip:record@127.0.0.1>" + (f";tag={tag}" if tag else ""),
        f"Call-ID: {call}",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:src@192.0.2.9:5070>;+sip.src",
        *headers,
    ]
    lines += [f"Content-Type: {kind}"] if body else []
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def invite(offer: Offer = OFFERS[0], **more: object) -> bytes:
    """The first request of a session."""
    return message(headers=offer.headers, body=offer.body, **more)  # type: ignore[arg-type]


def rtp(
    sequence: int, timestamp: int, payload: bytes, *, payload_type: int = 8, ssrc: int = 7
) -> bytes:
    """One packet; numbers wrap."""
    return (
        struct.pack(">BBHII", 0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        + payload
    )


def goodbye(ssrc: int) -> bytes:
    """A receiver report and a BYE."""
    return struct.pack(">BBHI", 0x80, 201, 1, ssrc) + struct.pack(">BBHI", 0x81, 203, 1, ssrc)
