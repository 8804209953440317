"""Mango's dialer: its commands over HTTP on loopback, its webhooks as it signs them."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG, CentreServer
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    Hooked,
    HookRefused,
    OutcomeReport,
    Ringing,
)
from vad_agent.callbacks.dialers.mango import MangoConfig, MangoDialer
from vad_agent.callbacks.model import Outcome

API_KEY, SALT = "api-k3y", "s4lt-of-it"
KEY, ENTRY, FIRST, SECOND = "3f-a.1.1", "MTIzNDU2", "100:500:251", "100:500:258"
NUMBER = "+79161234567"
COMMAND, GROUP, STOP = (
    f"/vpbx/commands/{name}" for name in ("callback", "callback_group", "call/hangup")
)


def order(key: str = KEY, operator: str | None = "1234", number: str = NUMBER) -> DialRequest:
    due = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
    return DialRequest(key, number, due, operator=operator, name="Пётр")


def form(told: Any, *, key: str = API_KEY, salt: str = SALT, sign: str | None = None) -> bytes:
    text = told if isinstance(told, str) else json.dumps(told)
    made = hashlib.sha256((key + text + salt).encode()).hexdigest()
    return urlencode({"vpbx_api_key": key, "sign": sign or made, "json": text}).encode()


@pytest.fixture
def mango() -> Iterator[CentreServer]:
    with CentreServer().serving() as server:
        yield server


@contextmanager
def dialling(mango: CentreServer, **settings: Any) -> Iterator[MangoDialer]:
    limit_s = settings.pop("limit_s", 2.0)
    config = MangoConfig(API_KEY, SALT, mango.url, **settings)
    dialer = MangoDialer(config, limit_s=limit_s, pause_s=0.01)
    dialer.open(lambda _: None)
    yield dialer
    dialer.close()


@pytest.fixture
def dialer() -> Iterator[MangoDialer]:
    """Nothing is sent by it."""
    made = MangoDialer(MangoConfig(API_KEY, SALT, "http://127.0.0.1:9"))
    yield made
    made.close()


OPERATORS: Mapping[str, Any] = {
    "call_id": FIRST,
    "from": {"number": NUMBER[1:]},
    "to": {"extension": "1234", "number": "sip:1234@vpbx"},
}
CLIENTS: Mapping[str, Any] = {
    "call_id": SECOND,
    "from": {"extension": "1234", "number": "sip:1234@vpbx", "taken_from_call_id": FIRST},
    "to": {"number": NUMBER[1:]},
}


def event(leg: Mapping[str, Any], seq: int | str, state: str, **more: Any) -> dict[str, Any]:
    base = {"command_id": KEY, "entry_id": ENTRY, "timestamp": 1399906971, "location": "abonent"}
    return {**base, **leg, "seq": seq, "call_state": state, **more}


def summary(result: int, reason: int, talked: int = 0) -> dict[str, Any]:
    began = 1399906980 if talked else 0
    return {
        "entry_id": ENTRY,
        "call_direction": 2,
        "create_time": 1399906971,
        "talk_time": began,
        "end_time": 1399906980 + talked,
        "entry_result": result,
        "disconnect_reason": reason,
    }


RUNG = [
    event(OPERATORS, "1", "Appeared"),
    event(OPERATORS, "2", "Connected"),
    event(OPERATORS, "3", "Disconnected", disconnect_reason="1000"),
    event(CLIENTS, "1", "Appeared"),
]
ANSWERED = [
    *RUNG,
    event(CLIENTS, "2", "Connected"),
    event(CLIENTS, "3", "Disconnected", disconnect_reason="1120"),
]
UNANSWERED = [*RUNG, event(CLIENTS, 2, "Disconnected", disconnect_reason=1111)]
NO_OPERATOR = [
    event(OPERATORS, "1", "Appeared"),
    event(OPERATORS, "2", "Disconnected", disconnect_reason="1111"),
]

CASES: Sequence[tuple[str, list[dict[str, Any]], Outcome]] = [
    ("a talk", [*ANSWERED, summary(1, 1120, 30)], Outcome.REACHED),
    ("just long enough", [*ANSWERED, summary(1, 1110, 10)], Outcome.REACHED),
    ("too short", [*ANSWERED, summary(1, 1110, 9)], Outcome.NO_ANSWER),
    ("answered, no talk", [*ANSWERED, summary(0, 1110)], Outcome.NO_ANSWER),
    ("busy", [*UNANSWERED, summary(0, 1121)], Outcome.BUSY),
    ("not answered", [*UNANSWERED, summary(0, 1111)], Outcome.NO_ANSWER),
    ("declined", [*UNANSWERED, summary(0, 1122)], Outcome.NO_ANSWER),
    ("switched off", [*UNANSWERED, summary(0, 1131)], Outcome.NO_ANSWER),
    ("no such number", [*UNANSWERED, summary(0, 1133)], Outcome.FAILED),
    ("no money", [*UNANSWERED, summary(0, 2240)], Outcome.FAILED),
    ("Mango's own error", [*UNANSWERED, summary(0, 5003)], Outcome.FAILED),
    ("direction blocked, no leg", [*RUNG[:3], summary(0, 2300)], Outcome.FAILED),
    ("operator away", [*NO_OPERATOR, summary(0, 1111)], Outcome.OPERATOR_UNAVAILABLE),
]


def outcomes(dialer: MangoDialer, events: Sequence[dict[str, Any]]) -> list[OutcomeReport]:
    return [told for one in events for told in dialer.receive({}, form(one))]


# -- commands --------------------------------------------------------------------------------------


def test_the_command_is_signed_as_mango_checks_it(mango: CentreServer) -> None:
    mango.answers("POST", COMMAND, 200, {"result": 1000})
    with dialling(mango, line_number="74950000000") as dialer:
        assert isinstance(dialer, Hooked)
        assert dialer.dial(order()) == Ringing()
        assert dialer.status(KEY, "") == Ringing()
    (taken,) = mango.taken
    sent = {name: values[0] for name, values in parse_qs(taken.body.decode()).items()}
    assert set(sent) == {"vpbx_api_key", "sign", "json"}
    assert form(sent["json"]) == taken.body
    assert json.loads(sent["json"]) == {
        "command_id": KEY,
        "from": {"extension": "1234"},
        "to_number": NUMBER[1:],
        "line_number": "74950000000",
    }


def test_anybody_is_a_group(mango: CentreServer) -> None:
    mango.answers("POST", GROUP, 200, {"result": "1000"})
    with dialling(mango, any_operator="700") as dialer:
        assert dialer.dial(order(operator=None)) == Ringing()
    sent = json.loads(parse_qs(mango.taken[0].body.decode())["json"][0])
    assert sent == {"command_id": KEY, "from": "700", "to": NUMBER[1:]}


def test_a_login_has_its_extension(mango: CentreServer) -> None:
    mango.answers("POST", COMMAND, 200, {"result": 1000})
    with dialling(mango, extensions={"anna": "55"}) as dialer:
        dialer.dial(order(operator="anna"))
    sent = json.loads(parse_qs(mango.taken[0].body.decode())["json"][0])
    assert sent["from"] == {"extension": "55"}


@pytest.mark.parametrize("operator", [None, "anna", "", "12a"])
def test_without_an_extension_nothing_is_sent(mango: CentreServer, operator: str | None) -> None:
    with dialling(mango) as dialer:
        answer = dialer.dial(order(operator=operator))
    assert isinstance(answer, Ended)
    assert answer.outcome is Outcome.OPERATOR_UNAVAILABLE
    assert not mango.taken


@pytest.mark.parametrize("number", ["89161234567", "+7916 1234567", "", "+7x"])
def test_what_is_no_number_is_not_sent(mango: CentreServer, number: str) -> None:
    with dialling(mango) as dialer, pytest.raises(DialRefused):
        dialer.dial(order(number=number))
    assert not mango.taken


@pytest.mark.parametrize(
    ("result", "answer"),
    [(3102, DialRefused), (3105, DialRefused), (2110, DialRefused), (4501, DialRefused)],
)
def test_a_refused_command_rings_nobody(
    mango: CentreServer, result: int, answer: type[Exception]
) -> None:
    mango.answers("POST", COMMAND, 200, {"result": result})
    with dialling(mango) as dialer:
        with pytest.raises(answer, match=str(result)):
            dialer.dial(order())
        with pytest.raises(DialUncertain):
            dialer.status(KEY, "")


@pytest.mark.parametrize("result", [1124, 1164, 3330, 4200, "4200"])
def test_a_command_refused_for_the_operator(mango: CentreServer, result: int | str) -> None:
    mango.answers("POST", COMMAND, 200, {"result": result})
    with dialling(mango) as dialer:
        assert dialer.dial(order()) == Ended(Outcome.OPERATOR_UNAVAILABLE, f"result {result}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_refused_by_http(mango: CentreServer, status: int) -> None:
    mango.answers("POST", COMMAND, status, {"name": "Bad", "message": "no"})
    with dialling(mango) as dialer, pytest.raises(DialRefused, match=str(status)):
        dialer.dial(order())
    assert len(mango.taken) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, None),
        (503, None),
        (CUT, {"result": 1000}),
        (DROP, None),
        (GARBAGE, None),
        (HANG, None),
        (200, {"result": 5000}),
        (200, {"result": None}),
        (200, {"result": True}),
        (200, [1000]),
        (200, {}),
    ],
)
def test_where_the_answer_fails_it_is_uncertain_and_not_sent_again(
    mango: CentreServer, status: int | str, body: Any
) -> None:
    mango.answers("POST", COMMAND, status, body)
    with dialling(mango, limit_s=0.15) as dialer:
        with pytest.raises(DialUncertain):
            dialer.dial(order())
        with pytest.raises(DialUncertain):
            dialer.status(KEY, "")
        with pytest.raises(DialUncertain):
            dialer.dial(order())
    assert len(mango.taken) == 1


def test_after_a_time_out_its_events_show_that_it_rings(mango: CentreServer) -> None:
    mango.answers("POST", COMMAND, HANG)
    with dialling(mango, limit_s=0.15) as dialer:
        with pytest.raises(DialUncertain):
            dialer.dial(order())
        assert outcomes(dialer, RUNG) == []
        assert dialer.status(KEY, "") == Ringing()
        assert dialer.dial(order()) == Ringing()
    assert len(mango.taken) == 1


def test_without_a_server_nothing_rings() -> None:
    with CentreServer().serving() as gone:
        url = gone.url
    dialer = MangoDialer(MangoConfig(API_KEY, SALT, url), limit_s=0.2, pause_s=0.01)
    with pytest.raises(DialRefused):
        dialer.dial(order())
    dialer.close()


def test_a_second_command_for_a_key_is_not_sent(mango: CentreServer) -> None:
    mango.answers("POST", COMMAND, 200, {"result": 1000})
    with dialling(mango) as dialer:
        assert dialer.dial(order()) == dialer.dial(order()) == Ringing()
    assert len(mango.taken) == 1


def test_what_was_never_seen_is_uncertain(dialer: MangoDialer) -> None:
    with pytest.raises(DialUncertain):
        dialer.status("other.1.1", "")


# -- outcomes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "outcome"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_the_summary_ends_it(
    dialer: MangoDialer, events: list[dict[str, Any]], outcome: Outcome
) -> None:
    assert outcomes(dialer, events[:-1]) == []
    assert dialer.status(KEY, "") == Ringing()
    (told,) = outcomes(dialer, events[-1:])
    assert (told.key, told.outcome) == (KEY, outcome)
    assert dialer.status(KEY, "") == Ended(outcome, told.detail)


@pytest.mark.parametrize(
    ("events", "outcome"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_in_any_order_and_twice_it_is_the_same(
    events: list[dict[str, Any]], outcome: Outcome
) -> None:
    shuffle = random.Random(7)
    for _ in range(60):
        order_ = events * 2
        shuffle.shuffle(order_)
        made = MangoDialer(MangoConfig(API_KEY, SALT, "http://127.0.0.1:9"))
        told = outcomes(made, order_)
        assert {one.outcome for one in told} == {outcome}, [one.get("seq") for one in order_]
        made.close()


def test_every_order_of_an_unanswered_call() -> None:
    made = MangoDialer(MangoConfig(API_KEY, SALT, "http://127.0.0.1:9"))
    for turn, events in enumerate(itertools.permutations([*UNANSWERED, summary(0, 1121)])):
        mine = [
            {**one, "entry_id": f"e{turn}"} | ({"command_id": f"k{turn}"} if "seq" in one else {})
            for one in events
        ]
        assert [one.outcome for one in outcomes(made, mine)] == [Outcome.BUSY]
    made.close()


def test_an_outcome_that_was_not_stored_is_told_when_it_comes_again(dialer: MangoDialer) -> None:
    ended = summary(1, 1120, 30)
    first = outcomes(dialer, [*ANSWERED, ended])
    assert outcomes(dialer, [ended]) == first == [OutcomeReport(KEY, Outcome.REACHED)]
    assert outcomes(dialer, ANSWERED) == []


def test_the_operators_answer_alone_is_nothing(dialer: MangoDialer) -> None:
    assert outcomes(dialer, [*RUNG[:3], summary(1, 1110, 30)]) == []
    assert dialer.status(KEY, "") == Ringing()


def test_a_group_where_one_of_several_answers(dialer: MangoDialer) -> None:
    queue = {**OPERATORS, "call_id": "q", "location": "queue"}
    away = {**OPERATORS, "call_id": "away", "from": {**OPERATORS["from"], "taken_from_call_id": 1}}
    events = [event(queue, 1, "Appeared"), event(queue, 2, "Disconnected")]
    events += [event(away, 1, "Appeared"), event(away, 2, "Disconnected")]
    (told,) = outcomes(dialer, [*events, *ANSWERED, summary(1, 1110, 20)])
    assert told.outcome is Outcome.REACHED


def test_two_calls_at_once_are_told_apart(dialer: MangoDialer) -> None:
    other = [one | {"entry_id": "E2"} for one in [*UNANSWERED, summary(0, 1121)]]
    other = [one | ({"command_id": "k.2.1"} if "seq" in one else {}) for one in other]
    mine = [*ANSWERED, summary(1, 1120, 30)]
    mixed = [one for pair in itertools.zip_longest(mine, other) for one in pair if one]
    told = {one.key: one.outcome for one in outcomes(dialer, mixed)}
    assert told == {KEY: Outcome.REACHED, "k.2.1": Outcome.BUSY}


@pytest.mark.parametrize(
    ("result", "outcome"), [("3330", Outcome.OPERATOR_UNAVAILABLE), (2240, Outcome.FAILED)]
)
def test_a_command_refused_later(mango: CentreServer, result: int | str, outcome: Outcome) -> None:
    mango.answers("POST", COMMAND, 200, {"result": 1000})
    with dialling(mango) as dialer:
        dialer.dial(order())
        assert outcomes(dialer, [{"command_id": KEY, "result": "1000"}]) == []
        assert outcomes(dialer, [{"command_id": "not-ours", "result": result}]) == []
        (told,) = outcomes(dialer, [{"command_id": KEY, "result": result}])
        assert told.outcome is outcome


# -- what is refused, what is left out -------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        form(summary(1, 1120, 30), sign="0" * 64),
        form(summary(1, 1120, 30), salt="another"),
        form(summary(1, 1120, 30), key="another"),
        form(summary(1, 1120, 30), sign="подпись"),
        form(summary(1, 1120, 30)).replace(b"1120", b"1121"),
        b"json={}",
        b"",
        b'{"json": 1}',
    ],
)
def test_what_is_not_signed_with_our_keys_is_refused(dialer: MangoDialer, body: bytes) -> None:
    outcomes(dialer, ANSWERED)
    with pytest.raises(HookRefused) as refused:
        dialer.receive({}, body)
    assert refused.value.status == 401
    assert dialer.status(KEY, "") == Ringing()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 30, form("no json"), form("[]")])
def test_what_cannot_be_read_is_refused(dialer: MangoDialer, body: bytes) -> None:
    with pytest.raises(HookRefused) as refused:
        dialer.receive({}, body)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"recording_id": "r", "recording_state": "Started", "command_id": KEY},
        {"call_state": "Connected"},
        event(OPERATORS, "one", "Appeared"),
        event(OPERATORS, 1, "Appeared", command_id=None),
        event(OPERATORS, 1, "Appeared", command_id="../../etc"),
        event(OPERATORS, 1, "Appeared", entry_id=7),
        event(OPERATORS, 1, "Appeared", call_id=[]),
        {"entry_result": 1},
        {"entry_result": 1, "entry_id": {}},
        {"result": 3000},
        {"result": 3000, "command_id": ["x"]},
    ],
)
def test_what_is_not_of_a_call_of_ours_is_left_out(dialer: MangoDialer, told: Any) -> None:
    assert dialer.receive({}, form(told)) == ()
    with pytest.raises(DialUncertain):
        dialer.status(KEY, "")


def test_odd_fields_break_nothing(dialer: MangoDialer) -> None:
    odd = [event(OPERATORS, 1, "Appeared", **{"from": None, "to": 5}), event(CLIENTS, 1, "Odd")]
    odd += [event(CLIENTS, 2, 7)]  # type: ignore[arg-type]
    assert outcomes(dialer, odd) == []
    assert outcomes(dialer, [{"entry_id": ENTRY, "entry_result": None, "talk_time": {}}]) == []


# -- hanging up, secrets ---------------------------------------------------------------------------


def test_the_leg_that_rings_is_hung_up(mango: CentreServer) -> None:
    mango.answers("POST", STOP, 200, {"result": 1000})
    with dialling(mango) as dialer:
        outcomes(dialer, RUNG)
        dialer.hang_up(KEY, "")
    sent = json.loads(parse_qs(mango.taken[0].body.decode())["json"][0])
    assert sent == {"command_id": f"{KEY}-stop", "call_id": SECOND}


def test_a_talk_is_not_hung_up_and_a_failure_is_nobodys_error(mango: CentreServer) -> None:
    with dialling(mango) as dialer:
        dialer.hang_up("never.1.1", "")
        outcomes(dialer, RUNG)
        dialer.hang_up(KEY, "")  # 404
        outcomes(dialer, ANSWERED[:5])
        dialer.hang_up(KEY, "")
    assert len(mango.taken) == 1


def test_secrets_and_personal_data_are_nowhere(
    mango: CentreServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mango.answers("POST", COMMAND, 401, {})
    with dialling(mango) as dialer:
        with pytest.raises(DialRefused) as refused:
            dialer.dial(order())
        with pytest.raises(HookRefused) as unsigned:
            dialer.receive({}, form({}, salt="another"))
        outcomes(dialer, RUNG)
        dialer.hang_up(KEY, "")
        shown = repr((dialer._config, refused.value, unsigned.value)) + caplog.text
    for secret in (API_KEY, SALT, NUMBER[1:], "Пётр"):
        assert secret not in shown
