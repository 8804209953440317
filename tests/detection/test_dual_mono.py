"""The same sound on both sides is known as such; an echo, crosstalk and two voices are not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.endpointer_tape import RATE, clip, draw, noise
from vad_agent import Settings
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import Channel
from vad_agent.detection.dual_mono import KNOWN, MOST, DualMono

SIZE = RATE // 50


def shaped(frames: list[bytes | None], gain: float = 1.0, delay: int = 0) -> list[bytes | None]:
    """The frames, quieter and so many samples later."""
    samples = np.frombuffer(b"".join(frame or bytes(2 * SIZE) for frame in frames), "<i2")
    moved = np.concatenate([np.zeros(delay), samples[: len(samples) - delay] * gain])
    data = moved.round().astype("<i2").tobytes()
    return [data[at : at + 2 * SIZE] for at in range(0, len(data), 2 * SIZE)]


def both(
    operator: list[bytes | None], client: list[bytes | None]
) -> tuple[EndpointerPort, list[bool]]:
    """The client's endpointer after these frames, and when both sides were known to be one."""
    settings = Settings()
    endpointers = [settings.endpointer(channel, RATE) for channel in Channel]
    endpointers[1].expect_crosstalk_of(endpointers[0])
    known = []
    for near, far in zip(operator, client, strict=True):
        endpointers[0].feed(near)
        endpointers[1].feed(far)
        known.append(endpointers[1].dual_mono)
    return endpointers[1], known


VOICE = [*noise(50, -65), *draw("S*200"), *noise(100, -65)]


@pytest.mark.parametrize("gain", [1.0, 0.5, 0.9])
def test_a_copy_is_known_before_it_counts_as_the_client(gain):
    endpointer, known = both(VOICE, shaped(VOICE, gain))
    assert known[50 + 3 * KNOWN]
    assert (endpointer.utterances, endpointer.segments_ended) == (0, 0)


@pytest.mark.parametrize(("gain_db", "delay_ms"), [(-18, 20), (-12, 40), (-18, 200), (-25, 60)])
def test_an_echo_is_no_copy(gain_db, delay_ms):
    _, known = both(VOICE, shaped(VOICE, 10 ** (gain_db / 20), delay_ms * RATE // 1000))
    assert not any(known)


def test_two_voices_at_once_are_two():
    woman = [*noise(50, -65), *clip("caller_number")]
    man = [*noise(50, -65), *clip("man_warranty")]
    length = min(len(woman), len(man))
    endpointer, known = both(man[:length], woman[:length])
    assert not any(known)
    assert endpointer.utterances > 0


def test_it_ends_where_the_sides_differ():
    own = noise(100, -20)
    _, known = both([*VOICE, *noise(200, -65)], [*VOICE, *own, *noise(100, -65)])
    assert known[200]
    assert not known[-1]


@pytest.mark.parametrize(("alike", "same"), [(KNOWN - 1, False), (KNOWN, True), (KNOWN + 1, True)])
def test_so_many_frames_are_alike(alike, same):
    watch, frame = DualMono(), b"\x01\x02" * SIZE
    for now in range(1, alike + 1):
        watch.feed_other(frame, now)
        watch.feed_own(frame, now)
    assert watch.same is same


@pytest.mark.parametrize(("unlike", "same"), [(MOST - 1, True), (MOST, False), (MOST + 1, False)])
def test_so_many_are_not(unlike, same):
    watch, frame = DualMono(), b"\x01\x02" * SIZE
    for now in range(1, 200):
        watch.feed_other(frame, now)
        watch.feed_own(frame, now)
    for now in range(300, 300 + unlike):
        watch.feed_own(frame, now)  # the other side is quiet
    assert watch.same is same


def test_the_other_side_alone_ends_it_too():
    watch, frame = DualMono(), b"\x01\x02" * SIZE
    for now in range(1, 200):
        watch.feed_other(frame, now)
        watch.feed_own(frame, now)
    for now in range(300, 302 + MOST):
        watch.feed_other(frame, now)
    assert not watch.same
