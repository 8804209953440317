"""Compares the length that a container announces with what the file contains.

libsndfile silently accepts mismatches: a truncated file is read as a shorter one, a WAV or MP3 that
goes on behind its announced end is read up to there, and an MP3 without a length header up to an
estimate.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from vad_agent.errors import RecordingError

NO_SAMPLES = "a header and no samples after it: fetch the recording again"

_MOST_BYTES = 1 << 40  # of a file: beyond it the header is wrong, or leaves the length open
_MOST_BEHIND = 1 << 26  # bytes looked at behind an MP3
_UNKNOWN_SIZE = 0x7FFF_0000  # bytes; recorders that write to a pipe announce this or more
_MOST_CHUNKS = 1_000  # a WAV has a few; a file of zeros would have millions
_READABLE = (0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE)  # PCM, float, A-law, µ-law, extensible
_OGG_PAGE = 65_307  # bytes, at most
_MP3_FRAMES = 4  # so many in a row are no accident
_MP3_RATES = (11_025, 12_000, 8_000)  # Hz of MPEG 2.5; twice that in MPEG 2, four times in 1
_MP3_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def file_size(stream: BinaryIO) -> int:
    """Bytes of the file behind `stream`."""
    return os.fstat(stream.fileno()).st_size


class WavHeader:
    """The announced and actual sizes of a RIFF/WAVE file. Leaves the stream at its start.

    Fields: `found`: it is RIFF/WAVE; `encoding`: the format tag; `announced` and `present`: bytes
    of samples; `bytes_per_s`: of samples; `beyond`: bytes behind the samples that are no chunks;
    `joined_at`: where another recording begins behind this one, None if none does.

    Raises:
        RecordingError: 0 channels or a rate of 0, which libsndfile only reports as "bad".
    """

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self.encoding: int | None = None
        self.announced = self.present = self.bytes_per_s = self.beyond = 0
        self.joined_at: int | None = None
        self._unannounced = False
        head = stream.read(12)
        self.found = head[:4] == b"RIFF" and head[8:] == b"WAVE"
        for _ in range(_MOST_CHUNKS if self.found else 0):
            if len(chunk := stream.read(8)) < 8:
                break
            name, size = struct.unpack("<4sI", chunk)
            start = stream.tell()
            if name == b"data":
                self.announced, self.present = size, min(size, file_size(stream) - start)
                # After a data chunk of size 0: another chunk, or samples that were never announced?
                self._unannounced = size == 0 and not stream.read(4).strip(b" ").isalnum()
                self._unannounced &= file_size(stream) > start
                if 0 < size < _UNKNOWN_SIZE and not self.truncated:
                    self._look_behind(stream, start + size)
                break
            if name == b"fmt ":
                fields = stream.read(min(size, 16))
                if len(fields) == 16:
                    self.encoding, channels, rate, self.bytes_per_s = struct.unpack_from(
                        "<HHII", fields
                    )
                    if channels == 0 or rate == 0:
                        what = "0 channels" if channels == 0 else "a sample rate of 0 Hz"
                        raise RecordingError(
                            source,
                            f"its header says {what}: it is damaged: fetch the recording again",
                        )
            stream.seek(start + size + size % 2)
        stream.seek(0)

    def _look_behind(self, stream: BinaryIO, end: int) -> None:
        """Follow the chunks behind the samples, with a byte of padding or without."""
        size, rests = file_size(stream), []
        for begin in (end + end % 2, end):
            rest = begin
            for _ in range(_MOST_CHUNKS):
                stream.seek(rest)
                head = stream.read(8)
                if len(head) < 8 or not head[:4].strip(b" ").isalnum():
                    break
                name, length = struct.unpack("<4sI", head)
                if name == b"RIFF":
                    self.joined_at = rest
                    break
                if rest + 8 + length > size + 1:
                    break
                rest += 8 + length + length % 2
            rests.append(size - rest)
        self.beyond = 0 if self.joined_at is not None else max(0, min(rests))

    @property
    def readable_encoding(self) -> bool:
        """The decoder knows the encoding: another part of the header is at fault."""
        return self.encoding in _READABLE

    @property
    def truncated(self) -> bool:
        """The file contains fewer bytes of samples than announced."""
        return 0 < self.present < self.announced < _UNKNOWN_SIZE

    def why_no_samples(self) -> str:
        """The problem, if the decoder finds 0 samples."""
        if self._unannounced:
            return (
                "its header says 0 samples, yet there is data: the recorder was stopped before it "
                "wrote the length; repair it: ffmpeg -ignore_length 1 -i call.wav repaired.wav"
            )
        return NO_SAMPLES


def ogg_has_end(stream: BinaryIO) -> bool:
    """The last Ogg page is complete and marked as the stream's last (RFC 3533, section 6)."""
    at = stream.tell()
    stream.seek(max(0, file_size(stream) - 2 * _OGG_PAGE))
    tail = stream.read()
    stream.seek(at)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[26]
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def mp3_tells_length(stream: BinaryIO) -> bool:
    """The first MP3 frame after an ID3 tag has a Xing, Info or VBRI header."""
    at = stream.tell()
    stream.seek(0)
    tag = stream.read(10)
    skip = 0
    if tag[:3] == b"ID3" and len(tag) == 10:  # its size: four bytes of seven bits
        skip = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    stream.seek(skip)
    frame = stream.read(256)
    stream.seek(at)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def announced_size(stream: BinaryIO) -> int | None:
    """Bytes that the header of an AIFF, AU, RF64 or W64 file announces for the whole file.

    None: another format, or it does not say. Leaves the stream where it was.
    """
    at = stream.tell()
    stream.seek(0)
    head = stream.read(32)
    stream.seek(at)
    if len(head) < 32:
        return None
    size: int | None = None
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        size = 8 + struct.unpack(">I", head[4:8])[0]
    elif head[:4] == b".snd":
        begin, length = struct.unpack(">II", head[4:12])
        size = begin + length
    elif head[:4] == b"RF64" and head[12:16] == b"ds64":
        size = 8 + struct.unpack("<Q", head[20:28])[0]
    elif head[:4] == b"riff" and head[4:6] == b".\x91":
        size = struct.unpack("<Q", head[16:24])[0]
    return None if size is None or size >= _MOST_BYTES or _is_unset(head) else size


def _is_unset(head: bytes) -> bool:
    """A recorder that writes to a pipe leaves the length open."""
    return head[:4] in (b"FORM", b".snd") and head[4:12].count(b"\xff") >= 4


def mp3_goes_on(stream: BinaryIO) -> bool:
    """MP3 frames follow where the decoder stopped: it stops at the length it assumes. Tags and
    pictures between are passed over.
    """
    rest = stream.read(_MOST_BEHIND)
    at = rest.find(b"\xff")
    while at >= 0:
        end, frames = at, 0
        while frames < _MP3_FRAMES and (length := _mp3_frame(rest[end : end + 4])):
            end, frames = end + length, frames + 1
        if frames == _MP3_FRAMES and end <= len(rest):
            return True
        at = rest.find(b"\xff", at + 1)
    return False


def _mp3_frame(head: bytes) -> int:
    """Bytes of the layer III frame with this header; 0: it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version = head[1] >> 3 & 3  # 0: MPEG 2.5, 2: 2, 3: 1
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    hz = _MP3_RATES[rate] * {0: 1, 2: 2, 3: 4}[version]
    kbits, samples = (_MP3_KBITS_1, 1152) if version == 3 else (_MP3_KBITS_2, 576)
    return samples // 8 * kbits[bits] * 1000 // hz + (head[2] >> 1 & 1)
