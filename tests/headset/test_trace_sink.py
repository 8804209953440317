"""The trace behind a queue: the loop waits for no disk, calls stay whole, what is lost is counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.headset.faulty_disk import LIMIT_S, Disk
from tests.headset.test_trace_log import CALL, CALLBACK, GREETING, lines
from vad_agent.core.actions import Action
from vad_agent.headset import trace_log as module
from vad_agent.headset.callback_write_ahead import HANGS
from vad_agent.headset.trace_log import TraceLog, TraceSink
from vad_agent.trace.trace_format import record

BEGAN = datetime(2030, 5, 13, 12, tzinfo=UTC)


class Trace:
    """A trace whose disk may hang; `told`: what the operator is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self.log = TraceLog(path, self.told.append)
        self.outlet = TraceSink(self.log, "auto", self.told.append)

    def call(self, name: str, *actions: Action) -> None:
        self.outlet.begin(name, BEGAN)
        for action in actions:
            self.outlet.take([action])
        self.outlet.end()

    def calls(self) -> list[list[str]]:
        """The ids of calls, and the kinds of their lines."""
        found: list[list[str]] = []
        for line in lines(self.path):
            if line["kind"] == "call":
                found.append([line["id"]])
            else:
                found[-1].append(line["kind"])
        return found


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path / "listen.trace.jsonl")


def test_all_that_was_taken_is_in_the_file_at_the_end(trace: Trace):
    trace.call("7", GREETING, CALLBACK)
    trace.outlet.close()
    assert lines(trace.path) == [CALL, record(GREETING), record(CALLBACK)]
    assert trace.told == []
    TraceLog(trace.path).close()  # its name is free again


def test_the_loop_waits_for_no_fsync(trace: Trace, monkeypatch: pytest.MonkeyPatch):
    disk = Disk(monkeypatch)
    disk.hang()
    trace.call("7", CALLBACK, *[GREETING] * 10)
    disk.wait_hanging()
    trace.call("8", GREETING)
    assert trace.calls() == [["7", "callback"]]
    disk.go_on()
    trace.outlet.close()
    assert trace.calls() == [["7", "callback", *["phase"] * 10], ["8", "phase"]]
    assert trace.told == []


def test_what_finds_no_room_is_told_and_counted_and_no_line_comes_under_another_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    trace, disk = Trace(tmp_path / "listen.trace.jsonl"), Disk(monkeypatch)
    disk.hang()
    trace.call("7", CALLBACK)
    disk.wait_hanging()
    trace.call(
        "8", GREETING, GREETING, GREETING, GREETING
    )  # two of them, and its first line, have room
    trace.call("9", GREETING)
    assert trace.told == [f"{trace.path}: не пишется: {HANGS}; звонок идёт дальше"]
    disk.go_on()
    assert trace.outlet._writer.flush(LIMIT_S)
    trace.outlet.take([GREETING, GREETING])  # the end of 9, whose beginning is lost
    trace.call("10", GREETING)
    trace.outlet.close()
    assert trace.calls() == [["7", "callback"], ["8", "phase", "phase"], ["10", "phase"]]
    assert trace.told[1:] == [f"{trace.path}: снова пишется, пропало строк: 6"]


def test_what_is_not_written_in_time_is_told_at_the_end(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(monkeypatch)
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    disk.hang()
    trace.call("7", CALLBACK, GREETING)
    disk.wait_hanging()
    trace.outlet.close()
    assert trace.told == [f"{trace.path}: не дописан: {HANGS}"]
    disk.go_on()
    assert trace.outlet._writer.close(LIMIT_S)


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_a_pipe_that_nobody_reads_stops_nobody(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    trace = Trace(pipe)
    many: Sequence[Action] = [GREETING] * 500
    for number in range(20):  # 600 kB, ten times what the pipe holds
        trace.call(str(number), *many[:1])
        trace.outlet.take(many)
    got = bytearray()

    def read() -> None:
        os.set_blocking(reader, True)
        while data := os.read(reader, 1 << 16):
            got.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    trace.outlet.close()
    thread.join(LIMIT_S)
    os.close(reader)
    assert got.count(b"\n") == 20 * 502
