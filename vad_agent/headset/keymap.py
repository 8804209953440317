"""The table of the operator's keys: each key's letter, condition, label, question and message.

Keys are letters of the Russian layout; the same keys in the Latin layout, and capitals, are
equivalent. The operator's page has no table of its own: `PAGE_MAP` and `page_keys` are part of the
status that is published to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from vad_agent.client.headset_protocol import Command, ControlMessage, control_fields
from vad_agent.core.actions import Phase
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.status import Status

RUSSIAN = dict(
    zip(
        "qwertyuiop[]asdfghjkl;'zxcvbnm,.`",
        "йцукенгшщзхъфывапролджэячсмитьбюё",
        strict=True,
    )
)


class Needs(Enum):
    """The condition under which a key is active."""

    CALL = auto()
    NO_CALL = auto()
    NOTHING = auto()


class Field(Enum):
    """A line to be typed. The value of the first ones is the page's form, #form-…."""

    NAME = "name"
    CLIENT_PHONE = "phone"
    TIME = "agreed"
    PHONE = "agreed_phone"


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its letter, its label, and the message it sends or the lines it asks for."""

    letter: str
    help: str
    """When to press it."""
    name: Callable[[Status], str]
    """Empty: not shown now."""
    does: Callable[[Status], ControlMessage] | Field
    needs: Needs = Needs.CALL
    sure: str = ""
    """The confirmation question, if it cannot be undone."""


def _paused(status: Status) -> bool:
    return "paused" in status.suspended


def in_call(status: Status) -> bool:
    """A call is on."""
    return status.phase not in (None, Phase.ENDED)


def _hold(party: str) -> Callable[[Status], ControlMessage]:
    return lambda status: Event(EventKind.UNHOLD if status.held else EventKind.HOLD, party=party)


def _always(sent: ControlMessage) -> Callable[[Status], ControlMessage]:
    return lambda _: sent


def _named(name: str) -> Callable[[Status], str]:
    return lambda _: name


KEYS = (
    Key(
        "а",
        "звонок начался, а программа ждёт",
        _named("начать звонок"),
        _always(Command.START_CALL),
        Needs.NO_CALL,
    ),
    Key(
        "п",
        "пауза: «оставайтесь на линии, я уточню». Ещё раз: продолжить",
        lambda status: "продолжить" if _paused(status) else "пауза",
        lambda status: Event(EventKind.RESUME if _paused(status) else EventKind.PAUSE),
    ),
    Key(
        "и",
        "узнали имя: оно войдёт в фразы",
        _named("имя"),
        Field.NAME,
    ),
    Key(
        "т",
        "узнали номер клиента: по нему перезвонят, если звонок сорвётся",
        _named("номер"),
        Field.CLIENT_PHONE,
    ),
    Key(
        "у",
        "вы поставили звонок на удержание; ещё раз: сняли",
        lambda status: "снять с удержания" if status.held else "удержать",
        _hold("operator"),
    ),
    Key(
        "к",
        "клиент поставил на удержание, а программа этого не услышала",
        lambda status: "" if status.held else "клиент держит",
        _hold("client"),
    ),
    Key(
        "н",
        "клиент вас не слышит: просьба о перезвоне, затем прощание",
        _named("не слышит"),
        _always(Event(EventKind.CLIENT_CANNOT_HEAR)),
        sure="Клиент вас не слышит? Прощаемся и перезваниваем",
    ),
    Key(
        "д",
        "договорились о перезвоне: когда, по какому номеру",
        _named("договорились"),
        Field.TIME,
    ),
    Key(
        "в",
        "вы попрощались: дальше программа молчит",
        _named("попрощались"),
        _always(Event(EventKind.GOODBYE)),
        sure="Вы попрощались? Контроль до конца звонка выключится",
    ),
    Key(
        "з",
        "звонок завершён",
        _named("завершён"),
        _always(Command.END_CALL),
        sure="Звонок завершён?",
    ),
    Key(
        "с",
        "звонок сорвался, клиент пропал: ему перезвонят",
        _named("сорвался"),
        _always(Event(EventKind.HANGUP, party="client")),
        sure="Звонок сорвался? Клиенту перезвонят",
    ),
    Key(
        "о",
        "программа ошиблась, решив, что звонок начался или закончился",
        lambda status: "отменить" if status.guessed else "",
        _always(Command.UNDO),
        Needs.NOTHING,
    ),
    Key(
        "й",
        "выход; всё записанное сохраняется",
        _named("выход"),
        _always(Command.QUIT),
        Needs.NOTHING,
        sure="Выйти? Звонки больше не контролируются",
    ),
)
BY_LETTER = {key.letter: key for key in KEYS}
QUIT = "й"
"""The page does not have this key: the program ends where it was started."""
LATIN = {russian: latin for latin, russian in RUSSIAN.items()}
PAGE_MAP: dict[str, dict[str, str | None]] = {
    key.letter.upper(): {
        "code": f"Key{LATIN[key.letter].upper()}",  # `KeyboardEvent.code`: the place, in any layout
        "sure": key.sure,
        "help": key.help,
        "form": key.does.value if isinstance(key.does, Field) else None,
    }
    for key in KEYS
    if key.letter != QUIT
}
"""What the page knows of each key, active or not."""


def _active(status: Status) -> Iterator[tuple[Key, str]]:
    call = in_call(status)
    for key in KEYS:
        asked = key.needs is Needs.NOTHING or (key.needs is Needs.CALL) == call
        if asked and (name := key.name(status)):
            yield key, name


def key_list(status: Status) -> list[tuple[str, str]]:
    """The active keys: letter and label."""
    return [(key.letter.upper(), name) for key, name in _active(status)]


def page_keys(status: Status) -> list[tuple[str, str, dict[str, object] | None]]:
    """The page's active keys: letter, label, and the message that each sends; None: it opens a form."""
    return [
        (
            key.letter.upper(),
            name,
            None if isinstance(key.does, Field) else control_fields(key.does(status)),
        )
        for key, name in _active(status)
        if key.letter != QUIT
    ]


def all_keys() -> list[tuple[str, str]]:
    """Every key, with its label while nothing is paused or held."""
    idle = Status(guessed=True)
    return [(key.letter.upper(), key.name(idle)) for key in KEYS]
