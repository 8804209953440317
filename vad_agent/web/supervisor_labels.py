"""Russian labels of the supervisor's pages: states, changes, alerts; times in the centre's zone,
durations.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Any
from urllib.parse import quote

from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.callback_filters import Order
from vad_agent.callbacks.model import UNCONFIRMED, Callback, Outcome, State
from vad_agent.callbacks.queries import RequestEntry, Which
from vad_agent.common.time_zones import zone_name
from vad_agent.trace import labels_ru
from vad_agent.trace.window_compliance import Verdict
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.reporting_period import ReportingPeriod

STATES = {
    State.WAITING: "ждёт времени",
    State.OFFERED: "предложен, никто не взял",
    State.RINGING: "звонок идёт",
    State.NEEDS_NUMBER: "нужен номер",
    State.NEEDS_TIME: "нужно время",
    State.NEEDS_PERSON: "нужен человек",
    State.REACHED: "дозвонились",
    State.NOT_REACHED: "не дозвонились",
    State.CLIENT_CALLED: "клиент позвонил сам",
    State.CANCELLED: "отменён",
}
WHICH = {
    Which.OPEN: "открытые",
    Which.DUE: "пора звонить",
    Which.OVERDUE: "просроченные",
    Which.REACHED: "дозвонились",
    Which.NOT_REACHED: "не дозвонились",
    Which.CLIENT_CALLED: "клиент позвонил сам",
    Which.CANCELLED: "отменённые",
    Which.WAITING: "ждут времени",
    Which.OFFERED: "предложены",
    Which.RINGING: "звонок идёт",
    Which.NEEDS_NUMBER: "нужен номер",
    Which.NEEDS_TIME: "нужно время",
    Which.NEEDS_PERSON: "нужен человек",
}
ORDERS = {
    Order.NEXT: "срок",
    Order.CREATED: "запрошен",
    Order.OPERATOR: "оператор",
    Order.STATE: "состояние",
    Order.ATTEMPT: "попытка",
}
ROLES = {Role.OPERATOR: "оператор", Role.SUPERVISOR: "старший смены"}
USER_CHANGES = {
    "added": "добавлен",
    "password_set": "пароль сменён инженером",
    "password_reset": "пароль сброшен: выдан одноразовый",
    "password_renewed": "задал свой пароль",
    "role_set": "роль изменена",
    "disabled": "отключён",
    "enabled": "включён",
}
ACTORS = {"panel": "{}", "cli": "{}, команда", "api": "программа {}"}
"""Who changed something: the beginning of the name in history → how it is shown."""
OVERDUE = {
    State.WAITING: "Перезвон просрочен",
    State.OFFERED: "Перезвон предложен, но никто не звонит",
    State.NEEDS_NUMBER: "Перезвон не сделать: нет номера",
    State.NEEDS_TIME: "Перезвон не сделать: нет времени",
    State.NEEDS_PERSON: "Перезвон не сделать: наберите вручную",
}
UNKNOWN_END = "Не подтверждено: может быть, попрощались"
OUTCOMES = {
    Outcome.REACHED: "дозвонились",
    Outcome.NO_ANSWER: "не ответил",
    Outcome.BUSY: "занято",
    Outcome.MACHINE: "автоответчик",
    Outcome.LOST: "исход неизвестен",
    Outcome.FAILED: "звонок не начался",
    Outcome.OPERATOR_UNAVAILABLE: "оператор недоступен",
}
WHATS = {
    "taken": "запрошен",
    "merged": "соединён с другой просьбой",
    "number_called": "номер позвонил: кто, неизвестно",
    "joined": "соединён с перезвоном того же клиента",
    "revised": "просьба изменена",
    "withdrawn": "просьба снята: клиент вернулся",
    "call_ended": "звонок закончился",
    "clock": "часы перевели",
    "begun": "попытка началась",
    "offered": "предложен оператору",
    "accepted": "оператор взял: звонит",
    "quiet_hours": "отложен: тихие часы",
    "client_called": "клиент позвонил сам",
    "cancelled": "отменён",
    "retried": "попытки начаты заново",
    "number_set": "номер указан",
    "time_set": "время указано",
    "operator_set": "передан",
    "late_outcome": "исход узнали поздно",
    "corrected": "исход исправлен: дозвонились",
    "settled": "решён в другом звонке",
    "erased": "личные данные стёрты",
} | {outcome.value: told for outcome, told in OUTCOMES.items()}
ALARMS = {
    Kind.OVERDUE: "Перезвон просрочен",
    Kind.NEEDS_NUMBER: "Перезвону нужен номер",
    Kind.NEEDS_TIME: "Перезвону нужно время",
    Kind.NEEDS_PERSON: "Перезвону нужен человек",
    Kind.UNREPORTED: "Исход звонка так и не сказан",
    Kind.CLOCK: "Часы сервера перевели",
    Kind.PROMISE: "Не все просьбы о перезвоне на счету",
    Kind.LOST: "Перезвон потерян: звонок его обещал, а просьба не пришла",
    Kind.REFUSED: "Сообщение гарнитуры не разобрать: его файл сохранён",
    Kind.UNKNOWN_KEY: "Телефония сообщает исходы попыток, которых не было",
    Kind.DATABASE: "База данных недоступна",
    Kind.NODE: "Один из серверов не отвечает",
    Kind.CREDENTIALS: "Подбирают токены или пароли: адрес и сколько раз",
}
VERDICTS = {Verdict.OK: "в окне", Verdict.BAD: "вне окна", Verdict.NOTE: "не понадобилась"}
MODES = {"auto": "говорит программа", "cue": "говорит оператор"}
FIELDS = {"state": "состояние:", "due": "срок", "attempt": "попытка", "operator": "оператор"}
"""Fields whose changes are shown."""
ANYBODY = "любой оператор"
NOBODY = "без имени"


def reasons(values: tuple[str, ...]) -> str:
    """Why the client is to be called back."""
    return ", ".join(labels_ru.REASONS.get(one, one) for one in values)


def span(seconds: float) -> str:
    """A duration, as precise as it matters.

    >>> span(42.4), span(150), span(7_300), span(200_000)
    ('42 с', '2 мин', '2 ч 1 мин', '2 дня 7 ч')
    """
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} с"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} мин"
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} ч {minute} мин" if minute else f"{hours} ч"
    days, hour = divmod(hours, 24)
    told = labels_ru.many(days, "день", "дня", "дней")
    return f"{told} {hour} ч" if hour else told


def why(outcome: str, verdict: Verdict, silence: float, lo: float, hi: float) -> str:
    """A step's verdict.

    >>> why("said", Verdict.BAD, 3.5, 2, 3), why("missed", Verdict.BAD, 3.5, 2, 3)
    ('позже окна на 0,5 с', 'не сказана')
    """
    if verdict is not Verdict.BAD:
        return VERDICTS[verdict]
    if outcome in ("failed", "missed"):
        return labels_ru.OUTCOMES[outcome]
    if silence < lo:
        return f"раньше окна на {labels_ru.lasting(round(lo - silence, 2))}"
    return f"позже окна на {labels_ru.lasting(round(silence - hi, 2))}"


class SupervisorLabels:
    """Labels for a template, at `now` and in the period [begin, end) of the centre."""

    def __init__(
        self,
        now: datetime,
        zone: tzinfo,
        begin: datetime,
        end: datetime,
        *,
        zone_is_machines: bool = False,
    ) -> None:
        self.now = now
        self._zone = zone
        self._begin = begin
        self._end = end
        self._zone_is_machines = zone_is_machines

    REASONS = labels_ru.REASONS
    ORDERS = ORDERS
    BY = Order
    number = staticmethod(labels_ru.number)
    window = staticmethod(labels_ru.window)
    clock = staticmethod(labels_ru.clock)
    many = staticmethod(labels_ru.many)
    reasons = staticmethod(reasons)
    span = staticmethod(span)
    why = staticmethod(why)

    def local(self, when: datetime) -> datetime:
        """In the centre's zone."""
        return when.astimezone(self._zone)

    def when(self, when: datetime) -> str:
        """The time, with the date if it is not in the page's period."""
        local = self.local(when)
        return f"{local:%H:%M:%S}" if self._begin <= when < self._end else f"{local:%d.%m %H:%M}"

    def minute(self, when: datetime) -> str:
        """As `when`, without seconds."""
        local = self.local(when)
        return f"{local:%H:%M}" if self._begin <= when < self._end else f"{local:%d.%m %H:%M}"

    def full(self, when: datetime) -> str:
        """Date and time."""
        return f"{self.local(when):%d.%m.%Y %H:%M:%S}"

    def hour(self, when: datetime) -> str:
        """The start of an hour."""
        return f"{self.local(when):%H:%M}"

    def iso(self, when: datetime) -> str:
        """ISO 8601, for machines."""
        return self.local(when).isoformat(timespec="seconds")

    @property
    def zone(self) -> str:
        """The zone in which times are shown, with its present offset, and whether nobody has set it."""
        offset, name = f"{self.now.astimezone(self._zone):%z}", zone_name(self._zone)
        shown = name if name == "UTC" else f"{name} UTC{offset[:3]}:{offset[3:5]}"
        return f"не задан, взят серверный: {shown}" if self._zone_is_machines else shown

    @staticmethod
    def period(period: ReportingPeriod) -> str:
        """The date of a period, with its times if it is not a whole day."""
        day = f"{period.on:%d.%m.%Y}"
        if period.is_whole_day:
            return day
        return f"{day} {period.first:%H:%M}–{period.last:%H:%M}"

    @staticmethod
    def who(who: str) -> str:
        """Who changed something, from history.

        >>> SupervisorLabels.who("panel:Irina"), SupervisorLabels.who("api:crm:olga")
        ('Irina', 'программа crm, olga')
        """
        way, _, name = who.partition(":")
        if way not in ACTORS or not name:
            return who
        program, _, person = name.partition(":") if way == "api" else (name, "", "")
        told = ACTORS[way].format(program)
        return f"{told}, {person}" if person else told

    @staticmethod
    def role(role: Role) -> str:
        """A user's role."""
        return ROLES[role]

    @staticmethod
    def user_change(what: str) -> str:
        """The kind of a change of a user."""
        return USER_CHANGES.get(what, what)

    @staticmethod
    def order(order: Order) -> str:
        """What a list is sorted by."""
        return ORDERS[order]

    def since(self, when: datetime) -> str:
        """The time passed since."""
        return span((self.now - when).total_seconds())

    @staticmethod
    def day(one: date) -> str:
        """A date."""
        return f"{one:%d.%m.%Y}"

    @staticmethod
    def client(callback: Callback) -> str:
        """The client's name."""
        return callback.name or NOBODY

    @staticmethod
    def phone(callback: Callback, most: int = 0) -> str:
        """The client's number, or what was given instead, of that at most `most` characters; 0: all."""
        if callback.phone:
            behind = f", доб. {callback.extension}" if callback.extension else ""
            return f"{callback.phone}{behind}"
        given = callback.phone_given
        if not given:
            return "номера нет"
        return f"{SupervisorLabels.short(given, most) if most else given} (не номер)"

    @staticmethod
    def merged(callback: Callback) -> str:
        """How many more requests the callback answers."""
        if not callback.merged:
            return ""
        return f"и ещё {labels_ru.many(callback.merged, 'просьба', 'просьбы', 'просьб')}"

    def wanted(self, request: RequestEntry) -> str:
        """For when the callback was requested."""
        if request.at:
            try:
                when = datetime.fromisoformat(request.at)
            except ValueError:
                return request.at
            return self.full(when if when.tzinfo else when.replace(tzinfo=self._zone))
        if request.due_in_s is None:
            return "время не сказано"
        return f"через {span(request.due_in_s)}" if request.due_in_s else "сразу"

    @staticmethod
    def unconfirmed(callback: Callback) -> bool:
        """Nobody has said whether the call ended well."""
        return UNCONFIRMED in callback.reasons

    @staticmethod
    def operator(callback: Callback) -> str:
        """The operator who is to call."""
        return callback.operator or ANYBODY

    @staticmethod
    def state(state: State) -> str:
        """The state of a callback."""
        return STATES[state]

    @staticmethod
    def which(which: Which) -> str:
        """A filter of callbacks."""
        return WHICH[which]

    def change(self, change: Mapping[str, Any]) -> str:
        """The details of a change in history that a person needs."""
        told = []
        for name, value in change.items():
            if name not in FIELDS or not isinstance(value, list) or len(value) != 2:
                continue
            before, after = (self._value(name, one) for one in value)
            told.append(
                f"{FIELDS[name]} {before} → {after}" if before else f"{FIELDS[name]} {after}"
            )
        return ", ".join(told)

    def _value(self, name: str, value: object) -> str:
        if value is None:
            return ""
        try:
            if name == "state":
                return STATES[State(str(value))]
            if name == "due":
                return self.when(datetime.fromisoformat(str(value)))
        except ValueError:  # from another version
            pass
        return str(value)

    @staticmethod
    def prompt(id: str) -> str:
        """A prompt of the script."""
        return labels_ru.PROMPTS.get(id, id)

    @staticmethod
    def outcome(outcome: Outcome | None) -> str:
        """The outcome of an attempt."""
        return "идёт" if outcome is None else OUTCOMES[outcome]

    @staticmethod
    def said(outcome: str) -> str:
        """The outcome of a prompt."""
        return labels_ru.OUTCOMES.get(outcome, outcome)

    @staticmethod
    def what(what: str) -> str:
        """The kind of a change in history."""
        return WHATS.get(what, what)

    @staticmethod
    def mode(mode: str) -> str:
        """Who says the prompts."""
        return MODES.get(mode, mode)

    @staticmethod
    def short(text: str, most: int = 24) -> str:
        """The text, cut to `most` characters."""
        return text if len(text) <= most else f"{text[: most - 1]}…"

    @staticmethod
    def call_page(call: str) -> str:
        """The path of a call's page; the id may contain any character."""
        return f"/supervisor/calls/{quote(call, safe='')}"

    @staticmethod
    def picture(call: str, row: int) -> str:
        """The path of a row of its picture."""
        return f"/supervisor/picture.svg?row={row}&call={quote(call, safe='')}"
