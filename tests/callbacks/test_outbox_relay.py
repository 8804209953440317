"""Letters that are taken to a desk elsewhere: over a real socket, to the real API on a real store."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.server.api_desk import OTHER, ApiDesk, api_desk, raising, served
from vad_agent.callbacks import outbox_relay as module
from vad_agent.callbacks.model import Callback, State
from vad_agent.callbacks.outbox import Outbox, one_reader
from vad_agent.callbacks.outbox_message import CALL, ENDED, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.callbacks.outbox_relay import OutboxRelay
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.trace_compression import pack
from vad_agent.errors import StoreError

NUMBER = "+79123456789"
BEGAN = "2026-11-24T12:00:00+03:00"
LINES = [{"t": 4.0, "kind": "phase", "phase": "ended"}]
LIMIT_S = 10.0


class Reported(list[str]):
    """What the operator is told; `wait` for the next word."""

    def __init__(self) -> None:
        super().__init__()
        self._new = threading.Semaphore(0)

    def __call__(self, text: str) -> None:
        self.append(text)
        self._new.release()

    def wait(self) -> None:
        assert self._new.acquire(timeout=LIMIT_S), "nothing was reported"


class Headset:
    """A folder, letters that are posted there, couriers that take them away."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder / "outbox")
        self.told = Reported()
        self.count = 0
        self._stack = contextlib.ExitStack()

    def post(self, kind: str = REQUESTED, call: str = "call-1", **more: Any) -> Path:
        self.count += 1
        asked = datetime.now(UTC).isoformat()
        letter = OutboxMessage(kind, f"k{self.count}", call, asked, "dropped", 0.0)
        if kind == CALL:
            more = {"began": BEGAN, "mode": "auto", "lines": pack(LINES)} | more
        return self.outbox.post(dataclasses.replace(letter, **more))

    def courier(self, url: str, token: str = OTHER) -> OutboxRelay:
        courier = OutboxRelay(self.outbox, url, token, self.told)
        self._stack.callback(courier.stop, 1.0)
        return courier

    @property
    def waiting(self) -> int:
        return len(self.outbox.waiting())

    @property
    def refused(self) -> list[str]:
        return sorted(path.name for path in (self.outbox.folder / "refused").glob("*"))

    def close(self) -> None:
        self._stack.close()


class Between:
    """In front of the desk: notes what comes, and does to each request what the plan's next step says.

    A number: answered so, and the desk hears nothing of it. `CUT`: the desk takes it, and the connection is
    cut before its answer. None: as without it.
    """

    CUT = -1

    def __init__(self, app: ASGIApp, plan: list[int | None]) -> None:
        self._app = app
        self.plan = plan
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"].removeprefix("/api/v1"))
        step = self.plan.pop(0) if self.plan else None
        if step is None:
            await self._app(scope, receive, send)
        elif step == self.CUT:

            async def nowhere(message: Message) -> None:
                pass

            await self._app(scope, receive, nowhere)
            raise ConnectionAbortedError  # uvicorn closes the connection or answers 500
        else:
            await Response(None if step == 204 else "not the desk", step)(scope, receive, send)


class Behind:
    """An app whose app can be another for each test: the socket before it stays."""

    app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


Door = Callable[[ASGIApp], contextlib.AbstractContextManager[str]]
"""The app on a real socket; its URL."""


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    behind = Behind()

    @contextlib.contextmanager
    def opened(app: ASGIApp) -> Iterator[str]:
        behind.app = app
        try:
            yield url
        finally:
            behind.app = None

    with served(behind) as url:
        yield opened


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ApiDesk]:
    with api_desk(tmp_path) as one:
        yield one


@pytest.fixture
def headset(tmp_path: Path) -> Iterator[Headset]:
    one = Headset(tmp_path)
    yield one
    one.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.001,))
    monkeypatch.setattr(module, "LOOK_S", 0.001)


def callbacks(desk: ApiDesk) -> list[Callback]:
    return list(CallbackQueries(desk.store).all())


def stored(desk: ApiDesk, monkeypatch: pytest.MonkeyPatch, count: int = 1) -> threading.Event:
    """Set when so many requests have been stored."""
    done, take, seen = threading.Event(), desk.store.take, []

    def look(*args: Any) -> Any:
        taken = take(*args)
        seen.append(taken)
        if len(seen) >= count:
            done.set()
        return taken

    monkeypatch.setattr(desk.store, "take", look)
    return done


# -- taken ------------------------------------------------------------------------------------------


