"""A request is on the disk before its farewell, in order, whatever the disk does; no frame waits for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.headset.faulty_disk import LIMIT_S, Disk
from tests.headset.source_recording import until
from tests.headset.test_callback_publisher import AGREED, ASKED, BEGAN, DROPPED, WITHDRAWN_AGAIN
from tests.headset.test_loop import Tape
from tests.tape import TapePlan, told
from vad_agent.audio.jitter_buffer import Pair
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import ENDED, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.client.headset_protocol import Command
from vad_agent.core.actions import Action, Play
from vad_agent.core.events import Event, EventKind
from vad_agent.headset import callback_write_ahead as module
from vad_agent.headset.action_sinks import ActionSinks
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.callback_write_ahead import HANGS, OutboxWriter
from vad_agent.headset.loop import CONTROL, Loop

UNWRITTEN = "ПЕРЕЗВОН НЕ ЗАПИСАН: "
LOST = "ПЕРЕЗВОНЫ НЕ ЗАПИСАНЫ "


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
    """An outlet, its writer and the folder."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder)
        self.told = Reported()
        self.carrier = Carrier(self.outbox)
        self.writer = OutboxWriter(self.outbox, self.told, carrier=self.carrier)
        self.outlet = CallbackPublisher(self.writer.post, now=lambda: ASKED)
        self.outlet.begin("call", BEGAN)

    def take(self, *actions: Action) -> None:
        self.outlet.take(actions)

    @property
    def letters(self) -> list[OutboxMessage]:
        return [self.outbox.read(path) for path in self.outbox.waiting()]

    @property
    def kinds(self) -> list[str]:
        return [letter.kind for letter in self.letters]

    @property
    def reasons(self) -> list[str | None]:
        return [letter.reason for letter in self.letters if letter.kind == REQUESTED]

    def all_stored(self) -> bool:
        """Wait until all is written; False: it is not, as it cannot be now."""
        return self.writer.flush(LIMIT_S)

    def stored(self) -> None:
        """Wait until all is written."""
        assert self.all_stored()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(module, "AGAIN_S", 0.001)
    one = Disk(monkeypatch)
    yield one
    one.full = one.broken = False
    one.go_on()


@pytest.fixture
def headset(disk: Disk, tmp_path: Path) -> Iterator[Headset]:
    one = Headset(tmp_path / "outbox")
    yield one
    disk.full = disk.broken = False
    disk.go_on()
    one.writer.close()


# -- a disk that works ------------------------------------------------------------------------------


def test_a_letter_is_synced_before_anything_is_promised(disk: Disk, headset: Headset):
    headset.take(DROPPED)
    until(lambda: headset.writer.may_promise, LIMIT_S, "the letter")
    assert headset.reasons == ["dropped"]
    assert disk.synced == (2 if os.name == "posix" else 1)  # the letter, the folder
    assert headset.told == []


def test_its_carrier_is_woken_when_a_letter_is_there(headset: Headset):
    headset.take(DROPPED, AGREED)
    headset.outlet.end()
    headset.stored()
    assert headset.carrier.found == [1, 2, 3]


def test_without_a_request_nothing_waits(disk: Disk, headset: Headset):
    disk.hang()
    assert headset.writer.may_promise
    headset.take(WITHDRAWN_AGAIN)
    disk.wait_hanging()
    assert headset.writer.may_promise


def test_close_writes_all_and_says_nothing(headset: Headset):
    headset.take(DROPPED)
    headset.outlet.end()
    headset.writer.close()
    headset.writer.close()
    assert headset.kinds == [REQUESTED, ENDED]
    assert headset.told == []


# -- one that hangs ---------------------------------------------------------------------------------


