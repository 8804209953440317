"""AMI's bytes as they were captured from Asterisk 22: each message, each truncation, mutated streams."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.errors import DialError
from vad_agent.telephony.ami import MOST_BYTES, AmiReceiver, Message, action, challenge_key
from vad_agent.telephony.ami_events import as_ari, bridges, channel
from vad_agent.telephony.asterisk_calls import AsteriskCalls
from vad_agent.telephony.call_control import TapEvent

CAPTURED = (Path(__file__).parent / "captured" / "asterisk_22_ami.txt").read_bytes()
TAP = "96340328-a48c-42c7-85f9-44d08421abe4"
CLIENT = "1796079981.0"


def parse(*chunks: bytes) -> list[Message]:
    receiver = AmiReceiver()
    return [message for chunk in chunks for message in receiver.receive(chunk)]


MESSAGES = parse(CAPTURED)


def told(messages: list[Message]) -> list[TapEvent]:
    calls = AsteriskCalls()
    events = filter(None, map(as_ari, messages))
    return [found for event in events for found in calls.take(event)]


def test_a_captured_call_is_followed_from_answer_to_hangup() -> None:
    found = told(MESSAGES)
    assert [(one.event.kind.value, one.event.party) for one in found] == [
        ("answered", None),
        ("hold", "client"),
        ("unhold", "client"),
        ("hold", "operator"),
        ("unhold", "operator"),
        ("hangup", "client"),
    ]
    assert {(one.tap, one.operator, one.event.call_id) for one in found} == {
        (TAP, "operator", CLIENT)
    }
    assert found[-1].event.cause == "16"


def test_the_list_of_channels_restores_the_call() -> None:
    shown = [one for one in MESSAGES if one.get("event") == "CoreShowChannel"]
    calls = AsteriskCalls()
    (found,) = calls.restore([(channel(one), TAP) for one in shown], bridges(shown))
    assert (found.event.kind.value, found.operator, found.resumed) == ("answered", "operator", True)
    assert calls.client_channel(TAP) == CLIENT


def test_the_clients_channel_is_the_oldest_that_has_the_variable() -> None:
    """Channels that are dialled inherit it; FreePBX's queues dial Local channels, which run Dial too."""
    names = {
        "10.9": "PJSIP/trunk-01",
        "10.11": "Local/101@from-queue-01;1",
        "10.12": "Local/x-01;2",
    }
    shown = [
        {"uniqueid": id, "channel": name, "application": "Dial", "bridgeid": "b"}
        for id, name in reversed(names.items())
    ]
    shown[0]["bridgeid"] = ""
    calls = AsteriskCalls()
    (found,) = calls.restore([(channel(one), TAP) for one in shown], bridges(shown))
    assert calls.client_channel(TAP) == "10.9"
    assert found.operator == "101"


@given(st.lists(st.integers(0, len(CAPTURED)), max_size=20))
def test_the_chunks_of_the_network_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(CAPTURED)]
    assert parse(*(CAPTURED[a:b] for a, b in pairwise(edges))) == MESSAGES


def test_a_truncated_stream_gives_its_whole_messages_and_no_error() -> None:
    receiver, found, counts = AmiReceiver(), [], set()
    for length in range(len(CAPTURED)):
        found += receiver.receive(CAPTURED[length : length + 1])
        counts.add(len(found))
    assert found == MESSAGES
    assert counts == set(range(len(MESSAGES) + 1))


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\r\n", b"Asterisk Call Mangler", b"\0"])
def test_another_protocol_is_one_error(greeting: bytes) -> None:
    with pytest.raises(DialError, match="AMI: expected"):
        parse(greeting)


@pytest.mark.parametrize("endless", [b"Asterisk Call Manager/" + b"1" * 100, None])
def test_a_message_that_does_not_end_is_an_error(endless: bytes | None) -> None:
    with pytest.raises(DialError, match="not end"):
        parse(endless or b"Asterisk Call Manager/11.0.0\r\nEvent: " + b"x" * MOST_BYTES)


def test_of_a_repeated_header_the_first_counts() -> None:
    (message,) = parse(
        b"Asterisk Call Manager/11.0.0\r\nEvent: Hold\r\nno header\r\nEvent: Hangup\r\n\r\n"
    )
    assert message == {"event": "Hold"}


def test_an_action_has_no_line_but_its_own() -> None:
    assert action("Hangup", "7", Channel="1.2") == (
        b"Action: Hangup\r\nActionID: 7\r\nChannel: 1.2\r\n\r\n"
    )
    with pytest.raises(DialError, match="one line"):
        action("Hangup", "7", Channel="1.2\r\nAction: Originate")


def test_the_key_is_the_md5_of_challenge_and_secret() -> None:
    assert challenge_key("840415273", "secret") == "81c3ab5534a432bec402f6d988ee45b4"  # md5sum


def test_mutated_streams_raise_documented_errors_only() -> None:
    random_ = random.Random(7)
    errors = 0
    for _ in range(3_000):
        data = bytearray(CAPTURED[: random_.randrange(40, len(CAPTURED))])
        for _ in range(random_.randrange(1, 30)):
            at = random_.randrange(len(data))
            data[at : at + random_.randrange(3)] = random_.randbytes(random_.randrange(4))
        try:
            found = told(parse(bytes(data)))
        except DialError:
            errors += 1
        else:
            assert all(isinstance(one, TapEvent) for one in found)
    assert errors < 1_000  # most mutations are of a message, which is then left out
