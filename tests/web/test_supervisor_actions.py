"""What a supervisor does to callbacks on the page: each action, its rules, and its person in the history."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.web.supervisor_shift import (
    BOSS,
    NOW,
    OPERATOR,
    OPERATORS,
    PASSWORD,
    SupervisorSite,
    shift_at,
    status,
)
from vad_agent.callbacks.model import Callback, Outcome, State
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import StoreError
from vad_agent.web.authentication.login_sessions import Role

MOSCOW = ZoneInfo("Europe/Moscow")
WHO = f"panel:{BOSS}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[SupervisorSite]:
    with shift_at(tmp_path, MOSCOW) as one:
        yield one


def form_of(page: str, action: str) -> dict[str, str]:
    """The hidden fields of an action's form."""
    found = re.search(rf'<form [^>]*action="[^"]*/{action}".*?</form>', page, re.DOTALL)
    assert found is not None, action
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', found[0])
    return {name: html.unescape(value) for name, value in fields}


def shown(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def actions(page: str) -> set[str]:
    return set(re.findall(r'<form class="action" method="post" action="[^"]*/(\w+)"', page))


def act(served: SupervisorSite, one: Callback, action: str, **fields: str) -> httpx.Response:
    """The page is opened, the form filled in and sent."""
    supervisor = served.supervisor()
    path = f"/supervisor/callbacks/{one.id}"
    told = form_of(supervisor.get(path).text, action) | fields
    return supervisor.post(f"{path}/{action}", data=told)


def done(served: SupervisorSite, one: Callback, action: str, **fields: str) -> Callback:
    answer = act(served, one, action, **fields)
    assert answer.status_code == 303, shown(answer.text)
    return served.shift.store.get(answer.headers["location"].split("/")[-1].partition("?")[0])


def last(served: SupervisorSite, one: Callback) -> tuple[str, str, str]:
    change = served.shift.app_state.queries.history(one.id)[-1]
    return change.what, change.who, change.why


# -- each action ---------------------------------------------------------------------------------------


def test_a_number_is_given_in_any_notation(served: SupervisorSite) -> None:
    one = served.shift.ask(phone=None, phone_given="доб. 12")
    after = done(served, one, "number", phone="8 (926) 111-22-33")
    assert (after.state, after.phone) == (State.WAITING, "+79261112233")
    assert last(served, one)[:2] == ("number_set", WHO)


def test_a_number_of_another_callback_leads_to_that_one(served: SupervisorSite) -> None:
    other = served.shift.ask(phone="+79261112233", name="Анна")
    one = served.shift.ask(phone=None, phone_given="доб. 12", name="Анна")
    assert done(served, one, "number", phone="8 926 111-22-33").id == other.id


def test_a_time_is_the_centres(served: SupervisorSite) -> None:
    one = served.shift.ask()
    after = done(served, one, "time", at="2026-03-11T16:05")
    assert after.next == NOW + timedelta(minutes=95)
    assert after.fixed
    assert last(served, one)[:2] == ("time_set", WHO)
    assert "Время центра: Europe/Moscow UTC+03:00" in shown(
        served.supervisor().get(f"/supervisor/callbacks/{one.id}").text
    )


def test_a_callback_is_handed_over_to_an_operator_and_to_anybody(served: SupervisorSite) -> None:
    one = served.shift.ask(operator="anna")
    assert done(served, one, "operator", operator="OLGA", why="анна дома").operator == OPERATOR
    assert last(served, one) == ("operator_set", WHO, "анна дома")
    assert done(served, one, "operator", operator="*").operator is None
    said = shown(served.supervisor().get(f"/supervisor/callbacks/{one.id}").text)
    assert f"передан {BOSS} анна дома оператор anna → Olga" in said


def test_an_offer_that_is_handed_over_is_offered_to_the_other_one_from_now_on(
    served: SupervisorSite,
) -> None:
    shift = served.shift
    one = shift.ask(NOW - timedelta(minutes=3), operator="anna")
    shift.offer(one, NOW - timedelta(minutes=3))
    after = done(served, one, "operator", operator=OPERATOR)
    assert (after.state, after.operator, after.since) == (State.OFFERED, OPERATOR, NOW)
    assert after.key == one.key
    assert [late.id for late in shift.app_state.queries.overdue(NOW)] == [one.id]


def test_a_supervisor_takes_what_is_offered_and_says_how_it_ended(served: SupervisorSite) -> None:
    one = served.shift.ask(NOW - timedelta(minutes=3), operator="anna")
    served.shift.offer(one, NOW - timedelta(minutes=3))
    taken = done(served, one, "take")
    assert (taken.state, taken.operator, taken.since) == (State.RINGING, BOSS, NOW)
    assert last(served, one)[:2] == ("accepted", WHO)
    assert done(served, one, "outcome", outcome="reached").state is State.REACHED
    assert last(served, one)[:2] == ("reached", WHO)
    [attempt] = served.shift.store.attempts_of(one.id)
    assert (attempt.outcome, attempt.operator) == (Outcome.REACHED, BOSS)


def test_what_waits_is_taken_for_oneself(served: SupervisorSite) -> None:
    one = served.shift.ask(NOW, 600.0, operator="anna")
    after = done(served, one, "take")
    assert (after.state, after.operator) == (State.WAITING, BOSS)
    page = served.supervisor().get(f"/supervisor/callbacks/{one.id}").text
    assert "take" not in actions(page)


def test_an_outcome_has_its_details(served: SupervisorSite) -> None:
    one = served.shift.ask(NOW - timedelta(minutes=3))
    served.shift.ring(one, NOW - timedelta(minutes=2), None)
    after = done(served, one, "outcome", outcome="no_answer", why="два раза\nпо минуте")
    assert (after.state, after.attempt) == (State.WAITING, 2)
    assert last(served, one) == ("no_answer", WHO, "два раза по минуте")


def test_the_outcome_of_a_call_by_hand_is_an_attempt(served: SupervisorSite) -> None:
    one = served.shift.ask()
    after = done(served, one, "outcome", outcome="no_answer")
    assert (after.state, after.attempt) == (State.WAITING, 2)
    assert last(served, one)[:2] == ("no_answer", WHO)
    agreed = served.shift.ask(NOW, None, at=(NOW + timedelta(hours=1)).isoformat(), reason="agreed")
    answer = act(served, agreed, "outcome", outcome="no_answer")
    assert answer.headers["location"].endswith("?done=unchanged")
    page = served.supervisor().get(answer.headers["location"]).text
    assert "Записывать нечего" in page


def test_a_callback_is_cancelled_and_started_anew_with_a_reason(served: SupervisorSite) -> None:
    one = served.shift.ask()
    assert done(served, one, "cancel", why="решено письмом").state is State.CANCELLED
    assert last(served, one) == ("cancelled", WHO, "решено письмом")
    after = done(served, one, "retry", why="клиент просит")
    assert (after.state, after.attempt, after.next) == (State.WAITING, 1, NOW)
    assert last(served, one) == ("retried", WHO, "клиент просит")


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "fields", "told"),
    [
        ("cancel", {"why": "  \n"}, "Укажите причину"),
        ("retry", {}, "Укажите причину"),
        ("number", {"phone": "9" * 250}, "Это не телефонный номер"),
        ("number", {"phone": "завтра"}, "Это не телефонный номер"),
        ("time", {"at": "2026-03-12"}, "Укажите дату и время"),
        ("time", {"at": "2026-03-11T14:29"}, "Это время уже прошло"),
        ("time", {"at": "2026-02-30T10:00"}, "Укажите дату и время"),
        ("outcome", {"outcome": "lost"}, "Выберите исход"),
        ("operator", {"operator": "никто такой"}, "Такого оператора нет"),
        ("operator", {"operator": ""}, "Такого оператора нет"),
    ],
)
def test_what_is_wrong_is_said_at_its_form_and_changes_nothing(
    served: SupervisorSite, action: str, fields: dict[str, str], told: str
) -> None:
    one = served.shift.ask(operator=OPERATOR)
    before = served.shift.store.get(one.id)
    answer = act(served, one, action, **fields)
    assert answer.status_code == 400
    [form] = re.findall(rf'<form class="action"[^>]*/{action}".*?</form>', answer.text, re.DOTALL)
    assert told in form
    for name in {"phone", "at"} & fields.keys():
        assert f'value="{fields[name]}"' in form, "what was typed is lost"
    assert served.shift.store.get(one.id) == before
    assert len(served.shift.app_state.queries.history(one.id)) == 1


