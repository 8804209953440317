"""`listen` on a private audio server: what the operator hears too, checks, ends, privacy."""

from __future__ import annotations

import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import (
    INTERRUPTED,
    Listening,
    assert_replays,
    inside,
    kind,
    phrases_folder,
    settle,
)
from tests.headset.source_recording import until
from tests.headset.speech import find_speech, match, speech
from tests.headset.test_faults import begin, finish, play_noise
from vad_agent.script.settings import Settings
from vad_agent.speech.prompt_library import PromptLibrary


@pytest.fixture
def server(audio_server: AudioServer) -> Iterator[AudioServer]:
    audio_server.keep_awake("client", "virtmic", "mic")
    return audio_server


def test_a_phrase_that_the_operator_hears_too_is_not_taken_for_the_client(
    server: AudioServer, tmp_path: Path
) -> None:
    """It is played into the very sink whose monitor is the client's side."""
    with Listening(server, tmp_path, "--monitor-device=client") as listening:
        recording = server.record("client.monitor")
        begin(server, listening)
        lines = listening.ended(45)
        heard = recording.stop()
        prompts = [line for line in lines if line["kind"] == "prompt"]
        assert [line["outcome"] for line in prompts] == ["said"] * 3
        assert all(inside(line) for line in prompts)
        assert not [line for line in lines if line.get("channel") == "client" and "end_s" in line]
        assert match(
            heard, recording.rate, listening.phrase("not_heard", prompts[1]["text"]), 48_000
        ).whole
        assert_replays(listening)


def test_a_client_who_speaks_over_such_a_phrase_is_heard(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path, "--monitor-device=client") as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        settle(4.0)  # into the phrase of the second greeting
        server.play_samples(speech("Алло, здравствуйте"), 8_000, "client")
        line = listening.wait(kind("prompt"), 10)
        assert (line["id"], line["outcome"]) == ("greeting_again", "interrupted")
        listening.wait(kind("phase", phase="dialogue"), 5)
        finish(listening)


def test_what_is_stored_is_for_its_owner_alone(server: AudioServer, tmp_path: Path) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        finish(listening)
        paths = [listening.trace_path, listening.recordings, *listening.recordings.iterdir()]
        assert len(paths) == 6
        for path in paths:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_in_the_middle_of_a_phrase_nothing_is_lost(
    server: AudioServer, tmp_path: Path, number: int
) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        settle(3.5)
        listening.process.send_signal(number)
        ended = INTERRUPTED if number == signal.SIGINT else 0
        assert listening.process.wait(10) == ended
        (line,) = listening.prompts()
        assert (line["id"], line["outcome"]) == ("greeting_again", "interrupted")
        assert listening.trace()[-1] == {**listening.trace()[-1], "phase": "ended"}
        assert "Traceback" not in listening.log
        assert not listening.socket_path.exists()
        live, replayed = listening.replayed()
        assert live == replayed


def test_no_child_outlives_it_even_if_it_is_killed(server: AudioServer, tmp_path: Path) -> None:
    import psutil

    with Listening(server, tmp_path) as listening:
        children = psutil.Process(listening.process.pid).children()
        assert len(children) == 3
        listening.process.kill()
        _gone, alive = psutil.wait_procs(children, 5)
        assert not alive


def check(server: AudioServer, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vad_agent.cli.main", "listen", "--check", *more],
        env=server.env | {"PYTHONUTF8": "1", "XDG_CACHE_HOME": str(phrases_folder())},
        capture_output=True,
        text=True,
        timeout=60,
    )


DEVICES = ("--client-device=client", "--operator-device=mic.monitor", "--prompt-device=virtmic")


def test_the_check_proves_each_path(fresh_audio_server: AudioServer) -> None:
    server = fresh_audio_server
    server.keep_awake("client", "virtmic", "mic")
    server.loop_microphone()
    play_noise(server, "mic")
    done = check(server, *DEVICES)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(("✓", "? softphone: no program"))] == []
    assert any("client: client:" in line for line in lines)
    assert any("prompt: virtmic:" in line and "heard at «" in line for line in lines)
    assert any("the client hears you" in line for line in lines)


