"""The store away, a fault inside, and what dialers say: always an answer, and nothing personal in a log."""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Any

import pytest

from tests.server.api_desk import NUMBER, PHONE, V1, ApiDesk, api_desk, client, raising
from vad_agent.callbacks import database
from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.dialers.base import OutcomeReport
from vad_agent.callbacks.dialers.webhook import WebhookConfig, WebhookDialer
from vad_agent.callbacks.model import Outcome
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import RuleError, StoreError

SECRET = "0123456789abcdef"


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(str(record.__dict__) for record in caplog.records)


# -- the store -------------------------------------------------------------------------------------


@pytest.fixture
def hurried(tmp_path, monkeypatch) -> Any:
    """A desk that waits for a locked file only for a moment."""
    monkeypatch.setattr(database, "BUSY_MS", 20)
    with api_desk(tmp_path) as desk:
        yield desk


WRITES = [
    ("/callbacks", {"reason": "dropped", "phone": PHONE}),
    ("/callbacks/{id}/outcome", {"outcome": "reached"}),
    ("/callbacks/{id}/cancel", {}),
    ("/callbacks/{id}/retry", {}),
    ("/callbacks/{id}/number", {"phone": PHONE}),
    ("/callbacks/{id}/time", {"at": "2027-01-01T12:00"}),
    ("/client-called", {"phone": PHONE}),
    ("/calls/ended", {"call": "1"}),
    ("/calls/withdrawn", {"call": "1"}),
]


def is_away(answer: Any) -> bool:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "unavailable")
    assert ".sqlite" not in error["text"]
    return int(answer.headers["retry-after"]) > 0


def test_a_locked_file_is_503_and_then_all_goes_on(hurried, caplog):
    id = hurried.ask(call="1")["id"]
    other = sqlite3.connect(hurried.store.database.where.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for path, body in WRITES:
        assert is_away(hurried.post(path.replace("{id}", id), body)), path
    assert hurried.get("/callbacks").status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert [callback["id"] for callback in hurried.get("/callbacks").json()["callbacks"]] == [id]
    assert hurried.post(f"/callbacks/{id}/outcome", {"outcome": "reached"}).status_code == 200
    assert hurried.get("/promise").json()["missing"] == 0
    assert "locked" in logged(caplog)
    assert NUMBER not in logged(caplog)


def test_a_lost_file_is_503_for_readers_too(one):
    id = one.ask()["id"]
    file = one.store.database.where.file
    one.store.database.engine.dispose()
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    for path in ("/callbacks", f"/callbacks/{id}", "/promise", "/numbers"):
        assert is_away(one.get(path)), path
    assert one.get("/alarms").status_code == 200
    assert one.get("/health").status_code == 200
    lines = one.get("/metrics").text.splitlines()
    assert "vad_agent_store_up 0.0" in lines
    assert not [line for line in lines if line.startswith("vad_agent_promise")]


# -- faults ----------------------------------------------------------------------------------------


def test_a_fault_inside_is_500_and_its_log_has_the_place_without_the_words(one, caplog):
    broken = one.with_office(not_ready=raising(KeyError(NUMBER)))
    with client(broken.app) as anybody:
        answer = anybody.get("/ready")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "broken")
    assert answer.headers["cache-control"] == "no-store"
    assert NUMBER not in answer.text + logged(caplog)
    assert "KeyError" in logged(caplog)
    assert "api_desk.py:" in logged(caplog)


def test_no_request_is_logged(one, caplog):
    caplog.set_level(logging.DEBUG, logger="vad_agent")
    one.ask(name="Анна Петровна", topic="доставка")
    one.get("/callbacks", phone=PHONE)
    one.post("/callbacks", {"reason": "dropped", "phone": "12", "name": "Анна Петровна"})
    one.post("/client-called", {"phone": NUMBER})
    for personal in ("Анна", "доставка", "912", "345"):
        assert personal not in logged(caplog)


# -- dialers ---------------------------------------------------------------------------------------


