"""RTP and RTCP packets (RFC 3550). No I/O: a datagram in, what it says out.

     0                   1                   2                   3
    |V=2|P|X|  CC   |M|     PT      |           sequence            |
    |                          timestamp                            |   units of the codec's clock: 8 kHz
    |                            SSRC                               |
    |     CSRC × CC, a header extension if X, the payload, padding if P

On a port that carries both, the second octet tells RTCP: 192 to 223 (RFC 5761).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vad_agent.errors import MediaError

VERSION = 2
GOODBYE = 203
"""Packet type of an RTCP BYE."""
_RTP = struct.Struct(">BBHII")
_RTCP = struct.Struct(">BBH")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet. `sequence`, `timestamp` and `ssrc` as on the wire: they wrap."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def is_rtcp(data: bytes) -> bool:
    """The datagram is RTCP, if it is anything."""
    return len(data) > 1 and 192 <= data[1] <= 223


def parse_rtp(data: bytes) -> RtpPacket:
    """Parse a datagram.

    Raises:
        MediaError: it is no RTP packet.
    """
    if len(data) < _RTP.size:
        raise MediaError(f"RTP: expected at least {_RTP.size} bytes, got {len(data)}")
    first, second, sequence, timestamp, ssrc = _RTP.unpack_from(data)
    if first >> 6 != VERSION:
        raise MediaError(f"RTP: expected version {VERSION}, got {first >> 6}")
    begin, end = _RTP.size + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if begin + 4 > end:
            raise MediaError("RTP: the header extension is cut off")
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4])
    if first & 0x20:
        end -= data[-1] or end  # padding of no length is none that could be
    if begin > end:
        raise MediaError("RTP: the header is longer than the packet")
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[begin:end])


def parse_goodbyes(data: bytes) -> frozenset[int]:
    """The SSRCs that an RTCP datagram says goodbye for; most say it for none.

    Raises:
        MediaError: it is no RTCP.
    """
    found: set[int] = set()
    at = 0
    while at < len(data):
        if at + _RTCP.size > len(data):
            raise MediaError("RTCP: a packet is cut off")
        first, kind, words = _RTCP.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if first >> 6 != VERSION or end > len(data):
            raise MediaError("RTCP: expected whole packets of version 2")
        if kind == GOODBYE:
            count = first & 0x1F
            if count > words:
                raise MediaError("RTCP: a BYE is cut off")
            found.update(struct.unpack_from(f">{count}I", data, at + _RTCP.size))
        at = end
    return frozenset(found)
