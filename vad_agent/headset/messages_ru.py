"""Russian texts for the operator, short enough to be read in the middle of a sentence."""

from __future__ import annotations

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.frames import Channel
from vad_agent.headset.status import FarewellQuestion, HeadsetQuestion, SideStatus, Status
from vad_agent.trace.labels_ru import clock, number, window

__all__ = ["clock", "number", "window"]

SIDES = {Channel.OPERATOR: "Вы", Channel.CLIENT: "Клиент"}
SPEAKING = {Channel.OPERATOR: "ГОВОРИТЕ", Channel.CLIENT: "ГОВОРИТ"}
NOT_SPEAKING = {Channel.OPERATOR: "молчите", Channel.CLIENT: "молчит"}
PHASES = {
    Phase.GREETING: "Приветствие",
    Phase.DIALOGUE: "Диалог",
    Phase.ON_HOLD: "Удержание",
    Phase.ENDED: "Звонок завершён",
}
NO_CALL = "Жду звонка"
LINES = {
    Channel.OPERATOR: {
        LineState.QUIET: "микрофон почти ничего не даёт",
        LineState.DIGITAL_ZERO: "микрофон выключен или нет разрешения",
        LineState.NO_MEDIA: "микрофон не даёт звука",
        LineState.MUSIC: "в микрофоне музыка",
        LineState.TONE: "в микрофоне гудки",
        LineState.MUTED: "микрофон выключен",
    },
    Channel.CLIENT: {
        LineState.QUIET: "на линии почти ничего нет",
        LineState.DIGITAL_ZERO: "линия мертва: ровно нули",
        LineState.NO_MEDIA: "звук от клиента не приходит",
        LineState.MUSIC: "идёт музыка ожидания",
        LineState.TONE: "гудки",
        LineState.MUTED: "микрофон клиента выключен",
    },
}
LOST = {
    "operator": "микрофон отключён — жду его",
    "client": "наушники отключены — жду их",
    "prompt": "вывод фраз отключён — жду его, фразы говорите сами",
}
LOST_AT_PBX = "звук с АТС прервался — жду его"
SUSPENDED_AT_PBX = "звук с АТС прервался — отсчёт стоит"
OPENING = "открываю устройство…"
SUSPENDED = {
    "paused": "ПАУЗА — контроль стоит, П: продолжить",
    "muted": "микрофон выключен — отсчёт стоит",
    "client_device_lost": "наушники отключены — отсчёт стоит",
    "operator_device_lost": "микрофон отключён — отсчёт стоит",
    "no_client_media": "звук от клиента не приходит — отсчёт стоит",
    "no_operator_media": "микрофон не даёт звука — отсчёт стоит",
    "sides_alike": "микрофон и наушники дают один звук — отсчёт стоит",
    "side_never_heard": "слышна только одна сторона — отсчёт стоит",
}
PHRASES = {
    "asked": "Сейчас прозвучит",
    "playing": "Звучит",
    "by_operator": "Вы говорите",
}
"""Titles of a prompt. A cue has its own layout; any other prompt has the time at which it is due."""
GOODBYE = "попрощались: контроль выключен до конца звонка"
GOODBYE_UNDONE = "прощания не было: контроль идёт"
UNDO_GOODBYE = "О: вернуть"
SAID_GOODBYE = "попрощались: перезванивать не нужно"
ANSWERED_LATE = "на этот вопрос уже ответили, или время вышло: смотрите перезвоны"
YES, NO = "да, попрощались", "нет, сорвался"
GUESSED = "определено на слух, О: отменить"
HANG_UP = "ЗАВЕРШИТЕ ЗВОНОК"
SCRIPT_DONE = "сценарий пройден"
NO_MICROPHONE = "нет виртуального микрофона, помогает vad-agent setup"
VOICE_PROBLEM = "Фразы не озвучить, говорите сами"
CLIENT_IN_PROMPTS = (
    "звук клиента ушёл в виртуальный микрофон, клиент слышит себя: "
    "выберите в софтфоне свои наушники"
)


def question(asked: FarewellQuestion) -> str:
    """The question about a call that is over, with its times."""
    name = f", {asked.client_name}" if asked.client_name else ""
    return f"Попрощались? Звонок {_times(asked)}{name}"


ADMIT, REFUSE = "пустить", "не пускать"


def headset_question(asked: HeadsetQuestion) -> str:
    """The question whether another headset may take over."""
    place = f" с адреса {asked.address}" if asked.address else ""
    return f"Другая гарнитура входит под вашим логином{place}. Это вы?"


def unless_admitted() -> str:
    """What follows without an answer."""
    return "Не ответите: её не пустят"


