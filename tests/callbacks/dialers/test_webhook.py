from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG, CentreServer, limit_s
from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    Hooked,
    HookRefused,
    OutcomeReport,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.dialers.webhook import WebhookConfig, WebhookDialer
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import SettingsError

SECRET = "correct-horse-battery"
NOW = 1767225600.25
KEY = "5f0c.1.1"
ORDER = DialRequest(
    key=KEY,
    number="+79123456789",
    due=datetime.fromisoformat("2026-01-01T12:00:00+03:00"),
    operator="petrova",
    name="Анна",
    opening="Вы просили перезвонить",
    reasons=("client_inaudible",),
)
UNCERTAIN = [HANG, CUT, DROP, GARBAGE, 500]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[CentreServer]:
    with CentreServer().serving() as server:
        yield server


def dialer_of(url: str, clock: Clock, limit: float = 5.0) -> WebhookDialer:
    return WebhookDialer(WebhookConfig(url, SECRET, limit_s=limit, pause_s=0.005), now=clock)


@pytest.fixture
def dialer(
    server: CentreServer, clock: Clock, request: pytest.FixtureRequest
) -> Iterator[WebhookDialer]:
    dialer = dialer_of(f"{server.url}/dial", clock, limit_s(request))
    yield dialer
    dialer.close()


# -- orders ----------------------------------------------------------------------------------------


def test_an_order_says_all_that_is_needed_and_is_signed(
    server: CentreServer, dialer: WebhookDialer
) -> None:
    server.answers("POST", "/dial", 202, {"reference": "17"})
    assert dialer.dial(ORDER) == Ringing("17")
    [taken] = server.taken
    assert taken.json == {
        "key": KEY,
        "number": "+79123456789",
        "due": "2026-01-01T12:00:00+03:00",
        "attempt": 1,
        "attempts": 3,
        "operator": "petrova",
        "name": "Анна",
        "opening": "Вы просили перезвонить",
        "topic": None,
        "reasons": ["client_inaudible"],
        "session": None,
    }
    assert taken.headers["idempotency-key"] == KEY
    assert taken.headers["content-type"] == "application/json"
    assert taken.headers["x-vad-agent-timestamp"] == "1767225600"
    message_signing.check(SECRET, taken.headers, taken.body, NOW)


@pytest.mark.parametrize("body", [b"", b"\n", b"{}", b'{"reference": null}'])
def test_a_reference_is_optional(server: CentreServer, dialer: WebhookDialer, body: bytes) -> None:
    server.answers("POST", "/dial", 200, body)
    assert dialer.dial(ORDER) == Ringing()


@pytest.mark.parametrize("outcome", Outcome)
def test_an_order_may_have_ended_at_once(
    server: CentreServer, dialer: WebhookDialer, outcome: Outcome
) -> None:
    server.answers("POST", "/dial", 200, {"outcome": outcome.value, "detail": "at the gate"})
    assert dialer.dial(ORDER) == Ended(outcome, "at the gate")


@pytest.mark.parametrize("fault", UNCERTAIN)
def test_an_order_without_a_readable_answer_may_ring(
    server: CentreServer, dialer: WebhookDialer, fault: int | str
) -> None:
    server.answers("POST", "/dial", fault)
    with pytest.raises(DialUncertain):
        dialer.dial(ORDER)


@pytest.mark.parametrize("first", [HANG, CUT, DROP, 502])
def test_without_an_answer_the_same_order_goes_out_again(
    server: CentreServer, dialer: WebhookDialer, first: int | str
) -> None:
    server.answers("POST", "/dial", first)
    server.answers("POST", "/dial", 200, {"reference": 17})
    assert dialer.dial(ORDER) == Ringing("17")
    first, second = server.taken
    assert (first.body, first.headers["idempotency-key"]) == (second.body, KEY)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 302])
def test_a_refused_order_rings_nobody(
    server: CentreServer, dialer: WebhookDialer, status: int
) -> None:
    server.answers("POST", "/dial", status)
    with pytest.raises(DialRefused):
        dialer.dial(ORDER)
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    "answer",
    [[], "ok", None, {"reference": []}, {"reference": "x" * 256}, {"outcome": "dunno"}],
)
def test_an_answer_that_is_not_as_agreed_is_uncertain(
    server: CentreServer, dialer: WebhookDialer, answer: object
) -> None:
    server.answers("POST", "/dial", 200, answer)
    with pytest.raises(DialUncertain):
        dialer.dial(ORDER)


