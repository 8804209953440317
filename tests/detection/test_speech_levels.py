"""Levels: quiet and loud voices, the noise of the line, speakers of different loudness."""

from __future__ import annotations

import pytest

from tests.detection.endpointer_tape import (
    LATE,
    Frame,
    Segments,
    draw,
    listen,
    near,
    new_endpointer,
    noise,
    over,
    voice,
)
from vad_agent.audio.pcm import from_dbfs, to_dbfs


def share(heard: Segments, start: int, end: int) -> float:
    """Share of these frames in which a run was open."""
    return heard.speaking[start:end].count("#") / (end - start)


@pytest.mark.parametrize("level_db", [-46, -40, -34, -28, -22, -16, -10, -6])
def test_a_voice_of_any_level_is_found(level_db: int) -> None:
    frames = noise(60, -66) + over(voice(300, level_db), noise(300, -66, 3)) + noise(60, -66, 4)
    heard = listen(new_endpointer(), frames)
    assert share(heard, 60, 360) >= 0.85
    assert abs(heard.runs[-1][1] - 360) <= LATE
    if level_db > -40:
        assert near(heard.runs, [(60, 360)])


@pytest.mark.parametrize(("loud", "quiet"), [(-18, -36), (-14, -34), (-10, -30)])
def test_a_quiet_speaker_after_a_loud_one_is_found_in_seconds(loud: int, quiet: int) -> None:
    """The telephone is put aside, or handed to somebody else."""
    frames = [*voice(500, loud), *noise(50, -66), *over(voice(1000, quiet), noise(1000, -66, 3))]
    heard = listen(new_endpointer(), frames)
    assert share(heard, 550 + 250, 550 + 500) >= 0.9
    assert share(heard, 550 + 500, 550 + 1000) >= 0.9


def test_a_loud_speaker_after_a_quiet_one_is_found_at_once() -> None:
    frames = [*noise(60, -66), *voice(200, -40), *noise(60, -66), *voice(200, -10), *noise(40, -66)]
    heard = listen(new_endpointer(), frames)
    assert near(heard.runs, [(60, 260), (320, 520)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("level_db", [-62, -58, -54, -50])
def test_comfort_noise_from_the_first_frame_opens_no_run(level_db: int, seed: int) -> None:
    assert listen(new_endpointer(), noise(500, level_db, 20 + seed)).opened == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level_db", [-62, -56, -50])
@pytest.mark.parametrize("before", ["0*120", "z*120", ",*120", "-*120", "0*33"])
def test_comfort_noise_that_comes_after_nothing_is_no_utterance(
    before: str, level_db: int, seed: int
) -> None:
    heard = listen(new_endpointer(), [*draw(before), *noise(400, level_db, 30 + seed)])
    assert heard.accepted == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level_db", [-56, -50, -45, -40, -30, -20])
def test_noise_that_begins_in_the_call_is_a_fifth_of_a_second_at_most(
    level_db: int, seed: int
) -> None:
    heard = listen(new_endpointer(), noise(220, -62) + noise(400, level_db, 40 + seed))
    assert sum(end - start for start, end in heard.runs) <= 10


@pytest.mark.parametrize("level_db", [-50, -44, -40])
def test_speech_is_heard_over_noise_that_began_in_the_call(level_db: int) -> None:
    frames: list[Frame] = [*noise(200, -62), *noise(300, level_db, 5)]
    frames += [*over(voice(150, -20), noise(150, level_db, 6)), *noise(100, level_db, 7)]
    assert near(listen(new_endpointer(), frames).runs[-1:], [(500, 650)], by=10)


def test_speech_is_heard_as_soon_as_noise_is_over() -> None:
    frames = noise(100) + noise(300, -35, 5) + noise(5, seed=6) + voice(100, -30) + noise(40)
    assert near(listen(new_endpointer(), frames).runs[-1:], [(405, 505)])


def test_dbfs_there_and_back() -> None:
    for dbfs in (-66.0, -20.0, 0.0):
        assert to_dbfs(from_dbfs(dbfs)) == pytest.approx(dbfs)
    assert to_dbfs(0) == float("-inf")
    assert from_dbfs(0) == 32_768
