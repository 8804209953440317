"""Every error of a script file and its exact text. A row: what is written, what is said of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from vad_agent.errors import SettingsError
from vad_agent.script.settings import Settings

PROMPTS = (
    "greeting_again, not_heard, farewell_after_greeting, not_heard_in_dialogue,"
    " farewell_in_dialogue, hold_farewell"
)
PROMPT_KEYS = "text, window_s, aim_s, dead_line_window_s"
WINDOW = "expected [from, to] with 0 <= from < to"
UNPAIRED = "do not pair up: each is closed before the next one is opened"
CUSTOM = "a prompt that is not built in needs text and window_s"
OPTIONAL = "may be unknown: put it with its comma in [square brackets]"


def problems(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(path)
    assert caught.value.source == str(path)
    assert str(caught.value) == "\n".join(f"{path}: {line}" for line in caught.value.problems)
    return list(caught.value.problems)


def told_of(tmp_path: Path, text: str | bytes) -> list[str]:
    path = tmp_path / "script.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return problems(path)


def not_heard(line: str) -> str:
    return f"[prompts.not_heard]\n{line}"


def dropped(line: str) -> str:
    return f"[scenarios.dropped]\n{line}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("[3.0, 2.0]", f"{WINDOW}, got [3.0, 2.0]", id="inverted"),
        pytest.param("[2.0, 2.0]", f"{WINDOW}, got [2.0, 2.0]", id="no width"),
        pytest.param("[-1, 2]", f"{WINDOW}, got [-1, 2]", id="negative"),
        pytest.param("[nan, 2.0]", f"{WINDOW}, got [nan, 2.0]", id="NaN first"),
        pytest.param("[2.0, nan]", f"{WINDOW}, got [2.0, nan]", id="NaN last"),
        pytest.param("[2.0]", f"{WINDOW}, got [2.0]", id="one number"),
        pytest.param("[1.0, 2.0, 3.0]", f"{WINDOW}, got [1.0, 2.0, 3.0]", id="three"),
        pytest.param('["2.0", 3.0]', f'{WINDOW}, got ["2.0", 3.0]', id="text in it"),
        pytest.param("[false, true]", f"{WINDOW}, got [false, true]", id="booleans"),
        pytest.param("2.5", f"{WINDOW}, got 2.5", id="a number"),
        pytest.param('"23"', f'{WINDOW}, got "23"', id="text"),
        pytest.param("2024-01-31", f"{WINDOW}, got 2024-01-31", id="date"),
        pytest.param("{a = 1}", f"{WINDOW}, got a table", id="table"),
        pytest.param(
            "[2, inf]", "expected a window that ends at 3600 s or sooner, got [2, inf]", id="inf"
        ),
        pytest.param(
            "[2, 3600.02]",
            "expected a window that ends at 3600 s or sooner, got [2, 3600.02]",
            id="over an hour",
        ),
        *(
            pytest.param(
                f"[2.0, {hi}]",
                "expected a window of 0.1 s at least: a phrase does not begin to the frame, "
                f"got [2.0, {hi}]",
                id=f"to {hi}",
            )
            for hi in (2.01, 2.02, 2.09)
        ),
        *(
            pytest.param(
                f"[{lo}, {hi}]",
                "expected a window from 0.5 s on: a sound is known 0.4 s after it began, so a phrase "
                f"would interrupt a pause between words, got [{lo}, {hi}]",
                id=f"from {lo}",
            )
            for lo, hi in ((0, 3.0), (0.1, 0.2), (0.48, 3.0))
        ),
    ],
)
@pytest.mark.parametrize("key", ["window_s", "dead_line_window_s"])
def test_window(tmp_path: Path, key: str, value: str, said: str) -> None:
    told = told_of(tmp_path, not_heard(f"{key} = {value}"))
    assert told == [f"prompts.not_heard.{key}: {said}"]


@pytest.mark.parametrize("code", ["XX", "ZZ", "EU", "UK"])
def test_a_region_that_is_no_countrys(tmp_path: Path, code: str) -> None:
    """Right in form; every number without a country's code would be wrong."""
    (told,) = told_of(tmp_path, f'[callbacks]\nregion = "{code}"\n')
    assert told.startswith("callbacks.region: expected two letters of a country, such as")


