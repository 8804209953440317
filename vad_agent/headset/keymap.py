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
from vad_agent.headset import messages_ru
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
    CALL_OR_QUESTION = auto()
    """A call is on, or a question about an ended one is open."""
    HEADSET_QUESTION = auto()
    """Another headset of this operator wants to take over."""
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
    """The confirmation question, if it cannot be undone; not for an answer to a question."""


def _paused(status: Status) -> bool:
    return "paused" in status.suspended


def in_call(status: Status) -> bool:
    """A call is on."""
    return status.phase not in (None, Phase.ENDED)


def _asked(status: Status) -> str | None:
    """The id of the question that keys answer: the newest, while no call is on."""
    return status.questions[0].id if status.questions and not in_call(status) else None


def is_answer(message: ControlMessage) -> bool:
    """The message answers a question about an ended call."""
    return isinstance(message, Event) and message.question is not None


def yes(question: str | None) -> Event:
    """They said goodbye. `question`: None: in the current call."""
    return Event(EventKind.GOODBYE, question=question)


def no(question: str | None) -> Event:
    """The client is gone without a goodbye. `question`: as in `yes`."""
    return Event(EventKind.HANGUP, party="client", question=question)


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
        "вы попрощались: дальше программа молчит; после звонка — ответ «да»",
        lambda status: messages_ru.YES if _asked(status) else "попрощались",
        lambda status: yes(_asked(status)),
        Needs.CALL_OR_QUESTION,
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
        "звонок сорвался, клиент пропал: ему перезвонят; после звонка — ответ «нет»",
        lambda status: messages_ru.NO if _asked(status) else "сорвался",
        lambda status: no(_asked(status)),
        Needs.CALL_OR_QUESTION,
        sure="Звонок сорвался? Клиенту перезвонят",
    ),
    Key(
        "г",
        "под вашим логином входит другая гарнитура, и это вы: она примет работу",
        _named("пустить гарнитуру"),
        _always(Command.ADMIT_HEADSET),
        Needs.HEADSET_QUESTION,
    ),
    Key(
        "о",
        "программа ошиблась, решив, что звонок начался или закончился; или «попрощались» нажато зря",
        lambda status: "отменить" if status.guessed or status.goodbye else "",
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
"""The page does not have this key, because the program is ended in its terminal."""
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
"""The fields of each key that the page gets, active or not."""


def is_active(key: Key, status: Status) -> bool:
    """The key's condition holds."""
    match key.needs:
        case Needs.CALL:
            return in_call(status)
        case Needs.NO_CALL:
            return not in_call(status)
        case Needs.CALL_OR_QUESTION:
            return in_call(status) or bool(status.questions)
        case Needs.HEADSET_QUESTION:
            return status.headset_question is not None
    return True


def _active(status: Status) -> Iterator[tuple[Key, str]]:
    for key in KEYS:
        if is_active(key, status) and (name := key.name(status)):
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
