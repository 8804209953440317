"""Each child of `listen`, stopped (SIGSTOP) in each of its states; a disk and a terminal that hang.

Frames go on being fed, the right alert comes, `listen` ends in time and leaves no process behind.
"""

from __future__ import annotations

import os
import pty
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import INTERRUPTED, Listening, inside, kind, settle
from tests.headset.source_recording import until
from tests.headset.test_faults import after, alert, begin, finish, say
from vad_agent.callbacks.outbox import Outbox
from vad_agent.core.frames import FRAMES_PER_SECOND
from vad_agent.headset.callback_write_ahead import HANGS

LATE_S = 1.0
"""So much later than the wall clock may what the call was fed be: on a busy machine, too."""
STARTED_S = 20.0
CAPTURE, PLAYBACK, RENDER = "capture_worker", "playback_worker", "text_to_speech_worker"


@pytest.fixture
def server(audio_server: AudioServer) -> AudioServer:
    audio_server.keep_awake("client", "virtmic", "mic")
    return audio_server


def children(listening: Listening, module: str, role: str = "") -> list[psutil.Process]:
    """Of `listen`, by their program and device."""
    found = []
    for one in psutil.Process(listening.process.pid).children():
        try:
            words = " ".join(one.cmdline())
        except psutil.NoSuchProcess:
            continue
        if module in words and (not role or f'"role": "{role}"' in words):
            found.append(one)
    return found


def child(listening: Listening, module: str, role: str) -> psutil.Process:
    """The one of this role, once it is there."""
    until(lambda: children(listening, module, role), STARTED_S, f"the {role}'s process")
    return children(listening, module, role)[0]


@contextmanager
def frames_go_on(listening: Listening) -> Iterator[None]:
    """The call is fed as time goes by."""
    fed, began = listening.fed(), time.perf_counter()
    yield
    passed_s = time.perf_counter() - began
    assert listening.fed() - fed >= (passed_s - LATE_S) * FRAMES_PER_SECOND


def alive(process: psutil.Process) -> bool:
    """It runs, or is stopped: one that is dead and has not been buried by its new parent yet is neither."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends(listening: Listening, processes: Sequence[psutil.Process]) -> None:
    """By Ctrl-C, in time (10 s), cleanly; and none of these is left."""
    assert listening.stop() == INTERRUPTED
    assert "Traceback" not in listening.log
    assert [one for one in processes if alive(one)] == []


# -- playback ---------------------------------------------------------------------------------------


def test_a_player_that_is_stopped_is_lost_and_replaced_and_its_phrase_is_the_operators(
    server: AudioServer, tmp_path: Path
) -> None:
    """Idle; with a phrase on its way into a full pipe; while a phrase is heard."""
    lost, back = alert("prompt_device_lost"), alert("prompt_device_back")
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        with frames_go_on(listening):
            idle = child(listening, PLAYBACK, "prompt")
            idle.suspend()
            listening.wait(lost, 5)
            first = listening.wait(back, 8)
        assert not idle.is_running()

        listening.wait(kind("prompt"), 15)
        settle(1.8)
        with frames_go_on(listening):
            asked = child(listening, PLAYBACK, "prompt")
            asked.suspend()  # the next phrase is asked for, about 0.6 s later, before it is known to hang
            second = listening.wait(after(lost, first["t"]), 5)
            listening.wait(after(kind("cue", id="not_heard"), first["t"]), 5)
            listening.wait(after(back, second["t"]), 8)
        assert not asked.is_running()
        finish(listening)


def test_a_player_that_is_stopped_while_it_is_heard_has_not_said_it(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        heard = server.record("virtmic.monitor")
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        until(lambda: abs(heard.samples()[-4800:]).max() > 500, 10, "the phrase")
        with frames_go_on(listening):
            child(listening, PLAYBACK, "prompt").suspend()
            listening.wait(alert("prompt_device_lost"), 5)
            line = listening.wait(kind("prompt"), 5)
            assert (line["id"], line["outcome"]) == ("greeting_again", "failed")
            assert inside(line)
            cue = listening.wait(kind("cue", id="greeting_again"), 3)
            say(server)
            listening.wait(after(kind("prompt", outcome="said_by_operator"), cue["t"]), 10)
        heard.stop()
        finish(listening)


# -- capture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "other"), [("client", "operator"), ("operator", "client")])
def test_a_capture_that_is_stopped_is_a_lost_device_and_never_silence(
    server: AudioServer, tmp_path: Path, role: str, other: str
) -> None:
    """While it captures; and its successor while it starts."""
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        with frames_go_on(listening):
            capturing = child(listening, CAPTURE, role)
            capturing.suspend()
            until(lambda: not capturing.is_running(), 5, "its end")
            starting = child(listening, CAPTURE, role)
            starting.suspend()
            lost = listening.wait(alert(f"{role}_device_lost"), 3)
            settle(3.5)  # longer than any window
            assert not [one for one in listening.prompts() if one["t"] > lost["t"]]
            starting.resume()
            listening.wait(alert(f"{role}_device_back"), 8)
        assert not listening.find(alert(f"{other}_device_lost"))
        lines = finish(listening)
        assert not [line for line in lines if line.get("reason") == "dropped"]


# -- the end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["starting", "idle", "playing"])
def test_ctrl_c_ends_it_though_all_its_children_are_stopped(
    server: AudioServer, tmp_path: Path, state: str
) -> None:
    listening = Listening(server, tmp_path)
    if state == "starting":
        stopped = stop_all(listening)
    with listening:
        if state != "starting":
            begin(server, listening)
            listening.wait(kind("speech", channel="operator"), 5)
            settle(3.2 if state == "playing" else 0.0)
            stopped = stop_all(listening)
        ends(listening, stopped)


def stop_all(listening: Listening) -> list[psutil.Process]:
    """Both captures and the player, once they are there."""

    def found() -> list[psutil.Process]:
        return [*children(listening, CAPTURE), *children(listening, PLAYBACK)]

    until(lambda: len(found()) == 3, STARTED_S, "all children")
    stopped = found()
    for one in stopped:
        one.suspend()
    return stopped


def test_ctrl_c_ends_it_though_its_children_are_stopped_while_they_end(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        ending = [*children(listening, CAPTURE), *children(listening, PLAYBACK)]
        listening.process.send_signal(2)
        for one in ending:
            with suppress(psutil.NoSuchProcess):
                one.suspend()
        assert listening.process.wait(10) == INTERRUPTED
        ends(listening, ending)


def test_a_renderer_that_is_stopped_leaves_its_phrase_to_the_operator(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path, cache=tmp_path / "cache") as listening:
        renderer = child(listening, RENDER, "")
        renderer.suspend()
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        with frames_go_on(listening):
            line = listening.wait(kind("prompt"), 10)
            assert (line["id"], line["outcome"]) == ("greeting_again", "failed")
            listening.wait(kind("cue", id="greeting_again"), 3)
        until(lambda: children(listening, RENDER), STARTED_S, "a renderer")
        last = children(listening, RENDER)
        for one in last:
            one.suspend()
        ends(listening, [renderer, *last])


# -- a disk, a terminal -----------------------------------------------------------------------------

HANGING_DISK = """
import os, time
_fsync = os.fsync
def fsync(number):
    while os.path.exists(os.environ["DISK_HANGS"]):
        time.sleep(0.01)
    _fsync(number)