@pytest.mark.parametrize("code", ["RU", "KZ", "BY", "DE", "US"])
def test_a_region_of_a_country(tmp_path: Path, code: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(f'[callbacks]\nregion = "{code}"\n', encoding="utf-8")
    assert Settings.load(path).callbacks.region == code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{klient}, алло",
                     "unknown field {klient}; known: client_name, operator_name, shop",
                     id="unknown field"),
        pytest.param("{client_name}, алло", f"{{client_name}} {OPTIONAL}", id="client bare"),
        pytest.param("я {operator_name}", f"{{operator_name}} {OPTIONAL}", id="operator bare"),
        pytest.param("[a, алло", f"[ and ] {UNPAIRED}", id="[ open"),
        pytest.param("a], алло", f"[ and ] {UNPAIRED}", id="] alone"),
        pytest.param("[a [b] c]", f"[ and ] {UNPAIRED}", id="[ nested"),
        pytest.param("{shop", f"{{ and }} {UNPAIRED}", id="{ open"),
        pytest.param("shop}", f"{{ and }} {UNPAIRED}", id="} alone"),
        pytest.param("{{shop}}", f"{{ and }} {UNPAIRED}", id="{ nested"),
        pytest.param("[{client_name}]", "nothing is left to say where client_name is unknown",
                     id="only a name"),
        pytest.param("Да, [{client_name}], алло",
                     "without client_name it reads «Да, , алло»:"
                     " take the comma or space into the [square brackets]", id="stray comma"),
        pytest.param("алло [{client_name}] вы тут",
                     "without client_name it reads «Алло  вы тут»:"
                     " take the comma or space into the [square brackets]", id="stray space"),
        pytest.param("", 'expected a phrase, got ""', id="empty"),
        pytest.param("  ", 'expected a phrase, got "  "', id="blank"),
        pytest.param("…", 'expected a phrase, got "…"', id="no word"),
        pytest.param("a\\nb",
                     'expected a phrase on one line, without control characters, got "a\\nb"',
                     id="two lines"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("table", "key"),
    [("prompts.not_heard", "text"), ("scenarios.dropped", "opening")],
    ids=["prompt", "opening"],
)
def test_phrase(tmp_path: Path, table: str, key: str, text: str, said: str) -> None:
    told = told_of(tmp_path, f'[{table}]\n{key} = "{text}"')
    assert told == [f"{table}.{key}: {said}"]