# -- status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, {"state": "ringing"}, Ringing("17")),
        (200, {"outcome": "no_answer"}, Ended(Outcome.NO_ANSWER)),
        (200, {"state": "over", "outcome": "reached"}, Ended(Outcome.REACHED)),
        (404, None, Unknown()),
    ],
)
def test_the_status_of_a_key(
    server: CentreServer, dialer: WebhookDialer, status: int, answer: object, expected: object
) -> None:
    server.answers("GET", f"/dial/{KEY}", status, answer)
    assert dialer.status(KEY, "17") == expected
    [taken] = server.taken
    assert taken.body == b""
    message_signing.check(SECRET, taken.headers, b"", NOW)


@pytest.mark.parametrize("fault", [*UNCERTAIN, 400, 401, 403, 429])
def test_a_status_that_cannot_be_had_is_never_unknown(
    server: CentreServer, dialer: WebhookDialer, fault: int | str
) -> None:
    server.answers("GET", f"/dial/{KEY}", fault)
    with pytest.raises(DialUncertain):
        dialer.status(KEY, "")


@pytest.mark.parametrize("answer", [{}, [], {"state": "dunno"}, {"outcome": "dunno"}])
def test_a_status_that_is_not_as_agreed_is_uncertain(
    server: CentreServer, dialer: WebhookDialer, answer: object
) -> None:
    server.answers("GET", f"/dial/{KEY}", 200, answer)
    with pytest.raises(DialUncertain):
        dialer.status(KEY, "")


def test_where_nobody_listens_nothing_is_known_and_an_order_is_refused(
    server: CentreServer, clock: Clock
) -> None:
    dialer = dialer_of("http://127.0.0.1:9/dial", clock)
    with pytest.raises(DialRefused):
        dialer.dial(ORDER)
    with pytest.raises(DialUncertain):
        dialer.status(KEY, "")
    dialer.hang_up(KEY, "")
    dialer.close()


def test_the_urls_own_path_and_query_are_kept(server: CentreServer, clock: Clock) -> None:
    dialer = dialer_of(f"{server.url}/a%2Fb/?site=1", clock)
    for method, path in [("POST", "/a%2Fb/"), ("GET", f"/a%2Fb/{KEY}")]:
        server.answers(method, path, 200, {"state": "ringing"})
    assert dialer.dial(ORDER) == Ringing()
    assert dialer.status(KEY, "") == Ringing()
    assert [one.query for one in server.taken] == ["site=1"] * 2
    dialer.close()


# -- hanging up ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 404, 400, 500, CUT])
def test_hanging_up_is_asked_for_and_its_failure_is_nobodys(
    server: CentreServer, dialer: WebhookDialer, status: int | str
) -> None:
    server.answers("DELETE", f"/dial/{KEY}", status)
    dialer.hang_up(KEY, "17")
    taken = server.requests("DELETE", f"/dial/{KEY}")[0]
    message_signing.check(SECRET, taken.headers, b"", NOW)


# -- outcomes --------------------------------------------------------------------------------------


def hook(body: object, secret: str = SECRET, at: float = NOW) -> tuple[dict[str, str], bytes]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = message_signing.signed(secret, sent, at)
    return {name.lower(): value for name, value in headers.items()}, sent


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_comes_by_a_signed_call(dialer: WebhookDialer, outcome: Outcome) -> None:
    assert isinstance(dialer, Hooked)
    told = dialer.receive(*hook({"key": KEY, "outcome": outcome.value, "detail": "line 2"}))
    assert told == [OutcomeReport(KEY, outcome, "line 2")]


def test_several_outcomes_come_in_one_call(dialer: WebhookDialer) -> None:
    told = dialer.receive(
        *hook([{"key": "a.1.1", "outcome": "busy"}, {"key": "b.1.1", "outcome": "lost"}])
    )
    assert told == [OutcomeReport("a.1.1", Outcome.BUSY), OutcomeReport("b.1.1", Outcome.LOST)]


def test_a_detail_is_short_and_has_no_number_in_it(dialer: WebhookDialer) -> None:
    long = {
        "key": KEY,
        "outcome": "failed",
        "detail": "no route to +7 (912) 345-67-89, " + "x" * 999,
    }
    [told] = dialer.receive(*hook(long))
    assert told.detail.startswith("no route to …, xxx")
    assert len(told.detail) == 200


@pytest.mark.parametrize("off_s", [-299, 0, 299])
def test_within_five_minutes_of_the_clock(dialer: WebhookDialer, off_s: float) -> None:
    assert dialer.receive(*hook({"key": KEY, "outcome": "busy"}, at=NOW + off_s))


