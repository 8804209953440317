"""The pages' scripts: plain modules without a build, each fetched once, at once, and asked for anew."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import OpenedPages, PanelServer, browser, opened, served, shown, status
from vad_agent.web.dependencies import TEMPLATES

__all__ = ["browser", "opened", "served"]  # fixtures

STATIC = TEMPLATES.parent / "static"
IMPORTS = {
    one.name: set(re.findall(r'^(?:import|\}) .*?"\./(.+?)";', one.read_text("utf-8"), re.M))
    for one in STATIC.glob("*.js")
}
PAGES = {"panel.js": "panel.html", "supervisor.js": "supervisor_base.html"}


def needed(script: str) -> set[str]:
    """What it imports, and what those import."""
    found: set[str] = set()
    left = [script]
    while left:
        new = IMPORTS[left.pop()] - found
        found |= new
        left += new
    return found


def test_no_script_imports_itself_by_way_of_others() -> None:
    order = list(TopologicalSorter(IMPORTS).static_order())  # raises CycleError
    assert set(order) == set(IMPORTS)


def test_every_script_is_a_pages() -> None:
    assert set(PAGES).union(*map(needed, PAGES)) == set(IMPORTS)


@pytest.mark.parametrize("script", PAGES)
def test_a_page_names_what_its_script_imports(script: str) -> None:
    page = (TEMPLATES / PAGES[script]).read_text("utf-8")
    [names] = re.findall(r"\{% for name in \[(.*?)\] %\}<link rel=\"modulepreload\"", page, re.S)
    assert re.findall(r'"(\w+)"', names) == sorted(Path(one).stem for one in needed(script))


def fetched(page: Page) -> list[str]:
    """Paths of the scripts, each as often as it was fetched."""
    names: list[str] = page.evaluate(
        "performance.getEntriesByType('resource').map(one => new URL(one.name).pathname)"
    )
    return sorted(name for name in names if name.endswith(".js"))


def test_each_script_is_fetched_once_and_asked_for_anew(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    wanted = sorted(f"/static/{one}" for one in needed("panel.js") | {"panel.js"})
    assert fetched(page) == wanted
    asked: dict[str, str] = {}
    answers: dict[str, int] = {}
    session = page.context.new_cdp_session(page)
    session.on(
        "Network.requestWillBeSent",
        lambda told: asked.__setitem__(told["requestId"], told["request"]["url"]),
    )
    session.on(
        "Network.responseReceivedExtraInfo",
        lambda told: answers.__setitem__(told["requestId"], told["statusCode"]),
    )
    session.send("Network.enable")
    page.reload()
    expect(page.locator("#keys button").first).to_be_visible()
    assert fetched(page) == wanted
    statuses = {url: answers.get(one) for one, url in asked.items() if ".js" in url}
    assert len(statuses) == len(wanted)
    assert set(statuses.values()) == {304}, statuses
