"""RTP in the order of its timestamps: what came is heard, what did not is missing, nothing is made up."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telephony.siprec import goodbye, rtp
from vad_agent.audio.pcm import from_alaw
from vad_agent.errors import MediaError
from vad_agent.telephony.rtp import RtpPacket, is_rtcp, parse_goodbyes, parse_rtp
from vad_agent.telephony.rtp_stream import MOST_WAITING, REORDER_S, Codec, RtpStream, Run

CODECS = {8: Codec.PCMA, 0: Codec.PCMU}
SOUND = random.Random(3).randbytes(8_000 * 4)
"""A-law, 4 s, every sample its own."""


def packets(size: int = 160, *, first: int = 0, start: int = 0) -> list[RtpPacket]:
    """SOUND in packets of `size` samples."""
    return [
        parse_rtp(rtp(first + number, start + at, SOUND[at : at + size]))
        for number, at in enumerate(range(0, len(SOUND) - size + 1, size))
    ]


class Listener:
    def __init__(self) -> None:
        self.stream = RtpStream(CODECS)
        self.now = 50.0
        self.runs: list[Run] = []

    def push(self, *some: RtpPacket, pause: float = 0.02) -> Listener:
        for packet in some:
            self.now += pause
            self.runs += self.stream.push(packet, self.now)
            self.runs += self.stream.due(self.now)
        return self

    def wait(self, seconds: float) -> Listener:
        self.now += seconds
        self.runs += self.stream.due(self.now)
        return self

    @property
    def frames(self) -> list[bytes | None]:
        """With each missing frame."""
        found: list[bytes | None] = []
        for run in self.runs:
            found += [None] * run if isinstance(run, int) else [run]
        return found


def frame(number: int) -> bytes:
    """The 20 ms frame of SOUND."""
    return from_alaw(SOUND[160 * number : 160 * number + 160], 2)


FRAMES = [frame(number) for number in range(200)]


@pytest.mark.parametrize(("size", "ms"), [(160, 20), (240, 30), (80, 10), (480, 60), (100, 12.5)])
def test_packets_of_any_length_become_frames_of_20_ms(size: int, ms: float) -> None:
    heard = Listener().push(*packets(size), pause=ms / 1000)
    assert heard.frames == FRAMES[: len(heard.frames)]
    assert len(heard.frames) >= 190


def test_packets_in_order_are_heard_at_once() -> None:
    heard = Listener()
    for number, packet in enumerate(packets(), 1):
        assert len(heard.push(packet).frames) == number


@pytest.mark.parametrize("first", [0, 0xFFF0])
@pytest.mark.parametrize("start", [0, 0xFFFFFFFF - 1_000, 0x7FFFFFFF - 1_000])
def test_sequence_and_timestamp_wrap(first: int, start: int) -> None:
    heard = Listener().push(*packets(first=first, start=start))
    assert heard.frames == FRAMES
    assert heard.stream.counters.restarts == 0


@given(st.lists(st.integers(0, 2), min_size=200, max_size=200))
def test_the_order_of_the_network_does_not_matter(delays: list[int]) -> None:
    order = sorted(range(200), key=lambda number: (number + delays[number], number))
    if order[0] != 0:  # where a stream begins is its first packet
        order.remove(0)
        order.insert(0, 0)
    heard = Listener().push(*(packets()[number] for number in order)).wait(1.0)
    assert heard.frames == FRAMES


def test_a_packet_that_comes_twice_is_heard_once() -> None:
    twice = [packet for packet in packets() for _ in range(2)]
    heard = Listener().push(*twice, pause=0.01)
    assert heard.frames == FRAMES
    assert heard.stream.counters.late == 200
    assert heard.stream.counters.lost == 0


@pytest.mark.parametrize(
    ("size", "lost", "missing"), [(160, [10], 1), (160, [10, 11, 20], 3), (240, [10], 2)]
)
def test_what_is_lost_is_missing_and_the_rest_keeps_its_place(
    size: int, lost: list[int], missing: int
) -> None:
    came = [packet for number, packet in enumerate(packets(size)) if number not in lost]
    heard = Listener().push(*came, pause=size / 8_000)
    assert heard.frames.count(None) == missing
    assert all(one in (None, right) for one, right in zip(heard.frames, FRAMES, strict=False))


def test_a_lost_packet_delays_the_next_ones_by_60_ms_at_most() -> None:
    heard = Listener().push(*packets()[:5])
    heard.push(packets()[6])
    assert len(heard.frames) == 5
    heard.wait(REORDER_S - 0.001)
    assert len(heard.frames) == 5
    heard.wait(0.002)
    assert heard.frames == [*FRAMES[:5], None, FRAMES[6]]
    heard.push(packets()[5])  # too late
    assert len(heard.frames) == 7
    assert heard.stream.counters.late == 1


def test_after_half_a_second_of_loss_the_next_packets_are_in_their_place() -> None:
    heard = Listener().push(*packets()[:10]).wait(0.5).push(*packets()[35:])
    assert heard.frames == [*FRAMES[:10], *[None] * 25, *FRAMES[35:]]
    assert heard.stream.counters.restarts == 0


def test_a_burst_after_a_loss_gives_the_lost_one_up() -> None:
    heard = Listener().push(packets()[0]).push(*packets()[2 : 3 + MOST_WAITING], pause=0.0)
    assert heard.frames == [FRAMES[0], None, *FRAMES[2 : 3 + MOST_WAITING]]


def test_a_sender_that_is_silent_is_missing_and_known_at_once() -> None:
    """DTX: the next sequence number, a later timestamp."""
    heard = Listener().push(*packets()[:10]).wait(1.0)
    assert heard.frames == FRAMES[:10]
    heard.push(parse_rtp(rtp(10, 60 * 160, SOUND[:160])), pause=0.02)
    assert heard.frames == [*FRAMES[:10], *[None] * 50, frame(0)]


def test_comfort_noise_and_telephone_events_are_missing_and_delay_nothing() -> None:
    heard = Listener().push(*packets()[:10])
    heard.push(parse_rtp(rtp(10, 1_600, b"\x40", payload_type=13)))
    heard.push(parse_rtp(rtp(11, 1_600, b"\x05\x0a\x00\xa0", payload_type=101)))
    heard.wait(0.3)
    heard.push(parse_rtp(rtp(12, 1_600 + 160 * 17, SOUND[:160])), pause=0.02)
    assert heard.frames == [*FRAMES[:10], *[None] * 17, frame(0)]
    assert heard.stream.counters.not_audio == 2


@pytest.mark.parametrize(
    ("ssrc", "first", "start"),
    [(8, 500, 77_777), (7, 500, 77_777), (7, 10, 0xFFFF0000), (8, 10, 1_600)],
)
def test_another_sender_or_another_count_goes_on_after_two_packets(
    ssrc: int, first: int, start: int
) -> None:
    heard = Listener().push(*packets()[:10]).wait(0.4)
    for number in range(5):
        payload = SOUND[number * 160 :][:160]
        heard.push(parse_rtp(rtp(first + number, start + 160 * number, payload, ssrc=ssrc)))
    assert heard.stream.counters.restarts == 1
    gap = heard.frames[10:-5]
    assert set(gap) <= {None}
    assert 18 <= len(gap) <= 24  # the clock says 0.42 s
    assert heard.frames[-5:] == FRAMES[:5]


def test_single_packets_of_another_sender_are_not_heard() -> None:
    heard = Listener()
    for number, packet in enumerate(packets()):
        heard.push(packet)
        stray = rtp(number * 7, number * 999, bytes(160), ssrc=9)
        heard.push(parse_rtp(stray), pause=0.0)
    assert heard.frames == FRAMES


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 400),
            st.sampled_from([0, 8, 13, 96]), st.integers(1, 2), st.floats(0, 2),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_whatever_comes_the_frames_are_whole_and_keep_pace_with_the_clock(
    given_: list[tuple[int, int, int, int, int, float]],
) -> None:
    heard = Listener()
    began, samples = heard.now, 0
    for sequence, timestamp, size, kind, ssrc, pause in given_:
        data = rtp(sequence, timestamp, bytes(size), payload_type=kind, ssrc=ssrc)
        heard.push(parse_rtp(data), pause=pause)
        samples += size
    heard.wait(1.0)
    assert all(len(one) == 320 for one in heard.frames if one is not None)
    assert 160 * sum(one is not None for one in heard.frames) <= samples
    lead = len(given_) * 0.35 * 50 + samples / 160
    assert len(heard.frames) <= (heard.now - began) * 50 + lead + 1
    assert len(heard.stream._waiting) <= MOST_WAITING


# -- the packets ------------------------------------------------------------------------------------


def test_extensions_sources_and_padding_are_no_payload() -> None:
    head = struct.pack(">BBHII", 0xB2, 0x88, 1, 2, 3) + bytes(8)
    extension = struct.pack(">HH", 0xBEDE, 1) + bytes(4)
    packet = parse_rtp(head + extension + b"sound" + b"\0\0\3")
    assert packet == RtpPacket(8, 1, 2, 3, b"sound")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "at least 12 bytes, got 0"),
        (b"\x40" + bytes(20), "version 2, got 1"),
        (b"\x8f" + bytes(20), "longer than the packet"),
        (b"\x90" + bytes(12), "extension is cut off"),
        (b"\x90" + bytes(13) + b"\xff\xff", "longer than the packet"),
        (b"\xa0" + bytes(12) + b"\xff", "longer than the packet"),
        (b"\xa0" + bytes(12), "longer than the packet"),
    ],
)
def test_what_is_no_rtp_is_named(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        parse_rtp(data)


def test_a_goodbye_is_found_behind_a_report() -> None:
    data = goodbye(0xCAFE)
    assert is_rtcp(data)
    assert not is_rtcp(rtp(1, 2, b"x"))
    assert parse_goodbyes(data) == {0xCAFE}
    assert parse_goodbyes(data[:8]) == frozenset()
    assert parse_goodbyes(struct.pack(">BBH", 0x80, 203, 0)) == frozenset()


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 9, 11, 13, 15])
def test_a_truncated_report_is_named(length: int) -> None:
    with pytest.raises(MediaError, match="RTCP"):
        parse_goodbyes(goodbye(7)[:length])
    with pytest.raises(MediaError, match="BYE is cut off"):
        parse_goodbyes(struct.pack(">BBHI", 0x82, 203, 1, 7))


def test_20000_mutated_packets_give_frames_or_a_named_error() -> None:
    random_ = random.Random(20)
    stream, now = RtpStream(CODECS), 0.0
    whole = [rtp(number, 160 * number, SOUND[:160]) for number in range(100)] + [goodbye(7)]
    for number in range(20_000):
        data = bytearray(whole[number % len(whole)])
        for _ in range(random_.randint(0, 3)):
            at = random_.randrange(len(data))
            if random_.random() < 0.5:
                data[at] = random_.randrange(256)
            else:
                del data[at : at + random_.randint(1, 40)]
            data = data or bytearray(b"\x80")
        now += 0.02
        try:
            if is_rtcp(bytes(data)):
                parse_goodbyes(bytes(data))
            else:
                for run in stream.push(parse_rtp(bytes(data)), now):
                    assert isinstance(run, int) or len(run) == 320
        except MediaError:
            pass
    assert len(stream._waiting) <= MOST_WAITING


def test_what_is_lost_is_counted_and_a_new_count_of_the_sender_is_not() -> None:
    sent = packets(first=0xFFFA)  # the sequence numbers wrap in the first gap
    heard = Listener().push(*sent[:4], *sent[10:20], *sent[21:30]).wait(1.0)
    assert heard.stream.counters.lost == 7
    assert heard.frames[:30] == [*FRAMES[:4], *[None] * 6, *FRAMES[10:20], None, *FRAMES[21:30]]
    heard.push(sent[5])
    assert (heard.stream.counters.lost, heard.stream.counters.late) == (7, 1)
    far = parse_rtp(rtp(0xFFFA + 20_000, 160 * 30, SOUND[:160]))
    heard.push(far).wait(1.0)
    assert heard.stream.counters.lost == 7
