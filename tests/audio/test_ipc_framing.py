"""A worker's records are read whole, in whatever pieces they come."""

from __future__ import annotations

import os

import pytest

from vad_agent.audio.ipc_framing import HEADER, LONGEST, Flag, Record, RecordReader, write_record

RECORDS = [
    Record(1.5, 0, bytes(640)),
    Record(2.5, Flag.ALIVE, b""),
    Record(3.5, Flag.FAILED, b"gone"),
]


def written() -> bytes:
    out, into = os.pipe()
    for record in RECORDS:
        write_record(into, *record)
    os.close(into)
    with open(out, "rb") as pipe:
        return pipe.read()


@pytest.mark.parametrize("size", [1, 13, 14, 15, 654, 655, 4096])
def test_records_come_whole_from_pieces_of_any_size(size: int) -> None:
    data, reader = written(), RecordReader()
    found = []
    for at in range(0, len(data), size):
        found += reader.take(data[at : at + size])
    assert found == RECORDS
    assert not reader.broken


def test_what_is_no_record_ends_the_reading() -> None:
    reader = RecordReader()
    noise = HEADER.pack(0.0, 0, LONGEST + 1)
    assert list(reader.take(written() + noise + written())) == RECORDS
    assert reader.broken
    assert list(reader.take(written())) == []
