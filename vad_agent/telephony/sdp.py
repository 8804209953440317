"""SDP offers of a recording client, and our answers (RFC 8866, RFC 3264). No I/O.

    m=audio 20106 RTP/AVP 8 0 101      one line for each stream
    a=rtpmap:8 PCMA/8000               8 is PCMA and 0 is PCMU also without it
    a=label:1                          the metadata names the stream by it
    a=sendonly                         or inactive: on hold

Of what the telephone world writes only this is read; `c=` and the ports are where our own media would
go, and we send none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vad_agent.errors import MediaError
from vad_agent.telephony.rtp_stream import Codec

MOST_LINES = 16
"""Media lines of one offer; more is no call."""
PROFILES = ("RTP/AVP", "RTP/AVPF")
_STATIC = {0: Codec.PCMU, 8: Codec.PCMA}
_RTPMAP = re.compile(r"([0-9]{1,3})[ \t]+([^/ \t]+)/([0-9]{1,6})(/1)?[ \t]*")


class Direction(StrEnum):
    """Who sends, seen from the one who says it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


_DIRECTIONS = {f"a={one}": one for one in Direction}


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One `m=` line of an offer, with its attributes."""

    media: str
    port: int
    """0: the stream is refused, or has ended."""
    profile: str
    formats: tuple[str, ...]
    codecs: Mapping[int, Codec]
    """Payload types that can be decoded, in the order of the offer."""
    direction: Direction
    label: str | None
    rtcp_mux: bool

    @property
    def usable(self) -> bool:
        """It is a stream of ours, active or not: audio that can be decoded."""
        known = self.media == "audio" and self.profile in PROFILES
        return known and self.port > 0 and bool(self.codecs)

    @property
    def sends(self) -> bool:
        """Media will come."""
        return self.direction in (Direction.SENDONLY, Direction.SENDRECV)


def parse_offer(data: bytes) -> tuple[MediaLine, ...]:
    """The media lines of an offer.

    Raises:
        MediaError: it is no SDP.
    """
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise MediaError("SDP: expected UTF-8") from None
    lines = [line.strip() for line in lines if line.strip()]
    if not lines or lines[0] != "v=0":
        raise MediaError("SDP: expected v=0 first")
    session: list[str] = []
    media: list[list[str]] = []
    for line in lines:
        if len(line) < 2 or line[1] != "=":
            raise MediaError(f"SDP: expected name=value, got {line[:40]!r}")
        if line[0] == "m":
            media.append([])
        (media[-1] if media else session).append(line)
    if len(media) > MOST_LINES:
        raise MediaError(f"SDP: expected at most {MOST_LINES} media lines, got {len(media)}")
    default = _direction(session, Direction.SENDRECV)
    return tuple(_media_line(one, default) for one in media)


def _media_line(lines: Sequence[str], default: Direction) -> MediaLine:
    words = lines[0][2:].split()
    port = words[1].partition("/")[0] if len(words) > 3 else ""
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65_535:
        raise MediaError(f"SDP: expected m=audio PORT RTP/AVP FORMATS, got {lines[0][:60]!r}")
    formats = tuple(words[3:])
    named: dict[int, Codec | None] = {}
    for value in _attributes(lines, "rtpmap"):
        if found := _RTPMAP.fullmatch(value):
            name, rate = found[2].upper(), int(found[3])
            known = name in Codec.__members__ and rate == 8_000
            named[int(found[1])] = Codec[name] if known else None
    codecs = {}
    for text in formats:
        if text.isascii() and text.isdecimal() and len(text) <= 3:
            codec = named.get(int(text), _STATIC.get(int(text)))
            if codec is not None:
                codecs[int(text)] = codec
    labels = [value for value in _attributes(lines, "label") if value]
    return MediaLine(
        media=words[0].lower(),
        port=int(port),
        profile=words[2].upper(),
        formats=formats,
        codecs=codecs,
        direction=_direction(lines, default),
        label=labels[0] if labels else None,
        rtcp_mux="a=rtcp-mux" in lines,
    )


def _attributes(lines: Sequence[str], name: str) -> list[str]:
    start = f"a={name}:"
    return [line[len(start) :].strip() for line in lines if line.startswith(start)]


def _direction(lines: Sequence[str], default: Direction) -> Direction:
    said = [_DIRECTIONS[line] for line in lines if line in _DIRECTIONS]
    return said[-1] if said else default


def build_answer(
    host: str, version: int, lines: Sequence[MediaLine], ports: Sequence[int | None]
) -> bytes:
    """Our answer: a media line for each one offered. `ports`: where it is received; None: refused."""
    family = "IP6" if ":" in host else "IP4"
    said = ["v=0", f"o=vad-agent 1 {version} IN {family} {host}", "s=-"]
    said += [f"c=IN {family} {host}", "t=0 0"]
    for line, port in zip(lines, ports, strict=True):
        if port is None:
            said.append(f"m={line.media} 0 {line.profile} {' '.join(line.formats)}")
            continue
        said.append(f"m=audio {port} {line.profile} {' '.join(map(str, line.codecs))}")
        said += [f"a=rtpmap:{number} {codec}/8000" for number, codec in line.codecs.items()]
        said.append(f"a={Direction.RECVONLY if line.sends else Direction.INACTIVE}")
        if line.label is not None:
            said.append(f"a=label:{line.label}")
        if line.rtcp_mux:
            said.append("a=rtcp-mux")
    return ("\r\n".join(said) + "\r\n").encode()
