"""Each dialect of media over WebSocket: whole conversations, faults, mutations."""

from __future__ import annotations

import contextlib
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.telephony.mutations import GROWTH_KB, ROUNDS, run
from benchmarks.telephony.wire_samples import (
    CHAN_WEBSOCKET,
    FREESWITCH,
    L16,
    PLIVO,
    TELNYX,
    TWILIO,
    ULAW,
    VOXIMPLANT,
    WEBSOCKET,
    payload,
    text,
)
from vad_agent.audio.pcm import from_alaw, from_ulaw, split_stereo
from vad_agent.core.frames import Channel
from vad_agent.errors import MediaError
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.chan_websocket import MOST_COMMAND
from vad_agent.telephony.chunk_order import ChunkOrder
from vad_agent.telephony.dialect_recognition import parse_target, recognize_dialect
from vad_agent.telephony.media_dialect import (
    MarkReached,
    MediaDialect,
    MediaEvent,
    Message,
    SampleCodec,
    SamplesReceived,
    StreamEnded,
    StreamStarted,
)

PCM = from_ulaw(ULAW, 2)
CAPTURED = Path(__file__).parent / "captured"


def play(messages: list[Message], target: str = "/") -> tuple[MediaDialect, list[MediaEvent]]:
    """Feed a conversation."""
    _, parameters = parse_target(target)
    dialect = recognize_dialect(parameters, messages[0])
    return dialect, [event for message in messages for event in dialect.receive(message)]


# -- conversations ---------------------------------------------------------------------------------


def test_a_twilio_fork_of_both_tracks() -> None:
    _, events = play([*TWILIO])
    call = StreamStarted("CA555", None, False, "anna", "+79160000001")
    pair = [SamplesReceived(PCM, None), SamplesReceived(None, PCM)]
    assert events == [call, *pair, *pair, MarkReached(3, Mark.ENDED), StreamEnded()]


def test_a_twilio_stream_that_is_two_way_has_one_track_and_takes_prompts() -> None:
    start = json.loads(str(TWILIO[1]))
    start["start"]["tracks"] = ["inbound"]
    dialect, events = play([TWILIO[0], json.dumps(start)])
    assert events == [StreamStarted("CA555", Channel.CLIENT, True, "anna", "+79160000001")]
    sid = "MZ18ad3ab5a668481ce02b83e7395059f0"
    sent = [json.loads(one) for one in (*dialect.audio(PCM), *dialect.mark(3, Mark.ENDED))]
    assert sent == [
        {"event": "media", "streamSid": sid, "media": {"payload": payload()}},
        {"event": "mark", "streamSid": sid, "mark": {"name": "va3e"}},
    ]
    assert [json.loads(one) for one in dialect.clear()] == [{"event": "clear", "streamSid": sid}]


def test_on_the_operators_channel_inbound_is_the_operator() -> None:
    _, events = play([*TWILIO], "/?leg=out&call=mine")
    assert events[0] == StreamStarted("mine", None, False, "anna", "+79160000001")
    assert events[1] == SamplesReceived(None, PCM)


def test_telnyx_sends_out_of_order_and_is_put_in_order() -> None:
    dialect, events = play([*TELNYX])
    assert isinstance(events[0], StreamStarted)
    assert events[0].call.startswith("v2:T02")
    assert (events[0].two_way, events[0].operator) == (True, "anna")
    heard = b"".join(event.client or b"" for event in events if isinstance(event, SamplesReceived))
    assert heard == b"".join(from_alaw(bytes([n]) * 160, 2) for n in (1, 2, 3, 4))
    assert events[-2:] == [MarkReached(1, Mark.STARTED), StreamEnded()]
    (sent,) = dialect.audio(bytes(320))
    assert json.loads(str(sent)) == {"event": "media", "media": {"payload": payload(b"\xd5" * 160)}}


def test_plivo_has_names_of_its_own_and_another_rate() -> None:
    dialect, events = play([*PLIVO])
    call = "12345678-1234-1234-1234-123456789abc"
    assert events[0] == StreamStarted(call, None, False, "anna", "79160000001")
    assert MarkReached(2, Mark.ENDED) in events
    assert not dialect.marks_begin
    assert dialect.mark(1, Mark.STARTED) == []
    sent = [*dialect.audio(bytes(320)), *dialect.mark(2, Mark.ENDED), *dialect.clear()]
    stream = {"streamId": "87654321-4321-4321-4321-cba987654321"}
    media = {
        "payload": payload(b"\xff" * 160),
        "contentType": "audio/x-mulaw",
        "sampleRate": 8000,
    }
    assert [json.loads(str(one)) for one in sent] == [
        {"event": "playAudio", **stream, "media": media},
        {"event": "checkpoint", **stream, "name": "va2e"},
        {"event": "clearAudio", **stream},
    ]


