"""A call at the PBX as its operator and the supervisor see it at the desk: as one at a headset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import kind
from tests.headset.speech import script_audio
from tests.headset.test_end_to_end import say
from tests.telephony.centre import Centre
from tests.web.browser import browser  # noqa: F401 - a fixture
from tests.web.desk_process import Browsers, DeskProcess
from vad_agent.client.discovery import TOKEN_VARIABLE


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskProcess]:
    one = DeskProcess(tmp_path / "desk")
    yield one
    one.end()


def test_a_call_at_the_pbx_is_at_the_desk(
    centre_server: AudioServer,
    desk: DeskProcess,
    browser: Browser,  # noqa: F811
    tmp_path: Path,
) -> None:
    desk.add("anna")
    desk.add("olga", "--supervisor")
    browsers = Browsers(browser)
    anna, olga = browsers.enter(desk, "anna"), browsers.enter(desk, "olga")
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    more = (f"--desk={desk.url}", "--operator=operator=anna")
    token = {TOKEN_VARIABLE: desk.token}
    with Centre(centre_server, wav, tmp_path, *more, env=token) as centre:
        centre.dial()
        say(centre_server)
        expect(anna.locator("body")).not_to_have_class(re.compile("offline"), timeout=15_000)
        expect(anna.locator("#phase")).to_contain_text("Диалог", timeout=15_000)
        expect(olga.locator("[data-part=floor]")).to_contain_text("anna")
        anna.get_by_role("button", name="имя").click()
        anna.get_by_label("Имя клиента").fill("Ольга")
        anna.keyboard.press("Enter")
        expect(anna.locator("#client")).to_contain_text("Ольга")
        line = centre.pbx.wait(kind("prompt"), 20)
        assert line["outcome"] == "said"
        expect(anna.locator("#messages")).to_contain_text(line["text"])
        centre.pbx.wait(kind("phase", phase="ended"), 40)
    calls = olga.locator("[data-part=calls]")
    expect(calls.get_by_role("link")).to_have_count(1, timeout=20_000)
    expect(olga.locator("[data-part=callbacks]")).to_contain_text("anna")
    assert browsers.complaints == []
    browsers.close()
