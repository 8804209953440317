"""Settings: what a file changes, what it compiles to, and that it survives being written."""

from __future__ import annotations

import doctest
import pickle
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import vad_agent.core.script
import vad_agent.script.settings
from vad_agent.core.actions import Reason
from vad_agent.core.endpointer_port import Plan
from vad_agent.core.frames import Channel
from vad_agent.core.script import ROWS, Timing, Window, fill
from vad_agent.detection.endpointer import Endpointer
from vad_agent.detection.third_party_detectors import Earshot, Silero, WebRtc
from vad_agent.script.schema import Scenarios
from vad_agent.script.settings import BUILT_IN_FILE, Settings

NAMES = {"client_name": "Анна", "operator_name": "Олег", "shop": "Haier"}


def load(folder: Path, text: str) -> Settings:
    path = folder / "script.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path)


# -- what a file changes ---------------------------------------------------------------------------


def test_built_in() -> None:
    settings = Settings()
    assert settings.source == "built-in"
    assert settings == Settings.load(BUILT_IN_FILE)
    file = tomllib.loads(BUILT_IN_FILE.read_text(encoding="utf-8"))
    assert {name: prompt.text for name, prompt in settings.prompts.items()} == {
        name: prompt["text"] for name, prompt in file["prompts"].items()
    }
    assert set(Scenarios.model_fields) == set(Reason)


@pytest.mark.parametrize("text", ["", "\ufeff", "# nothing\r\n"], ids=["empty", "BOM", "comment"])
def test_a_file_that_changes_nothing(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, text)
    assert settings == Settings()
    assert settings.source == str(tmp_path / "script.toml")


