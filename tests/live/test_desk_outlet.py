"""Callbacks of a headset as letters: on the disk before the farewell, in order, whatever the disk does."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.live.test_loop import Tape
from tests.tape import TapePlan, told
from vad_agent.callbacks import letters
from vad_agent.callbacks.letters import ENDED, REQUESTED, WITHDRAWN, Letter, Outbox
from vad_agent.core.actions import (
    Action,
    Callback,
    CallbackRevised,
    CallbackWithdrawn,
    Hangup,
    Phase,
    PhaseChanged,
    Play,
    Reason,
)
from vad_agent.core.events import Event, Kind
from vad_agent.live import desk_outlet as module
from vad_agent.live.calls import CallDesk
from vad_agent.live.desk_outlet import DeskOutlet
from vad_agent.live.loop import CONTROL, Loop
from vad_agent.live.outlets import Outlets
from vad_agent.live.status import Command

LIMIT_S = 10.0
BEGAN = datetime(2026, 11, 24, 12, 0, 7)
ASKED = datetime(2026, 11, 24, 12, 3, tzinfo=timezone(timedelta(hours=3)))
DROPPED = Callback(5, Reason.DROPPED, 0.0, "Здравствуйте")
WITHDRAWN_AGAIN = CallbackWithdrawn(9, Reason.DROPPED)
AGREED = CallbackRevised(
    7,
    Reason.AGREED,
    1800.0,
    "Здравствуйте, Анна",
    at="2026-11-24T15:00:00+03:00",
    name="Анна",
    phone="8 912 345-67-89",
    topic="доставка",
    call_id="pbx-7",
)
OTHERS = [PhaseChanged(0, Phase.GREETING), Play(1, "not_heard", "…"), Hangup(2, Reason.DROPPED)]


class Reported(list[str]):
    """What the operator is told."""

    def __init__(self) -> None:
        super().__init__()
        self._new = threading.Semaphore(0)

    def __call__(self, text: str) -> None:
        self.append(text)
        self._new.release()

    def wait(self, count: int) -> None:
        """For so many words more."""
        for _ in range(count):
            assert self._new.acquire(timeout=LIMIT_S), "nothing was reported"


class Carrier:
    """Notes how many letters lie there when it is woken."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.found: list[int] = []

    def wake(self) -> None:
        self.found.append(len(self._outbox.waiting()))


