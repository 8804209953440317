"""Whole calls through a real Asterisk, judged by what the client's telephone plays."""

from __future__ import annotations

from pathlib import Path

from tests.headset.audio_server import AudioServer
from tests.headset.listening import inside, kind, outcomes
from tests.headset.speech import find_speech, script_audio, speech
from tests.telephony.centre import Centre

GREETING = "man_how_can_i_help"
TOLERANCE_S = 0.1


def say(server: AudioServer, what: str = GREETING) -> None:
    """The operator says something, to its end."""
    server.play_samples(speech(what), 8_000, "mic").wait()


def test_silence_after_the_greeting(centre_server: AudioServer, tmp_path: Path) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="ended"), 40)
        prompts = centre.pbx.find(kind("prompt"))
        assert outcomes(prompts) == [
            ("greeting_again", "said"),
            ("not_heard", "said"),
            ("farewell_after_greeting", "said"),
        ]
        assert all(map(inside, prompts))
        centre.phones.client.wait("CALL_CLOSED", limit_s=5)  # the script hangs up
        runs = find_speech(centre.phones.ear.samples(), centre.phones.ear.rate)
        print(
            runs, [(p["started_s"], p["ended_s"], p["window_s"], p["silence_s"]) for p in prompts]
        )
