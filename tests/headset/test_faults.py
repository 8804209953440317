"""What happens to a desktop's audio in the middle of a call: unplugged, killed, moved, muted.

Each in the middle of a step of the script. The call goes on, nothing of it is silence, and the recording of
the whole replays to the same trace.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import (
    Listening,
    TraceLine,
    assert_replays,
    inside,
    kind,
    outcomes,
    settle,
)
from tests.headset.source_recording import until
from tests.headset.speech import speech

GREETING = "man_how_can_i_help"
NOISE_S = 90.0


@pytest.fixture
def server(fresh_audio_server: AudioServer) -> Iterator[AudioServer]:
    fresh_audio_server.keep_awake("client", "virtmic", "mic")
    return fresh_audio_server


def play_noise(server: AudioServer, sink: str = "client") -> None:
    """A live line on which nobody speaks."""
    noise = np.random.default_rng(3).normal(0, 8, round(NOISE_S * 8_000)).astype(np.int16)
    server.play_samples(noise, 8_000, sink)


def say(server: AudioServer) -> None:
    server.play_samples(speech(GREETING), 8_000, "mic").wait()


def begin(server: AudioServer, listening: Listening) -> None:
    """A call in which the operator has greeted and the client is silent."""
    play_noise(server)
    listening.send(kind="answered")
    say(server)


def alert(name: str) -> Callable[[TraceLine], bool]:
    return kind("alert", id=name)


def after(true: Callable[[TraceLine], bool], t: float) -> Callable[[TraceLine], bool]:
    return lambda line: true(line) and line["t"] > t


def finish(listening: Listening) -> list[TraceLine]:
    """End the call; its recording must replay to the same trace."""
    listening.send(command="end_call")
    lines = listening.ended(5)
    assert_replays(listening)
    return lines


def test_the_clients_device_is_unplugged_in_the_silence(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        server.remove_sink("client")
        lost = listening.wait(alert("client_device_lost"), 3)
        settle(4.0)  # longer than any window
        assert listening.prompts() == []
        server.add_sink("client")
        server.keep_awake("client")
        play_noise(server)
        back = listening.wait(alert("client_device_back"), 8)
        assert back["t"] - lost["t"] > 3
        line = listening.wait(kind("prompt"), 15)
        assert (line["id"], line["outcome"]) == ("greeting_again", "said")
        assert inside(line)
        assert line["started_s"] - back["t"] >= line["window_s"][0]
        lines = finish(listening)
        assert not [line for line in lines if line.get("reason") == "dropped"]


def test_the_microphone_is_unplugged_while_a_phrase_plays(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        settle(3.2)
        server.remove_sink("mic")
        listening.wait(alert("operator_device_lost"), 3)
        line = listening.wait(kind("prompt"), 10)
        assert (line["id"], line["outcome"]) == ("greeting_again", "said")
        settle(3.5)
        assert len(listening.prompts()) == 1  # the clock stands still
        server.add_sink("mic")
        server.keep_awake("mic")
        back = listening.wait(alert("operator_device_back"), 8)
        # What was climbed is stale: the ladder begins anew.
        again = listening.wait(after(kind("prompt"), back["t"]), 15)
        assert (again["id"], again["outcome"]) == ("greeting_again", "said")
        finish(listening)


def test_the_output_of_phrases_is_unplugged_while_one_plays(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        settle(3.2)
        server.remove_sink("virtmic")
        listening.wait(alert("prompt_device_lost"), 3)
        failed = listening.wait(kind("prompt"), 5)
        assert (failed["id"], failed["outcome"]) == ("greeting_again", "failed")
        listening.wait(kind("cue", id="greeting_again"), 3)  # the operator is to say it
        say(server)
        listening.wait(kind("prompt", outcome="said_by_operator"), 10)
        server.add_sink("virtmic")
        server.keep_awake("virtmic")
        back = listening.wait(alert("prompt_device_back"), 8)
        line = listening.wait(after(kind("prompt"), back["t"]), 15)
        assert (line["id"], line["outcome"]) == ("not_heard", "said")
        finish(listening)


@pytest.mark.parametrize("moment", ["greeting", "silence", "phrase"])
def test_the_server_is_killed_and_comes_back(
    server: AudioServer, tmp_path: Path, moment: str
) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        if moment != "greeting":
            listening.wait(kind("speech", channel="operator"), 5)
            settle(3.2 if moment == "phrase" else 0.5)
        server.kill()
        listening.wait(alert("client_device_lost"), 3)
        listening.wait(alert("operator_device_lost"), 3)
        listening.wait(alert("prompt_device_lost"), 3)
        settle(2.0)
        server.start()
        server.keep_awake("client", "virtmic", "mic")
        play_noise(server)
        back = [
            listening.wait(alert(f"{party}_device_back"), 10)["t"]
            for party in ("client", "operator", "prompt")
        ]
        if moment == "greeting":
            say(server)  # it may have been lost in the middle of it
        line = listening.wait(after(kind("prompt", outcome="said"), max(back)), 20)
        assert line["id"] == "greeting_again"
        assert inside(line)
        lines = finish(listening)
        assert not [line for line in lines if line.get("reason") == "dropped"]


def test_a_stream_that_the_server_moved_is_brought_back(
    server: AudioServer, tmp_path: Path
) -> None:
    """By a desktop's volume panel, or by the server itself: it would hear another sound."""
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        (stream,) = server.captured()
        server.pactl("move-source-output", str(stream.index), "headset.monitor")
        listening.wait(alert("client_device_lost"), 3)
        listening.wait(alert("client_device_back"), 8)
        assert [one.device for one in server.captured()] == ["client.monitor"]
        finish(listening)