os.fsync = fsync
"""


def test_a_disk_that_hangs_stops_neither_the_call_nor_its_end_and_is_told(
    server: AudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, library = tmp_path / "hangs", tmp_path / "library"
    library.mkdir()
    (library / "sitecustomize.py").write_text(HANGING_DISK)
    monkeypatch.setitem(server.env, "PYTHONPATH", str(library))
    monkeypatch.setitem(server.env, "DISK_HANGS", str(hangs))
    outbox = Outbox(tmp_path / "outbox")
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        hangs.touch()
        with frames_go_on(listening):
            listening.send(kind="client_cannot_hear")
            until(lambda: f"ПЕРЕЗВОН НЕ ЗАПИСАН: {HANGS}" in listening.log, 5, "the alert")
            settle(3.5)
            assert outbox.waiting() == []
        hangs.unlink()
        line = listening.wait(kind("prompt"), 10)
        assert (line["id"], line["outcome"]) == ("farewell_in_dialogue", "said")
        assert inside(line)
        until(lambda: "перезвон записан" in listening.log, 5, "the letter")
        listening.ended(5)
        until(lambda: len(outbox.waiting()) >= 2, 5, "the letters")
        assert [outbox.read(path).kind for path in outbox.waiting()][:2] == ["requested", "ended"]

        hangs.touch()
        listening.send(kind="answered")
        listening.send(kind="client_cannot_hear")
        until(lambda: listening.log.count("ПЕРЕЗВОН НЕ ЗАПИСАН") == 2, 5, "the alert")
        ends(listening, [])
        assert f"ПЕРЕЗВОНЫ НЕ ЗАПИСАНЫ (1): {HANGS}; запишите их сами" in listening.log


def test_a_terminal_that_takes_nothing_stops_neither_the_call_nor_its_end(
    server: AudioServer, tmp_path: Path
) -> None:
    if sys.platform == "win32":
        return
    import termios

    master, slave = pty.openpty()
    listening = Listening(server, tmp_path, output=slave)
    until(lambda: "Жду звонка".encode() in os.read(master, 1 << 16), STARTED_S, "the first line")
    termios.tcflow(slave, termios.TCOOFF)  # Ctrl-S
    processes = [*children(listening, CAPTURE), *children(listening, PLAYBACK)]
    begin(server, listening)
    with frames_go_on(listening):
        listening.wait(kind("prompt", outcome="said"), 10)
    ends(listening, processes)
    os.close(slave)
    os.close(master)
