"""The panel in a real browser: what each state shows, keys, what is typed, a lost connection, callbacks."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.headset.test_screen import STATES
from tests.web.browser import (
    FAREWELL,
    NOT_HEARD,
    OPERATOR,
    FakeBackend,
    OpenedPages,
    PanelServer,
    browser,
    opened,
    picture,
    served,
    shown,
    silent,
    status,
    with_desk,
)
from vad_agent.audio.device_recovery import DeviceState
from vad_agent.callbacks.model import Outcome, State
from vad_agent.client.headset_protocol import Command
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.headset import messages_ru
from vad_agent.headset.keymap import KEYS, QUIT
from vad_agent.headset.status import (
    FarewellQuestion,
    HeadsetQuestion,
    PhraseStatus,
    SideStatus,
    Status,
)

__all__ = ["browser", "opened", "served", "with_desk"]  # fixtures

CALLBACK = (
    "Перезвонить сразу (клиента не слышно в диалоге): «Здравствуйте, Анна, Интернет-магазин…»"
)


def soon(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def on_air(state: str) -> Status:
    phrase = PhraseStatus(FAREWELL, state, 0.4 if state == "asked" else -0.6, 1.4)
    return status(mode="auto", phrase=phrase, after="", silence_s=2.1, window_s=(2.0, 3.0))


def speaking(channel: Channel) -> Status:
    told = status()
    told.sides[channel].speaking, told.sides[channel].level_db = True, -18.0
    return told


def heard_as(line: LineState) -> Status:
    told = silent(1.8)
    told.sides[Channel.CLIENT].line = line
    return told


def unplugged() -> Status:
    told = status(suspended=("client_device_lost",))
    told.sides[Channel.CLIENT].state = DeviceState.LOST
    return told


def on_hold() -> Status:
    told = status(Phase.ON_HOLD, held=True, silence_s=42.0, window_s=(60.0, 62.0), mode="auto")
    told.sides[Channel.CLIENT].line = LineState.MUSIC
    told.sides[Channel.CLIENT].level_db = -24.0
    phrase = "Вы поставили звонок на удержание, я вам перезвоню"
    told.upcoming = PhraseStatus(phrase, "next", 18.0, 20.0)
    return told


# -- one glance --------------------------------------------------------------------------------------

LOOKS = [
    (status(None), "none", ["Жду звонка", "звонка нет"]),
    (speaking(Channel.CLIENT), "none", ["Диалог", "3:42", "Анна", "Клиент говорит", "говорят"]),
    (speaking(Channel.OPERATOR), "none", ["Вы говорите", "ГОВОРИТЕ"]),
    (silent(0.9), "next", ["Приготовьтесь", "через 1,", NOT_HEARD, "из 2–3 с"]),
    (silent(0.9, mode="auto"), "next", ["Скоро прозвучит", NOT_HEARD]),
    (silent(1.5, "cue"), "soon", ["СКАЖИТЕ", "через 0,", f"затем: «{FAREWELL}»"]),
    (silent(2.1, "cue"), "now", ["СКАЖИТЕ СЕЙЧАС", "ещё 0,", "из 2–3 с, пора"]),
    (silent(3.4, "cue"), "late", ["опоздание", "из 2–3 с, поздно"]),
    (silent(2.5, "by_operator"), "mine", ["Вы говорите", NOT_HEARD]),
    (on_air("asked"), "asked", ["Сейчас прозвучит", "Остановить, скажу сам"]),
    (on_air("playing"), "air", ["Звучит", FAREWELL, "затем: завершить звонок и перезвонить"]),
    (status(suspended=("paused",)), "pause", ["Пауза", "ПАУЗА — контроль стоит", "Продолжить"]),
    (on_hold(), "next", ["Удержание", "Держат", "0:42", "идёт музыка ожидания"]),
    (heard_as(LineState.DIGITAL_ZERO), "next", ["линия мертва: ровно нули"]),
    (unplugged(), "none", ["наушники отключены — жду их", "отсчёт стоит"]),
    (status(hang_up=True, callback=CALLBACK), "none", ["ЗАВЕРШИТЕ ЗВОНОК", "Перезвонить сразу"]),
    (
        status(None, hang_up=True),
        "none",
        ["ЗАВЕРШИТЕ ЗВОНОК", "Положите трубку", "сценарий пройден"],
    ),
    (status(voice_problem="нет голоса"), "none", ["Фразы не озвучить, говорите сами: нет голоса"]),
    (status(None, guessed=True), "none", ["определено на слух", "отменить"]),
]


def test_each_state_is_told_in_words(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status(None)))
    page = opened.page(served)
    for told, look, words in LOOKS:
        served.show(shown(told))
        expect(page.locator("#say")).to_have_attribute("data-look", look)
        for word in words:
            expect(page.locator("body")).to_contain_text(word, use_inner_text=True)


@pytest.mark.parametrize("phase", [None, *Phase])
def test_one_line_of_the_page_says_the_state_of_the_call(
    opened: OpenedPages, served: PanelServer, phase: Phase | None
) -> None:
    ended = status(phase, hang_up=True)
    ended.messages.clear()
    served.show(shown(ended))
    page = opened.page(served)
    said = page.inner_text("body")
    assert [state for state in STATES if state in said] == ["ЗАВЕРШИТЕ ЗВОНОК"]
    assert page.title().startswith("ЗАВЕРШИТЕ ЗВОНОК")
    idle = status(None)
    served.show(shown(idle))
    expect(page.locator("#phase")).to_have_text("Жду звонка")
    said = page.inner_text("main")
    assert [state for state in STATES if state in said] == ["звонка нет"]


def test_why_the_product_does_not_speak_is_on_the_page(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(silent(0.9, mode="auto")))
    page = opened.page(served)
    expect(page.locator("#mode")).to_have_text("· фразы говорит программа")
    gone = silent(0.9, mode="auto", prompt_state=DeviceState.LOST, voice_lost=True)
    gone.prompt_device = "vad-agent microphone"
    served.show(shown(gone))
    alert = page.get_by_role("alert").filter(has_text="Вывод фраз отключён")
    expect(alert).to_contain_text("фразы говорите сами (vad-agent microphone)")
    expect(page.locator("#mode")).to_have_text("· фразы говорите вы")
    expect(page.locator("#say-title")).to_have_text("Приготовьтесь")
    served.show(shown(silent(0.9, mode="auto")))
    expect(alert).to_be_hidden()
    without = status(mode="cue", no_voice=messages_ru.NO_MICROPHONE)
    served.show(shown(without))
    expect(page.locator("#alarms")).to_contain_text("нет виртуального микрофона")


def test_an_alarm_is_an_alert_and_levels_are_for_the_eye(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status(hang_up=True)))
    page = opened.page(served)
    expect(page.get_by_role("alert").filter(has_text="ЗАВЕРШИТЕ ЗВОНОК")).to_be_visible()
    served.show(shown(speaking(Channel.CLIENT)))
    bar = page.locator("#side-client .level")
    expect(bar).to_have_attribute("aria-hidden", "true")
    soon(lambda: "0.7" in (bar.locator("i").get_attribute("style") or ""), "the level is not shown")


def test_a_screen_reader_hears_phrases_and_states_alone(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.evaluate(
        """() => { window.heard = []; new MutationObserver(() => window.heard.push(
        document.getElementById('announce').textContent)).observe(
        document.getElementById('announce'), {childList: true, characterData: true, subtree: true}); }"""
    )
    for silence in (0.5, 0.7, 0.9):
        served.show(shown(silent(silence)))
        time.sleep(0.05)
    for silence in (1.9, 2.0, 2.1):
        served.show(shown(silent(silence, "cue")))
        time.sleep(0.05)
    expect(page.locator("#announce")).to_have_text(f"Скажите: {NOT_HEARD}")
    served.show(shown(unplugged()))
    expect(page.locator("#announce")).to_contain_text("наушники отключены")
    assert page.evaluate("window.heard") == [
        f"Скажите: {NOT_HEARD}",
        "Клиент: наушники отключены — жду их. наушники отключены — отсчёт стоит",
    ]


# -- clocks ------------------------------------------------------------------------------------------


def _seconds(page: Page, selector: str) -> float:
    found = re.search(r"(\d+),(\d)", page.locator(selector).inner_text())
    assert found is not None
    return float(f"{found[1]}.{found[2]}")


@pytest.mark.serial
def test_the_clock_runs_between_messages_and_then_stands(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.evaluate(
        """() => { window.seen = []; const value = document.getElementById('clock-value');
        new MutationObserver(() => window.seen.push(parseFloat(value.textContent.replace(',', '.')))).observe(
        value, {childList: true, characterData: true, subtree: true}); }"""
    )
    served.show(shown(silent(0.5)))
    expect(page.locator("#clock-words")).to_contain_text("данные стоят")
    seen = page.evaluate("window.seen")
    assert seen == sorted(seen)
    assert len(set(seen)) >= 4
    assert _seconds(page, "#clock-value") == pytest.approx(1.5, abs=0.11)  # no farther than 1 s
    assert _seconds(page, "#say-left") == pytest.approx(0.5, abs=0.11)


@pytest.mark.serial
def test_the_clock_keeps_to_what_is_told(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(silent(0.0)))
    page = opened.page(served)
    began = time.monotonic()
    off = []
    while (passed := time.monotonic() - began) < 1.0:
        served.show(shown(silent(passed)))
        before = time.monotonic() - began
        value = _seconds(page, "#clock-value")
        after = time.monotonic() - began
        off.append(max(before - value, value - after, 0.0))
        time.sleep(0.04)
    assert statistics.median(off) <= 0.11
    assert max(off[5:]) <= 0.3


# -- keys --------------------------------------------------------------------------------------------

APART_MS = 250
"""Between two presses of a hand that has done so a hundred times today."""
AT_ONCE = [
    ("KeyG", "п", Event(EventKind.PAUSE)),
    ("KeyE", "у", Event(EventKind.HOLD, party="operator")),
    ("KeyR", "к", Event(EventKind.HOLD, party="client")),
    ("KeyD", "в", Event(EventKind.GOODBYE)),
]
TWICE = [
    ("KeyY", "н", Event(EventKind.CLIENT_CANNOT_HEAR)),
    ("KeyP", "з", Command.END_CALL),
    ("KeyC", "с", Event(EventKind.HANGUP, party="client")),
]


def strike(page: Page, code: str, key: str, times: int = 1) -> None:
    """A key of one layout or the other: the browser tells the place and the letter."""
    page.evaluate(
        """([code, key, times]) => { for (let n = 0; n < times; n++) document.activeElement.dispatchEvent(
        new KeyboardEvent('keydown', {code, key, bubbles: true, cancelable: true})); }""",
        [code, key, times],
    )


@pytest.mark.parametrize("latin", [True, False])
def test_keys_of_both_layouts(opened: OpenedPages, served: PanelServer, latin: bool) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    for code, letter, what in AT_ONCE:
        if latin:
            page.keyboard.press(code)
        else:
            strike(page, code, letter)
        soon(lambda what=what: served.sent[-1:] == [what], f"{letter} is not sent")  # type: ignore[misc]
    served.show(shown(status(suspended=("paused",), held=True)))
    expect(page.locator("#keys")).to_contain_text("продолжить")
    page.keyboard.press("KeyG")
    soon(lambda: served.sent[-1] == Event(EventKind.RESUME), "the watch is not resumed")
    page.keyboard.press("KeyE")
    soon(
        lambda: served.sent[-1] == Event(EventKind.UNHOLD, party="operator"),
        "the hold is not ended",
    )
    served.show(shown(status(None, guessed=True)))
    expect(page.locator("#keys")).to_contain_text("начать звонок")
    page.keyboard.press("KeyF")
    soon(lambda: served.sent[-1] is Command.START_CALL, "no call is begun")
    page.keyboard.press("Control+KeyZ")
    soon(lambda: served.sent[-1] is Command.UNDO, "nothing is undone")


def test_what_cannot_be_taken_back_wants_a_second_press(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    question = page.get_by_role("alertdialog")
    strike(page, "KeyY", "н", times=2)  # too fast: a key that bounced
    expect(question).to_be_visible()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert served.sent == []
    for code, letter, what in TWICE:
        page.keyboard.press(code)
        expect(question).to_contain_text(next(key.sure for key in KEYS if key.letter == letter))
        page.wait_for_timeout(APART_MS)
        page.keyboard.press(code)
        soon(lambda what=what: served.sent == [what], f"{letter} is not sent")  # type: ignore[misc]
        expect(question).to_be_hidden()
        served.sent.clear()
    page.keyboard.press("KeyP")
    page.wait_for_timeout(APART_MS)
    page.keyboard.press("KeyG")  # another key: that key
    soon(lambda: served.sent == [Event(EventKind.PAUSE)], "the other key is not sent")
    expect(question).to_be_hidden()
    page.keyboard.press("KeyP")
    page.wait_for_timeout(APART_MS)
    page.keyboard.press("Enter")
    soon(lambda: served.sent[-1] is Command.END_CALL, "Enter does not confirm")


def test_a_double_click_or_a_held_key_ends_no_call(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    button = page.get_by_role("button", name="завершён")
    question = page.get_by_role("alertdialog")
    button.dblclick()
    expect(question).to_be_visible()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    page.keyboard.down("KeyP")
    for _ in range(5):
        page.keyboard.down("KeyP")  # repeats
        page.wait_for_timeout(120)
    page.keyboard.up("KeyP")
    page.keyboard.press("Escape")
    assert served.sent == []
    button.click()
    page.wait_for_timeout(APART_MS)
    page.get_by_role("button", name="Да").click()
    soon(lambda: served.sent == [Command.END_CALL], "the call is not ended")


def test_the_keys_and_questions_are_those_of_the_terminal(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status(guessed=True)))
    page = opened.page(served)
    texts = [kbd.split() for kbd in page.locator("#keys kbd").all_inner_texts()]
    assert {letter for letter, *_ in texts} == {key.letter.upper() for key in KEYS} - {
        "А",
        "Г",
        "Й",
    }
    twice = {letter for letter, *again in texts if again}
    assert twice == {key.letter.upper() for key in KEYS if key.sure and key.letter != "й"}


def test_the_keys_are_explained_and_stay_on(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.evaluate("localStorage.setItem('panel:letters', 'false')")  # of an older page's switch
    page.reload()
    expect(page.locator("#keys button").first).to_be_visible()
    button = page.get_by_role("button", name="Клавиши")
    button.click()
    told = page.locator("#help")
    for key in KEYS:
        if key.letter != QUIT:
            expect(told).to_contain_text(key.help)
    expect(button).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("KeyG")
    soon(lambda: served.sent == [Event(EventKind.PAUSE)], "the key is off")
    page.keyboard.press("Escape")
    expect(told).to_be_hidden()
    expect(button).to_be_focused()
    button.click()
    button.click()
    expect(told).to_be_hidden()
    page.keyboard.press("KeyG")
    soon(lambda: len(served.sent) == 2, "the key is off")


def test_a_key_that_means_nothing_says_so(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status(None)))
    page = opened.page(served)
    page.keyboard.press("KeyG")
    expect(page.locator("#remark")).to_have_text("Звонка нет. А: начать звонок")


def test_a_phrase_on_air_is_stopped_by_its_button(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(on_air("playing")))
    page = opened.page(served)
    page.get_by_role("button", name="Остановить, скажу сам").click()
    soon(lambda: served.sent == [Event(EventKind.PAUSE)], "it is not stopped")


# -- what is typed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["Enter", "Escape"])
def test_after_a_name_the_phrase_is_in_view_on_a_small_screen(
    opened: OpenedPages, served: PanelServer, end: str
) -> None:
    served.show(shown(silent(2.1, "cue", client_name=None)))
    page = opened.page(served, 360, 640)
    page.keyboard.press("KeyB")
    page.keyboard.type("Ольга")
    page.evaluate("document.getElementById('form-name').scrollIntoView({block: 'start'})")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate("document.getElementById('say').getBoundingClientRect().top") < 0
    page.keyboard.press(end)
    expect(page.locator("#form-name")).to_be_hidden()
    expect(page.locator("#say-title")).to_be_in_viewport(ratio=1)
    expect(page.locator("#say-text")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="имя")).to_be_focused()


def test_what_another_operator_left_in_this_tab_is_not_shown(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.keyboard.press("KeyL")
    form = page.locator("#form-agreed")
    form.get_by_label("Когда").fill("+20")
    page.keyboard.press("Enter")
    expect(page.locator("#steps")).to_be_visible()
    page.keyboard.press("KeyB")
    page.keyboard.type("Ольга")
    served.stop()
    served.operator = "Пётр"
    served.again()
    served.show(shown(status(), "Пётр"))
    page.goto(served.authenticator.link)
    expect(page.locator("#operator")).to_have_text("Пётр")
    expect(page.locator("#keys button").first).to_be_visible()
    expect(page.locator("#steps")).to_be_hidden()
    expect(page.locator("#form-name")).to_be_hidden()
    assert "Ольга" not in page.evaluate("JSON.stringify(sessionStorage)")


def test_a_page_whose_session_is_now_another_operators_is_over(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    served.show({**shown(status()), "operator": "Пётр"})
    expect(page.locator("#offline")).to_contain_text("Вход устарел")
    expect(page.get_by_role("link", name="Войти")).to_be_visible()


def test_a_name_is_typed_kept_over_a_reload_and_sent(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status(client_name=None)))
    page = opened.page(served)
    page.keyboard.press("KeyB")
    field = page.get_by_label("Имя клиента")
    expect(field).to_be_focused()
    page.keyboard.type("Ольга7")
    page.reload()
    expect(page.locator("#keys button").first).to_be_visible()  # the call is known again
    expect(field).to_be_focused()
    expect(field).to_have_value("Ольга7")
    page.keyboard.press("Enter")
    expect(page.locator("#form-name .wrong")).to_have_text("в имени только буквы")
    field.fill("Ольга")
    page.keyboard.press("Enter")
    soon(
        lambda: served.sent == [Event(EventKind.CLIENT_NAME, name="Ольга")], "the name is not sent"
    )
    expect(field).to_be_hidden()
    expect(page.get_by_role("button", name="имя")).to_be_focused()
    page.keyboard.press("KeyB")
    expect(field).to_have_value("")
    field.fill("не то")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()


def test_the_clients_number_is_typed_and_sent(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.keyboard.press("KeyN")
    field = page.get_by_label("Номер клиента")
    expect(field).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#form-phone .wrong")).to_have_text("пример: +79123456789")
    page.keyboard.type("8 912 345")
    page.keyboard.press("Enter")
    expect(page.locator("#form-phone .wrong")).to_contain_text("На такой номер не позвонить")
    assert served.sent == []
    opened.complaints.clear()  # Chromium's, of the refusal
    field.fill("8 (912) 345-67-89")
    page.keyboard.press("Enter")
    sent = [Event(EventKind.CLIENT_PHONE, phone="+79123456789")]
    soon(lambda: served.sent == sent, "the number is not sent")
    expect(field).to_be_hidden()
    served.show(shown(status(client_phone="+79123456789")))
    expect(page.locator("#remark")).to_have_text("Номер клиента: +7 912 345-67-89")
    page.keyboard.press("KeyN")
    expect(field).to_have_value("+7 912 345-67-89")


def test_the_country_of_a_number_is_the_headsets(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status(region="BY")))
    page = opened.page(served)
    page.keyboard.press("KeyN")
    page.keyboard.type("8 029 491-19-11")
    page.keyboard.press("Enter")
    sent = [Event(EventKind.CLIENT_PHONE, phone="+375294911911")]
    soon(lambda: served.sent == sent, "the number is not sent")


def test_a_callback_is_agreed_and_its_steps_ticked_off(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.keyboard.press("KeyL")
    form = page.locator("#form-agreed")
    page.keyboard.type("26:00")
    form.get_by_label("К.т.").fill("8 (912) 345-67-89")
    form.get_by_label("По какому вопросу").fill("доставка")
    page.keyboard.press("Enter")
    expect(form.locator(".wrong")).to_have_text("такого времени нет, пример: 15:30")
    form.get_by_label("Когда").fill("+20")
    form.get_by_label("Имя").fill("Анна Львовна")
    page.keyboard.press("Enter")
    soon(lambda: len(served.sent) == 2, "it is not sent")
    named, agreed = served.sent
    assert named == Event(EventKind.CLIENT_NAME, name="Анна Львовна")
    assert isinstance(agreed, Event)
    assert (agreed.kind, agreed.phone, agreed.topic) == (
        EventKind.CALLBACK_AGREED,
        "+79123456789",
        "доставка",
    )
    assert agreed.at is not None
    assert agreed.ts is not None
    steps = page.locator("#steps")
    expect(steps).to_contain_text("Анна Львовна, в ")
    expect(steps.get_by_label("Стандартное завершение")).to_be_focused()
    page.keyboard.press("Space")
    page.reload()
    expect(steps.get_by_label("Стандартное завершение")).to_be_checked()
    steps.get_by_label("Перевод на ОК").check()
    steps.get_by_label("Карточка в Naumen").check()
    page.get_by_role("button", name="Всё сделано, убрать").click()
    expect(steps).to_be_hidden()


# -- the connection ----------------------------------------------------------------------------------


def test_a_server_that_goes_and_comes_back(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(silent(0.9)))
    page = opened.page(served)
    page.keyboard.press("KeyB")
    page.keyboard.type("Оль")
    served.stop()
    expect(page.get_by_role("alert").filter(has_text="Нет связи с программой")).to_be_visible()
    expect(page.locator("#phase")).to_have_text("Нет связи")
    expect(page.locator("#say-text")).to_be_hidden()
    expect(page.locator("#clock-value")).to_be_hidden()
    page.keyboard.type("га")
    page.keyboard.press("Enter")
    expect(page.locator("#form-name .wrong")).to_have_text("нет связи, введённое сохранено")
    served.again()
    served.show(shown(status(client_name=None)))
    expect(page.locator("#offline")).to_be_hidden(timeout=10_000)
    page.get_by_label("Имя клиента").press("Enter")
    soon(
        lambda: served.sent[-1:] == [Event(EventKind.CLIENT_NAME, name="Ольга")], "nothing is sent"
    )
    opened.complaints.clear()  # of requests to nobody


def test_a_headset_that_is_off(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    served.beats = False
    served.broker.detach(OPERATOR)
    alert = page.get_by_role("alert").filter(has_text="Программа на вашей гарнитуре не запущена")
    expect(alert).to_be_visible()
    expect(page.get_by_text("3:42")).to_be_hidden()
    served.broker.attach(OPERATOR, served.sent.append)
    served.show(shown(status()))
    expect(alert).to_be_hidden()


def test_a_headset_that_tells_nothing_in_a_call(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.wait_for_timeout(600)
    served.beats = False
    expect(page.locator("#offline")).to_have_text("Программа на гарнитуре не отвечает")
    served.show(shown(status(call_s=223.0)))
    expect(page.locator("#offline")).to_be_hidden()


def test_a_session_that_is_over(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.context.clear_cookies()
    page.keyboard.press("KeyG")
    expect(page.get_by_role("link", name="Войти")).to_be_visible()
    opened.complaints.clear()  # the refused request
    page.get_by_role("link", name="Войти").click()
    page.get_by_label("Токен").fill("x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("ссылка не подходит")
    page.get_by_label("Токен").fill(served.authenticator.one_time.token)
    page.keyboard.press("Enter")
    expect(page.locator("#phase")).to_have_text("Диалог")
    opened.complaints.clear()


# -- my callbacks ------------------------------------------------------------------------------------


def desk(served: PanelServer) -> FakeBackend:
    assert served.desk is not None
    return served.desk


def _left_s(row: Locator) -> int:
    found = re.search(r"через (\d+):(\d\d)", row.inner_text())
    assert found is not None
    return int(found[1]) * 60 + int(found[2])


def test_callbacks_overdue_first_with_an_honest_countdown(
    opened: OpenedPages, with_desk: PanelServer
) -> None:
    desk(with_desk).add("later", 249, name="Пётр", topic="возврат", attempt=2)
    desk(with_desk).add("over", -130)
    desk(with_desk).add("lost", -5, name=None, phone=None, state=State.NEEDS_NUMBER)
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    rows = page.locator(".one")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("просрочен на 2:1")
    expect(rows.nth(0).get_by_role("link")).to_have_attribute("href", "tel:+79123456789")
    expect(rows.nth(0)).to_contain_text("«Здравствуйте, Анна, Интернет-магазин Haieronline.")
    later = rows.filter(has_text="Пётр")
    page.get_by_role("button", name="Показать ещё 1").click()
    expect(later).to_contain_text("через 4:0")
    expect(later).to_contain_text("попытка 2 из 3 · клиента не слышно в диалоге · вопрос: возврат")
    expect(later).to_contain_text(re.compile(r"звонок был в \d\d:\d\d"))
    expect(later.get_by_role("button", name="Дозвонились")).to_be_hidden()
    page.evaluate("Date.now = () => 0")  # this computer's clock is wrong: the server's counts
    before = _left_s(later)
    expect(later).not_to_contain_text(f"через {before // 60}:{before % 60:02}")
    assert before - 5 <= _left_s(later) < before


def test_a_due_callback_flashes_and_is_ended_by_one_key(
    opened: OpenedPages, with_desk: PanelServer
) -> None:
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    expect(page.get_by_text("Перезванивать некому")).to_be_visible()
    desk(with_desk).add("k3v", -1, state=State.RINGING)
    expect(page).to_have_title(re.compile("● ПЕРЕЗВОНИТЕ · Анна"))
    expect(page).to_have_title(re.compile("Жду звонка"))
    expect(page.locator("#announce")).to_contain_text("Пора перезвонить: Анна")
    page.keyboard.press("Digit2")
    row = page.locator(".one")
    expect(row).to_contain_text("Не ответил: записываю…")
    page.keyboard.press("Escape")
    expect(row.get_by_role("button", name="Не ответил")).to_be_visible()
    page.keyboard.press("Digit1")
    expect(row).to_contain_text("Дозвонились: записываю…")
    page.reload()  # what was chosen is not lost
    soon(lambda: desk(with_desk).done_so == [("k3v", Outcome.REACHED)], "it is not told")
    expect(page.get_by_text("Перезванивать некому")).to_be_visible()


def test_an_offer_is_called_by_one_key_and_only_then_has_an_outcome(
    opened: OpenedPages, with_desk: PanelServer
) -> None:
    desk(with_desk).add("k3v", -1, state=State.OFFERED, operator="boris", since=datetime.now(UTC))
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    row = page.locator(".one")
    expect(page).to_have_title(re.compile("● ПЕРЕЗВОНИТЕ · Анна"))
    expect(row).to_contain_text("вместо: boris")
    expect(row.get_by_role("button", name="Дозвонились")).to_be_hidden()
    expect(row.get_by_text("Не нужен…")).to_be_hidden()
    page.keyboard.press("Digit1")  # there is no outcome yet
    expect(row).not_to_contain_text("записываю")
    page.keyboard.press("Digit0")
    expect(row.get_by_role("button", name="Звоню")).to_be_hidden()
    assert desk(with_desk).open[0].operator == OPERATOR
    page.keyboard.press("Digit1")
    expect(row).to_contain_text("Дозвонились: записываю…")
    soon(lambda: desk(with_desk).done_so == [("k3v", Outcome.REACHED)], "it is not told")


def test_who_is_second_is_told_in_a_line_who_calls(
    opened: OpenedPages, with_desk: PanelServer
) -> None:
    desk(with_desk).add("k3v", -1, state=State.OFFERED, operator="anna", since=datetime.now(UTC))
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    button = page.locator(".one").get_by_role("button", name="Звоню")
    expect(button).to_be_visible()
    desk(with_desk).accept("k3v", "boris")
    button.click()
    expect(page.locator("#remark")).to_have_text("Анна: Уже звонит boris")
    opened.complaints.clear()  # Chromium's, of the refusal
    expect(page.locator(".one")).to_have_count(0)


def test_a_number_is_found_and_a_client_calls(opened: OpenedPages, with_desk: PanelServer) -> None:
    desk(with_desk).add("n", 60, name="Ян", phone=None, state=State.NEEDS_NUMBER)
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    field = page.get_by_label("Номер не известен")
    field.fill("12")
    page.reload()
    expect(field).to_have_value("12")
    page.get_by_role("button", name="Записать").click()
    expect(page.locator(".one .wrong")).to_contain_text("от 5 до 15 цифр")
    field.fill("+79990001122")
    field.press("Enter")
    expect(page.get_by_role("link", name="+79990001122")).to_be_visible()
    button = page.get_by_role("button", name="Клиент позвонил сам")
    button.click()
    expect(button).to_contain_text("Ещё раз: да")
    page.wait_for_timeout(APART_MS)
    button.click()
    expect(page.get_by_text("Перезванивать некому")).to_be_visible()


def test_two_callbacks_are_shown_and_the_rest_is_folded(
    opened: OpenedPages, with_desk: PanelServer
) -> None:
    for n in range(13):
        desk(with_desk).add(f"c{n}", 60 * (n + 1), name=f"Клиент{n:02}")
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    expect(page.locator(".one:visible")).to_have_count(2)
    expect(page.get_by_role("heading", name="Мои перезвоны 13")).to_be_visible()
    page.get_by_role("button", name="Показать ещё 11").click()
    expect(page.locator(".one:visible")).to_have_count(13)
    page.get_by_role("button", name="Свернуть").click()
    expect(page.locator(".one:visible")).to_have_count(2)
    expect(page.locator(".one:visible").first).to_contain_text("Клиент00")
    desk(with_desk).add("now", -1, name="Ольга", state=State.RINGING)
    expect(page.locator(".one:visible").first).to_contain_text("Ольга")  # it comes to the top
    expect(page.locator(".one:visible")).to_have_count(2)


@pytest.mark.parametrize("phone", ["+79123456789", None])
def test_a_callback_that_is_not_needed_is_closed_with_a_reason(
    phone: str | None, opened: OpenedPages, with_desk: PanelServer
) -> None:
    state = State.WAITING if phone else State.NEEDS_NUMBER
    for id in ("first", "second"):
        desk(with_desk).add(id, 60, name=id, phone=phone, state=state, reasons=("unconfirmed",))
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    row = page.locator(".one").filter(has_text="first")
    expect(row).to_contain_text("не подтверждено, что попрощались")
    row.get_by_text("Не нужен…").click()
    row.get_by_role("button", name="попрощались, вопрос решён").click()
    expect(row).to_contain_text("Не нужен: попрощались, вопрос решён: записываю…")
    page.keyboard.press("Escape")  # it can be taken back
    expect(row.get_by_text("Не нужен…")).to_be_visible()
    row.get_by_text("Не нужен…").click()
    row.get_by_role("button", name="попрощались, вопрос решён").click()
    expect(row).to_have_count(0)
    other = page.locator(".one").filter(has_text="second")
    other.get_by_text("Не нужен…").click()
    other.get_by_label("Другая причина").fill("ошиблись номером")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Перезванивать некому")).to_be_visible()
    assert desk(with_desk).cancelled == [
        ("first", f"{OPERATOR}: попрощались, вопрос решён"),
        ("second", f"{OPERATOR}: ошиблись номером"),
    ]


# -- a call is over, and nobody knows how --------------------------------------------------------------

HALF_PAST = datetime(2026, 11, 30, 15, 30)
ASKED = FarewellQuestion(
    "call-7", HALF_PAST, HALF_PAST + timedelta(minutes=3), HALF_PAST + timedelta(minutes=5), "Анна"
)
BEFORE = FarewellQuestion(
    "call-6", HALF_PAST, HALF_PAST + timedelta(minutes=2), HALF_PAST + timedelta(minutes=4)
)
YES = Event(EventKind.GOODBYE, question="call-7")
NO = Event(EventKind.HANGUP, party="client", question="call-7")


def test_whether_they_said_goodbye_is_asked_and_answered_by_one_key(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status(None, questions=(ASKED,))))
    page = opened.page(served)
    question = page.locator(".question")
    expect(question).to_contain_text("Попрощались? Звонок 15:30–15:33, Анна")
    expect(question).to_contain_text("Не ответите: клиенту перезвонят в 15:35")
    page.keyboard.press("KeyD")
    soon(lambda: served.sent == [YES], "yes is not sent")
    page.keyboard.press("KeyC")
    soon(lambda: served.sent == [YES, NO], "no is not sent")  # without a second question
    question.get_by_role("button", name="да, попрощались").click()
    soon(lambda: served.sent == [YES, NO, YES], "the button sends nothing")
    question.get_by_role("button", name="нет, сорвался").click()
    soon(lambda: served.sent == [YES, NO, YES, NO], "the button sends nothing")
    served.show(shown(status(None)))
    expect(question).to_have_count(0)


def test_in_the_next_call_the_keys_are_the_calls_and_buttons_answer(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status(questions=(ASKED, BEFORE))))
    page = opened.page(served)
    cards = page.locator(".question")
    expect(cards).to_have_count(2)
    expect(cards.locator("kbd:visible")).to_have_count(0)
    page.keyboard.press("KeyD")
    soon(lambda: served.sent == [Event(EventKind.GOODBYE)], "it is not the call's")
    cards.nth(1).get_by_role("button", name="да, попрощались").click()
    old = Event(EventKind.GOODBYE, question="call-6")
    soon(lambda: served.sent[-1:] == [old], "the older one is not answered")


def test_another_headset_that_wants_to_take_over_is_asked_about_in_the_call_too(
    opened: OpenedPages, served: PanelServer
) -> None:
    asked = HeadsetQuestion("q1", "10.0.0.7")
    served.show(shown(status(headset_question=asked, questions=(ASKED,))))
    page = opened.page(served)
    question = page.locator(".question").first
    expect(question).to_contain_text("Другая гарнитура входит под вашим логином с адреса 10.0.0.7")
    expect(question.locator("kbd:visible")).to_have_count(1)
    page.keyboard.press("KeyU")
    soon(lambda: served.sent == [Command.ADMIT_HEADSET], "yes is not sent")
    question.get_by_role("button", name="не пускать").click()
    soon(lambda: served.sent[1:] == [Command.REFUSE_HEADSET], "no is not sent")
    served.show(shown(status(questions=(ASKED,))))
    expect(page.locator(".question")).to_have_count(1)


def test_a_goodbye_in_the_call_is_one_press_confirmed_on_the_page(
    opened: OpenedPages, served: PanelServer
) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.keyboard.press("KeyD")
    soon(lambda: served.sent == [Event(EventKind.GOODBYE)], "it is not sent")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    served.show(shown(status(goodbye=True)))
    expect(page.locator("#clock-words")).to_contain_text("попрощались: контроль выключен")
    page.keyboard.press("KeyJ")
    soon(lambda: served.sent[-1] is Command.UNDO, "it is not undone")


# -- what is hostile, what is not seen, what is slow --------------------------------------------------


def test_no_text_becomes_markup(opened: OpenedPages, with_desk: PanelServer) -> None:
    evil = "<img src=x onerror=\"document.title='XSS'\"><script>document.title='XSS'</script>"
    told = silent(2.1, "cue", client_name=evil, callback=evil, after=evil, voice_problem=evil)
    assert told.phrase is not None
    told.phrase = replace(told.phrase, text=evil)
    told.sides[Channel.CLIENT] = SideStatus(device=evil, state=DeviceState.OPEN)
    told.messages.append((1.0, evil))
    desk(with_desk).add("x", -1, name=evil, topic=evil, opening=evil, phone='"><script>')
    with_desk.show(shown(told))
    page = opened.page(with_desk)
    expect(page.locator(".one")).to_contain_text(evil)
    for place in ("#client", "#say-text", "#say-after", "#side-client", "#callback", "#messages"):
        expect(page.locator(place)).to_contain_text(evil)
    assert page.locator("img, body script").count() == 0
    assert page.locator(".one a").get_attribute("href") == "tel:"
    assert "XSS" not in page.title()


RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


def check(page: Page) -> None:
    found = page.evaluate(
        "rules => axe.run(rules).then(all => all.violations.map(one => [one.id, one.nodes[0].html]))",
        RULES,
    )
    assert found == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(
    opened: OpenedPages, with_desk: PanelServer, width: int, dark: bool
) -> None:
    desk(with_desk).add("over", -130)
    desk(with_desk).add("due", -2, state=State.RINGING)
    desk(with_desk).add("n", 60, phone=None, state=State.NEEDS_NUMBER)
    with_desk.show(shown(silent(2.1, "cue")))
    page = opened.page(with_desk, width, dark=dark)
    page.wait_for_selector(".one")
    page.evaluate(Axe().axe_script)
    many = (silent(1.5, "cue"), silent(2.1, "cue"), silent(3.4, "cue"), on_air("playing"))
    more = (status(suspended=("paused",)), silent(0.9), unplugged(), status(hang_up=True))
    for told in (*many, *more):
        with_desk.show(shown(told))
        page.wait_for_timeout(60)
        check(page)
    with_desk.show(shown(status(None, questions=(ASKED, BEFORE))))
    page.locator(".one summary").first.click()
    page.wait_for_timeout(60)
    check(page)
    with_desk.show(shown(status(callback=CALLBACK, guessed=True)))
    page.keyboard.press("KeyL")
    page.keyboard.press("Escape")
    page.keyboard.press("KeyP")
    check(page)


@pytest.mark.parametrize("width", [180, 256, 360])
def test_nothing_is_wider_than_the_window(
    opened: OpenedPages, with_desk: PanelServer, width: int
) -> None:
    desk(with_desk).add("over", -130)
    with_desk.show(shown(silent(3.4, "cue", callback=CALLBACK, guessed=True)))
    page = opened.page(with_desk, width, 640)
    page.wait_for_selector(".one")
    page.keyboard.press("KeyL")
    page.keyboard.press("Escape")
    page.keyboard.press("KeyP")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_chosen_and_remembered(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status()))
    page = opened.page(served)
    page.get_by_role("button", name="Тема").click(click_count=1)
    page.get_by_role("button", name="Тема: светлая").click()
    page.reload()
    expect(page.get_by_role("button", name="Тема: тёмная")).to_be_visible()
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == "rgb(14, 17, 22)"


@pytest.mark.serial
def test_how_soon_a_change_is_seen(opened: OpenedPages, served: PanelServer) -> None:
    """p50 and p99 from `publish` to the DOM, on this machine's one clock."""
    served.show(shown(status(None)))
    page = opened.page(served)
    page.evaluate(
        """() => { window.seen = {}; const name = document.getElementById('client');
        new MutationObserver(() => { window.seen[name.textContent] = Date.now(); }).observe(
        name, {childList: true, characterData: true, subtree: true}); }"""
    )
    told: dict[str, float] = {}

    def feed() -> None:
        for number in range(100):
            told[f"Анна{number}"] = time.time()
            served.show(shown(status(client_name=f"Анна{number}", call_s=number / 10)))
            time.sleep(0.025)

    feeding = threading.Thread(target=feed)
    feeding.start()
    feeding.join()
    expect(page.locator("#client")).to_have_text("Анна99")
    seen = page.evaluate("window.seen")
    late = sorted(at - told[name] * 1000 for name, at in seen.items())
    assert len(late) == 100
    p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
    print(f"\npublish to DOM: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


@pytest.mark.serial
def test_the_page_is_light_and_soon_there(opened: OpenedPages, with_desk: PanelServer) -> None:
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk)
    weight, paint = page.evaluate(
        """() => [performance.getEntriesByType('resource').concat(
        performance.getEntriesByType('navigation')).reduce((all, one) => all + one.decodedBodySize, 0),
        performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1]"""
    )
    print(f"\nweight {weight / 1000:.0f} kB, first paint {paint:.0f} ms")
    assert 0 < weight <= 150_000
    elsewhere = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => !one.name.startsWith(location.origin)).length"
    )
    assert elsewhere == 0


