"""The supervisor's page in a real browser: live rows, sections refreshed in place, a lost connection, axe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.web.browser import browser
from tests.web.supervisor_shift import (
    BOSS,
    NOW,
    OPERATOR,
    OPERATORS,
    PASSWORD,
    SupervisorSite,
    fill,
    shift_at,
    silent,
    status,
)
from vad_agent.callbacks.alerts import Kind

__all__ = ["browser"]

OUT = Path(__file__).parents[2] / "out" / "panel"
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
EVIL = "<img src=x onerror=\"document.title='XSS'\"><script>document.title='XSS'</script>"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SupervisorSite]:
    with shift_at(tmp_path, ZoneInfo("Europe/Moscow")) as one:
        yield one


@pytest.fixture
def full(empty: SupervisorSite) -> SupervisorSite:
    fill(empty.shift)
    empty.line()
    return empty


class Supervisors:
    """Their browsers; what a page's script complains of fails the test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def page(
        self,
        served: SupervisorSite,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        scripts: bool = True,
        login: str = BOSS,
        clock: bool = True,
    ) -> Page:
        """After the door."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="ru-RU",
            java_script_enabled=scripts,
        )
        context.set_default_timeout(5000)
        self._contexts.append(context)
        page = context.new_page()
        if scripts and clock:
            page.clock.install()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        page.goto(f"{served.url}/enter")
        page.get_by_label("Логин").fill(login)
        page.get_by_label("Пароль").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/supervisor" if login == BOSS else "**/")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def supervisors(browser: Browser) -> Iterator[Supervisors]:
    one = Supervisors(browser)
    yield one
    one.close()
    assert one.complaints == []


def later(page: Page, seconds: float = 5.1) -> None:
    """By then the page was fetched again, by the browser's clock."""
    page.clock.fast_forward(int(seconds * 1000))


def check(page: Page) -> None:
    found = page.evaluate(
        "rules => axe.run(rules).then(all => all.violations.map(one => [one.id, one.nodes[0].html]))",
        RULES,
    )
    assert found == []


# -- the floor ---------------------------------------------------------------------------------------


def test_a_live_row_appears_changes_and_goes(
    empty: SupervisorSite, supervisors: Supervisors
) -> None:
    page = supervisors.page(empty)
    expect(page.get_by_text("Сейчас никто не разговаривает")).to_be_visible()
    empty.show("Мария", status())
    row = page.locator(".headset").filter(has_text="Мария")
    expect(row).to_contain_text("Диалог 3:42")
    empty.show("Иван", silent(2.4, "cue"))
    expect(page.locator(".headset").first).to_contain_text("Иван")
    expect(page.locator(".headset").first).to_contain_text("клиента не слышно 2,4 с")
    assert page.locator(".headset").first.get_attribute("data-urgent") == "1"
    empty.show("Мария", silent(3.5, "cue"))
    expect(page.locator(".headset").first).to_contain_text("клиента не слышно 3,5 с")
    expect(page.locator(".headset").first.locator(".bar .fill")).to_have_attribute("width", "93")
    empty.show("Мария", status(None))
    expect(page.locator(".headset")).to_have_count(1)
    expect(page.get_by_text("Ждут звонка: 1")).to_be_visible()
    page.get_by_text("Ждут звонка: 1").click()
    expect(page.get_by_text("Мария", exact=True)).to_be_visible()
    empty.broker.detach("Мария")
    expect(page.locator("#idle")).to_be_hidden()


# -- what is fetched again -----------------------------------------------------------------------------


def test_a_section_refreshes_and_the_focus_stays(
    full: SupervisorSite, supervisors: Supervisors
) -> None:
    page = supervisors.page(full)
    page.get_by_text("Ждут звонка: 2").click()
    link = page.locator("#calls tbody a").first
    link.focus()
    page.evaluate("window.focused = document.activeElement")
    top = link.bounding_box()
    full.shift.call("новый звонок", NOW, 3.3, operator="Новенький")
    later(page)
    expect(page.locator("#calls tbody tr").first).to_contain_text("Новенький")
    assert page.evaluate("window.focused === document.activeElement && window.focused.isConnected")
    expect(page.locator("#calls tbody tr").nth(1).locator("a")).to_be_focused()
    expect(page.locator("#idle")).to_have_attribute("open", "")
    assert top is not None
    expect(page.locator("#steps")).to_contain_text("Новенький")


