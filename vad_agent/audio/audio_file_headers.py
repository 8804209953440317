"""Compares the length that a container announces with what the file contains.

libsndfile silently accepts mismatches: a truncated WAV or Ogg file is read as a shorter one, and an
MP3 without a length header is read up to an estimate.
"""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from typing import BinaryIO

from vad_agent.errors import RecordingError

NO_SAMPLES = "a header and no samples after it: fetch the recording again"

_UNKNOWN_SIZE = 0x7FFF_0000  # bytes; recorders that write to a pipe announce this or more
_MOST_CHUNKS = 1_000  # a WAV has a few; a file of zeros would have millions
_OGG_PAGE = 65_307  # bytes, at most
_MP3_SYNCS = (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)  # after 0xFF: layer III of MPEG 2.5, 2 and 1


def file_size(stream: BinaryIO) -> int:
    """Bytes of the file behind `stream`."""
    return os.fstat(stream.fileno()).st_size


class WavHeader:
    """The announced and actual sizes of a RIFF/WAVE file. Leaves the stream at its start.

    Fields: `found`: it is RIFF/WAVE; `encoding`: the format tag; `announced` and `present`: bytes
    of samples.

    Raises:
        RecordingError: 0 channels or a rate of 0, which libsndfile only reports as "bad".
    """

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self.encoding: int | None = None
        self.announced = self.present = 0
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
                break
            if name == b"fmt ":
                fields = stream.read(min(size, 16))
                if len(fields) == 16:
                    self.encoding, channels, rate = struct.unpack_from("<HHI", fields)
                    if channels == 0 or rate == 0:
                        what = "0 channels" if channels == 0 else "a sample rate of 0 Hz"
                        raise RecordingError(
                            source,
                            f"its header says {what}: it is damaged: fetch the recording again",
                        )
            stream.seek(start + size + size % 2)
        stream.seek(0)

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


def mp3_goes_on(stream: BinaryIO) -> bool:
    """MP3 frames follow where the decoder stopped: it stops at the length it assumes.

    A frame is shorter than 1.5 kB, so 8 kB contain several of their sync words; a tag contains
    none.
    """
    ahead = stream.read(8_192)
    return sum(a == 0xFF and b in _MP3_SYNCS for a, b in pairwise(ahead)) >= 4
