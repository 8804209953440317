"""The supervisor's page of an audit: one HTML file that works without a server and without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vad_agent.archive.calls_csv import SCENARIOS, STATUSES
from vad_agent.archive.report_data import BINS, NOBODY, SUMS, WIDTH, ReportData
from vad_agent.common.private_files import private_folder, replacing, why
from vad_agent.errors import OutputError
from vad_agent.trace import labels_ru
from vad_agent.trace.report.page import STYLE

NAME = "index.html"
TITLES = {
    "greeting_latency_s": "До приветствия, секунд",
    "response_latency_s": "Ответ клиенту через, секунд",
    "dead_air_longest_s": "Самая длинная пауза в звонке, секунд",
}
_HERE = Path(__file__).parent


def write(
    folder: Path, data: ReportData, pictures: Mapping[str, str], *, title: str, links: bool = True
) -> Path:
    """Write the page into `folder`. `pictures`: timelines of calls, by id. `links`: to the recordings.

    Raises:
        OutputError: it cannot be written.
    """
    private_folder(folder)
    path = folder / NAME
    try:
        with replacing(path, durable=True) as file:
            file.write(html(data, pictures, title=title, links=links).encode(errors="replace"))
    except OSError as error:
        raise OutputError(f"{path}: cannot write the report: {why(error)}") from error
    return path


def html(data: ReportData, pictures: Mapping[str, str], *, title: str, links: bool = True) -> str:
    """The whole page."""
    script = (_HERE / "report_page.js").read_text(encoding="utf-8")
    style = STYLE + (_HERE / "report_page.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="ru">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1></header>
<main>
<section id="answers"><h2>Главное за весь срок</h2><div id="headlines"></div>
<p class="hint">Названы только те, кто отличается от остальных больше, чем бывает случайно. «От … до …»:
истинная доля с вероятностью 95 % лежит в этих пределах.</p></section>
{_filters(data)}
<div id="tiles"></div>
<section id="line-or-people"><h2>Линия или люди: кого ждали в паузах</h2><div id="line"></div></section>
<section><h2>По операторам</h2><p class="hint">Нажмите на заголовок, чтобы отсортировать.</p>
<div class="wide"><table id="operators"></table></div></section>
<section><h2>По дням</h2><div id="days"></div></section>
<section><h2>По часам</h2><div id="hours"></div></section>
<section><h2>Распределения</h2><div id="distributions"></div></section>
{_owed(data, links)}
{_worst(data, pictures, links)}
</main>
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _json(data: ReportData) -> str:
    """The cells, only what is not zero; no text can end the element that holds it."""
    cells = [
        [*cell, [[place, round(value, 2)] for place, value in enumerate(sums) if value]]
        for cell, sums in sorted(data.cells.items())
    ]
    bins = [{"title": TITLES[name], "labels": _labels(edges)} for name, edges in BINS.items()]
    content = {
        "sums": SUMS,
        "width": WIDTH,
        "bins": bins,
        "joined": data.joined,
        "greeting_s": data.rules.verdicts.greeting_s,
        "dead_air_s": data.rules.measures.dead_air_s,
        "cells": cells,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _labels(edges: Sequence[float]) -> list[str]:
    """Of a distribution: an edge below 0.01 parts what is nothing at all."""
    texts = [f"{edge:g}".replace(".", ",") for edge in edges]
    first = "нет" if edges[0] < 0.01 else f"до {texts[0]}"
    low = ["10" if edges[0] < 0.01 else texts[0], *texts[1:]]
    return [first, *(f"{a}–{b}" for a, b in zip(low, texts[1:], strict=False)), f"от {texts[-1]}"]


def _filters(data: ReportData) -> str:
    operators = sorted(
        {operator for _, operator, _ in data.cells}, key=lambda one: (one == NOBODY, one)
    )
    days = sorted({day for day, _, _ in data.cells if day})
    hours = sorted({hour for _, _, hour in data.cells if hour >= 0})

    def choice(name: str, title: str, values: Sequence[tuple[str, str]]) -> str:
        options = "".join(f'<option value="{escape(v)}">{escape(t)}</option>' for v, t in values)
        return f'<label>{title}<select id="{name}"><option value="">все</option>{options}</select></label>'

    dated = [(day, _day(day)) for day in days]
    return (
        "<form onsubmit='return false'>"
        + choice("operator", "Оператор", [(one, one) for one in operators])
        + choice("from", "С", dated)
        + choice("to", "По", dated)
        + choice("hour", "Час", [(str(hour), f"{hour}:00–{hour}:59") for hour in hours])
        + '<button type="button" id="all">Сбросить</button></form>'
    )


def _day(day: str) -> str:
    return ".".join(reversed(day.split("-")))


def _owed(data: ReportData, links: bool) -> str:
    head = "<h2>Перезвоны: не запрошены или поздние</h2>"
    if not data.joined:
        hint = "Перезвоны не сверялись со стойкой: запустите аудит с --callbacks."
        return f'<section>{head}<p class="hint">{hint}</p></section>'
    rows = "".join(
        f"<tr {_cell(one)}><td>{_when(one)}</td><td>{escape(one['operator'])}</td>"
        f"<td>{escape(STATUSES.get(one['callback'], one['callback']))}</td>"
        f"<td>{escape(SCENARIOS.get(one['scenario'], one['scenario']))}</td>"
        f"<td>{_at(one, 'owed_at_s')}</td><td>{_link(one, links)}</td></tr>"
        for one in data.owed
    )
    more = (
        f"<p class=hint>И ещё {data.owed_left_out}: см. таблицу.</p>" if data.owed_left_out else ""
    )
    return (
        f'<section id="callbacks" data-list>{head}<p class="none">Таких нет.</p><div class="wide">'
        '<table class="owed"><thead>'
        "<tr><th>Когда</th><th>Оператор</th><th>Перезвон</th><th>Почему</th><th>На секунде</th>"
        f"<th>Запись</th></tr></thead><tbody>{rows}</tbody></table></div>{more}</section>"
    )


def _worst(data: ReportData, pictures: Mapping[str, str], links: bool) -> str:
    calls = "".join(_call(one, pictures.get(one["id"]), links) for one in data.worst)
    return (
        '<section id="worst" data-list><h2>Худшие звонки</h2><p class="hint">Сверху худшие. '
        "Раскройте звонок: ход по секундам есть у первых.</p>"
        f'<p class="none">Ни в одном звонке ничего плохого.</p>{calls}</section>'
    )


def _call(one: Mapping[str, Any], picture: str | None, links: bool) -> str:
    scenario = escape(SCENARIOS.get(one["scenario"], one["scenario"]))
    listed = "".join(f"<li>{escape(text)}</li>" for text in faults(one))
    body = picture or '<p class="hint">Ход по секундам нарисован только у первых звонков.</p>'
    length = labels_ru.lasting(round(one["seconds"] or 0.0))
    return (
        f'<details class="call" {_cell(one)}><summary>{_when(one)}, {escape(one["operator"])}, {length}: '
        f"{scenario}<ul class=faults>{listed}</ul></summary>"
        f"<div><p>{_link(one, links)}</p>{body}</div></details>"
    )


def faults(one: Mapping[str, Any]) -> list[str]:
    """What is wrong with a call, each with its second."""
    found = []
    if one["callback"] == "missing":
        found.append("перезвон не запрошен")
    elif one["callback"] == "late":
        found.append(STATUSES["late"])
    if one["phrases_wrong"] and not one["dead_air_line_s"]:
        counted = labels_ru.many(one["phrases_wrong"], "фраза", "фразы", "фраз")
        found.append(f"{counted} не по скрипту")
    if one["no_greeting"] and one["greeting_latency_s"] is not None:
        found.append(f"приветствие через {labels_ru.lasting(round(one['greeting_latency_s'], 1))}")
    elif one["no_greeting"]:
        found.append(f"{labels_ru.FINDINGS['no_greeting']} ({_at(one, 'no_greeting_at_s')})")
    if one["dropped"]:
        found.append(f"{labels_ru.FINDINGS['dropped']} ({_at(one, 'dropped_at_s')})")
    if one["spoke_over"]:
        times = labels_ru.many(one["spoke_over"], "раз", "раза", "раз")
        found.append(f"{labels_ru.FINDINGS['spoke_over']} {times} ({_at(one, 'spoke_over_at_s')})")
    if one["dead_air_s"]:
        cause = labels_ru.LINES.get(one["dead_air_cause"], "живая линия")
        waits = labels_ru.WAITED_FOR[one["dead_air_waits_for"] or ""]
        longest = labels_ru.lasting(round(one["dead_air_longest_s"], 1))
        found.append(f"пауза {longest} ({_at(one, 'dead_air_at_s')}): {waits}, {cause}")
    if one["hold_violation"]:
        found.append(f"удержание {labels_ru.lasting(round(one['hold_s']))}")
    return found


def _at(one: Mapping[str, Any], name: str) -> str:
    return "" if one[name] is None else labels_ru.clock(one[name])


def _cell(one: Mapping[str, Any]) -> str:
    cell = json.dumps([one["day"], one["operator"], one["hour"]], ensure_ascii=False)
    return f'data-cell="{escape(cell)}"'


def _when(one: Mapping[str, Any]) -> str:
    if not one["day"]:
        return "время неизвестно"
    minute = f":{one['began'].minute:02}"
    return f"{_day(one['day'])} {one['hour']}{minute}"


def _link(one: Mapping[str, Any], links: bool) -> str:
    source = one["source"]
    name = escape(source.rpartition("/")[2])
    if not links or "://" in source:
        return escape(source) if links else name
    return f'<a href="file://{escape(quote(source))}">{name}</a>'
