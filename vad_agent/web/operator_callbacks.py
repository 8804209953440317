"""An operator's callbacks for their panel: their own, those that anybody may take, and those that are
offered to them in place of a colleague.

Refusals of the desk are translated into Russian. A colleague's callback is treated as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from vad_agent.callbacks.model import UNCONFIRMED, Callback, Outcome, State
from vad_agent.client.backend import CallbackDetails
from vad_agent.common.identity import folded
from vad_agent.errors import (
    NumberError,
    OutputError,
    RuleError,
    SettingsError,
    StoreError,
    VadAgentError,
)
from vad_agent.trace.labels_ru import REASONS, many

MOST = 500
WHY = "panel"
LONGEST_WHY = 300
"""Characters of a reason in history."""
DUE = (State.WAITING, State.OFFERED, State.NEEDS_PERSON)
GONE = "Такого перезвона нет"
COLLEAGUES = "Этому клиенту перезванивает другой оператор: скажите ему или старшему"
CHANGED = "Перезвон уже изменился: посмотрите ещё раз"
STATES = {
    State.WAITING: "ждёт времени",
    State.OFFERED: "позвоните",
    State.RINGING: "звонок идёт",
    State.NEEDS_NUMBER: "нужен номер",
    State.NEEDS_TIME: "нужно время",
    State.NEEDS_PERSON: "наберите сами",
}


class CallbackSource(Protocol):
    """The part of `vad_agent.client.backend.Backend` that the panel uses; it may raise the same errors."""

    @property
    def attempts(self) -> int | None:
        """Attempts of a callback; None: unknown."""

    @property
    def overdue_s(self) -> float:
        """Seconds after its time at which a callback is overdue."""

    @property
    def rings(self) -> bool:
        """A desk has the callbacks: it dials what is due."""

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """Callbacks, the next due first: this operator's, anybody's, and what is offered to them now."""

    def find(self, id: str) -> Callback | None:
        """The callback with this id. None: there is none."""

    def get(self, id: str) -> CallbackDetails:
        """A callback with its history."""

    def accept(self, id: str, operator: str) -> Callback:
        """The operator calls by hand."""

    def done(self, id: str, outcome: Outcome, why: str, *, key: str | None = None) -> Callback:
        """Report an attempt's outcome."""

    def cancel(self, id: str, why: str) -> Callback:
        """Cancel the callback."""

    def set_number(self, id: str, phone: str) -> Callback:
        """Set the number."""

    def client_called(self, phone: str, operator: str | None = None) -> Callback | None:
        """The client has called. `operator`: only theirs, or nobody's."""


Reach = Callable[[], AbstractContextManager[CallbackSource]]
"""Opens the callbacks for one query: an open store without a desk locks other processes out."""


