"""Tapes of keys: what is pressed → what the loop is told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.client.headset_protocol import Command, ControlMessage
from vad_agent.core.actions import Phase
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.input_parsing import callback_time
from vad_agent.headset.key_dispatch import KeyDispatch
from vad_agent.headset.keymap import KEYS, RUSSIAN, Key, all_keys, key_list
from vad_agent.headset.status import FarewellQuestion, Status

MOSCOW = timezone(timedelta(hours=3))
NOON = datetime(2026, 1, 31, 12, 0, 20, tzinfo=MOSCOW)
ESC, ENTER, BACKSPACE = "\x1b", "\r", "\x7f"


class Desk:
    """An operator at his keys: the status he sees, the clock on his wall."""

    def __init__(self, phase: Phase | None = Phase.DIALOGUE) -> None:
        self.status = Status(phase=phase)
        self.time = NOON
        self.keys = KeyDispatch(self.status, lambda: self.time)

    def press(self, tape: str) -> list[ControlMessage]:
        return [sent for key in tape for sent in self.keys.press(key)]


def in_call(tape: str) -> list[ControlMessage]:
    return Desk().press(tape)


@pytest.mark.parametrize(
    ("tape", "sent"),
    [
        ("п", Event(EventKind.PAUSE)),
        ("у", Event(EventKind.HOLD, party="operator")),
        ("к", Event(EventKind.HOLD, party="client")),
        ("нн", Event(EventKind.CLIENT_CANNOT_HEAR)),
        ("в", Event(EventKind.GOODBYE)),
        ("зз", Command.END_CALL),
        ("сс", Event(EventKind.HANGUP, party="client")),
        ("о", Command.UNDO),
        ("\x1a", Command.UNDO),
        ("йй", Command.QUIT),
        ("\x03", Command.QUIT),
        ("н" + ENTER, Event(EventKind.CLIENT_CANNOT_HEAR)),
        ("иАнна" + ENTER, Event(EventKind.CLIENT_NAME, name="Анна")),
        ("т8 (912) 345-67-89" + ENTER, Event(EventKind.CLIENT_PHONE, phone="+79123456789")),
        (
            "тномер" + ENTER + "\x15+79123456789" + ENTER,
            Event(EventKind.CLIENT_PHONE, phone="+79123456789"),
        ),
    ],
)
def test_a_key_sends_what_it_stands_for(tape: str, sent: ControlMessage) -> None:
    assert in_call(tape) == [sent]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.letter)
def test_the_same_key_of_the_other_layout_and_a_capital_do_the_same(key: Key) -> None:
    letter = key.letter
    latin = next(one for one, russian in RUSSIAN.items() if russian == letter)
    phase = None if letter == "а" else Phase.DIALOGUE
    told = []
    for pressed in (letter, letter.upper(), latin, latin.upper()):
        desk = Desk(phase)
        told.append((desk.press(pressed * 2), desk.keys.question))
    assert told == [told[0]] * 4


def test_no_number_changes_none() -> None:
    assert in_call("т" + ENTER) == []


@pytest.mark.parametrize("typed", ["8 912 345", "12345", "+7 111 111-11-11", "+999 123456789"])
def test_a_number_that_nobody_can_be_rung_by_is_refused_where_it_is_typed(typed: str) -> None:
    for tape in ("т", f"д+20{ENTER}"):
        desk = Desk()
        assert desk.press(tape + typed + ENTER) == []
        assert "✗ на такой номер не позвонить" in desk.keys.prompt
        assert typed in desk.keys.prompt  # it is not lost


def test_a_number_is_echoed_as_it_is_understood_but_not_into_a_log() -> None:
    desk = Desk()
    desk.press(f"т8 9123456789{ENTER}")
    assert desk.keys.prompt == "Номер клиента: +7 912 345-67-89"
    assert desk.keys.question == ""
    desk.time += timedelta(seconds=5)
    assert desk.keys.prompt == ""
    desk.status.client_phone = "+79123456789"
    desk.press("т")
    assert "(сейчас +7 912 345-67-89)" in desk.keys.prompt
    assert "912" not in desk.keys.question


def test_the_country_of_a_number_is_in_the_settings() -> None:
    desk = Desk()
    desk.status.region = "BY"
    [sent] = desk.press(f"т8 029 491-19-11{ENTER}")
    assert sent == Event(EventKind.CLIENT_PHONE, phone="+375294911911")


def test_no_two_keys_are_the_same() -> None:
    assert len({key.letter for key in KEYS}) == len(KEYS)
    assert {key.letter for key in KEYS} <= set(RUSSIAN.values())


@pytest.mark.parametrize("key", "щ1 \t ъ[日\x00")
def test_other_keys_do_nothing(key: str) -> None:
    desk = Desk()
    assert desk.press(key) == []
    assert desk.keys.prompt == ""


# -- pressed again ---------------------------------------------------------------------------------


def test_pause_resumes_what_is_paused() -> None:
    desk = Desk()
    desk.status.suspended = ("paused", "muted")
    assert desk.press("п") == [Event(EventKind.RESUME)]
    assert ("П", "продолжить") in key_list(desk.status)


def test_hold_ends_a_hold_whoever_began_it() -> None:
    desk = Desk(Phase.ON_HOLD)
    desk.status.held = True
    assert desk.press("ук") == [
        Event(EventKind.UNHOLD, party="operator"),
        Event(EventKind.UNHOLD, party="client"),
    ]
    assert ("У", "снять с удержания") in key_list(desk.status)


# -- what cannot be taken back ---------------------------------------------------------------------


@pytest.mark.parametrize("letter", "нзсй")
def test_what_cannot_be_taken_back_is_asked_about_first(letter: str) -> None:
    desk = Desk()
    assert desk.press(letter) == []
    assert f"ещё раз {letter.upper()}: да, Esc: нет" in desk.keys.prompt
    assert desk.press(ESC) == []
    assert desk.keys.prompt == ""
    assert desk.press(letter) == []  # it is asked anew


def test_another_key_is_obeyed_and_the_question_gone() -> None:
    desk = Desk()
    assert desk.press("зп") == [Event(EventKind.PAUSE)]
    assert desk.keys.prompt == ""
    assert desk.press("з") == []


def test_a_question_is_forgotten_after_five_seconds() -> None:
    desk = Desk()
    desk.press("н")
    desk.time += timedelta(seconds=4.9)
    assert desk.keys.prompt
    desk.time += timedelta(seconds=0.1)
    assert desk.keys.prompt == ""
    assert desk.press("н") == []
    assert desk.press("н") == [Event(EventKind.CLIENT_CANNOT_HEAR)]


def test_a_wall_clock_set_back_leaves_no_question_for_hours() -> None:
    desk = Desk()
    desk.press("н")
    desk.time -= timedelta(hours=1)
    assert desk.keys.prompt == ""
    assert desk.press(ENTER) == []


def test_a_call_that_ended_before_the_answer_is_not_ended_twice() -> None:
    desk = Desk()
    desk.press("з")
    desk.status.phase = None
    assert desk.press("з") == []
    assert "Звонка нет" in desk.keys.prompt


# -- without a call --------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [None, Phase.ENDED])
def test_without_a_call_only_a_call_can_be_begun(phase: Phase | None) -> None:
    desk = Desk(phase)
    assert desk.press("пиукндвзс") == []
    assert desk.keys.prompt == "Звонка нет. А: начать звонок"
    assert desk.press("а") == [Command.START_CALL]
    assert [letter for letter, _ in key_list(desk.status)] == ["А", "Й"]


def test_a_call_is_not_begun_in_a_call() -> None:
    desk = Desk()
    assert desk.press("а") == []
    assert desk.keys.prompt == "Звонок уже идёт"


def test_a_guess_that_can_be_undone_has_its_key() -> None:
    assert ("О", "отменить") in key_list(Status(guessed=True))
    assert "О" not in dict(key_list(Status()))
    assert len(all_keys()) == len(KEYS)
    assert all(name for _, name in all_keys())


# -- a call is over, and nobody knows how ------------------------------------------------------------

ASKED = FarewellQuestion("call-7", NOON, NOON + timedelta(minutes=3), NOON + timedelta(minutes=5))


@pytest.mark.parametrize("phase", [None, Phase.ENDED])
def test_one_key_answers_whether_they_said_goodbye(phase: Phase | None) -> None:
    desk = Desk(phase)
    desk.status.questions = (ASKED,)
    assert desk.press("в") == [Event(EventKind.GOODBYE, question="call-7")]
    assert desk.press("с") == [Event(EventKind.HANGUP, party="client", question="call-7")]
    shown = dict(key_list(desk.status))
    assert (shown["В"], shown["С"]) == ("да, попрощались", "нет, сорвался")


def test_in_the_next_call_the_keys_are_the_calls() -> None:
    desk = Desk()
    desk.status.questions = (ASKED,)
    assert desk.press("в") == [Event(EventKind.GOODBYE)]
    assert desk.press("сс") == [Event(EventKind.HANGUP, party="client")]
    assert dict(key_list(desk.status))["В"] == "попрощались"


def test_a_goodbye_can_be_undone() -> None:
    assert ("О", "отменить") in key_list(Status(phase=Phase.DIALOGUE, goodbye=True))


# -- the client's name -----------------------------------------------------------------------------


def test_letters_of_a_name_are_no_commands() -> None:
    desk = Desk()
    assert desk.press("иПафнутий") == []
    assert desk.keys.prompt == "Имя клиента: Пафнутий_"
    assert desk.keys.question == "Имя клиента"
    assert desk.press(ENTER) == [Event(EventKind.CLIENT_NAME, name="Пафнутий")]
    assert desk.keys.prompt == ""


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  Анна   Мария ", "Анна Мария"),
        ("Анн-Мари", "Анн-Мари"),
        ("Аняя" + BACKSPACE * 2 + "на", "Анна"),
        ("Ол" + BACKSPACE * 9 + "Ян", "Ян"),
        ("Ольга\x15Ян", "Ян"),
        ("Ян\t\x00", "Ян"),
        ("", ""),
        ("O'Neill", "O'Neill"),
    ],
)
def test_a_name_as_it_is_typed(typed: str, name: str) -> None:
    assert in_call("и" + typed + ENTER) == [Event(EventKind.CLIENT_NAME, name=name)]


def test_escape_forgets_what_was_typed() -> None:
    desk = Desk()
    assert desk.press("иАнна" + ESC) == []
    assert desk.press("иЯн" + ENTER) == [Event(EventKind.CLIENT_NAME, name="Ян")]


@pytest.mark.parametrize(
    ("typed", "mistake"),
    [("Анна1", "в имени только буквы"), ("-", "в имени нет букв")],
)
def test_a_mistake_is_told_and_nothing_is_lost(typed: str, mistake: str) -> None:
    desk = Desk()
    assert desk.press("и" + typed + ENTER) == []
    assert desk.keys.prompt == f"Имя клиента: {typed}_  ✗ {mistake}"
    assert mistake in desk.keys.question
    desk.press(BACKSPACE)
    assert "✗" not in desk.keys.prompt
    assert desk.press("\x15Ян" + ENTER) == [Event(EventKind.CLIENT_NAME, name="Ян")]


def test_a_name_for_a_call_that_is_gone_is_not_lost_at_once() -> None:
    desk = Desk()
    desk.press("иАнна")
    desk.status.phase = None
    assert desk.press(ENTER) == []
    assert "Анна_  ✗ звонка уже нет, Esc: отмена" in desk.keys.prompt
    desk.press(ESC)
    assert desk.keys.prompt == ""


def test_a_known_name_is_shown_and_can_be_forgotten() -> None:
    desk = Desk()
    desk.status.client_name = "Анна"
    desk.press("и")
    assert desk.keys.prompt == "Имя клиента (сейчас Анна, пусто: забыть): _"
    assert desk.press(ENTER) == [Event(EventKind.CLIENT_NAME, name="")]


def test_a_paste_is_text_where_something_is_typed_and_nothing_elsewhere() -> None:
    desk = Desk()
    assert desk.keys.press("ннззйй") == []
    assert desk.keys.prompt == ""
    desk.press("и")
    assert desk.keys.press("Анна\r\n") == []
    assert desk.press(ENTER) == [Event(EventKind.CLIENT_NAME, name="Анна")]


def test_a_line_is_not_longer_than_a_name_can_be() -> None:
    desk = Desk()
    assert desk.press("и" + "а" * 1000 + ENTER) == [Event(EventKind.CLIENT_NAME, name="а" * 60)]


# -- the agreed callback ---------------------------------------------------------------------------


def test_a_callback_is_agreed_with_its_time_and_the_number() -> None:
    desk = Desk()
    desk.status.client_name = "Анна"
    assert desk.press("д15:30" + ENTER) == []
    assert desk.keys.prompt == "Перезвон сегодня в 15:30. Телефон (пусто: тот же): _"
    assert desk.press("8 (912) 345-67-89" + ENTER) == [
        Event(
            EventKind.CALLBACK_AGREED,
            name="Анна",
            phone="+79123456789",
            at="2026-01-31T15:30:00+03:00",
            ts="2026-01-31T12:00:20+03:00",
        )
    ]


def test_the_number_may_be_left_out() -> None:
    (event,) = in_call("д+20" + ENTER * 2)
    assert isinstance(event, Event)
    assert (event.at, event.phone, event.name) == ("2026-01-31T12:20:20+03:00", None, None)


def test_a_wrong_number_is_told_and_the_time_kept() -> None:
    desk = Desk()
    assert desk.press("д9:05" + ENTER + "12ab" + ENTER) == []
    assert "завтра в 09:05" in desk.keys.prompt
    assert "12ab_  ✗ номер: от 5 до 15 цифр, пример +79123456789" in desk.keys.prompt
    (event,) = desk.press("\x15+79123456789" + ENTER)
    assert isinstance(event, Event)
    assert (event.at, event.phone) == ("2026-02-01T09:05:00+03:00", "+79123456789")


@pytest.mark.parametrize("typed", ["д" + ESC, "д15:30" + ESC, "д15:30" + ENTER + "8912" + ESC])
def test_a_callback_is_left_off_at_any_point(typed: str) -> None:
    desk = Desk()
    assert desk.press(typed) == []
    assert desk.keys.prompt == ""
    desk.press("д")
    assert desk.keys.prompt == "Когда перезвонить (ЧЧ:ММ или +минуты): _"


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("12:00", "2026-01-31T12:00:00+03:00"),  # this very minute
        ("11:59", "2026-02-01T11:59:00+03:00"),
        ("12:01", "2026-01-31T12:01:00+03:00"),
        ("0:00", "2026-02-01T00:00:00+03:00"),
        ("23:59", "2026-01-31T23:59:00+03:00"),
        ("15.30", "2026-01-31T15:30:00+03:00"),
        ("15Ж30", "2026-01-31T15:30:00+03:00"),  # the colon's key, the Russian layout
        ("15^30", "2026-01-31T15:30:00+03:00"),
        ("15 30", "2026-01-31T15:30:00+03:00"),
        ("+1", "2026-01-31T12:01:20+03:00"),
        ("+ 90", "2026-01-31T13:30:20+03:00"),
        ("+1440", "2026-02-01T12:00:20+03:00"),
    ],
)
def test_when_a_callback_is_agreed_for(typed: str, at: str) -> None:
    assert callback_time(typed, NOON).isoformat() == at


@pytest.mark.parametrize(
    "typed",
    ["", "15", "24:00", "12:60", "1530", "+0", "+1441", "-5", "завтра", "12:5", "１２:００"],
)
def test_what_is_no_time_is_told(typed: str) -> None:
    with pytest.raises(ValueError, match=r"пример|минут"):
        callback_time(typed, NOON)
    desk = Desk()
    assert desk.press("д" + typed + ENTER) == []
    assert "✗" in desk.keys.prompt


# -- whatever is pressed ---------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.sampled_from("апиукндвзсой\r\x1b\x7f\x15:15+"), st.text(max_size=4))),
    st.sampled_from([None, *Phase]),
)
def test_any_keys_send_only_what_can_be_parsed_and_escape_always_leads_out(
    pressed: list[str], phase: Phase | None
) -> None:
    desk = Desk(phase)
    for key in pressed:
        for sent in desk.keys.press(key):
            assert isinstance(sent, Command | Event)
            if isinstance(sent, Event):
                Event.parse(sent)
                if sent.at:
                    assert datetime.fromisoformat(sent.at) >= NOON.replace(second=0)
        assert "\n" not in desk.keys.prompt
    desk.keys.press(ESC)
    assert desk.keys.prompt == ""