class Headset:
    """An outlet and its folder."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder)
        self.told = Reported()
        self.carrier = Carrier(self.outbox)
        self.outlet = DeskOutlet(
            self.outbox, self.told, operator="o1", carrier=self.carrier, now=lambda: ASKED
        )
        self.outlet.begin("call", BEGAN)

    def take(self, *actions: Action) -> None:
        self.outlet.take(actions)

    @property
    def letters(self) -> list[Letter]:
        return [self.outbox.read(path) for path in self.outbox.waiting()]

    @property
    def kinds(self) -> list[str]:
        return [letter.kind for letter in self.letters]

    @property
    def reasons(self) -> list[str | None]:
        return [letter.reason for letter in self.letters]


@pytest.fixture
def headset(tmp_path: Path) -> Iterator[Headset]:
    one = Headset(tmp_path / "outbox")
    yield one
    one.outlet.close()


# -- what is written --------------------------------------------------------------------------------


def test_a_request_has_all_that_the_call_knows(headset: Headset):
    headset.take(AGREED)
    [letter] = headset.letters
    assert dataclasses.asdict(letter) == {
        "kind": REQUESTED,
        "key": letter.key,
        "call": letter.call,
        "asked": "2026-11-24T12:03:00+03:00",
        "reason": "agreed",
        "due_in_s": 1800.0,
        "at": "2026-11-24T15:00:00+03:00",
        "phone": "8 912 345-67-89",
        "name": "Анна",
        "topic": "доставка",
        "opening": "Здравствуйте, Анна",
        "operator": "o1",
        "session": "pbx-7",
        "began": None,
        "mode": None,
        "lines": None,
    }


def test_by_the_machines_clock_it_says_its_zone(tmp_path: Path):
    outbox = Outbox(tmp_path)
    outlet = DeskOutlet(outbox, Reported())
    outlet.begin("call", BEGAN)
    before = datetime.now(UTC)
    outlet.take([DROPPED])
    asked = datetime.fromisoformat(outbox.read(outbox.waiting()[0]).asked)
    assert before <= asked <= datetime.now(UTC)


STORIES: dict[str, tuple[list[Action | None], list[tuple[str, str | None]]]] = {
    "a callback": ([DROPPED, None], [(REQUESTED, "dropped"), (ENDED, None)]),
    "a revised one": (
        [DROPPED, AGREED, None],
        [(REQUESTED, "dropped"), (REQUESTED, "agreed"), (ENDED, None)],
    ),
    "a withdrawn one": (
        [DROPPED, WITHDRAWN_AGAIN, None],
        [(REQUESTED, "dropped"), (WITHDRAWN, None), (ENDED, None)],
    ),
    "one that is withdrawn after the end": (
        [DROPPED, None, WITHDRAWN_AGAIN],
        [(REQUESTED, "dropped"), (ENDED, None), (WITHDRAWN, None)],
    ),
    "an end that is told twice": ([DROPPED, None, None], [(REQUESTED, "dropped"), (ENDED, None)]),
    "no callback": ([*OTHERS, None], []),
}


@pytest.mark.parametrize(("actions", "expected"), STORIES.values(), ids=STORIES)
def test_a_calls_letters_are_those_of_its_story(
    actions: Sequence[Action | None], expected: list[tuple[str, str | None]], headset: Headset
):
    for action in actions:
        if action is None:
            headset.outlet.end()
        else:
            headset.take(action)
    assert [(letter.kind, letter.reason) for letter in headset.letters] == expected
    assert len({letter.call for letter in headset.letters}) == (1 if expected else 0)
    assert len({letter.key for letter in headset.letters}) == len(expected)
    assert headset.told == []


def test_of_many_actions_only_those_that_concern_the_desk_are_written(headset: Headset):
    headset.take(*OTHERS, DROPPED, *OTHERS)
    assert headset.kinds == [REQUESTED]


def test_a_letter_is_there_when_its_carrier_is_woken(headset: Headset):
    headset.take(DROPPED, AGREED)
    headset.outlet.end()
    assert headset.carrier.found == [1, 2, 3]


# -- which call -------------------------------------------------------------------------------------

NAMES = {
    "another time": ("2026-11-24T12-00-07", "2026-11-24T12-05-00"),
    "the same time, as the clock went back": ("2026-11-24T12-00-07", "2026-11-24T12-00-07"),
    "recordings of the same name": ("call", "call"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_later_call_has_another_id(names: tuple[str, str], headset: Headset):
    for name in names:
        headset.outlet.begin(name, BEGAN)
        headset.take(DROPPED, WITHDRAWN_AGAIN)
        headset.outlet.end()
    ids = [letter.call for letter in headset.letters]
    assert [len(set(part)) for part in (ids[:3], ids[3:], ids)] == [1, 1, 2]
    assert all(name in id for name, id in zip(names, ids[::3], strict=True))


def test_a_call_of_another_headset_has_another_id(tmp_path: Path):
    first, second = Headset(tmp_path), Headset(tmp_path)
    first.take(DROPPED)
    second.take(DROPPED)
    assert len({letter.call for letter in first.letters}) == 2


@pytest.mark.parametrize("name", ["я" * 250, "a\nb\0", "\udcff.flac", "🎧 №1 ‘’"])
def test_whatever_a_recordings_name_the_call_is_one_that_a_desk_takes(name: str, headset: Headset):
    headset.outlet.begin(name, BEGAN)
    headset.take(DROPPED)
    [letter] = headset.letters
    assert 0 < len(letter.call) <= letters.LONGEST["call"]
    assert letter.call.isprintable()


def test_long_texts_are_cut_and_lose_no_callback(headset: Headset):
    endless = "🎧" * 50_000
    texts = dict.fromkeys(("at", "name", "phone", "topic", "opening", "call_id"), endless)
    headset.take(dataclasses.replace(AGREED, **texts))  # type: ignore[arg-type]
    [letter] = headset.letters
    assert letter.name == endless[:200]
    assert letter.opening == endless[:1000]


# -- before it is promised --------------------------------------------------------------------------


class Speaker:
    """Notes what lies on the disk when a phrase is to be played; the phrase is said at once."""

    def __init__(self, headset: Headset) -> None:
        self._headset = headset
        self.found: list[tuple[str, list[str | None]]] = []

    def due(self, slot: int) -> Sequence[Event]:
        return ()

    def play(self, action: Play, slot: int) -> Sequence[Event]:
        self.found.append((action.prompt, self._headset.reasons))
        return (Event(Kind.PROMPT_STARTED, prompt=action.prompt),
                Event(Kind.PROMPT_ENDED, prompt=action.prompt))  # fmt: skip

    def stop(self, slot: int) -> None:
        pass


def test_the_letter_is_on_the_disk_before_the_farewell_is_played(headset: Headset):
    outlets = Outlets([headset.outlet], lambda: BEGAN)
    said: list[str] = []

    def tell(actions: Sequence[Action]) -> None:
        outlets.take(actions)
        said.extend(text for action in actions if (text := told(action)) is not None)

    desk = CallDesk(TapePlan(), 8_000, policy="manual")
    loop = Loop(desk, tell)
    tape = loop.headset = Tape("S*50 .*2500", ".*2550")  # type: ignore[assignment]
    tape.loop = loop  # type: ignore[attr-defined]
    speaker = loop.speaker = Speaker(headset)  # type: ignore[assignment]
    outlets.begin()
    loop.put(CONTROL, Command.START_CALL)
    loop.run()
    assert speaker.found == [  # type: ignore[attr-defined]
        ("greeting_again", []),
        ("not_heard", []),
        ("farewell_after_greeting", ["silence_after_greeting"]),
    ]
    assert said[-1] == "phase ended"
    assert headset.kinds == [REQUESTED, ENDED]


def test_the_letter_is_synced_when_take_returns(headset: Headset, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(letters.os, "fsync", lambda number: (synced.append(number), fsync(number)))
    headset.take(DROPPED)
    assert len(synced) == 2  # the letter, the folder
    assert len(headset.letters) == 1


# -- a full disk ------------------------------------------------------------------------------------


class Disk:
    """Full until there is room; each try of a write is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        self.tries = 0
        self.tried = threading.Semaphore(0)
        self._write = os.write
        monkeypatch.setattr(letters.os, "write", self.write)

    def write(self, number: int, data: Any) -> int:
        self.tries += 1
        self.tried.release()
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(number, data)

    def wait(self, tries: int) -> None:
        for _ in range(tries):
            assert self.tried.acquire(timeout=LIMIT_S), "nothing was tried"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(module, "AGAIN_S", 0.001)
    return Disk(monkeypatch)


