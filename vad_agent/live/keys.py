"""The operator's keys: a key in, events and commands out. No keyboard and no clock of its own.

    idle ──a key──> sent                                  pause, hold: pressed again, they are undone
    idle ──a key──> sure? ──the same key, Enter──> sent   what cannot be taken back
                      └── Esc, 5 s ──> idle      └── another key: that key
    idle ──a key──> a line is typed ──Enter──> the next line ──Enter──> sent
                      └── Esc ──> idle      └── a mistake is told; what was typed stays

Keys are the letters of the Russian layout; the same keys of the Latin one, and capitals, do the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from vad_agent.core.actions import Phase
from vad_agent.core.events import Event, Kind
from vad_agent.live.status import Command, Status

Sent = Event | Command
ENTER, ESCAPE, CTRL_C, CTRL_U, CTRL_Z = ("\r", "\n"), "\x1b", "\x03", "\x15", "\x1a"
BACKSPACE = ("\x7f", "\b")
FORGET_S = 5.0
"""A question not answered, or a remark, is gone after so long."""
LONGEST = 60
"""Characters of a typed line."""

_RUSSIAN = dict(
    zip(
        "qwertyuiop[]asdfghjkl;'zxcvbnm,.`",
        "йцукенгшщзхъфывапролджэячсмитьбюё",
        strict=True,
    )
)


class Needs(Enum):
    """When a key means something."""

    CALL = auto()
    NO_CALL = auto()
    NOTHING = auto()


class Field(Enum):
    """A line that is typed."""

    NAME = auto()
    TIME = auto()
    PHONE = auto()


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its letter, its name in the list, what it sends or which line it asks for."""

    letter: str
    name: Callable[[Status], str]
    """Empty: not worth showing now."""
    does: Callable[[Status], Sent] | Field
    needs: Needs = Needs.CALL
    sure: str = ""
    """The question, where it cannot be taken back."""


def _paused(status: Status) -> bool:
    return "paused" in status.suspended


def _in_call(status: Status) -> bool:
    return status.phase not in (None, Phase.ENDED)


def _hold(party: str) -> Callable[[Status], Sent]:
    return lambda status: Event(Kind.UNHOLD if status.held else Kind.HOLD, party=party)


def _always(sent: Sent) -> Callable[[Status], Sent]:
    return lambda _: sent


def _named(name: str) -> Callable[[Status], str]:
    return lambda _: name


KEYS = (
    Key("а", _named("начать звонок"), _always(Command.START_CALL), Needs.NO_CALL),
    Key(
        "п",
        lambda status: "продолжить" if _paused(status) else "пауза",
        lambda status: Event(Kind.RESUME if _paused(status) else Kind.PAUSE),
    ),
    Key("и", _named("имя"), Field.NAME),
    Key(
        "у",
        lambda status: "снять с удержания" if status.held else "удержать",
        _hold("operator"),
    ),
    Key(
        "к",
        lambda status: "" if status.held else "клиент держит",
        _hold("client"),
    ),
    Key(
        "н",
        _named("не слышит"),
        _always(Event(Kind.CLIENT_CANNOT_HEAR)),
        sure="Клиент вас не слышит? Прощаемся и перезваниваем",
    ),
    Key("д", _named("договорились"), Field.TIME),
    Key(
        "в",
        _named("попрощались"),
        _always(Event(Kind.GOODBYE)),
        sure="Вы попрощались? Контроль до конца звонка выключится",
    ),
    Key("з", _named("завершён"), _always(Command.END_CALL), sure="Звонок завершён?"),
    Key(
        "с",
        _named("сорвался"),
        _always(Event(Kind.HANGUP, party="client")),
        sure="Звонок сорвался? Клиенту перезвонят",
    ),
    Key(
        "о",
        lambda status: "отменить" if status.guessed else "",
        _always(Command.UNDO),
        Needs.NOTHING,
    ),
    Key(
        "й",
        _named("выход"),
        _always(Command.QUIT),
        Needs.NOTHING,
        sure="Выйти? Звонки больше не контролируются",
    ),
)
_BY_LETTER = {key.letter: key for key in KEYS}


def key_list(status: Status) -> list[tuple[str, str]]:
    """The keys that mean something now: letter and name."""
    call = _in_call(status)
    return [
        (key.letter.upper(), name)
        for key in KEYS
        if key.needs is Needs.NOTHING or (key.needs is Needs.CALL) == call
        if (name := key.name(status))
    ]


def all_keys() -> list[tuple[str, str]]:
    """Every key, as it is called where nothing is paused or held."""
    idle = Status(guessed=True)
    return [(key.letter.upper(), key.name(idle)) for key in KEYS]


