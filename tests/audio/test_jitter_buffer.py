"""Two stamped streams on one clock: drift, jitter, losses, stalls. Time is an argument: nothing sleeps."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.audio.jitter_buffer import LOST_S, PATIENCE_S, JitterBuffer, Pair
from vad_agent.core.frames import FRAME_S, Channel

OPERATOR, CLIENT = Channel.OPERATOR, Channel.CLIENT


def frame(number: int) -> bytes:
    return number.to_bytes(4, "little")


def number(data: bytes | None) -> int | None:
    return None if data is None else int.from_bytes(data, "little")


class Side:
    """A device whose clock is off by `ppm`, whose stamps jitter, whose frames arrive `latency` late."""

    def __init__(
        self,
        ppm: float = 0,
        latency: float = 0.02,
        jitter: Callable[[], float] = lambda: 0.0,
        begins: float = 0.0,
        frames: int = 1 << 40,
    ) -> None:
        self.step = FRAME_S / (1 + ppm * 1e-6)
        self.latency, self.jitter, self.begins, self.frames = latency, jitter, begins, frames

    def arrivals(self) -> Iterator[tuple[float, float, bytes]]:
        """(arrival, stamp, frame)"""
        for n in range(self.frames):
            stamp = self.begins + n * self.step
            yield stamp + FRAME_S + self.latency, stamp + self.jitter(), frame(n)


def run(
    operator: Side, client: Side, seconds: float, jitter_buffer: JitterBuffer | None = None
) -> list[Pair]:
    jitter_buffer = JitterBuffer(0.0) if jitter_buffer is None else jitter_buffer
    streams = {OPERATOR: operator.arrivals(), CLIENT: client.arrivals()}
    heads = {channel: next(stream, None) for channel, stream in streams.items()}
    pairs: list[Pair] = []
    for tick in range(int(seconds / FRAME_S)):
        now = tick * FRAME_S
        for channel, stream in streams.items():
            while (head := heads[channel]) is not None and head[0] <= now:
                jitter_buffer.push(channel, head[1], head[2])
                heads[channel] = next(stream, None)
        pairs += jitter_buffer.pairs(now)
    return pairs


def test_frames_of_one_moment_are_a_pair() -> None:
    pairs = run(Side(), Side(), 1.0)
    assert [number(pair.operator) for pair in pairs] == [number(pair.client) for pair in pairs]
    assert [pair.slot for pair in pairs] == list(range(len(pairs)))


def test_a_side_that_begins_later_is_missing_until_then_and_in_step_afterwards() -> None:
    pairs = run(Side(), Side(begins=0.5), 2.0)
    assert [number(pair.client) for pair in pairs[:25]] == [None] * 25
    assert number(pairs[25].client) == 0
    assert number(pairs[25].operator) == 25


@pytest.mark.parametrize("ppm", [200, -200])
def test_an_hour_of_drift_neither_grows_nor_invents_silence(ppm: int) -> None:
    jitter_buffer = JitterBuffer(0.0)
    pairs = run(Side(), Side(ppm=ppm), 3600, jitter_buffer)
    assert not any(pair.operator is None or pair.client is None for pair in pairs)
    lane = jitter_buffer.lanes[CLIENT]
    assert abs(lane.stretched) == pytest.approx(36, abs=1)  # 200 ppm of an hour is 0.72 s
    assert lane.missing == lane.late == 0
    last = pairs[-1]
    heard = (number(last.client) or 0) * Side(ppm=ppm).step
    assert abs(heard - last.slot * FRAME_S) < 1.5 * FRAME_S


def test_both_clocks_off_the_other_way() -> None:
    jitter_buffer = JitterBuffer(0.0)
    pairs = run(Side(ppm=-200), Side(ppm=200), 1200, jitter_buffer)
    assert not any(pair.operator is None or pair.client is None for pair in pairs)


def test_stamps_that_jitter_move_no_frame() -> None:
    chance = random.Random(1)
    jitter_buffer = JitterBuffer(0.0)
    pairs = run(Side(), Side(jitter=lambda: chance.uniform(-0.012, 0.03)), 60, jitter_buffer)
    assert jitter_buffer.lanes[CLIENT].stretched in (0, 1)
    assert all(pair.client is not None for pair in pairs)


def test_lost_samples_leave_their_slots_empty_soon_after_the_device_says_so() -> None:
    jitter_buffer = JitterBuffer(0.0)
    pairs = []
    for n in range(200):
        now = (n + 1) * FRAME_S
        jitter_buffer.push(OPERATOR, n * FRAME_S, frame(n))
        if not 50 <= n < 60:  # 200 ms are lost
            jitter_buffer.push(CLIENT, n * FRAME_S, frame(n), lost=n == 60)
        pairs += jitter_buffer.pairs(now)
    assert jitter_buffer.lanes[CLIENT].missing == 10
    assert jitter_buffer.lanes[CLIENT].overruns == 1
    assert number(pairs[150].client) == 150


def test_no_frames_of_one_side_hold_the_other_up_for_a_moment_only() -> None:
    jitter_buffer = JitterBuffer(0.0)
    waited = 0.0
    for n in range(100):
        now = (n + 1) * FRAME_S
        jitter_buffer.push(OPERATOR, n * FRAME_S, frame(n))
        if n < 20:
            jitter_buffer.push(CLIENT, n * FRAME_S, frame(n))
        for pair in jitter_buffer.pairs(now):
            waited = max(waited, now - (pair.slot + 1) * FRAME_S)
    assert PATIENCE_S <= waited <= PATIENCE_S + 2 * FRAME_S
    assert not jitter_buffer.lanes[CLIENT].alive
    assert jitter_buffer.slot == 100  # lost: nobody waits for it any more


def test_a_side_is_lost_after_no_frame_for_a_while_and_not_sooner() -> None:
    jitter_buffer = JitterBuffer(0.0)
    jitter_buffer.push(OPERATOR, 0.0, frame(0))
    jitter_buffer.push(CLIENT, 0.0, frame(0))
    lost = None
    for n in range(1, 60):
        list(jitter_buffer.pairs(n * FRAME_S))
        if lost is None and not jitter_buffer.lanes[CLIENT].alive:
            lost = n * FRAME_S
    assert lost == pytest.approx(LOST_S + 2 * FRAME_S, abs=2 * FRAME_S)


def test_time_goes_on_with_both_sides_lost() -> None:
    jitter_buffer = JitterBuffer(0.0)
    jitter_buffer.push(OPERATOR, 0.0, frame(0))
    pairs = []
    for n in range(1, 100):
        pairs += jitter_buffer.pairs(n * FRAME_S)
    assert pairs[-1].slot > 80
    assert pairs[-1][1:] == (None, None)


def test_a_stall_of_this_process_loses_nothing() -> None:
    """Nobody asks for 1.5 s; then all the frames of that time come at once."""
    jitter_buffer = JitterBuffer(0.0)
    pairs = []
    for n in range(50):
        jitter_buffer.push(OPERATOR, n * FRAME_S, frame(n))
        jitter_buffer.push(CLIENT, n * FRAME_S, frame(n))
        pairs += jitter_buffer.pairs((n + 1) * FRAME_S)
    now = 2.5
    pairs += jitter_buffer.pairs(now)  # the readers have not caught up yet
    for n in range(50, 125):
        jitter_buffer.push(OPERATOR, n * FRAME_S, frame(n))
        jitter_buffer.push(CLIENT, n * FRAME_S, frame(n))
    pairs += jitter_buffer.pairs(now + FRAME_S)
    assert [number(pair.client) for pair in pairs] == list(range(125))
    assert all(lane.late == lane.missing == 0 for lane in jitter_buffer.lanes.values())


def test_a_frame_after_its_time_is_counted_and_left_out() -> None:
    jitter_buffer = JitterBuffer(0.0)
    pairs = []
    for n in range(100):
        jitter_buffer.push(OPERATOR, n * FRAME_S, frame(n))
        if n < 20:
            jitter_buffer.push(CLIENT, n * FRAME_S, frame(n))
        if n == 45:  # 0.5 s without any
            for late in range(20, 46):
                jitter_buffer.push(CLIENT, late * FRAME_S, frame(late))
        if n > 45:
            jitter_buffer.push(CLIENT, n * FRAME_S, frame(n))
        pairs += jitter_buffer.pairs((n + 1) * FRAME_S)
    lane = jitter_buffer.lanes[CLIENT]
    assert lane.late == lane.missing > 0
    assert number(pairs[60].client) == 60


def test_a_reopened_side_takes_the_slots_of_its_own_time() -> None:
    jitter_buffer = JitterBuffer(0.0)
    pairs = []
    for n in range(300):
        jitter_buffer.push(OPERATOR, n * FRAME_S, frame(n))
        if n < 100 or n >= 200:
            jitter_buffer.push(CLIENT, n * FRAME_S, frame(n))
        if n == 100:
            jitter_buffer.lanes[CLIENT].restart()
        pairs += jitter_buffer.pairs((n + 1) * FRAME_S)
    assert number(pairs[250].client) == 250
    assert [number(pair.client) for pair in pairs[110:190]] == [None] * 80


@given(
    ppm=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    latency=st.tuples(st.floats(0.0, 0.2), st.floats(0.0, 0.2)),
    begins=st.floats(0, 0.3),
)
def test_slots_come_once_each_in_order(
    ppm: tuple[float, float], latency: tuple[float, float], begins: float
) -> None:
    client = Side(ppm[1], latency[1], begins=begins)
    pairs = run(Side(ppm[0], latency[0]), client, 20)
    assert [pair.slot for pair in pairs] == list(range(len(pairs)))
    assert len(pairs) > (20 - PATIENCE_S - 0.3) / FRAME_S
    told = [number(pair.client) for pair in pairs if pair.client is not None]
    assert told == sorted(told)