def test_a_page_that_is_older_than_the_last_change_does_nothing(served: SupervisorSite) -> None:
    one = served.shift.ask(NOW - timedelta(minutes=3))
    supervisor = served.supervisor()
    path = f"/supervisor/callbacks/{one.id}"
    fields = form_of(supervisor.get(path).text, "retry") | {"why": "ещё раз"}
    served.shift.ring(one, NOW - timedelta(minutes=2), Outcome.REACHED)
    answer = supervisor.post(f"{path}/retry", data=fields)
    assert answer.status_code == 409
    assert "Перезвон уже изменился" in answer.text
    assert served.shift.store.get(one.id).state is State.REACHED


def test_two_presses_are_one(served: SupervisorSite) -> None:
    one = served.shift.ask()
    supervisor = served.supervisor()
    path = f"/supervisor/callbacks/{one.id}"
    fields = form_of(supervisor.get(path).text, "retry") | {"why": "ещё раз"}
    answers = [supervisor.post(f"{path}/retry", data=fields).status_code for _ in range(2)]
    assert answers == [303, 409]


def test_only_what_the_state_allows_is_shown(served: SupervisorSite) -> None:
    shift, supervisor = served.shift, served.supervisor()

    def shows(one: Callback) -> set[str]:
        return actions(supervisor.get(f"/supervisor/callbacks/{one.id}").text)

    every = {"take", "operator", "outcome", "time", "number", "retry", "cancel"}
    waits = shift.ask()
    assert shows(waits) == every
    unknown = shift.ask(phone=None)
    assert shows(unknown) == every - {"retry"}
    rings = shift.ask(NOW - timedelta(minutes=1))
    shift.ring(rings, NOW - timedelta(seconds=30), None)
    assert shows(rings) == {"outcome", "cancel"}
    offered = shift.ask(NOW - timedelta(minutes=1))
    shift.offer(offered, NOW - timedelta(seconds=30))
    assert shows(offered) == {"take", "operator", "outcome", "cancel"}
    over = shift.ask()
    shift.end(over, "cancelled", NOW)
    assert shows(over) == {"retry"}


