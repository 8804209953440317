"""The rig itself: the audio server, the phones and the ears of the live tests do what they say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from audio_fixtures import g711
from tests.headset.audio_server import PROGRAMS, SINKS, AudioServer
from tests.headset.conftest import require
from tests.headset.rtp_capture import Wire
from tests.headset.softphone import EAR, PROGRAM, Party, PhoneCall
from tests.headset.source_recording import until, write_wav
from tests.headset.speech import (
    Part,
    find_speech,
    level_db,
    match,
    script_audio,
    speech,
    timeline,
    tone,
)

CLIENT: list[Part] = [
    ("silence", 0.6),
    ("speech", "caller_i_hear"),
    ("silence", 1.0),
    ("tone", 0.5),
]


@pytest.fixture(scope="module")
def audio_server() -> Iterator[AudioServer]:
    """One that nobody waits for: each idle monitor costs 2 s."""
    require(PROGRAMS)
    with AudioServer((*SINKS, EAR)) as server:
        server.keep_awake(*SINKS, EAR)
        yield server


@pytest.fixture
def client_wav(tmp_path: Path) -> Path:
    return script_audio(CLIENT, tmp_path / "client.wav", tail_s=60.0)


@pytest.fixture
def call(audio_server: AudioServer, client_wav: Path) -> Iterator[PhoneCall]:
    require([PROGRAM])
    with PhoneCall(audio_server, client_wav) as call:
        yield call


# -- the server -----------------------------------------------------------------------------------


def test_what_is_played_into_a_sink_is_in_its_monitor_at_the_time(
    audio_server: AudioServer,
) -> None:
    recording = audio_server.record("client.monitor")
    begun = time.perf_counter()
    audio_server.play_samples(tone(0.5, rate=48_000), 48_000, "client").wait(5)
    ended = time.perf_counter()
    ((start, end),) = find_speech(recording.stop(), recording.rate)
    assert recording.at(begun) - 0.01 < start < recording.at(ended) - 0.5 + 0.05
    assert end - start == pytest.approx(0.5, abs=0.03)


def test_each_sink_is_its_own(audio_server: AudioServer) -> None:
    sources = [f"{sink}.monitor" for sink in ("client", "mic", "headset")]
    heard = [audio_server.record(source, wait=False) for source in sources]
    for recording in heard:
        recording.wait_first()
    audio_server.play_samples(tone(0.3, rate=48_000), 48_000, "mic").wait(5)
    client, mic, headset = (recording.stop() for recording in heard)
    assert level_db(mic) > -40
    assert not client.any()
    assert not headset.any()


@pytest.mark.serial
def test_the_microphone_can_be_looped_into_the_virtual_one(fresh_audio_server: AudioServer) -> None:
    fresh_audio_server.loop_microphone()
    recording = fresh_audio_server.record("vmic")
    begun = time.perf_counter()
    fresh_audio_server.play_samples(tone(0.3, rate=48_000), 48_000, "mic").wait(5)
    recording.wait_seconds(recording.seconds + 0.2)
    ((start, _),) = find_speech(recording.stop(), recording.rate)
    assert start - recording.at(begun) < 0.15


def test_a_killed_server_ends_its_recordings_and_comes_back(
    fresh_audio_server: AudioServer,
) -> None:
    first = fresh_audio_server.record("client.monitor")
    fresh_audio_server.kill()
    until(lambda: not first.alive, 2.0, "the end of the recorder")
    assert not fresh_audio_server.running
    fresh_audio_server.restart()
    second = fresh_audio_server.record("client.monitor")
    assert second.seconds > 0


def test_sinks_are_plugged_and_unplugged(fresh_audio_server: AudioServer) -> None:
    fresh_audio_server.add_sink("usb")
    fresh_audio_server.remove_sink("client")
    assert fresh_audio_server.names("sinks") == ["virtmic", "mic", "headset", "usb"]
    fresh_audio_server.remove_sink("usb")
    fresh_audio_server.restart()
    assert fresh_audio_server.names("sinks") == ["client", "virtmic", "mic", "headset"]


# -- calls ----------------------------------------------------------------------------------------


@pytest.mark.serial
def test_the_client_is_heard_in_the_headset(audio_server: AudioServer, call: PhoneCall) -> None:
    headset = audio_server.record("client.monitor")
    established = call.dial()
    headset.wait_seconds(headset.at(established) + 3.0)
    said = match(headset.stop(), headset.rate, speech("caller_i_hear"), 8_000)
    assert said.whole, said
    (_, _, start, _) = timeline(CLIENT)[1]
    delay = said.offset_s - headset.at(established) - start
    assert 0.0 < delay < 0.4


@pytest.mark.serial
def test_the_operator_and_a_prompt_are_heard_by_the_client(
    audio_server: AudioServer, client_wav: Path
) -> None:
    require([PROGRAM])
    with PhoneCall(audio_server, client_wav, dump=True) as call:
        _speak_and_prompt(audio_server, call)


def _speak_and_prompt(audio_server: AudioServer, call: PhoneCall) -> None:
    call.dial()
    prompt, greeting = speech("man_not_heard"), speech("man_how_can_i_help")
    played = []
    for samples, sink in ((prompt, "virtmic"), (greeting, "mic")):
        played.append(time.perf_counter())
        audio_server.play_samples(samples, 8_000, sink).wait(10)
    call.ear.wait_seconds(call.ear.seconds + 0.5)
    heard = call.ear.samples()
    for begun, samples in zip(played, (prompt, greeting), strict=True):
        found = match(heard, call.ear.rate, samples, 8_000)
        assert found.whole, found
        assert 0.03 < found.offset_s - call.ear.at(begun) < 0.5
    call.hangup()
    assert match(call.client.dumped("dec"), 8_000, prompt, 8_000).whole


def test_no_packet_goes_either_way_on_hold(call: PhoneCall) -> None:
    with _wire() as wire:
        call.dial("client")
        call.ear.wait_seconds(call.ear.seconds + 1.0)
        ports = [wire.port(phone.udp_ports()) for phone in (call.operator, call.client)]
        held = call.hold()
        call.ear.wait_seconds(call.ear.seconds + 1.5)
        resumed = call.resume("operator")
        call.ear.wait_seconds(call.ear.seconds + 0.5)
        call.hangup("client")
    for port in ports:
        ((begin, end),) = wire.silences(port, longer_s=0.5)
        assert begin == pytest.approx(held, abs=0.25)
        assert end == pytest.approx(resumed, abs=0.25)


def _wire() -> Wire:
    try:
        return Wire()
    except PermissionError:
        pytest.skip("reading the wire needs CAP_NET_RAW")


def test_what_the_client_said_is_on_the_wire(call: PhoneCall) -> None:
    with _wire() as wire:
        established = call.dial()
        call.ear.wait_seconds(call.ear.seconds + 2.5)
        samples, start = wire.audio(wire.port(call.operator.udp_ports()))
        call.hangup()
    found = match(samples, 8_000, speech("caller_i_hear"), 8_000)
    assert found.similarity > 0.95
    (_, _, spoken, _) = timeline(CLIENT)[1]
    assert start + found.offset_s - established == pytest.approx(spoken, abs=0.15)


def test_either_side_can_end_the_call_and_dial_again(call: PhoneCall) -> None:
    ways: list[tuple[Party, Party]] = [("operator", "client"), ("client", "operator")]
    for dialled, ended in ways:
        call.dial(dialled)
        assert call.operator.in_call()
        call.hangup(ended)
        assert not call.operator.in_call()
        assert not call.client.in_call()


def test_a_phone_rings_until_it_is_answered(audio_server: AudioServer, client_wav: Path) -> None:
    require([PROGRAM])
    with PhoneCall(audio_server, client_wav, auto_answer=False) as call:
        begun = time.perf_counter()
        assert call.dial("client", answer_after_s=0.5) - begun > 0.5


def test_the_client_hangs_up_where_its_file_ends(audio_server: AudioServer, tmp_path: Path) -> None:
    require([PROGRAM])
    wav = script_audio([("tone", 0.5)], tmp_path / "short.wav", tail_s=0.0)
    with PhoneCall(audio_server, wav) as call:
        call.dial()
        call.operator.wait("CALL_CLOSED", limit_s=3.0)


def test_no_phone_is_left_behind(audio_server: AudioServer, client_wav: Path) -> None:
    require([PROGRAM])
    with PhoneCall(audio_server, client_wav) as call:
        call.dial()
        phones = (call.operator, call.client)
    assert not any(phone.alive or phone.directory.exists() for phone in phones)
    assert not audio_server.pactl("list", "short", "sink-inputs")


def test_a_call_can_be_made_after_the_server_was_killed_in_one(
    fresh_audio_server: AudioServer, client_wav: Path
) -> None:
    require([PROGRAM])
    with PhoneCall(fresh_audio_server, client_wav) as call:
        call.dial()
        fresh_audio_server.kill()
        until(lambda: not call.ear.alive, 2.0, "the end of the recorder")
        assert call.operator.in_call()
        fresh_audio_server.start()
        call.attach()
        call.hangup()
        headset = fresh_audio_server.record("client.monitor")
        established = call.dial("client")
        headset.wait_seconds(headset.at(established) + 2.5)
        assert match(headset.stop(), headset.rate, speech("caller_i_hear"), 8_000).whole


def test_streams_of_a_headset_that_is_unplugged_move_without_a_word(
    fresh_audio_server: AudioServer,
) -> None:
    recording = fresh_audio_server.record("headset.monitor")
    fresh_audio_server.remove_sink("headset")
    (stream,) = fresh_audio_server.streams("source-outputs")[-1:]
    assert recording.alive
    assert stream.pid == recording.pid
    assert stream.device == "client.monitor"


# -- the ears -------------------------------------------------------------------------------------


def _line(samples: np.ndarray, lead_s: float = 1.0) -> np.ndarray:
    quiet = np.zeros(round(lead_s * 8_000), np.int16)
    return g711.round_trip(np.concatenate([quiet, samples // 3, quiet]), "alaw")


def test_a_phrase_is_found_again_after_the_line() -> None:
    found = match(_line(speech("man_not_heard")), 8_000, speech("man_not_heard"), 8_000)
    assert found.offset_s == pytest.approx(1.0, abs=0.002)
    assert found.similarity > 0.95
    assert found.whole


def test_another_phrase_is_not_it() -> None:
    found = match(_line(speech("man_how_can_i_help")), 8_000, speech("man_not_heard"), 8_000)
    assert not found.whole
    assert found.similarity < 0.5


@pytest.mark.parametrize("cut", ["beginning", "middle", "end"])
def test_a_phrase_that_was_cut_is_not_whole(cut: str) -> None:
    phrase = speech("man_farewell_in_dialogue")
    third = len(phrase) // 3
    keep = np.ones(len(phrase), bool)
    where = {
        "beginning": slice(0, third),
        "middle": slice(third, 2 * third),
        "end": slice(-third, None),
    }
    keep[where[cut]] = False
    found = match(_line(np.where(keep, phrase, 0).astype(np.int16)), 8_000, phrase, 8_000)
    assert found.offset_s == pytest.approx(1.0, abs=0.01)
    assert not found.whole


def test_a_phrase_of_48_khz_is_found_in_a_recording_of_48_khz() -> None:
    phrase = soxr.resample(speech("man_not_heard"), 8_000, 48_000)
    heard = soxr.resample(_line(speech("man_not_heard")), 8_000, 48_000)
    assert match(heard, 48_000, phrase, 48_000).whole


def test_speech_is_found_to_ten_milliseconds(tmp_path: Path) -> None:
    path = script_audio(CLIENT, tmp_path / "a.wav", tail_s=1.0)
    samples, rate = soundfile.read(path, dtype="int16")
    found = find_speech(samples, rate)
    rows = [row for row in timeline(CLIENT) if row[0] != "silence"]
    assert len(found) == len(rows)
    for (start, end), (_, _, true_start, true_end) in zip(found, rows, strict=True):
        assert start == pytest.approx(true_start, abs=0.03)
        assert end == pytest.approx(true_end, abs=0.06)


def test_a_dead_line_is_digital_zero(tmp_path: Path) -> None:
    path = script_audio([("silence", 0.5), ("dead", 0.5)], tmp_path / "a.wav", tail_s=0.5)
    samples, _ = soundfile.read(path, dtype="int16")
    assert samples[:4000].any()
    assert not samples[4000:8000].any()
    assert samples[8000:].any()


def test_silence_has_no_speech() -> None:
    assert find_speech(np.zeros(8_000, np.int16), 8_000) == []
    assert level_db(np.zeros(8, np.int16)) == float("-inf")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    samples, rate = soundfile.read(write_wav(tmp_path / "a.wav", tone(0.1), 8_000), dtype="int16")
    assert rate == 8_000
    assert np.array_equal(samples, tone(0.1))