def test_letters_are_delivered_in_order_with_all_that_is_in_them(
    door: Door, desk: ApiDesk, headset: Headset
):
    between = Between(desk.app, [])
    headset.post(phone=NUMBER, name="Анна", topic="РМ 3", opening="Анна, это", operator="o1",
                 session="pbx-7")  # fmt: skip
    headset.post(ENDED)
    headset.post(WITHDRAWN)
    headset.post(call="call-2")
    with door(between) as url:
        assert headset.courier(url).deliver() == 4
    assert between.paths == ["/callbacks", "/calls/ended", "/calls/withdrawn", "/callbacks"]
    one, other = callbacks(desk)
    assert (one.state, other.state) == (State.CANCELLED, State.NEEDS_NUMBER)
    assert (one.phone, one.name, one.topic, one.opening) == (NUMBER, "Анна", "РМ 3", "Анна, это")
    assert (one.operator, one.session, one.reasons) == ("o1", "pbx-7", ("dropped",))
    assert (headset.waiting, headset.refused, headset.told) == (0, [], [])


def test_the_callback_waits_for_the_farewell_until_the_call_has_ended(
    door: Door, desk: ApiDesk, headset: Headset
):
    headset.post(phone=NUMBER)
    with door(desk.app) as url:
        courier = headset.courier(url)
        courier.deliver()
        [before] = callbacks(desk)
        headset.post(ENDED)
        courier.deliver()
    [after] = callbacks(desk)
    assert before.due is not None
    assert after.due is not None
    assert after.due < before.due


KEPT_ALL_THE_SAME: dict[str, dict[str, Any]] = {
    "a wrong number": {"phone": "12"},
    "no number": {"phone": None},
    "an agreed time that is none": {"at": "half past three", "reason": "agreed"},
    "an agreed time in many years": {"at": "2062-01-01T10:00", "due_in_s": 1.2e9},
    "half a letter": {"name": "Ан\ud800на", "opening": "\ud800"},
    "signs that are none": {"name": "Ан\0на\n", "topic": "\x1b[2J"},
    "long texts": {"name": "я" * 900, "topic": "я" * 900, "opening": "я" * 2000},
    "a clock that was never set": {"asked": "1970-01-01T00:01:00+00:00"},
    "a clock that is far ahead": {"asked": "2099-01-01T00:01:00+00:00"},
    "a call and a key of odd signs": {"call": "звонок №1 🎧", "key": "!~\"'\\"},
}


@pytest.mark.parametrize("more", KEPT_ALL_THE_SAME.values(), ids=KEPT_ALL_THE_SAME)
def test_no_request_is_lost_for(door: Door, more: dict[str, Any], desk: ApiDesk, headset: Headset):
    headset.post(**more)
    with door(desk.app) as url:
        assert headset.courier(url).deliver() == 1
    assert len(callbacks(desk)) == 1
    assert (headset.waiting, headset.refused) == (0, [])


# -- not taken, and kept ----------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_while_the_desk_is_down_letters_wait_and_are_delivered_later(
    door: Door, desk: ApiDesk, headset: Headset
):
    headset.post(phone=NUMBER)
    headset.post(call="call-2")
    with pytest.raises(StoreError, match=r"^127\.0\.0\.1:\d+: ConnectError$"):
        headset.courier(f"http://127.0.0.1:{free_port()}").deliver()
    assert headset.waiting == 2
    with door(desk.app) as url:
        assert headset.courier(url).deliver() == 2
    assert len(callbacks(desk)) == 2
    assert headset.waiting == 0


NO_DESK = [200, 204, 301, 308, 401, 403, 404, 405, 408, 429, 500, 502, 503]
"""As statuses: a login page, a wrong address, a wrong token, a desk that is broken."""


@pytest.mark.parametrize("kind", [REQUESTED, WITHDRAWN, ENDED, CALL])
def test_what_something_else_answers_than_a_desk_loses_nothing(
    kind: str, door: Door, desk: ApiDesk, headset: Headset
):
    letters = [headset.post(kind), headset.post(CALL if kind == CALL else REQUESTED, "call-2")]
    statuses: list[int | None] = [one for one in NO_DESK if (kind, one) != (ENDED, 204)]
    if kind == CALL:
        statuses = [one for one in statuses if one not in module.REFUSED_CALLS]
    between = Between(desk.app, list(statuses))
    with door(between) as url:
        courier = headset.courier(url)
        for status in statuses:
            with pytest.raises(StoreError, match=f"HTTP {status}"):
                courier.deliver()
        assert set(between.paths) == {module.PATHS[kind].removeprefix("/api/v1")}
        assert len(between.paths) == len(statuses)
        assert headset.outbox.waiting() == letters
        assert headset.refused == []
        assert courier.deliver() == 2
    assert headset.waiting == 0


