"""`vad-agent setup`, then `listen` without arguments, on a PulseAudio and on a PipeWire with a headset."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.headset.conftest import require
from tests.headset.desktop import (
    HEADSET,
    HEADSET_TITLE,
    MIC,
    MIC_TITLE,
    MOUTH,
    Desktop,
    PipeWireDesktop,
    PulseDesktop,
)
from tests.headset.listen_process import INTERRUPTED, Listening, inside, kind, phrases_folder
from tests.headset.softphone import PROGRAM, Softphone
from tests.headset.source_recording import Int16s, until
from tests.headset.speech import match, script_audio, speech
from vad_agent.audio.virtual_microphone import SINK, SOURCE, SOURCE_TITLE

KINDS = (PulseDesktop, PipeWireDesktop)
RATE = 48_000


@pytest.fixture(params=KINDS, ids=["pulseaudio", "pipewire"])
def desktop(request: pytest.FixtureRequest) -> Iterator[Desktop]:
    require(request.param.programs)
    with request.param() as desktop:
        yield desktop


def noise(seconds: float, level: float) -> Int16s:
    wave = np.random.default_rng(1).normal(0, level, round(seconds * RATE))
    return wave.astype(np.int16)


def breathe(desktop: Desktop) -> None:
    """The microphone is on: what a room gives."""
    desktop.play_samples(noise(120, 60), RATE, MOUTH)


def run(
    desktop: Desktop, *arguments: str, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    folder = phrases_folder() if cache is None else cache
    return subprocess.run(
        [sys.executable, "-m", "vad_agent.cli.main", *arguments],
        env=desktop.env | {"PYTHONUTF8": "1", "XDG_CACHE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def wrong(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("✗")]


def here(desktop: Desktop) -> tuple[bool, bool, bool]:
    """Whether the sink of phrases, the virtual microphone and the voice's loopback are there."""
    modules = desktop.pactl("list", "short", "modules")
    looped = f"source={MIC} sink={SINK} " in modules
    return SINK in desktop.names("sinks"), SOURCE in desktop.names("sources"), looped


def all_here(desktop: Desktop) -> bool:
    return here(desktop) == (True, True, True)


def hears_the_operator(desktop: Desktop) -> bool:
    """What is said into the headset's microphone comes out of the virtual one."""
    recording = desktop.record(SOURCE)
    said = speech("man_how_can_i_help")
    desktop.play_samples(said, 8_000, MOUTH).wait()
    recording.wait_seconds(recording.seconds + 0.5)
    found = match(recording.stop(), RATE, said, 8_000)
    print(found)
    return found.similarity > 0.7


