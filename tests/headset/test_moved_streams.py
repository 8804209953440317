"""The softphone's sound goes elsewhere in the middle of a call: no hang-up, and the client is heard there.

Without call control, where a softphone that plays no more has hung up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.conftest import require
from tests.headset.listen_process import Listening, assert_replays, kind, phrases_folder, settle
from tests.headset.softphone import PROGRAM, PhoneCall
from tests.headset.source_recording import until
from tests.headset.speech import script_audio
from tests.headset.test_end_to_end import say

SETTLED_S = 10.0
"""For so long after a change of devices no end is inferred."""
TALK = [("silence", 2.5), *[("speech", "Алло, здравствуйте"), ("silence", 1.5)] * 20]


@pytest.fixture
def server(fresh_audio_server: AudioServer) -> Iterator[AudioServer]:
    require([PROGRAM])
    phrases_folder()  # before the call begins: it takes time
    fresh_audio_server.keep_awake("client", "virtmic", "mic", "headset")
    return fresh_audio_server


def begin(server: AudioServer, listening: Listening, call: PhoneCall) -> None:
    """A call that nobody reports, in which both sides have been heard."""
    settle(2.5)
    call.dial("client")
    say(server)
    listening.wait(kind("phase", phase="dialogue"), 15)


def captured(server: AudioServer) -> list[str]:
    """The source that the client's side is captured from."""
    return [one.device for one in server.captured()]


def move(server: AudioServer, call: PhoneCall, sink: str) -> None:
    """As in a desktop's volume panel."""
    server.pactl("move-sink-input", str(server.played(call.operator.pid).index), sink)


def heard_on(server: AudioServer, listening: Listening, source: str) -> None:
    """The client is captured there, and heard."""
    until(lambda: captured(server) == [source], 5, source)
    back = listening.wait(kind("alert", id="client_device_back"), 8)
    listening.wait(
        lambda line: kind("speech", channel="client")(line) and line["t"] > back["t"],
        10,
        "the client's next word",
    )


def goes_on(listening: Listening) -> None:
    """The call has not ended, and nobody is to be called back."""
    assert not listening.find(kind("phase", phase="ended"))
    assert not listening.find(kind("callback"))
    assert "ЗАВЕРШИТЕ ЗВОНОК" not in listening.log


def finish(listening: Listening) -> None:
    goes_on(listening)
    listening.send(command="end_call")
    listening.ended(5)
    assert_replays(listening)


def test_a_softphone_that_is_moved_to_another_output_is_heard_there(
    server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio(TALK, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        begin(server, listening, call)
        move(server, call, "headset")
        heard_on(server, listening, "headset.monitor")
        assert "звук клиента теперь идёт в «" in listening.log
        settle(SETTLED_S + 1)  # it lives there: also later this is no end
        goes_on(listening)
        say(server)  # the client has been answered: nothing says how the call ends
        call.hangup("client")
        lines = listening.ended(4)
        assert [line["reason"] for line in lines if line["kind"] == "callback"] == ["unconfirmed"]
        assert_replays(listening)


def test_a_headset_that_is_pulled_out_leaves_the_call_on_the_output_it_moves_to(
    server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio(TALK, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        server.pactl("set-default-sink", "headset")
        begin(server, listening, call)
        server.remove_sink("client")
        heard_on(server, listening, "headset.monitor")
        finish(listening)


def test_another_default_output_leaves_the_call_where_the_softphone_plays(
    server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio([("silence", 4.0), *TALK], tmp_path / "client.wav")
    with PhoneCall(server, wav) as call:
        call.dial("client")
        server.pactl("set-default-sink", "headset")
        until(
            lambda: server.played(call.operator.pid).device == "headset", 5, "the softphone moved"
        )
        move(server, call, "client")  # by hand: it no longer goes where the default goes
        server.pactl("set-default-sink", "client")
        with Listening(server, tmp_path, client=None) as listening:
            listening.send(command="start_call")
            say(server)
            listening.wait(kind("phase", phase="dialogue"), 15)
            server.pactl("set-default-sink", "headset")
            said = listening.trace()[-1]["t"]
            listening.wait(
                lambda line: kind("speech", channel="client")(line) and line["t"] > said + 1, 10
            )
            assert captured(server) == ["client.monitor"]
            assert not listening.find(kind("alert", id="client_device_lost"))
            finish(listening)


def test_a_softphone_that_lands_in_the_virtual_microphone_is_not_captured_there(
    server: AudioServer, tmp_path: Path
) -> None:
    """The operator and the phrases are heard in it, too."""
    wav = script_audio(TALK, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        begin(server, listening, call)
        move(server, call, "virtmic")
        until(lambda: "звук клиента ушёл в виртуальный микрофон" in listening.log, 5, "the reason")
        assert captured(server) == ["client.monitor"]
        move(server, call, "client")
        finish(listening)


def test_a_server_that_is_back_without_the_softphones_stream_is_no_end_for_ten_seconds(
    server: AudioServer, tmp_path: Path
) -> None:
    """A softphone opens its stream anew, when it notices."""
    wav = script_audio(TALK, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        begin(server, listening, call)
        server.kill()
        settle(1.0)
        server.start()
        server.keep_awake("client", "virtmic", "mic")
        back = listening.wait(kind("alert", id="client_device_back"), 10)
        end = listening.wait(kind("phase", phase="ended"), SETTLED_S + 5)
        assert end["t"] - back["t"] >= SETTLED_S - 0.5
