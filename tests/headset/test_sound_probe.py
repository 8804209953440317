"""Test sounds and voices are found in what was captured, and nothing is found where they are not."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from vad_agent.audio.duplex_capture import SAMPLE_RATE
from vad_agent.headset.diagnostics import FOLLOWS
from vad_agent.headset.sound_probe import CaptureProbe, chirp, delays, follows

FRAME = SAMPLE_RATE // 50
Floats = NDArray[np.float64]


class Captured:
    """What a probe has after listening: samples from the moment `at` on."""

    def __init__(self, samples: Floats, at: float = 100.0) -> None:
        whole = np.asarray(samples, "<i2")
        count = len(whole) // FRAME
        self.frames = [
            (at + n / 50, whole[n * FRAME : (n + 1) * FRAME].tobytes()) for n in range(count)
        ]

    samples = CaptureProbe.samples


def probe(samples: Floats, at: float = 100.0) -> CaptureProbe:
    return cast(CaptureProbe, Captured(samples, at))


def noise(seconds: float, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(0, 30, round(seconds * SAMPLE_RATE))


def late(samples: Floats, seconds: float) -> Floats:
    return np.concatenate([np.zeros(round(seconds * SAMPLE_RATE)), samples])


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.25, 0.8])
def test_a_voice_that_is_in_it_is_found_with_its_delay(delay: float) -> None:
    share, found = follows(probe(noise(4)), probe(late(noise(5), delay)))
    assert share > 2 * FOLLOWS
    assert found == pytest.approx(delay, abs=0.002)


def test_a_loopback_that_changes_its_rate_by_a_hundredth_is_followed() -> None:
    voice = noise(4)
    at = np.arange(0, len(voice) - 1, 1.007)
    slow = np.interp(at, np.arange(len(voice)), voice)
    share, _ = follows(probe(voice), probe(late(slow, 0.1)))
    assert share > FOLLOWS


@pytest.mark.parametrize(
    "other", [np.zeros(5 * SAMPLE_RATE), noise(5, seed=2), np.ones(5 * SAMPLE_RATE)]
)
def test_a_voice_that_is_not_in_it_is_not_found(other: Floats) -> None:
    share, _ = follows(probe(noise(4)), probe(other))
    assert share < FOLLOWS / 2


def test_nothing_is_found_in_nothing() -> None:
    assert follows(probe(noise(4)), probe(noise(0))) == (0.0, 0.0)
    assert delays(probe(noise(0)), [100.0]) == []
    assert delays(probe(noise(1)), []) == []


def test_each_chirp_is_found_where_it_was_heard() -> None:
    sound = np.frombuffer(chirp(SAMPLE_RATE), "<i2").astype(float) / 8
    room = noise(4)
    left = [101.0, 102.0, 103.0]
    for at in left[:2]:
        begin = round((at - 100.0 + 0.05) * SAMPLE_RATE)
        room[begin : begin + len(sound)] += sound
    assert delays(probe(room), left) == pytest.approx([0.05, 0.05], abs=0.001)