def test_setup_then_listen_speaks_into_the_call_without_an_argument(
    desktop: Desktop, tmp_path: Path
) -> None:
    breathe(desktop)
    # Else a busy machine may take the phrase in the headset for the client: that is the loop's matter.
    done = run(desktop, "setup", "--no-monitor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert wrong(done) == []
    assert HEADSET_TITLE in done.stdout
    assert MIC_TITLE in done.stdout
    assert HEADSET not in done.stdout  # the desktop's words, not the server's
    assert "the client hears you" in done.stdout
    assert f"heard at «{SOURCE_TITLE}»" in done.stdout
    assert all_here(desktop)
    assert (desktop.default("sink"), desktop.default("source")) == (HEADSET, SOURCE)
    with Listening(desktop, tmp_path, client=None, operator=None, prompt=None) as listening:
        assert f"client    {HEADSET_TITLE}\n" in listening.log
        assert f"operator  {MIC_TITLE}\n" in listening.log
        far = desktop.record(SOURCE)
        desktop.play_samples(noise(60, 8), RATE, HEADSET)  # a line on which nobody speaks
        listening.send(kind="answered")
        said = speech("man_how_can_i_help")
        desktop.play_samples(said, 8_000, MOUTH).wait()
        line = listening.wait(kind("prompt"), 15)
        assert (line["id"], line["outcome"]) == ("greeting_again", "said")
        assert inside(line)
        heard = far.stop()
        phrase = listening.phrase("greeting_again", line["text"])
        assert match(heard, RATE, phrase, RATE).similarity > 0.7
        assert match(heard, RATE, said, 8_000).similarity > 0.7
        listening.send(command="end_call")
        assert listening.stop() == INTERRUPTED


def test_what_a_restart_of_the_server_took_is_made_again_and_undone(desktop: Desktop) -> None:
    breathe(desktop)
    assert wrong(run(desktop, "setup")) == []
    again = run(desktop, "setup")
    assert again.returncode == 0, again.stdout
    assert "virtual microphone: it is there" in again.stdout
    assert desktop.names("sinks").count(SINK) == 1
    desktop.restart()
    assert here(desktop) == (False, False, False)
    breathe(desktop)
    check = run(desktop, "listen", "--check")
    assert check.returncode == 2
    assert check.stderr.count("\n") == 1
    assert f"--prompt-device {SINK}: there is no such output" in check.stderr
    assert "vad-agent setup" in check.stderr
    assert wrong(run(desktop, "setup")) == []
    assert all_here(desktop)
    undone = run(desktop, "setup", "--undo")
    assert undone.returncode == 0, undone.stderr
    assert here(desktop) == (False, False, False)
    assert (desktop.default("sink"), desktop.default("source")) == (HEADSET, MIC)
    assert not (desktop.config / "vad-agent" / "headset.toml").exists()
    assert "there was no virtual microphone" in run(desktop, "setup", "--undo").stdout


def test_made_for_good_it_is_there_at_the_next_start_until_it_is_undone(desktop: Desktop) -> None:
    breathe(desktop)
    done = run(desktop, "setup", "--permanent")
    assert done.returncode == 0, done.stdout
    desktop.restart()
    until(lambda: all_here(desktop), 5, "the virtual microphone")
    assert (desktop.default("sink"), desktop.default("source")) == (HEADSET, SOURCE)
    assert hears_the_operator(desktop)
    breathe(desktop)
    again = run(desktop, "setup")
    assert "virtual microphone: it is there" in again.stdout
    assert "at each start" in again.stdout
    assert run(desktop, "setup", "--undo").returncode == 0
    desktop.restart()
    assert here(desktop) == (False, False, False)


def test_where_the_user_has_no_default_pa_the_server_starts_with_that_of_setup() -> None:
    """It includes the system's. Here the headset is not there at the start."""
    require(PulseDesktop.programs)
    with PulseDesktop() as desktop:
        own = desktop.config / "pulse" / "default.pa"
        breathe(desktop)
        own.unlink()
        assert wrong(run(desktop, "setup", "--permanent")) == []
        text = own.read_text()
        assert ".include /etc/pulse/default.pa" in text
        desktop.stop()
        daemon = desktop.popen(desktop.commands()[0])
        until(desktop._answers, 10, "the server")
        assert here(desktop)[:2] == (True, True)
        assert run(desktop, "setup", "--undo").returncode == 0
        assert not own.exists()
        daemon.terminate()


def test_a_softphone_in_a_call_is_moved_and_a_mere_recorder_is_named(
    desktop: Desktop, tmp_path: Path
) -> None:
    require([PROGRAM])
    breathe(desktop)
    desktop.add_sink("client_ear")
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with (
        Softphone(desktop, "operator", hears=HEADSET, speaks=MIC) as operator,
        Softphone(desktop, "client", hears="client_ear", speaks=wav) as client,
    ):

        def records() -> str:
            streams = desktop.streams("source-outputs")
            return next((one.device for one in streams if one.pid == operator.pid), "")

        operator.command("dial", client.uri)
        operator.wait("CALL_ESTABLISHED")
        until(lambda: records() == MIC, 5, "the softphone's recording")
        done = run(desktop, "setup")
        assert f"records «{SOURCE_TITLE}» now" in done.stdout
        assert records() == SOURCE
        assert done.returncode == 0, done.stdout
        assert any(
            line.startswith("✓ softphone") and f"records «{SOURCE_TITLE}»" in line
            for line in done.stdout.splitlines()
        )
        ear = desktop.record("client_ear.monitor")
        said = speech("man_how_can_i_help")
        desktop.play_samples(said, 8_000, MOUTH).wait()
        ear.wait_seconds(ear.seconds + 1.0)
        assert match(ear.stop(), RATE, said, 8_000).similarity > 0.6
        operator.command("hangup")
        until(lambda: records() == "", 5, "the end of the call")
        recorder = desktop.record(MIC)
        check = run(desktop, "listen", "--check")
        assert check.returncode == 1, check.stdout
        (bad,) = wrong(check)
        assert bad.startswith("✗ softphone: parec")
        assert f"it records «{MIC_TITLE}»: no phrase reaches the client" in bad
        assert f"choose «{SOURCE_TITLE}»" in bad
        recorder.stop()


def test_while_listen_runs_it_makes_again_what_is_gone(desktop: Desktop, tmp_path: Path) -> None:
    breathe(desktop)
    assert wrong(run(desktop, "setup")) == []
    with Listening(desktop, tmp_path, client=None, operator=None, prompt=None) as listening:
        loop = next(
            line.split("\t")[0]
            for line in desktop.pactl("list", "short", "modules").splitlines()
            if f"sink={SINK} " in line
        )
        desktop.pactl("unload-module", loop)  # as an unplugged headset does it
        until(lambda: all_here(desktop), 5, "the operator's voice")
        desktop.restart()
        until(lambda: all_here(desktop), 10, "the virtual microphone")
        until(lambda: "виртуальный микрофон восстановлен" in listening.log, 5, "the message")
        assert hears_the_operator(desktop)
    desktop.restart()
    with Listening(desktop, tmp_path, client=None, operator=None, prompt=None) as listening:
        assert "made again the sink of phrases" in listening.log
        assert all_here(desktop)


# -- the check ---------------------------------------------------------------------------------------


def check(desktop: Desktop, *arguments: str, cache: Path | None = None) -> list[str]:
    """The lines of the check that are wrong; its status says so, too."""
    done = run(desktop, "listen", "--check", *arguments, cache=cache)
    assert done.returncode == (1 if wrong(done) else 0), done.stdout + done.stderr
    return wrong(done)


def test_the_check_finds_each_thing_that_cannot_work(desktop: Desktop, tmp_path: Path) -> None:
    breathe(desktop)
    plain = (f"--client-device={HEADSET}", f"--operator-device={MIC}")
    (none,) = check(desktop, *plain)
    assert none.startswith("✗ prompt: there is none")
    assert none.endswith("vad-agent setup")
    assert check(desktop, *plain, "--mode=cue") == []
    ears = check(desktop, *plain, f"--prompt-device={HEADSET}")
    assert "your own ears, the client hears none" in "\n".join(ears)
    assert "are heard in your own ears" in "\n".join(ears)  # measured
    desktop.pactl("load-module", "module-null-sink", "sink_name=nowhere")
    (nobody, *_) = check(desktop, *plain, "--prompt-device=nowhere")
    assert "there is no virtual microphone" in nobody
    desktop.pactl("load-module", "module-remap-source", "source_name=v", "master=nowhere.monitor")
    (voiceless,) = check(desktop, *plain, "--prompt-device=nowhere")
    assert "the client hears phrases, but not you" in voiceless
    assert wrong(run(desktop, "setup")) == []
    assert check(desktop) == []
    swapped = check(desktop, f"--client-device={MIC}", f"--operator-device={HEADSET}.monitor")
    assert f"✗ client: {MIC_TITLE}: a microphone" in "\n".join(swapped)
    assert "are swapped" in "\n".join(swapped)
    assert f"what {HEADSET_TITLE} plays, no microphone" in "\n".join(swapped)
    own = check(desktop, f"--operator-device={SOURCE}")
    assert "the virtual microphone itself" in "\n".join(own)
    (unrendered,) = check(desktop, cache=tmp_path / "empty")
    assert unrendered.startswith("✗ phrases: 6 of 6 are not rendered")
    desktop.pactl("set-source-mute", SOURCE, "1")
    muted = check(desktop)
    assert "0 of 5 test sounds were heard" in "\n".join(muted)


# -- what it cannot do -------------------------------------------------------------------------------


def test_without_a_sound_server_it_is_said_as_such(desktop: Desktop) -> None:
    desktop.stop()
    for command in (["setup"], ["listen"], ["listen", "--check"], ["listen", "--client-device=x"]):
        done = run(desktop, *command)
        assert done.returncode == 2, done.stdout
        (line,) = done.stderr.splitlines()
        assert "no sound server answers" in line
        assert "systemctl --user start" in line
        assert "cue mode" not in done.stdout
    assert "no sound server answers" in run(desktop, "devices").stdout
    undone = run(desktop, "setup", "--undo")
    assert (undone.returncode, undone.stderr) == (0, "")


def test_without_a_headset_it_says_what_to_do(desktop: Desktop) -> None:
    done = run(desktop, "setup", "--headset", "Plantronics")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "Plantronics: there is no such" in line
    assert here(desktop) == (False, False, False)


def test_without_an_output_for_phrases_listen_shows_them_and_says_so(
    desktop: Desktop, tmp_path: Path
) -> None:
    with Listening(desktop, tmp_path, client=None, operator=None, prompt=None) as listening:
        assert "no output for phrases, so you say them (cue mode); vad-agent setup" in listening.log
        desktop.play_samples(noise(60, 8), RATE, HEADSET)
        listening.send(kind="answered")
        desktop.play_samples(speech("man_how_can_i_help"), 8_000, MOUTH).wait()
        listening.wait(kind("cue", id="greeting_again"), 15)


def test_saved_settings_that_are_wrong_are_one_line(desktop: Desktop) -> None:
    path = desktop.config / "vad-agent" / "headset.toml"
    path.parent.mkdir()
    path.write_text('client_devise = "x"\n')
    done = run(desktop, "listen")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(path) in line
    assert "client_devise: unknown key" in line
    assert "vad-agent setup" in line
    path.write_text('client_device = "alsa_output.unplugged"\n')
    done = run(desktop, "listen")
    (line,) = done.stderr.splitlines()
    assert "there is no such input" in line
    assert str(path) in line
