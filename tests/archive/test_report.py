"""The supervisor's page of an audit: its sums, its lists, and its filters in a browser without a server."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.web.browser import browser  # noqa: F401 - a fixture
from vad_agent.archive import calls_csv, parquet_tables, report_data, report_page
from vad_agent.archive.call_audit import AuditJob, AuditPlan
from vad_agent.archive.call_pictures import picture
from vad_agent.archive.rows import CALL_COLUMNS

MOSCOW = ZoneInfo("Europe/Moscow")
NOON = datetime(2026, 11, 30, 9, tzinfo=UTC)


def call(number: int, **more):
    row = dict.fromkeys(CALL_COLUMNS) | {
        "id": f"/calls/{number}.wav", "source": f"/calls/{number}.wav", "operator": f"10{number % 2}",
        "began": NOON + timedelta(days=number % 3, hours=number % 4), "kind": "recording", "channels": 2,
        "seconds": 60.0, "scenario": "normal", "told": True, "owed": False, "phrases_right": 1,
        "phrases_wrong": 0, "dead_air_s": 0.0, "hold_s": 0.0, "greeting_latency_s": 1.5,
        "response_latency_s": 0.7,
    }  # fmt: skip
    return row | more


def collected(*calls, states=None):
    return report_data.collect(calls, states or {}, MOSCOW)


def total(data, name):
    return sum(sums[report_data.SUMS.index(name)] for sums in data.cells.values())


def test_a_call_is_counted_at_its_day_and_hour_in_the_centres_zone():
    data = collected(call(0, began=datetime(2026, 11, 30, 22, 30, tzinfo=UTC)), call(1, began=None))
    assert set(data.cells) == {("2026-12-01", "100", 1), ("", "101", -1)}


def test_sums_are_those_of_the_calls():
    wrong = call(1, phrases_wrong=2, phrases_early=2, no_greeting=True, greeting_latency_s=7.0,
                 dead_air_s=12.0, dead_air_operator_s=12.0)  # fmt: skip
    dead = call(
        2,
        phrases_wrong=1,
        phrases_missing=1,
        dead_air_s=25.0,
        dead_air_line_s=20.0,
        no_greeting=True,
        greeting_latency_s=None,
    )
    data = collected(call(0), wrong, dead, call(3, error="no audio", told=None))
    expected = {"calls": 4, "unreadable": 1, "wrong": 3, "wrong_calls": 2, "early_calls": 1, "left_calls": 0,
                "no_greeting": 1, "late_greeting": 1, "dead_operator_s": 12, "dead_line_s": 20,
                "dead_client_s": 5, "wait_calls": 1, "line_calls": 1, "greeted": 2,
                "seconds": 180}  # fmt: skip
    assert {name: total(data, name) for name in expected} == expected


def test_each_call_is_in_one_bin_of_each_distribution():
    data = collected(
        *(call(n, greeting_latency_s=n, dead_air_longest_s=n * 8.0) for n in range(12))
    )
    place = len(report_data.SUMS)
    for name, edges in report_data.BINS.items():
        counts = [sum(s[place + n] for s in data.cells.values()) for n in range(len(edges) + 1)]
        assert sum(counts) == 12, name
        place += len(edges) + 1


def test_the_worst_calls_are_the_worst_first_and_no_more_than_are_shown(monkeypatch):
    monkeypatch.setattr(report_data, "MOST_WORST", 3)
    data = collected(*(call(n, phrases_wrong=n % 5) for n in range(20)))
    assert [one["phrases_wrong"] for one in data.worst] == [4, 4, 4]
    assert [one["id"] for one in data.worst] == ["/calls/4.wav", "/calls/9.wav", "/calls/14.wav"]


def test_missing_callbacks_are_listed_and_the_rest_counted(monkeypatch):
    monkeypatch.setattr(report_data, "MOST_OWED", 2)
    calls = [call(n, owed=True) for n in range(4)]
    states = {one["id"]: "missing" for one in calls} | {"/calls/0.wav": "kept"}
    data = collected(*calls, states=states)
    assert ([one["id"] for one in data.owed], data.owed_left_out) == (
        ["/calls/1.wav", "/calls/2.wav"],
        1,
    )
    assert total(data, "missing") == 3


def test_too_many_cells_become_months(monkeypatch):
    monkeypatch.setattr(report_data, "MOST_CELLS", 5)
    calls = [call(0, began=NOON + timedelta(days=n)) for n in range(40)]
    data = collected(*calls)
    assert {day for day, _, _ in data.cells} == {"2026-11", "2026-12", "2027-01"}
    assert total(data, "calls") == 40


def page_of(*calls, states=None, pictures=None):
    return report_page.html(collected(*calls, states=states), pictures or {}, title="Ноябрь")


def test_no_name_of_a_file_can_become_markup():
    evil = "/calls/</script><img src=x onerror=alert(1)>.wav"
    html = page_of(call(0, source=evil, id=evil, operator="<b>&", phrases_wrong=1))
    assert "<img" not in html
    assert "<b>&" not in html
    assert html.count("</script>") == 2


def test_the_page_asks_for_nothing_outside_of_itself():
    html = page_of(call(0, phrases_wrong=1))
    assert not re.search(r'(src|href)="(?!file://|#)', html)
    assert "http" not in re.sub("http-equiv|http://www.w3.org/[^\"']*", "", html)
    assert "default-src 'none'" in html


def test_each_fault_has_its_second():
    bad = call(0, phrases_wrong=1, no_greeting=True, no_greeting_at_s=5.0, dropped=True, dropped_at_s=70.0,
               spoke_over=2, spoke_over_at_s=12.0, dead_air_s=15.0, dead_air_at_s=20.0,
               dead_air_longest_s=15.0, dead_air_cause="live", dead_air_waits_for="operator",
               hold_violation=True, hold_s=130.0, callback=None, greeting_latency_s=None)  # fmt: skip
    assert report_page.faults(bad) == [
        "1 фраза не по скрипту",
        "оператор не поздоровался (0:05)",
        "оборвался без прощания (1:10)",
        "оператор говорил поверх клиента 2 раза (0:12)",
        "пауза 15 с (0:20): ждали оператора, живая линия",
        "удержание 2 мин 10 с",
    ]


def test_the_timeline_shows_the_audits_verdicts(archive):
    source = str(next(iter(sorted(archive.glob("*.flac")))))
    svg = picture(AuditJob(source), source, AuditPlan(""))
    assert svg is not None
    assert svg.count("<figure>") >= 2
    assert "пропущена" in svg


@pytest.mark.parametrize("name", ["mono/mix.wav", "broken.wav", "gone.wav"])
def test_what_cannot_be_drawn_takes_no_page_with_it(archive, name):
    drawn = picture(AuditJob(str(archive / name)), str(archive / name), AuditPlan(""))
    assert (drawn is None) == (name != "mono/mix.wav")


def test_the_spreadsheet_is_russian(tmp_path):
    path = tmp_path / "calls.csv"
    calls = [call(0, dead_air_longest_s=12.5, operator="=1+1"), call(1, error="нет", seconds=None)]
    assert calls_csv.write(path, calls, {"/calls/0.wav": "late"}, MOSCOW, "cp1251") == 2
    head, first, second = path.read_bytes().decode("cp1251").splitlines()
    assert head.startswith("Запись;Начало;Оператор;Номер")
    assert first.startswith("/calls/0.wav;30.11.2026 12:00:00;'=1+1;;60;")
    assert ";12,5;" in first
    assert ";перезвонили поздно;" in first
    assert ";нет;" in second


def test_who_greeted_late_is_not_said_to_have_never_greeted():
    late = call(0, no_greeting=True, no_greeting_at_s=5.0, greeting_latency_s=7.42, callback=None)
    assert report_page.faults(late) == ["приветствие через 7,4 с"]


def answers(browser, tmp_path, data):  # noqa: F811
    """What the page answers, by its questions."""
    page = browser.new_page()
    page.goto(report_page.write(tmp_path, data, {}, title="Ноябрь").as_uri())
    found = {
        one.locator("h3").evaluate("h => h.firstChild.textContent"): one.locator("p").inner_text()
        for one in page.locator(".answer").all()
    }
    page.close()
    return found


def test_the_page_answers_what_a_supervisor_asks(browser, tmp_path):  # noqa: F811
    """Each of 12 operators has 40 calls; 3 have a fault in 20 of them; clients wait at 15:00."""
    calls, states = [], {}
    for number in range(480):
        operator, turn = number % 12, number // 12
        bad = turn % 2 == 0
        one = call(
            number, operator=f"op{operator}", owed=True, began=NOON + timedelta(hours=turn % 4)
        )
        if operator == 1 and bad:
            one |= {"no_greeting": True, "greeting_latency_s": 7.0}
        if operator == 2 and bad:
            one |= {"dead_air_s": 15.0, "dead_air_line_s": 15.0, "dead_air_longest_s": 15.0}
        if turn % 4 == 3 and operator % 3:
            one |= {"dead_air_s": 12.0, "dead_air_operator_s": 12.0, "dead_air_longest_s": 12.0}
        states[one["id"]] = "missing" if operator == 3 and bad else "kept"
        calls.append(one)
    found = answers(browser, tmp_path, collected(*calls, states=states))
    half = "50 % (20 из 40; от 35 до 65 %)"
    assert found["Кто поздно здоровается"] == f"op1 – {half}; у остальных – 0 %."
    assert found["Когда клиенты ждут"].startswith("15:00–15:59 – 67 % (80 из 120;")
    assert "По операторам: никто не выделяется" in found["Когда клиенты ждут"]
    assert "после 480 звонков: 20 раз никто не запросил" in found["Каких перезвонов нет"]
    assert f"Не запрашивает: op3 – {half}" in found["Каких перезвонов нет"]
    assert "Проверьте аппарат и линию: op2 – это не вина оператора." in found["Линия или люди"]
    assert "перезвон не запрошен" in found["Худший звонок"]


def test_a_few_calls_accuse_nobody(browser, tmp_path):  # noqa: F811
    """3 of 4 late greetings are no habit."""
    calls = [call(n, operator="op", no_greeting=n > 0, greeting_latency_s=7.0) for n in range(4)]
    calls += [call(n, operator=f"op{n % 8}") for n in range(4, 100)]
    found = answers(browser, tmp_path, collected(*calls))
    assert found["Кто поздно здоровается"] == "Никто не выделяется, в среднем: 3 % (3 из 100)."


def test_the_filters_work_from_a_file(browser, tmp_path):  # noqa: F811 - the fixture
    calls = [call(n, phrases_wrong=n % 2, owed=True) for n in range(12)]
    data = collected(*calls, states={one["id"]: "missing" for one in calls})
    path = report_page.write(tmp_path, data, {}, title="Ноябрь")
    complaints: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith("file:") else complaints.append(asked.url),
    )
    page.goto(path.as_uri())
    first = page.locator(".tile b").first
    rows = page.locator("tr[data-cell]:visible")
    assert (first.inner_text(), rows.count()) == ("12", 12)
    page.select_option("#operator", "101")
    assert (first.inner_text(), rows.count()) == ("6", 6)
    page.select_option("#from", "2026-12-02")
    assert (first.inner_text(), rows.count()) == ("2", 2)
    headlines = page.locator("#headlines").inner_text()
    page.select_option("#hour", "12")
    assert (
        page.locator("#headlines").inner_text() == headlines
    )  # one part has nothing to be compared with
    assert page.locator("[data-list] .none:visible").count() == 2
    page.click("#all")
    page.click("[data-column='1']")
    assert page.locator("th[aria-sort]").nth(1).get_attribute("aria-sort") == "descending"
    assert first.inner_text() == "12"
    assert complaints == []
    page.close()


def test_the_command_writes_the_page_with_the_worst_call_drawn(archive, run_audit, here, tmp_path):
    from vad_agent.cli.audit import _report

    out = run_audit(here, archive)
    html = _report(out, tmp_path / "page", AuditPlan(""), {}, MOSCOW).read_text("utf-8")
    cells = json.loads(re.search(r'id="data">(.*?)</script>', html)[1].replace("\\u003c", "<"))[
        "cells"
    ]
    assert sum(dict(cell[3])[0] for cell in cells) == len(list(parquet_tables.rows(out, "calls")))
    assert "<svg" in html