def test_the_default_devices_are_followed_where_none_was_named(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path, client=None) as listening:
        begin(server, listening)
        server.pactl("set-default-sink", "headset")

        def followed() -> bool:
            return "headset.monitor" in [one.device for one in server.captured()]

        until(followed, 5, "the new default's monitor")
        listening.wait(alert("client_device_back"), 8)
        finish(listening)


def test_a_driver_that_crashes_ends_only_its_own_stream(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        children = psutil.Process(listening.process.pid).children()
        (client,) = [one for one in children if '"client"' in " ".join(one.cmdline())]
        os.kill(client.pid, signal.SIGSEGV)
        listening.wait(alert("client_device_lost"), 3)
        listening.wait(alert("client_device_back"), 8)
        assert not listening.find(alert("operator_device_lost"))
        assert not listening.find(alert("prompt_device_lost"))
        finish(listening)


def test_a_child_that_hangs_is_replaced(server: AudioServer, tmp_path: Path) -> None:
    """No callback is a lost device, never silence."""
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        children = psutil.Process(listening.process.pid).children()
        (client,) = [one for one in children if '"client"' in " ".join(one.cmdline())]
        client.suspend()
        lost = listening.wait(alert("client_device_lost"), 3)
        listening.wait(alert("client_device_back"), 8)
        assert not [one for one in listening.prompts() if one["started_s"] < lost["t"]]
        finish(listening)


def test_a_muted_microphone_is_named(server: AudioServer, tmp_path: Path) -> None:
    with Listening(server, tmp_path) as listening:
        listening.send(kind="answered")
        listening.wait(kind("line", channel="operator", state="digital_zero"), 8)
        until(lambda: "микрофон выключен или нет разрешения" in listening.log, 3, "the reason")
        finish(listening)


def test_what_is_not_there_is_told_in_one_line(server: AudioServer, tmp_path: Path) -> None:
    listening = Listening(server, tmp_path, client="nobody")
    assert listening.process.wait(15) == 2
    assert "--client-device nobody: there is no such input" in listening.log
    assert len(listening.log.strip().splitlines()) == 1
    listening.stop()


def test_the_recording_folder_that_cannot_be_made_is_told_before_anything_is_opened(
    server: AudioServer, tmp_path: Path
) -> None:
    (tmp_path / "recordings").write_text("a file")
    listening = Listening(server, tmp_path)
    assert listening.process.wait(15) == 1
    assert "recordings" in listening.log.splitlines()[-1]
    assert "Traceback" not in listening.log
    listening.stop()


def test_outcomes_are_whole(server: AudioServer, tmp_path: Path) -> None:
    """The client is heard in the middle of a phrase: it stops, and was not said."""
    with Listening(server, tmp_path) as listening:
        begin(server, listening)
        listening.wait(kind("speech", channel="operator"), 5)
        settle(3.0)
        server.play_samples(speech("Алло, здравствуйте"), 8_000, "client")
        line = listening.wait(kind("prompt"), 10)
        assert outcomes([line]) == [("greeting_again", "interrupted")]
        listening.wait(kind("phase", phase="dialogue"), 5)
        finish(listening)
