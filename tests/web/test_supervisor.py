"""The supervisor's pages over HTTP: who sees them, what each section says, days, CSV, what is hostile."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.web.supervisor_shift import (
    BOSS,
    FAREWELL,
    NOW,
    OPERATOR,
    OPERATORS,
    PASSWORD,
    SupervisorSite,
    full_shift_at,
    shift_at,
    silent,
)
from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.model import Outcome
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import StoreError
from vad_agent.web import call_view
from vad_agent.web.reporting_period import ReportingPeriod
from vad_agent.web.supervisor_labels import SupervisorLabels

MOSCOW = ZoneInfo("Europe/Moscow")
EVIL = "<img src=x onerror=alert(1)>\"'&"
PATHS = (
    "/supervisor", "/supervisor?day=2026-03-11", "/supervisor/stream", "/supervisor/callbacks/x",
    "/supervisor/calls/x", "/supervisor/picture.svg?call=x&row=0", "/supervisor/calls.csv",
    "/supervisor/steps.csv", "/supervisor/callbacks.csv", "/supervisor/search?q=x",
    "/supervisor/people", "/supervisor/verdicts",
)  # fmt: skip


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SupervisorSite]:
    with shift_at(tmp_path, MOSCOW) as one:
        yield one


@pytest.fixture
def full(tmp_path: Path) -> Iterator[SupervisorSite]:
    with full_shift_at(tmp_path, MOSCOW) as one:
        yield one


def text(answer: httpx.Response, section: str = "") -> str:
    """What a person reads, of one section or all."""
    assert answer.status_code == 200, answer.text
    body = answer.text
    if section:
        found = re.search(rf'<section id="{section}".*?</section>', body, re.DOTALL)
        assert found is not None, section
        body = found[0]
    body = re.sub(r"<template.*?</template>", "", body, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def page(served: SupervisorSite, section: str = "", query: str = "") -> str:
    return text(served.supervisor().get(f"/supervisor{query}"), section)


# -- who -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_nobody_but_a_supervisor(empty: SupervisorSite, path: str) -> None:
    assert empty.browser().get(path).status_code == 401
    refused = empty.come_in(OPERATOR, PASSWORD).get(path)
    assert refused.status_code == 403
    assert "error" in refused.json()


def test_whoever_opens_the_page_without_a_session_is_led_to_the_door(empty: SupervisorSite) -> None:
    answer = empty.browser(headers={"Sec-Fetch-Mode": "navigate"}).get("/supervisor")
    assert (answer.status_code, answer.headers["location"]) == (303, "/enter?next=/supervisor")


def test_a_supervisor_begins_here(empty: SupervisorSite) -> None:
    assert empty.supervisor().get("/").headers["location"] == "/supervisor"


# -- an empty day --------------------------------------------------------------------------------------


def test_every_page_names_the_zone_of_its_times(full: SupervisorSite) -> None:
    page = full.supervisor().get("/supervisor")
    links = sorted(set(re.findall(r'href="(/supervisor/(?:callbacks|calls)/[^"#?]+)"', page.text)))
    assert {link.split("/")[2] for link in links} == {"callbacks", "calls"}
    for answer in (
        page,
        *(full.supervisor().get(html.unescape(link)) for link in links[:2] + links[-2:]),
    ):
        assert "Часовой пояс: Europe/Moscow" in text(answer)


def test_a_zone_that_nobody_set_is_told_on_the_page() -> None:
    told = SupervisorLabels(NOW, UTC, NOW, NOW, zone_is_machines=True).zone
    assert told == "не задан, взят серверный: UTC"


def test_an_empty_day_is_calm(empty: SupervisorSite) -> None:
    said = page(empty)
    for told in (
        "✓ Критичного нет", "0 из 0 исполнено", "Сейчас никто не разговаривает",
        "Таких перезвонов нет", "Фраз сценария ещё не понадобилось", "Звонков нет",
    ):  # fmt: skip
        assert told in said, told
    assert "<title>Смена</title>" in empty.supervisor().get("/supervisor").text


# -- the sections --------------------------------------------------------------------------------------


def test_what_is_critical(full: SupervisorSite) -> None:
    answer = full.supervisor().get("/supervisor")
    assert "<title>(2) Смена</title>" in answer.text
    said = text(answer, "critical")
    assert "Критичное: 2" in said
    assert (
        "Перезвон просрочен 7 мин Звонит Сергей Климов → Сергей Ильич , +79261112233 срок 14:23:00 · "
        "клиента не слышно в диалоге · попытка 1 из 3"
    ) in said
    assert "Перезвон не сделать: нет номера 3 мин Звонит Дарья Ким" in said
    assert "доб. 12 (не номер)" in said


def test_what_may_have_ended_well_is_marked_and_not_critical_before_its_time(
    empty: SupervisorSite,
) -> None:
    empty.shift.ask(NOW - timedelta(seconds=150), 120.0, reason="unconfirmed", phone=None)
    assert "Критичного нет" in page(empty, "critical")
    assert "не подтверждено, что попрощались" in page(empty, "callbacks")
    empty.shift.ask(NOW - timedelta(seconds=300), 120.0, reason="unconfirmed", phone=None)
    said = page(empty, "critical")
    assert "Критичное: 1" in said
    assert "нет номера. Не подтверждено: может быть, попрощались" in said


def test_what_is_offered_and_nobody_calls_is_critical_after_a_minute_with_since_when(
    empty: SupervisorSite,
) -> None:
    shift, begun = empty.shift, NOW - timedelta(seconds=61)
    one = shift.ask(begun, 0.0, name="Вера", operator="anna")
    shift.offer(one, begun + timedelta(seconds=1))
    fresh = shift.ask(NOW - timedelta(seconds=60), 0.0, name="Олег", operator="anna")
    shift.offer(fresh, NOW - timedelta(seconds=60))
    said = page(empty, "critical")
    assert "Критичное: 1" in said
    assert "Перезвон предложен, но никто не звонит 1 мин Предложен 14:29:00 : anna → Вера" in said
    assert "✗ просрочен: предложен, никто не взял 1 мин , с 14:29:00" in page(empty, "callbacks")
    shift.store.accept(one.id, "boris", Actor("panel:boris", NOW - timedelta(seconds=5)))
    assert "Критичного нет" in page(empty, "critical")
    said = page(empty, "callbacks")
    assert "boris звонок идёт 5 с , с 14:29:55" in said
    story = text(empty.supervisor().get(f"/supervisor/callbacks/{one.id}"))
    assert "Звонит boris" in story
    assert "предложен оператору" in story
    assert "оператор взял: звонит boris" in story


def test_alarms_are_critical_once(full: SupervisorSite) -> None:
    shift = full.shift
    late = shift.app_state.queries.overdue(NOW)
    for one in late:
        shift.alarms.sound(Kind.OVERDUE, one.id, NOW)
        shift.alarms.sound(Kind.NEEDS_NUMBER, one.id, NOW)
    shift.alarms.sound(Kind.NEEDS_TIME, "tomorrow", NOW)  # its time has not passed
    shift.alarms.sound(Kind.NODE, "desk-2", NOW - timedelta(minutes=1), "3 attempts taken over")
    shift.alarms.sound(Kind.UNREPORTED, "k3v", NOW)
    shift.failing = ["promise", "overdue"]
    said = page(full, "critical")
    assert "Критичное: 5" in said
    assert "Один из серверов не отвечает 1 мин с 14:29:00 desk-2 3 attempts taken over" in said
    assert "Исход звонка так и не сказан" in said
    assert "Сервер не справляется overdue, promise" in said
    assert 'href="/supervisor/callbacks/k3v"' in full.supervisor().get("/supervisor").text


def test_a_request_that_is_lost_is_critical(full: SupervisorSite) -> None:
    with full.shift.store.database.writing() as c:
        c.exec_driver_sql("DELETE FROM requests WHERE key = 'request 1'")
    full.shift.alarms.sound(Kind.PROMISE, "", NOW)
    said = page(full)
    assert "Критичное: 3 Просьбы о перезвоне не сходятся: потеряно 1" in said
    assert "За всё время: обещано 26, открыто 6, потеряно 1" in said


ASKS = {
    "t": 20.0, "kind": "callback", "reason": "dropped", "due_in_s": 0.0, "opening": "Здравствуйте",
    "phone": "+79161234567", "name": EVIL,
}  # fmt: skip


def forms(page: str) -> list[dict[str, str]]:
    """The fields of the forms that make a callback."""
    found = re.findall(r'<form method="post" action="/supervisor/callbacks">.*?</form>', page)
    pattern = r'name="(\w+)" value="([^"]*)"'
    return [{n: html.unescape(v) for n, v in re.findall(pattern, one)} for one in found]


def test_a_callback_that_was_never_requested_is_critical_and_made_with_one_click(
    empty: SupervisorSite,
) -> None:
    shift, boss = empty.shift, empty.supervisor()
    began = NOW - timedelta(minutes=5)
    call = shift.call(f"pbx/1 {EVIL}", began, 2.5, operator="anna", more=[ASKS])
    shift.alarms.sound(Kind.LOST, call, NOW)
    said = page(empty, "critical")
    assert "Критичное: 1 Перезвон потерян: звонок его обещал, а просьба не пришла" in said
    assert "Говорил anna , звонок закончился 14:25:" in said
    assert "потеряно 1" in page(empty, "promise")
    [form] = forms(boss.get("/supervisor").text)
    assert form["call"] == call
    made = boss.post("/supervisor/callbacks", data=form)
    assert made.status_code == 303
    story = text(boss.get(made.headers["location"]))
    assert f"{EVIL}, +79161234567" in story
    assert f"запрошен {BOSS}" in story
    assert "Критичное: 1 Перезвон просрочен" in page(empty, "critical")
    assert "потеряно 0" in page(empty, "promise")
    again = boss.post("/supervisor/callbacks", data=form)
    assert again.headers["location"] == made.headers["location"]


@pytest.mark.parametrize(
    ("csrf", "call", "status"),
    [(False, True, 403), (True, False, 409)],
)
def test_who_does_not_come_from_the_page_or_names_no_such_call_makes_no_callback(
    empty: SupervisorSite, csrf: bool, call: bool, status: int
) -> None:
    empty.shift.call("pbx-1", NOW - timedelta(minutes=5), 2.5, more=[ASKS])
    boss = empty.supervisor()
    [form] = forms(boss.get("/supervisor").text)
    form |= ({} if csrf else {"csrf": "x"}) | ({} if call else {"call": "pbx-2"})
    answer = boss.post("/supervisor/callbacks", data=form)
    assert answer.status_code == status
    assert "error" in answer.json()
    assert (
        empty.come_in(OPERATOR, PASSWORD).post("/supervisor/callbacks", data=form).status_code
        == 403
    )
    assert empty.browser().post("/supervisor/callbacks", data=form).status_code == 401
    assert len(empty.shift.calls.lost(NOW)) == 1


def test_what_was_merged_is_seen_in_the_list_and_in_the_history(empty: SupervisorSite) -> None:
    about = {"phone": "+79161234567", "name": "Вера", "extension": "100"}
    first = empty.shift.ask(NOW, 600.0, operator="anna", topic="чек", **about)
    again = empty.shift.ask(NOW, 0.0, operator="olga", topic="доставка", **about)
    assert again.id == first.id
    listed = page(empty, "callbacks")
    assert "и ещё 1 просьба" in listed
    assert "+79161234567, доб. 100" in listed
    story = text(empty.supervisor().get(f"/supervisor/callbacks/{first.id}"))
    assert "Просьбы" in story
    assert "anna клиента не слышно в диалоге через 10 мин Вера доб. 100 чек" in story
    assert "olga клиента не слышно в диалоге сразу Вера доб. 100 доставка" in story


def test_the_promise_of_the_day(full: SupervisorSite) -> None:
    assert page(full, "promise") == (
        "Обещание 19 из 25 исполнено обещано 26 дозвонились 14 клиент позвонил сам 3 "
        "не дозвонились после 3 попыток 2 отменено 1 открыто 6 потеряно 0 "
        "Считаются просьбы, принятые за это время: обещано = дозвонились + позвонил сам + не дозвонились "
        "+ отменено + открыто + потеряно. За всё время: обещано 26, открыто 6, потеряно 0"
    )


def test_the_floor(full: SupervisorSite) -> None:
    said = page(full, "floor")
    assert said.index("Дарья Ким") < said.index("Сергей Климов") < said.index("Мария Орлова")
    assert "Анна Белова Анна Львовна Диалог 3:42 клиента не слышно 2,3 с 2–3 с" in said
    assert "оператор должен сказать Анна Львовна, вас не слышно" in said
    assert "Ждут звонка: 2 Елена Сухова, Никита Рощин" in said


@pytest.mark.parametrize(
    ("state", "count"),
    [
        ("open", 6), ("due", 3), ("overdue", 2), ("reached", 14), ("not_reached", 2),
        ("client_called", 3), ("cancelled", 1), ("", 26), ("nonsense", 26),
    ],
)  # fmt: skip
def test_callbacks_by_state(full: SupervisorSite, state: str, count: int) -> None:
    supervisor = full.supervisor()
    answer = supervisor.get(f"/supervisor?state={state}").text
    assert len(re.findall(r'<tr data-key="[0-9a-z]{12}"', answer)) == count
    told = "открытые 6 пора звонить 3 просроченные 2 дозвонились 14 не дозвонились 2"
    assert told in text(supervisor.get("/supervisor"), "callbacks")


def test_the_steps_of_the_day(full: SupervisorSite) -> None:
    said = page(full, "steps")
    assert "70 % в своём окне в окне 42 вне окна 18 не понадобилось 0 звонков 60" in said
    assert (
        "14:02:19 Павел Громов Прощание в диалоге 2–3 с 4,15 с ✗ позже окна на 1,15 с разбор"
    ) in said
    assert "✗ раньше окна на 0,3 с" in said
    assert "Павел Громов 50 6 6 6 0 2" in said
    assert "09:00 70 10 7 3 0 7" in said


def test_the_calls_of_the_day_and_more(full: SupervisorSite) -> None:
    supervisor = full.supervisor()
    first = supervisor.get("/supervisor").text
    rows = re.findall(r'<tr data-key="(гарнитура-[^"]*)"', first)
    assert len(rows) == 50
    assert rows[0] == "гарнитура-9:0059"
    [more] = re.findall(r'href="\?(after=[^"]*)#calls"', first)
    rest = re.findall(
        r'<tr data-key="(гарнитура-[^"]*)"', supervisor.get(f"/supervisor?{more}").text
    )
    assert len(rest) == 10
    assert not {*rows} & {*rest}
    assert "Сначала" in supervisor.get(f"/supervisor?{more}").text


def test_what_does_not_fit_is_counted(empty: SupervisorSite) -> None:
    for number in range(45):
        empty.shift.ask(NOW - timedelta(minutes=5), operator=f"оператор {number}")
        empty.shift.call(f"call {number}", NOW, 3.5, operator=f"оператор {number}")
    supervisor = empty.supervisor()
    said = text(supervisor.get("/supervisor"))
    assert "Критичное: 45" in said
    assert "И ещё 5" in said
    assert "Показаны последние 40 из 45" in said
    for _ in range(20):
        empty.shift.ask(NOW)
    assert "Показаны 1–50 из 65. Дальше" in text(supervisor.get("/supervisor"))
    last = supervisor.get("/supervisor?page=2").text
    assert len(re.findall(r'<tr data-key="[0-9a-z]{12}"', last)) == 15
    assert 'href="?#callbacks">Назад' in last


def rows(answer: httpx.Response) -> list[str]:
    """The ids of the callbacks in a table."""
    assert answer.status_code == 200
    return re.findall(r'<tr data-key="([0-9a-z]{12})"', answer.text)


def test_callbacks_by_operator_and_reason_with_the_numbers_of_each_state(
    empty: SupervisorSite,
) -> None:
    shift, supervisor = empty.shift, empty.supervisor()
    mine = shift.ask(operator="Анна", reason="dropped")
    upper = shift.ask(operator="АННА", reason="client_hold")
    nobodys = shift.ask(operator=None, reason="dropped")
    shift.end(shift.ask(operator="Борис"), "cancelled", NOW)
    assert set(rows(supervisor.get("/supervisor?operator=анна"))) == {mine.id, upper.id}
    assert rows(supervisor.get("/supervisor?operator=анна&reason=dropped")) == [mine.id]
    assert rows(supervisor.get("/supervisor?operator=*")) == [nobodys.id]
    assert rows(supervisor.get("/supervisor?operator=никто")) == []
    assert len(rows(supervisor.get("/supervisor?reason=unknown"))) == 4
    said = text(supervisor.get("/supervisor?operator=анна"), "callbacks")
    assert "все 2 открытые 2" in said
    assert "отменённые 0" in said
    options = re.findall(
        r'<option value="([^"]*)"', supervisor.get("/supervisor").text.split("Причина")[0]
    )
    assert len([one for one in options if one.casefold() == "анна"]) == 1


def test_orders_are_links_that_turn_round_and_keep_the_rest(empty: SupervisorSite) -> None:
    supervisor = empty.supervisor()
    ids = [empty.shift.ask(NOW - timedelta(minutes=n), operator=f"o{n % 2}").id for n in range(3)]
    asked = supervisor.get("/supervisor?sort=created&operator=o0")
    assert rows(asked) == [ids[2], ids[0]]
    assert 'aria-sort="ascending"' in asked.text
    [link] = re.findall(r'<a href="\?([^"]*)#callbacks">Запрошен', asked.text)
    assert html.unescape(link) == "operator=o0&sort=-created"
    assert rows(supervisor.get(f"/supervisor?{html.unescape(link)}")) == [ids[0], ids[2]]
    assert rows(supervisor.get("/supervisor?sort=name")) == rows(supervisor.get("/supervisor"))


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 400, "٢"])
def test_a_page_that_is_none(full: SupervisorSite, page: str) -> None:
    answer = full.supervisor().get("/supervisor", params={"page": page})
    assert answer.status_code == 200


def test_a_night_is_one_page_with_its_own_figures(empty: SupervisorSite) -> None:
    shift, supervisor = empty.shift, empty.supervisor()
    evening, morning, day = (
        datetime(2026, 3, 10, 19, tzinfo=UTC), datetime(2026, 3, 11, 1, tzinfo=UTC),
        datetime(2026, 3, 11, 9, tzinfo=UTC),
    )  # fmt: skip
    for number, at in enumerate((evening, morning, day)):
        shift.call(f"call {number}", at, 3.4)
        shift.end(shift.ask(at), "client_called", at)
    answer = supervisor.get("/supervisor?day=2026-03-10&from=18:00&to=06:00")
    assert "<title>Смена, 10.03.2026 18:00–06:00</title>" in answer.text
    assert len(rows(answer)) == 2
    assert "2 = 2 запрошены за это время + 0 раньше" in text(answer, "callbacks")
    assert "обещано 2 дозвонились 0 клиент позвонил сам 2" in text(answer, "promise")
    assert "вне окна 2" in text(answer, "steps")
    assert "22:00 0 1 0 1 0 1 04:00 0 1 0 1 0 1 Всего 0 2 0 2 0 2" in text(answer, "steps")
    assert "04:00:00" in text(answer, "callbacks"), "its time needs no date"
    assert set(re.findall('data-key="(call .)"', answer.text)) == {"call 0", "call 1"}
    again = supervisor.get("/supervisor?from=18:00&to=06:00")  # the last night
    assert rows(again) == rows(answer)
    csv_link = "/supervisor/callbacks.csv?day=2026-03-10&from=18:00&to=06:00"
    file = supervisor.get(csv_link)
    assert len(file.text.splitlines()) == 3
    assert 'filename="callbacks-2026-03-10-1800-0600.csv"' in file.headers["content-disposition"]
    assert html.escape(csv_link.partition("?")[2]) in answer.text


def test_the_sums_agree_or_say_what_they_count(empty: SupervisorSite) -> None:
    shift = empty.shift
    old = NOW - timedelta(days=2)
    shift.ask(old, phone="+79261110000")  # open since
    shift.ask(NOW, phone="+79261112233", name="Анна")
    shift.ask(NOW, phone="+79261112233", name="Анна")  # merged
    said = text(empty.supervisor().get("/supervisor"), "callbacks")
    assert "2 = 1 запрошены за это время + 1 раньше" in said
    assert "Просьб за это время 2: несколько просьб одного клиента — один перезвон" in said
    before = text(empty.supervisor().get("/supervisor?day=2026-03-09"), "callbacks")
    assert "1 = 1 запрошены за это время + 0 раньше, но закончены за это время." in before


@pytest.mark.parametrize("query", ["8 (926) 111-22", "ИЛЬИЧ", "Климов", "9261112233"])
def test_the_search_finds_a_callback_of_any_day(full: SupervisorSite, query: str) -> None:
    answer = full.supervisor().get("/supervisor/search", params={"q": query})
    said = text(answer)
    assert "Сергей Ильич" in said
    assert "✗ просрочен" in said


def test_the_search_says_what_it_did_not_find_and_shows_what_was_typed(
    full: SupervisorSite,
) -> None:
    supervisor = full.supervisor()
    for query in (EVIL, "никто", "\x00", "9" * 2000):
        answer = supervisor.get("/supervisor/search", params={"q": query})
        assert "Ничего не найдено" in text(answer)
        assert "<img" not in answer.text
    assert "Что искать?" in text(supervisor.get("/supervisor/search"))


def test_a_number_of_250_digits_is_cut_in_the_lists_and_whole_in_the_card(
    empty: SupervisorSite,
) -> None:
    one = empty.shift.ask(NOW - timedelta(minutes=5), phone=None, phone_given="9" * 250)
    supervisor = empty.supervisor()
    for path in ("/supervisor", "/supervisor/search?q=999"):
        answer = supervisor.get(path).text
        assert "9" * 41 not in answer
        assert f"{'9' * 23}… (не номер)" in answer
    assert "9" * 250 in supervisor.get(f"/supervisor/callbacks/{one.id}").text


# -- one thing -----------------------------------------------------------------------------------------


def test_a_callback_with_all_that_happened(full: SupervisorSite) -> None:
    queries = full.shift.app_state.queries
    one = next(found for found in queries.all() if found.attempt == 3)
    answer = full.supervisor().get(f"/supervisor/callbacks/{one.id}")
    said = text(answer)
    assert f"Перезвон {one.id}" in said
    assert "3 11.03.2026 13:11:55 11.03.2026 13:12:20 не ответил" in said
    assert "запрошен headset" in said
    assert "попытка началась desk-1 состояние: ждёт времени → звонок идёт" in said
    assert "срок 13:08:00 → 13:09:30, попытка 1 → 2" in said
    [call] = queries.calls_of(one.id)
    assert f'href="/supervisor/calls/{quote(call, safe="")}"' in answer.text


def test_a_call_with_its_phrases_and_its_picture(full: SupervisorSite) -> None:
    supervisor = full.supervisor()
    answer = supervisor.get(f"/supervisor/calls/{quote('гарнитура-8:0008', safe='')}")
    said = text(answer)
    assert "✗ Вне окна: 1" in said
    assert f"2 Прощание в диалоге {FAREWELL} 0:19,95 2–3 с 4,15 с сказана ✗ позже окна" in said
    assert "0:05,0 этап: диалог" in said
    pictures = [html.unescape(one) for one in re.findall(r'<img src="([^"]*)"', answer.text)]
    assert len(pictures) == 2
    for path in pictures:
        drawn = supervisor.get(path)
        assert drawn.headers["content-type"] == "image/svg+xml"
        assert drawn.text.startswith("<svg ")
        assert "default-src 'none'" in drawn.headers["content-security-policy"]
        assert drawn.headers["cache-control"] == "private, max-age=600"
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert FAREWELL not in drawn.text


def test_without_matplotlib_the_call_is_told_in_words(
    full: SupervisorSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_view, "find_spec", lambda _: None)
    supervisor = full.supervisor()
    answer = supervisor.get(f"/supervisor/calls/{quote('гарнитура-8:0008', safe='')}")
    assert "<img" not in answer.text
    assert "<details open>" in answer.text
    assert "Прощание в диалоге: позже окна на 1,15 с" in text(answer)
    asked = supervisor.get("/supervisor/picture.svg", params={"call": "гарнитура-8:0008", "row": 0})
    assert asked.status_code == 404


def test_yesterdays_calls_are_told_with_what_was_wrong_and_a_link_to_each(
    full: SupervisorSite,
) -> None:
    supervisor = full.supervisor()
    today = supervisor.get("/supervisor/verdicts?day=2026-03-11")
    said = text(today)
    assert "Разбор звонков 11.03.2026" in said
    assert "Прощание в диалоге: позже окна на 1,15 с" in said
    assert f'href="/supervisor/calls/{quote("гарнитура-8:0008", safe="")}"' in today.text
    assert 'href="/supervisor/verdicts?day=2026-03-10"' in supervisor.get("/supervisor").text
    yesterday = text(supervisor.get("/supervisor/verdicts"))
    assert "Разбор звонков 10.03.2026" in yesterday


def test_a_call_tells_what_was_wrong_with_its_second(full: SupervisorSite) -> None:
    answer = full.supervisor().get(f"/supervisor/calls/{quote('гарнитура-8:0008', safe='')}")
    wrong = text(answer).split("Что не так ")[1].split("Фразы")[0]
    assert "0:20,0 Прощание в диалоге: позже окна на 1,15 с" in wrong


def test_a_call_whose_trace_is_erased(full: SupervisorSite) -> None:
    with full.shift.store.database.writing() as c:
        c.exec_driver_sql("UPDATE calls SET lines = NULL")
    assert "Ход звонка стёрт" in text(full.supervisor().get("/supervisor/calls/гарнитура-8:0008"))


@pytest.mark.parametrize(
    "line",
    [
        {"t": 1.0, "kind": "speech"},
        {"t": 1.0, "kind": "line", "channel": "client", "since_s": "x", "state": []},
        {"t": 1.0, "kind": "phase", "phase": {}},
        {"t": 1.0, "kind": "event", "event": None},
        {"t": 1.0, "kind": "callback", "due_in_s": "soon"},
    ],
)
def test_a_trace_that_is_none(empty: SupervisorSite, line: dict[str, Any]) -> None:
    call = empty.shift.call("broken", NOW, 2.5, more=[line])
    supervisor = empty.supervisor()
    assert "✓ По сценарию" in text(supervisor.get(f"/supervisor/calls/{call}"))
    params: dict[str, str | int] = {"call": call, "row": 0}
    assert supervisor.get("/supervisor/picture.svg", params=params).status_code in (200, 404)


def test_a_call_of_ten_hours_is_shown(empty: SupervisorSite) -> None:
    speech = [
        {"t": t + 1.0, "kind": "speech", "channel": "client", "start_s": float(t), "end_s": t + 1.0}
        for t in range(40, 36_000, 2)
    ]
    call = empty.shift.call("long", NOW, 2.5, more=speech)
    supervisor = empty.supervisor()
    answer = supervisor.get(f"/supervisor/calls/{call}")
    assert len(answer.content) < 100_000
    assert 1 < answer.text.count("<img") <= 31
    drawn = supervisor.get("/supervisor/picture.svg", params={"call": call, "row": 0})
    assert drawn.status_code == 200
    assert len(drawn.content) < 300_000


@pytest.mark.parametrize(
    "path",
    [
        "/supervisor/calls/none", "/supervisor/callbacks/none", "/supervisor/picture.svg",
        "/supervisor/picture.svg?call=none&row=0", "/supervisor/picture.svg?call=none&row=x",
        "/supervisor/picture.svg?call=гарнитура-8:0008&row=999", "/supervisor/people.csv",
    ],
)  # fmt: skip
def test_what_is_not_there(full: SupervisorSite, path: str) -> None:
    answer = full.supervisor().get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Здесь ничего нет"})


# -- days ----------------------------------------------------------------------------------------------


def test_a_day_has_its_own_figures_and_now_is_now(full: SupervisorSite) -> None:
    said = page(full, query="?day=2026-03-10")
    assert "Обещание, 10.03.2026 0 из 0 исполнено" in said
    assert "Критичное: 2" in said
    assert "Дарья Ким" in said
    assert "Таких перезвонов нет" in said
    answer = full.supervisor().get("/supervisor?day=2026-03-10").text
    assert 'href="?day=2026-03-09"' in answer
    assert 'href="?day=2026-03-11"' in answer
    assert "?day=2026-03-10&amp;state=open#callbacks" in answer


@pytest.mark.parametrize("day", ["", "yesterday", "0001-01-01", "9999-12-31", "2026-02-30", EVIL])
def test_a_day_that_is_none_is_today(empty: SupervisorSite, day: str) -> None:
    answer = empty.supervisor().get("/supervisor", params={"day": day})
    assert "Смена 11.03.2026" in text(answer)


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("Europe/Moscow", "2026-03-10T20:59:59+00:00", "2026-03-10"),
        ("Europe/Moscow", "2026-03-10T21:00:00+00:00", "2026-03-11"),
        ("Asia/Vladivostok", "2026-03-11T14:00:00+00:00", "2026-03-12"),
        ("Asia/Kolkata", "2026-03-10T18:30:00+00:00", "2026-03-11"),
        ("America/New_York", "2026-03-08T04:59:59+00:00", "2026-03-07"),
        ("America/New_York", "2026-03-09T03:59:59+00:00", "2026-03-08"),
    ],
)
def test_a_day_begins_at_the_centres_midnight(tmp_path: Path, zone: str, at: str, day: str) -> None:
    with shift_at(tmp_path, ZoneInfo(zone)) as one:
        one.shift.call("at the border", datetime.fromisoformat(at))
        answer = one.supervisor().get(f"/supervisor?day={day}")
        assert 'data-key="at the border"' in answer.text


def test_days_of_23_and_25_hours() -> None:
    zone = ZoneInfo("America/New_York")
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert len(ReportingPeriod.of("2026-03-08", None, None, now, zone).hours) == 23
    assert len(ReportingPeriod.of("2026-11-01", None, None, now, zone).hours) == 25


# -- CSV -----------------------------------------------------------------------------------------------


def table(served: SupervisorSite, name: str, day: str = "2026-03-11") -> list[list[str]]:
    answer = served.supervisor().get(f"/supervisor/{name}.csv?day={day}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = f'attachment; filename="{name}-{day}.csv"'
    assert answer.headers["content-disposition"] == disposition
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))


def test_a_day_as_files(full: SupervisorSite) -> None:
    calls = table(full, "calls")
    assert len(calls) == 61
    assert calls[1] == [
        "гарнитура-9:0059", "Ольга Дёмина", "говорит программа", "2026-03-11 14:08:00", "31,50",
        "0", "0", "0", "нет",
    ]  # fmt: skip
    steps = table(full, "steps")
    assert len(steps) == 61
    assert steps[-1][5:] == ["3,00", "4,15", "сказана", "позже окна на 1,15 с"]
    callbacks = table(full, "callbacks")
    assert len(callbacks) == 27
    assert callbacks[1][1:5] == ["ждёт времени", "Сергей Ильич", "'+79261112233", "Сергей Климов"]
    assert all(len(table(full, name, "2026-03-10")) == 1 for name in ("calls", "steps"))


def test_no_cell_is_computed_or_hides_signs(empty: SupervisorSite) -> None:
    shift = empty.shift
    shift.call('=cmd|"/c calc"!A1', NOW, 2.5, operator="@SUM(A1)")
    shift.ask(NOW, name="=1+1", topic="a;b\n\u202ec", operator="-2", phone=None, phone_given="+1")
    assert table(empty, "calls")[1][:2] == ['\'=cmd|"/c calc"!A1', "'@SUM(A1)"]
    [_, row] = table(empty, "callbacks")
    assert row[2:7] == ["'=1+1", "'+1", "'-2", "клиента не слышно в диалоге", "a;b  c"]


def test_more_calls_than_are_read_at_once(
    empty: SupervisorSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vad_agent.web.supervisor_csv.AT_ONCE", 3)
    for number in range(7):
        empty.shift.call(f"{number}", NOW)
    assert [row[0] for row in table(empty, "calls")[1:]] == ["6", "5", "4", "3", "2", "1", "0"]


# -- what is hostile, and faults -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        EVIL,
        "a/b/../c",
        "?x=1#y",
        "%2F%00",
        "звонок «1»",
        "a b+c",
        "/",
        "//evil",
        "calls.csv",
        "x" * 200,
    ],
)
def test_a_call_of_any_name_is_found(empty: SupervisorSite, call: str) -> None:
    empty.shift.call(call, NOW, 3.5, operator=EVIL)
    one = empty.shift.ask(NOW, call=call)
    supervisor = empty.supervisor()
    for path in ("/supervisor", f"/supervisor/callbacks/{one.id}"):
        answer = supervisor.get(path).text
        assert "<img" not in answer
        [link, *_] = re.findall(r'href="(/supervisor/calls/[^"]*)"', answer)
        found = supervisor.get(link)
        assert call in text(found)
        assert "<img src=x" not in found.text
        [picture, *_] = re.findall(r'<img src="([^"]*)"', found.text)
        assert supervisor.get(html.unescape(picture)).status_code == 200


def test_no_text_becomes_markup(empty: SupervisorSite) -> None:
    shift = empty.shift
    one = shift.ask(
        NOW - timedelta(minutes=5), name=EVIL, topic=EVIL, opening=EVIL, operator=EVIL, phone=None,
        phone_given=EVIL, reason=EVIL[:32],
    )  # fmt: skip
    rung = shift.ask(NOW - timedelta(minutes=1), operator=EVIL)
    shift.ring(rung, NOW, Outcome.REACHED, detail=EVIL)
    shift.alarms.sound(Kind.NODE, EVIL, NOW, EVIL)
    shift.alarms.sound(Kind.UNREPORTED, EVIL, NOW)
    shift.failing = [EVIL]
    empty.show(EVIL, silent(2.5))
    supervisor = empty.supervisor()
    for path in (
        "/supervisor",
        f"/supervisor/callbacks/{one.id}",
        f"/supervisor/callbacks/{rung.id}",
    ):
        answer = supervisor.get(path)
        assert "<img" not in answer.text
        assert EVIL[:16] in text(answer)


def test_a_store_that_does_not_answer(
    full: SupervisorSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StoreError("away")

    supervisor = full.supervisor()
    for name in ("overdue", "of_day", "counts_of_day"):
        monkeypatch.setattr(full.shift.app_state.queries.__class__, name, away)
    answer = supervisor.get("/supervisor")
    assert answer.status_code == 503
    assert "База данных не отвечает" in answer.text
    assert "Дарья Ким" in answer.text
    assert supervisor.get("/supervisor/callbacks.csv").status_code == 503


def test_nothing_of_a_page_is_logged(
    full: SupervisorSite, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = full.supervisor()
    supervisor.get("/supervisor")
    supervisor.get("/supervisor/calls/гарнитура-8:0008")
    supervisor.get("/supervisor/callbacks.csv")
    assert not [record for record in caplog.records if "vad_agent" in record.name]


def test_the_stream_is_the_floor(full: SupervisorSite) -> None:
    with full.supervisor().stream("GET", "/supervisor/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                break
    assert '"whole":true' in line
    assert OPERATORS[0] in line
    assert BOSS not in line