@pytest.mark.parametrize("off_s", [-301, 302, 86400])
def test_an_old_or_a_future_call_is_refused(
    dialer: WebhookDialer, clock: Clock, off_s: float
) -> None:
    headers, body = hook({"key": KEY, "outcome": "busy"})
    clock.now = NOW + off_s
    with pytest.raises(HookRefused, match="of the clock") as caught:
        dialer.receive(headers, body)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"x-vad-agent-signature": ""},
        {"x-vad-agent-signature": "v1=" + "0" * 64},
        {"x-vad-agent-signature": "v1=é"},
        {"x-vad-agent-signature": "v1=\ud800"},
        {"x-vad-agent-timestamp": ""},
        {"x-vad-agent-timestamp": "1767225601"},
        {"x-vad-agent-timestamp": "1767225600.0"},
        {"x-vad-agent-timestamp": "-1"},
        {"x-vad-agent-timestamp": "١٧٦٧٢٢٥٦٠٠"},
        {"x-vad-agent-timestamp": "²"},
        {"x-vad-agent-timestamp": "9" * 5000},
    ],
)
def test_a_call_that_is_not_signed_so_is_refused(
    dialer: WebhookDialer, changed: dict[str, str]
) -> None:
    headers, body = hook({"key": KEY, "outcome": "busy"})
    with pytest.raises(HookRefused) as caught:
        dialer.receive(headers | changed, body)
    assert caught.value.status == 401


def test_without_any_headers_or_with_another_secret_it_is_refused(dialer: WebhookDialer) -> None:
    headers, body = hook({"key": KEY, "outcome": "busy"}, secret=SECRET + "x")
    for given_ in ({}, headers):
        with pytest.raises(HookRefused) as caught:
            dialer.receive(given_, body)
        assert caught.value.status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        "busy",
        7,
        None,
        {},
        {"key": KEY},
        {"outcome": "busy"},
        {"key": 7, "outcome": "busy"},
        {"key": "", "outcome": "busy"},
        {"key": "a b", "outcome": "busy"},
        {"key": "k" * 65, "outcome": "busy"},
        {"key": KEY, "outcome": "dunno"},
        {"key": KEY, "outcome": ["busy"]},
        [{"key": KEY, "outcome": "busy"}, {"key": KEY}],
    ],
)
def test_a_signed_call_that_cannot_be_understood_is_refused(
    dialer: WebhookDialer, body: object
) -> None:
    with pytest.raises(HookRefused) as caught:
        dialer.receive(*hook(body))
    assert caught.value.status == 422


@given(body=st.binary(max_size=60), at=st.integers(0, 10**10), data=st.data())
def test_any_change_of_the_message_breaks_its_signature(
    body: bytes, at: int, data: st.DataObject
) -> None:
    headers, _ = hook(body, at=at)
    message_signing.check(SECRET, headers, body, at)
    other = data.draw(st.binary(max_size=60))
    assume(other != body)
    with pytest.raises(HookRefused):
        message_signing.check(SECRET, headers, other, at)
    later = data.draw(st.integers(max(at - 290, 0), at + 290))
    assume(later != at)
    with pytest.raises(HookRefused, match="changed"):
        message_signing.check(SECRET, headers | {"x-vad-agent-timestamp": str(later)}, body, at)
    place = data.draw(st.integers(0, 66))
    sign = headers["x-vad-agent-signature"]
    flipped = sign[:place] + ("0" if sign[place] != "0" else "1") + sign[place + 1 :]
    with pytest.raises(HookRefused, match="changed"):
        message_signing.check(SECRET, headers | {"x-vad-agent-signature": flipped}, body, at)


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "short", "x" * 15])
def test_a_short_secret_is_the_settings_fault(secret: str) -> None:
    with pytest.raises(SettingsError, match="16 characters"):
        WebhookConfig("https://crm/dial", secret)


@pytest.mark.parametrize("fault", [*UNCERTAIN, 400, 429])
def test_neither_the_secret_nor_the_client_nor_the_url_is_shown(
    server: CentreServer, clock: Clock, caplog: pytest.LogCaptureFixture, fault: int | str
) -> None:
    caplog.set_level(logging.DEBUG)
    config = WebhookConfig(f"{server.url}/token-9f86", SECRET, limit_s=0.1, pause_s=0.005)
    dialer = WebhookDialer(config, now=clock)
    server.answers("POST", "/token-9f86", fault, {"echo": ORDER.number})
    with pytest.raises((DialRefused, DialUncertain)) as caught:
        dialer.dial(ORDER)
    dialer.close()
    shown = caplog.text + repr(caught.value) + repr(caught.value.__cause__)
    shown += repr(config) + str(config) + repr(dialer)
    for secret in (SECRET, "token-9f86", ORDER.number, "Анна"):
        assert secret not in shown