ONE_PROBLEM = [
    ('[hearing]\njudge = "stream"', "hearing.judge: it is called detector now:"
     ' "earshot" (the default), "network", "webrtcvad" or "silero"'),
    (not_heard('txt = "a"'), "prompts.not_heard.txt: unknown key; did you mean text?"),
    (not_heard("qq = 1"), f"prompts.not_heard.qq: unknown key; known: {PROMPT_KEYS}"),
    ("[promts]", "promts: unknown key; did you mean prompts?"),
    ("zz = 1", "zz: unknown key; known: shop, operator_name, prompts, scenarios, callbacks,"
               " timing, hearing, voice"),
    ("[scenarios.agred]", "scenarios.agred: unknown key; did you mean agreed?"),
    (dropped("lader = []"), "scenarios.dropped.lader: unknown key; did you mean ladder?"),
    ("[prompts.window_s]\ntext = 'a'\nwindow_s = [1, 2]\nlo = 1",
     f"prompts.window_s.lo: unknown key; known: {PROMPT_KEYS}"),
    ("[timing]\ndefer = 1", "timing.defer: unknown key; did you mean defer_s?"),
    ("[callbacks]\ngap_s = []", "callbacks.gap_s: unknown key; did you mean gaps_s?"),
    ("[voice]\nrecording = {}", "voice.recording: unknown key; did you mean recordings?"),
    ("[voice.recordings]\nnot_heard = 1",
     "voice.recordings.not_heard: expected a file name, got 1"),
    ("prompts = 3", "prompts: expected a table, got 3"),
    ("[[prompts]]", "prompts: expected a table, got [a table]"),
    ("prompts.not_heard = 'a'", 'prompts.not_heard: expected a table, got "a"'),
    ("scenarios.dropped = false", "scenarios.dropped: expected a table, got false"),
    ("voice.recordings = []", "voice.recordings: expected a table, got []"),
    ("shop = ''", 'shop: expected a name, got ""'),
    ("shop = true", "shop: expected a name, got true"),
    ("operator_name = 7", "operator_name: expected a name, got 7"),
    (not_heard("text = 5"), "prompts.not_heard.text: expected a phrase, got 5"),
    (not_heard("aim_s = 3.02"),
     "prompts.not_heard.aim_s: expected a time in the window [2.0, 3.0], got 3.02"),
    (not_heard("aim_s = '2.5'"),
     'prompts.not_heard.aim_s: expected seconds from 0 to 3600, got "2.5"'),
    (not_heard("aim_s = nan"), "prompts.not_heard.aim_s: expected seconds from 0 to 3600, got nan"),
    (not_heard("aim_s = -1"), "prompts.not_heard.aim_s: expected seconds from 0 to 3600, got -1"),
    ("[timing]\ndefer_s = -0.2", "timing.defer_s: expected seconds from 0 to 3600, got -0.2"),
    ("[timing]\ndefer_s = true", "timing.defer_s: expected seconds from 0 to 3600, got true"),
    ("[timing]\ndefer_s = '2.0'", 'timing.defer_s: expected seconds from 0 to 3600, got "2.0"'),
    ("[timing]\ndefer_s = inf", "timing.defer_s: expected seconds from 0 to 3600, got inf"),
    ("[timing]\nno_media_drop_s = 0",
     "timing.no_media_drop_s: expected seconds from 0.02 to 3600, got 0"),
    ("[voice]\nchars_per_s = 0",
     "voice.chars_per_s: expected characters a second from 1 to 100, got 0"),
    ("[prompts.x]\nwindow_s = [1, 2]", f"prompts.x.text: missing: {CUSTOM}"),
    ("[prompts.x]\ntext = 'a'", f"prompts.x.window_s: missing: {CUSTOM}"),
    ("[prompts.not_herd]\ntext = 'a'",
     f"prompts.not_herd.window_s: missing: {CUSTOM}; did you mean not_heard?"),
    ("[prompts.'a b']\ntext = 'a'\nwindow_s = [1, 2]",
     'prompts."a b": expected a name of letters, digits, _ and -'),
    ("[scenarios.client_hold]\nladder = ['hold_farewel']",
     'scenarios.client_hold.ladder: no prompt named "hold_farewel"; did you mean hold_farewell?'),
    ("[scenarios.client_hold]\nladder = ['zz']",
     f'scenarios.client_hold.ladder: no prompt named "zz"; known: {PROMPTS}'),
    ("[scenarios.client_hold]\nladder = 'hold_farewell'",
     'scenarios.client_hold.ladder: expected a list of names of prompts, got "hold_farewell"'),
    ("[scenarios.client_hold]\nladder = []",
     "scenarios.client_hold.ladder:"
     " expected one prompt at least: the last one ends the call, got []"),
    (dropped("ladder = ['not_heard']"),
     'scenarios.dropped.ladder: expected [], since no silence is waited for, got ["not_heard"]'),
    (dropped("callback_in_s = -1"),
     "scenarios.dropped.callback_in_s: expected seconds from 0 to 86400, got -1"),
    ("[scenarios.agreed]\ncallback_in_s = 5",
     "scenarios.agreed.callback_in_s: expected no such key,"
     " since the callback is due at the agreed time, got 5"),
    ("[callbacks]\ngaps_s = []",
     "callbacks.gaps_s: expected 2 (attempts = 3, less one), got 0: []"),
    ("[callbacks]\nattempts = 2",
     "callbacks.gaps_s: expected 1 (attempts = 2, less one), got 2: [60.0, 120.0]"),
    ("[callbacks]\nattempts = 0",
     "callbacks.attempts: expected a whole number from 1 to 10, got 0"),
    ("[callbacks]\nattempts = 11\ngaps_s = [1,1,1,1,1,1,1,1,1,1]",
     "callbacks.attempts: expected a whole number from 1 to 10, got 11"),
    ("[callbacks]\nattempts = 3.0",
     "callbacks.attempts: expected a whole number from 1 to 10, got 3.0"),
    ("[callbacks]\nattempts = true",
     "callbacks.attempts: expected a whole number from 1 to 10, got true"),
    ("[callbacks]\ngaps_s = [1, -1]",
     "callbacks.gaps_s: expected a list of seconds from 0 to 86400, got [1, -1]"),
    ("[callbacks]\ngaps_s = [1, nan]",
     "callbacks.gaps_s: expected a list of seconds from 0 to 86400, got [1, nan]"),
    ("[voice.recordings]\nnot_heard = 'no.wav'",
     "voice.recordings.not_heard: no such file: {folder}/no.wav"),
    ("[voice.recordings]\nnot_heard = 'script.toml'",
     "voice.recordings.not_heard: expected an audio file:"
     " Error opening '{folder}/script.toml': Format not recognised."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"), ONE_PROBLEM, ids=[text.replace("\n", " ") for text, _ in ONE_PROBLEM]
)
def test_one_problem(tmp_path: Path, text: str, said: str) -> None:
    assert told_of(tmp_path, text) == [said.replace("{folder}", str(tmp_path))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a = 1\nb 2\n", "line 2, column 3: expected TOML: Expected '=' after a key in"
                     " a key/value pair", id="no equals sign"),
        pytest.param("a = 'x", "line 1, column 7: expected TOML: Expected \"'\"", id="end of file"),
        pytest.param("a = 1\na = 2\n", "line 2, column 6: expected TOML: Cannot overwrite a value",
                     id="twice the same key"),
        pytest.param(f"a = {'[' * 5000}", "expected TOML, got lists too deep to read", id="deep"),
        pytest.param(b"\n\xff", "line 2: expected UTF-8 text, got byte 0xff", id="not UTF-8"),
        pytest.param("x" * 1_000_001, "expected a TOML file of 1 MB at most, got a longer one",
                     id="over 1 MB"),
    ],
)  # fmt: skip
def test_not_toml(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert told_of(tmp_path, text) == [said]


def test_no_file(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.toml") == ["no such file"]
    assert problems(tmp_path) == ["expected a TOML file, got a directory"]


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(
            13, os.strerror(13)
        )  # chmod does not stop root, who may run the tests

    monkeypatch.setattr(Path, "open", refuse)
    assert problems(tmp_path / "script.toml") == ["no permission to read it"]


def test_empty_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.int16), 8000)
    told = told_of(tmp_path, "[voice.recordings]\nnot_heard = 'a.wav'")
    said = f"expected a recorded phrase, got an empty recording: {tmp_path}/a.wav"
    assert told == [f"voice.recordings.not_heard: {said}"]


