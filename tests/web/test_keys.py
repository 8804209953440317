"""The operator's keys are one table: the page takes them from the headset, and has none of its own."""

from __future__ import annotations

import json
import re

import pytest

from vad_agent.client.headset_protocol import control_fields, parse_control
from vad_agent.core.actions import Phase
from vad_agent.headset.keymap import KEYS, PAGE_MAP, QUIT, Field, page_keys
from vad_agent.headset.status import Status
from vad_agent.web.dependencies import TEMPLATES

STATIC = TEMPLATES.parent / "static"
SCRIPTS = {one.name: one.read_text("utf-8") for one in STATIC.glob("*.js")}
PANEL = (TEMPLATES / "panel.html").read_text("utf-8")
LETTERS = {key.letter.upper() for key in KEYS}


def test_the_page_is_told_of_every_key_but_the_way_out() -> None:
    assert set(PAGE_MAP) == LETTERS - {QUIT.upper()}
    assert {key.letter.upper(): key.sure for key in KEYS if key.letter != QUIT} == {
        letter: one["sure"] for letter, one in PAGE_MAP.items()
    }
    codes = [one["code"] for one in PAGE_MAP.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("Key[A-Z]", code or "") for code in codes)


def test_the_forms_of_the_page_are_those_that_keys_open() -> None:
    forms = re.findall(r'<form id="form-(\w+)"', PANEL)
    assert sorted(forms) == sorted(one["form"] for one in PAGE_MAP.values() if one["form"])


def test_a_letter_in_a_script_of_the_page_is_a_keys() -> None:
    named = {
        letter for text in SCRIPTS.values() for letter in re.findall(r"""["']([А-ЯЁ])["']""", text)
    }
    assert named  # what is said where a key means nothing now
    assert named <= set(PAGE_MAP)


@pytest.mark.parametrize("question", sorted({key.sure for key in KEYS if key.sure}))
def test_no_script_of_the_page_has_a_question_of_its_own(question: str) -> None:
    assert not [name for name, text in SCRIPTS.items() if question in text]


@pytest.mark.parametrize("phase", [None, Phase.GREETING, Phase.ENDED])
@pytest.mark.parametrize("held", [False, True])
def test_what_a_key_of_the_page_sends_is_taken_by_the_headset(
    phase: Phase | None, held: bool
) -> None:
    status = Status(phase=phase, held=held, guessed=True)
    keys = page_keys(status)
    assert keys
    for letter, _, sends in keys:
        assert (sends is None) == bool(PAGE_MAP[letter]["form"])
        if sends is not None:
            assert control_fields(parse_control(json.dumps(sends).encode())) == sends


def test_a_form_is_no_message() -> None:
    assert {field.value for field in Field} >= {one["form"] for one in PAGE_MAP.values()} - {None}