@pytest.mark.serial
def test_an_idle_page_costs_nothing(opened: OpenedPages, served: PanelServer) -> None:
    served.show(shown(status(None)))
    page = opened.page(served)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    began, before = time.monotonic(), busy()
    page.wait_for_timeout(1000)
    share = (busy() - before) / (time.monotonic() - began)
    print(f"\nidle: {share:.2%} of a core")


PICTURES = {
    "waiting": status(None),
    "dialogue": speaking(Channel.CLIENT),
    "next": silent(1.4),
    "cue": silent(2.2, "cue"),
    "late": silent(3.4, "cue"),
    "playing": on_air("playing"),
    "hold": on_hold(),
    "paused": status(suspended=("paused",)),
    "unplugged": unplugged(),
    "hang_up": status(hang_up=True, callback=CALLBACK),
}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800), (1920, 1080)])
def test_pictures(
    opened: OpenedPages, with_desk: PanelServer, width: int, height: int, dark: bool
) -> None:
    desk(with_desk).add("over", -130, name="Сергей Ильич", phone="+79261112233", attempt=2)
    desk(with_desk).add("later", 245, name="Пётр", topic="возврат холодильника")
    with_desk.show(shown(status(None)))
    page = opened.page(with_desk, width, height, dark)
    page.wait_for_selector(".one")
    theme = "dark" if dark else "light"
    for name, told in PICTURES.items():
        if width == 1920 and name not in ("cue", "waiting"):
            continue
        with_desk.show(shown(told))
        page.wait_for_timeout(100)
        picture(page, f"{name}-{width}-{theme}")
    if width == 1280:
        with_desk.show(shown(status()))
        page.keyboard.press("KeyL")
        picture(page, f"agreed-{width}-{theme}")
        page.keyboard.press("Escape")
        page.keyboard.press("KeyP")
        picture(page, f"sure-{width}-{theme}")
    with_desk.beats = False
    with_desk.broker.detach(OPERATOR)
    expect(page.locator("#offline")).to_be_visible()
    picture(page, f"gone-{width}-{theme}")
