"""Converts the operator's keys into events and commands. Reads no keyboard and no clock itself.

idle ──a key──> sent                                  pause, hold: a second press undoes them
idle ──a key──> sure? ──the same key, Enter──> sent   what cannot be undone
                  └── Esc, 5 s ──> idle      └── another key: that key
idle ──a key──> a line is typed ──Enter──> the next line ──Enter──> sent
                  └── Esc ──> idle      └── an error is shown; the typed text stays
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from vad_agent.client.headset_protocol import Command, ControlMessage
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.input_parsing import callback_time, client_name, phone, readable
from vad_agent.headset.keymap import (
    BY_LETTER,
    RUSSIAN,
    Field,
    Key,
    Needs,
    in_call,
    is_active,
    is_answer,
)
from vad_agent.headset.status import Status

ENTER, ESCAPE, CTRL_C, CTRL_U, CTRL_Z = ("\r", "\n"), "\x1b", "\x03", "\x15", "\x1a"
BACKSPACE = ("\x7f", "\b")
FORGET_S = 5.0
"""Seconds after which an unanswered question or a message disappears."""
LONGEST = 60
"""Characters of a typed line."""


class KeyDispatch:
    """The operator's input so far. One thread presses keys; another may read `prompt` and `question`.

    `now`: the wall time with its zone, for the agreed time of a callback.
    """

    def __init__(self, status: Status, now: Callable[[], datetime]) -> None:
        self._status = status
        self._now = now
        self._field: Field | None = None
        self._typed = ""
        self._mistake = ""
        self._at: datetime | None = None
        self._asked: tuple[Key, datetime] | None = None
        self._remark: tuple[str, datetime] | None = None
        self._echo: tuple[str, datetime] | None = None

    @property
    def question(self) -> str:
        """The question or message for the operator, without the typed text; empty: none."""
        field, asked, remark = self._field, self._asked, self._remark
        if field is not None:
            mistake = f"  ✗ {self._mistake}" if self._mistake else ""
            return f"{self._title(field)}{mistake}"
        if asked is not None and self._fresh(asked[1]):
            key = asked[0]
            return f"{key.sure} — ещё раз {key.letter.upper()}: да, Esc: нет"
        return remark[0] if remark is not None and self._fresh(remark[1]) else ""

    @property
    def prompt(self) -> str:
        """The question with the typed text, or the number as it was understood."""
        if (field := self._field) is None:
            echo = self._echo
            return self.question or (echo[0] if echo and self._fresh(echo[1]) else "")
        mistake = f"  ✗ {self._mistake}" if self._mistake else ""
        known = self._status.client_phone if field is Field.CLIENT_PHONE else None
        now = f" (сейчас {readable(known)})" if known else ""
        return f"{self._title(field)}{now}: {self._typed}_{mistake}"

    def press(self, key: str) -> list[ControlMessage]:
        """Take one key: a character, or the text of a paste, which is never a command.

        Returns messages for the loop, mostly none or one.
        """
        if key == CTRL_C:
            return [Command.QUIT]
        if self._field is not None:
            return self._type(self._field, key)
        asked, self._asked = self._asked, None
        self._remark = self._echo = None
        if key == ESCAPE:
            return []
        if key == CTRL_Z:
            key = "о"
        letter = RUSSIAN.get(key.lower(), key.lower())
        answered = asked is not None and self._fresh(asked[1])
        if asked is not None and answered and (letter == asked[0].letter or key in ENTER):
            return self._do(asked[0])
        found = BY_LETTER.get(letter)
        if found is None:
            return []
        if (why := self._meaningless(found)) is not None:
            self._remark = (why, self._now())
            return []
        if found.sure and not self._answers(found):
            self._asked = (found, self._now())
            return []
        return self._do(found)

    def _fresh(self, since: datetime) -> bool:
        return abs((self._now() - since).total_seconds()) < FORGET_S

    def _meaningless(self, key: Key) -> str | None:
        if is_active(key, self._status):
            return None
        if key.needs is Needs.HEADSET_QUESTION:
            return "Никакая другая гарнитура не входит"
        return "Звонок уже идёт" if key.needs is Needs.NO_CALL else "Звонка нет. А: начать звонок"

    def _answers(self, key: Key) -> bool:
        return not isinstance(key.does, Field) and is_answer(key.does(self._status))

    def _do(self, key: Key) -> list[ControlMessage]:
        if (why := self._meaningless(key)) is not None:  # the call has ended in the meantime
            self._remark = (why, self._now())
            return []
        if isinstance(key.does, Field):
            self._field = key.does
            return []
        return [key.does(self._status)]

    # -- typing ------------------------------------------------------------------------------------

    def _title(self, field: Field) -> str:
        if field is Field.NAME:
            known = self._status.client_name
            return f"Имя клиента (сейчас {known}, пусто: забыть)" if known else "Имя клиента"
        if field is Field.CLIENT_PHONE:
            return "Номер клиента, по нему перезвонят"
        if field is Field.TIME or self._at is None:
            return "Когда перезвонить (ЧЧ:ММ или +минуты)"
        return f"Перезвон {_day(self._at, self._now())}. Телефон (пусто: тот же)"

    def _type(self, field: Field, key: str) -> list[ControlMessage]:
        if key == ESCAPE:
            self._leave()
        elif key in ENTER:
            try:
                return self._enter(field, " ".join(self._typed.split()))
            except ValueError as mistake:
                self._mistake = str(mistake)
        else:
            self._mistake = ""
            if key in BACKSPACE:
                self._typed = self._typed[:-1]
            elif key == CTRL_U:
                self._typed = ""
            else:
                text = "".join(letter for letter in key if letter.isprintable())
                self._typed = (self._typed + text)[:LONGEST]
        return []

    def _leave(self) -> None:
        self._field, self._typed, self._mistake, self._at = None, "", "", None

    def _enter(self, field: Field, text: str) -> list[ControlMessage]:
        if not in_call(self._status):
            raise ValueError("звонка уже нет, Esc: отмена")
        match field:
            case Field.NAME:
                sent = Event(EventKind.CLIENT_NAME, name=client_name(text))
            case Field.CLIENT_PHONE:
                if (number := phone(text, self._status.region)) is None:
                    self._leave()
                    return []
                self._echo = (f"Номер клиента: {readable(number)}", self._now())
                sent = Event(EventKind.CLIENT_PHONE, phone=number)
            case Field.TIME:
                self._at, self._typed, self._mistake = callback_time(text, self._now()), "", ""
                self._field = Field.PHONE
                return []
            case Field.PHONE:
                assert self._at is not None
                number = phone(text, self._status.region)
                if number is not None:
                    self._echo = (f"Телефон: {readable(number)}", self._now())
                sent = Event(
                    EventKind.CALLBACK_AGREED,
                    name=self._status.client_name,
                    phone=number,
                    at=self._at.isoformat(timespec="seconds"),
                    ts=self._now().isoformat(timespec="seconds"),
                )
        self._leave()
        return [sent]


def _day(at: datetime, now: datetime) -> str:
    day = "сегодня" if at.date() == now.date() else "завтра"
    return f"{day} в {at:%H:%M}"
