"""Messages of an audio worker to its parent on stdout: records of one format, read and written whole.

    stamp: float64 | flags: uint16 | length: uint32 | payload          little-endian

`stamp`: seconds of `time.perf_counter()`, which all processes of a machine share. Unless a flag
says otherwise, the payload is samples: int16 little-endian mono.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from enum import IntFlag
from typing import Any, NamedTuple

HEADER = struct.Struct("<dHI")
LONGEST = 1 << 20


class Flag(IntFlag):
    """The type of a record, and losses before it."""

    OVERFLOW = 1
    """The device lost samples before these."""
    DROPPED = 2
    """The worker dropped blocks before this one because nobody read them."""
    OPENED = 16
    """JSON: the stream is open: rate (Hz), channels, latency_s."""
    REPORT = 32
    """JSON: the outcome of a phrase."""
    FAILED = 64
    """Text: why the device cannot be opened, or is gone."""
    ALIVE = 128
    """No payload: a heartbeat."""


class Record(NamedTuple):
    """One record."""

    stamp: float
    flags: int
    payload: bytes

    def json(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload)


class RecordReader:
    """Takes a worker's output in pieces of any size, and gives the records in it."""

    def __init__(self) -> None:
        self._rest = b""
        self.broken = False
        """Something else has written to the worker's stdout: nothing more can be read."""

    def take(self, data: bytes) -> Iterator[Record]:
        """The records that these bytes complete."""
        if self._rest:
            data = self._rest + data
        at = 0
        while len(data) - at >= HEADER.size and not self.broken:
            stamp, flags, length = HEADER.unpack_from(data, at)
            end = at + HEADER.size + length
            self.broken = length > LONGEST
            if self.broken or end > len(data):
                break
            yield Record(stamp, flags, data[at + HEADER.size : end])
            at = end
        self._rest = data[at:]


def write_record(fd: int, stamp: float, flags: int, payload: bytes) -> None:
    """Write a record whole.

    Raises:
        OSError: nobody reads any more.
    """
    data = memoryview(HEADER.pack(stamp, flags, len(payload)) + payload)
    while data:
        data = data[os.write(fd, data) :]


def write_json(fd: int, stamp: float, flags: int, value: Mapping[str, object]) -> None:
    """Write a record with a JSON payload.

    Raises:
        OSError: nobody reads any more.
    """
    write_record(fd, stamp, flags, json.dumps(value).encode())
