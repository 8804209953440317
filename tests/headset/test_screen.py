"""What the operator reads, state by state: the plain text of the screen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.frames import Channel
from vad_agent.headset import messages_ru
from vad_agent.headset.screen import ASCII, render
from vad_agent.headset.status import FarewellQuestion, PhraseStatus, SideStatus, Status
from vad_agent.headset.terminal_display import ChangeLines

FAREWELL = "К сожалению, вас не слышно, я вам сейчас перезвоню"


def dialogue() -> Status:
    """A call in its fourth minute, both devices open, nobody speaks."""
    status = Status(phase=Phase.DIALOGUE, call_s=222.0, prompt_state=DeviceState.OPEN)
    for side in status.sides.values():
        side.state, side.line = DeviceState.OPEN, LineState.LIVE
    return status


def operator(status: Status) -> SideStatus:
    return status.sides[Channel.OPERATOR]


def client(status: Status) -> SideStatus:
    return status.sides[Channel.CLIENT]


def read(status: Status, width: int = 100, height: int = 30, prompt: str | None = "") -> str:
    return "\n".join(line.plain.rstrip() for line in render(status, width, height, prompt))


def row(status: Status, begins: str, width: int = 100, height: int = 30) -> str:
    """The one line that begins so."""
    (found,) = [one for one in read(status, width, height).splitlines() if one.startswith(begins)]
    return found


def test_a_whole_screen() -> None:
    status = dialogue()
    status.client_name = "Анна"
    status.silence_s, status.window_s = 2.1, (2.0, 3.0)
    operator(status).level_db, client(status).level_db = -45.0, -100.0
    client(status).line = LineState.DIGITAL_ZERO
    status.phrase = PhraseStatus(FAREWELL, "asked", 0.4, 0.9)
    status.callback = "Перезвонить сразу (клиента не слышно в диалоге)"
    status.messages.extend([(65.0, "удержание"), (80.5, "клиент вернулся")])
    assert read(status, 72, 16) == (
        """\
Диалог  3:42  Анна                               фразы говорит программа
Вы      ███·········  молчите
Клиент  ············  линия мертва: ровно нули
Тишина  ████████████[····]··  2,1 с из 2–3 с
Сейчас прозвучит: «К сожалению, вас не слышно, я вам сейчас перезвоню»
Перезвонить сразу (клиента не слышно в диалоге)
  1:05  удержание
  1:20  клиент вернулся






