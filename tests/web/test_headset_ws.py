"""The route of the headsets: their states reach the hub, keys come back, and nothing wrong stays."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.web.link_desk import LinkDesk, headset, link_desk, until
from vad_agent.client.headset_protocol import MOST_BYTES, Command, parse_control
from vad_agent.core.events import Event, EventKind
from vad_agent.web.headset_ws import MOST_KEYS


@pytest.fixture(scope="module")
def desk() -> Iterator[LinkDesk]:
    with link_desk() as desk:
        yield desk


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR):
        yield
        assert not caplog.records


def test_the_state_is_the_hubs_while_the_headset_is_on(desk: LinkDesk) -> None:
    with headset(desk, "Анна", instance="one", more="ignored") as one:
        assert "Анна" in desk.broker.operators()
        one.send({"state": {"phase": None, "level": 0.5, "name": "Ольга"}})
        desk.until("Анна", phase=None, level=0.5, name="Ольга", gone=False)
        one.send({})
        one.send({"more": [1]})
        one.send({"state": {"phase": "dialogue"}})
        desk.until("Анна", phase="dialogue", level=0.5, name="Ольга", gone=False)
    desk.until("Анна", gone=True)
    assert "Анна" not in desk.broker.operators()
    assert desk.state("Анна")["name"] == "Ольга"


def test_what_one_before_it_told_is_forgotten_then(desk: LinkDesk) -> None:
    with headset(desk) as one:
        one.send({"state": {"old": 1, "both": 1}})
        desk.until(old=1)
    with headset(desk) as one:
        one.send({"state": {"both": 2}})
        desk.until(both=2)
        assert desk.state() == {"both": 2, "gone": False}


@pytest.mark.parametrize(
    "what",
    [
        Event(EventKind.PAUSE),
        Event(EventKind.CLIENT_NAME, name="Ольга «О»", call_id="17", seq=3),
        Event(EventKind.CALLBACK_AGREED, at="2026-11-30T10:00:00+03:00", phone="+79123456789"),
        Command.START_CALL,
        Command.END_CALL,
        Command.UNDO,
    ],
)
def test_keys_come_back_as_the_inlet_has_them(desk: LinkDesk, what: Any) -> None:
    with headset(desk) as one:
        assert desk.broker.send("anna", what)
        told = one.hear()
        assert set(told) == {"send"}
        assert parse_control(json.dumps(told["send"]).encode()) == what


def test_nobody_ends_a_program_from_elsewhere(desk: LinkDesk) -> None:
    with headset(desk) as one:
        for what in (Command.QUIT, Command.LINE_UNUSED, Command.UNDO):
            desk.broker.send("anna", what)
        assert one.hear() == {"send": {"command": "undo"}}


@pytest.mark.parametrize("token", ["", "another-long-token-of-somebody"])
def test_without_its_token_it_is_not_let_in(desk: LinkDesk, token: str) -> None:
    with pytest.raises(InvalidStatus) as refused, headset(desk, token=token):
        pass
    assert refused.value.response.status_code == 403
    assert desk.broker.operators() == []


@pytest.mark.parametrize(
    ("hello", "code", "reason"),
    [
        ("{", 1007, "expected JSON"),
        (b"{}", 1007, "expected text"),
        ("[1]", 1008, "expected an object"),
        ({}, 1008, "hello: expected 1"),
        ({"hello": True, "operator": "anna"}, 1008, "hello: expected 1"),
        ({"hello": 2, "operator": "anna"}, 1008, "hello: expected 1"),
        ({"hello": 1}, 1008, "operator: expected 1 to 100 characters"),
        ({"hello": 1, "operator": ""}, 1008, "operator: expected 1 to 100 characters"),
        ({"hello": 1, "operator": "a" * 101}, 1008, "operator: expected 1 to 100 characters"),
        (
            {"hello": 1, "operator": "a\n"},
            1008,
            "operator: expected characters that can be printed",
        ),
        ({"hello": 1, "operator": "a", "instance": 7}, 1008, "instance: expected 64 characters"),
        (
            {"hello": 1, "operator": "a", "instance": "a" * 65},
            1008,
            "instance: expected 64 characters",
        ),
        ({"state": {"a": 1}}, 1008, "hello: expected 1"),
    ],
)
def test_a_wrong_hello_ends_it(desk: LinkDesk, hello: Any, code: int, reason: str) -> None:
    with headset(desk, operator=None) as one:
        one.send(hello)
        ended = one.end()
    assert ended[0] == code
    assert ended[1].startswith(reason)
    assert desk.broker.operators() == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", 1007),
        ('{"state": {"level": NaN}}', 1007),
        ('{"state": {"level": -Infinity}}', 1007),
        ('{"state": {"level": 1e999}}', 1007),
        (f'{{"state": {{"a": {"[" * 20_000}{"]" * 20_000}}}}}', 1007),
        ('{"state": {"a": ' + "9" * 5000 + "}}", 1007),
        ('"Ольга"', 1008),
        ({"state": ["Ольга"]}, 1008),
        ({"state": None}, 1008),
        ({"state": {"a" * 41: 1}}, 1008),
        ({"state": {f"a{number}": 1 for number in range(MOST_KEYS)}}, 1008),
        ({"state": {"a": "x" * MOST_BYTES}}, 1009),
        ("x" * 10_000_000, 1009),
    ],
)
def test_what_is_wrong_later_ends_it_and_is_not_quoted(
    desk: LinkDesk, message: Any, code: int
) -> None:
    with headset(desk) as one:
        one.send({"state": {"before": 1}})
        one.send(message)
        ended = one.end()
    assert ended[0] == code
    assert "Ольга" not in ended[1]
    desk.until(gone=True)
    assert desk.state() == {"before": 1, "gone": True}


def test_the_longest_message_is_taken(desk: LinkDesk) -> None:
    head, tail = '{"state":{"a":"', '"}}'
    text = "я" * ((MOST_BYTES - len(head + tail)) // 2)
    with headset(desk) as one:
        one.send(f"{head}{text}{tail}")
        desk.until(a=text)
        one.send(f"{head}{text}я{tail}")
        assert one.end() == (1009, f"expected {MOST_BYTES} bytes at most")


def test_keys_that_are_ever_new_are_too_many(desk: LinkDesk) -> None:
    with headset(desk) as one:
        for number in range(MOST_KEYS + 1):
            one.send({"state": {f"a{number}": 1}})
        assert one.end()[0] == 1008
    assert len(desk.state()) == MOST_KEYS + 1


@pytest.mark.serial
def test_a_headset_that_is_silent_is_gone() -> None:
    with link_desk(hello_s=0.2, silence_s=0.3) as desk:
        with headset(desk, operator=None) as one:
            assert one.end() == (1008, "expected a word within 0.2 s")
        with headset(desk) as one:
            one.send({"state": {"a": 1}})
            desk.until(gone=False)
            assert 0.2 < desk.until(gone=True) < 1
            assert one.end() == (1008, "expected a word within 0.3 s")


def test_a_sign_of_life_is_enough() -> None:
    with link_desk(silence_s=0.3) as desk, headset(desk) as one:
        one.send({"state": {"a": 1}})
        desk.until(a=1)
        for _ in range(8):  # 0.8 s, and never 0.3 without a word
            time.sleep(0.1)
            one.send({})
        assert desk.state()["gone"] is False


def test_who_does_not_take_the_keys_is_let_go(desk: LinkDesk) -> None:
    with headset(desk):
        name = "x" * 50_000
        event = Event(EventKind.CLIENT_NAME, name=name)
        sent = 0
        while desk.broker.send("anna", event):
            sent += 1
            assert sent < 2000
            time.sleep(0.0005)
        assert sent > 32
        desk.until(gone=True)


def test_with_the_hub_all_links_end_and_the_server_soon() -> None:
    desk = LinkDesk()
    with headset(desk) as one, headset(desk, "olga") as other:
        desk.broker.close()
        assert one.end() == other.end() == (1001, "the desk ends")
        with headset(desk, operator=None) as late:
            late.send({"hello": 1, "operator": "vera"})
            assert late.end() == (1001, "the desk ends")
    assert desk.stop() < 2


def test_a_server_that_ends_ends_them_too() -> None:
    desk = LinkDesk()
    with headset(desk) as one:
        assert desk.stop() < 2
        assert one.end()[0] == 1012
    until(lambda: desk.state()["gone"])
