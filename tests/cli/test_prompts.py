"""`vad-agent prompts` as its users type it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.headset.audio_server import PROGRAMS, AudioServer
from tests.headset.conftest import require
from vad_agent.script.settings import Settings
from vad_agent.speech.prompt_library import PromptLibrary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME")


@pytest.fixture
def env(tmp_path: Path) -> Mapping[str, str]:
    require(["espeak-ng"])
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONIOENCODING": "utf-8"}


def run(env: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "vad_agent.cli.main", "prompts", *arguments],
        env=env,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_check_fails_until_render_was_run(env: Mapping[str, str], tmp_path: Path) -> None:
    prompts = [prompt for prompt, _ in PromptLibrary(Settings(), tmp_path).texts()]
    status, out, err = run(env, "check")
    assert status == 1
    assert out.count("missing") == len(prompts)
    assert err.count("vad-agent prompts render") == len(prompts)
    status, out, err = run(env, "render")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["prompt", *prompts]
    assert out.count("rendered") == len(prompts)
    status, out, err = run(env, "check")
    assert (status, err) == (0, "")
    assert out.count("cache") == len(prompts)


def test_a_voice_that_is_not_there_fails_by_a_line_a_phrase(
    env: Mapping[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "own.toml"
    script.write_text('[voice]\nengine_voice = "nobody"\n', encoding="utf-8")
    status, _, err = run(env, "render", "--script", str(script))
    assert status == 1
    assert all("no voice 'nobody'" in line for line in err.splitlines())


def test_an_unknown_phrase_is_told_with_those_that_there_are(env: Mapping[str, str]) -> None:
    status, _, err = run(env, "play", "nothing")
    assert status == 2
    assert "not_heard" in err
    assert err.count("\n") == 1


def test_a_phrase_is_played_to_its_end(env: Mapping[str, str]) -> None:
    require(PROGRAMS)
    with AudioServer() as server:
        ours = {**server.env, "XDG_CACHE_HOME": env["XDG_CACHE_HOME"], "PYTHONIOENCODING": "utf-8"}
        began = time.perf_counter()
        status, out, err = run(ours, "play", "not_heard", "--device", "virtmic")
        assert (status, err) == (0, "")
        assert out.startswith("not_heard: 1.9 s on virtmic: «")
        assert time.perf_counter() - began > 1.9
        status, _, err = run(ours, "play", "not_heard", "--device", "nowhere")
        assert status == 2
        assert "nowhere" in err
        status, out, err = run(ours, "play", "not_heard")
        assert (status, err) == (0, "")
