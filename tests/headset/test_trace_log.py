"""The trace of a shift: whole lines, whatever the disk does; old files go, two writers do not meet."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vad_agent.common import private_files
from vad_agent.core import actions as act
from vad_agent.core.actions import Phase, Reason
from vad_agent.errors import OutputError
from vad_agent.headset.trace_log import MOST_AT_ONCE, TraceLog, default_path
from vad_agent.trace.report.call_timeline import timeline
from vad_agent.trace.trace_format import record

BEGAN = datetime(2030, 5, 13, 12, tzinfo=UTC)
GREETING = act.PhaseChanged(1, Phase.GREETING)
CALLBACK = act.CallbackRequested(90, Reason.DROPPED, 0.0, "Здравствуйте")
CALL = {"t": 0.0, "kind": "call", "id": "7", "began": "2030-05-13T12:00:00+00:00", "mode": "auto"}

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "listen.trace.jsonl"


def test_a_line_is_in_the_file_when_take_returns(path: Path) -> None:
    log = TraceLog(path)
    log.begin("7", BEGAN, "auto")
    log.take([GREETING, act.Play(2, "not_heard", "Вас не слышно")])
    assert lines(path) == [CALL, record(GREETING)]
    log.take([CALLBACK])
    assert lines(path)[2:] == [record(CALLBACK)]
    log.close()


def test_local_time_is_told_with_its_offset(path: Path) -> None:
    log = TraceLog(path)
    log.begin("7", datetime(2030, 5, 13, 12), "cue")
    log.close()
    assert datetime.fromisoformat(lines(path)[0]["began"]).tzinfo is not None


def test_a_trace_goes_on_where_it_ended(path: Path) -> None:
    for call in "78":
        log = TraceLog(path)
        log.begin(call, BEGAN, "auto")
        log.close()
    assert [line["id"] for line in lines(path)] == ["7", "8"]


def test_a_report_can_be_drawn_of_it(path: Path) -> None:
    log = TraceLog(path)
    log.begin("7", BEGAN, "auto")
    log.take([GREETING, CALLBACK])
    log.close()
    drawn = timeline(lines(path))
    assert [span.name for span in drawn.phases] == ["greeting"]
    assert drawn.callback == record(CALLBACK)


def test_a_callback_is_on_the_disk_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(len(lines(path))))
    log = TraceLog(path)
    log.begin("7", BEGAN, "auto")
    log.take([GREETING, CALLBACK, GREETING])
    log.take([act.CallbackWithdrawn(95, Reason.DROPPED), act.Hangup(96, Reason.DROPPED)])
    assert synced == [3, 5]
    log.close()


def test_the_default_is_in_the_users_own_folder() -> None:
    assert default_path().name == "listen.trace.jsonl"
    assert default_path().parent.name == "vad-agent"


@posix
def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        TraceLog(tmp_path / "new" / "deep" / "own.jsonl").close()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "new").rglob("*.jsonl")} == {
        0o600
    }
    for folder in ("new", "new/deep"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


# -- a full file -----------------------------------------------------------------------------------


def test_a_full_file_is_put_away_between_calls_and_the_oldest_goes(path: Path) -> None:
    log = TraceLog(path, most_bytes=150, files=3)
    for call in range(5):
        log.begin(str(call), BEGAN, "auto")
        for _ in range(10):
            log.take([GREETING])
    log.close()
    kept = sorted(path.parent.glob("listen*"))
    assert [one.name for one in kept] == [path.name, f"{path.name}.1", f"{path.name}.2"]
    assert [lines(one)[0]["id"] for one in kept] == ["4", "3", "2"]
    assert all(len(lines(one)) == 11 for one in kept)  # calls are whole


@posix
def test_a_file_that_somebody_moved_away_is_begun_anew(path: Path) -> None:
    log = TraceLog(path)
    log.begin("7", BEGAN, "auto")
    path.rename(path.with_name("mine"))
    log.take([GREETING])
    log.begin("8", BEGAN, "auto")
    log.close()
    assert len(lines(path.with_name("mine"))) == 2
    assert [line["id"] for line in lines(path)] == ["8"]


# -- two at once -----------------------------------------------------------------------------------


def test_the_second_writer_takes_a_name_of_its_own(path: Path) -> None:
    told: list[str] = []
    first, second = TraceLog(path, told.append), TraceLog(path, told.append)
    third = TraceLog(path)
    names = [log.path.name for log in (first, second, third)]
    assert names == [path.name, "listen-2.trace.jsonl", "listen-3.trace.jsonl"]
    assert len(told) == 1
    assert "listen-2.trace.jsonl" in told[0]
    first.close()
    again = TraceLog(path)
    assert again.path == path
    for log in (second, third, again):
        log.close()


def test_other_names_are_numbered_too(tmp_path: Path) -> None:
    logs = [TraceLog(tmp_path / "v1.2.jsonl") for _ in range(2)]
    assert [log.path.name for log in logs] == ["v1.2.jsonl", "v1.2-2.jsonl"]
    for log in logs:
        log.close()


def test_another_process_is_another_writer(path: Path) -> None:
    code = (
        "import sys, pathlib; from vad_agent.headset.trace_log import TraceLog\n"
        f"log = TraceLog(pathlib.Path({str(path)!r})); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"open"
        log = TraceLog(path)
        assert log.path.name == "listen-2.trace.jsonl"
        log.close()
        other.kill()
    log = TraceLog(path)  # a process that was killed holds nothing
    assert log.path == path
    log.close()


def test_too_many_writers_are_an_error(path: Path) -> None:
    logs = [TraceLog(path) for _ in range(MOST_AT_ONCE)]
    with pytest.raises(OutputError, match="processes write it already"):
        TraceLog(path)
    for log in logs:
        log.close()


# -- what cannot be written ------------------------------------------------------------------------


def test_a_trace_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.jsonl").mkdir()
    for path in (tmp_path / "file" / "own.jsonl", tmp_path / "folder.jsonl"):
        with pytest.raises(OutputError, match="cannot") as caught:
            TraceLog(path)
        assert len(str(caught.value).splitlines()) == 1
    TraceLog(tmp_path / "good.jsonl").close()  # nothing of it is left behind


class Disk:
    """Lets so many bytes through, then it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 1 << 30
        disk = self

        class File(io.FileIO):
            def write(self, data: Any, /) -> int:
                if not disk.room:
                    raise OSError(errno.ENOSPC, "No space left on device")
                count = min(disk.room, len(data))
                disk.room -= count
                return super().write(bytes(data)[:count])

        monkeypatch.setattr(
            private_files,
            "open_private",
            lambda path, mode: File(path, mode),
        )


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_full_disk_is_told_once_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = Disk(monkeypatch)
    told: list[str] = []
    log = TraceLog(path, told.append)
    log.begin("7", BEGAN, "auto")
    disk.room = room
    for _ in range(1_000):
        log.take([GREETING])
    assert len(told) == 1
    assert told[0] == f"{path}: не пишется: No space left on device; звонок идёт дальше"
    disk.room = 1 << 30
    log.take([CALLBACK, GREETING])
    assert told[1:] == [f"{path}: снова пишется, пропало строк: 1000"]
    assert lines(path) == [CALL, record(CALLBACK), record(GREETING)]  # none is torn
    disk.room = 0
    log.take([GREETING, GREETING])
    assert len(told) == 3
    log.close()