def test_a_page_of_a_proxy_that_is_json_is_no_desk(door: Door, headset: Headset):
    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        await Response('{"login": "please"}', 200, media_type="application/json")(
            scope, receive, send
        )

    headset.post()
    with door(proxy) as url, pytest.raises(StoreError, match="HTTP 200"):
        headset.courier(url).deliver()
    assert headset.waiting == 1


def test_a_store_that_is_away_loses_nothing(
    door: Door, desk: ApiDesk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    headset.post(phone=NUMBER)
    with door(desk.app) as url:
        courier = headset.courier(url)
        with monkeypatch.context() as away:
            away.setattr(desk.store, "take", raising(StoreError("away")))
            with pytest.raises(StoreError, match="HTTP 503"):
                courier.deliver()
        assert headset.waiting == 1
        assert courier.deliver() == 1
    assert len(callbacks(desk)) == 1


@pytest.mark.parametrize("kind", [REQUESTED, WITHDRAWN, ENDED])
def test_what_was_taken_before_the_connection_was_cut_is_delivered_again_and_taken_once(
    door: Door, kind: str, desk: ApiDesk, headset: Headset
):
    headset.post(phone=NUMBER)
    between = Between(desk.app, [Between.CUT] if kind == REQUESTED else [None, Between.CUT])
    if kind != REQUESTED:
        headset.post(kind)
    with door(between) as url:
        courier = headset.courier(url)
        with pytest.raises(StoreError):
            courier.deliver()
        changed = [
            change.what for change in CallbackQueries(desk.store).history(callbacks(desk)[0].id)
        ]
        assert headset.waiting == 1
        assert courier.deliver() == 1
    [one] = callbacks(desk)
    assert [change.what for change in CallbackQueries(desk.store).history(one.id)] == changed
    assert CallbackQueries(desk.store).promise().taken == 1


@contextlib.contextmanager
def cutting() -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads each request's beginning and cuts the connection in the middle of an answer."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    taken, _ = listener.accept()
                except OSError:
                    return
                with taken:
                    heard.append(taken.recv(65_536))
                    with contextlib.suppress(OSError):
                        taken.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 999\r\n\r\n{")

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_half_an_answer_is_none(headset: Headset):
    headset.post()
    with (
        cutting() as (url, heard),
        pytest.raises(StoreError, match=r"RemoteProtocolError|ReadError"),
    ):
        headset.courier(url).deliver()
    assert heard[0].startswith(b"POST /api/v1/callbacks HTTP/1.1\r\n")
    assert headset.waiting == 1


def test_a_new_courier_delivers_what_the_one_before_has_left(
    door: Door, desk: ApiDesk, tmp_path: Path
):
    before = Headset(tmp_path)
    before.post(phone=NUMBER)
    before.post(ENDED)
    before.close()
    after = Headset(tmp_path)
    with door(desk.app) as url:
        assert after.courier(url).deliver() == 2
    after.close()
    assert [one.phone for one in callbacks(desk)] == [NUMBER]


# -- refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_the_desk_refuses_is_kept_apart_and_reported_and_those_after_it_are_taken(
    door: Door, status: int, desk: ApiDesk, headset: Headset
):
    first, _ = headset.post(name="Анна", phone=NUMBER), headset.post(call="call-2")
    with door(Between(desk.app, [status])) as url:
        assert headset.courier(url).deliver() == 1
    assert headset.refused == [first.name]
    assert headset.waiting == 0
    [told] = headset.told
    assert f"HTTP {status}" in told
    assert str(headset.outbox.folder / "refused" / first.name) in told
    assert "Анна" not in told
    assert NUMBER not in told


def test_a_reason_that_no_desk_knows_is_refused_by_the_real_one(
    door: Door, desk: ApiDesk, headset: Headset
):
    first = headset.post(reason="boredom")
    with door(desk.app) as url:
        assert headset.courier(url).deliver() == 0
    assert headset.refused == [first.name]
    assert "HTTP 422" in headset.told[0]


@pytest.mark.parametrize("data", [b"{", b"[" * 60_000, b'{"kind": "requested", "due_in_s": NaN}'])
def test_a_broken_letter_is_kept_apart_and_reported_and_those_after_it_are_taken(
    door: Door, data: bytes, desk: ApiDesk, headset: Headset
):
    (headset.outbox.folder / "0-0.json").write_bytes(data)
    headset.post()
    with door(desk.app) as url:
        assert headset.courier(url).deliver() == 1
    assert headset.refused == ["0-0.json"]
    assert len(headset.told) == 1


DISKS = {
    "read": "перезвон не прочитан: Too many open files",
    "done": "перезвон доставлен, но не удалён: Too many open files",
}


@pytest.mark.parametrize("method", DISKS)
def test_a_letter_that_the_disk_does_not_let_go_stays_and_is_told_of_once(
    door: Door, method: str, desk: ApiDesk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    first = headset.post()
    headset.post(call="call-2")
    real: Callable[..., Any] = getattr(Outbox, method)

    def fails(outbox: Outbox, path: Path) -> Any:
        if path == first:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(outbox, path)

    with door(desk.app) as url:
        courier = headset.courier(url)
        with monkeypatch.context() as broken:
            broken.setattr(Outbox, method, fails)
            courier.deliver()
            courier.deliver()
        assert headset.outbox.waiting() == [first]
        assert courier.deliver() == 1
    assert headset.waiting == 0
    assert headset.refused == []
    assert len(callbacks(desk)) == 2
    [told] = headset.told
    assert told.startswith(DISKS[method])


def test_while_another_delivers_the_folder_its_letters_stay(
    door: Door, desk: ApiDesk, headset: Headset
):
    headset.post()
    with door(desk.app) as url:
        courier = headset.courier(url)
        with one_reader(headset.outbox.folder):
            assert courier.deliver() == 0
        assert headset.waiting == 1
        assert courier.deliver() == 1


# -- whole calls ------------------------------------------------------------------------------------


def test_a_call_is_delivered_after_all_callbacks_and_known_when_it_comes_again(
    door: Door, desk: ApiDesk, headset: Headset
):
    headset.post(CALL, operator="o1")
    headset.post(CALL)
    headset.post(call="call-2")
    between = Between(desk.app, [])
    with door(between) as url:
        assert headset.courier(url).deliver() == 3
    assert between.paths == ["/callbacks", "/calls", "/calls"]
    found = desk.desk.calls.get("call-1")
    assert found is not None
    assert (found[0].operator, found[0].mode, found[0].began.isoformat()) == (
        "o1",
        "auto",
        "2026-11-24T09:00:00+00:00",
    )
    assert found[1] == LINES
    assert (headset.waiting, headset.refused, headset.told) == (0, [], [])


def test_the_longest_call_is_delivered(door: Door, desk: ApiDesk, headset: Headset):
    lines = [
        {"t": at / 50, "kind": "prompt", "id": "not_heard", "text": secrets.token_hex(50),
         "window_s": [2.0, 3.0], "silence_s": 2.5, "started_s": at / 50, "ended_s": at / 50,
         "outcome": "said"}
        for at in range(900)
    ]  # fmt: skip
    headset.post(CALL, "🎧" * 100, operator="🎧" * 100, lines=pack(lines))
    with door(desk.app) as url:
        assert headset.courier(url).deliver() == 1
    [row] = desk.desk.calls.of_day(
        datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
    )
    assert row.steps_ok > 100


@pytest.mark.parametrize("status", module.REFUSED_CALLS)
def test_a_call_that_no_desk_may_ever_take_keeps_nothing_waiting(
    door: Door, status: int, desk: ApiDesk, headset: Headset
):
    paths = [headset.post(CALL), headset.post(CALL, "call-3")]
    with door(Between(desk.app, [status, status])) as url:
        courier = headset.courier(url)
        assert courier.deliver() == 0
        headset.post(call="call-2")
        assert courier.deliver() == 1
    assert headset.refused == [path.name for path in paths]
    [told] = headset.told  # not of each call
    assert told.startswith(f"звонок не принят: HTTP {status}; сохранён: ")
    assert len(callbacks(desk)) == 1


def test_a_call_of_an_absurd_time_is_refused_by_the_real_desk(
    door: Door, desk: ApiDesk, headset: Headset
):
    path = headset.post(CALL, began="1970-01-01T00:00:07+00:00")
    with door(desk.app) as url:
        assert headset.courier(url).deliver() == 0
    assert headset.refused == [path.name]
    assert headset.told[0].startswith("звонок не принят: HTTP 422")


def test_of_a_desk_that_is_away_callbacks_are_told_though_only_calls_waited_at_first(
    headset: Headset,
):
    courier = headset.courier("http://127.0.0.1:9")
    headset.post(CALL)
    for _ in range(4):
        courier._failed("away")
    headset.post(call="call-2")
    for _ in range(4):
        courier._failed("away")
    assert headset.told == [
        "звонки не доставлены (1): away; повторяю, ничего не потеряно",
        "перезвоны не доставлены (1): away; повторяю, ничего не потеряно",
    ]


# -- its thread -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("wakes", [True, False])
def test_a_letter_goes_when_it_is_posted_by_whomever(
    door: Door, wakes: bool, desk: ApiDesk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "IDLE_S", 3600.0 if wakes else 0.001)
    with door(desk.app) as url:
        courier = headset.courier(url)
        courier.start()
        for number in (1, 2):
            done = stored(desk, monkeypatch)
            headset.post(call=f"call-{number}")
            if wakes:
                courier.wake()
            assert done.wait(LIMIT_S)
        courier.stop()
    assert headset.waiting == 0


@pytest.mark.usefixtures("quick")
def test_a_desk_that_is_down_is_reported_once_and_comes_back(
    door: Door, desk: ApiDesk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    plan: list[int | None] = [503] * 30
    done = stored(desk, monkeypatch)
    headset.post(phone=NUMBER)
    with door(Between(desk.app, plan)) as url:
        courier = headset.courier(url)
        courier.start()
        assert done.wait(LIMIT_S)
        courier.stop()
    [told] = headset.told
    assert told.startswith("перезвоны не доставлены (1): 127.0.0.1:")
    assert "HTTP 503" in told
    assert (plan, headset.waiting) == ([], 0)


@pytest.mark.usefixtures("quick")
def test_a_wrong_token_keeps_the_letters_and_is_reported_once(
    door: Door, desk: ApiDesk, headset: Headset
):
    headset.post()
    between = Between(desk.app, [])
    with door(between) as url:
        courier = headset.courier(url, token="wrong")
        courier.start()
        headset.told.wait()
        courier.stop()
    assert len(between.paths) >= 3
    [told] = headset.told
    assert "HTTP 401" in told
    assert "wrong" not in told
    assert headset.waiting == 1
    assert headset.refused == []


@pytest.mark.usefixtures("quick")
def test_whatever_fails_is_reported_without_what_it_says(
    desk: ApiDesk,
    headset: Headset,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(OutboxRelay, "_send", raising(KeyError("Анна")))
    headset.post()
    courier = headset.courier("http://127.0.0.1:9")
    courier.start()
    headset.told.wait()
    courier.stop()
    assert "KeyError" in headset.told[0]
    assert "Анна" not in headset.told[0] + caplog.text
    assert headset.waiting == 1


def test_stop_delivers_what_waits(
    door: Door, desk: ApiDesk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PAUSES_S", (3600.0,))
    with door(Between(desk.app, [503])) as url:
        courier = headset.courier(url)
        failed = threading.Event()
        monkeypatch.setattr(courier, "_failed", real_then(courier._failed, failed.set))
        headset.post()
        courier.start()
        assert failed.wait(LIMIT_S)
        assert headset.waiting == 1
        courier.stop(LIMIT_S)
    assert headset.waiting == 0
    assert len(callbacks(desk)) == 1


def test_a_letter_that_is_posted_while_the_last_but_one_is_delivered_goes_too(
    door: Door, desk: ApiDesk, headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    with door(desk.app) as url:
        courier = headset.courier(url)
        deliver, stopping = courier.deliver, threading.Event()

        def stopped_meanwhile() -> int:
            count = deliver()
            if not stopping.is_set():
                headset.post()
                courier._stop.set()
                courier._wake.set()
                stopping.set()
            return count

        monkeypatch.setattr(courier, "deliver", stopped_meanwhile)
        courier.start()
        assert stopping.wait(LIMIT_S)
        courier.stop(LIMIT_S)
    assert headset.waiting == 0


def real_then(real: Callable[..., Any], more: Callable[[], Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        answer = real(*args)
        more()
        return answer

    return call


def test_stop_waits_for_a_desk_that_says_nothing_no_longer_than_its_limit(
    headset: Headset, monkeypatch: pytest.MonkeyPatch
):
    waits: list[float | None] = []
    join = threading.Thread.join

    def noted(thread: threading.Thread, limit: float | None = None) -> None:
        if thread.name == "courier":
            waits.append(limit)
        join(thread, limit)

    monkeypatch.setattr(threading.Thread, "join", noted)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        courier = headset.courier(f"http://127.0.0.1:{silent.getsockname()[1]}")
        headset.post()
        courier.start()
        taken, _ = silent.accept()
        with taken:
            assert taken.recv(10) == b"POST /api/"
            courier.stop(0.05)
    assert waits == [0.05]
    assert headset.waiting == 1


def test_a_courier_that_was_never_started_can_be_stopped(headset: Headset):
    headset.post()
    headset.courier("http://127.0.0.1:9").stop()
    assert headset.waiting == 1