def test_voximplant_tells_the_legs_apart_by_their_tags_on_one_socket() -> None:
    dialect, events = play([*VOXIMPLANT], "/?prompts=yes")
    assert play([*VOXIMPLANT])[1][0] == StreamStarted("vox-1", None, False, "anna")
    pair = [SamplesReceived(L16[:320], None), SamplesReceived(None, L16[:320])]
    call = StreamStarted("vox-1", None, True, "anna", None)
    assert events == [call, *pair, *pair, StreamEnded()]
    sent = [json.loads(str(one)) for _ in range(2) for one in dialect.audio(bytes(320))]
    assert [(one["event"], one["sequenceNumber"]) for one in sent] == [
        ("start", 0),
        ("media", 1),
        ("media", 2),
    ]
    assert sent[0]["start"] == {"mediaFormat": {"encoding": "ULAW", "sampleRate": 8000}}
    assert [one["media"]["timestamp"] for one in sent[1:]] == [0, 160]


def test_each_leg_of_asterisk_has_a_socket_and_the_uri_names_it() -> None:
    for leg, side in (("in", Channel.CLIENT), ("out", Channel.OPERATOR)):
        dialect, events = play(CHAN_WEBSOCKET, f"/media?call=X&leg={leg}")
        assert events[0] == StreamStarted("X", side, True)
        heard = [(one.client, one.operator) for one in events if isinstance(one, SamplesReceived)]
        halves = (L16[:320], L16[320:])
        client = side is Channel.CLIENT
        assert heard == [(one, None) if client else (None, one) for one in halves]
        assert MarkReached(1, Mark.STARTED) in events
        sent = [*dialect.audio(bytes(16_000)), *dialect.mark(999_999_999, Mark.ENDED)]
        assert sent[0] == bytes(16_000)
        assert len(sent[1]) <= MOST_COMMAND
        assert json.loads(str(sent[1])) == {
            "command": "MARK_MEDIA",
            "correlation_id": "va999999999e",
        }
        assert [json.loads(str(one)) for one in dialect.clear()] == [{"command": "FLUSH_MEDIA"}]


