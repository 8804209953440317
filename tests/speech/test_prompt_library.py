"""Phrases are ready before they are due, and nothing that goes wrong with them stops a call."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.headset.conftest import require
from tests.headset.listen_process import phrases_folder
from tests.headset.source_recording import until
from vad_agent.errors import VoiceError
from vad_agent.script.settings import Settings
from vad_agent.speech import prompt_library as module
from vad_agent.speech.prompt_library import PromptLibrary
from vad_agent.speech.text_to_speech import render

ID = "not_heard"


@pytest.fixture(autouse=True)
def engine() -> None:
    require(["espeak-ng"])


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(["espeak-ng"])
    rendered = phrases_folder() / "vad-agent" / "phrases"
    return shutil.copytree(rendered, tmp_path_factory.mktemp("warm") / "phrases")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise VoiceError("no speech engine")

    monkeypatch.setattr(module, "render", fails)


def recorded(folder: Path, prompt: str = ID) -> Settings:
    tone = 0.1 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    soundfile.write(folder / "own.wav", tone, 16_000)
    return Settings(voice={"recordings": {prompt: str(folder / "own.wav")}})


@pytest.mark.usefixtures("no_engine")
def test_a_warm_start_needs_no_engine_and_no_numeric_library(warm: Path) -> None:
    began = time.perf_counter()
    phrases = PromptLibrary(Settings(), warm)
    assert phrases.prepare_script() == []
    print(f"warm start: {(time.perf_counter() - began) * 1000:.1f} ms")
    for prompt, text in phrases.texts():
        phrase = phrases.get(prompt, text)
        assert phrase is not None
        assert phrase.text == text
        assert not phrase.recorded


def test_get_never_renders(tmp_path: Path) -> None:
    phrases = PromptLibrary(Settings(), tmp_path)
    prompt, text = next(phrases.texts())
    assert phrases.get(prompt, text) is None
    assert phrases.stored(prompt, text) is None


def test_a_name_is_rendered_in_the_background_and_stays_off_the_disk(warm: Path) -> None:
    phrases = PromptLibrary(Settings(), warm)
    before = sorted(warm.iterdir())
    phrases.expect_name("Анна")
    phrases._background.shutdown(wait=True)
    named = [text for _, text in phrases._ready if "Анна" in text]
    assert named
    assert sorted(warm.iterdir()) == before


@pytest.mark.usefixtures("no_engine")
def test_a_name_that_cannot_be_rendered_is_no_error(tmp_path: Path) -> None:
    phrases = PromptLibrary(Settings(), tmp_path)
    phrases.expect_name("Анна")
    phrases._background.shutdown(wait=True)
    assert not phrases._ready


def test_a_name_after_the_end_is_no_error(warm: Path) -> None:
    phrases = PromptLibrary(Settings(), warm)
    phrases.close()
    phrases.expect_name("Анна")


def test_a_recording_wins_over_any_text_with_or_without_a_name(tmp_path: Path) -> None:
    phrases = PromptLibrary(recorded(tmp_path), tmp_path / "cache")
    prepared = phrases.prepare(ID, "Алло, меня слышно?")
    assert prepared.recorded
    assert len(prepared.pcm) / 96_000 == pytest.approx(1, abs=0.05)
    found = phrases.get(ID, "Анна, меня слышно?")
    assert found is not None
    same = found.pcm == prepared.pcm
    assert same, (len(found.pcm), len(prepared.pcm))


@pytest.mark.parametrize("damage", [b"", b"RIFF", None])
def test_a_damaged_file_of_the_cache_is_rendered_anew(tmp_path: Path, damage: bytes | None) -> None:
    first = PromptLibrary(Settings(), tmp_path).prepare(ID, "Алло, меня слышно?")
    (file,) = tmp_path.glob("*.wav")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    again = PromptLibrary(Settings(), tmp_path).prepare(ID, "Алло, меня слышно?")
    # in two steps: to draw the difference of so many bytes takes the assertion for ever
    same = again.pcm == first.pcm, file.read_bytes() == whole
    assert same == (True, True), (len(again.pcm), len(first.pcm))


@pytest.mark.parametrize("unchecked", [False, True])
def test_a_cached_phrase_of_another_length_than_checked_is_rendered_anew(
    tmp_path: Path, unchecked: bool
) -> None:
    """One that was rendered at another rate, or by a version that did not check."""
    first = PromptLibrary(Settings(), tmp_path).prepare(ID, "Алло, меня слышно?")
    (file,) = tmp_path.glob("*.wav")
    with wave.open(str(file), "rb") as whole:
        how, frames = whole.getparams(), whole.readframes(whole.getnframes() * 3 // 4)
    with wave.open(str(file), "wb") as fast:
        fast.setparams(how)
        fast.writeframes(frames)
    if unchecked:
        for beside in tmp_path.glob("*.samples"):
            beside.unlink()
    again = PromptLibrary(Settings(), tmp_path)
    assert again.stored(ID, "Алло, меня слышно?") is None
    assert len(again.prepare(ID, "Алло, меня слышно?").pcm) == len(first.pcm)


def test_another_engine_renders_anew(warm: Path, tmp_path: Path) -> None:
    told = json.loads((warm / "engine.json").read_text())
    stamps = {path: [0, 0] for path in told["files"]}
    for file in warm.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "engine.json").write_text(json.dumps({**told, "files": stamps}))
    phrases = PromptLibrary(Settings(), tmp_path)
    assert phrases.stored(*next(phrases.texts())) is None


def test_where_the_cache_cannot_be_made_phrases_are_ready_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    phrases = PromptLibrary(Settings(), tmp_path / "file" / "phrases")
    assert phrases.prepare(ID, "Алло, меня слышно?").pcm
    assert phrases.get(ID, "Алло, меня слышно?") is not None


@pytest.mark.usefixtures("no_engine")
def test_each_phrase_that_cannot_be_rendered_is_told(tmp_path: Path) -> None:
    phrases = PromptLibrary(Settings(), tmp_path)
    problems = phrases.prepare_script()
    assert [prompt for prompt, _ in problems] == [prompt for prompt, _ in phrases.texts()]


def test_the_parent_loads_no_numeric_library() -> None:
    import subprocess

    code = (
        "import sys, vad_agent.speech.prompt_library\n"
        "assert not {'numpy', 'scipy', 'pyloudnorm', 'pyttsx3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_the_cache_is_the_users_own_and_its_names_tell_nothing(warm: Path) -> None:
    assert warm.stat().st_mode & 0o777 == 0o700
    names = {file.stem for file in warm.glob("*.wav") if not file.stem.startswith("new-")}
    assert names  # "new-…": another process of the tests renders now
    assert all(len(name) == 40 for name in names)


def test_what_a_killed_process_left_is_removed_and_what_one_renders_now_stays(
    tmp_path: Path,
) -> None:
    left, now = tmp_path / "new-left.wav", tmp_path / "new-now.wav"
    for file in (left, now):
        file.write_bytes(b"")
    os.utime(left, (0, 0))
    PromptLibrary(Settings(), tmp_path)
    assert not left.exists()
    assert now.exists()


def test_no_phrase_is_louder_than_its_peak_allows_nor_much_softer_than_wanted(warm: Path) -> None:
    import pyloudnorm

    phrases = PromptLibrary(Settings(), warm)
    for prompt, text in phrases.texts():
        sound = np.frombuffer(phrases.prepare(prompt, text).pcm, "<i2") / 32768
        assert np.abs(sound).max() <= 10 ** (-1 / 20)
        assert -22.5 < pyloudnorm.Meter(48_000).integrated_loudness(sound) < -19.5


def test_close_ends_what_is_being_rendered_and_nothing_is_rendered_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(module, "render", partial(render, command=hangs))
    phrases = PromptLibrary(Settings(), tmp_path)
    with ThreadPoolExecutor(1) as pool:
        rendered = pool.submit(phrases.prepare, ID, "Вас не слышно")
        until(lambda: phrases._child is not None, 10, "the engine")
        child = phrases._child
        phrases.close()
        with pytest.raises(VoiceError, match="broke off"):
            rendered.result(10)
    assert child is not None
    assert child.returncode != 0
    with pytest.raises(VoiceError, match="the program ends"):
        phrases.prepare(ID, "Вас не слышно")
