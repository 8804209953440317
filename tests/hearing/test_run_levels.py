"""The levels of a run: steady, dense, or as speech moves."""

from __future__ import annotations

import pytest
from vad_agent.hearing.run import (
    DENSE_FRAMES,
    SEGMENT,
    SHORTEST,
    STEADY_FRAMES,
    RunLevels,
)

from audio_fixtures import dsp
from tests.detection.hearing_tape import LEVELS, clip, join, music, noise, tone, voice


def run(levels: list[int], segment: int = SEGMENT) -> RunLevels:
    """A run of these levels; 0 is a frame that was not loud."""
    collected = RunLevels()
    for at in range(0, len(levels), segment):
        part = levels[at : at + segment]
        collected.current.extend(level for level in part if level)
        collected.end_segment(len(part))
    return collected


def levels_of(frames: list[bytes]) -> list[int]:
    return [int(level) for level in dsp.block_rms(join(frames), 160)]


def test_a_new_run_is_nothing() -> None:
    empty = RunLevels()
    assert (empty.frames, list(empty.levels()), empty.lows()) == (0, [], 1.0)
    assert not empty.steady()
    assert not empty.dense()


def test_a_segment_gives_its_levels_and_begins_anew() -> None:
    collected = RunLevels()
    collected.current.extend([5, 6])
    assert list(collected.end_segment(4)) == [5, 6]
    assert list(collected.current) == []
    assert (collected.frames, list(collected.levels())) == (4, [5, 6])


def test_only_the_last_four_seconds_count() -> None:
    collected = run([7] * 300 + [9] * DENSE_FRAMES)
    assert (collected.frames, set(collected.levels())) == (DENSE_FRAMES, {9})


@pytest.mark.parametrize("count", [SHORTEST - 1, SHORTEST, STEADY_FRAMES, 200])
def test_a_constant_level_is_steady_from_the_twelfth_frame_on(count: int) -> None:
    assert run([900] * count).steady() is (count >= SHORTEST)


def test_two_odd_frames_at_either_end_do_not_matter() -> None:
    assert run([100, 300, *[900] * 14, 1900, 2000]).steady()
    assert not run([900] * 14 + [1500, 1900, 2000]).steady()


def test_noise_and_tones_are_steady() -> None:
    for frames in (noise(50, -30), tone(50), tone(14)):
        assert run(levels_of(frames)).steady()


def test_speech_is_not() -> None:
    levels = levels_of(voice(4_000))
    steady = [at for at in range(0, 3_900, 10) if run(levels[at : at + STEADY_FRAMES]).steady()]
    assert steady == []


@pytest.mark.parametrize("word", ["woman_no", "woman_two", "caller_alo", "woman_tomorrow"])
def test_a_short_word_is_not(word: str) -> None:
    assert not run(levels_of(clip(word))).steady()


def test_dense_is_said_only_of_four_seconds() -> None:
    assert not run([1000] * (DENSE_FRAMES - SEGMENT)).dense()
    assert run([1000] * DENSE_FRAMES).dense()


def test_lows_are_frames_twelve_decibels_under_the_loud_ones() -> None:
    fifth = DENSE_FRAMES // 5
    assert run([1000] * 4 * fifth + [240] * fifth).lows() == pytest.approx(0.2)
    assert run([1000] * 4 * fifth + [260] * fifth).lows() == 0
    assert run([1000] * 4 * fifth + [0] * fifth).lows() == pytest.approx(0.2)


def test_music_is_dense_and_levels_that_jump_are_not() -> None:
    assert run(levels_of(music(200))).dense()
    assert not run([level if at % 3 else 90 for at, level in enumerate(LEVELS * 30)]).dense()