П пауза  И имя  Т номер  У удержать  К клиент держит  Н не слышит
Д договорились  В попрощались  З завершён  С сорвался  Й выход"""
    )


# -- the sides -------------------------------------------------------------------------------------


def test_who_speaks_is_said_and_how_loud() -> None:
    status = dialogue()
    operator(status).speaking, operator(status).level_db = True, -30.0
    assert row(status, "Вы") == "Вы      ████████████············  ГОВОРИТЕ"
    assert row(status, "Клиент") == "Клиент  ························  молчит"
    client(status).speaking = True
    assert row(status, "Клиент").endswith("ГОВОРИТ")


@pytest.mark.parametrize(
    ("line", "mine", "theirs"),
    [
        (LineState.QUIET, "микрофон почти ничего не даёт", "на линии почти ничего нет"),
        (
            LineState.DIGITAL_ZERO,
            "микрофон выключен или нет разрешения",
            "линия мертва: ровно нули",
        ),
        (LineState.NO_MEDIA, "микрофон не даёт звука", "звук от клиента не приходит"),
        (LineState.MUSIC, "в микрофоне музыка", "идёт музыка ожидания"),
        (LineState.TONE, "в микрофоне гудки", "гудки"),
        (LineState.MUTED, "микрофон выключен", "микрофон клиента выключен"),
        (LineState.LIVE, "молчите", "молчит"),
        (None, "молчите", "молчит"),
    ],
)
def test_why_a_side_is_quiet(line: LineState | None, mine: str, theirs: str) -> None:
    status = dialogue()
    operator(status).line = client(status).line = line
    for width, height in ((100, 30), (60, 15)):
        assert row(status, "Вы", width, height).endswith(f"  {mine}")
        assert row(status, "Клиент", width, height).endswith(f"  {theirs}")


def test_a_lost_device_is_named_and_waited_for() -> None:
    status = dialogue()
    operator(status).state, operator(status).device = DeviceState.LOST, "Jabra"
    client(status).state, client(status).device = DeviceState.LOST, "client.monitor"
    status.prompt_state = DeviceState.LOST
    status.suspended = ("client_device_lost",)
    shown = read(status, 80, 15)
    assert "микрофон отключён — жду его  (Jabra)" in shown
    assert "наушники отключены — жду их  (client.monitor)" in shown
    assert "Вывод фраз отключён — жду его, фразы говорите сами" in shown
    assert "наушники отключены — отсчёт стоит" in shown
    client(status).level_db = 0.0
    assert "█" not in row(status, "Клиент")  # the last level is no level


def test_an_open_device_is_named_where_there_is_room() -> None:
    status = dialogue()
    client(status).device = "client.monitor"
    assert "(client.monitor)" in read(status, 100)
    assert "client.monitor" not in read(status, 60)
    client(status).state = DeviceState.OPENING
    assert "открываю устройство…" in row(status, "Клиент")


def test_frames_in_trouble_are_counted_only_where_there_are_any() -> None:
    status = dialogue()
    assert "кадры" not in read(status)
    operator(status).late = 3
    client(status).missing, client(status).overruns = 12, 1
    assert "кадры — вы: опоздало 3; клиент: не пришло 12, потеряно 1" in read(status, 60, 15)


# -- the silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silence", "bar"),
    [
        (0.0, "············[····]··  0,0 с из 2–3 с"),
        (1.9, "███████████·[····]··  1,9 с из 2–3 с"),
        (2.5, "████████████[█···]··  2,5 с из 2–3 с"),
        (3.0, "████████████[████]··  3,0 с из 2–3 с"),
        (3.2, "████████████[████]··  3,2 с из 2–3 с  окно прошло"),
        (99.0, "████████████[████]██  99,0 с из 2–3 с  окно прошло"),
    ],
)
def test_the_silence_fills_its_bar_up_to_its_window_and_past_it(silence: float, bar: str) -> None:
    status = dialogue()
    status.silence_s, status.window_s = silence, (2.0, 3.0)
    assert row(status, "Тишина", 60, 15) == f"Тишина  {bar}"


def test_the_hold_has_its_minute() -> None:
    status = dialogue()
    status.phase, status.held = Phase.ON_HOLD, True
    status.silence_s, status.window_s = 42.0, (60.0, 61.0)
    assert row(status, "Держат", 60, 15) == "Держат  ███████████·····[·]·  42,0 с из 60–61 с"
    assert read(status).startswith("Удержание  3:42")
    status.suspended = ("muted", "no_client_media")  # they do not stop the minute
    assert "42,0 с из 60–61 с" in row(status, "Держат")
    status.suspended = ("muted", "paused")
    assert row(status, "Держат") == "Держат  ПАУЗА — контроль стоит, П: продолжить"


@pytest.mark.parametrize(
    ("suspended", "told"),
    [
        (("muted", "paused"), "ПАУЗА — контроль стоит, П: продолжить"),
        (("muted",), "микрофон выключен — отсчёт стоит"),
        (("no_client_media",), "звук от клиента не приходит — отсчёт стоит"),
        (("tomorrow",), "отсчёт стоит: tomorrow"),
    ],
)
def test_why_the_clock_stands_still(suspended: tuple[str, ...], told: str) -> None:
    status = dialogue()
    status.silence_s, status.window_s, status.suspended = 1.0, (2.0, 3.0), suspended
    assert row(status, "Тишина", 60, 15) == f"Тишина  {told}"


def test_the_clock_without_a_window_or_not_running() -> None:
    status = dialogue()
    assert row(status, "Тишина") == "Тишина  отсчёт не идёт"
    client(status).speaking = True
    assert row(status, "Тишина") == "Тишина  говорят"
    status.silence_s = 4.0
    assert row(status, "Тишина") == "Тишина  4,0 с  фраза не нужна"
    status.phrase = PhraseStatus(FAREWELL, "playing", -1, 0)
    assert row(status, "Тишина") == "Тишина  звучит фраза"
    status.phase = None
    assert row(status, "Тишина") == "Тишина  звонка нет"


# -- the phrase ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("from_s", "to_s", "title"),
    [
        (0.2, 1.2, " СКАЖИТЕ через 0,2 с"),
        (0.0, 1.0, " СКАЖИТЕ СЕЙЧАС, ещё 1,0 с"),
        (-1.0, 0.0, " СКАЖИТЕ СЕЙЧАС, ещё 0,0 с"),
        (-1.5, -0.5, " СКАЖИТЕ, опоздание 0,5 с"),
    ],
)
def test_a_cue_is_a_bar_with_its_countdown_and_the_whole_phrase_under_it(
    from_s: float, to_s: float, title: str
) -> None:
    status = dialogue()
    status.mode = "cue"
    status.phrase = PhraseStatus(FAREWELL, "cue", from_s, to_s)
    lines = render(status, 40, 15)
    at = [line.plain.rstrip() for line in lines].index(title)
    assert len(lines[at].plain) == 40  # over the whole width
    assert [line.plain for line in lines[at + 1 : at + 3]] == [
        "«К сожалению, вас не слышно, я вам",
        "сейчас перезвоню»",
    ]
    assert "фразы говорите вы" in read(status)


def test_the_product_tells_what_it_is_about_to_say_and_what_it_says() -> None:
    status = dialogue()
    status.phrase = PhraseStatus(FAREWELL, "asked", 0.5, 1.0)
    assert f"Сейчас прозвучит: «{FAREWELL}»" in read(status)
    status.phrase.state = "playing"
    assert f"Звучит: «{FAREWELL}»" in read(status)
    status.phrase.state = "by_operator"
    assert f"Вы говорите: «{FAREWELL}»" in read(status)
    status.phrase.state, status.phrase.from_s = "next", 1.4
    assert f"Фраза через 1,4 с: «{FAREWELL}»" in read(status)
    assert f"3:42  Фраза: «{FAREWELL}»" in ChangeLines().lines(status)


def test_phrases_that_cannot_be_voiced_are_the_operators() -> None:
    status = dialogue()
    status.voice_problem = "нет русского голоса"
    assert "Фразы не озвучить, говорите сами: нет русского голоса" in read(status, 60, 15)
    status.mode = "cue"
    assert "не озвучить" not in read(status)


# -- the call --------------------------------------------------------------------------------------


def test_between_calls() -> None:
    assert read(Status(), 60, 15).splitlines() == [
        "Жду звонка                           фразы говорит программа",
        "Вы      ············  открываю устройство…",
        "Клиент  ············  открываю устройство…",
        "Тишина  звонка нет",
        *[""] * 10,
        "А начать звонок  Й выход",
    ]


STATES = (
    "Жду звонка",
    "Приветствие",
    "Диалог",
    "Удержание",
    "ЗАВЕРШИТЕ ЗВОНОК",
    "Звонок",
    "звонка нет",
)


@pytest.mark.parametrize("phase", [None, *Phase])
def test_one_line_says_the_state_of_the_call(phase: Phase | None) -> None:
    status = dialogue()
    status.phase, status.hang_up = phase, True
    assert [state for state in STATES if state in read(status)] == ["ЗАВЕРШИТЕ ЗВОНОК"]
    assert ChangeLines().lines(status) == ["3:42  ЗАВЕРШИТЕ ЗВОНОК"]
    status.hang_up = False
    told = ChangeLines().lines(status)
    assert len(told) == 1
    assert read(status).startswith(told[0].removeprefix("3:42  "))


def test_a_virtual_microphone_that_is_gone_makes_the_operator_the_speaker() -> None:
    status = dialogue()
    status.prompt_device = "vad-agent microphone"
    assert "фразы говорит программа" in read(status)
    status.prompt_state, status.voice_lost = DeviceState.LOST, True
    told = "Вывод фраз отключён — жду его, фразы говорите сами (vad-agent microphone)"
    assert told in read(status)
    assert f"3:42  {told}" in ChangeLines().lines(status)
    assert "фразы говорите вы" in read(status)
    assert "фразы говорит программа" not in read(status)


def test_why_the_mode_is_cue_though_an_output_was_set_up() -> None:
    status = dialogue()
    status.mode, status.no_voice = "cue", messages_ru.NO_MICROPHONE
    assert "Фразы не озвучить, говорите сами: нет виртуального микрофона" in read(status)


def test_a_guess_can_be_undone() -> None:
    status = dialogue()
    status.guessed = True
    assert read(status).startswith("Диалог  3:42  определено на слух, О: отменить")
    assert "О отменить" in read(status)


@pytest.mark.parametrize("height", range(4, 31))
def test_hang_up_is_seen_in_any_window(height: int) -> None:
    status = dialogue()
    status.hang_up = True
    status.phrase = PhraseStatus(FAREWELL, "cue", -1, -2)
    assert "ЗАВЕРШИТЕ ЗВОНОК" in read(status, 60, height)


@pytest.mark.parametrize("height", range(2, 31))
def test_what_is_typed_is_seen_in_any_window(height: int) -> None:
    status = dialogue()
    status.phrase = PhraseStatus(FAREWELL, "cue", -1, -2)
    status.callback, status.hang_up = "сразу", True
    shown = read(status, 60, height, "Имя клиента: Анна_")
    assert shown.splitlines()[-1] == "Имя клиента: Анна_"
    assert "П пауза" not in shown


def test_without_a_keyboard_no_keys_are_promised() -> None:
    shown = read(dialogue(), prompt=None)
    assert "П пауза" not in shown
    assert shown.endswith("клавиш нет: ввод не с терминала. Ctrl-C: выход")


def test_the_newest_messages_stay_where_there_is_little_room() -> None:
    status = dialogue()
    status.messages.extend((float(n), f"случай {n}") for n in range(6))
    shown = read(status, 60, 10)
    assert "случай 5" in shown
    assert "случай 0" not in shown


def test_control_characters_from_elsewhere_do_not_reach_the_terminal() -> None:
    status = dialogue()
    evil = "Ан\x1b]0;x\x07\x1b[2Jна\r\n\u202e"
    status.client_name = status.callback = status.voice_problem = evil
    operator(status).device = evil
    status.phrase = PhraseStatus(evil, "cue", 0, 1)
    status.messages.append((1.0, evil))
    for text in [*read(status).splitlines(), *ChangeLines().lines(status, evil)]:
        assert text.isprintable(), text
        assert "Ан ]0;x" in text or "Ан" not in text


def test_where_blocks_cannot_be_drawn_they_are_ascii() -> None:
    status = dialogue()
    client(status).level_db = -30.0
    status.silence_s, status.window_s = 2.5, (2.0, 3.0)
    for line in render(status, 100, 30, "", ASCII):
        line.plain.replace("–", "-").encode("cp866")


SECONDS = st.floats(-100, 4000, allow_nan=False)


@given(
    st.builds(
        Status,
        mode=st.sampled_from(["auto", "cue"]),
        phase=st.sampled_from([None, *Phase]),
        call_s=st.floats(0, 1e6),
        guessed=st.booleans(),
        client_name=st.none() | st.text(),
        silence_s=st.none() | st.floats(0, 1e5),
        window_s=st.none() | st.sampled_from([(2.0, 3.0), (60.0, 61.0), (0.0, 0.02), (3.5, 9.0)]),
        held=st.booleans(),
        phrase=st.none()
        | st.builds(PhraseStatus, st.text(), st.sampled_from(["cue", "playing"]), SECONDS, SECONDS),
        callback=st.none() | st.text(),
        hang_up=st.booleans(),
        prompt_state=st.sampled_from(DeviceState),
        voice_problem=st.none() | st.text(),
    ),
    st.integers(1, 200),
    st.integers(1, 60),
    st.none() | st.text(),
)
def test_any_status_fits_any_window(
    status: Status, width: int, height: int, prompt: str | None
) -> None:
    lines = render(status, width, height, prompt)
    assert 1 <= len(lines) <= height
    assert all(line.cell_len <= max(width, 20) for line in lines)
    assert all(line.plain.isprintable() for line in lines)


# -- without redraws -------------------------------------------------------------------------------


def test_a_line_for_each_change_and_none_without() -> None:
    status, changes = dialogue(), ChangeLines()
    assert changes.lines(status) == ["3:42  Диалог"]
    assert changes.lines(status) == []
    client(status).level_db = -10.0
    client(status).speaking = True
    assert changes.lines(status) == []  # levels and voices would be a line a second
    client(status).speaking = False
    client(status).line = LineState.MUSIC
    status.call_s = 230.0
    assert changes.lines(status) == ["3:50  Клиент: идёт музыка ожидания"]
    client(status).line = LineState.LIVE
    assert changes.lines(status) == []
    client(status).state = DeviceState.LOST
    assert changes.lines(status) == ["3:50  Клиент: наушники отключены — жду их"]


def test_a_cue_is_told_when_it_comes_and_when_it_is_due() -> None:
    status, changes = dialogue(), ChangeLines()
    changes.lines(status)
    status.phrase = PhraseStatus("Вас не слышно", "cue", 0.2, 1.2)
    assert changes.lines(status) == ["3:42  СКАЖИТЕ: «Вас не слышно»"]
    status.phrase = PhraseStatus("Вас не слышно", "cue", 0.1, 1.1)
    assert changes.lines(status) == []
    status.phrase = PhraseStatus("Вас не слышно", "cue", -0.1, 0.9)
    assert changes.lines(status) == ["3:42  СКАЖИТЕ СЕЙЧАС: «Вас не слышно»"]
    status.phrase, status.hang_up, status.callback = None, True, "Перезвонить сразу"
    assert changes.lines(status) == ["3:42  Перезвонить сразу", "3:42  ЗАВЕРШИТЕ ЗВОНОК"]
    status.phrase = PhraseStatus("Вас не слышно", "playing", 0, 0)
    assert changes.lines(status) == ["3:42  Звучит: «Вас не слышно»"]


def test_each_message_is_told_once_also_where_old_ones_fall_off_and_where_they_are_the_same() -> (
    None
):
    status, changes = dialogue(), ChangeLines()
    changes.lines(status)
    told = []
    for n in range(20):
        status.messages.append((60.0, f"случай {n // 2}"))
        if n % 3 == 2:
            told += changes.lines(status)
    told += changes.lines(status)
    assert told == [f"1:00  случай {n // 2}" for n in range(20)]


def test_what_the_operator_is_asked_is_told() -> None:
    changes = ChangeLines()
    changes.lines(Status())
    assert changes.lines(Status(), "Имя клиента") == ["0:00  Имя клиента"]
    assert changes.lines(Status(), "Имя клиента") == []


def test_lines_are_texts_with_styles_that_repeat_the_words() -> None:
    status = dialogue()
    client(status).state = DeviceState.LOST
    (line,) = [one for one in render(status, 80, 24) if one.plain.startswith("Клиент")]
    assert isinstance(line, Text)
    assert any("red" in str(span.style) for span in line.spans)


# -- a call is over, and nobody knows how ------------------------------------------------------------


def over(*clients: str | None) -> Status:
    """No call is on; one question for each client."""
    status, at = dialogue(), datetime(2026, 11, 30, 15, 30)
    status.phase, status.client_name = None, None
    status.questions = tuple(
        FarewellQuestion(f"{n}", at, at + timedelta(minutes=3), at + timedelta(minutes=5), client)
        for n, client in enumerate(clients)
    )
    return status


@pytest.mark.parametrize("width", [60, 100])
def test_whether_they_said_goodbye_is_asked_with_the_times_of_the_call(width: int) -> None:
    told = " ".join(read(over("Анна"), width, 15).split())
    assert "Попрощались? Звонок 15:30–15:33, Анна" in told
    assert "В: да, попрощались. С: нет, сорвался. Не ответите: клиенту перезвонят в 15:35" in told
    assert "В да, попрощались С нет, сорвался" in told  # the keys


def test_of_several_questions_the_newest_is_asked_and_the_others_are_counted() -> None:
    told = read(over("Анна", None, None))
    assert "Анна (и ещё 2)" in told
    assert told.count("Попрощались?") == 1


def test_in_the_next_call_nothing_is_asked() -> None:
    status = over("Анна")
    status.phase = Phase.DIALOGUE
    assert "Попрощались?" not in read(status)


def test_a_goodbye_is_confirmed_until_the_call_ends() -> None:
    status = dialogue()
    status.goodbye = True
    assert row(status, "Тишина") == (
        "Тишина  попрощались: контроль выключен до конца звонка, О: вернуть"
    )


def test_without_redraws_the_question_is_one_line() -> None:
    lines = ChangeLines()
    asked = "Попрощались? Звонок 15:30–15:33. В: да, попрощались. С: нет, сорвался"
    assert [line for line in lines.lines(over(None)) if "Попрощались" in line] == [f"3:42  {asked}"]
    assert lines.lines(over(None)) == []