def answers() -> str:
    """The keys that answer it."""
    return f"В: {YES}. С: {NO}"


def unless_answered(asked: FarewellQuestion) -> str:
    """What follows without an answer."""
    return f"Не ответите: клиенту перезвонят в {asked.due:%H:%M}"


def unanswered(asked: FarewellQuestion) -> str:
    """The question is no longer asked."""
    return f"звонок {_times(asked)}: не сказано, попрощались ли; клиенту перезвонят"


def _times(asked: FarewellQuestion) -> str:
    return f"{asked.began:%H:%M}–{asked.ended:%H:%M}"


def client_moved(device: str) -> str:
    """The client's sound goes to another device, and is captured there."""
    return f"звук клиента теперь идёт в «{device}», слушаю там"


def headline(status: Status) -> str:
    """The state of the call in one line: the only place of the screen or the page that says it."""
    if status.hang_up:
        return HANG_UP
    return NO_CALL if status.phase is None else PHASES[status.phase]


def mode(status: Status) -> str:
    """Who says the prompts now."""
    return "фразы говорит программа" if status.speaks else "фразы говорите вы"


def voice_alarms(status: Status) -> list[str]:
    """Why the product does not say the prompts, though it should."""
    if status.no_voice:
        return [f"{VOICE_PROBLEM}: {status.no_voice}"]
    if status.mode != "auto":
        return []
    text = []
    if status.prompt_state is DeviceState.LOST:
        device = f" ({status.prompt_device})" if status.prompt_device else ""
        text.append(f"{LOST['prompt'].capitalize()}{device}")
    if status.voice_problem is not None:
        text.append(f"{VOICE_PROBLEM}: {status.voice_problem}")
    return text


def tenths(value: float) -> str:
    """Seconds with one decimal.

    >>> tenths(2.14), tenths(-0.04)
    ('2,1 с', '0,0 с')
    """
    return number(max(0.0, value), 1) + " с"


def state(channel: Channel, side: SideStatus) -> tuple[str, str]:
    """A side's state or why it is quiet, and its style: speech, quiet, odd or bad."""
    if side.state is DeviceState.LOST:
        return LOST_AT_PBX if side.at_pbx else LOST[channel.value], "bad"
    if side.state is DeviceState.OPENING:
        return OPENING, "quiet"
    if side.speaking:
        return SPEAKING[channel], "speech"
    if side.line is not None and (text := LINES[channel].get(side.line)):
        return text, "odd"
    return NOT_SPEAKING[channel], "quiet"


def stands_still(status: Status) -> tuple[str, bool] | None:
    """Why the clock is stopped, and whether that is abnormal. None: it runs."""
    if status.phase is None or status.phase is Phase.ENDED:
        return SCRIPT_DONE if status.hang_up else "звонка нет", False
    if status.goodbye:
        return f"{GOODBYE}, {UNDO_GOODBYE}", False
    reasons = status.suspended
    if status.held:  # only a pause stops the hold's minute
        reasons = tuple(reason for reason in reasons if reason == "paused")
    for reason, text in SUSPENDED.items():
        if reason in reasons:
            at_pbx = reason.endswith("device_lost") and status.sides[Channel.CLIENT].at_pbx
            return SUSPENDED_AT_PBX if at_pbx else text, True
    if reasons:
        return f"отсчёт стоит: {reasons[0]}", True
    if status.phrase is not None and status.phrase.state == "playing":
        return "звучит фраза", False
    if status.silence_s is None:
        speaks = any(side.speaking for side in status.sides.values())
        return "говорят" if speaks else "отсчёт не идёт", False
    return None


def countdown(from_s: float, to_s: float) -> str:
    """How long until a window opens, until it closes, or since it closed.

    >>> countdown(0.4, 1.4), countdown(-0.4, 0.6), countdown(-1.5, -0.5)
    ('через 0,4 с', 'сейчас, ещё 0,6 с', 'окно прошло 0,5 с назад')
    """
    if from_s > 0:
        return f"через {tenths(from_s)}"
    if to_s >= 0:
        return f"сейчас, ещё {tenths(to_s)}"
    return f"окно прошло {tenths(-to_s)} назад"


def counters(side: SideStatus) -> str:
    """Counters of late and lost frames; empty if there are none.

    >>> counters(SideStatus(late=3, overruns=1))
    'опоздало 3, потеряно 1'
    """
    counts = (
        ("опоздало", side.late),
        ("не пришло", side.missing),
        ("потеряно", side.overruns),
    )
    return ", ".join(f"{word} {count}" for word, count in counts if count)
