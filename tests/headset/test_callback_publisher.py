"""Callbacks of a headset as letters: which ones a call writes, and what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from vad_agent.callbacks import outbox_message as letters
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import ENDED, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.core.actions import (
    Action,
    CallbackRequested,
    CallbackRevised,
    CallbackWithdrawn,
    Hangup,
    Phase,
    PhaseChanged,
    Play,
    Reason,
)
from vad_agent.errors import OutputError
from vad_agent.headset.callback_publisher import CallbackPublisher

BEGAN = datetime(2026, 11, 24, 12, 0, 7)
ASKED = datetime(2026, 11, 24, 12, 3, tzinfo=timezone(timedelta(hours=3)))
DROPPED = CallbackRequested(5, Reason.DROPPED, 0.0, "Здравствуйте")
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


class Headset:
    """An outlet and its folder."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder)
        self.outlet = CallbackPublisher(self.outbox.post, operator="o1", now=lambda: ASKED)
        self.outlet.begin("call", BEGAN)

    def take(self, *actions: Action) -> None:
        self.outlet.take(actions)

    @property
    def letters(self) -> list[OutboxMessage]:
        return [self.outbox.read(path) for path in self.outbox.waiting()]

    @property
    def kinds(self) -> list[str]:
        return [letter.kind for letter in self.letters]


@pytest.fixture
def headset(tmp_path: Path) -> Headset:
    return Headset(tmp_path / "outbox")


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
    outlet = CallbackPublisher(outbox.post)
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


def test_of_many_actions_only_those_that_concern_the_desk_are_written(headset: Headset):
    headset.take(*OTHERS, DROPPED, *OTHERS)
    assert headset.kinds == [REQUESTED]


def test_what_cannot_be_written_ends_what_asks(headset: Headset):
    headset.outbox.folder.rename(headset.outbox.folder.with_name("away"))
    headset.outbox.folder.write_text("no folder")
    with pytest.raises(OutputError, match="cannot make the folder"):
        headset.take(DROPPED)


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
