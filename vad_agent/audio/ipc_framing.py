"""What an audio child tells its parent on stdout: records of one form, read and written whole.

    stamp: float64 | flags: uint16 | length: uint32 | payload          little-endian

`stamp`: seconds of `time.perf_counter()`, which all processes of a machine share. Without a flag that
names another payload, it is samples: int16 little-endian mono.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from enum import IntFlag
from typing import IO, Any, NamedTuple

HEADER = struct.Struct("<dHI")
LONGEST = 1 << 20


class Flag(IntFlag):
    """What a record is, and what went wrong before it."""

    OVERFLOW = 1
    """The device lost samples before these."""
    DROPPED = 2
    """Nobody took the blocks before this one: they were lost here."""
    OPENED = 16
    """JSON: the stream is open: rate (Hz), channels, latency_s."""
    REPORT = 32
    """JSON: what became of a phrase."""
    FAILED = 64
    """Text: why the device cannot be opened, or is gone."""
    ALIVE = 128
    """Nothing: a process that has nothing else to tell says that it runs."""


class Record(NamedTuple):
    """One record."""

    stamp: float
    flags: int
    payload: bytes

    def json(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload)


def read_record(stream: IO[bytes]) -> Record | None:
    """The next record; None: the child has ended, perhaps in the middle of one."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    stamp, flags, length = HEADER.unpack(header)
    if length > LONGEST:  # not ours: something else has written to its stdout
        return None
    payload = stream.read(length)
    return Record(stamp, flags, payload) if len(payload) == length else None


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
