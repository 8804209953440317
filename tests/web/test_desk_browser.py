"""The desk's door in a real browser: in by the keyboard, out by a button, and no way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browser import browser
from tests.web.desk_client import GOOD, DeskPages, nodes

__all__ = ["browser"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DeskPages]:
    with nodes(tmp_path) as (one,):
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="ru-RU")
    context.set_default_timeout(5000)
    yield context.new_page()
    context.close()


def test_in_by_the_keyboard_and_out_by_the_button(node: DeskPages, page: Page) -> None:
    page.goto(node.url)
    expect(page.locator("[name=login]")).to_be_focused()
    page.keyboard.type("Olga")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".wrong")).to_have_text("Логин или пароль не подходит")
    expect(page.locator("[name=password]")).to_be_focused()
    page.keyboard.type(GOOD)  # the login is there still
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_selector("body.offline")
    assert page.locator("#operator").inner_text() == "Olga"
    expect(page.locator("#offline")).to_contain_text("гарнитуре не запущена")
    with page.expect_navigation():
        page.get_by_role("button", name="Выйти").click()
    assert page.url == f"{node.url}/enter"
    page.go_back()
    page.wait_for_selector("[name=password]")
    assert page.locator("#operator").count() == 0


def test_who_is_barred_is_told_so_on_his_open_page(node: DeskPages, page: Page) -> None:
    page.goto(f"{node.url}/enter?next=/panel")
    page.fill("[name=login]", "olga")
    page.fill("[name=password]", GOOD)
    page.keyboard.press("Enter")
    page.wait_for_selector("body.offline")
    assert page.url == f"{node.url}/panel"
    node.people.disable("olga")
    node.kept.refresh()
    page.wait_for_selector("#offline a")
    assert "Вход устарел" in page.locator("#offline").inner_text()
    page.click("#offline a")
    page.wait_for_selector("[name=password]")
