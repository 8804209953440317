"""Letters that no desk takes are told of: once each."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import CALL, ENDED, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.headset import outbox_monitor as module
from vad_agent.headset.outbox_monitor import OLD_S, OutboxMonitor

TELLS = "перезвонов никто не взял: {}; они сохранены: запустите vad-agent serve"


class Folder:
    """Letters of any age, and what is told of them."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder)
        self.told: list[str] = []
        self.calls = 0
        self.unread = OutboxMonitor(self.outbox, self.told.append)

    def post(self, age_s: float, kind: str = REQUESTED, call: str = "") -> Path:
        self.calls += 1
        path = self.outbox.post(
            OutboxMessage(kind, "k", call or f"c{self.calls}", "2026-11-24T12:00:00Z", "dropped")
        )
        then = time.time() - age_s
        os.utime(path, (then, then))
        return path

    def look(self) -> list[str]:
        """What it tells now."""
        self.told.clear()
        self.unread.look()
        return list(self.told)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(("age_s", "told"), [(0, 0), (OLD_S - 5, 0), (OLD_S + 5, 1), (86_400, 1)])
def test_a_letter_is_told_of_when_it_has_waited_for_long(age_s: float, told: int, folder: Folder):
    folder.post(age_s)
    assert folder.look() == [TELLS.format(1)] * told


def test_a_letter_is_told_of_once(folder: Folder):
    folder.post(60)
    assert [len(folder.look()) for _ in range(4)] == [1, 0, 0, 0]


def test_each_new_one_is_told_of_with_how_many_there_are(folder: Folder):
    folder.post(60)
    folder.look()
    folder.post(60)
    assert folder.look() == [TELLS.format(2)]
    folder.post(0)
    assert folder.look() == []


def test_what_was_taken_is_told_of_no_more_and_tells_nothing(folder: Folder):
    first, _ = folder.post(60), folder.post(60)
    folder.look()
    folder.outbox.done(first)
    assert folder.look() == []
    folder.post(60)
    assert folder.look() == [TELLS.format(2)]


def test_callbacks_are_counted_not_files(folder: Folder):
    for kind in (REQUESTED, REQUESTED, ENDED):  # requested, revised, its call is over
        folder.post(60, kind, "first")
    folder.post(60, REQUESTED, "second")
    folder.post(60, REQUESTED, "withdrawn")
    folder.post(60, WITHDRAWN, "withdrawn")
    assert folder.look() == [TELLS.format(2)]
    folder.post(60, ENDED, "second")
    assert folder.look() == []


def test_a_file_that_cannot_be_understood_may_be_a_callback(folder: Folder):
    folder.post(60).write_text("{")
    for path in folder.outbox.waiting():
        os.utime(path, (time.time() - 60,) * 2)
    assert folder.look() == [TELLS.format(1)]


def test_a_call_may_wait_and_is_not_told_of(folder: Folder):
    letter = OutboxMessage(
        CALL, "k", "call", "2026-11-24T12:00:00Z", began="x", mode="auto", lines="x"
    )
    path = folder.outbox.post(letter)
    os.utime(path, (1, 1))
    assert folder.look() == []
    folder.post(60)
    assert folder.look() == [TELLS.format(1)]


def test_an_empty_folder_and_one_that_is_gone_tell_nothing(folder: Folder):
    assert folder.look() == []
    folder.outbox.folder.rmdir()
    assert folder.look() == []


def test_a_letter_that_is_taken_just_now_is_no_error(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    folder.post(60)
    gone = folder.outbox.folder / "0-0.json"
    waiting = [gone, *folder.outbox.waiting()]
    monkeypatch.setattr(folder.outbox, "waiting", lambda: waiting)
    assert folder.look() == [TELLS.format(1)]


def test_it_looks_by_itself_until_it_is_stopped(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    told = threading.Event()
    folder.post(60)
    unread = OutboxMonitor(folder.outbox, lambda text: told.set())
    unread.start()
    assert told.wait(10)
    unread.stop()
    assert not any(thread.name == "unread" for thread in threading.enumerate())


def test_one_that_was_never_started_can_be_stopped(folder: Folder):
    folder.unread.stop()
    assert folder.told == []