def test_what_a_real_asterisk_sent() -> None:
    """Asterisk 22.10.1, from its start on: a key, and two phrases of which the second was flushed."""
    captured = (CAPTURED / "asterisk_22_chan_websocket.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in captured.splitlines()]
    messages = [
        bytes.fromhex(line["binary"]) if "binary" in line else json.dumps(line) for line in lines
    ]
    _, events = play(messages, "/?leg=in")
    assert events[0] == StreamStarted("1796082113.0", Channel.CLIENT, True)
    marks = [event for event in events if isinstance(event, MarkReached)]
    assert marks == [
        MarkReached(1, Mark.STARTED),
        MarkReached(1, Mark.ENDED),
        MarkReached(2, Mark.STARTED),
    ]
    heard = [len(event.client or b"") for event in events if isinstance(event, SamplesReceived)]
    assert heard == [320] * 4


def test_asterisk_in_stereo() -> None:
    _, events = play([CHAN_WEBSOCKET[0], L16], "/?call=X&leg=both")
    assert events == [StreamStarted("X", None, True), SamplesReceived(*split_stereo(L16))]


@pytest.mark.parametrize(("format", "bytes_"), [("slin16", 640), ("slin44", 1764), ("ulaw", 160)])
def test_asterisk_gets_whole_frames_in_its_own_format(format: str, bytes_: int) -> None:
    start = text(event="MEDIA_START", connection_id="c", format=format)
    dialect, _ = play([start], "/?call=X&leg=in")
    sent = [*dialect.audio(bytes(16_000)), *dialect.mark(1, Mark.ENDED)]
    sound = [one for one in sent if isinstance(one, bytes)]
    assert {len(one) % bytes_ for one in sound} == {0}
    assert 49 <= sum(map(len, sound)) / bytes_ <= 51


def test_a_fork_of_freeswitch_is_stereo_and_one_way() -> None:
    dialect, events = play(FREESWITCH)
    heard = SamplesReceived(*split_stereo(L16))
    assert events == [StreamStarted("fs-1", None, False, "anna", "+79160000001"), heard, heard]
    assert [*dialect.audio(bytes(320)), *dialect.mark(1, Mark.ENDED), *dialect.clear()] == []


def test_a_fork_without_metadata_is_named_by_its_address() -> None:
    _, events = play([L16], "/fork?call=abc&leg=out&mix=stereo")
    left, right = split_stereo(L16)
    assert events == [StreamStarted("abc", None, False), SamplesReceived(right, left)]
    _, events = play(["not JSON", L16[:320]], "/fork?call=abc&leg=out&mix=mono&rate=8k")
    assert events == [
        StreamStarted("abc", Channel.OPERATOR, False),
        SamplesReceived(None, L16[:320]),
    ]


# -- what a peer may send --------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=700), min_size=1, max_size=8))
def test_a_payload_of_any_length_is_taken(chunks: list[bytes]) -> None:
    at = 0
    messages: list[Message] = list(TWILIO[:2])
    for chunk in chunks:
        media = {"track": "inbound", "timestamp": at, "payload": b64encode(chunk).decode()}
        messages.append(text(event="media", media=media))
        at += len(chunk) // 8
    _, events = play(messages)
    heard = b"".join(event.client or b"" for event in events if isinstance(event, SamplesReceived))
    assert heard == from_ulaw(b"".join(chunks), 2)


@pytest.mark.parametrize("number", ["20", 20, 20.0])
def test_numbers_may_be_texts(number: object) -> None:
    media = {"track": "outbound", "chunk": number, "timestamp": number, "payload": payload()}
    _, events = play([*TWILIO[:2], text(event="media", media=media)])
    assert events[-1] == SamplesReceived(None, PCM)


@given(st.permutations(range(5)), st.integers(0, 10**12))
def test_chunks_come_out_in_order_whatever_the_network_did(order: list[int], zero: int) -> None:
    chunks = ChunkOrder(1_000)
    assert chunks.push(zero, 20, b"first") == [b"first"]
    found = [one for n in order for one in chunks.push(zero + 20 * (n + 1), 20, bytes([n]))]
    found += [one for n in range(5, 12) for one in chunks.push(zero + 20 * (n + 1), 20, bytes([n]))]
    assert found == [bytes([n]) for n in range(12)][: len(found)]
    assert len(found) == 12


def test_a_gap_is_passed_over_and_what_comes_too_late_is_dropped() -> None:
    chunks = ChunkOrder(1_000)
    passed = [chunks.push(at, 20, b"%d" % at) for at in (0, 20, 60, 80, 100, 120, 140, 40, 160)]
    assert [one for found in passed for one in found] == [
        *(b"0", b"20", b"60", b"80", b"100", b"120", b"140", b"160")
    ]
    assert chunks.dropped == 1
    assert passed[5] == []  # 100 ms have not passed
    assert len(passed[6]) == 5
    assert chunks.push(2_000, 20, b"after a pause") == [b"after a pause"]


@pytest.mark.parametrize("stamps", [[0] * 100, [7, 3] * 50, list(range(100, 0, -1))])
def test_a_clock_that_does_not_run_does_not_silence_the_track(stamps: list[int]) -> None:
    chunks = ChunkOrder(1_000)
    found = [one for at in stamps for one in chunks.push(at, 20, b"x")]
    assert len(found) >= 70


@pytest.mark.parametrize("name", sorted(WEBSOCKET))
def test_every_truncation_gives_what_came_before_it(name: str) -> None:
    target, messages = WEBSOCKET[name]
    whole = play(messages, target)[1]
    for last, message in enumerate(messages):
        for length in range(1, len(message)):
            cut = message[:length]
            with contextlib.suppress(MediaError):
                found = play([*messages[:last], cut], target)[1]
                kept = [one for one in found if not isinstance(one, SamplesReceived)]
                assert all(one in whole for one in kept)


# -- faults ----------------------------------------------------------------------------------------

START: dict[str, Any] = json.loads(str(TWILIO[1]))


def changed(**fields: object) -> Message:
    """Twilio's start with other fields in its object."""
    return json.dumps(START | {"start": START["start"] | fields})


@pytest.mark.parametrize(
    ("target", "messages", "said"),
    [
        ("/", ["{"], "expected a JSON object"),
        ("/", [""], "expected the call's name"),
        ("/", ["MEDIA_START connection_id:x"], "f\\(json\\) in the dial string"),
        ("/", [TWILIO[0], "[]"], "expected a JSON object"),
        ("/", [TWILIO[0], b"\0"], "expected a JSON object"),
        ("/", [TWILIO[0], "[" * 100_000], "expected a JSON object"),
        ("/", [TWILIO[0], TWILIO[2]], "expected start first"),
        ("/", [TWILIO[0], "{}"], "event: expected a text"),
        ("/", [*TWILIO[:2], TWILIO[1]], "a second start"),
        ("/", [changed(callSid="")], "expected the call's name"),
        ("/", [changed(mediaFormat={"encoding": "opus"})], "expected u-law, A-law or L16"),
        ("/", [changed(mediaFormat={"sampleRate": 8_001})], "expected a rate of 8000, 11025"),
        ("/", [changed(customParameters={"leg": "third"})], "expected in, out or both"),
        ("/", [changed(customParameters={"call": "a b"})], "call: expected a name"),
        ("/", [changed(customParameters={"operator": "a\nb"})], "operator: expected a short text"),
        ("/", [changed(customParameters={"prompts": "maybe"})], "expected yes or no"),
        ("/", [*TWILIO[:2], text(event="media", media={"track": "third"})], "expected inbound or"),
        ("/", [*TWILIO[:2], text(event="media", media={"payload": "?"})], "expected base64"),
        ("/", [*TWILIO[:2], text(event="media", media=[])], "media: expected an object"),
        ("/", [VOXIMPLANT[2]], "expected the call's name"),
        ("/", [VOXIMPLANT[0], VOXIMPLANT[3]], "expected a start of tag operator first"),
        ("/", [text(event="start", start={"tag": "x"})], "tag: expected client or operator"),
        ("/?call=X&leg=in", [CHAN_WEBSOCKET[0], b"\0"], "whole int16 samples"),
        ("/?call=X", [CHAN_WEBSOCKET[0], bytes(320)], "expected leg=in or leg=out in the URI"),
        ("/?call=X&leg=up", ["{}"], "leg: expected in, out or both"),
        ("/?call=X&rate=fast", [b"\0"], "rate: expected a whole number"),
        ("/?call=X&mix=mixed", [b"\0"], "mix: expected stereo or mono"),
        ("/?call=X", [b"\0\0"], "expected L16 in stereo, got 2 bytes"),
        ("http://[", ["{}"], "address cannot be read"),
    ],
)
def test_a_fault_of_the_peer_is_named(target: str, messages: list[Message], said: str) -> None:
    with pytest.raises(MediaError, match=said):
        play(messages, target)


def test_a_number_that_is_none_is_no_fault() -> None:
    _, events = play([changed(customParameters={"phone": "anonymous"})])
    assert isinstance(events[0], StreamStarted)
    assert events[0].phone is None


@pytest.mark.parametrize(("encoding", "big"), [("L16", True), ("L16", False), ("PCMU", False)])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_what_is_encoded_is_decoded_again(encoding: str, big: bool, rate: int) -> None:
    wave = (8_000 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)).astype("<i2")
    codec = SampleCodec(encoding, rate, "test", big_endian=big)
    heard = np.frombuffer(codec.decode(codec.encode(wave.tobytes())), "<i2")
    spectrum = np.abs(np.fft.rfft(heard[800:7_200].astype(float)))
    assert np.argmax(spectrum) * 8_000 / 6_400 == pytest.approx(440, abs=2)
    assert np.abs(heard[800:7_000]).max() == pytest.approx(8_000, rel=0.05)


def test_prompts_are_never_louder_or_longer_than_they_are() -> None:
    dialect, _ = play([*TWILIO[:2]])
    sent = [json.loads(str(one)) for _ in range(5) for one in dialect.audio(PCM)]
    assert b"".join(b64decode(one["media"]["payload"]) for one in sent) == ULAW * 5


@pytest.mark.parametrize("name", sorted(ROUNDS))
def test_20_000_mutations_give_events_or_a_named_error_and_keep_no_memory(name: str) -> None:
    refused, growth = run(name, 20_000)
    assert 1_000 < refused < 19_000  # some are changed where it matters, some where it does not
    assert growth < GROWTH_KB