def test_a_disk_that_hangs_is_told_at_the_deadline_and_nothing_is_lost(
    disk: Disk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STORED_S", 60.0)
    disk.hang()
    headset.take(DROPPED)
    disk.wait_hanging()
    assert not headset.writer.may_promise
    assert headset.told == []
    monkeypatch.setattr(module, "STORED_S", 0.0)
    assert headset.writer.may_promise
    assert headset.told == [f"{UNWRITTEN}{HANGS}; запишите его сами, я повторяю"]
    headset.outlet.end()
    assert headset.writer.may_promise
    assert headset.kinds == []
    disk.go_on()
    headset.stored()
    assert headset.kinds == [REQUESTED, ENDED]
    assert headset.told[1:] == ["перезвон записан"]


def test_each_request_that_hangs_is_told(
    disk: Disk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STORED_S", 0.0)
    disk.hang()
    for call in ("first", "second", "third"):
        headset.outlet.begin(call, BEGAN)
        headset.take(DROPPED)
        assert headset.writer.may_promise
        headset.outlet.end()
    assert [text.startswith(UNWRITTEN) for text in headset.told] == [True] * 3
    disk.go_on()
    headset.stored()
    assert headset.kinds == [REQUESTED, ENDED] * 3
    assert len({letter.call for letter in headset.letters}) == 3


def test_close_waits_for_a_moment_and_says_what_hangs(disk: Disk, headset: Headset):
    disk.hang()
    headset.take(DROPPED, AGREED)
    headset.outlet.begin("another", BEGAN)
    headset.take(DROPPED)
    disk.wait_hanging()
    headset.writer.close(0.05)
    assert headset.told == [f"{LOST}(2): {HANGS}; запишите их сами"]


# -- one that is full, or fails ---------------------------------------------------------------------


def test_what_cannot_be_written_is_said_loudly_and_is_written_in_order_when_there_is_room(
    disk: Disk, headset: Headset
):
    disk.full = True
    headset.take(DROPPED, AGREED)
    headset.outlet.end()
    headset.take(WITHDRAWN_AGAIN)
    disk.wait_tries(5)
    assert headset.letters == []
    assert headset.told[0].startswith(UNWRITTEN)
    assert "No space left on device" in headset.told[0]
    assert headset.carrier.found == []
    headset.told.wait(2)
    disk.full = False
    headset.told.wait(1)
    assert headset.told[2:] == ["перезвон записан"]
    assert headset.kinds == [REQUESTED, REQUESTED, ENDED, WITHDRAWN]
    assert headset.reasons == ["dropped", "agreed"]
    assert len({letter.call for letter in headset.letters}) == 1


def test_a_request_that_cannot_be_written_holds_no_farewell_back(
    disk: Disk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STORED_S", 60.0)
    disk.full = True
    headset.take(DROPPED)
    headset.told.wait(1)
    assert headset.writer.may_promise
    headset.take(AGREED)  # told at once, as it waits behind the first
    assert headset.writer.may_promise
    assert [text[: len(UNWRITTEN)] for text in headset.told] == [UNWRITTEN] * 2


def test_what_the_kernel_could_not_bring_to_the_disk_is_written_anew(disk: Disk, headset: Headset):
    """A failed fsync: the page may be lost, though the next fsync says nothing."""
    disk.broken = True
    headset.take(DROPPED)
    headset.told.wait(1)
    assert "Input/output error" in headset.told[0]
    assert headset.letters == []
    disk.broken = False
    headset.told.wait(1)
    assert headset.reasons == ["dropped"]
    assert headset.told[1:] == ["перезвон записан"]
    assert not [path for path in headset.outbox.folder.iterdir() if path.suffix == ".draft"]


def test_whatever_else_fails_is_tried_again_and_told_without_what_it_says(
    headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as failing:

        def fail(_: OutboxMessage) -> Path:
            raise KeyError("Анна")

        failing.setattr(headset.outbox, "post", fail)
        headset.take(AGREED)
        headset.told.wait(1)
    headset.told.wait(1)
    assert headset.told == [
        f"{UNWRITTEN}KeyError; запишите его сами, я повторяю",
        "перезвон записан",
    ]
    assert headset.reasons == ["agreed"]


def test_no_word_of_it_names_the_client(disk: Disk, headset: Headset):
    disk.full = True
    headset.take(AGREED, AGREED)
    headset.writer.close()
    text = " ".join(headset.told)
    assert UNWRITTEN in text
    assert "Анна" not in text
    assert "345-67-89" not in text


def test_after_the_disk_was_full_once_all_is_as_before(disk: Disk, headset: Headset):
    for action in (DROPPED, WITHDRAWN_AGAIN):
        disk.full = True
        headset.take(action)
        disk.wait_tries(2)
        disk.full = False
        until(headset.all_stored, LIMIT_S, "room for it")
    assert headset.kinds == [REQUESTED, WITHDRAWN]


@pytest.mark.parametrize("room", [True, False])
def test_close_tries_once_more_and_says_what_is_lost(
    room: bool, disk: Disk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "AGAIN_S", 60.0)  # nothing but `close` makes it try again
    disk.full = True
    headset.take(DROPPED)
    headset.outlet.end()
    headset.outlet.begin("another", BEGAN)
    headset.take(DROPPED)
    headset.told.wait(1)
    before, disk.full = disk.tries, not room
    headset.writer.close()
    assert disk.tries == before + (3 if room else 1)
    assert headset.kinds == ([REQUESTED, ENDED, REQUESTED] if room else [])
    last = headset.told[-1]
    assert last == "перезвон записан" if room else last.startswith(f"{LOST}(2): ")


# -- in the loop ------------------------------------------------------------------------------------


class Speaker:
    """Notes what lies on the disk, and what was told, when a phrase is begun; it is said at once."""

    def __init__(self, headset: Headset) -> None:
        self._headset = headset
        self.found: list[tuple[str, list[str | None], int]] = []

    def watch(self) -> None:
        pass

    def due(self, slot: int) -> Sequence[Event]:
        return ()

    def play(self, action: Play, slot: int) -> Sequence[Event]:
        self.found.append((action.prompt, self._headset.reasons, len(self._headset.told)))
        return (Event(EventKind.PROMPT_STARTED, prompt=action.prompt),
                Event(EventKind.PROMPT_ENDED, prompt=action.prompt))  # fmt: skip

    def stop(self, slot: int) -> None:
        pass


class HeldTape(Tape):
    """Gives its pairs at once, but one at a turn while a phrase is held back: so many were fed meanwhile."""

    def __init__(self, operator: str, client: str, meanwhile: Callable[[int], None]) -> None:
        super().__init__(operator, client)
        self._meanwhile = meanwhile
        self.held = 0

    def pairs(self, now: float) -> Iterator[Pair]:
        assert self.loop is not None
        for pair in super().pairs(now):
            yield pair
            if self.loop._held is not None:
                self.held += 1
                self._meanwhile(self.held)
                return


def run(headset: Headset, meanwhile: Callable[[int], None]) -> tuple[HeldTape, Speaker, list[str]]:
    """A call up to its farewell; `meanwhile` is told how many frames were fed while a phrase was held."""
    outlets = ActionSinks([headset.outlet], lambda: BEGAN)
    said: list[str] = []

    def tell(actions: Sequence[Action]) -> None:
        outlets.take(actions)
        said.extend(text for action in actions if (text := told(action)) is not None)

    tracker = CallTracker(TapePlan(), 8_000, policy="manual")
    loop = Loop(tracker, tell, may_promise=lambda: headset.writer.may_promise)
    tape = HeldTape("S*50 .*2500", ".*2550", meanwhile)
    loop.headset, tape.loop = tape, loop  # type: ignore[assignment]
    prompt_player = Speaker(headset)
    loop.prompt_player = prompt_player  # type: ignore[assignment]
    outlets.begin()
    loop.put(CONTROL, Command.START_CALL)
    loop.run()
    return tape, prompt_player, said


BEFORE = [("greeting_again", [], 0), ("not_heard", [], 0)]
FAREWELL, REASON = "farewell_after_greeting", "silence_after_greeting"


def test_the_letter_is_on_the_disk_before_the_farewell_is_played(disk: Disk, headset: Headset):
    """Frames are fed while the disk is slow; the farewell is played when it is done, and not sooner."""
    disk.hang()
    tape, prompt_player, said = run(headset, lambda held: disk.go_on() if held == 10 else None)
    assert prompt_player.found == [*BEFORE, (FAREWELL, [REASON], 0)]
    assert tape.held >= 10
    assert said[-1] == "phase ended"
    headset.stored()
    assert headset.kinds == [REQUESTED, ENDED]
    assert headset.told == []


def test_a_farewell_waits_for_a_disk_that_hangs_until_the_deadline_and_not_longer(
    disk: Disk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STORED_S", 60.0)
    disk.hang()

    def deadline(held: int) -> None:
        if held == 10:
            monkeypatch.setattr(module, "STORED_S", 0.0)

    tape, prompt_player, said = run(headset, deadline)
    assert prompt_player.found == [*BEFORE, (FAREWELL, [], 1)]
    assert headset.told[0].startswith(UNWRITTEN + HANGS)
    assert tape.held == 10
    assert said[-1] == "phase ended"
    disk.go_on()
    headset.stored()
    assert headset.kinds == [REQUESTED, ENDED]


def test_the_deadline_is_within_what_a_prompt_may_take_to_begin():
    script = TapePlan().settings.timing
    assert script.prompt_start_s - module.STORED_S >= 0.3
