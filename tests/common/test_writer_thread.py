"""What is put is written, in order, by a thread; who puts never waits; what hangs keeps nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vad_agent.common.writer_thread import WriterThread

LIMIT_S = 10.0


class Pipe:
    """What is written to; it may hang, and fail."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.hangs = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def write(self, item: int) -> None:
        if not self.goes_on.is_set():
            self.hangs.set()
            self.goes_on.wait()
        if item < 0:
            raise RuntimeError("Анна")
        self.written.append(item)

    def hang(self) -> None:
        self.goes_on.clear()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def writer(pipe: Pipe, most: int = 100) -> WriterThread[int]:
    return WriterThread("test", pipe.write, most=most, finish=lambda: pipe.written.append(99))


def test_all_is_written_in_order_and_then_finished(pipe: Pipe):
    made = writer(pipe)
    assert all(made.put(item) for item in range(50))
    assert made.close(LIMIT_S)
    assert pipe.written == [*range(50), 99]
    assert made.close(LIMIT_S)
    assert not made.alive


def test_what_finds_no_room_is_refused_and_the_rest_is_written(pipe: Pipe):
    pipe.hang()
    made = writer(pipe, most=3)
    made.put(0)
    assert pipe.hangs.wait(LIMIT_S)
    assert made.busy
    assert [made.put(item) for item in range(1, 6)] == [True, True, True, False, False]
    assert made.waiting == 3
    pipe.goes_on.set()
    assert made.flush(LIMIT_S)
    assert made.put(6)
    assert made.close(LIMIT_S)
    assert pipe.written == [0, 1, 2, 3, 6, 99]


def test_flush_and_close_wait_no_longer_than_they_are_told(pipe: Pipe):
    pipe.hang()
    made = writer(pipe)
    made.put(0)
    assert not made.flush(0.01)
    assert not made.close(0.01)
    assert not made.put(1)
    assert not made.flush(0.01)
    pipe.goes_on.set()
    assert made.close(LIMIT_S)
    assert pipe.written == [0, 99]


def test_the_limit_is_counted_from_the_end(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    """Many that hang are waited for together."""
    pipe.hang()
    made = [writer(pipe) for _ in range(3)]
    for one in made:
        one.put(0)
        one.end()
    now = [one._ended_at or 0.0 for one in made]
    monkeypatch.setattr("vad_agent.common.writer_thread.time.monotonic", lambda: max(now) + 60)
    assert [one.close(60) for one in made] == [False] * 3  # at once
    pipe.goes_on.set()
    assert all(one.close() for one in made)


def test_a_write_that_fails_is_logged_without_what_it_says_and_the_next_one_follows(
    pipe: Pipe, caplog: pytest.LogCaptureFixture
):
    made = writer(pipe)
    for item in (1, -1, 2):
        made.put(item)
    assert made.close(LIMIT_S)
    assert pipe.written == [1, 2, 99]
    [line] = caplog.records
    assert line.getMessage() == "test: a write failed"
    assert line.why == "RuntimeError"  # type: ignore[attr-defined]
    assert "Анна" not in caplog.text


def end_of(code: str, tmp_path: Path) -> str:
    """What a program leaves in the file that is its argument."""
    path = tmp_path / "written"
    head = "import sys, time, threading\nfrom vad_agent.common import writer_thread\n"
    head += "def write(text):\n    with open(sys.argv[1], 'a') as file:\n        file.write(text)\n"
    command = [sys.executable, "-c", head + code, str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path.read_text()


def test_a_program_that_ends_writes_what_nobody_closed(tmp_path: Path):
    code = """
def slow(text):
    time.sleep(0.01)
    write(text)
writer = writer_thread.WriterThread("test", slow, most=100, finish=lambda: write("."))
for _ in range(20):
    writer.put("x")
"""
    assert end_of(code, tmp_path) == "x" * 20 + "."


def test_a_program_ends_though_a_write_hangs(tmp_path: Path):
    code = """
writer_thread.EXIT_S = 0.05
hanging = writer_thread.WriterThread("test", lambda _: threading.Event().wait(), most=100)
hanging.put("x")
other = writer_thread.WriterThread("test", write, most=100)
other.put("y")
"""
    assert end_of(code, tmp_path) == "y"
