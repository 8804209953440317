"""What programs ask the desk for, over its API; the store is a real one, nothing rings."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.server.api_desk import BEARER, NUMBER, OTHER, PHONE, V1, ApiDesk, client, served
from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.model import Request
from vad_agent.callbacks.trace_compression import pack
from vad_agent.callbacks.unit_of_work import Actor

OTHER_PHONE = "+7 913 000-00-01"


def begin(one: ApiDesk, callback: dict[str, Any]) -> str:
    """An attempt under way; its key."""
    begun = one.store.begin(callback["key"], "desk-1", Actor("engine", one.desk.clock.now()))
    assert begun is not None
    return begun.attempt.key


# -- asking for one --------------------------------------------------------------------------------


def test_a_new_callback_is_stored_and_due_at_once(one):
    before = datetime.now(UTC)
    answer = one.post("/callbacks", {"reason": "dropped", "phone": PHONE, "name": "Анна"})
    assert answer.status_code == 201
    said = answer.json()
    callback = said["callback"]
    assert (said["what"], callback["state"], callback["phone"]) == ("taken", "waiting", NUMBER)
    assert before <= datetime.fromisoformat(callback["due"]) <= datetime.now(UTC)
    assert answer.headers["location"] == f"{V1}/callbacks/{callback['id']}"
    assert one.store.get(callback["id"]).name == "Анна"


@pytest.mark.parametrize(
    ("body", "state", "seconds"),
    [
        ({}, "waiting", 0),
        ({"due_in_s": 90}, "waiting", 90),
        ({"due_in_s": 0, "call_on": True}, "waiting", 15),
        ({"due_in_s": 90, "at": "2027-01-01T10:00+00:00"}, "waiting", 31_525_200),
        ({"reason": "agreed", "at": "2027-01-01T13:00"}, "waiting", 31_525_200),
        ({"reason": "agreed"}, "needs_time", None),
        ({"reason": "agreed", "due_in_s": 5}, "waiting", 5),
        ({"phone": None}, "needs_number", 0),
        ({"phone": "  "}, "needs_number", 0),
    ],
)
def test_when_it_is_due(one, body, state, seconds):
    asked = datetime(2026, 1, 1, 13, 0, tzinfo=UTC)
    callback = one.ask(asked=asked.isoformat(), **body)
    assert callback["state"] == state
    due = callback["due"] and datetime.fromisoformat(callback["due"]) - asked
    assert due == (None if seconds is None else timedelta(seconds=seconds))


def test_a_clock_that_is_ahead_puts_nothing_off(one):
    ahead = datetime.now(UTC) + timedelta(days=1)
    callback = one.ask(asked=ahead.isoformat())
    assert datetime.fromisoformat(callback["due"]) <= datetime.now(UTC)


def test_the_same_key_is_one_request(one):
    first = one.post("/callbacks", {"reason": "dropped", "key": "k"})
    again = one.post("/callbacks", {"reason": "dropped", "key": "k"})
    by_header = one.post("/callbacks", {"reason": "dropped"}, headers={"Idempotency-Key": "k"})
    assert [a.status_code for a in (first, again, by_header)] == [201, 200, 200]
    assert [a.json()["what"] for a in (again, by_header)] == ["duplicate", "duplicate"]
    assert len({a.json()["callback"]["id"] for a in (first, again, by_header)}) == 1


def test_the_header_goes_before_the_bodys_key(one):
    body = {"reason": "dropped", "key": "k"}
    first = one.post("/callbacks", body, headers={"Idempotency-Key": "one"})
    second = one.post("/callbacks", body, headers={"Idempotency-Key": "two"})
    assert (first.status_code, second.status_code) == (201, 201)


def test_requests_without_a_key_are_several(one):
    assert one.ask(phone=None)["id"] != one.ask(phone=None)["id"]


def test_an_open_callback_takes_a_second_request_in(one):
    first = one.ask(due_in_s=600)
    answer = one.post("/callbacks", {"reason": "client_hold", "phone": "+79123456789"})
    assert answer.status_code == 200
    said = answer.json()
    assert (said["what"], said["callback"]["id"]) == ("merged", first["id"])
    assert said["callback"]["reasons"] == ["dropped", "client_hold"]
    assert said["callback"]["due"] < first["due"]


def test_the_same_call_revises_its_callback(one):
    first = one.ask(call="pbx/1?#", due_in_s=0)
    answer = one.post("/callbacks", {"reason": "client_hold", "call": "pbx/1?#", "due_in_s": 90})
    said = answer.json()
    assert (said["what"], said["callback"]["id"]) == ("revised", first["id"])


def test_a_wrong_number_is_refused_with_the_reason_and_nothing_is_stored(one):
    answer = one.post("/callbacks", {"reason": "dropped", "phone": "345-67-89"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "wrong_number"
    assert error["text"].endswith("the city's code is missing")
    assert one.get("/promise").json()["taken"] == 0


def test_what_a_headset_sends_is_mended_not_refused(one):
    body = {
        "reason": "agreed",
        "phone": "345-67-89",
        "name": "Анна\t\x00" + "а" * 300,
        "topic": "\ud83d",
        "opening": "о" * 2000,
        "at": "завтра",
        "due_in_s": 1,
        "keep_wrong_number": True,
    }
    content = json.dumps(body)
    answer = one.client.post(
        f"{V1}/callbacks", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 201, answer.text
    callback = answer.json()["callback"]
    assert (callback["state"], callback["phone"]) == ("needs_number", None)
    assert (callback["phone_given"], callback["due"]) == ("345-67-89", None)
    assert callback["name"] == "Анна  " + "а" * 194
    assert (callback["topic"], len(callback["opening"])) == (None, 1000)


def test_an_empty_number_is_nobodys_number(one):
    asked = datetime.now(UTC)
    taken = [
        one.desk.take(Request(key, "dropped", asked, due_in_s=0, phone=""), "a headset")
        for key in ("one", "two")
    ]
    assert [(one.what, one.callback.state) for one in taken] == [("taken", "needs_number")] * 2


def test_history_says_whose_token_it_was(one):
    callback = one.ask()
    with client(one.app, Authorization=f"bearer {OTHER}") as headset:
        done = headset.post(f"{V1}/callbacks/{callback['id']}/cancel", json={"why": "по ошибке"})
    assert done.status_code == 200
    rows = one.get(f"/callbacks/{callback['id']}").json()["history"]
    assert [(row["who"], row["what"]) for row in rows] == [
        ("api:crm", "taken"),
        ("api:headset", "cancelled"),
    ]
    assert rows[1]["why"] == "по ошибке"


# -- looking ---------------------------------------------------------------------------------------


def test_pages_hold_every_callback_once_in_order(one):
    ids = [one.ask(phone=f"+7912000000{n}", due_in_s=60 * n)["id"] for n in range(7)]
    seen, after, pages = [], None, 0
    while True:
        query = {"limit": 3} | ({"after": after} if after else {})
        page = one.get("/callbacks", **query).json()
        seen += [callback["id"] for callback in page["callbacks"]]
        pages += 1
        after = page["next"]
        if after is None:
            break
    assert seen == ids
    assert pages == 3


def test_a_full_last_page_has_no_next(one):
    one.ask()
    assert one.get("/callbacks", limit=1).json()["next"] is None


def test_lists_by_state_number_and_operator(one):
    mine = one.ask(operator="petrova")["id"]
    his = one.ask(phone=OTHER_PHONE, operator="ivanov")["id"]
    nobodys = one.ask(phone=None)["id"]
    one.post(f"/callbacks/{his}/cancel")

    def found(**query: str) -> set[str]:
        return {callback["id"] for callback in one.get("/callbacks", **query).json()["callbacks"]}

    assert found() == {mine, his, nobodys}
    assert found(state="open") == {mine, nobodys}
    assert found(state="ended") == found(state="cancelled") == {his}
    assert found(state="needs_number") == {nobodys}
    assert found(phone=PHONE) == {mine}
    assert found(operator="petrova", state="open") == {mine, nobodys}


@pytest.mark.parametrize(
    "query",
    [
        {"state": "all"},
        {"limit": 0},
        {"limit": 501},
        {"limit": "ten"},
        {"after": "../x"},
        {"phone": "12"},
        {"operator": "a\x00b"},
        {"stat": "open"},
    ],
)
def test_a_wrong_question_is_refused(one, query):
    assert one.get("/callbacks", **query).status_code == 422


def test_one_callback_with_all_that_happened(one):
    callback = one.ask(call="call 1")
    key = begin(one, callback)
    one.post(f"/callbacks/{callback['id']}/outcome", {"outcome": "busy", "why": "занято"})
    story = one.get(f"/callbacks/{callback['id']}").json()
    assert story["callback"]["attempt"] == 2
    [attempt] = story["attempts"]
    assert (attempt["key"], attempt["outcome"], attempt["detail"]) == (key, "busy", "занято")
    assert [row["what"] for row in story["history"]] == ["taken", "begun", "busy"]
    assert story["calls"] == ["call 1"]
    assert "+7912" not in json.dumps(story["history"])


# -- changes ---------------------------------------------------------------------------------------


def test_an_outcome_ends_it(one):
    callback = one.ask()
    answer = one.post(f"/callbacks/{callback['id']}/outcome", {"outcome": "reached"})
    assert (answer.status_code, answer.json()["state"]) == (200, "reached")


def test_an_outcome_with_its_key_counts_once(one):
    callback = one.ask()
    key = begin(one, callback)
    path = f"/callbacks/{callback['id']}/outcome"
    told = [one.post(path, {"outcome": "no_answer", "key": key}) for _ in range(3)]
    assert [answer.status_code for answer in told] == [200] * 3
    assert [answer.json()["attempt"] for answer in told] == [2, 2, 2]


def test_a_key_of_another_callback_is_a_conflict(one):
    one_key = begin(one, one.ask())
    other = one.ask(phone=OTHER_PHONE)
    answer = one.post(f"/callbacks/{other['id']}/outcome", {"outcome": "busy", "key": one_key})
    assert answer.status_code == 409
    never = one.post(
        f"/callbacks/{other['id']}/outcome", {"outcome": "busy", "key": f"{other['id']}.9.9"}
    )
    assert never.status_code == 409


def test_an_offer_is_listed_for_who_may_call_and_the_first_who_accepts_has_it(one):
    id = one.ask(operator="petrova")["id"]
    assert one.post(f"/callbacks/{id}/accept", {"operator": "ivanov"}).status_code == 409
    by = Actor("desk-1", one.desk.clock.now())
    begun = one.store.begin(one.store.get(id).key, "desk-1", by)
    one.store.offer(begun.attempt.key, "manual", by)
    one.desk.has_panel = {"petrova"}.__contains__

    def listed(operator):
        found = one.get("/callbacks", operator=operator, state="open").json()["callbacks"]
        return [callback["id"] for callback in found]

    (offered,) = one.get("/callbacks", state="offered").json()["callbacks"]
    assert (offered["id"], offered["since"] is not None) == (id, True)
    assert (listed("petrova"), listed("ivanov")) == ([id], [])
    one.desk.has_panel = lambda _: False
    assert listed("ivanov") == [id]
    for wrong in ({}, {"operator": ""}, {"operator": " "}, {"operator": "a\x00b"}):
        assert one.post(f"/callbacks/{id}/accept", wrong).status_code == 422
    accepted = one.post(f"/callbacks/{id}/accept", {"operator": "ivanov"}).json()
    assert (accepted["state"], accepted["operator"]) == ("ringing", "ivanov")
    (attempt,) = one.get(f"/callbacks/{id}").json()["attempts"]
    assert (attempt["operator"], attempt["accepted"]) == ("ivanov", accepted["since"])
    late = one.post(f"/callbacks/{id}/accept", {"operator": "petrova"})
    assert late.status_code == 409
    assert late.json()["error"]["text"] == f"{id}: it is not offered: ringing, ivanov has it"
    assert (listed("petrova"), listed("ivanov")) == ([], [id])


def test_number_time_cancel_retry(one):
    id = one.ask(phone=None, reason="agreed")["id"]
    assert one.post(f"/callbacks/{id}/retry").status_code == 409
    numbered = one.post(f"/callbacks/{id}/number", {"phone": PHONE}).json()
    assert (numbered["state"], numbered["phone"]) == ("needs_time", NUMBER)
    timed = one.post(f"/callbacks/{id}/time", {"at": "2027-01-01T13:00"}).json()
    assert (timed["state"], timed["due"]) == ("waiting", "2027-01-01T10:00:00Z")
    assert (
        one.post(f"/callbacks/{id}/cancel", {"why": "он передумал"}).json()["state"] == "cancelled"
    )
    assert one.post(f"/callbacks/{id}/cancel").status_code == 409
    assert one.post(f"/callbacks/{id}/retry").json()["state"] == "waiting"


def test_a_number_that_another_open_callback_has_joins_them(one):
    known = one.ask()
    unknown = one.ask(phone=None)
    answer = one.post(f"/callbacks/{unknown['id']}/number", {"phone": PHONE})
    assert answer.json()["id"] == known["id"]


def test_a_wrong_number_given_later_says_why(one):
    id = one.ask(phone=None)["id"]
    answer = one.post(f"/callbacks/{id}/number", {"phone": "112"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_number")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("POST", "/outcome", {"outcome": "reached"}),
        ("POST", "/outcome", {"outcome": "reached", "key": "nobody.1.1"}),
        ("POST", "/accept", {"operator": "petrova"}),
        ("POST", "/cancel", {}),
        ("POST", "/retry", {}),
        ("POST", "/number", {"phone": PHONE}),
        ("POST", "/time", {"at": "2027-01-01T13:00"}),
    ],
)
def test_a_callback_that_is_not_there_is_404(one, method, path, body):
    answer = one.client.request(method, f"{V1}/callbacks/nobody{path}", json=body)
    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": "not_found", "text": "there is no such callback"}}


# -- calls -----------------------------------------------------------------------------------------


def test_the_client_has_called(one):
    callback = one.ask()
    said = one.post("/client-called", {"phone": "+79123456789"}).json()["callback"]
    assert (said["id"], said["state"]) == (callback["id"], "client_called")
    assert one.post("/client-called", {"phone": PHONE}).json() == {"callback": None}
    assert one.post("/client-called", {"phone": "?"}).status_code == 422


def test_a_call_that_has_ended_makes_its_callback_due(one):
    callback = one.ask(call="pbx/7", call_on=True)
    answer = one.post("/calls/ended", {"call": "pbx/7"})
    assert (answer.status_code, answer.content) == (204, b"")
    after = one.get(f"/callbacks/{callback['id']}").json()["callback"]
    assert after["due"] < callback["due"]
    assert one.post("/calls/ended", {"call": "nobody knows"}).status_code == 204


def test_a_call_whose_client_came_back_needs_no_callback(one):
    callback = one.ask(call="pbx/7")
    said = one.post("/calls/withdrawn", {"call": "pbx/7"}).json()["callback"]
    assert (said["id"], said["state"]) == (callback["id"], "cancelled")
    assert one.post("/calls/withdrawn", {"call": "pbx/7"}).json() == {"callback": None}


CALL = {
    "call": "pbx/7",
    "began": "2026-11-24T12:00:00+03:00",
    "mode": "auto",
    "operator": "petrova",
    "lines": pack([{"t": 4.0, "kind": "phase", "phase": "ended"}]),
}


def test_a_call_that_is_over_is_kept_once(one):
    first, again = one.post("/calls", CALL), one.post("/calls", CALL | {"operator": "ivanov"})
    assert (first.status_code, first.json()) == (201, {"call": "pbx/7", "new": True})
    assert (again.status_code, again.json()) == (200, {"call": "pbx/7", "new": False})
    found = one.desk.calls.get("pbx/7")
    assert (found[0].operator, found[0].seconds) == ("petrova", 4.0)
    assert one.post("/calls", CALL | {"call": "8", "operator": " "}).status_code == 201
    assert one.desk.calls.get("8")[0].operator is None


@pytest.mark.parametrize(
    "other",
    [
        {"call": ""},
        {"call": "a\nb"},
        {"call": "я" * 201},
        {"began": "2026-11-24T12:00"},
        {"began": "1999-12-31T12:00Z"},
        {"began": "2100-01-01T12:00Z"},
        {"began": 7},
        {"mode": "both"},
        {"operator": "a\x00"},
        {"operator": "я" * 101},
        {"lines": ""},
        {"lines": "Анна"},
        {"lines": "QW5uYQ=="},
        {"lines": "A" * 60_001},
        {"lines": pack([{"t": -1, "kind": "Anna"}])},
        {"lines": pack([{"t": 1, "kind": "prompt", "text": "Anna"}])},
        {"lines": None},
        {"colour": "blue"},
    ],
)
def test_what_is_no_call_is_refused_and_not_repeated(one, other):
    answer = one.post("/calls", CALL | other)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "invalid"
    assert error["fields"]
    assert "Anna" not in answer.text
    assert "Анна" not in answer.text


# -- the supervisor --------------------------------------------------------------------------------


def test_promise_numbers_and_alarms(one):
    one.ask()
    one.ask(reason="client_hold")
    other = one.ask(phone=OTHER_PHONE)["id"]
    one.post(f"/callbacks/{other}/outcome", {"outcome": "reached"})
    promise = one.get("/promise").json()
    assert promise == {
        "taken": 3,
        "reached": 1,
        "not_reached": 0,
        "client_called": 0,
        "cancelled": 0,
        "open": 2,
        "missing": 0,
    }
    numbers = one.get("/numbers").json()
    assert (numbers["by_state"]["waiting"], numbers["by_state"]["reached"]) == (1, 1)
    assert one.get("/alarms").json() == {"alarms": []}
    one.app_state.alerts.sound(Kind.OVERDUE, other, one.desk.clock.now(), "61 s")
    [alarm] = one.get("/alarms").json()["alarms"]
    assert (alarm["kind"], alarm["about"], alarm["detail"]) == ("overdue", other, "61 s")


def test_health_and_readiness(one):
    with client(one.app) as anybody:
        for prefix in ("", V1):
            health = anybody.get(f"{prefix}/health")
            assert (health.status_code, health.json()) == (200, {"alive": True, "node": "desk-1"})
            assert anybody.get(f"{prefix}/ready").json() == {"ready": True, "why": []}
    waits = one.with_office(not_ready=lambda: ["the engine has not started"])
    with client(waits.app) as anybody:
        answer = anybody.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "why": ["the engine has not started"]}
        assert anybody.get("/health").status_code == 200


# -- a real socket ---------------------------------------------------------------------------------


def test_a_hundred_times_the_same_request_is_one(one):
    body = {"reason": "dropped", "phone": PHONE, "key": "the same"}
    limits = httpx.Limits(max_connections=50)
    with (
        served(one.app) as url,
        httpx.Client(base_url=url, headers=BEARER, limits=limits, timeout=30) as http,
        ThreadPoolExecutor(50) as pool,
    ):
        answers = list(pool.map(lambda _: http.post(f"{V1}/callbacks", json=body), range(100)))
        listed = http.get(f"{V1}/callbacks").json()["callbacks"]
        promise = http.get(f"{V1}/promise").json()
    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    assert [answer.json()["what"] for answer in answers].count("taken") == 1
    assert len({answer.json()["callback"]["id"] for answer in answers}) == 1
    assert len(listed) == 1
    assert (promise["taken"], promise["open"], promise["missing"]) == (1, 1, 0)
