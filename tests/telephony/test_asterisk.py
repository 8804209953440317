"""Whole calls through a real Asterisk, judged by what the client's telephone plays."""

from __future__ import annotations

from pathlib import Path

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import inside, kind, settle
from tests.headset.source_recording import until
from tests.headset.speech import find_speech, script_audio
from tests.headset.test_end_to_end import check_phrases, say
from tests.telephony.centre import Centre, check_silence_after_the_greeting
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED


def test_silence_after_the_greeting(centre_server: AudioServer, tmp_path: Path) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        prompts = check_silence_after_the_greeting(centre, centre_server)
        settle(0.5)
        check_phrases(centre.phones, centre.pbx, prompts)


def test_the_client_is_silent_in_the_dialogue_and_interrupts_a_phrase(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    parts = [
        ("silence", 2.5),
        ("speech", "Алло, здравствуйте"),
        ("silence", 7.9),
        ("speech", "Алло, здравствуйте"),
        ("silence", 60.0),
    ]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        line = centre.pbx.wait(kind("prompt", id="farewell_in_dialogue"), 30)
        assert line["outcome"] == "interrupted"
        settle(1.0)
        whole_s = len(centre.pbx.phrase(line["id"], line["text"])) / 48_000
        begin_s, end_s = find_speech(centre.phones.ear.samples(), centre.phones.ear.rate)[-1]
        assert end_s - begin_s < whole_s - 0.3  # the client did not hear it to its end


def test_the_client_hangs_up_in_the_dialogue(centre_server: AudioServer, tmp_path: Path) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        centre.phones.client.command("hangup")
        centre.pbx.wait(kind("phase", phase="ended"), 5)
        (callback,) = centre.pbx.find(kind("callback"))
        assert callback["reason"] == "dropped"


def test_the_operator_hangs_up_and_nothing_is_owed(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        say(centre_server)
        centre.phones.operator.command("hangup")
        centre.pbx.wait(kind("phase", phase="ended"), 5)
        assert centre.pbx.find(kind("callback")) == []


def test_a_client_who_holds_and_comes_back(centre_server: AudioServer, tmp_path: Path) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        centre.phones.client.command("hold")
        centre.pbx.wait(kind("phase", phase="on_hold"), 5)
        settle(5.0)
        assert centre.pbx.find(kind("prompt")) == []
        centre.phones.client.command("resume")
        line = centre.pbx.wait(kind("prompt"), 15)
        assert line["id"] == "not_heard_in_dialogue"
        assert inside(line)


def test_a_client_who_does_not_come_back_from_hold(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    """With a minute of six seconds."""
    script = "[prompts.hold_farewell]\nwindow_s = [6.0, 7.0]\n"
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path, script=script) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        centre.phones.client.command("hold")
        centre.pbx.wait(kind("phase", phase="ended"), 30)
        (line,) = centre.pbx.find(kind("prompt"))
        assert (line["id"], line["outcome"]) == ("hold_farewell", "said")
        (callback,) = centre.pbx.find(kind("callback"))
        assert callback["reason"] == "client_hold"
        centre.phones.client.wait("CALL_CLOSED", limit_s=5)


def test_without_call_control_the_tap_begins_with_the_answer(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path, ari=False) as centre:
        centre.dial()
        say(centre_server)
        line = centre.pbx.wait(kind("prompt", id="greeting_again"), 20)
        assert line["outcome"] == "said"
        assert inside(line)
        centre.phones.client.command("hangup")
        centre.pbx.wait(kind("callback"), 10)


def test_the_product_is_killed_the_call_goes_on_and_is_watched_again(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        centre.pbx.process.kill()
        centre.pbx.process.wait(5)
        settle(1.0)
        assert centre.phones.client.in_call()
        assert centre.phones.operator.in_call()
        before = len(centre.pbx.trace())
        centre.start_pbx()
        centre.phones.client.wait("CALL_CLOSED", limit_s=40)  # the script ends it
        lines = centre.pbx.trace()[before:]
        assert [line["id"] for line in lines if line["kind"] == "prompt"] == [
            "not_heard_in_dialogue",
            "farewell_in_dialogue",
        ]
        (callback,) = [line for line in lines if line["kind"] == "callback"]
        assert callback["reason"] == "silence_in_dialogue"


def test_the_pbx_is_killed_and_the_callback_is_there(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("prompt", id="greeting_again"), 20)
        centre.asterisk.kill()
        settle(2.0)
        centre.asterisk.start()
        line = centre.pbx.wait(kind("callback"), 20)
        assert line["reason"] == "dropped"
        outbox = Outbox(tmp_path / "outbox")
        until(
            lambda: any(outbox.read(path).kind == REQUESTED for path in outbox.waiting()), 5, "it"
        )