def test_what_is_critical_comes_on_top_and_into_the_title(
    empty: SupervisorSite, supervisors: Supervisors
) -> None:
    page = supervisors.page(empty)
    expect(page).to_have_title("Смена")
    expect(page.locator("main > section").first).to_have_text(re.compile("✓ Критичного нет"))
    empty.shift.ask(NOW - timedelta(minutes=5), name="Анна Львовна", operator=OPERATORS[1])
    empty.shift.alarms.sound(Kind.NODE, "desk-2", NOW)
    later(page)
    first = page.locator("main > section").first
    expect(first).to_contain_text("Критичное: 2")
    expect(first).to_contain_text("Перезвон просрочен")
    expect(first).to_contain_text("Звонит Анна Белова → Анна Львовна")
    expect(page).to_have_title("(2) Смена")
    said = page.get_by_role("status").filter(has_text="Новое критичное: Перезвон просрочен")
    expect(said).to_be_attached()


def test_nothing_moves_while_a_number_is_copied(
    full: SupervisorSite, supervisors: Supervisors
) -> None:
    page = supervisors.page(full)
    page.locator("#callbacks tbody th").first.select_text()
    expect(page.get_by_text("Обновление ждёт: выделен текст")).to_be_visible()
    full.shift.call("новый звонок", NOW, operator="Новенький")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    stream = f"{full.url}/supervisor/stream"
    later(page)
    later(page)
    page.locator("h1").click()
    expect(page.get_by_text("Обновление ждёт")).to_be_hidden()
    assert set(asked) <= {stream}
    later(page)
    expect(page.locator("#calls tbody tr").first).to_contain_text("Новенький")


def test_a_server_that_goes_and_comes_back(full: SupervisorSite, supervisors: Supervisors) -> None:
    page = supervisors.page(full)
    expect(page.locator(".headset").first).to_be_visible()
    page.context.set_offline(True)
    full.broker.close()  # the stream ends, and none begins
    later(page, 9)
    expect(page.get_by_role("alert").filter(has_text="Звонки на линии не")).to_be_visible()
    later(page, 6)
    lost = page.get_by_role("alert").filter(
        has_text=re.compile(r"Нет связи с сервером: данные на 14:30:00, им \d+ с")
    )
    expect(lost).to_be_visible()
    full.reopen()
    page.context.set_offline(False)
    later(page)
    expect(page.locator("#offline")).to_be_hidden()
    full.show("Мария Орлова", silent(2.2))
    expect(page.locator(".headset").filter(has_text="2,2 с")).to_be_visible()
    supervisors.complaints.clear()  # of requests to nobody


def test_a_session_that_is_over(full: SupervisorSite, supervisors: Supervisors) -> None:
    page = supervisors.page(full)
    page.context.clear_cookies()
    later(page)
    expect(page.get_by_role("link", name="Войти")).to_be_visible()
    supervisors.complaints.clear()  # of the refused request


def test_without_the_script_the_page_is_there(
    full: SupervisorSite, supervisors: Supervisors
) -> None:
    page = supervisors.page(full, scripts=False)
    expect(page.locator(".headset")).to_have_count(8)
    expect(page.locator("#critical")).to_contain_text("Перезвон просрочен")
    page.get_by_role("link", name="Обновить").click()
    expect(page.locator(".headset")).to_have_count(8)
    page.locator("#calls").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Словами")).to_be_visible()


