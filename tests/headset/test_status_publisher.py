"""Each change of a headset's status is published at once; the loop only sets a flag."""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from dataclasses import fields

import pytest

from tests.web.test_state_broker import run
from vad_agent.core.actions import Phase
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.status import Status
from vad_agent.headset.status_presenter import EVERY, StatusPresenter
from vad_agent.headset.status_publisher import StatusPublisher, snapshot
from vad_agent.web.state_broker import StateBroker


def test_the_whole_status_is_there_and_keys_come_back() -> None:
    broker, status, sent = StateBroker(), Status(client_name="Ольга"), []
    feed = StatusPublisher(broker, "ivan", status, sent.append)
    feed.start()
    try:
        deadline = time.monotonic() + 5
        while "client_name" not in broker.state("ivan") and time.monotonic() < deadline:
            time.sleep(0.001)
        told = json.loads(json.dumps(snapshot(status, "ivan")))
        assert broker.state("ivan") == {**told, "gone": False}
        assert broker.send("ivan", Event(EventKind.PAUSE))
        assert sent == [Event(EventKind.PAUSE)]
    finally:
        feed.stop()
    feed.stop()
    assert broker.state("ivan")["gone"] is True
    assert not broker.send("ivan", Event(EventKind.PAUSE))


@pytest.mark.serial
def test_a_change_is_there_within_a_few_milliseconds() -> None:
    async def follow() -> list[float]:
        broker, status, took = StateBroker(), Status(), []
        feed = StatusPublisher(broker, "ivan", status, lambda _: None)
        feed.start()
        try:
            async with aclosing(broker.follow("ivan", least_s=0)) as states:
                seen = json.loads(await anext(states))
                for number in range(40):
                    began = time.perf_counter()
                    status.client_name = f"Ольга {number}"
                    feed.changed()
                    while seen.get("client_name") != status.client_name:
                        seen |= json.loads(await anext(states))
                    took.append(time.perf_counter() - began)
        finally:
            feed.stop()
        return sorted(took)

    took = run(follow())
    print(f"p50 {took[20] * 1e3:.2f} ms, most {took[-1] * 1e3:.2f} ms")
    assert took[20] < 0.02


def test_a_status_that_changes_while_it_is_read_ends_nothing() -> None:
    broker, status = StateBroker(), Status()
    feed = StatusPublisher(broker, "ivan", status, lambda _: None)
    feed.start()
    try:
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            status.phase, status.silence_s = Phase.DIALOGUE, 1.0
            feed.changed()
            status.phase, status.silence_s = None, None
        assert feed._thread.is_alive()
    finally:
        feed.stop()


class Ears:
    def __init__(self) -> None:
        self.speaks = False

    def speaking(self, channel: object) -> bool:
        return self.speaks


class Desk(Ears):
    session: None = None
    guessed = goodbye = False


class FakeLoop:
    """No headset, no call: what `look` reads."""

    headset = None
    refused = 0

    def __init__(self) -> None:
        self.tracker = Desk()


class Written:
    """At which frames a status was written."""

    def __init__(self) -> None:
        self.shown = StatusPresenter(Status())
        self.loop = FakeLoop()
        self._frame = 0
        self._written: list[int] = []
        self.shown.on_update(lambda: self._written.append(self._frame))

    def after(self, frames: int) -> list[int]:
        """Of so many frames that come now."""
        self._written.clear()
        for self._frame in range(frames):
            self.shown.look(self.loop, None)  # type: ignore[arg-type]
        return list(self._written)


def test_the_status_is_written_ten_times_a_second() -> None:
    assert Written().after(3 * EVERY) == [0, EVERY, 2 * EVERY]


def test_and_at_once_where_something_happens() -> None:
    written = Written()
    written.after(1)
    for what in (
        lambda: setattr(written.loop.tracker, "speaks", True),
        lambda: setattr(written.loop.tracker, "speaks", False),
        lambda: written.shown.take(()),
        written.shown.request_update,
    ):
        assert written.after(1) == []
        what()
        assert written.after(1) == [0]


def test_everyone_who_asked_is_told() -> None:
    shown, told = StatusPresenter(Status()), []
    shown.on_update(lambda: told.append("panel"))
    shown.on_update(lambda: told.append("desk"))
    shown.look(FakeLoop(), None)  # type: ignore[arg-type]
    assert told == ["panel", "desk"]


def test_who_is_not_told_is_not_asked_more_often() -> None:
    shown, loop = StatusPresenter(Status()), FakeLoop()
    shown.look(loop, None)  # type: ignore[arg-type]
    loop.tracker = None  # type: ignore[assignment]
    for _ in range(EVERY - 1):
        shown.request_update()
        shown.look(loop, None)  # type: ignore[arg-type]


@pytest.mark.serial
def test_the_check_in_each_frame_costs_little() -> None:
    shown, loop, frames = StatusPresenter(Status()), FakeLoop(), 20_000
    took = []
    for told in range(3):
        if told:
            shown.on_update(lambda: None)
        shown._look_in = 1 << 40
        began = time.perf_counter()
        for _ in range(frames):
            shown.look(loop, None)  # type: ignore[arg-type]
        took.append((time.perf_counter() - began) / frames)
    print(
        f"for nobody {took[0] * 1e6:.2f} µs a frame, for one {took[1] * 1e6:.2f}, for two {took[2] * 1e6:.2f}"
    )
    assert took[2] < 0.00005


def test_a_copy_of_a_status_has_all_of_it() -> None:
    import copy

    status = Status(client_name="Ольга", call_s=2.0)
    twin = copy.copy(status)
    assert all(getattr(twin, f.name) is getattr(status, f.name) for f in fields(Status))
