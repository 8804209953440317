"""A whole centre: a desk, two headsets in real time, two operators and a supervisor in their browsers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browser import browser  # noqa: F401 - a fixture
from tests.web.desk_process import Browsers, DeskProcess, seen, watch
from tests.web.realtime_headset import Streaming
from vad_agent.core.actions import CallbackRequested, Cue, PromptOutcome
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S

NOT_HEARD = "Вас не слышно"
FAREWELL = "К сожалению, вас не слышно, я вам сейчас перезвоню"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskProcess]:
    one = DeskProcess(tmp_path / "desk")
    try:
        for login in ("anna", "boris"):
            one.add(login)
        one.add("olga", "--supervisor")
        yield one
    finally:
        one.end()


@pytest.fixture
def browsers(browser: Browser) -> Iterator[Browsers]:  # noqa: F811
    one = Browsers(browser)
    yield one
    one.close()
    assert one.complaints == []


def first(page: Page, text: str, look: str) -> float:
    """Unix time when the page first showed this phrase so; the picture may be drawn just now."""
    for _ in range(100):
        for one in seen(page, "#say"):
            if text in one["text"] and one["data-look"] == look:
                return float(one["at"])
        page.wait_for_timeout(20)
    raise AssertionError((text, look, seen(page, "#say")))


def assert_in_time(page: Page, headset: Streaming, cue: Cue) -> None:
    """The phrase was there before its window opened, and marked as open while it was."""
    opens, closes = headset.wall(cue.lo), headset.wall(cue.hi)
    assert first(page, cue.text, "soon") < opens
    assert opens - FRAME_S < first(page, cue.text, "now") < closes - 0.5


def test_the_callback_of_who_is_away_is_offered_to_the_others_and_the_first_one_calls(
    desk: DeskProcess, browsers: Browsers
) -> None:
    boris, olga = browsers.enter(desk, "boris"), browsers.enter(desk, "olga")
    asked = {"reason": "dropped", "phone": "+79123456781", "name": "Вера", "operator": "anna"}
    api = httpx.Client(base_url=f"{desk.url}/api/v1", headers=desk.process.bearer())
    with api:
        id = api.post("/callbacks", json=asked).json()["callback"]["id"]
        row = boris.locator("#callbacks-list li")
        expect(row).to_contain_text("вместо: anna")  # her panel is closed: nobody waits for her
        anna = browsers.enter(desk, "anna")
        hers = anna.locator("#callbacks-list li")
        expect(hers.get_by_role("button", name="Звоню")).to_be_visible()
        expect(row).to_have_count(0)  # she is here
        anna.goto("about:blank")
        expect(row).to_contain_text("вместо: anna")  # and gone
        boris.keyboard.press("Digit0")
        expect(row.get_by_role("button", name="Дозвонились")).to_be_visible()
        expect(row).not_to_contain_text("вместо")
        late = api.post(f"/callbacks/{id}/accept", json={"operator": "anna"})
        assert (late.status_code, "boris has it" in late.text) == (409, True)
        told = olga.locator("[data-part=callbacks] tr").filter(has_text="Вера")
        expect(told).to_contain_text(
            re.compile(r"boris.*звонок идёт \d+ с, с \d\d:\d\d:\d\d", re.DOTALL),
            timeout=12_000,  # the page fetches itself every 5 s
        )
        anna.goto(desk.url)
        expect(anna.get_by_text("Перезванивать некому")).to_be_visible()
        boris.keyboard.press("Digit1")
        expect(boris.get_by_text("Перезванивать некому")).to_be_visible()
        assert api.get(f"/callbacks/{id}").json()["callback"]["state"] == "reached"


def test_two_operators_and_a_supervisor_at_once(desk: DeskProcess, browsers: Browsers) -> None:
    anna, boris = browsers.enter(desk, "anna", 360), browsers.enter(desk, "boris")
    olga = browsers.enter(desk, "olga")
    for page in (anna, boris):
        page.wait_for_selector("body.offline")
        login = "anna" if page is anna else "boris"
        expect(page.locator("#operator")).to_have_text(login)
        expect(page.locator("#offline")).to_contain_text(f"не под логином {login}")
    olga.wait_for_url("**/supervisor")

    with (
        desk.headset("dialogue_silence_cue", "anna") as headset,
        desk.headset("dialogue_silence_cue", "boris") as other,
    ):
        for page in (anna, boris):
            expect(page.locator("body")).not_to_have_class(re.compile("offline"), timeout=5000)
            watch(page, "#say", ["data-look"], "#say-text")
            watch(page, "#side-client", ["data-kind"])
        live = olga.locator("[data-part=floor]")
        expect(live).to_contain_text("anna")
        expect(live).to_contain_text("boris")

        at, cue = headset.cue("not_heard_in_dialogue", 30)
        expect(anna.locator("#say")).to_have_attribute("data-look", "soon")
        late = first(anna, NOT_HEARD, "soon") - at
        print(f"\nfrom the frame to the pixel: {late * 1e3:.0f} ms")
        assert late < 0.3
        assert headset.done("not_heard_in_dialogue", 10).outcome is PromptOutcome.SAID_BY_OPERATOR
        assert_in_time(anna, headset, cue)
        _, second = headset.cue("farewell_in_dialogue", 10)
        expect(anna.locator("#say-text")).to_contain_text(FAREWELL)
        expect(live).to_contain_text(FAREWELL)
        headset.when(lambda action: isinstance(action, CallbackRequested), 1)
        expect(anna.locator("#callback")).to_contain_text("Перезвонить")
        assert headset.done("farewell_in_dialogue", 10).outcome is PromptOutcome.SAID_BY_OPERATOR
        assert_in_time(anna, headset, second)
        other.done("farewell_in_dialogue", 10)
        assert_in_time(boris, other, other.cue("not_heard_in_dialogue", 1)[1])
        headset.join()

    # the call is over: its steps, its callback and its picture
    calls = olga.locator("[data-part=calls]")
    expect(calls.get_by_role("link")).to_have_count(2, timeout=20_000)
    expect(olga.locator("[data-part=callbacks]")).to_contain_text("anna")
    expect(olga.locator("[data-part=steps]")).to_contain_text("100")
    calls.get_by_role("link").first.click()
    olga.wait_for_url("**/supervisor/calls/**")
    expect(olga.locator("body")).to_contain_text(FAREWELL)
    expect(olga.get_by_role("img", name=re.compile("Отрезок")).first).to_be_visible()

    # whose they are, and who may look
    assert anna.goto(f"{desk.url}/supervisor").status == 403  # type: ignore[union-attr]
    anna.goto(desk.url)
    expect(anna.locator("#callbacks-list li")).to_have_count(1)
    expect(boris.locator("#callbacks-list li")).to_have_count(1)


def test_keys_of_one_operator_reach_his_headset_alone(
    desk: DeskProcess, browsers: Browsers
) -> None:
    anna, boris = browsers.enter(desk, "anna"), browsers.enter(desk, "boris")
    with (
        desk.headset("long_dialogue", "anna") as headset,
        desk.headset("long_dialogue", "boris") as other,
    ):
        for page in (anna, boris):
            expect(page.locator("body")).not_to_have_class(re.compile("offline"), timeout=5000)
        anna.get_by_role("button", name="имя").click()
        anna.get_by_label("Имя клиента").fill("Ольга")
        anna.keyboard.press("Enter")
        expect(anna.locator("#client")).to_contain_text("Ольга")
        assert (headset.status.client_name, other.status.client_name) == ("Ольга", None)

        # whatever a switchboard tells is text
        hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
        headset.send(Event(EventKind.CLIENT_NAME, name=hostile))
        expect(anna.locator("#client")).to_contain_text(hostile)
        olga = browsers.enter(desk, "olga")
        expect(olga.locator("[data-part=floor]")).to_contain_text("anna")
        assert "1" not in (anna.title(), olga.title())
        assert boris.locator("#client").text_content() == ""


def test_the_desk_is_killed_and_comes_back(desk: DeskProcess, browsers: Browsers) -> None:
    anna = browsers.enter(desk, "anna")
    olga = browsers.enter(desk, "olga")
    with desk.headset("dialogue_silence_cue", "anna") as headset:
        expect(anna.locator("body")).not_to_have_class(re.compile("offline"), timeout=5000)
        anna.get_by_role("button", name="имя").click()
        anna.get_by_label("Имя клиента").fill("Ольга Пе")
        desk.kill()
        expect(anna.locator("#offline")).to_contain_text("Нет связи", timeout=5000)
        fed = headset.headset.slot
        desk.start()
        expect(anna.locator("body")).not_to_have_class(re.compile("offline"), timeout=15_000)
        assert anna.get_by_label("Имя клиента").input_value() == "Ольга Пе"
        assert headset.headset.slot > fed, "the call went on without the desk"
        anna.keyboard.press("Enter")
        expect(anna.locator("#client")).to_contain_text("Ольга Пе")
        expect(olga.locator("[data-part=floor]")).to_contain_text("anna", timeout=15_000)


def test_who_leaves_is_out_at_once(desk: DeskProcess, browsers: Browsers) -> None:
    boris = browsers.enter(desk, "boris")
    boris.wait_for_selector("#operator")
    boris.get_by_role("button", name="Выйти").click()
    boris.wait_for_url("**/enter")
    boris.go_back()
    boris.wait_for_url("**/enter**")
