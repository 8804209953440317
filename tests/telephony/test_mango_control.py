"""Mango's webhooks as call control; transcripts after the examples in its description of the API."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.callbacks.dialers.http_centre import CentreServer
from tests.headset.source_recording import until
from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.callbacks.dialers.mango_signing import MangoKeys
from vad_agent.errors import EventError
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.mango_control import HANGUP, MangoControl

KEYS = MangoKeys("qwerty123", "of the account")
ENTRY = "NTI4MzkwNTc4OQ=="
CLIENT = {"number": "74955404444", "line_number": "78001234567"}
ANNA = {"extension": "123", "number": "sip:anna@vpbx.mangosip.ru"}
BORIS = {"extension": 321, "number": "sip:boris@vpbx.mangosip.ru"}


def leg(id: str, seq: int | str, state: str, by: Any = CLIENT, to: Any = ANNA, **more: Any) -> Any:
    base = {"entry_id": ENTRY, "call_id": id, "timestamp": 1398956978, "location": "abonent"}
    return {**base, "seq": seq, "call_state": state, "from": by, "to": to, **more}


IVR = [
    leg("menu", 1, "Appeared", to={"number": "78001234567"}, location="ivr"),
    leg("menu", 2, "Connected", to={"number": "78001234567"}, location="ivr"),
    leg("queue", 1, "Connected", to={"extension": "700", "acd_group": "700"}, location="queue"),
    leg("menu", 3, "Disconnected", to={"number": "78001234567"}, location="ivr"),
]
CALL = [
    leg("200:514", "1", "Appeared"),
    leg("200:514", "2", "Connected"),
    leg("200:514", "3", "OnHold", to=ANNA | {"hold_initiator": True}),
    leg("200:514", "4", "Connected"),
    leg("200:514", "5", "OnHold", by=CLIENT | {"hold_initiator": True}),
    leg("200:514", "6", "Connected"),
    leg("200:514", "7", "Disconnected", disconnect_reason="1110"),
]
CONSULTED = [
    *CALL[:3],
    leg("202:515", 1, "Appeared", by=ANNA | {"taken_from_call_id": "200:514"}, to=BORIS),
    leg("202:515", 2, "Connected", by=ANNA | {"taken_from_call_id": "200:514"}, to=BORIS),
    leg("200:514", 4, "Disconnected", to=ANNA | {"was_transferred": True}, disconnect_reason=1120),
    leg("202:515", 3, "Connected", by=CLIENT | {"taken_from_call_id": "200:514"}, to=BORIS),
    leg("202:515", 4, "Disconnected", to=BORIS, disconnect_reason=1110),
]
OUTGOING = [
    leg("9", 1, "Appeared", by=ANNA, to=CLIENT),
    leg("9", 2, "Connected", by=ANNA, to=CLIENT),
    leg("9", 3, "Disconnected", by=ANNA, to=CLIENT, disconnect_reason=1120),
]
CALLBACK = [
    leg("a", 1, "Appeared", callback_initiator="API", command_id="k"),
    leg("a", 2, "Connected", callback_initiator="API", command_id="k"),
    leg("b", 1, "Appeared", by=ANNA, to=CLIENT, callback_initiator="API", command_id="k"),
    leg("b", 2, "Connected", by=ANNA, to=CLIENT, callback_initiator="API", command_id="k"),
]


class Mango:
    def __init__(self, url: str = "http://127.0.0.1:9") -> None:
        self.told: list[TapEvent] = []
        self.control = MangoControl(KEYS, url, self.told.extend)

    def post(self, told: Any, keys: MangoKeys = KEYS) -> bool:
        return self.control.receive({}, urlencode(keys.form(told)).encode())

    @property
    def lines(self) -> list[str]:
        return [
            " ".join(filter(None, (one.operator, one.event.kind.value, one.event.party)))
            for one in self.told
        ]


@pytest.fixture
def mango() -> Iterator[Mango]:
    one = Mango()
    yield one
    one.control.close()


def test_a_call_through_the_menu_is_told_from_answer_to_hangup(mango: Mango) -> None:
    for event in [*IVR, *CALL]:
        mango.post(event)
    assert mango.lines == [
        "123 answered",
        "123 hold operator",
        "123 unhold operator",
        "123 hold client",
        "123 unhold client",
        "123 hangup client",
    ]
    assert {one.tap for one in mango.told} == {ENTRY}
    assert mango.told[0].event.phone == "+74955404444"
    assert (mango.told[-1].event.cause, mango.told[-1].event.call_id) == ("1110", "200:514")


def test_a_transfer_after_a_consultation_is_the_next_operators_call(mango: Mango) -> None:
    for event in CONSULTED:
        mango.post(event)
    assert mango.lines == [
        "123 answered",
        "123 hold operator",
        "123 hangup operator",
        "321 answered",
        "321 hangup client",
    ]


def test_of_an_outgoing_call_the_called_side_is_the_client(mango: Mango) -> None:
    for event in OUTGOING:
        mango.post(event)
    assert mango.lines == ["123 answered", "123 hangup client"]


def test_of_a_callback_the_operators_own_leg_is_no_call(mango: Mango) -> None:
    for event in CALLBACK:
        mango.post(event)
    assert mango.lines == ["123 answered"]
    assert mango.told[0].event.call_id == "b"


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_events_in_any_order_end_in_the_same_state(order: tuple[int, ...]) -> None:
    mango = Mango()
    try:
        for n in order:
            mango.post(CALL[n])
            mango.post(CALL[n])
        assert mango.lines[0] == "123 answered"
        holds = {side: mango.lines.count(f"123 hold {side}") for side in ("client", "operator")}
        ends = {side: mango.lines.count(f"123 unhold {side}") for side in ("client", "operator")}
        assert [holds[side] - ends[side] for side in ("client", "operator")] == [1, 0]
        assert mango.lines.count("123 answered") == 1
        mango.post(CALL[6])
        assert mango.lines[-1] == "123 hangup client"
    finally:
        mango.control.close()


@pytest.mark.parametrize(
    ("reason", "party"),
    [("1110", "client"), (1120, "operator"), (1105, "network"), (None, "network")],
)
def test_who_hung_up_is_in_the_reason(mango: Mango, reason: Any, party: str) -> None:
    mango.post(CALL[1])
    mango.post(leg("200:514", 3, "Disconnected", disconnect_reason=reason))
    assert mango.lines[-1] == f"123 hangup {party}"


def test_only_what_is_signed_by_the_account_is_taken(mango: Mango) -> None:
    for keys in (MangoKeys("qwerty123", "another"), MangoKeys("another", "of the account")):
        with pytest.raises(HookRefused) as refused:
            mango.post(CALL[1], keys)
        assert refused.value.status == 401
    assert not mango.control.connected
    mango.post(CALL[1])
    assert mango.control.connected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"call_state": "Parked"}, "call_state: expected one of Appeared"),
        ({"entry_id": 5}, "entry_id: expected a text"),
        ({"call_id": ""}, "call_id: expected a text"),
        ({"seq": "soon"}, "seq: expected a whole number"),
    ],
)
def test_a_wrong_field_is_named(mango: Mango, change: dict[str, Any], said: str) -> None:
    with pytest.raises(EventError, match=said):
        mango.post(CALL[1] | change)


def test_other_webhooks_mean_nothing(mango: Mango) -> None:
    for told in ({"entry_result": 1}, {"recording_id": "5"}, {"dtmf": "1"}, {"result": 1000}):
        assert not mango.post(told)
    assert mango.told == []


def test_every_truncation_and_mutation_is_a_documented_error(mango: Mango) -> None:
    body = urlencode(KEYS.form(CALL[1])).encode()
    for length in range(len(body)):
        with pytest.raises(HookRefused):
            mango.control.receive({}, body[:length])
    random_ = random.Random(2)
    values: list[Any] = [None, 5, "", "x", [], {}, True, 10**40, "1" * 5000, "\ud800", 1.5]

    def mutate(value: Any) -> Any:
        if random_.random() < 0.15:
            return random_.choice(values)
        if isinstance(value, dict):
            return {key: mutate(one) for key, one in value.items() if random_.random() > 0.05}
        return value

    errors = []
    for _ in range(5_000):
        told = mutate(copy.deepcopy(random_.choice([*CALL, *CONSULTED, *OUTGOING])))
        try:
            mango.post(told)
        except (HookRefused, EventError) as error:
            errors.append(str(error))
    assert 500 < len(errors) < 5_000
    assert all(len(one.splitlines()) == 1 for one in errors)


def test_a_hangup_is_a_signed_command_for_the_leg_that_is_on() -> None:
    with CentreServer().serving() as server:
        server.answers("POST", HANGUP, 200, {"result": 1000})
        mango = Mango(server.url)
        try:
            mango.control.hang_up(ENTRY)  # nobody is on
            for event in CONSULTED[:-1]:
                mango.post(event)
            mango.control.hang_up(ENTRY)
            until(lambda: server.taken, 10, "the command")
        finally:
            mango.control.close()
        (one,) = server.taken
        told = KEYS.opened(one.body)
        assert told["call_id"] == "202:515"
        assert json.dumps(told).count("command_id") == 1


def test_a_refused_hangup_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with CentreServer().serving() as server:
        server.answers("POST", HANGUP, 200, {"result": 3310})
        mango = Mango(server.url)
        try:
            mango.post(CALL[1])
            mango.control.hang_up(ENTRY)
        finally:
            mango.control.close()
    (record,) = caplog.records
    assert record.why == "mango: result 3310"  # type: ignore[attr-defined]
