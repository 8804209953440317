"""Whole calls through a real Asterisk whose call control is AMI; and a network that is cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import kind, settle
from tests.headset.speech import script_audio
from tests.headset.test_end_to_end import say
from tests.telephony.centre import Centre, check_silence_after_the_greeting

TALK = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]


def test_silence_after_the_greeting_ends_in_a_hangup(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path, ami=True) as centre:
        check_silence_after_the_greeting(centre, centre_server)


def test_a_client_who_holds_and_comes_back_and_hangs_up(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio(TALK, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path, ami=True) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        centre.phones.client.command("hold")
        centre.pbx.wait(kind("phase", phase="on_hold"), 5)
        centre.phones.client.command("resume")
        centre.pbx.wait(kind("prompt", id="not_heard_in_dialogue"), 15)
        centre.phones.client.command("hangup")
        centre.pbx.wait(kind("phase", phase="ended"), 5)
        (callback,) = centre.pbx.find(kind("callback"))
        assert callback["reason"] == "dropped"


@pytest.mark.parametrize("ami", [False, True], ids=["ari", "ami"])
def test_a_network_that_is_cut_drops_nobody_and_the_call_is_tapped_again(
    centre_server: AudioServer, tmp_path: Path, ami: bool
) -> None:
    wav = script_audio(TALK, tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path, ami=ami, cuttable=True) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        centre.network.cut()
        centre.pbx.wait(kind("alert", id="client_device_lost"), 5)
        settle(4.0)
        assert centre.phones.client.in_call()
        assert centre.phones.operator.in_call()
        centre.network.mend()
        centre.pbx.wait(kind("alert", id="client_device_back"), 20)
        assert centre.pbx.find(kind("prompt")) == []  # what was not carried is no silence
        line = centre.pbx.wait(kind("prompt", id="not_heard_in_dialogue"), 15)
        assert line["outcome"] == "said"
        centre.phones.client.wait("CALL_CLOSED", limit_s=30)  # the script ends it
        (callback,) = centre.pbx.find(kind("callback"))
        assert callback["reason"] == "silence_in_dialogue"