def test_what_cannot_be_written_is_said_loudly_and_is_written_in_order_when_there_is_room(
    disk: Disk, headset: Headset
):
    headset.take(DROPPED, AGREED)
    headset.outlet.end()
    headset.take(WITHDRAWN_AGAIN)
    disk.wait(5)
    assert headset.letters == []
    assert headset.told[0].startswith("ПЕРЕЗВОН НЕ ЗАПИСАН: ")
    assert "No space left on device" in headset.told[0]
    assert headset.carrier.found == []
    headset.told.wait(2)
    disk.full = False
    headset.told.wait(1)
    assert headset.told[2:] == ["перезвон записан"]
    assert headset.kinds == [REQUESTED, REQUESTED, ENDED, WITHDRAWN]
    assert headset.reasons[:2] == ["dropped", "agreed"]
    assert len({letter.call for letter in headset.letters}) == 1


def test_each_callback_that_cannot_be_written_is_said(disk: Disk, headset: Headset):
    for call in ("first", "second", "third"):
        headset.outlet.begin(call, BEGAN)
        headset.take(DROPPED)
        headset.outlet.end()
    assert [text[:19] for text in headset.told] == ["ПЕРЕЗВОН НЕ ЗАПИСАН"] * 3


def test_no_word_of_it_names_the_client(disk: Disk, headset: Headset):
    headset.take(AGREED, AGREED)
    headset.outlet.close()
    text = " ".join(headset.told)
    assert "Анна" not in text
    assert "345-67-89" not in text


def test_after_the_disk_was_full_once_all_is_as_before(disk: Disk, headset: Headset):
    headset.take(DROPPED)
    disk.full = False
    headset.told.wait(2)
    headset.take(AGREED)
    disk.full = True
    headset.take(WITHDRAWN_AGAIN)
    disk.full = False
    headset.told.wait(2)
    assert headset.kinds == [REQUESTED, REQUESTED, WITHDRAWN]


@pytest.mark.parametrize("room", [True, False])
def test_close_tries_once_more_and_says_what_is_lost(
    room: bool, disk: Disk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "AGAIN_S", 60.0)  # nothing but `close` makes it try again
    headset.take(DROPPED)
    headset.outlet.end()
    headset.outlet.begin("another", BEGAN)
    headset.take(DROPPED)
    before, disk.full = disk.tries, not room
    headset.outlet.close()
    assert disk.tries == before + (3 if room else 1)
    assert headset.kinds == ([REQUESTED, ENDED, REQUESTED] if room else [])
    last = headset.told[-1]
    assert last == "перезвон записан" if room else last.startswith("ПЕРЕЗВОНЫ НЕ ЗАПИСАНЫ (2): ")


def test_close_without_anything_unwritten_is_silent(headset: Headset):
    headset.take(DROPPED)
    headset.outlet.close()
    headset.outlet.close()
    assert headset.told == []
    assert not any(thread.name == "letters" for thread in threading.enumerate())


def test_a_report_that_raises_ends_what_asks(disk: Disk, tmp_path: Path):
    def fail(text: str) -> None:
        raise RuntimeError(text)

    outlet = DeskOutlet(Outbox(tmp_path), fail)
    outlet.begin("call", BEGAN)
    with pytest.raises(RuntimeError, match="ПЕРЕЗВОН НЕ ЗАПИСАН"):
        outlet.take([DROPPED])