def test_missing_delay() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(scenarios={"dropped": {"callback_in_s": None}})
    said = "missing: expected seconds until the callback"
    assert caught.value.problems == (f"scenarios.dropped.callback_in_s: {said}",)
    assert caught.value.source == "arguments"


def test_all_at_once_in_the_order_of_the_script(tmp_path: Path) -> None:
    """Errors of one value, between two of them and on the disk hide none of each other."""
    told = told_of(
        tmp_path,
        """
        zz = 1
        [voice.recordings]
        nobody = "no.wav"
        [scenarios.client_hold]
        ladder = ["nobody"]
        [timing]
        defer_s = "soon"
        [prompts.not_heard]
        window_s = [3.0, 2.0]
        text = "{klient} ["
        """,
    )
    assert [line.partition(":")[0] for line in told] == [
        "prompts.not_heard.text",
        "prompts.not_heard.text",
        "prompts.not_heard.window_s",
        "scenarios.client_hold.ladder",
        "timing.defer_s",
        "voice.recordings.nobody",
        "voice.recordings.nobody",
        "zz",
    ]


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    told = told_of(tmp_path, f"shop = [{'1, ' * 100_000}]\n{'k' * 1000} = 1")
    assert len(told) == 2
    assert all(len(line) < 200 for line in told)
