"""The question whether another headset may take over: on the screen, the page, in plain lines; its answer."""

from __future__ import annotations

from datetime import datetime

import pytest

from vad_agent.client.headset_protocol import COMMANDS, PAGE_COMMANDS, Command, parse_control
from vad_agent.core.actions import Phase
from vad_agent.errors import EventError
from vad_agent.headset.headset_admission import HeadsetAdmission
from vad_agent.headset.key_dispatch import KeyDispatch
from vad_agent.headset.keymap import key_list
from vad_agent.headset.screen import render
from vad_agent.headset.status import Status
from vad_agent.headset.status_publisher import snapshot
from vad_agent.headset.terminal_display import ChangeLines

QUESTION = "Другая гарнитура входит под вашим логином с адреса 10.0.0.7. Это вы?"


class Asked:
    """An operator who is asked, in a call or not."""

    def __init__(self, phase: Phase | None) -> None:
        self.status = Status(phase=phase)
        self.answers: list[bool] = []
        self.admission = HeadsetAdmission(self.status)
        self.admission.ask("q1", "10.0.0.7", self.answers.append)


@pytest.fixture(params=[None, Phase.DIALOGUE], ids=["no call", "in a call"])
def asked(request: pytest.FixtureRequest) -> Asked:
    return Asked(request.param)


def shown(status: Status) -> str:
    return " ".join(" ".join(line.plain for line in render(status, 100, 30)).split())


def test_the_screen_the_page_and_the_lines_ask(asked: Asked) -> None:
    assert QUESTION in shown(asked.status)
    assert "Г: пустить" in shown(asked.status)
    (question,) = snapshot(asked.status, "anna")["questions"]
    assert (question["text"], question["hint"]) == (QUESTION, "Не ответите: её не пустят")
    assert question["yes"]["sends"] == {"command": "admit_headset"}
    assert question["no"]["sends"] == {"command": "refuse_headset"}
    assert any(QUESTION in line for line in ChangeLines().lines(asked.status))


def test_a_key_says_yes_in_a_call_too(asked: Asked) -> None:
    keys = KeyDispatch(asked.status, lambda: datetime.now().astimezone())
    assert ("Г", "пустить гарнитуру") in key_list(asked.status)
    assert keys.press("u") == [Command.ADMIT_HEADSET]
    asked.admission.answer(True)
    assert asked.answers == [True]
    assert QUESTION not in shown(asked.status)
    assert keys.press("г") == []
    assert keys.question == "Никакая другая гарнитура не входит"
    assert "Г" not in [letter for letter, _ in key_list(asked.status)]


def test_a_question_is_answered_once_and_ends_by_its_id(asked: Asked) -> None:
    asked.admission.over("another")
    assert asked.status.headset_question is not None
    asked.admission.answer(False)
    asked.admission.answer(True)
    assert asked.answers == [False]
    asked.admission.ask("q2", "", asked.answers.append)
    assert "под вашим логином. Это вы?" in shown(asked.status)
    asked.admission.over("q2")
    asked.admission.answer(True)
    assert asked.answers == [False]
    assert asked.status.headset_question is None


def test_only_the_operators_own_page_says_yes() -> None:
    line = b'{"command": "admit_headset"}'
    assert parse_control(line, PAGE_COMMANDS) is Command.ADMIT_HEADSET
    with pytest.raises(EventError, match=f"expected one of {', '.join(COMMANDS)}"):
        parse_control(line)
