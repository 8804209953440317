"""How loud is loud enough: quiet and loud voices, the noise of the line, one speaker after another."""

from __future__ import annotations

import pytest
from vad_agent.hearing.ear import LevelledEar
from vad_agent.hearing.loudness import (
    DECAY_PER_BLOCK,
    FLOOR_BLOCKS,
    FLOOR_UNKNOWN,
    GAIN_UNKNOWN,
    GAINS,
    GATE_MIN,
    OVER_FLOOR,
    UNDER_SPEECH,
    Loudness,
)

from tests.detection.hearing_tape import (
    RATE,
    Frame,
    Heard,
    draw,
    listen,
    near,
    noise,
    over,
    scripted,
    voice,
)
from vad_agent.audio.pcm import from_dbfs, to_dbfs


def share(heard: Heard, start: int, end: int) -> float:
    """Share of these frames in which a run was open."""
    return heard.speaking[start:end].count("#") / (end - start)


@pytest.mark.parametrize("level_db", [-46, -40, -34, -28, -22, -16, -10, -6])
def test_a_voice_of_any_level_is_found(level_db: int) -> None:
    frames = noise(60, -66) + over(voice(300, level_db), noise(300, -66, 3)) + noise(60, -66, 4)
    heard = listen(LevelledEar(RATE), frames)
    assert share(heard, 60, 360) >= 0.85
    assert abs(heard.runs[-1][1] - 360) <= 4
    if level_db > -40:
        assert near(heard.runs, [(60, 360)], by=3 if level_db > -30 else 6)


@pytest.mark.parametrize(("loud", "quiet"), [(-18, -36), (-14, -34), (-10, -30), (-12, -36)])
def test_a_quiet_speaker_after_a_loud_one_is_found_in_seconds(loud: int, quiet: int) -> None:
    """The telephone is put aside, or handed to somebody else."""
    frames = [*voice(500, loud), *noise(50, -66), *over(voice(1000, quiet), noise(1000, -66, 3))]
    heard = listen(LevelledEar(RATE), frames)
    assert share(heard, 550 + 250, 550 + 500) >= 0.9
    assert share(heard, 550 + 500, 550 + 1000) >= 0.95


@pytest.mark.parametrize(("loud", "quiet"), [(-14, -42), (-18, -44)])
def test_a_much_quieter_speaker_is_found_within_twenty_seconds(loud: int, quiet: int) -> None:
    frames = [*voice(500, loud), *noise(50, -66), *over(voice(1500, quiet), noise(1500, -66, 3))]
    heard = listen(LevelledEar(RATE), frames)
    assert share(heard, 550 + 1000, 550 + 1500) >= 0.9


