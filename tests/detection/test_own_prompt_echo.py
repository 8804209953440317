"""The echo of our own prompt is not speech; speech over it is."""

from __future__ import annotations

import pytest

from tests.detection.endpointer_tape import (
    clip,
    draw,
    listen,
    near,
    new_endpointer,
    noise,
    over,
    voice,
)
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.detection.endpointer import ECHO_TAIL

PROMPTS = (
    "product_not_heard_in_dialogue",
    "product_farewell_in_dialogue",
    "man_farewell_in_dialogue",
    "woman_long",
)
CALLS = (".*2", ".*100", "0*100", ".*50 S*150 .*60")
TO_PROMPT_LEVEL = 2.0
"""Clips are at -20 dBFS, prompts are played at -18."""


def ear_after(call: str) -> EndpointerPort:
    """An endpointer in a call so far, as its own prompt begins."""
    endpointer = new_endpointer()
    listen(endpointer, draw(call), finish=False)
    endpointer.own_prompt(True)
    return endpointer


@pytest.mark.parametrize("echo_db", [-30, -36, -45])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("call", CALLS)
def test_an_echo_opens_no_run(call: str, prompt: str, echo_db: int) -> None:
    endpointer = ear_after(call)
    echo = clip(prompt, TO_PROMPT_LEVEL + echo_db)
    frames = [*noise(8), *over(echo, noise(len(echo), seed=3))]
    assert listen(endpointer, frames, finish=False).opened == []
    endpointer.own_prompt(False)
    assert listen(endpointer, noise(60)).opened == []


def test_the_tail_of_an_echo_after_the_prompt_opens_no_run() -> None:
    """It is up to 300 ms late."""
    endpointer = ear_after(".*100")
    echo = clip(PROMPTS[0], TO_PROMPT_LEVEL - 30)
    heard = listen(endpointer, echo[:-15], finish=False)
    endpointer.own_prompt(False)
    assert heard.opened == listen(endpointer, [*echo[-15:], *noise(40)]).opened == []


@pytest.mark.parametrize("level_db", [-24, -18, -12])
@pytest.mark.parametrize("call", CALLS)
def test_a_barge_in_is_heard_at_once(call: str, level_db: int) -> None:
    endpointer = ear_after(call)
    echo = clip("man_farewell_in_dialogue", TO_PROMPT_LEVEL - 30)
    frames = [*echo[:50], *over(echo[50:150], voice(100, level_db)), *noise(60)]
    heard = listen(endpointer, frames)
    at = len(draw(call)) + 50
    assert near(heard.runs[-1:], [(at, at + 100)])
    assert heard.opened[0] - 50 <= 10


@pytest.mark.parametrize(
    ("call", "level_db"), [*((call, -36) for call in CALLS[1:3]), *((call, -32) for call in CALLS)]
)
def test_after_the_prompt_and_its_tail_a_quiet_voice_is_heard_again(
    call: str, level_db: int
) -> None:
    endpointer = ear_after(call)
    listen(endpointer, noise(150), finish=False)
    endpointer.own_prompt(False)
    heard = listen(endpointer, [*noise(ECHO_TAIL), *voice(100, level_db), *noise(60)])
    at = len(draw(call)) + 150 + ECHO_TAIL
    assert near(heard.runs, [(at, at + 100)])


def test_a_client_known_to_be_quiet_may_barge_in_quietly() -> None:
    endpointer = new_endpointer()
    listen(endpointer, [*noise(100), *voice(200, -38), *noise(60)], finish=False)
    endpointer.own_prompt(True)
    heard = listen(endpointer, [*noise(50), *voice(100, -38), *noise(60)])
    assert near(heard.runs, [(410, 510)])


def test_a_second_prompt_within_the_tail_of_the_first_is_still_a_prompt() -> None:
    endpointer = ear_after(".*100")
    listen(endpointer, noise(50), finish=False)
    endpointer.own_prompt(False)
    listen(endpointer, noise(ECHO_TAIL - 5), finish=False)
    endpointer.own_prompt(True)
    echo = clip("woman_long", TO_PROMPT_LEVEL - 30)
    assert listen(endpointer, over(echo, noise(len(echo))), finish=False).opened == []


def test_an_endpointer_that_never_heard_a_prompt_hears_what_could_be_an_echo() -> None:
    endpointer = new_endpointer()
    assert listen(endpointer, [*noise(100), *voice(100, -44), *noise(60)]).runs != []
