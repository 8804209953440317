"""The drawn script: what the rows say, in Mermaid's grammar, with no way that leads nowhere."""

from __future__ import annotations

import re

import pytest

from vad_agent.core.actions import Reason
from vad_agent.core.script import ROWS
from vad_agent.script.diagram import mermaid
from vad_agent.script.settings import Settings

NODE = r"(?:\[\*\]|\w+)"
# A label ends at ":" or ";" for Mermaid, so that it must have neither.
EDGE = re.compile(rf"    ({NODE}) --> ({NODE})(?: : [^:;]+)?")
STATE = re.compile(r'    state "([^":;]+)" as (\w+)')
NOTHING = re.compile(r"\s*(%% \w+)?")


def lines(settings: Settings) -> list[str]:
    return mermaid(settings.script).splitlines()


def edges(settings: Settings) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for line in lines(settings) if (found := EDGE.fullmatch(line))]


def test_one_scenario_as_drawn() -> None:
    text = mermaid(Settings().script)
    expected = """
    %% silence_in_dialogue
    state "not_heard_in_dialogue" as silence_in_dialogue_1
    dialogue --> silence_in_dialogue_1 : nobody is heard in the dialogue,\
 3–4 s of silence (2–3 s on a dead line)
    silence_in_dialogue_1 --> dialogue : the client speaks
    state "farewell_in_dialogue" as silence_in_dialogue_2
    silence_in_dialogue_1 --> silence_in_dialogue_2 : 2–3 s of silence
    silence_in_dialogue_2 --> dialogue : the client speaks
    state "silence_in_dialogue, callback at once" as silence_in_dialogue_callback
    silence_in_dialogue_2 --> silence_in_dialogue_callback : the last phrase is said
    silence_in_dialogue_callback --> ended
"""
    assert expected in text


@pytest.mark.parametrize(
    ("reason", "delay"),
    [
        (Reason.SILENCE_AFTER_GREETING, "at once"),
        (Reason.DROPPED, "at once"),
        (Reason.CLIENT_HOLD, "in 90 s"),
        (Reason.SILENCE_IN_DIALOGUE, "at once"),
        (Reason.AGREED, "at the agreed time"),
        (Reason.CLIENT_CANNOT_HEAR, "at once"),
    ],
)
def test_callback(reason: Reason, delay: str) -> None:
    assert f'    state "{reason}, callback {delay}" as {reason}_callback' in lines(Settings())


@pytest.mark.parametrize("reason", Reason)
def test_client_speech_leads_back_where_it_resets(reason: Reason) -> None:
    settings = Settings()
    steps = range(1, len(settings.script.scenarios[reason].steps) + 1)
    back = [(f"{reason}_{number}", "dialogue") in edges(settings) for number in steps]
    assert back == [ROWS[reason].client_resets] * len(steps)


CUSTOM = Settings(
    prompts={"есть-кто": {"text": "Алло", "window_s": [1.5, 2.26]}},
    scenarios={"client_hold": {"ladder": ["есть-кто", "есть-кто", "hold_farewell"]}},
)


def test_windows_are_to_the_frame() -> None:
    assert "    client_hold_1 --> client_hold_2 : 1.5–2.26 s of hold" in lines(CUSTOM)
    assert '    state "есть-кто" as client_hold_2' in lines(CUSTOM)


@pytest.mark.parametrize("settings", [Settings(), CUSTOM], ids=["built-in", "custom"])
def test_grammar_and_ways(settings: Settings) -> None:
    head, *rest = lines(settings)
    assert head == "stateDiagram-v2"
    for line in rest:
        assert any(form.fullmatch(line) for form in (EDGE, STATE, NOTHING)), line
    drawn = edges(settings)
    assert len(drawn) == len(set(drawn))
    named = {found[2] for line in rest if (found := STATE.fullmatch(line))}
    phases = {"greeting", "dialogue", "on_hold", "ended"}
    assert {state for edge in drawn for state in edge} == named | phases | {"[*]"}
    # Every state has a way in (a call may be in any phase) and a way on.
    assert {end for _, end in drawn} == named - {"any_phase"} | phases | {"[*]"}
    assert {start for start, _ in drawn} == named | phases | {"[*]"}


def test_equal_scripts_are_drawn_alike() -> None:
    assert mermaid(Settings().script) == mermaid(Settings().script)
