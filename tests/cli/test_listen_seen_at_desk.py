"""`vad-agent listen --desk` on a real headset, as its operator and his supervisor see it at the desk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.headset.audio_server import PROGRAMS, AudioServer
from tests.headset.conftest import require
from tests.headset.listen_process import Listening, kind
from tests.headset.test_faults import begin
from tests.web.browser import browser  # noqa: F401 - a fixture
from tests.web.desk_process import Browsers, DeskProcess
from vad_agent.client.discovery import TOKEN_VARIABLE


@pytest.fixture
def server() -> Iterator[AudioServer]:
    require(PROGRAMS)
    with AudioServer() as server:
        server.keep_awake("client", "virtmic", "mic")
        yield server


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskProcess]:
    one = DeskProcess(tmp_path / "desk")
    yield one
    one.end()


def test_a_call_on_a_headset_is_at_the_desk(
    server: AudioServer,
    desk: DeskProcess,
    browser: Browser,  # noqa: F811
    tmp_path: Path,
) -> None:
    desk.add("anna")
    desk.add("olga", "--supervisor")
    browsers = Browsers(browser)
    anna, olga = browsers.enter(desk, "anna"), browsers.enter(desk, "olga")
    server.env[TOKEN_VARIABLE] = desk.token
    more = (f"--desk={desk.url}", "--operator=anna")
    with Listening(server, tmp_path, *more) as listening:
        expect(anna.locator("body")).not_to_have_class(re.compile("offline"), timeout=10_000)
        begin(server, listening)
        expect(anna.locator("#phase")).to_contain_text("Приветствие", timeout=10_000)
        line = listening.wait(kind("prompt"), 20)
        assert line["outcome"] == "said"
        expect(anna.locator("#messages")).to_contain_text(line["text"])
        expect(olga.locator("[data-part=floor]")).to_contain_text("anna")

        # a key of his page, and one that nobody else may press
        anna.get_by_role("button", name="имя").click()
        anna.get_by_label("Имя клиента").fill("Ольга")
        anna.keyboard.press("Enter")
        expect(anna.locator("#client")).to_contain_text("Ольга")
        listening.ended(30)  # the ladder's end
        listening.stop()
    expect(anna.locator("#offline")).to_be_visible(timeout=10_000)
    calls = olga.locator("[data-part=calls]")
    expect(calls.get_by_role("link")).to_have_count(1, timeout=20_000)
    expect(olga.locator("[data-part=callbacks]")).to_contain_text("anna")
    assert "Traceback" not in listening.log
    assert browsers.complaints == []
    browsers.close()
