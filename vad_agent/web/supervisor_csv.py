"""A period as CSV for a Russian spreadsheet: semicolons, decimal commas, times in the centre's zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from vad_agent.callbacks.model import Callback
from vad_agent.common.csv_export import lines
from vad_agent.web.callback_list import CallbackListQuery
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.reporting_period import ReportingPeriod
from vad_agent.web.supervisor_labels import SupervisorLabels, reasons

SEPARATOR = ";"
AT_ONCE = 500
"""Rows per query: no file holds a database connection while it is sent."""
MOST = 1_000_000

Cells = Sequence[str]


def calls(dashboard: Dashboard, day: ReportingPeriod, listed: CallbackListQuery) -> Iterator[str]:
    """The calls, newest first."""
    head = (
        "Звонок", "Оператор", "Режим", "Начало", "Длительность, с", "Шагов в окне",
        "Шагов вне окна", "Не понадобилось", "Просил перезвон",
    )  # fmt: skip
    say = dashboard.words(day)

    def rows() -> Iterator[Cells]:
        before = None
        while found := dashboard.calls.of_day(day.begin, day.end, limit=AT_ONCE, before=before):
            before = found[-1].call
            for one in found:
                yield (
                    text(one.call), text(one.operator), say.mode(one.mode), _time(say, one.began),
                    _number(one.seconds), str(one.steps_ok), str(one.steps_bad),
                    str(one.steps_note), "да" if one.callback else "нет",
                )  # fmt: skip

    return lines(head, rows(), SEPARATOR)


def steps(dashboard: Dashboard, day: ReportingPeriod, listed: CallbackListQuery) -> Iterator[str]:
    """The steps, in order."""
    head = (
        "Звонок", "Оператор", "Время", "Фраза", "Окно от, с", "Окно до, с", "Тишина до неё, с",
        "Исход", "По скрипту",
    )  # fmt: skip
    say = dashboard.words(day)

    def rows() -> Iterator[Cells]:
        for one in dashboard.calls.steps(day.begin, day.end):
            yield (
                text(one.call), text(one.operator), _time(say, one.at), text(say.prompt(one.prompt)),
                _number(one.lo_s), _number(one.hi_s), _number(one.silence_s),
                text(say.said(one.outcome)),
                say.why(one.outcome, one.verdict, one.silence_s, one.lo_s, one.hi_s),
            )  # fmt: skip

    return lines(head, rows(), SEPARATOR)


def callbacks(
    dashboard: Dashboard, day: ReportingPeriod, listed: CallbackListQuery
) -> Iterator[str]:
    """The callbacks of the page, in its order."""
    head = (
        "Перезвон", "Состояние", "Клиент", "Телефон", "Оператор", "Причины", "Тема", "Запрошен",
        "Срок", "Следующая попытка", "Попытка", "Закончен",
    )  # fmt: skip
    say = dashboard.words(day)

    def rows() -> Iterator[Cells]:
        for one in dashboard.callbacks_of(day, listed, MOST):
            yield _callback(say, one)

    return lines(head, rows(), SEPARATOR)


def _callback(say: SupervisorLabels, one: Callback) -> Cells:
    return (
        one.id, say.state(one.state), text(one.name), text(_phone(say, one)),
        text(one.operator), text(reasons(one.reasons)), text(one.topic), _time(say, one.created),
        _time(say, one.due), _time(say, one.next), str(one.attempt), _time(say, one.ended),
    )  # fmt: skip


def _phone(say: SupervisorLabels, one: Callback) -> str | None:
    return say.phone(one) if one.phone else one.phone_given


def text(value: str | None) -> str:
    """The text on one line, of printable characters."""
    return "".join(sign if sign.isprintable() else " " for sign in value or "")


def _time(say: SupervisorLabels, when: datetime | None) -> str:
    return "" if when is None else f"{say.local(when):%Y-%m-%d %H:%M:%S}"


def _number(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


TABLES: Mapping[str, Callable[[Dashboard, ReportingPeriod, CallbackListQuery], Iterator[str]]] = {
    "calls": calls,
    "steps": steps,
    "callbacks": callbacks,
}
