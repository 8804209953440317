"""The table of calls for a Russian spreadsheet: Russian heads, decimal commas, local times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from vad_agent.common.csv_export import BOM, lines
from vad_agent.common.private_files import replacing, why
from vad_agent.errors import OutputError
from vad_agent.trace.labels_ru import LINES, PARTIES, REASONS

ENCODINGS = ("utf-8-sig", "cp1251")
HEADS = {
    "source": "Запись", "began": "Начало", "operator": "Оператор", "number": "Номер",
    "seconds": "Длительность, с", "error": "Не прочитана", "scenario": "Что случилось",
    "phrases_right": "Фраз по скрипту", "phrases_wrong": "Фраз не по скрипту",
    "phrases_doubtful": "Фраз под вопросом", "owed": "Должны перезвонить", "callback": "Перезвон",
    "no_greeting": "Не поздоровался", "greeting_latency_s": "Приветствие через, с",
    "spoke_over": "Перебил клиента, раз", "spoke_over_at_s": "Перебил на секунде",
    "dropped": "Оборвался", "dropped_at_s": "Оборвался на секунде", "dead_air": "Пауз",
    "dead_air_longest_s": "Самая длинная пауза, с", "dead_air_at_s": "Она на секунде",
    "dead_air_cause": "Что на линии", "dead_air_waits_for": "Ждали кого",
    "silence_share": "Доля тишины", "hold_s": "Удержание, с", "music_s": "Музыка, с",
    "overtalk_share": "Доля перебиваний", "operator_share": "Доля речи оператора",
    "client_share": "Доля речи клиента", "response_latency_s": "Ответ через, с",
}  # fmt: skip
SCENARIOS = {**REASONS, "normal": "обычный разговор", "unknown": "не определить"}
STATUSES = {
    "kept": "перезвонили", "late": "перезвонили поздно", "missing": "не запрошен",
    "open": "ещё не срок", "cancelled": "отменён", "unknown": "неизвестно",
}  # fmt: skip
_WORDS = {"scenario": SCENARIOS, "dead_air_cause": {"live": "живая линия", **LINES},
          "dead_air_waits_for": PARTIES, "callback": STATUSES}  # fmt: skip


def write(
    path: Path,
    calls: Iterable[Mapping[str, Any]],
    callbacks: Mapping[str, str],
    zone: tzinfo,
    encoding: str,
) -> int:
    """Write the calls; `callbacks`: the status of owed ones, by the call's id. Return their number.

    Raises:
        OutputError: the file cannot be written.
    """
    count = 0

    def rows() -> Iterator[list[str]]:
        nonlocal count
        for call in calls:
            count += 1
            told = {**call, "callback": callbacks.get(call["id"])}
            yield [cell(name, told[name], zone) for name in HEADS]

    try:
        with replacing(path) as file:
            for text in lines(list(HEADS.values()), rows(), ";"):
                if encoding == "cp1251":
                    file.write(text.removeprefix(BOM).encode("cp1251", errors="replace"))
                else:
                    file.write(text.encode(errors="replace"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {why(error)}") from error
    return count


def cell(name: str, value: object, zone: tzinfo) -> str:
    """A value as a Russian spreadsheet reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%d.%m.%Y %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".").replace(".", ",") or "0"
    return _WORDS.get(name, {}).get(str(value), str(value))
