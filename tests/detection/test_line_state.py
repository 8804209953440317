"""The state of the line: live, quiet, digital zero, no media, and back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.endpointer_tape import (
    LATE,
    cut,
    draw,
    hear,
    listen,
    near,
    new_endpointer,
    noise,
    over,
    tone,
    voice,
)
from vad_agent.core.actions import LineState
from vad_agent.detection.endpointer import OPEN
from vad_agent.detection.line_state import FLAT, NO_MEDIA
from vad_agent.detection.speech_decision import HANGOVER

LIVE, QUIET = LineState.LIVE, LineState.QUIET
ZERO, GONE = LineState.DIGITAL_ZERO, LineState.NO_MEDIA


def test_nothing_is_known_before_the_first_frame() -> None:
    endpointer = new_endpointer()
    assert (
        endpointer.line,
        endpointer.since,
        endpointer.speaking,
        endpointer.start,
        endpointer.end,
    ) == (None, 0, False, 0, 0)
    assert not endpointer.lacks_frame()
    assert not endpointer.doubtful()


@pytest.mark.parametrize("frame", [".", "0", "z", "S", "n", ","])
def test_a_line_is_live_with_its_first_frame(frame: str) -> None:
    assert hear(frame).lines == [(0, LIVE, 0)]


@pytest.mark.parametrize("kind", "0z")
@pytest.mark.parametrize("count", [FLAT - 1, FLAT, FLAT + 1])
def test_a_constant_for_a_second_is_digital_zero(kind: str, count: int) -> None:
    heard = hear(f".*60 {kind}*{count} .*60")
    if count < FLAT:
        assert heard.lines == [(0, LIVE, 0)]
    else:
        end = 60 + count
        assert heard.lines == [(0, LIVE, 0), (60 + FLAT - 1, ZERO, 60), (end, LIVE, end)]


@pytest.mark.parametrize("kind", "0z")
def test_digital_zero_from_the_first_frame(kind: str) -> None:
    assert hear(f"{kind}*60").lines == [(0, LIVE, 0), (FLAT - 1, ZERO, 0)]


@pytest.mark.parametrize("value", [-8, -1, 1, 8])
def test_any_small_constant_is_a_dead_line(value: int) -> None:
    frames = cut(np.full(60 * 160, value))
    assert listen(new_endpointer(), frames).lines[-1] == (FLAT - 1, ZERO, 0)


def test_a_constant_that_is_not_small_is_not_digital_zero() -> None:
    """A microphone's offset."""
    frames = cut(np.full(60 * 160, 300))
    assert listen(new_endpointer(), frames).lines == [(0, LIVE, 0)]


@pytest.mark.parametrize("after", ["k", ".", "S", "n", ",", "t"])
def test_whatever_comes_makes_a_dead_line_live_at_once(after: str) -> None:
    assert hear(f"0*80 {after}*9").lines[2] == (80, LIVE, 80)


def test_one_odd_sample_is_no_constant() -> None:
    odd = np.zeros(160, np.int64)
    odd[159] = 1
    frames = [*draw(".*60 0*30"), *cut(odd), *draw("0*49 .*5")]
    assert listen(new_endpointer(), frames).lines == [(0, LIVE, 0)]


def test_a_companded_line_without_a_sound_is_quiet_not_dead() -> None:
    """A-law knows no zero: next to nothing is +8 and -8 in turns."""
    dither = np.random.default_rng(1).choice([-8, 8], 400 * 160)
    heard = listen(new_endpointer(), [*noise(60), *cut(dither), *noise(120)])
    states = [(state, since) for _, state, since in heard.lines]
    assert [state for state, _ in states] == [LIVE, QUIET, LIVE]
    assert abs(states[1][1] - 60) <= 50
    assert abs(states[2][1] - 460) <= 50


def test_speech_on_a_quiet_line_makes_it_live() -> None:
    endpointer = new_endpointer()
    listen(endpointer, draw(".*60 ,*300"), finish=False)
    assert endpointer.line is QUIET
    listen(endpointer, voice(100), finish=False)
    assert endpointer.speaking
    assert endpointer.line is LIVE
    assert abs(endpointer.since - 360) <= 50


def test_a_line_quiet_again_is_quiet_since_its_last_speech() -> None:
    endpointer = new_endpointer()
    listen(endpointer, draw(",*300 S*60 ,*400"), finish=False)
    assert endpointer.line is QUIET
    assert endpointer.since >= 350


def test_comfort_noise_is_a_live_line() -> None:
    assert listen(new_endpointer(), noise(600, -66)).lines == [(0, LIVE, 0)]


@pytest.mark.parametrize("count", [NO_MEDIA - 1, NO_MEDIA, NO_MEDIA + 1])
def test_a_second_without_frames_is_no_media(count: int) -> None:
    heard = hear(f".*60 -*{count} .*60")
    if count < NO_MEDIA:
        assert heard.lines == [(0, LIVE, 0)]
    else:
        end = 60 + count
        assert heard.lines == [(0, LIVE, 0), (60 + NO_MEDIA - 1, GONE, 60), (end, LIVE, end)]


def test_no_frame_ever() -> None:
    assert hear("-*60").lines == [(NO_MEDIA - 1, GONE, 0)]


def test_frames_that_come_late() -> None:
    assert hear("-*20 .*40").lines == [(20, LIVE, 20)]
    assert hear("-*90 .*40").lines == [(NO_MEDIA - 1, GONE, 0), (90, LIVE, 90)]


def test_scattered_frames_are_media() -> None:
    assert hear(".*60 " + "-*49 ." * 4).lines == [(0, LIVE, 0)]