def test_the_day_is_picked_by_keyboard(full: SupervisorSite, supervisors: Supervisors) -> None:
    page = supervisors.page(full)
    page.get_by_role("link", name="Предыдущий день").press("Enter")
    expect(page).to_have_title("(2) Смена, 10.03.2026")
    expect(page.locator("#calls")).to_contain_text("Звонков нет")
    page.get_by_role("textbox", name="День").fill("2026-03-11")
    page.get_by_role("button", name="Показать").press("Enter")
    expect(page.locator("#calls tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Ещё звонки").press("Enter")
    expect(page.locator("#calls tbody tr")).to_have_count(10)


def test_the_theme_is_the_panels(full: SupervisorSite, supervisors: Supervisors) -> None:
    page = supervisors.page(full)
    for name in ("как в системе", "светлая"):
        page.get_by_role("button", name=f"Тема: {name}").click()
    page.goto(f"{full.url}/panel")
    expect(page.get_by_role("button", name="Тема: тёмная")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"


# -- what is hostile, what is slow ---------------------------------------------------------------------


def test_no_text_becomes_markup(empty: SupervisorSite, supervisors: Supervisors) -> None:
    shift = empty.shift
    shift.call(f"{EVIL}/../'?#%00", NOW, 2.5, 3.5, operator=EVIL)
    one = shift.ask(
        NOW - timedelta(minutes=5), name=EVIL, topic=EVIL, opening=EVIL, operator=EVIL,
        phone=None, phone_given='"><script>', call=f"{EVIL}/../'?#%00",
    )  # fmt: skip
    told = silent(2.5, "cue")
    told.client_name, told.voice_problem = EVIL, EVIL
    told.messages.append((1.0, EVIL))
    empty.show(EVIL, told)
    empty.show("__proto__", status())
    page = supervisors.page(empty)
    expect(page.locator(".headset")).to_have_count(2)
    expect(page.locator(".headset").filter(has_text="__proto__")).to_be_visible()
    for place in (".headset", "#critical", "#callbacks", "#steps", "#calls"):
        expect(page.locator(place).first).to_contain_text(EVIL)
    empty.show(EVIL, silent(3.3, "cue"))
    expect(page.locator(".headset").first).to_contain_text("3,3 с")
    assert page.locator("img, body script").count() == 0
    assert page.title() == "(1) Смена"
    page.goto(f"{empty.url}/supervisor/callbacks/{one.id}")
    expect(page.locator("main")).to_contain_text(EVIL)
    assert page.locator("img, body script").count() == 0
    page.get_by_role("link", name="<img").click()
    expect(page.locator("main")).to_contain_text(EVIL)
    assert page.locator("body script").count() == 0
    assert page.title().startswith("Звонок <img src=x")


def pages(full: SupervisorSite) -> dict[str, str]:
    late = next(one for one in full.shift.app_state.queries.all() if one.name == "Сергей Ильич")
    rung = next(one for one in full.shift.app_state.queries.all() if one.attempt == 3)
    return {
        "page": "/supervisor",
        "callback": f"/supervisor/callbacks/{rung.id}",
        "overdue": f"/supervisor/callbacks/{late.id}",
        "call": f"/supervisor/calls/{quote('гарнитура-8:0008')}",
    }


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280, 1920])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    full: SupervisorSite, supervisors: Supervisors, width: int, dark: bool
) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    theme = "dark" if dark else "light"
    page = supervisors.page(full, width=width, height=1000, dark=dark)
    for name, path in pages(full).items():
        page.goto(full.url + path)
        page.wait_for_load_state("load")
        for image in page.locator("img").all():
            image.scroll_into_view_if_needed()
            expect(image).to_have_js_property("complete", True)
        page.evaluate("scrollTo(0, 0)")
        page.evaluate(Axe().axe_script)
        check(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=OUT / f"supervisor-{name}-{width}-{theme}.png", full_page=True)
        page.screenshot(path=OUT / f"supervisor-{name}-top-{width}-{theme}.png")


def test_the_page_is_light_and_soon_there(full: SupervisorSite, supervisors: Supervisors) -> None:
    page = supervisors.page(full, clock=False)
    weight, paint = page.evaluate(
        """() => [performance.getEntriesByType('resource').concat(
        performance.getEntriesByType('navigation')).reduce((all, one) => all + one.decodedBodySize, 0),
        performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1]"""
    )
    print(f"\nweight {weight / 1000:.0f} kB, first paint {paint:.0f} ms")
    assert 0 < weight <= 150_000


def test_an_operator_is_not_let_in(full: SupervisorSite, supervisors: Supervisors) -> None:
    page = supervisors.page(full, login=OPERATOR)
    answer = page.goto(f"{full.url}/supervisor")
    assert answer is not None
    assert answer.status == 403
    supervisors.complaints.clear()