def test_tables_merge_and_lists_replace(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [prompts.not_heard]
        window_s = [1, 2]
        [prompts.are_you_there]
        text = "Вы на связи?"
        window_s = [4.0, 5.0]
        [scenarios.silence_after_greeting]
        ladder = ["are_you_there", "not_heard"]
        """,
    )
    built_in = Settings()
    assert settings.prompts["not_heard"].window_s == (1.0, 2.0)
    assert settings.prompts["not_heard"].text == built_in.prompts["not_heard"].text
    assert settings.prompts["hold_farewell"] == built_in.prompts["hold_farewell"]
    after_greeting = settings.scenarios.silence_after_greeting
    assert after_greeting.ladder == ("are_you_there", "not_heard")
    assert after_greeting.opening == built_in.scenarios.silence_after_greeting.opening
    assert settings.timing == built_in.timing


def test_one_attempt_has_no_gaps(tmp_path: Path) -> None:
    assert load(tmp_path, "callbacks = {attempts = 1, gaps_s = []}").callbacks.gaps_s == ()


def test_a_known_operator_may_stand_outside_brackets() -> None:
    settings = Settings(
        operator_name="Олег", prompts={"not_heard": {"text": "Это {operator_name}, вас не слышно"}}
    )
    assert settings.script.operator_name == "Олег"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().shop = "другой"


def test_settings_travel_to_another_process() -> None:
    settings = Settings(shop="Мой")
    assert settings.script.shop == "Мой"
    copy = pickle.loads(pickle.dumps(settings))
    assert (copy, copy.script, copy.source) == (settings, settings.script, settings.source)


# -- what it compiles to ---------------------------------------------------------------------------


def test_rows_and_tables_are_joined() -> None:
    plan: Plan = Settings()
    script = plan.script
    assert plan.script is script
    assert list(script.scenarios) == list(ROWS)
    for reason, row in ROWS.items():
        scenario = script.scenarios[reason]
        assert scenario.reason is reason
        assert (scenario.trigger, scenario.phase) == (row.trigger, row.phase)
        assert (scenario.clock, scenario.client_resets) == (row.clock, row.client_resets)
    assert {reason.value: s.callback_in_s for reason, s in script.scenarios.items()} == {
        "silence_after_greeting": 0.0,
        "dropped": 0.0,
        "client_hold": 90.0,
        "silence_in_dialogue": 0.0,
        "agreed": None,
        "client_cannot_hear": 0.0,
        "unconfirmed": 120.0,
    }
    assert (script.shop, script.operator_name) == ("Haieronline", None)


def test_seconds_become_frames() -> None:
    script = Settings().script
    ladder = script.scenarios[Reason.SILENCE_IN_DIALOGUE].steps
    assert [step.prompt for step in ladder] == ["not_heard_in_dialogue", "farewell_in_dialogue"]
    assert ladder[0].window == Window(lo=150, aim=175, hi=200)
    assert ladder[0].dead_line_window == Window(lo=100, aim=125, hi=150)
    assert ladder[1].dead_line_window is None
    assert script.timing == Timing(
        no_greeting=250,
        no_media_drop=500,
        utterance_gap=50,
        takeover_lead=10,
        defer=10,
        prompt_start=50,
        prompt_end=3000,
        unknown_sound=600,
        answer_talk=50,
        one_sided=1500,
    )


@pytest.mark.parametrize(
    ("prompt", "window", "dead"),
    [
        ({"aim_s": 3.2}, Window(150, 160, 200), Window(100, 125, 150)),
        ({"aim_s": 3}, Window(150, 150, 200), Window(100, 125, 150)),
        ({"window_s": [0, 0.02]}, Window(0, 1, 1), Window(100, 125, 150)),
        ({"dead_line_window_s": [1, 2]}, Window(150, 175, 200), Window(50, 75, 100)),
    ],
    ids=["aim_s", "aim at the edge", "one frame wide", "dead line"],
)
def test_aim(prompt: dict[str, Any], window: Window, dead: Window) -> None:
    script = Settings(prompts={"not_heard_in_dialogue": prompt}).script
    step = script.scenarios[Reason.SILENCE_IN_DIALOGUE].steps[0]
    assert (step.window, step.dead_line_window) == (window, dead)


@pytest.mark.parametrize(
    ("name", "kind", "network"),
    [
        ("earshot", Earshot, True),
        ("network", type(None), True),
        ("webrtcvad", WebRtc, False),
        ("silero", Silero, True),
    ],
)
def test_an_endpointer_has_the_detector_that_is_set_and_the_network_but_beside_webrtcvad(
    name: str, kind: type, network: bool
) -> None:
    settings = Settings(hearing={"detector": name})
    endpointer = settings.endpointer(Channel.CLIENT, 8000)
    assert isinstance(endpointer, Endpointer)
    assert isinstance(endpointer._features._detector, kind)
    assert (endpointer._stream is not None) is network
    assert endpointer.detector_missing is settings.detector_missing is None


def test_earshot_is_the_default() -> None:
    assert Settings().hearing.detector == "earshot"


# -- how long a phrase lasts -----------------------------------------------------------------------


@pytest.mark.parametrize(("length", "count"), [(0, 1), (1, 4), (14, 50), (15, 54)])
def test_phrase_by_the_rate_of_speech(length: int, count: int) -> None:
    assert Settings().phrase_frames("not_heard", "x" * length) == count


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (160, 1), (161, 2), (8000, 50)])
def test_phrase_by_its_recording(tmp_path: Path, samples: int, count: int) -> None:
    (tmp_path / "phrases").mkdir()
    recording = tmp_path / "phrases" / "a.wav"
    soundfile.write(recording, np.zeros(samples, np.int16), 8000)
    settings = load(tmp_path, 'voice.recordings.not_heard = "phrases/a.wav"')
    again = load(tmp_path / "phrases", settings.to_toml())
    assert again == settings
    recording.unlink()
    assert settings.phrase_frames("not_heard", "x" * 500) == count
    assert settings.phrase_frames("hold_farewell", "x" * 14) == 50


# -- written and read again ------------------------------------------------------------------------

ROUNDTRIP_TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="{}[]"),
    min_size=1,
).map(lambda text: f"а{text}")
SECONDS = st.floats(0, 1800, allow_subnormal=False)
WINDOWS = st.tuples(SECONDS, st.floats(0.03, 1800)).map(lambda pair: [pair[0], sum(pair)])


@given(window=WINDOWS, text=ROUNDTRIP_TEXT, name=st.from_regex(r"[\w-]+", fullmatch=True))
def test_to_toml_loads_again(
    tmp_path_factory: pytest.TempPathFactory, window: list[float], text: str, name: str
) -> None:
    prompt = {"text": text, "window_s": window, "aim_s": window[0], "dead_line_window_s": window}
    settings = Settings(shop=text, prompts={name: prompt, "hold_farewell": prompt})
    path = tmp_path_factory.getbasetemp() / "again.toml"
    path.write_text(settings.to_toml(), encoding="utf-8", newline="")
    assert Settings.load(path) == settings
    assert Settings.load(path).script == settings.script


@given(window=WINDOWS)
def test_a_compiled_window_is_one(window: list[float]) -> None:
    settings = Settings(prompts={"hold_farewell": {"window_s": window}})
    compiled = settings.script.scenarios[Reason.CLIENT_HOLD].steps[0].window
    assert 0 <= compiled.lo <= compiled.aim <= compiled.hi
    assert compiled.lo < compiled.hi


# -- phrases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("[{client_name}, ]вас не слышно", {}, "Вас не слышно"),
        ("[{client_name}, ]вас не слышно", {"client_name": ""}, "Вас не слышно"),
        ("[{client_name}, ]вас не слышно", NAMES, "Анна, вас не слышно"),
        ("[{client_name}, ]я", {"client_name": "{shop} [x]"}, "{shop} [x], я"),
        ("[{client_name} и {operator_name}, ]да", NAMES | {"operator_name": None}, "Да"),
        ("Магазин {shop}. [Я {operator_name}, ]алло", {"shop": "H"}, "Магазин H. Алло"),
        ("Магазин {shop}[, я {operator_name}]. Да", {"shop": "H"}, "Магазин H. Да"),
    ],
    ids=["unknown", "empty", "known", "braces in a name", "one of two", "sentence", "tail"],
)
def test_fill(template: str, values: dict[str, str | None], text: str) -> None:
    assert fill(template, values) == text


@pytest.mark.parametrize("client_name", [None, "Анна"], ids=["client unknown", "client known"])
@pytest.mark.parametrize("operator_name", ["", "Олег"], ids=["operator unknown", "operator known"])
def test_built_in_phrases_have_no_gaps(client_name: str | None, operator_name: str) -> None:
    script = Settings(operator_name=operator_name).script
    for scenario in script.scenarios.values():
        for template in (scenario.opening, *(step.text for step in scenario.steps)):
            text = fill(template, script.fields(client_name))
            assert not any(fault in text for fault in (",,", ", ,", " ,", "  ", ". ,", "[", "{"))
            assert text[0].isupper()


def test_examples_in_docstrings() -> None:
    for module in (vad_agent.core.script, vad_agent.script.settings):
        result = doctest.testmod(module)
        assert result.attempted
        assert not result.failed