def test_the_check_names_a_muted_microphone_and_what_to_do(
    fresh_audio_server: AudioServer,
) -> None:
    server = fresh_audio_server
    server.loop_microphone()  # and nothing is played into it
    done = check(server, *DEVICES)
    assert done.returncode == 1, done.stderr
    (bad,) = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert "muted, or not permitted" in bad
    assert "unmute it" in bad


def test_the_check_names_a_muted_output(fresh_audio_server: AudioServer) -> None:
    fresh_audio_server.keep_awake("client", "virtmic", "mic")
    fresh_audio_server.loop_microphone()
    fresh_audio_server.pactl("set-sink-mute", "virtmic", "1")
    play_noise(fresh_audio_server, "mic")
    done = check(fresh_audio_server, *DEVICES)
    assert done.returncode == 1
    bad = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert any("0 of 5 test sounds were heard at «" in line for line in bad)


def test_without_an_output_for_phrases_it_says_what_to_do(server: AudioServer) -> None:
    done = check(server, *DEVICES[:2], "--mode=auto")
    assert done.returncode == 2
    assert "--prompt-device: expected the output" in done.stderr
    assert "--mode cue" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_on_a_terminal_it_draws_and_takes_keys(server: AudioServer, tmp_path: Path) -> None:
    """The letters of the Russian layout; ЙЙ ends it and gives the terminal back."""
    env = server.env | {"PYTHONUTF8": "1", "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    trace = tmp_path / "trace.jsonl"
    command = [sys.executable, "-m", "vad_agent.cli.main", "listen", *DEVICES, f"--trace={trace}"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, env)
    shown = bytearray()

    def sees(text: str) -> bool:
        import select

        while select.select([terminal], [], [], 0)[0]:
            try:
                shown.extend(os.read(terminal, 65536))
            except OSError:
                break
        return text.encode() in shown

    try:
        until(lambda: sees("Жду звонка"), 15, "the screen")
        os.write(terminal, "а".encode())
        until(lambda: sees("Приветствие"), 5, "the call that the key began")
        os.write(terminal, b"g")  # п on the Latin layout: pause
        until(lambda: sees("ПАУЗА"), 5, "the pause")
        os.write(terminal, "ззйй".encode())
        until(lambda: sees("\x1b[?1049l"), 10, "the terminal as it was")
        _ended, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        os.close(terminal)
    assert '"phase": "ended"' in trace.read_text()


def test_without_a_voice_the_phrases_are_the_operators(server: AudioServer, tmp_path: Path) -> None:
    script = '[voice]\nengine_voice = "xx-nobody"\n'
    with Listening(server, tmp_path, script=script) as listening:
        until(lambda: "Фразы не озвучить" in listening.log, 15, "the reason")
        assert "espeak-ng" in listening.log  # what to install
        begin(server, listening)
        cue = listening.wait(kind("cue", id="greeting_again"), 10)
        assert cue["t"] <= cue["from_s"]
        finish(listening)


def rendered(script: str, folder: Path) -> None:
    """As by `vad-agent prompts render`, the first phrase alone."""
    (folder / "script.toml").write_text(script, encoding="utf-8")
    settings = Settings.load(folder / "script.toml")
    phrases = PromptLibrary(settings, phrases_folder() / "vad-agent" / "phrases")
    phrases.prepare("greeting_again", "")
    phrases.close()


def test_a_recorded_phrase_is_heard_instead_of_the_synthesized_one(
    server: AudioServer, tmp_path: Path
) -> None:
    import soundfile

    own = speech("woman_hello")
    soundfile.write(str(tmp_path / "own.wav"), own, 8_000)
    script = '[voice.recordings]\ngreeting_again = "own.wav"\n'
    rendered(script, tmp_path)  # else the phrase may be due before it is ready
    with Listening(server, tmp_path, script=script) as listening:
        recording = server.record("virtmic.monitor")
        begin(server, listening)
        line = listening.wait(kind("prompt"), 15)
        heard = recording.stop()
        assert line["outcome"] == "said"
        assert line["ended_s"] - line["started_s"] < len(own) / 8_000 + 0.1
        runs = find_speech(np.asarray(heard), recording.rate)
        assert len(runs) >= 1
        found = match(heard, recording.rate, own, 8_000)
        assert found.similarity > 0.85
        finish(listening)
