"""Whole calls: a real audio server, two real telephones, `listen` in between; judged at the client's end.

The operator's telephone plays into `client` and records `vmic`; the client's plays a file and its ear is
recorded. What the client heard is what counts: the right phrases, whole, each in its window.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.conftest import require
from tests.headset.listen_process import (
    INTERRUPTED,
    Listening,
    TracedProcess,
    TraceLine,
    assert_replays,
    inside,
    kind,
    outcomes,
    settle,
)
from tests.headset.softphone import PROGRAM, PhoneCall
from tests.headset.source_recording import until
from tests.headset.speech import find_speech, match, script_audio, speech
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED, WITHDRAWN

TOLERANCE_S = 0.1
"""Blocks of null sinks, packets, and where a word ends in noise."""
GREETING = "man_how_can_i_help"


@pytest.fixture
def server(audio_server: AudioServer) -> Iterator[AudioServer]:
    require([PROGRAM])
    return audio_server


def say(server: AudioServer, what: str = GREETING) -> float:
    """The operator says something, to its end; how long it lasts, s."""
    samples = speech(what)
    server.play_samples(samples, 8_000, "mic").wait()
    return len(samples) / 8_000


def heard_at(
    call: PhoneCall, listening: TracedProcess, line: TraceLine, after_s: float = 0.0
) -> tuple[float, float]:
    """(start, end) of the phrase in the recording of the client's ear, s; it must be whole.

    `after_s`: the phrase before ended there: some phrases begin as others are.
    """
    phrase = listening.phrase(line["id"], line["text"])
    length_s = len(phrase) / 48_000
    samples, rate = call.ear.samples(), call.ear.rate
    if after_s:
        until_s = after_s + line["window_s"][1] + length_s + 1
        samples = samples[round(after_s * rate) : round(until_s * rate)]
    found = match(samples, rate, phrase, 48_000)
    assert found.whole, (line["id"], found)
    start_s = after_s + found.offset_s
    return start_s, start_s + length_s


def assert_in_window(
    call: PhoneCall, line: TraceLine, start_s: float, client_end_s: float = 0.0
) -> None:
    """By the client's ear: the silence before the phrase is inside its window.

    `client_end_s`: when the client's own last word ended, on the recording's time.
    """
    runs = find_speech(call.ear.samples(), call.ear.rate)
    before = [end for begin, end in runs if end <= start_s + TOLERANCE_S and begin < start_s - 0.2]
    silence = start_s - max(before[-1], client_end_s)
    lo, hi = line["window_s"]
    assert lo - TOLERANCE_S <= silence <= hi + TOLERANCE_S, (line["id"], silence, runs)


def check_phrases(
    call: PhoneCall, listening: TracedProcess, prompts: list[TraceLine], client_end_s: float = 0.0
) -> None:
    last = 0.0
    for line in prompts:
        start_s, end_s = heard_at(call, listening, line, last)
        assert start_s > last
        last = end_s
        assert inside(line)
        assert_in_window(call, line, start_s, client_end_s)


def test_1_silence_after_the_greeting(server: AudioServer, tmp_path: Path) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        listening.ended(40)
        settle(0.5)
        prompts = listening.prompts()
        assert outcomes(prompts) == [
            ("greeting_again", "said"),
            ("not_heard", "said"),
            ("farewell_after_greeting", "said"),
        ]
        check_phrases(call, listening, prompts)
        (callback,) = listening.find(kind("callback"))
        assert callback["reason"] == "silence_after_greeting"
        assert callback["t"] < prompts[2]["started_s"]  # stored before it is promised
        (hangup,) = listening.find(kind("hangup"))
        assert hangup["t"] >= prompts[2]["ended_s"]  # the farewell is not cut
        call.hangup("operator")
        assert_replays(listening)


def test_2_the_call_drops(server: AudioServer, tmp_path: Path) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo")]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        listening.wait(kind("phase", phase="dialogue"), 10)
        call.hangup("client")
        listening.send(kind="hangup", party="client")
        lines = listening.ended(10)
        assert [line["reason"] for line in lines if line["kind"] == "callback"] == ["dropped"]
        assert_replays(listening)


def test_3_held_and_not_returned(server: AudioServer, tmp_path: Path) -> None:
    """With a minute of six seconds. Media stops on hold: that is no drop."""
    script = "[prompts.hold_farewell]\nwindow_s = [6.0, 7.0]\n"
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Listening(server, tmp_path, script=script) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        listening.wait(kind("phase", phase="dialogue"), 10)
        call.hold("client")
        listening.send(kind="hold", party="client")
        listening.ended(30)
        (line,) = listening.prompts()
        assert (line["id"], line["outcome"]) == ("hold_farewell", "said")
        assert inside(line)
        (callback,) = listening.find(kind("callback"))
        assert (callback["reason"], callback["due_in_s"]) == ("client_hold", 90.0)
        assert_replays(listening)


def test_3_held_and_returned(server: AudioServer, tmp_path: Path) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        listening.wait(kind("phase", phase="dialogue"), 10)
        call.hold("client")
        listening.send(kind="hold", party="client")
        settle(4.0)
        call.resume("client")
        listening.send(kind="unhold", party="client")
        line = listening.wait(kind("prompt"), 15)
        assert line["id"] == "not_heard_in_dialogue"
        assert inside(line)  # silence counts from the return
        listening.send(kind="hangup", party="operator")
        listening.ended(5)
        assert_replays(listening)


def test_4_silence_in_the_dialogue(server: AudioServer, tmp_path: Path) -> None:
    """With a name that becomes known in the call."""
    parts = [("silence", 2.5), ("speech", "Алло, здравствуйте"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        established = call.dial("client")
        listening.send(kind="answered")
        say(server)
        listening.wait(kind("phase", phase="dialogue"), 10)
        listening.send(kind="client_name", name="Анна")
        listening.ended(30)
        settle(0.5)
        prompts = listening.prompts()
        assert outcomes(prompts) == [
            ("not_heard_in_dialogue", "said"),
            ("farewell_in_dialogue", "said"),
        ]
        assert prompts[0]["text"] == "Анна, вас не слышно"
        word_end_s = 2.5 + len(speech("Алло, здравствуйте")) / 8_000
        check_phrases(call, listening, prompts, call.ear.at(established) + word_end_s)
        assert_replays(listening)


def test_4_the_client_answers_in_the_phrase(server: AudioServer, tmp_path: Path) -> None:
    """Barge-in: the phrase fades out and the dialogue goes on."""
    parts = [
        ("silence", 2.5),
        ("speech", "Алло, здравствуйте"),
        ("silence", 7.9),
        ("speech", "Алло, здравствуйте"),
        ("silence", 60.0),
    ]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        line = listening.wait(kind("prompt", id="farewell_in_dialogue"), 30)
        assert line["outcome"] == "interrupted"
        settle(1.0)
        whole = len(listening.phrase(line["id"], line["text"])) / 48_000
        last = find_speech(call.ear.samples(), call.ear.rate)[-1]
        assert last[1] - last[0] < whole - 0.3  # the client did not hear it to its end
        again = listening.wait(
            lambda one: kind("prompt")(one) and one["t"] > line["t"] + 1, 15, "the ladder anew"
        )
        assert again["id"] == "not_heard_in_dialogue"
        listening.send(kind="hangup", party="operator")
        listening.ended(5)
        assert_replays(listening)


def test_5_a_callback_is_agreed(server: AudioServer, tmp_path: Path) -> None:
    parts = [("silence", 2.5), ("speech", "Алло, здравствуйте"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        listening.wait(kind("phase", phase="dialogue"), 10)
        listening.send(kind="callback_agreed", at="2030-05-13T12:00:00+03:00", phone="+79990000000")
        listening.send(kind="goodbye")
        listening.send(kind="hangup", party="operator")
        lines = listening.ended(5)
        (callback,) = [line for line in lines if line["kind"] == "callback"]
        assert callback["reason"] == "agreed"
        assert "+7999" not in listening.log  # personal data stay out of what is printed
        assert_replays(listening)


def test_the_operator_takes_the_phrase_over(server: AudioServer, tmp_path: Path) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        settle(2.05)  # he is just in time
        say(server)
        first = listening.wait(kind("prompt"), 15)
        assert (first["id"], first["outcome"]) == ("greeting_again", "said_by_operator")
        second = listening.wait(kind("prompt", id="not_heard"), 15)
        assert second["outcome"] == "said"
        assert inside(second)
        listening.send(kind="hangup", party="operator")
        listening.ended(5)
        assert_replays(listening)


def test_without_call_control_the_greeting_begins_the_call(
    server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Listening(server, tmp_path) as listening, PhoneCall(server, wav) as call:
        settle(2.5)  # an idle line
        call.dial("client")
        say(server)
        line = listening.wait(kind("prompt", id="greeting_again"), 20)
        assert line["outcome"] == "said"
        assert inside(line)
        start_s, _ = heard_at(call, listening, line)
        assert_in_window(call, line, start_s)
        listening.send(command="end_call")
        listening.ended(5)
        assert_replays(listening)


@contextmanager
def talking(server: AudioServer, folder: Path) -> Iterator[tuple[PhoneCall, Listening]]:
    """A call that nobody reports, in which both sides have talked."""
    parts = [("silence", 2.5), ("speech", "Алло, здравствуйте"), ("silence", 60.0)]
    wav = script_audio(parts, folder / "client.wav")
    with PhoneCall(server, wav) as call, Listening(server, folder) as listening:
        settle(2.5)
        call.dial("client")
        say(server)
        listening.wait(kind("phase", phase="dialogue"), 15)
        yield call, listening


def test_without_call_control_a_softphone_that_plays_no_more_has_hung_up(
    server: AudioServer, tmp_path: Path
) -> None:
    """Nobody is told «вас не слышно» after the end; both have talked, so the operator is asked."""
    with talking(server, tmp_path) as (call, listening):
        call.hangup("client")
        lines = listening.ended(4)
        assert [line["reason"] for line in lines if line["kind"] == "callback"] == ["unconfirmed"]
        assert listening.prompts() == []
        assert_replays(listening)


@pytest.mark.parametrize("answer", ["yes", "none: killed"])
def test_whether_they_said_goodbye_is_asked_and_only_a_yes_spares_the_callback(
    answer: str, server: AudioServer, tmp_path: Path
) -> None:
    with talking(server, tmp_path) as (call, listening):
        call.hangup("operator")
        lines = listening.ended(6)
        (asked,) = [line for line in lines if line["kind"] == "callback"]
        assert (asked["reason"], asked["due_in_s"]) == ("unconfirmed", 120.0)
        until(lambda: "Попрощались? Звонок " in listening.log, 5, "the question")
        assert "ЗАВЕРШИТЕ ЗВОНОК" not in listening.log
        if answer == "yes":
            listening.send(kind="goodbye")
            line = listening.wait(kind("callback_withdrawn"), 5)
            (begun,) = listening.find(kind("call"))
            assert (line["reason"], line["of"]) == ("unconfirmed", begun["id"])
            assert listening.stop() == INTERRUPTED
        else:
            listening.process.kill()
            listening.process.wait(5)
    outbox = Outbox(tmp_path / "outbox")
    letters = [outbox.read(path) for path in outbox.waiting()]
    about = [(one.kind, one.reason) for one in letters if one.kind in (REQUESTED, WITHDRAWN)]
    withdrawn = [(WITHDRAWN, None)] if answer == "yes" else []
    assert about == [(REQUESTED, "unconfirmed"), *withdrawn]
    assert len({one.call for one in letters}) == 1


def test_in_the_cue_mode_nothing_is_played(server: AudioServer, tmp_path: Path) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with (
        Listening(server, tmp_path, "--mode=cue", prompt=None) as listening,
        PhoneCall(server, wav) as call,
    ):
        call.dial("client")
        listening.send(kind="answered")
        say(server)
        cue = listening.wait(kind("cue", id="greeting_again"), 10)
        say(server)
        line = listening.wait(kind("prompt"), 10)
        assert (line["id"], line["outcome"]) == ("greeting_again", "said_by_operator")
        lead_s = listening.settings.timing.takeover_lead_s  # he may be a little early
        assert cue["from_s"] - lead_s <= line["started_s"] <= cue["to_s"]
        assert cue["text"] in listening.log
        listening.send(kind="hangup", party="operator")
        listening.ended(5)
        assert len(find_speech(call.ear.samples(), call.ear.rate)) == 2  # the operator, twice
        assert_replays(listening)