def test_a_loud_speaker_after_a_quiet_one_is_found_at_once() -> None:
    frames = [*noise(60, -66), *voice(200, -40), *noise(60, -66), *voice(200, -10), *noise(40, -66)]
    heard = listen(LevelledEar(RATE), frames)
    assert near(heard.runs, [(60, 260), (320, 520)], by=6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("level_db", [-62, -58, -54, -50])
def test_comfort_noise_from_the_first_frame_opens_no_run(level_db: int, seed: int) -> None:
    assert listen(LevelledEar(RATE), noise(500, level_db, 20 + seed)).opened == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level_db", [-62, -56, -50])
@pytest.mark.parametrize("before", ["0*120", "z*120", ",*120", "-*120", "0*33"])
def test_comfort_noise_that_comes_after_nothing_is_no_utterance(
    before: str, level_db: int, seed: int
) -> None:
    heard = listen(LevelledEar(RATE), [*draw(before), *noise(400, level_db, 30 + seed)])
    assert heard.accepted == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level_db", [-56, -50, -45, -40, -30, -20])
def test_noise_that_begins_in_the_call_is_no_utterance(level_db: int, seed: int) -> None:
    heard = listen(LevelledEar(RATE), noise(220, -62) + noise(400, level_db, 40 + seed))
    assert heard.accepted == []


@pytest.mark.parametrize("level_db", [-50, -44, -40])
def test_speech_is_heard_over_noise_that_began_in_the_call(level_db: int) -> None:
    frames: list[Frame] = [*noise(200, -62), *noise(300, level_db, 5)]
    frames += [*over(voice(150, -20), noise(150, level_db, 6)), *noise(100, level_db, 7)]
    assert near(listen(LevelledEar(RATE), frames).runs, [(500, 650)], by=4)


def test_speech_is_heard_as_soon_as_noise_is_over() -> None:
    frames = noise(100) + noise(300, -35, 5) + noise(5, seed=6) + voice(100, -30) + noise(40)
    assert near(listen(LevelledEar(RATE), frames).runs, [(405, 505)], by=4)


def test_levels_of_the_scripted_frames_are_no_noise() -> None:
    assert scripted("h*20 a*300 h*30").runs == [(20, 320)]


# -- the two levels themselves -------------------------------------------------------------------------


def block(loudness: Loudness, *levels: int) -> None:
    """A block in which the ear saw these levels."""
    for level in levels:
        if level < loudness.lowest:
            loudness.lowest = level
            if level < loudness.floor:
                loudness.settle()
    loudness.end_block()


def test_dbfs_there_and_back() -> None:
    for dbfs in (-66.0, -20.0, 0.0):
        assert to_dbfs(from_dbfs(dbfs)) == pytest.approx(dbfs)
    assert to_dbfs(0) == float("-inf")
    assert from_dbfs(0) == 32_768


def test_a_new_line_is_unknown() -> None:
    loudness = Loudness()
    assert (loudness.floor, loudness.gate) == (FLOOR_UNKNOWN, GATE_MIN)
    assert (loudness.speech, loudness.gain) == (0, GAIN_UNKNOWN)


def test_the_floor_falls_at_once_and_rises_in_three_blocks() -> None:
    loudness = Loudness()
    for level in (90, 60, 60):
        block(loudness, level)
    assert loudness.floor == 60
    loudness.lowest = 40
    loudness.settle()
    assert (loudness.floor, loudness.gate) == (40, 40 * OVER_FLOOR)
    floors = []
    for _ in range(FLOOR_BLOCKS + 1):
        block(loudness, 80)
        floors.append(loudness.floor)
    assert floors == [40, 40, 40, 80]


def test_blocks_of_nothing_leave_the_floor_as_it_was() -> None:
    loudness = Loudness()
    block(loudness, 60)
    for _ in range(5):
        block(loudness)
    assert loudness.floor == 60


def test_noise_that_is_known_raises_the_floor_at_once() -> None:
    loudness = Loudness()
    block(loudness, 60)
    loudness.raise_floor(700)
    assert loudness.gate == 700 * OVER_FLOOR
    block(loudness, 650)
    assert loudness.floor == 650


def test_the_speakers_level_rises_by_halves_and_decays() -> None:
    loudness = Loudness()
    loudness.hear_speech([1000] * 10)
    assert loudness.speech == 1000
    loudness.hear_speech([3000] * 10)
    assert loudness.speech == 2000
    loudness.hear_speech([500] * 10)
    assert loudness.speech == 2000
    assert loudness.gate == 2000 * UNDER_SPEECH
    loudness.end_block()
    assert loudness.speech == pytest.approx(2000 * DECAY_PER_BLOCK)


def test_the_speakers_level_is_what_the_louder_fifth_reaches() -> None:
    loudness = Loudness()
    loudness.hear_speech([100] * 79 + [1000] * 21)
    assert loudness.speech == 1000


@pytest.mark.parametrize("level_db", range(-60, 0, 4))
def test_the_gain_brings_speech_near_its_target(level_db: int) -> None:
    loudness = Loudness()
    loudness.hear_speech([round(from_dbfs(level_db))] * 10)
    assert loudness.gain in GAINS
    reached = to_dbfs(loudness.speech * loudness.gain)
    if -45 <= level_db <= -21:
        assert -27.5 <= reached <= -14.5


@pytest.mark.parametrize("levels", [[0] * 5, [1], [32_767] * 9])
def test_any_levels_can_be_speech(levels: list[int]) -> None:
    """Nothing but what passes the gate comes here; yet a level of zero must not divide."""
    loudness = Loudness()
    loudness.hear_speech([100])
    loudness.hear_speech(levels)
    assert loudness.gain in GAINS