@pytest.mark.parametrize("csrf", ["", "0" * 64])
def test_a_form_without_the_pages_token_does_nothing(served: SupervisorSite, csrf: str) -> None:
    one = served.shift.ask()
    fields = {"why": "x", "csrf": csrf, "seen": f"{one.key}.waiting.{one.operator}"}
    answer = served.supervisor().post(f"/supervisor/callbacks/{one.id}/cancel", data=fields)
    assert answer.status_code == 403
    assert served.shift.store.get(one.id).open


def test_nobody_but_a_supervisor_acts(served: SupervisorSite) -> None:
    one = served.shift.ask()
    path = f"/supervisor/callbacks/{one.id}/cancel"
    assert served.browser().post(path, data={"why": "x"}).status_code == 401
    operator = served.come_in(OPERATOR, PASSWORD)
    assert operator.post(path, data={"why": "x"}).status_code == 403
    other = operator.post(path, data={"why": "x"}, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    assert served.shift.store.get(one.id).open


def test_a_person_who_is_refused_sees_a_page(served: SupervisorSite) -> None:
    answer = served.supervisor().post(
        "/supervisor/callbacks/x/cancel", headers={"Sec-Fetch-Mode": "navigate"}
    )
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/supervisor/callbacks/none/cancel", "/supervisor/callbacks/x/y"])
def test_what_is_not_there(served: SupervisorSite, path: str) -> None:
    supervisor = served.supervisor()
    one = served.shift.ask()
    fields = form_of(supervisor.get(f"/supervisor/callbacks/{one.id}").text, "cancel")
    assert supervisor.post(path, data=fields).status_code == 404


def test_a_store_that_does_not_answer(
    served: SupervisorSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StoreError("away")

    one = served.shift.ask()
    supervisor = served.supervisor()
    path = f"/supervisor/callbacks/{one.id}"
    fields = form_of(supervisor.get(path).text, "cancel") | {"why": "x"}
    monkeypatch.setattr(served.shift.store.__class__, "change", away)
    answer = supervisor.post(f"{path}/cancel", data=fields)
    assert (answer.status_code, "База данных не отвечает" in answer.text) == (503, True)


# -- who can be asked ------------------------------------------------------------------------------------


def test_operators_are_users_headsets_and_nobody_who_is_disabled(served: SupervisorSite) -> None:
    served.users.add("Борис", Role.OPERATOR, PASSWORD)
    served.users.add("anna", Role.OPERATOR, PASSWORD)
    served.users.disable("anna")
    served.show("ANNA", status())
    served.show("Гость", status())
    assert served.dashboard.operators() == ["Irina", "Olga", "Борис", "Гость"]


# -- what happened since ---------------------------------------------------------------------------------


def test_how_long_it_rings_is_shown_whatever_dials(served: SupervisorSite) -> None:
    shift = served.shift
    one = shift.ask(NOW - timedelta(minutes=4), operator=OPERATORS[0])
    shift.ring(one, NOW - timedelta(minutes=3), None)
    said = shown(served.supervisor().get("/supervisor").text)
    assert "звонок идёт 3 мин , с 14:27:00" in said
    said = shown(served.supervisor().get(f"/supervisor/callbacks/{one.id}").text)
    assert "звонок идёт 3 мин, с 11.03.2026 14:27:00" in said


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("panel:anna", "anna"),
        ("cli:root", "root, команда"),
        ("api:crm", "программа crm"),
        ("api:crm:Олег", "программа crm, Олег"),
        ("desk-1", "desk-1"),
        ("panel:", "panel:"),
    ],
)
def test_a_change_has_its_person(served: SupervisorSite, who: str, told: str) -> None:
    one = served.shift.ask()
    served.shift.app_state.service.cancel(one.id, who, "x")
    said = shown(served.supervisor().get(f"/supervisor/callbacks/{one.id}").text)
    assert f"отменён {told} x" in said
    assert Actor(who, NOW).who == who
