"""AudioSocket's bytes: each message, each truncation, mutated streams."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.telephony.wire_samples import AUDIOSOCKET, CALL
from vad_agent.errors import MediaError
from vad_agent.telephony.audiosocket import (
    RATES,
    AudioReceived,
    AudioSocketReceiver,
    CallIdentified,
    DigitReceived,
    HangupReceived,
    audio_message,
    identity_message,
)

ONE_CALL = AUDIOSOCKET
MESSAGES = [
    CallIdentified(CALL),
    AudioReceived(8_000, b"\x01\x02" * 320),
    DigitReceived("#"),
    AudioReceived(8_000, b"\x05\x00" * 160),
    HangupReceived(),
]


def parse(*chunks: bytes) -> list[object]:
    receiver = AudioSocketReceiver()
    return [message for chunk in chunks for message in receiver.receive(chunk)]


def test_a_call_is_parsed_from_its_bytes() -> None:
    assert parse(ONE_CALL) == MESSAGES


@given(st.lists(st.integers(0, len(ONE_CALL)), max_size=20))
def test_the_chunks_of_the_network_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(ONE_CALL)]
    assert parse(*(ONE_CALL[a:b] for a, b in pairwise(edges))) == MESSAGES


@pytest.mark.parametrize("length", range(len(ONE_CALL)))
def test_a_truncated_stream_gives_its_whole_messages_and_no_error(length: int) -> None:
    found = parse(ONE_CALL[:length])
    assert found == MESSAGES[: len(found)]
    assert HangupReceived() not in found


def test_each_rate_of_asterisk_has_its_kind() -> None:
    rates = [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000]
    stream = b"".join(audio_message(b"\x00\x01", rate) for rate in rates)
    assert parse(identity_message(CALL), stream)[1:] == [
        AudioReceived(rate, b"\x00\x01") for rate in rates
    ]
    assert sorted(RATES) == list(range(0x10, 0x19))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (audio_message(b"\0\0"), "expected the call's UUID first, got kind 0x10"),
        (b"GET / HTTP/1.1\r\n", "expected the call's UUID first, got kind 0x47"),
        (b"\x01\x00\x0f" + b"u" * 15, "expected the call's UUID first"),
        (identity_message(CALL) * 2, "a second UUID"),
        (identity_message(CALL) + b"\x10\x00\x03abc", "whole int16 samples, got 3 bytes"),
        (identity_message(CALL) + b"\x03\x00\x02##", "DTMF: expected one digit"),
        (identity_message(CALL) + b"\x03\x00\x01x", "DTMF: expected one digit"),
        (identity_message(CALL) + b"\x19\x00\x00", "unknown kind 0x19"),
        (identity_message(CALL) + b"\xff\x00\x01\x04", "reports an error, code 04"),
        (identity_message(CALL) + b"\xff\x00\x00", "reports an error, code none"),
    ],
)
def test_a_broken_protocol_is_named(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        parse(data)


def test_after_an_error_or_a_hangup_nothing_more_is_parsed() -> None:
    receiver = AudioSocketReceiver()
    with pytest.raises(MediaError):
        list(receiver.receive(b"\x02" * 10))
    assert list(receiver.receive(ONE_CALL)) == []
    assert parse(ONE_CALL, ONE_CALL) == MESSAGES


def test_audio_without_samples_is_no_audio() -> None:
    assert parse(identity_message(CALL) + b"\x10\x00\x00") == [CallIdentified(CALL)]


@pytest.mark.parametrize(("pcm", "rate"), [(b"", 8_000), (b"a", 8_000), (b"ab", 11_025)])
def test_what_would_end_the_leg_is_not_sent(pcm: bytes, rate: int) -> None:
    with pytest.raises(ValueError, match="int16 samples"):
        audio_message(pcm, rate)
