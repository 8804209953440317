"""Russian labels of the report: the words of the trace, and formats of times.

An unknown word is shown as it is, so that a newer trace stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from re import IGNORECASE, compile, escape

PROMPTS = {
    "greeting_again": "Повторное приветствие",
    "not_heard": "«Вас не слышно»",
    "farewell_after_greeting": "Прощание после приветствия",
    "not_heard_in_dialogue": "«Вас не слышно» в диалоге",
    "farewell_in_dialogue": "Прощание в диалоге",
    "hold_farewell": "Прощание на удержании",
}
REASONS = {
    "silence_after_greeting": "тишина после приветствия",
    "silence_in_dialogue": "клиента не слышно в диалоге",
    "dropped": "звонок сорвался",
    "client_hold": "клиент поставил на удержание и не вернулся",
    "agreed": "о перезвоне договорились с клиентом",
    "client_cannot_hear": "клиент не слышит оператора",
    "unconfirmed": "не подтверждено, что попрощались",
}
OUTCOMES = {
    "said": "сказана",
    "interrupted": "прервана: заговорили",
    "said_by_operator": "сказал оператор",
    "failed": "не воспроизвелась",
    "missed": "не сказана",
}
PHASES = {
    "greeting": "приветствие",
    "dialogue": "диалог",
    "on_hold": "удержание",
    "ended": "завершён",
}
LINES = {
    "quiet": "почти тишина",
    "digital_zero": "цифровой ноль",
    "no_media": "нет звука с линии",
    "music": "музыка",
    "tone": "гудки",
    "muted": "микрофон выключен",
}
CHANNELS = {"operator": "Оператор", "client": "Клиент"}
PARTIES = {"operator": "оператор", "client": "клиент", "network": "сеть"}
EVENTS = {
    "ringing": "вызов",
    "answered": "ответ",
    "hold": "удержание",
    "unhold": "снят с удержания",
    "hangup": "трубка положена",
    "line_gone": "линии больше нет",
    "operator_mute": "микрофон выключен",
    "operator_unmute": "микрофон включён",
    "pause": "пауза контроля",
    "resume": "контроль продолжен",
    "client_name": "имя клиента узнано",
    "client_cannot_hear": "клиент не слышит",
    "callback_agreed": "договорились о перезвоне",
    "goodbye": "попрощались",
    "goodbye_undone": "прощания не было",
}
"""Events of the player and the end of the recording are left out: bars show them."""
ALERTS = {
    "no_greeting": "никто не заговорил с начала звонка",
    "unknown_sound": "шум, в котором давно никого не слышно: сценарий идёт дальше",
    "answer_not_told": "говорят, хотя об ответе на звонок не сообщено: считаем, что ответили",
    "both_sides_alike": "на обеих сторонах один и тот же звук: кто говорит, не определить",
    "client_never_heard": "клиента не слышно с начала разговора: похоже, его сторона не записана",
    "operator_never_heard": "оператора не слышно с начала разговора: похоже, его сторона не записана",
    "client_recording_ended": "запись клиента закончилась раньше: дальше по ней не судим",
    "operator_recording_ended": "запись оператора закончилась раньше: дальше по ней не судим",
}

FINDINGS = {
    "no_greeting": "оператор не поздоровался",
    "spoke_over": "оператор говорил поверх клиента",
    "dropped": "оборвался без прощания",
}
WAITED_FOR = {"operator": "ждали оператора", "client": "ждали клиента", "": "никто не говорил"}

WRONG_NUMBER = "на такой номер не позвонить: проверьте цифры, пример 8 912 345-67-89"


def number(value: float, digits: int = 2) -> str:
    """A number with a decimal comma.

    >>> number(2.5)
    '2,50'
    """
    return f"{value:.{digits}f}".replace(".", ",")


def window(lo: float, hi: float) -> str:
    """A prompt's window.

    >>> window(2.0, 3.0), window(2.5, 3.0)
    ('2–3 с', '2,5–3 с')
    """
    return f"{_short(lo)}–{_short(hi)} с"


def _short(value: float) -> str:
    return number(value).rstrip("0").rstrip(",")


def clock(seconds: float, digits: int = 0) -> str:
    """A time within the call.

    >>> clock(65.5, 1), clock(3725)
    ('1:05,5', '1:02:05')
    """
    unit = 10**digits
    whole, part = divmod(round(seconds * unit), unit)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text},{part:0{digits}}" if digits else text


def lasting(seconds: float) -> str:
    """A duration.

    >>> lasting(90), lasting(0.42), lasting(3600)
    ('1 мин 30 с', '0,42 с', '1 ч')
    """
    if seconds < 60:
        return f"{_short(seconds)} с"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    parts = ((hours, "ч"), (minute, "мин"), (second, "с"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def many(count: int, one: str, few: str, lots: str) -> str:
    """A count with its noun in the right form.

    >>> [many(n, "фраза", "фразы", "фраз") for n in (1, 3, 5, 11, 21)]
    ['1 фраза', '3 фразы', '5 фраз', '11 фраз', '21 фраза']
    """
    if count % 10 == 1 and count % 100 != 11:
        return f"{count} {one}"
    if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14):
        return f"{count} {few}"
    return f"{count} {lots}"


def due(due_in_s: float | None, at: str | None) -> str:
    """When a callback is due."""
    if due_in_s is not None:
        return "сразу" if due_in_s <= 0 else f"через {lasting(due_in_s)}"
    if not at:
        return "время не назначено"
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    zone = moment.strftime("%z")
    return moment.strftime("%d.%m.%Y в %H:%M") + (f" (UTC{zone[:3]}:{zone[3:5]})" if zone else "")


class NameMask:
    """Replaces each name by ***: whole words in any case, so «Ян» does not affect «Январь»."""

    def __init__(self, names: Sequence[str]) -> None:
        known = sorted({name.strip() for name in names if name.strip()}, key=lambda n: (-len(n), n))
        either = "|".join(escape(name) for name in known)
        self._names = compile(rf"(?<!\w)(?:{either})(?!\w)", IGNORECASE) if known else None

    def __call__(self, text: str) -> str:
        """The text with masked names."""
        return self._names.sub("***", text) if self._names else text
