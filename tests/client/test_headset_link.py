"""The link to the desk: its hub has the headset's state, through every outage, of which it is told once."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.web.link_desk import TOKEN, LinkDesk, a_cable, headset, link_desk, until
from vad_agent.client import discovery, headset_link, headset_websocket
from vad_agent.client.discovery import DeskEndpoint, find_desk
from vad_agent.client.headset_link import LEAST_S, LET_OUT, SEEN, UNSEEN, HeadsetLink
from vad_agent.client.headset_protocol import Command
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.status import Status
from vad_agent.headset.status_publisher import StatusPublisher, snapshot

QUICK: dict[str, Any] = {"pauses_s": (0.02,), "again_s": 0.05, "look_s": 0.02}


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield
        assert not [record.getMessage() for record in caplog.records]


class Linked:
    """A link, what it has reported and the keys that came."""

    def __init__(self, where: Callable[[], DeskEndpoint | None], **more: Any) -> None:
        self.reports: list[str] = []
        self.keys: list[Any] = []
        self.link = HeadsetLink(where, self.reports.append, **(QUICK | more))
        self.link.attach("anna", self.keys.append)

    def publish(self, **state: Any) -> None:
        self.link.publish("anna", state)


@contextlib.contextmanager
def linked(url: str | Callable[[], DeskEndpoint | None], **more: Any) -> Iterator[Linked]:
    one = Linked(url if callable(url) else lambda: DeskEndpoint(url, TOKEN), **more)
    try:
        yield one
    finally:
        began = time.perf_counter()
        one.link.stop()
        assert time.perf_counter() - began < 1
        assert not one.link._thread.is_alive()


def test_the_whole_state_is_there_then_what_changed_and_keys_come_back() -> None:
    with link_desk() as desk:
        with linked(desk.url) as one:
            one.publish(phase=None, name="Ольга", level=0.1)
            desk.until(phase=None, name="Ольга", level=0.1, gone=False)
            one.publish(phase="dialogue", level=0.1)
            desk.until(phase="dialogue", name="Ольга", level=0.1)
            for what in (Event(EventKind.CLIENT_NAME, name="Анна"), Command.QUIT, Command.END_CALL):
                assert desk.broker.send("anna", what)
            until(lambda: len(one.keys) == 2)
            assert one.keys == [Event(EventKind.CLIENT_NAME, name="Анна"), Command.END_CALL]
        desk.until(gone=True)
        assert one.reports == []


@pytest.mark.serial
def test_a_feed_goes_to_the_desk_as_to_a_hub() -> None:
    status, keys = Status(client_name="Ольга"), []
    with link_desk() as desk:
        link = HeadsetLink(lambda: DeskEndpoint(desk.url, TOKEN), pytest.fail)
        feed = StatusPublisher([link], "anna", status, keys.append)
        feed.start()
        try:
            told = json.loads(json.dumps(snapshot(status, "anna")))
            until(lambda: desk.state() == {**told, "gone": False})
            took = []
            for number in range(20):
                status.client_name = f"Ольга {number}"
                began = time.perf_counter()
                feed.changed()
                desk.until(client_name=status.client_name)
                took.append(time.perf_counter() - began)
            print(
                f"to the desk: p50 {sorted(took)[10] * 1e3:.1f} ms, most {max(took) * 1e3:.1f} ms"
            )
            assert sorted(took)[10] < 0.1
        finally:
            feed.stop()
        desk.until(gone=True)


def test_a_desk_that_was_killed_is_told_everything_again() -> None:
    first = LinkDesk()
    with linked(first.url) as one:
        one.publish(a=1, b=1)
        first.until(a=1, b=1)
        first.stop()
        one.publish(a=2)
        with link_desk(first.port) as second:
            second.until(a=2, b=1, gone=False)
            one.publish(b=2)
            second.until(a=2, b=2)


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    throttle: list[int] = []
    reported: list[int] = []  # after how many tries

    def where() -> DeskEndpoint:
        throttle.append(1)
        return DeskEndpoint(f"http://127.0.0.1:{port}", TOKEN)

    with linked(where) as one:
        report = one.link._report
        one.link._report = lambda text: (reported.append(len(throttle)), report(text))
        one.publish(a=1)
        until(lambda: len(throttle) >= 8)
        assert reported == [3]
        assert one.reports == [f"{UNSEEN}: 127.0.0.1:{port}: ConnectionRefusedError; повторяю"]
        with link_desk(port) as desk:
            desk.until(a=1)
            until(lambda: len(one.reports) == 2)
        until(lambda: len(one.reports) == 3)
        assert one.reports[1] == SEEN
        assert one.reports[2].startswith(UNSEEN)


def test_a_short_outage_is_not_told() -> None:
    with link_desk() as desk, a_cable(desk.port) as cable, linked(cable.url) as one:
        for number in range(5):
            one.publish(a=number)
            desk.until(a=number, gone=False)
            cable.cut()
            desk.until(gone=True)
        desk.until(a=4, gone=False)
        assert one.reports == []


def test_a_wrong_token_is_told_once_and_tried_again() -> None:
    token, throttle = "not-the-token-of-it", []

    def where() -> DeskEndpoint:
        throttle.append(token)
        return DeskEndpoint(desk.url, token)

    with link_desk() as desk, linked(where) as one:
        one.publish(a=1)
        until(lambda: len(throttle) >= 4)
        assert one.reports == [LET_OUT]
        assert desk.broker.operators() == []
        token = TOKEN
        desk.until(a=1)
        until(lambda: one.reports == [LET_OUT, SEEN])


def test_the_pauses_grow_and_what_a_person_must_change_is_tried_seldom() -> None:
    assert headset_link.PAUSES_S == (0.5, 1.0, 2.0, 5.0)
    assert headset_link.AGAIN_S == 30
    link = HeadsetLink(lambda: None, lambda _: None)
    assert [link._failed("") for _ in range(6)] == [0.5, 1, 2, 5, 5, 5]


@pytest.mark.serial
def test_a_pulled_cable_is_noticed_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headset_websocket, "ALIVE_S", 0.1)
    with (
        link_desk(silence_s=0.3) as desk,
        a_cable(desk.port) as cable,
        linked(cable.url) as one,
    ):
        one.publish(a=1)
        desk.until(a=1, gone=False)
        before = one.link._connection
        cable.pull()
        one.publish(a=2)
        assert desk.until(gone=True) < 1
        until(lambda: one.link._connection is not before)
        cable.mend()
        desk.until(a=2, gone=False)


@pytest.mark.serial
def test_a_network_that_takes_nothing_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headset_link, "LEAST_S", 0.0)
    with link_desk() as desk, a_cable(desk.port) as cable, linked(cable.url) as one:
        one.publish(a=1)
        desk.until(a=1)
        cable.pull()
        took = []
        for number in range(3000):
            began = time.perf_counter()
            one.publish(a=f"{number}{'x' * 10_000}")
            took.append(time.perf_counter() - began)
        print(f"publish: p50 {sorted(took)[1500] * 1e6:.0f} µs, most {max(took) * 1e3:.1f} ms")
        assert sorted(took)[1500] < 0.001
    # and its stop, while the sender waits for the network, was quick: see `linked`


@pytest.mark.parametrize("where", ["nowhere", "nobody answers", "nobody listens", "linked"])
@pytest.mark.serial
def test_it_stops_at_once_whatever_it_is_at(where: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, link_desk() as desk:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = taken.getsockname()[1]
        url = {
            "nowhere": None,
            "nobody answers": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "nobody listens": f"http://127.0.0.1:{free}",
            "linked": desk.url,
        }[where]
        one = Linked(lambda: url and DeskEndpoint(url, TOKEN), pauses_s=(60,), look_s=60)
        one.publish(a=1)
        if where == "linked":
            desk.until(a=1)
        else:
            time.sleep(0.05)
        began = time.perf_counter()
        one.link.stop()
        assert time.perf_counter() - began < 1
        silent.close()
        one.link._thread.join(10)
        assert not one.link._thread.is_alive()


def test_while_there_is_no_desk_it_waits_silently() -> None:
    looks = []

    def where() -> DeskEndpoint | None:
        looks.append(1)
        return DeskEndpoint(desk.url, TOKEN) if len(looks) > 5 else None

    with link_desk() as desk, linked(where) as one:
        one.publish(a=1)
        desk.until(a=1)
        assert one.reports == []


def test_without_its_packages_there_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vad_agent.client.headset_websocket", raising=False)
    monkeypatch.setitem(sys.modules, "websockets.exceptions", None)
    one = Linked(lambda: DeskEndpoint("http://127.0.0.1:1", TOKEN))
    one.link._thread.join(5)
    assert not one.link._thread.is_alive()
    one.publish(a=1)
    one.link.stop()
    assert one.reports == []


def test_until_a_desk_is_there_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys; from vad_agent.client.headset_link import HeadsetLink;"
        "link = HeadsetLink(lambda: None, print); link.attach('anna', print); link.stop();"
        "print([name for name in ('ssl', 'websockets', 'vad_agent.web') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# -- a desk by hand ------------------------------------------------------------------------------------


class ByHand:
    """Notes what comes, and says what it is told to."""

    def __init__(self, says: tuple[str | bytes, ...] = ('{"hello": 1}',)) -> None:
        self.says = says
        self.told: list[tuple[float, Any]] = []
        self._server = serve(self._follow, "127.0.0.1", 0, compression=None)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def _follow(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.path = connection.request.path
        for text in self.says:
            connection.send(text)
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                self.told.append((time.perf_counter(), json.loads(message)))

    def __enter__(self) -> ByHand:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()


def test_it_says_hello_first_and_all_of_the_state() -> None:
    with ByHand() as desk, linked(f"{desk.url}/behind/a/proxy/") as one:
        one.publish(a=1)
        until(lambda: len(desk.told) >= 2)
        assert desk.path == "/behind/a/proxy/api/v1/headsets"
        (_, hello), (_, state), *_ = desk.told
        assert set(hello) == {"hello", "operator", "instance"}
        assert (hello["hello"], hello["operator"]) == (1, "anna")
        assert state == {"state": {"a": 1}}


def test_a_burst_is_told_a_frame_apart_and_ends_at_the_last_value() -> None:
    with ByHand() as desk, linked(desk.url) as one:
        began = time.perf_counter()
        for number in range(2000):
            one.publish(a=number, same=1)
        until(lambda: any(told.get("state", {}).get("a") == 1999 for _, told in desk.told))
        states = [(at, told["state"]) for at, told in desk.told if "state" in told]
        assert sum("same" in state for _, state in states) == 1
        last = next(at for at, state in states if state.get("a") == 1999)
        assert len(states) <= (last - began) / LEAST_S + 2


def test_it_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    assert headset_link.SIGN_S == 2
    monkeypatch.setattr(headset_link, "SIGN_S", 0.03)
    with ByHand() as desk, linked(desk.url):
        until(lambda: [told for _, told in desk.told].count({}) >= 3)


@pytest.mark.parametrize(
    "nonsense",
    [
        "no JSON",
        b"\xff\xfe",
        "[]",
        "17",
        '{"send": null}',
        '{"send": {"command": "quit"}}',
        '{"send": {"command": "format"}}',
        '{"send": {"kind": "prompt_ended", "prompt": "x"}}',
        '{"send": {"kind": "dance"}}',
        '{"send": {"kind": "client_name", "name": "\\ud800"}}',
        '{"more": {"kind": "pause"}}',
        '{"send": ' + "[" * 20_000 + "]" * 20_000 + "}",
    ],
)
def test_what_cannot_be_understood_is_ignored(nonsense: str | bytes) -> None:
    says = (nonsense, '{"hello": 1, "more": 1}', nonsense, '{"send": {"kind": "pause"}}')
    with ByHand(says) as desk, linked(desk.url) as one:
        until(lambda: one.keys)
        assert one.keys == [Event(EventKind.PAUSE)]
        assert one.reports == []


def test_a_desk_that_answers_no_hello_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headset_link, "HELLO_S", 0.05)
    with ByHand(says=()) as desk, linked(desk.url) as one:
        until(lambda: one.reports)
        assert one.reports == [f"{UNSEEN}: {desk.url[7:]}: TimeoutError; повторяю"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://desk", "desk: gaierror"),
        ("http://", ": InvalidURI"),
        ("nonsense", ": InvalidURI"),
        ("http://127.0.0.1:99999", "127.0.0.1:99999: "),
        ("https://127.0.0.1:1", "127.0.0.1:1: ConnectionRefusedError"),
    ],
)
def test_a_wrong_address_is_an_outage(url: str, why: str) -> None:
    with linked(url) as one:
        until(lambda: one.reports)
    assert one.reports[0].startswith(f"{UNSEEN}: {why}")
    assert len(one.reports) == 1


# -- where the desk is ---------------------------------------------------------------------------------


def test_the_desk_is_the_one_that_is_named_or_this_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(discovery.TOKEN_VARIABLE, TOKEN)
    assert find_desk("https://desk") == ("https://desk", TOKEN, "")
    here = discovery.DeskRecord("https://127.0.0.1:8600", 17, certificate="desk.pem")
    monkeypatch.setattr(discovery, "find_local_desk", lambda: here)
    assert find_desk() == ("https://127.0.0.1:8600", TOKEN, "desk.pem")
    monkeypatch.setattr(discovery, "find_local_desk", lambda: None)
    assert find_desk() is None
    monkeypatch.delenv(discovery.TOKEN_VARIABLE)
    monkeypatch.setattr(discovery, "read_token", lambda: None)
    assert find_desk("https://desk") is None


# -- whatever happens ----------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1),
        st.sampled_from(["cut", "another", "wait"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whatever_happens_in_between_the_hub_has_the_last_state(steps: list[Any]) -> None:
    state: dict[str, Any] = {"a": -1}
    with link_desk() as desk, a_cable(desk.port) as cable, linked(cable.url) as one:
        one.publish(**state)
        for step in steps:
            if isinstance(step, dict):
                one.publish(**step)
                state |= step
            elif step == "cut":
                cable.cut()
            elif step == "another":
                with headset(desk, operator=None) as other:
                    other.send({"hello": 1, "operator": "anna"})
                    with contextlib.suppress(ConnectionClosed):  # the link is on, and stays
                        while "hello" not in other.hear():
                            pass
                        other.send({"state": {"other": 1}})
            else:
                desk.until(**state)
        until(lambda: desk.state() == {**state, "gone": False})