class Refused(Exception):
    """The text for the operator, with the status of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class OperatorCallbacks:
    """One operator's callbacks. Every method may take a while, and raises `Refused`."""

    def __init__(self, reach: Reach, operator: str, now: Callable[[], datetime]) -> None:
        self._reach = reach
        self._operator = operator
        self._now = now

    def all(self) -> dict[str, Any]:
        """The open ones, overdue ones first, then the next due; the time here; whether a desk dials."""
        with self._opened() as callbacks:
            found = callbacks.page("open", phone=None, operator=self._operator, limit=MOST)
            attempts, overdue_s = callbacks.attempts, callbacks.overdue_s
            rings = callbacks.rings
        now = self._now()
        shown = [one for one in found if one.state is State.OFFERED or self._is_mine(one)]
        told = [self._told(one, attempts, overdue_s, now) for one in shown]
        told.sort(key=lambda one: not one["overdue"])
        return {
            "now": now.astimezone(UTC).isoformat(timespec="milliseconds"),
            "rings": rings,
            "callbacks": told,
        }

    def accept(self, id: str) -> None:
        """The operator calls: the first one who says so has it, also one whose turn to see it is not now:
        it may have been theirs a moment ago.
        """
        with self._opened() as callbacks:
            try:
                callbacks.accept(id, self._operator)
            except RuleError:
                found = self._found(callbacks, id)
                if self._is_mine(found):
                    raise
                if found.state is State.RINGING and found.since is not None:
                    raise Refused(409, f"Уже звонит {found.operator}") from None
                raise Refused(404, GONE) from None

    def outcome(self, id: str, outcome: str, key: str | None) -> None:
        """Report the outcome of the operator's attempt. `key`: the attempt that the page showed."""
        try:
            ended = Outcome(outcome)
        except ValueError:
            raise Refused(400, "Неизвестный исход звонка") from None
        with self._opened() as callbacks:
            callback = self._mine(callbacks, id)
            if key is not None and key != callback.key:
                raise Refused(409, CHANGED)
            callbacks.done(id, ended, WHY, key=key)

    def not_needed(self, id: str, reason: str) -> None:
        """Cancel the callback: the operator knows that it is not needed, and why."""
        why = " ".join("".join(sign if sign.isprintable() else " " for sign in reason).split())
        with self._opened() as callbacks:
            self._mine(callbacks, id)
            callbacks.cancel(id, f"{self._operator}: {why}"[:LONGEST_WHY])

    def number(self, id: str, phone: str) -> None:
        """Set the client's number."""
        with self._opened() as callbacks:
            self._mine(callbacks, id)
            callbacks.set_number(id, phone)

    def client_called(self, phone: str) -> bool:
        """The client has called. False: they had no open callback."""
        with self._opened() as callbacks:
            try:
                return callbacks.client_called(phone, self._operator) is not None
            except RuleError:
                raise Refused(409, COLLEAGUES) from None

    def _is_mine(self, callback: Callback) -> bool:
        return not callback.operator or self._is_me(callback.operator)

    def _is_me(self, operator: str | None) -> bool:
        return operator is not None and folded(operator) == folded(self._operator)

    def _mine(self, callbacks: CallbackSource, id: str) -> Callback:
        found = self._found(callbacks, id)
        if not self._is_mine(found):
            raise Refused(404, GONE)
        return found

    def _found(self, callbacks: CallbackSource, id: str) -> Callback:
        found = callbacks.find(id)
        if found is None:
            raise Refused(404, GONE)
        return found

    def _told(
        self, one: Callback, attempts: int | None, overdue_s: float, now: datetime
    ) -> dict[str, Any]:
        late_from = None
        if one.due is not None and one.state in DUE:
            late_from = one.due + timedelta(seconds=overdue_s)
        return {
            "id": one.id,
            "key": one.key,
            "state": one.state.value,
            "state_text": STATES.get(one.state, one.state.value),
            "asked": _iso(one.asked or one.created),
            "unconfirmed": UNCONFIRMED in one.reasons,
            "due": _iso(one.due),
            "next": _iso(one.next),
            "fixed": one.fixed,
            "overdue": late_from is not None and now > late_from,
            "overdue_from": _iso(late_from),
            "attempt": one.attempt,
            "attempts": attempts,
            "phone": one.phone,
            "phone_given": one.phone_given,
            "extension": one.extension,
            "name": one.name,
            "reasons": list(one.reasons),
            "reasons_text": _reasons(one),
            "opening": one.opening,
            "topic": one.topic,
            "mine": self._is_me(one.operator),
            "operator": one.operator,
            "since": _iso(one.since),
        }

    @contextmanager
    def _opened(self) -> Iterator[CallbackSource]:
        try:
            with self._reach() as callbacks:
                yield callbacks
        except NumberError:
            raise Refused(400, "Это не телефонный номер, на который можно позвонить") from None
        except RuleError:
            raise Refused(409, CHANGED) from None
        except (StoreError, OutputError):
            raise Refused(503, "Перезвоны сейчас недоступны: попробуйте ещё раз") from None
        except SettingsError:
            raise Refused(503, "Перезвоны недоступны: проверьте адрес и токен") from None
        except VadAgentError:
            raise Refused(503, "Перезвоны недоступны") from None


def _reasons(one: Callback) -> str:
    more = many(one.merged, "просьба", "просьбы", "просьб")
    told = ", ".join(REASONS.get(reason, reason) for reason in one.reasons)
    return f"{told} и ещё {more}" if one.merged else told


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat(timespec="milliseconds")
