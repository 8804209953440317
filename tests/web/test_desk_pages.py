"""A desk's pages over HTTP, on a real socket: logins, roles, where one goes on, and how a session ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from tests.web.desk_client import GOOD, DeskPages, csrf, nodes
from vad_agent.errors import StoreError
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.operator_token_auth import PAUSE_S, TRIES
from vad_agent.web.authentication.users import Users
from vad_agent.web.dependencies import Context, OwnPage, Supervisor

PROXY = "https://desk.example.ru"
WRONG = "Логин или пароль не подходит"

floor = APIRouter()


@floor.get("/supervisor")
def shown(supervisor: Supervisor, here: Context) -> dict[str, str]:
    return {"who": supervisor.operator, "of": str(here.dashboard)}


@floor.post("/supervisor/done")
def done(supervisor: Supervisor, own: OwnPage) -> dict[str, str]:
    return {"who": supervisor.operator}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[DeskPages]]:
    with nodes(tmp_path, 2, more=(floor,), dashboard="the centre", also=(PROXY,)) as started:
        yield started


@pytest.fixture
def node(two: list[DeskPages]) -> DeskPages:
    return two[0]


# -- in --------------------------------------------------------------------------------------------


def test_a_login_and_its_password_let_in(node: DeskPages) -> None:
    browser = node.browser()
    asked = browser.get("/enter")
    assert asked.status_code == 200
    assert 'autocomplete="username"' in asked.text
    assert 'autocomplete="current-password"' in asked.text
    assert "Токен" not in asked.text
    entered = node.enter(browser, "OLGA")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert "Secure" not in cookie
    assert "Domain" not in cookie
    page = browser.get("/")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert 'data-operator="Olga"' in page.text
    assert "Выйти" in page.text
    assert browser.get("/enter").headers["location"] == "/"


def test_a_mistake_keeps_the_login_and_does_not_tell_what_it_was(node: DeskPages) -> None:
    told = []
    for login, password in (('"><b>nobody', GOOD), ("olga", "wrong"), ("olga", " " + GOOD)):
        answer = node.enter(node.browser(), login, password)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert WRONG in answer.text
        assert "<b>" not in answer.text
        told.append(answer.text.replace("&#34;&gt;&lt;b&gt;nobody", "olga"))
        assert 'name="login" value="olga"' in told[-1]
        assert 'wrong"' not in answer.text.replace('class="wrong"', "")
    assert len(set(told)) == 1


def test_the_link_lets_in_who_started_the_desk(node: DeskPages) -> None:
    browser = node.browser()
    link = f"/enter?token={node.authenticator.one_time.token}"
    assert node.authenticator.link == PROXY + link
    entered = browser.get(link)
    assert entered.status_code == 303
    assert browser.get("/supervisor").json() == {"who": "root", "of": "the centre"}
    assert node.browser().get("/enter?token=wrong").status_code == 401


def test_after_some_mistakes_nobody_is_let_in_for_a_while(node: DeskPages) -> None:
    browser = node.browser()
    for _ in range(TRIES):
        assert node.enter(browser, "olga", "wrong").status_code == 401
    pause = node.enter(browser, "olga")
    assert pause.status_code == 429
    assert 0 < int(pause.headers["retry-after"]) <= PAUSE_S + 1
    assert "Слишком много неверных попыток" in pause.text
    assert "set-cookie" not in pause.headers
    node.timer.now += PAUSE_S
    assert node.enter(browser, "olga").status_code == 303


def test_who_asks_is_who_the_proxy_says(node: DeskPages) -> None:
    one, other = (
        node.browser(headers={"Origin": node.url, "X-Forwarded-For": address})
        for address in ("10.0.0.1", "10.0.0.2")
    )
    for _ in range(TRIES):
        assert node.enter(one, "olga", "wrong").status_code == 401
    assert node.enter(one, "olga").status_code == 429
    assert node.enter(other, "olga").status_code == 303


def test_without_the_database_nobody_comes_in_and_nobody_goes(
    node: DeskPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga = node.come_in("olga")

    @contextlib.contextmanager
    def away(*_: object) -> Iterator[None]:
        raise StoreError("it is away")
        yield

    for name in ("reading", "writing"):
        monkeypatch.setattr(node.people._store.database, name, away)
    answer = node.enter(node.browser(), "irina")
    assert answer.status_code == 503
    assert "база недоступна" in answer.text
    link = f"/enter?token={node.authenticator.one_time.token}"
    assert node.browser().get(link).status_code == 503
    node.kept.refresh()
    assert olga.get("/").status_code == 200


@pytest.mark.parametrize(
    "form",
    [b"", b"login=olga", b"\xff\xfe", b"&".join([b"a=1"] * 50), b"login=%00&password=%ED%A0%BD"],
)
def test_what_is_no_form_lets_nobody_in(node: DeskPages, form: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = node.browser().post("/enter", content=form, headers=headers)
    assert answer.status_code == 401


def test_only_its_own_page_asks(node: DeskPages) -> None:
    answer = node.enter(node.browser(headers={"Origin": "http://evil.example"}), "olga")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("next", "goes_to"),
    [
        ("/supervisor?day=2027-03-01&x=%D1%8F", "/supervisor?day=2027-03-01&x=%D1%8F"),
        ("/panel", "/panel"),
        ("", "/"),
        ("panel", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\b", "/"),
        ("\\\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("/я", "/"),
        ("/enter?next=/enter", "/"),
        ("/leave", "/"),
    ],
)
def test_one_goes_on_to_a_page_of_this_panel_alone(
    node: DeskPages, next: str, goes_to: str
) -> None:
    browser = node.browser()
    asked = browser.get("/enter", params={"next": next})
    kept = goes_to.replace("&", "&amp;")
    assert f'name="next" value="{kept}"' in asked.text
    entered = node.enter(browser, "irina", next=next)
    assert (entered.status_code, entered.headers["location"]) == (303, goes_to)
    assert browser.get("/enter", params={"next": next}).headers["location"] == goes_to


@pytest.mark.parametrize("path", ["/panel", "/supervisor"])
def test_a_page_asks_who_it_is_and_a_script_is_told_that_nobody_is(
    node: DeskPages, path: str
) -> None:
    browser = node.browser()
    page = browser.get(path, headers={"Sec-Fetch-Mode": "navigate"})
    assert (page.status_code, page.headers["location"]) == (303, f"/enter?next={path}")
    page = browser.get(f"{path}?day=1&of=a", headers={"Sec-Fetch-Mode": "navigate"})
    assert page.headers["location"] == f"/enter?next={path}%3Fday%3D1%26of%3Da"
    script = browser.get(path)
    assert (script.status_code, script.json()) == (401, {"error": "Войдите заново"})


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Mode": "navigate"}, {"Accept": "text/html,application/xml;q=0.9"}]
)
@pytest.mark.parametrize(("path", "status"), [("/supervisor", 403), ("/nothing", 404)])
def test_a_person_is_told_what_went_wrong_on_a_page(
    node: DeskPages, path: str, status: int, headers: dict[str, str]
) -> None:
    browser = node.browser()
    node.enter(browser, "olga")
    page = browser.get(path, headers=headers)
    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert '<a href="/">' in page.text
    script = browser.get(path, headers={"Sec-Fetch-Mode": "cors", "Accept": "text/html"})
    assert script.json()["error"] in page.text


# -- behind a proxy --------------------------------------------------------------------------------


def test_behind_a_proxy_with_tls_the_cookie_is_secure(node: DeskPages) -> None:
    through = {"Host": "desk.example.ru", "Origin": PROXY, "X-Forwarded-Proto": "https"}
    for left_out in (None, "X-Forwarded-Proto", "Origin"):
        headers = {name: told for name, told in through.items() if name != left_out}
        if left_out == "Origin":
            headers["Sec-Fetch-Site"] = "same-origin"
        entered = node.enter(node.browser(headers=headers), "olga")
        assert entered.status_code == 303, entered.text
        assert "Secure" in entered.headers["set-cookie"]
    foreign = node.browser(headers=through | {"Host": "desk.example.com"})
    assert PROXY in node.enter(foreign, "olga").json()["error"]


# -- roles -----------------------------------------------------------------------------------------


def test_a_supervisor_begins_at_the_centre_and_has_a_panel_too(node: DeskPages) -> None:
    irina = node.come_in("irina")
    assert irina.get("/").headers["location"] == "/supervisor"
    assert irina.get("/supervisor").json()["who"] == "Irina"
    own = irina.get("/panel")
    assert 'data-operator="Irina"' in own.text
    assert 'href="/supervisor"' in own.text


def test_an_operator_sees_his_own_panel_alone(node: DeskPages) -> None:
    olga = node.come_in("olga")
    assert "/supervisor" not in olga.get("/").text
    for answer in (
        olga.get("/supervisor"),
        olga.post("/supervisor/done", headers={"X-CSRF-Token": csrf(olga)}),
    ):
        assert answer.status_code == 403
        assert answer.json() == {"error": "Это страница старшего смены"}


def test_a_supervisors_page_proves_itself(node: DeskPages) -> None:
    irina, other = node.come_in("irina"), node.come_in("irina")
    for wrong in ("", "x", csrf(other)):
        answer = irina.post("/supervisor/done", headers={"X-CSRF-Token": wrong})
        assert answer.status_code == 403
        assert answer.json() == {"error": "Обновите страницу: она устарела"}
    answer = irina.post("/supervisor/done", headers={"X-CSRF-Token": csrf(irina)})
    assert answer.json() == {"who": "Irina"}
    assert node.browser().post("/supervisor/done").status_code == 401


def test_without_a_centre_everybody_has_his_panel(tmp_path: Path) -> None:
    with nodes(tmp_path) as (node,):
        irina = node.come_in("irina")
        page = irina.get("/")
        assert page.status_code == 200
        assert "/supervisor" not in page.text


def test_each_has_his_own_callbacks_and_may_have_none(tmp_path: Path) -> None:
    from tests.web.browser import FakeBackend

    def of(operator: str) -> FakeBackend | None:
        asked.append(operator)
        return FakeBackend() if operator == "Olga" else None

    asked: list[str] = []
    with nodes(tmp_path, callbacks_of=of) as (node,):
        olga, irina = node.come_in("olga"), node.come_in("irina")
        assert olga.get("/panel/callbacks").json()["callbacks"] == []
        assert irina.get("/panel/callbacks").status_code == 404
        assert node.browser().get("/panel/callbacks").status_code == 401
        assert 'data-callbacks="yes"' in olga.get("/").text
        assert 'data-callbacks="no"' in irina.get("/").text
    assert set(asked) == {"Olga", "Irina"}


# -- out -------------------------------------------------------------------------------------------


def is_in(browser: httpx.Client, node: DeskPages | None = None) -> bool:
    """There, or at another desk of the centre, by the same cookie."""
    if node is None:
        return browser.get("/panel").status_code == 200
    cookie = next(iter(browser.cookies.jar)).value
    copy = node.browser(cookies={node.address.cookie: cookie or ""})
    return is_in(copy)


def test_who_leaves_is_out_everywhere(two: list[DeskPages]) -> None:
    here, there = two
    olga, phone = here.come_in("olga"), here.come_in("olga")
    assert is_in(olga, there)
    copy = here.browser(cookies=olga.cookies)
    left = olga.post("/leave", data={"csrf": csrf(olga)})
    assert (left.status_code, left.headers["location"]) == (303, "/enter")
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert left.headers["cache-control"] == "no-store"
    assert not is_in(olga)
    assert not is_in(copy)
    assert is_in(phone)
    assert copy.post("/leave").headers["location"] == "/enter"
    assert phone.post("/leave").status_code == 403
    there.kept.refresh()
    assert not is_in(copy, there)


def test_a_page_that_is_open_ends_with_its_session(node: DeskPages) -> None:
    olga = node.come_in("olga")
    with olga.stream("GET", "/panel/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        node.people.disable("olga")
        node.kept.refresh()
        told = [line for line in lines if line.startswith("data")]  # it ends
    assert told[0] == 'data: {"gone":true}'


CHANGES: dict[str, Callable[[Users], object]] = {
    "password": lambda people: people.set_password("olga", "battery staple"),
    "role": lambda people: people.set_role("olga", Role.SUPERVISOR),
    "bar": lambda people: people.disable("olga"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_person_ends_his_sessions_everywhere(
    two: list[DeskPages], change: str
) -> None:
    here, there = two
    olga, irina = here.come_in("olga"), here.come_in("irina")
    CHANGES[change](here.people)
    assert is_in(olga)  # until the next look at the database
    here.kept.refresh()
    assert not is_in(olga)
    assert olga.post("/panel/send", json={"kind": "pause"}).status_code == 401
    there.kept.refresh()
    assert not is_in(olga, there)
    assert is_in(irina, there)
    again = here.enter(here.browser(), "olga", "battery staple" if change == "password" else GOOD)
    assert again.status_code == (401 if change == "bar" else 303)


def test_who_comes_in_anew_is_in_at_once_at_every_desk(two: list[DeskPages]) -> None:
    here, there = two
    here.people.add("anna", Role.OPERATOR, GOOD)
    here.people.set_password("olga", "battery staple")
    assert is_in(here.come_in("anna"), there)
    olga = here.come_in("olga", "battery staple")
    assert is_in(olga)
    assert is_in(olga, there)
    here.kept.refresh()
    there.kept.refresh()
    assert is_in(olga, there)
