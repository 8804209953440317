"""The users of the pages, for supervisors: disabled at once, passwords for one login, who changed whom."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.web.supervisor_shift import BOSS, OPERATOR, PASSWORD, SupervisorSite, shift_at
from vad_agent.web.authentication.login_sessions import Role

EVIL = "<img src=x>\"'&"
OWN = "horse battery"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[SupervisorSite]:
    with shift_at(tmp_path, ZoneInfo("Europe/Moscow")) as one:
        yield one


def shown(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def csrf(supervisor: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', supervisor.get("/supervisor/people").text)
    assert found is not None
    return found[1]


def change(served: SupervisorSite, what: str, login: str = OPERATOR) -> httpx.Response:
    supervisor = served.supervisor()
    told = {"csrf": csrf(supervisor), "login": login}
    return supervisor.post(f"/supervisor/people/{what}", data=told)


def reset(served: SupervisorSite) -> str:
    """The password for one login."""
    answer = change(served, "reset")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = re.search(r'<p class="password">(\S{19})</p>', answer.text)
    assert found is not None
    return found[1]


def test_a_login_that_is_disabled_is_out_at_once_and_comes_back(served: SupervisorSite) -> None:
    operator = served.come_in(OPERATOR, PASSWORD)
    assert operator.get("/panel").status_code == 200
    assert change(served, "disable", "OLGA").status_code == 303
    assert operator.get("/panel").status_code == 401
    assert served.enter(served.browser(), OPERATOR, PASSWORD).status_code == 401
    said = shown(served.supervisor().get("/supervisor/people?done=disable").text)
    assert "✓ Отключён" in said
    assert "Olga оператор" in said
    assert "✗ отключён" in said
    assert change(served, "enable").status_code == 303
    assert operator.get("/panel").status_code == 401, "that session stays over"
    served.come_in(OPERATOR, PASSWORD)


def test_a_stream_ends_when_its_login_is_disabled(served: SupervisorSite) -> None:
    with served.come_in(OPERATOR, PASSWORD).stream("GET", "/panel/stream") as answer:
        lines = answer.iter_lines()
        next(lines)
        change(served, "disable")
        for number, _ in enumerate(lines):  # heartbeats, a second apart, until it ends
            assert number < 20


def test_a_password_for_one_login_is_shown_once_and_sets_ones_own(served: SupervisorSite) -> None:
    operator = served.come_in(OPERATOR, PASSWORD)
    once = reset(served)
    assert operator.get("/panel").status_code == 401
    assert once not in served.supervisor().get("/supervisor/people").text
    assert "одноразовый пароль" in shown(served.supervisor().get("/supervisor/people").text)
    browser = served.browser()
    assert served.enter(browser, OPERATOR, PASSWORD).status_code == 401
    asked = served.enter(browser, OPERATOR, once)
    assert asked.status_code == 409
    assert "придумайте свой" in asked.text
    assert 'name="new"' in asked.text
    assert once not in asked.text
    assert browser.get("/panel").status_code == 401
    unlike = served.enter(browser, OPERATOR, once, new=OWN, again=OWN + "x")
    assert (unlike.status_code, "не совпали" in unlike.text) == (400, True)
    for bad in ("short", once, OPERATOR):
        assert served.enter(browser, OPERATOR, once, new=bad, again=bad).status_code == 409
    entered = served.enter(browser, OPERATOR, once, new=OWN, again=OWN, next="/panel")
    assert (entered.status_code, entered.headers["location"]) == (303, "/panel")
    assert browser.get("/panel").status_code == 200
    assert served.enter(served.browser(), OPERATOR, once).status_code == 401
    served.come_in(OPERATOR, OWN)


def test_a_new_password_in_the_form_changes_no_other_password(served: SupervisorSite) -> None:
    entered = served.enter(served.browser(), OPERATOR, PASSWORD, new=OWN, again=OWN)
    assert entered.status_code == 303
    served.come_in(OPERATOR, PASSWORD)


def test_who_changed_whom_is_told(served: SupervisorSite) -> None:
    change(served, "disable")
    change(served, "enable")
    once = reset(served)
    served.enter(served.browser(), OPERATOR, once, new=OWN, again=OWN)
    said = shown(served.supervisor().get("/supervisor/people").text)
    places = [
        said.index(told)
        for told in (
            "Olga задал свой пароль оператор Olga",
            f"Olga пароль сброшен: выдан одноразовый оператор {BOSS}",
            f"Olga включён оператор {BOSS}",
            f"Olga отключён оператор {BOSS}",
            "Olga добавлен оператор",
        )
    ]
    assert places == sorted(places)
    assert [one.who for one in served.users.history(2)] == [f"panel:{OPERATOR}", f"panel:{BOSS}"]


@pytest.mark.parametrize("what", ["disable", "reset", "enable"])
def test_nobody_changes_their_own_login(served: SupervisorSite, what: str) -> None:
    before = served.users.all()
    assert change(served, what, BOSS.upper()).status_code == 409
    assert served.users.all() == before
    page = served.supervisor().get("/supervisor/people").text
    assert f'name="login" value="{BOSS}"' not in page


@pytest.mark.parametrize("what", ["disable", "reset", "enable"])
def test_who_is_not_there_is_told(served: SupervisorSite, what: str) -> None:
    assert change(served, what, "nobody").status_code == 404
    assert change(served, what, "\x00").status_code == 404


def test_nobody_but_a_supervisor(served: SupervisorSite) -> None:
    operator = served.come_in(OPERATOR, PASSWORD)
    for browser, status in ((served.browser(), 401), (operator, 403)):
        assert browser.get("/supervisor/people").status_code == status
        for what in ("disable", "enable", "reset"):
            told = {"login": BOSS, "csrf": "0" * 64}
            assert browser.post(f"/supervisor/people/{what}", data=told).status_code == status
    supervisor = served.supervisor()
    for what in ("disable", "enable", "reset"):
        answer = supervisor.post(f"/supervisor/people/{what}", data={"login": OPERATOR})
        assert answer.status_code == 403
    assert [one.what for one in served.users.history(10)] == ["added", "added"]


def test_no_login_becomes_markup(served: SupervisorSite) -> None:
    served.users.add(EVIL, Role.OPERATOR, PASSWORD)
    answer = served.supervisor().get("/supervisor/people")
    assert "<img" not in answer.text
    assert EVIL in shown(answer.text)
    assert change(served, "disable", EVIL).status_code == 303
