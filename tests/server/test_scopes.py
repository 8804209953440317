"""What each token may do: on every operation that the API describes, and on whose callbacks and calls."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from tests.server.api_desk import PHONE, V1, ApiDesk, api_desk, client
from tests.web.desk_client import GOOD, PASSWORDS, ManualClock
from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.callbacks.trace_compression import pack
from vad_agent.server.api_app import create_app
from vad_agent.server.app_state import AppState
from vad_agent.server.bearer_auth import Tokens
from vad_agent.server.metrics import Metrics
from vad_agent.web.authentication.access_tokens import AccessTokens, Scope
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.refusals import (
    ALARM_FROM,
    SLOW_FROM,
    WITHIN_S,
    Attempted,
    Refusals,
)
from vad_agent.web.authentication.users import Users

OWN = "the-own-token-of-the-desk"
FILE = "a-token-of-desk-toml"
OTHER_PHONE = "8 912 345-67-88"
BOTH_PHONES = {"anna": PHONE, "crm": OTHER_PHONE}
UNGUARDED = {f"{V1}/health", f"{V1}/ready", f"{V1}/hooks/{{dialer}}"}
HEADSET = {
    ("GET", "/callbacks"), ("POST", "/callbacks"), ("GET", "/callbacks/{id}"),
    ("POST", "/callbacks/{id}/accept"), ("POST", "/callbacks/{id}/outcome"),
    ("POST", "/callbacks/{id}/cancel"), ("POST", "/callbacks/{id}/number"),
    ("POST", "/client-called"),
    ("POST", "/calls"), ("POST", "/calls/ended"), ("POST", "/calls/withdrawn"),
}  # fmt: skip
CRM = {
    ("GET", "/callbacks"), ("POST", "/callbacks"), ("GET", "/callbacks/{id}"),
    ("POST", "/callbacks/{id}/accept"), ("POST", "/callbacks/{id}/outcome"),
    ("POST", "/callbacks/{id}/cancel"), ("POST", "/callbacks/{id}/number"),
    ("POST", "/callbacks/{id}/retry"), ("POST", "/callbacks/{id}/time"),
    ("POST", "/callbacks/{id}/operator"),
    ("POST", "/client-called"), ("GET", "/calls/lost"), ("POST", "/calls/callback"),
    ("GET", "/promise"), ("GET", "/numbers"), ("GET", "/alarms"), ("GET", "/metrics"),
}  # fmt: skip
METRICS = {("GET", "/metrics")}
OPERATIONS = sorted(
    (method.upper(), path.removeprefix(V1))
    for path, methods in create_app(cast(AppState, None), {"own": OWN}).openapi()["paths"].items()
    for method in methods
    if path not in UNGUARDED
)


class Hook:
    """A dialer whose signature is wrong."""

    def receive(self, headers: Any, body: bytes) -> list[Any]:
        raise HookRefused("webhook: expected a signature", 401)


class Centre:
    """A desk with two operators, and a client for each token."""

    def __init__(self, desk: ApiDesk) -> None:
        people, self.tokens = Users(desk.store, PASSWORDS), AccessTokens(desk.store)
        for login in ("anna", "olga"):
            people.add(login, Role.OPERATOR, GOOD)
        made = {
            "anna": self.tokens.make(Scope.HEADSET, "anna", "test")[1],
            "olga": self.tokens.make(Scope.HEADSET, "olga", "test")[1],
            "pbx": self.tokens.make(Scope.PBX, "pbx", "test")[1],
            "crm": self.tokens.make(Scope.CRM, "crm", "test")[1],
            "metrics": self.tokens.make(Scope.METRICS, "metrics", "test")[1],
        }
        self.metrics = Metrics()
        self.alerts = desk.app_state.alerts
        refusals = Refusals(self.alerts, self.metrics.refused, slow_s=0.05)
        hooks = {"webhook": Hook()}
        state = desk.with_office(is_known=self.tokens.is_known, hooks=hooks).app_state
        app = create_app(
            state,
            Tokens({"own": OWN}, {"file": FILE}, self.tokens),
            metrics=self.metrics,
            refusals=refusals,
        )
        self.desk = desk
        self.own = client(app, Authorization=f"Bearer {OWN}")
        self.file = client(app, Authorization=f"Bearer {FILE}")
        self.nobody = client(app)
        self.by = {
            name: client(app, Authorization=f"Bearer {token}") for name, token in made.items()
        }

    def ask(self, by: str = "anna", **body: Any) -> dict[str, Any]:
        answer = self.by[by].post(
            f"{V1}/callbacks", json={"reason": "dropped", "phone": PHONE} | body
        )
        assert answer.is_success, answer.text
        callback: dict[str, Any] = answer.json()["callback"]
        return callback

    def post(self, by: str, path: str, **body: Any) -> httpx.Response:
        return self.by[by].post(V1 + path, json=body)

    def history(self, id: str) -> list[str]:
        told = self.own.get(f"{V1}/callbacks/{id}").json()["history"]
        return [one["who"] for one in told]


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    with api_desk(tmp_path) as desk:
        yield Centre(desk)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("who", "permitted"),
    [("anna", HEADSET), ("pbx", HEADSET), ("crm", CRM), ("metrics", METRICS)],
)
def test_each_scope_permits_what_it_names_and_nothing_else(
    centre: Centre, who: str, permitted: set[tuple[str, str]]
) -> None:
    assert permitted <= set(OPERATIONS)
    for method, path in OPERATIONS:
        where = V1 + path.replace("{id}", "0123456789ab")
        answer = centre.by[who].request(method, where, json={"nothing": "known"})
        assert (answer.status_code != 403) is ((method, path) in permitted), (method, path)
        if answer.status_code == 403:
            assert error(answer) == (403, "forbidden")
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_token_of_desk_toml_is_a_crms(centre: Centre) -> None:
    assert centre.file.get(f"{V1}/callbacks").status_code == 200
    assert centre.file.post(f"{V1}/calls/ended", json={"call": "1"}).status_code == 403


def test_metrics_are_read_without_the_version_too(centre: Centre) -> None:
    for who, status in (("metrics", 200), ("crm", 200), ("anna", 403)):
        assert centre.by[who].get("/metrics").status_code == status


def test_history_says_whose_token_it_was(centre: Centre) -> None:
    first, second = centre.ask(), centre.ask("crm", phone=OTHER_PHONE)
    assert centre.history(first["id"]) == ["headset:anna"]
    assert centre.history(second["id"]) == ["api:crm"]


def test_history_names_the_person_for_whom_a_program_acts_and_not_of_a_headset(
    centre: Centre,
) -> None:
    ids = {name: centre.ask(name, phone=phone)["id"] for name, phone in BOTH_PHONES.items()}
    for name, id in ids.items():
        answer = centre.by[name].post(
            f"{V1}/callbacks/{id}/cancel", json={}, headers={"X-Person": "vera"}
        )
        assert answer.status_code == 200
    assert centre.history(ids["anna"]) == ["headset:anna"] * 2
    assert centre.history(ids["crm"]) == ["api:crm", "api:crm:vera"]


def test_a_new_token_works_at_once(centre: Centre) -> None:
    _, token = centre.tokens.make(Scope.CRM, "second", "test")
    answer = centre.nobody.get(f"{V1}/promise", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


# -- whose callbacks -----------------------------------------------------------------------------------


def test_a_headset_asks_for_callbacks_of_its_own_operator(centre: Centre) -> None:
    assert centre.ask(operator="ANNA")["operator"] == "ANNA"
    answer = centre.post("anna", "/callbacks", reason="dropped", phone=OTHER_PHONE, operator="olga")
    assert error(answer) == (403, "not_yours")


def test_a_kept_request_of_another_operator_is_not_lost_and_does_not_come_to_their_page(
    centre: Centre,
) -> None:
    opening = "Продиктуйте номер карты"
    callback = centre.ask(operator="olga", opening=opening, keep_wrong_number=True)
    assert callback["operator"] == "anna"
    assert centre.by["olga"].get(f"{V1}/callbacks").json()["callbacks"] == []


def test_a_headset_sees_and_closes_its_own_callbacks_and_those_of_nobody(centre: Centre) -> None:
    own = centre.ask("crm", operator="olga")
    nobodys = centre.ask("crm", phone=OTHER_PHONE)
    listed = centre.by["anna"].get(f"{V1}/callbacks").json()["callbacks"]
    assert [one["id"] for one in listed] == [nobodys["id"]]
    of_olga = centre.by["anna"].get(f"{V1}/callbacks", params={"operator": "olga"})
    assert error(of_olga) == (403, "not_yours")
    at = f"/callbacks/{own['id']}"
    assert error(centre.by["anna"].get(V1 + at)) == (404, "not_found")
    for path, body in (
        ("outcome", {"outcome": "reached"}),
        ("cancel", {"why": "not needed"}),
        ("number", {"phone": OTHER_PHONE}),
    ):
        assert error(centre.post("anna", f"{at}/{path}", **body)) == (404, "not_found")
    assert error(centre.post("anna", f"{at}/accept", operator="olga")) == (403, "not_yours")
    called = centre.post("anna", "/client-called", phone=PHONE)
    assert error(called) == (409, "conflict")
    assert centre.own.get(V1 + at).json()["callback"]["state"] == "waiting"
    assert centre.post("anna", f"/callbacks/{nobodys['id']}/cancel").status_code == 200
    assert centre.post("olga", "/client-called", phone=PHONE).json()["callback"]["id"] == own["id"]


def test_a_headset_closes_of_several_promises_to_a_client_its_own_and_nobodys(
    centre: Centre,
) -> None:
    at = "2030-11-30T10:00:00+03:00"
    own = centre.ask(operator="anna")
    of_olga = centre.ask("crm", reason="agreed", at=at, operator="olga")
    reached = centre.post(
        "anna", f"/callbacks/{own['id']}/outcome", outcome="reached", key=own["key"], settles=True
    )
    assert reached.json()["state"] == "reached"
    again = centre.ask(operator="anna")
    assert (
        centre.post("anna", "/client-called", phone=PHONE).json()["callback"]["id"] == again["id"]
    )
    left = centre.own.get(f"{V1}/callbacks/{of_olga['id']}").json()["callback"]
    assert left["state"] == "waiting"
    last = centre.ask("crm")
    settled = centre.post(
        "crm", f"/callbacks/{last['id']}/outcome", outcome="reached", key=last["key"], settles=True
    )
    assert settled.status_code == 200
    left = centre.own.get(f"{V1}/callbacks/{of_olga['id']}").json()["callback"]
    assert left["state"] != "waiting"


def test_a_callback_is_handed_over_only_to_a_user(centre: Centre) -> None:
    at = f"/callbacks/{centre.ask('crm', operator='anna')['id']}/operator"
    assert error(centre.post("crm", at, operator="vera")) == (422, "invalid")
    assert centre.post("crm", at, operator="olga").json()["operator"] == "olga"


def test_a_headset_ends_and_withdraws_its_own_calls(centre: Centre) -> None:
    callback = centre.ask("anna", operator="anna", call="anna-1", call_on=True)
    assert centre.post("olga", "/calls/withdrawn", call="anna-1").json() == {"callback": None}
    assert centre.post("olga", "/calls/ended", call="anna-1").status_code == 204
    assert centre.history(callback["id"]) == ["headset:anna"]
    assert centre.post("anna", "/calls/ended", call="anna-1").status_code == 204
    withdrawn = centre.post("anna", "/calls/withdrawn", call="anna-1").json()["callback"]
    assert (withdrawn["id"], withdrawn["state"]) == (callback["id"], "cancelled")


def test_a_headset_reports_calls_of_its_own_operator(centre: Centre) -> None:
    lines = pack([{"t": 0.0, "kind": "phase", "phase": "greeting"}])
    told = {"call": "1", "began": "2026-11-30T10:00:00+03:00", "mode": "cue", "lines": lines}
    assert error(centre.post("olga", "/calls", **told, operator="anna")) == (403, "not_yours")
    assert centre.post("anna", "/calls", **told, operator="anna").status_code == 201


def test_nobodys_login_is_refused_and_a_headsets_request_is_kept(centre: Centre) -> None:
    answer = centre.post("crm", "/callbacks", reason="dropped", phone=PHONE, operator="vera")
    assert error(answer) == (422, "invalid")
    assert answer.json()["error"]["text"] == "body.operator: nobody has this login"
    kept = centre.own.post(
        f"{V1}/callbacks",
        json={"reason": "dropped", "operator": "vera", "keep_wrong_number": True},
    )
    assert kept.status_code == 201


# -- what is wrong -------------------------------------------------------------------------------------


def test_wrong_tokens_are_counted_logged_masked_and_alarmed(
    centre: Centre, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"Authorization": "Bearer a-wrong-token-that-nobody-has"}
    with caplog.at_level(logging.WARNING):
        for _ in range(ALARM_FROM):
            assert centre.nobody.get(f"{V1}/callbacks", headers=wrong).status_code == 401
    text = centre.own.get("/metrics").text
    assert re.search(rf'^vad_agent_refused_total{{what="token"}} {ALARM_FROM}\.0$', text, re.M)
    (alert,) = (one for one in centre.alerts.all() if one.kind is Kind.CREDENTIALS)
    assert alert.detail == f"token: {ALARM_FROM}"
    logged = [one for one in caplog.records if one.getMessage() == "wrong credentials"]
    assert len(logged) == SLOW_FROM
    assert "a-wrong-token" not in str([vars(one) for one in logged])
    assert centre.by["crm"].get(f"{V1}/callbacks").status_code == 200


def test_wrong_signatures_of_a_webhook_are_counted_too(centre: Centre) -> None:
    assert centre.nobody.post(f"{V1}/hooks/webhook", content=b"{}").status_code == 401
    text = centre.own.get("/metrics").text
    assert 'vad_agent_refused_total{what="hook"} 1.0' in text


def test_what_is_wrong_is_answered_late_and_what_is_right_is_not() -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async def ask() -> None:
        refusals = Refusals(slow_s=7)
        for number in range(SLOW_FROM + 1):
            await refusals.refuse(Attempted.TOKEN, "10.0.0.1", f"wrong {number}")
        await refusals.refuse(Attempted.TOKEN, "10.0.0.2", "wrong")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vad_agent.web.authentication.refusals.asyncio.sleep", wait)
        asyncio.run(ask())
    assert waited == [7, 7]


def test_an_alert_of_wrong_tokens_ends_when_the_address_is_quiet() -> None:
    alerts, timer = AlertBoard("desk-1"), ManualClock()
    refusals = Refusals(alerts, timer=timer)
    for _ in range(ALARM_FROM):
        refusals.note(Attempted.TOKEN, "10.0.0.1", "wrong")
    refusals.settle()
    assert [one.about for one in alerts.all()] == ["10.0.0.1"]
    timer.now = WITHIN_S
    refusals.settle()
    assert alerts.all() == []