@posix
def test_a_disk_that_is_gone_and_back(path: Path) -> None:
    told: list[str] = []
    folder = path.parent / "disk"
    log = TraceLog(folder / path.name, told.append)
    log.begin("7", BEGAN, "auto")
    folder.rename(path.parent / "away")
    log.begin("8", BEGAN, "auto")
    log.take([GREETING])
    (path.parent / "away").rename(folder)
    log.take([CALLBACK])
    log.close()
    assert [line.get("id", line["kind"]) for line in lines(folder / path.name)] == ["7", "callback"]
    assert len(told) == 2


@posix
def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = TraceLog(pipe, most_bytes=1)
    log.begin("7", BEGAN, "auto")
    log.begin("8", BEGAN, "auto")
    log.take([CALLBACK])
    log.close()
    got = os.read(reader, 4096).decode().splitlines()
    os.close(reader)
    assert [json.loads(line).get("id") for line in got] == ["7", "8", None]
    assert list(tmp_path.iterdir()) == [pipe]


def test_half_a_character_is_written_so_that_it_can_be_read(path: Path) -> None:
    log = TraceLog(path)
    log.take([act.Cue(5, "not_heard", "Анна\ud800", 1, 2)])
    log.close()
    assert lines(path)[0]["text"] == "Анна\ud800"
