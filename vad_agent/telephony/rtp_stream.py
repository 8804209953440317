"""One side's RTP stream in the order of its timestamps, as frames of 20 ms. Pure: time is an argument.

    packets   |1   |2   |    |4   |3   |5   |        4 waits for 3, at most REORDER_S
    frames    |1   |2   |3   |4   |5   |
    sequence  1 2 3 4, timestamp 0 160 320 8000      nothing was lost: the sender was silent (DTX)
    frames    |1   |2   |3   |--------- 47 missing ---------|4   |

Packets may have any length (20 and 30 ms are common). What was lost, what the sender did not send, comfort
noise (RFC 3389) and telephone events are missing frames: only samples that came count as heard. A
frame of which a part is missing is missing.

`audio.jitter_buffer` pairs both sides on the arrival clock, and takes a frame that follows another one
for its successor. That holds for a device, whose frames come in order and without gaps. So this module
comes before it: it restores the order, and tells it the gaps.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vad_agent.audio.pcm import from_alaw, from_ulaw
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES, samples_per_frame
from vad_agent.telephony.media_capture import SAMPLE_RATE
from vad_agent.telephony.rtp import RtpPacket

REORDER_S = 0.06
"""Seconds that a packet waits for those before it."""
MOST_WAITING = 16
"""Packets that wait; one more, and the missing ones are given up."""
SLACK_S = 0.3
"""Seconds by which timestamps may run ahead of the clock; more is another count of the sender."""
FRAME_BYTES = samples_per_frame(SAMPLE_RATE) * SAMPLE_BYTES
MOST_LOST = 3_000
"""A larger step of the sequence numbers is another count of the sender (RFC 3550, A.1: MAX_DROPOUT)."""
_HALF, _WHOLE = 1 << 31, 1 << 32


class Codec(StrEnum):
    """What a payload is, by its name in SDP. All have one byte a sample, at 8 kHz."""

    PCMU = "PCMU"
    PCMA = "PCMA"


_DECODERS: Mapping[Codec, Callable[[bytes, int], bytes]] = {
    Codec.PCMU: from_ulaw,
    Codec.PCMA: from_alaw,
}

Run = bytes | int
"""One frame, int16 mono at SAMPLE_RATE; or the number of frames that are missing."""


@dataclass(order=True, slots=True)
class _Waiting:
    timestamp: int  # extended: it does not wrap
    sequence: int = field(compare=False)
    pcm: bytes = field(compare=False)
    came_at: float = field(compare=False)


@dataclass(slots=True)
class RtpCounters:
    """Counted since the start."""

    packets: int = 0
    lost: int = 0
    """Packets that were given up; one that comes later is late too."""
    late: int = 0
    """Packets that came twice, or after their place was given up."""
    not_audio: int = 0
    """Comfort noise, telephone events, and codecs that were not agreed on."""
    restarts: int = 0
    """Changes of the SSRC or of its timestamps."""


class RtpStream:
    """`codecs`: those of the payload types; others are no audio."""

    def __init__(self, codecs: Mapping[int, Codec]) -> None:
        self.codecs = codecs
        self.counters = RtpCounters()
        self.ssrc: int | None = None
        """Of the sender; None: no packet has come."""
        self._next = 0  # extended timestamp of the sample that follows the last one
        self._sequence = 0  # of the last packet that was used
        self._at = 0.0  # when the last packet came that was used
        self._waiting: list[_Waiting] = []
        self._strange: RtpPacket | None = None  # the first packet of what may be another stream
        self._part = bytearray()  # of the current frame
        self._filled = 0  # its bytes that have come, or are missing
        self._holed = False

    def push(self, packet: RtpPacket, now: float) -> Iterator[Run]:
        """Take a packet that came at `now` (s). Yield what can be said now."""
        self.counters.packets += 1
        if self.ssrc is None:
            self._begin(packet, now)
        elif self._is_strange(packet, now):
            first, self._strange = self._strange, packet
            if first is None or not _follows(first, packet):
                return
            self._strange = None
            self.counters.restarts += 1
            yield from self._drain(now, all_of_it=True)
            yield from self._leave(round((now - self._at) / FRAME_S) * FRAME_BYTES - self._filled)
            self._begin(first, now)
            self._insert(first, now)
        self._strange = None
        self._insert(packet, now)
        yield from self._drain(now)

    def due(self, now: float) -> Iterator[Run]:
        """What need not wait any longer at `now` (s). Call it each 20 ms."""
        if self._waiting:
            yield from self._drain(now)

    # -- where a packet belongs --------------------------------------------------------------------

    def _begin(self, packet: RtpPacket, now: float) -> None:
        self._at = now
        self.ssrc = packet.ssrc
        self._next = packet.timestamp
        self._sequence = (packet.sequence - 1) & 0xFFFF

    def _is_strange(self, packet: RtpPacket, now: float) -> bool:
        """It continues nothing: another sender, or its timestamps are counted anew."""
        if packet.ssrc != self.ssrc:
            return True
        ahead_s = self._ahead(packet) / SAMPLE_RATE
        return not -1.0 <= ahead_s <= now - self._at + SLACK_S

    def _ahead(self, packet: RtpPacket) -> int:
        """Samples from the end of the last one to this packet's first one; wraps."""
        return (packet.timestamp - self._next + _HALF) % _WHOLE - _HALF

    def _insert(self, packet: RtpPacket, now: float) -> None:
        codec = self.codecs.get(packet.payload_type)
        self.counters.not_audio += codec is None
        pcm = b"" if codec is None else _DECODERS[codec](packet.payload, SAMPLE_BYTES)
        timestamp = self._next + self._ahead(packet)
        insort(self._waiting, _Waiting(timestamp, packet.sequence, pcm, now))

    # -- what comes out ----------------------------------------------------------------------------

    def _drain(self, now: float, *, all_of_it: bool = False) -> Iterator[Run]:
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            gap = first.timestamp - self._next
            if (
                gap > 0
                and first.sequence != (self._sequence + 1) & 0xFFFF  # else the sender was silent
                and now - first.came_at < REORDER_S
                and len(waiting) <= MOST_WAITING
                and not all_of_it
            ):
                return
            del waiting[0]
            step = (first.sequence - self._sequence) & 0xFFFF
            if step < 0x8000:
                self._sequence = first.sequence
                self.counters.lost += step - 1 if 0 < step <= MOST_LOST else 0
            pcm = first.pcm[-gap * SAMPLE_BYTES :] if gap < 0 else first.pcm
            if gap > 0:
                yield from self._leave(gap * SAMPLE_BYTES)
            elif gap < 0 and -gap * SAMPLE_BYTES >= len(first.pcm):
                self.counters.late += bool(first.pcm)
                continue
            self._at = first.came_at
            self._next = max(self._next, first.timestamp) + len(pcm) // SAMPLE_BYTES
            yield from self._append(pcm)

    def _append(self, pcm: bytes) -> Iterator[Run]:
        if not self._filled and len(pcm) == FRAME_BYTES:  # nearly always
            yield pcm
            return
        at = 0
        while at < len(pcm):
            piece = pcm[at : at + FRAME_BYTES - self._filled]
            self._part += piece
            self._filled += len(piece)
            at += len(piece)
            if self._filled == FRAME_BYTES:
                yield 1 if self._holed else bytes(self._part)
                self._filled, self._holed = 0, False
                self._part.clear()

    def _leave(self, size: int) -> Iterator[Run]:
        """`size` bytes are missing."""
        if size <= 0:
            return
        frames, self._filled = divmod(self._filled + size, FRAME_BYTES)
        self._holed = self._filled > 0
        self._part.clear()
        if frames:
            yield frames


def _follows(first: RtpPacket, second: RtpPacket) -> bool:
    """The second packet is the next one of the same stream, about where it must be."""
    ahead = (second.timestamp - first.timestamp) % _WHOLE
    return (
        first.ssrc == second.ssrc
        and second.sequence == (first.sequence + 1) & 0xFFFF
        and ahead <= SAMPLE_RATE
    )