def test_a_dead_line_that_loses_frames_stays_dead() -> None:
    assert hear("0*60 -*20 0*60 .").lines == [(0, LIVE, 0), (49, ZERO, 0), (140, LIVE, 140)]


def test_from_digital_zero_to_no_media_and_back() -> None:
    assert hear("0*60 -*60 0*60 .").states() == [
        ("live", 0),
        ("digital_zero", 0),
        ("no_media", 60),
        ("live", 120),
        ("digital_zero", 120),
        ("live", 180),
    ]


def test_lacking_frames_until_there_is_no_media() -> None:
    endpointer = new_endpointer()
    lacks = []
    for frame in draw("-- .*9 -*55 .."):
        endpointer.feed(frame)
        lacks.append(endpointer.lacks_frame())
    assert lacks == [False] * 11 + [True] * 49 + [False] * 6 + [False] * 2


@pytest.mark.parametrize("after", "0-z")
def test_a_line_that_dies_in_mid_speech_closes_the_run(after: str) -> None:
    heard = hear(f".*50 S*100 {after}*100")
    assert near(heard.runs, [(50, 150)])
    assert heard.speaking[150 + LATE + HANGOVER + OPEN :].count("#") == 0
    assert heard.lines[-1][2] == 150


@pytest.mark.parametrize("between", ["0*60", "-*60", "z*60", "0*30 -*60 0*60", ",*200"])
def test_speech_is_heard_at_once_when_the_line_comes_back(between: str) -> None:
    frames = draw(f".*50 S*60 {between} S*60 .*40")
    at = len(frames) - 100
    assert near(listen(new_endpointer(), frames).runs, [(50, 110), (at, at + 60)])


# -- noise and tones: taken back -----------------------------------------------------------------------

BUSY, CONGESTION, RINGBACK, STEADY = (0.35, 0.35), (0.175, 0.175), (1.0, 4.0), (1.0, 0.0)
"""Seconds on and off."""


@pytest.mark.parametrize("background", [".", "0"])
@pytest.mark.parametrize("phase_s", [0.0, 0.093, 0.341])
@pytest.mark.parametrize("level_db", [-10, -20, -30])
@pytest.mark.parametrize("cadence", [BUSY, CONGESTION, RINGBACK, STEADY])
def test_a_tone_is_no_utterance(
    cadence: tuple[float, float], level_db: int, phase_s: float, background: str
) -> None:
    count = int((10.5 - phase_s) * 50)  # ends with a whole pulse
    frames = draw(f"{background}*{count + 100}")
    frames[60 : 60 + count] = over(frames[60 : 60 + count], tone(count, level_db, cadence, phase_s))
    heard = listen(new_endpointer(), frames)
    assert (heard.accepted, heard.runs) == ([], [])


@pytest.mark.parametrize("cadence", [BUSY, CONGESTION, RINGBACK, STEADY])
def test_speech_before_a_tone_keeps_its_end(cadence: tuple[float, float]) -> None:
    endpointer = new_endpointer()
    frames = [*draw(".*60 S*60 .*40"), *tone(500, -20, cadence), *noise(60)]
    heard = listen(endpointer, frames)
    assert near(heard.runs, [(60, 120)])
    assert abs(endpointer.start - 60) <= LATE  # also `start` is that of the last run
    assert abs(endpointer.end - 120) <= LATE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [20, 30, 50, 75, 200])
@pytest.mark.parametrize("level_db", [-45, -35, -20])
def test_a_stretch_of_noise_is_a_fifth_of_a_second_at_most(
    level_db: int, count: int, seed: int
) -> None:
    frames = noise(100) + noise(count, level_db, 60 + seed) + noise(80, seed=9)
    heard = listen(new_endpointer(), frames)
    assert sum(end - start for start, end in heard.runs) <= 10


def test_a_tone_leaves_start_and_end_of_the_speech_before_it() -> None:
    endpointer = new_endpointer()
    heard = listen(endpointer, draw(".*60 S*60 .*40 t*70 .*60"))
    assert len(heard.accepted) == 1
    assert (endpointer.start, endpointer.end) == heard.runs[0]


@pytest.mark.parametrize("kind", "nt")
def test_noise_that_joins_speech_does_not_prolong_it(kind: str) -> None:
    heard = hear(f".*60 S*100 {kind}*200 .*60")
    assert near(heard.runs, [(60, 160)], by=15)
    assert len(heard.accepted) == 1


@pytest.mark.parametrize("kind", "nt")
@pytest.mark.parametrize("gap", [3, 20, 60])
def test_after_noise_and_tones_speech_is_heard(kind: str, gap: int) -> None:
    heard = hear(f".*60 {kind}*100 .*{gap} S*60 .*40")
    assert near(heard.runs[-1:], [(160 + gap, 220 + gap)])


# -- a noise gate: digital zero between words ----------------------------------------------------------


@pytest.mark.parametrize("zeros", [12, 60, 200])
def test_speech_that_ends_digital_zero_tells_of_a_gate(zeros: int) -> None:
    endpointer = new_endpointer()
    listen(endpointer, draw(f"S*60 0*{zeros} S*60 0*60"), finish=False)
    assert endpointer.gated


@pytest.mark.parametrize(
    "drawing",
    [
        "0*100 .*50 S*60 .*60",  # before the call was connected
        ".*50 S*60 .*30 0*300",  # a line that has died
        ".*50 S*30 0*5 S*30 .*60",  # a lost packet
        ".*50 S*60 .*30 0*60 .*30 S*60 .*30",  # it died, and came back
    ],
)
def test_other_digital_zero_is_no_gate(drawing: str) -> None:
    endpointer = new_endpointer()
    listen(endpointer, draw(drawing), finish=False)
    assert not endpointer.gated