class Keys:
    """What the operator has typed so far. One thread presses; another may read `prompt` and `question`.

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

    @property
    def question(self) -> str:
        """What the operator is asked or told, without what he types; empty: nothing."""
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
        """The question with what was typed in answer."""
        if (field := self._field) is None:
            return self.question
        mistake = f"  ✗ {self._mistake}" if self._mistake else ""
        return f"{self._title(field)}: {self._typed}_{mistake}"

    def press(self, key: str) -> list[Sent]:
        """One key: a character, or the text of a paste, which is no command.

        Returns what is to be told to the loop, mostly nothing or one.
        """
        if key == CTRL_C:
            return [Command.QUIT]
        if self._field is not None:
            return self._type(self._field, key)
        asked, self._asked, self._remark = self._asked, None, None
        if key == ESCAPE:
            return []
        if key == CTRL_Z:
            key = "о"
        letter = _RUSSIAN.get(key.lower(), key.lower())
        answered = asked is not None and self._fresh(asked[1])
        if asked is not None and answered and (letter == asked[0].letter or key in ENTER):
            return self._do(asked[0])
        found = _BY_LETTER.get(letter)
        if found is None:
            return []
        if (why := self._meaningless(found)) is not None:
            self._remark = (why, self._now())
            return []
        if found.sure:
            self._asked = (found, self._now())
            return []
        return self._do(found)

    def _fresh(self, since: datetime) -> bool:
        return abs((self._now() - since).total_seconds()) < FORGET_S

    def _meaningless(self, key: Key) -> str | None:
        call = _in_call(self._status)
        if key.needs is Needs.CALL and not call:
            return "Звонка нет. А: начать звонок"
        if key.needs is Needs.NO_CALL and call:
            return "Звонок уже идёт"
        return None

    def _do(self, key: Key) -> list[Sent]:
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
        if field is Field.TIME or self._at is None:
            return "Когда перезвонить (ЧЧ:ММ или +минуты)"
        return f"Перезвон {_day(self._at, self._now())}. Телефон (пусто: тот же)"

    def _type(self, field: Field, key: str) -> list[Sent]:
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

    def _enter(self, field: Field, text: str) -> list[Sent]:
        if not _in_call(self._status):
            raise ValueError("звонка уже нет, Esc: отмена")
        match field:
            case Field.NAME:
                sent = Event(Kind.CLIENT_NAME, name=client_name(text))
            case Field.TIME:
                self._at, self._typed, self._mistake = agreed(text, self._now()), "", ""
                self._field = Field.PHONE
                return []
            case Field.PHONE:
                assert self._at is not None
                sent = Event(
                    Kind.CALLBACK_AGREED,
                    name=self._status.client_name,
                    phone=phone(text),
                    at=self._at.isoformat(timespec="seconds"),
                    ts=self._now().isoformat(timespec="seconds"),
                )
        self._leave()
        return [sent]


def client_name(text: str) -> str:
    """A name as it is typed; empty: not known.

    Raises:
        ValueError: something in it is no name, in Russian.
    """
    if not all(letter.isalpha() or letter in " -.'’" for letter in text):
        raise ValueError("в имени только буквы")
    if text and not any(letter.isalpha() for letter in text):
        raise ValueError("в имени нет букв")
    return text


def phone(text: str) -> str | None:
    """Digits, and the plus if there was one; None: not told.

    Raises:
        ValueError: no telephone number, in Russian.

    >>> phone("+7 (912) 345-67-89"), phone("")
    ('+79123456789', None)
    """
    if not text:
        return None
    digits = re.sub(r"[ ()\-.]", "", text)
    if not re.fullmatch(r"\+?[0-9]{5,15}", digits):
        raise ValueError("номер: от 5 до 15 цифр, пример +79123456789")
    return digits


def agreed(text: str, now: datetime) -> datetime:
    """The time of a callback: HH:MM, today or, if that is over, tomorrow; or in so many minutes.

    What a colon becomes in the other layout is taken for one. The zone is that of `now`.

    Raises:
        ValueError: neither, in Russian.
    """
    if minutes := re.fullmatch(r"\+ ?([0-9]{1,4})", text):
        if not 1 <= int(minutes[1]) <= 24 * 60:
            raise ValueError("минут: от 1 до 1440")
        return now + timedelta(minutes=int(minutes[1]))
    time = re.fullmatch(r"([0-9]{1,2})[:.,;жЖ^ \-]([0-9]{2})", text)
    if time is None:
        raise ValueError("пример: 15:30 или +20")
    hour, minute = int(time[1]), int(time[2])
    if hour > 23 or minute > 59:
        raise ValueError("такого времени нет, пример: 15:30")
    at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    this_minute = now.replace(second=0, microsecond=0)
    return at if at >= this_minute else at + timedelta(days=1)


def _day(at: datetime, now: datetime) -> str:
    day = "сегодня" if at.date() == now.date() else "завтра"
    return f"{day} в {at:%H:%M}"
