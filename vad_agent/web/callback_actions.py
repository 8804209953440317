"""What a supervisor does to a callback with a form of its page.

    form ─> what was typed is checked here ─> CallbackService, which has the rules, and history

Which forms a page shows is found by trying each transition on a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import StrEnum
from re import compile

from vad_agent.callbacks import transitions
from vad_agent.callbacks.model import Callback, Outcome, Policy, State
from vad_agent.callbacks.next_attempt_time import agreed_time
from vad_agent.callbacks.service import CallbackService
from vad_agent.common.identity import folded
from vad_agent.errors import NumberError, RuleError, StoreError
from vad_agent.web.callback_list import ANYBODY
from vad_agent.web.operator_callbacks import CHANGED, GONE, Refused

LONGEST_REASON = 300
OUTCOMES = (
    Outcome.REACHED,
    Outcome.NO_ANSWER,
    Outcome.BUSY,
    Outcome.MACHINE,
    Outcome.FAILED,
    Outcome.OPERATOR_UNAVAILABLE,
)
"""Outcomes that a person may report."""
TIME = compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""A date and a time, as a browser's field has it."""
NO_STORE = "База данных не отвечает: попробуйте ещё раз"
NO_NUMBER = "Это не телефонный номер, на который можно позвонить"
NO_TIME = "Укажите дату и время"
TOO_EARLY = "Это время уже прошло"
NO_REASON = "Укажите причину: она будет видна в истории"
NO_OUTCOME = "Выберите исход звонка"
NO_OPERATOR = "Такого оператора нет"

UNCHANGED = "unchanged"


class SupervisorAction(StrEnum):
    """What a form does. Its value is the last part of the form's path."""

    TAKE = "take"
    OUTCOME = "outcome"
    OPERATOR = "operator"
    NUMBER = "number"
    TIME = "time"
    CANCEL = "cancel"
    RETRY = "retry"


DONE = {
    SupervisorAction.TAKE.value: "Взят: звоните клиенту, потом укажите исход",
    SupervisorAction.OUTCOME.value: "Исход записан",
    SupervisorAction.OPERATOR.value: "Передан",
    SupervisorAction.NUMBER.value: "Номер записан",
    SupervisorAction.TIME.value: "Время записано",
    SupervisorAction.CANCEL.value: "Отменён",
    SupervisorAction.RETRY.value: "Попытки начаты заново",
    UNCHANGED: "Записывать нечего: звонка не было, или договорились на более позднее время",
}
"""What a page says when it was done, by a word of its address."""


def possible(callback: Callback, now: datetime, policy: Policy) -> frozenset[SupervisorAction]:
    """The actions that the callback's state allows."""
    is_offered = callback.state is State.OFFERED
    tries: Mapping[SupervisorAction, Callable[[], Callback]] = {
        SupervisorAction.TAKE: lambda: (
            transitions.accept(callback, "", now)
            if is_offered
            else transitions.set_operator(callback, "", now)
        ),
        SupervisorAction.OUTCOME: lambda: transitions.done(callback, Outcome.REACHED, now, policy),
        SupervisorAction.OPERATOR: lambda: transitions.set_operator(callback, None, now),
        SupervisorAction.NUMBER: lambda: transitions.set_number(callback, callback.phone or ""),
        SupervisorAction.TIME: lambda: transitions.set_time(callback, now.isoformat(), policy),
        SupervisorAction.CANCEL: lambda: transitions.cancel(callback, now),
        SupervisorAction.RETRY: lambda: transitions.retry(callback, now),
    }
    return frozenset(action for action, how in tries.items() if _is_allowed(how))


def _is_allowed(how: Callable[[], Callback]) -> bool:
    try:
        how()
    except RuleError:
        return False
    return True


def seen(callback: Callback) -> str:
    """What the page showed: a form of a page that is older than the last change is refused."""
    return f"{callback.key}.{callback.state.value}.{callback.operator or ''}"


class CallbackActions:
    """A supervisor's actions. `login`: who acts; `operators`: who may be handed a callback."""

    def __init__(
        self, service: CallbackService, login: str, operators: Callable[[], Collection[str]]
    ) -> None:
        self._service = service
        self._login = login
        self._who = f"panel:{login}"
        self._operators = operators

    def perform(self, id: str, action: SupervisorAction, fields: Mapping[str, str]) -> Callback:
        """Do it; the callback as it is then. After a number is set it may be another callback.

        Raises:
            Refused: it was not done, and why, in Russian.
        """
        try:
            callback = self._service.store.find(id)
            if callback is None:
                raise Refused(404, GONE)
            if fields.get("seen") != seen(callback):
                raise Refused(409, CHANGED)
            return self._perform(callback, action, fields)
        except NumberError:
            raise Refused(400, NO_NUMBER) from None
        except RuleError:
            raise Refused(409, CHANGED) from None
        except StoreError:
            raise Refused(503, NO_STORE) from None

    def _perform(
        self, callback: Callback, action: SupervisorAction, fields: Mapping[str, str]
    ) -> Callback:
        service, id, who = self._service, callback.id, self._who
        match action:
            case SupervisorAction.TAKE if callback.state is State.OFFERED:
                return service.accept(id, self._login, who)
            case SupervisorAction.TAKE:
                return service.set_operator(id, self._login, who)
            case SupervisorAction.OUTCOME:
                return self._report(callback, fields)
            case SupervisorAction.OPERATOR:
                return service.set_operator(id, self._operator(fields), who, _why(fields))
            case SupervisorAction.NUMBER:
                return service.set_number(id, fields.get("phone", ""), who)
            case SupervisorAction.TIME:
                return service.set_time(id, self._time(fields), who)
            case SupervisorAction.CANCEL:
                return service.cancel(id, who, _reason(fields))
            case SupervisorAction.RETRY:
                return service.retry(id, who, _reason(fields))

    def _report(self, callback: Callback, fields: Mapping[str, str]) -> Callback:
        outcome = next((one for one in OUTCOMES if one.value == fields.get("outcome")), None)
        if outcome is None:
            raise Refused(400, NO_OUTCOME)
        return self._service.done(callback.id, outcome, self._who, _why(fields), key=callback.key)

    def _operator(self, fields: Mapping[str, str]) -> str | None:
        asked = fields.get("operator", "")
        if asked == ANYBODY:
            return None
        found = next((one for one in self._operators() if folded(one) == folded(asked)), None)
        if found is None:
            raise Refused(400, NO_OPERATOR)
        return found

    def _time(self, fields: Mapping[str, str]) -> str:
        at = fields.get("at", "")
        if not TIME.fullmatch(at):
            raise Refused(400, NO_TIME)
        try:
            when = agreed_time(at, self._service.store.policy)
        except RuleError:
            raise Refused(400, NO_TIME) from None
        if when <= self._service.clock.now():
            raise Refused(400, TOO_EARLY)
        return at


def _why(fields: Mapping[str, str]) -> str:
    """One line of printable text."""
    given = "".join(sign if sign.isprintable() else " " for sign in fields.get("why", ""))
    return " ".join(given.split())[:LONGEST_REASON]


def _reason(fields: Mapping[str, str]) -> str:
    why = _why(fields)
    if not why:
        raise Refused(400, NO_REASON)
    return why
