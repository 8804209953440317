"""Call events that a PBX posts as signed JSON: taken once, in any order; wrong ones are one line."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.callbacks.dialers.http_centre import DROP, CentreServer
from tests.headset.source_recording import until
from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.errors import EventError, SettingsError
from vad_agent.telephony import event_hooks
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.event_hooks import SignedEvents

SECRET = "correct-horse-battery"
NOW = 1767225600.25
TAP = "7B3F6A52-9D1C-4F0E-8A51-0123456789AB"
ANSWERED: dict[str, Any] = {
    "call_id": "17",
    "seq": 2,
    "ts": "2026-01-01T12:00:00+03:00",
    "kind": "answered",
    "operator": "101",
    "phone": "+79161234567",
    "tap": TAP,
}


class Pbx:
    """Posts events. `url`: where it takes commands."""

    def __init__(self, url: str | None = None) -> None:
        self.now = NOW
        self.told: list[TapEvent] = []
        self.events = SignedEvents(SECRET, self.told.extend, url=url, clock=lambda: self.now)

    def post(self, body: bytes | dict[str, Any], *, secret: str = SECRET, at: float = NOW) -> bool:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = message_signing.signed(secret, body, at)
        return self.events.receive({name.lower(): one for name, one in signed.items()}, body)


@pytest.fixture
def pbx() -> Iterator[Pbx]:
    one = Pbx()
    yield one
    one.events.close()


def test_an_event_is_told_with_what_it_says(pbx: Pbx) -> None:
    assert pbx.post(ANSWERED)
    (one,) = pbx.told
    assert (one.tap, one.operator, one.resumed) == (TAP.lower(), "101", False)
    event = one.event.to_dict()
    assert event == {
        "kind": "answered",
        "phone": "+79161234567",
        "call_id": "17",
        "seq": 2,
        "ts": "2026-01-01T12:00:00+03:00",
    }


def test_a_repeated_event_is_no_second_one_and_late_ones_do_not_matter(pbx: Pbx) -> None:
    assert pbx.post(ANSWERED)
    assert not pbx.post(ANSWERED)
    assert pbx.post({"call_id": "17", "seq": 4, "kind": "unhold", "party": "client"})
    assert pbx.post({"call_id": "17", "seq": 3, "kind": "hold", "party": "client"})
    assert [one.event.kind.value for one in pbx.told] == ["answered"]
    assert pbx.post({"call_id": 17, "seq": 5, "kind": "hangup", "party": "client", "cause": 16})
    assert (pbx.told[-1].event.party, pbx.told[-1].event.cause) == ("client", "16")
    assert not pbx.post({"call_id": "17", "seq": 6, "kind": "hangup"})


def test_without_a_tap_the_stream_has_the_name_of_the_call(pbx: Pbx) -> None:
    pbx.post({"call_id": "17", "seq": 1, "kind": "answered"})
    assert (pbx.told[0].tap, pbx.told[0].operator) == ("17", None)


WRONG = [
    ({"call_id": None}, "call_id: expected a text"),
    ({"call_id": "x" * 201}, "call_id: expected a text of 200 characters"),
    ({"call_id": "a\nb"}, "call_id: expected a text of 200 characters at most, in one line"),
    ({"call_id": "\ud800"}, "call_id: expected"),
    ({"call_id": ["17"]}, "call_id: expected"),
    ({"seq": None}, "seq: expected a whole number"),
    ({"seq": 1.5}, "seq: expected a whole number"),
    ({"seq": True}, "seq: expected a whole number"),
    ({"seq": -1}, "seq: expected a whole number"),
    ({"seq": 10**30}, "seq: expected a whole number"),
    ({"kind": "callback_agreed"}, "kind: expected one of answered, hangup"),
    ({"kind": None}, "kind: expected"),
    ({"kind": ["answered"]}, "kind: expected"),
    ({"party": "supervisor"}, "party: expected one of operator, client, network"),
    ({"party": {}}, "party: expected"),
    ({"operator": {"login": "anna"}}, "operator: expected a text"),
    ({"phone": ["+79161234567"]}, "phone: expected a text"),
    ({"cause": {}}, "cause: expected a text"),
    ({"ts": False}, "ts: expected a text"),
    ({"tap": 5.5e300}, "tap: expected a text"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_a_wrong_field_is_named_and_its_value_is_not_repeated(
    pbx: Pbx, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(EventError) as error:
        pbx.post(ANSWERED | change)
    assert str(error.value).startswith(said)
    assert len(str(error.value).splitlines()) == 1
    assert "79161234567" not in str(error.value)
    assert pbx.told == []


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 60_000, b"5" * 60_000])
def test_a_body_that_is_no_object_is_one_line(pbx: Pbx, body: bytes) -> None:
    with pytest.raises(EventError, match=r"^body: expected"):
        pbx.post(body)


def test_only_what_is_signed_now_with_the_secret_is_taken(pbx: Pbx) -> None:
    for wrong in ({"secret": "another-horse-battery"}, {"at": NOW - 301}, {"at": NOW + 301}):
        with pytest.raises(HookRefused) as refused:
            pbx.post(ANSWERED, **wrong)  # type: ignore[arg-type]
        assert refused.value.status == 401
    body = json.dumps(ANSWERED).encode()
    signed = {k.lower(): v for k, v in message_signing.signed(SECRET, body, NOW).items()}
    for headers, changed in ((signed, body + b" "), ({}, body), (signed | {"x": "y"}, b"{}")):
        with pytest.raises(HookRefused):
            pbx.events.receive(headers, changed)
    assert not pbx.events.connected
    pbx.now += 299  # a copy within the window is a duplicate
    assert pbx.events.receive(signed, body)
    assert not pbx.events.receive(signed, body)
    pbx.now += 2
    with pytest.raises(HookRefused):
        pbx.events.receive(signed, body)


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(SettingsError, match="16 characters at least"):
        SignedEvents("short", lambda found: None)


def test_every_truncation_and_mutation_is_a_documented_error(pbx: Pbx) -> None:
    body = json.dumps(ANSWERED).encode()
    for length in range(len(body)):
        with pytest.raises(EventError):
            pbx.post(body[:length])
    random_ = random.Random(5)
    taken, said = 0, set()
    for _ in range(20_000):
        data = bytearray(body)
        for _ in range(random_.randrange(1, 6)):
            at = random_.randrange(len(data))
            data[at : at + random_.randrange(3)] = random_.randbytes(random_.randrange(3))
        try:
            taken += pbx.post(bytes(data))
        except EventError as error:
            said.add(str(error))
    assert taken < 20_000
    assert all(len(one.splitlines()) == 1 for one in said)


def test_events_that_stop_coming_leave_new_streams_to_the_ear(
    monkeypatch: pytest.MonkeyPatch, pbx: Pbx
) -> None:
    assert not pbx.events.connected  # nobody may be sending
    pbx.post(ANSWERED)
    assert pbx.events.connected
    monkeypatch.setattr(event_hooks, "QUIET_S", 0.0)
    assert not pbx.events.connected


def test_a_hangup_is_posted_to_the_pbx_signed_and_until_it_arrives() -> None:
    with CentreServer().serving() as server:
        server.answers("POST", "/commands", DROP)
        server.answers("POST", "/commands", 200, {})
        pbx = Pbx(f"{server.url}/commands")
        try:
            pbx.post(ANSWERED)
            pbx.events.hang_up("another control's tap")
            pbx.events.hang_up(TAP.lower())
            until(lambda: len(server.taken) == 2, 10, "the command")
            pbx.events.tap(TAP.lower())
            until(lambda: len(server.taken) == 3, 10, "the second command")
        finally:
            pbx.events.close()
        command = {"command": "hang_up", "call_id": "17", "tap": TAP.lower()}
        bodies = [json.loads(one.body) for one in server.taken]
        assert bodies == [command, command, command | {"command": "tap"}]
        for one in server.taken:
            message_signing.check(SECRET, one.headers, one.body, NOW)


def test_without_an_address_a_command_is_one_line_in_the_log(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    pbx.post(ANSWERED)
    pbx.events.hang_up(TAP.lower())
    assert [one.message for one in caplog.records] == ["no command can be sent: no URL is set"]