@pytest.fixture
def hooked(one: ApiDesk) -> Any:
    dialer = WebhookDialer(WebhookConfig("http://127.0.0.1:9/orders", SECRET))
    yield one.with_office(hooks={"webhook": dialer})
    dialer.close()


def tell(one: ApiDesk, body: bytes, *, secret: str = SECRET, dialer: str = "webhook") -> Any:
    with client(one.app, **message_signing.signed(secret, body, time.time())) as centre:
        return centre.post(f"{V1}/hooks/{dialer}", content=body)


def test_a_signed_call_needs_no_token_and_is_reported(hooked):
    answer = tell(
        hooked, b'[{"key": "a.1.1", "outcome": "busy"}, {"key": "b.1.1", "outcome": "lost"}]'
    )
    assert (answer.status_code, answer.json()) == (200, {"reported": 2, "unknown": 0})
    assert hooked.told == [
        OutcomeReport("a.1.1", Outcome.BUSY),
        OutcomeReport("b.1.1", Outcome.LOST),
    ]


def test_a_wrong_signature_is_401_whatever_token_there_is(hooked):
    answer = tell(hooked, b'{"key": "a.1.1", "outcome": "busy"}', secret="another secret 16")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Signature"
    with_token = hooked.client.post(f"{V1}/hooks/webhook", content=b"{}")
    assert with_token.status_code == 401
    assert hooked.told == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"key": "a"}', b"[" * 60_000, b"\xff"])
def test_a_signed_call_that_says_nothing_is_422(hooked, body):
    answer = tell(hooked, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert hooked.told == []


@pytest.mark.parametrize("below", ["/events/call", "/", "/result/callback"])
def test_what_a_sender_appends_to_the_path_changes_nothing(hooked, below):
    told = b'{"key": "a.1.1", "outcome": "busy"}'
    assert tell(hooked, told, dialer=f"webhook{below}").json() == {"reported": 1, "unknown": 0}
    assert tell(hooked, told, dialer=f"mango{below}").status_code == 404


@pytest.mark.parametrize("name", ["mango", "x" * 40, "%00", "%ff"])
def test_a_dialer_that_is_not_there_is_404(hooked, name):
    assert tell(hooked, b"{}", dialer=name).status_code == 404


def test_an_attempt_that_nobody_knows_is_counted_and_logged(hooked, caplog):
    known: list[OutcomeReport] = []

    def report(told: OutcomeReport) -> None:
        if told.key == "a.1.1":
            raise RuleError("a.1.1: there is no such attempt")
        known.append(told)

    desk = hooked.with_office(report=report)
    answer = tell(
        desk, b'[{"key": "a.1.1", "outcome": "busy"}, {"key": "b.1.1", "outcome": "lost"}]'
    )
    assert (answer.status_code, answer.json()) == (200, {"reported": 1, "unknown": 1})
    assert [told.key for told in known] == ["b.1.1"]
    assert "a.1.1" in logged(caplog)


def test_an_outcome_that_cannot_be_stored_is_to_be_told_again(hooked):
    away = hooked.with_office(report=raising(StoreError("db: locked")))
    assert is_away(tell(away, b'{"key": "a.1.1", "outcome": "busy"}'))


def test_an_outcome_goes_through_to_the_store(one):
    callback = one.ask()
    begun = one.store.begin(callback["key"], "desk-1", Actor("engine", one.desk.clock.now()))
    assert begun is not None
    dialer = WebhookDialer(WebhookConfig("http://127.0.0.1:9/orders", SECRET))

    def report(told: OutcomeReport) -> None:
        one.desk.report(told.key, told.outcome, "webhook", told.detail)

    desk = one.with_office(hooks={"webhook": dialer}, report=report)
    body = f'{{"key": "{begun.attempt.key}", "outcome": "reached"}}'.encode()
    for _ in range(2):
        assert tell(desk, body).json() == {"reported": 1, "unknown": 0}
    dialer.close()
    assert one.store.get(callback["id"]).state == "reached"
