"""Detected speech, revised by the levels of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest

from vad_agent.archive.whole_call_speech import (
    CallLevels,
    client_speech,
    operator_speech,
    revised,
    unsure_sounds,
)
from vad_agent.core.frames import Channel


def levels(*parts: tuple[float, int]) -> np.ndarray:
    """dBFS for so many frames each."""
    return np.concatenate([np.full(count, level, np.float32) for level, count in parts])


FLOOR = -65.0
SOFT_ENDS = levels((FLOOR, 100), (-45, 20), (-22, 50), (-45, 20), (FLOOR, 100))


def test_soft_first_and_last_words_belong_to_what_was_detected_between_them():
    assert operator_speech([(120, 170)], SOFT_ENDS) == [(100, 190)]


def test_an_edge_that_was_detected_too_late_moves_back_to_the_sound():
    assert operator_speech([(120, 205)], SOFT_ENDS) == [(100, 190)]


@pytest.mark.parametrize(
    ("pause", "length", "found"), [(20, 8, True), (30, 8, False), (20, 3, False)]
)
def test_a_word_right_beside_speech_is_speech_but_no_click_and_nothing_far(pause, length, found):
    channel = levels((FLOOR, 50), (-22, 50), (FLOOR, pause), (-30, length), (FLOOR, 100))
    begun = 100 + pause
    wanted = [(50, 100), (begun, begun + length)] if found else [(50, 100)]
    assert operator_speech([(50, 100)], channel) == wanted


def test_in_a_loud_room_the_detectors_edges_stand():
    room = levels((-30, 100), (-22, 50), (-30, 100))
    assert operator_speech([(105, 160)], room) == [(105, 160)]


def test_what_is_far_weaker_than_the_client_is_the_rooms():
    channel = levels((FLOOR, 50), (-20, 50), (FLOOR, 100), (-45, 30), (FLOOR, 50))
    assert client_speech([(50, 100), (200, 230)], channel) == [(50, 100)]


def test_a_weak_last_word_of_an_utterance_is_the_clients():
    channel = levels((FLOOR, 50), (-20, 50), (FLOOR, 20), (-45, 30), (FLOOR, 50))
    assert client_speech([(50, 100), (120, 150)], channel) == [(50, 100), (120, 150)]


def test_a_sound_as_loud_as_the_client_that_was_not_detected_may_yet_be_speech():
    channel = levels((FLOOR, 50), (-20, 50), (FLOOR, 100), (-25, 30), (FLOOR, 50), (-45, 30))
    assert unsure_sounds([(50, 100)], channel) == [(200, 230)]


def test_of_a_client_who_is_never_heard_nothing_is_known():
    assert client_speech([], SOFT_ENDS) == []
    assert unsure_sounds([], SOFT_ENDS) == []


def line(kind: str, at: float, **told: object) -> dict[str, object]:
    return {"t": at, "kind": kind, "channel": "client", **told}


def test_music_on_hold_is_neither_the_client_nor_the_measure_of_their_voice():
    channel = levels((FLOOR, 50), (-40, 50), (FLOOR, 50), (-10, 100), (FLOOR, 50))
    lines = [
        line("speech", 2.0, start_s=1.0, end_s=2.0),
        line("speech", 4.0, start_s=3.0, end_s=4.0),
        line("line", 5.0, state="music", since_s=3.0),
        line("line", 5.2, state="live", since_s=5.0),
    ]
    told = revised(lines, {Channel.CLIENT: channel, Channel.OPERATOR: levels((FLOOR, 300))})
    spans = [(one["start_s"], one["end_s"]) for one in told if one["kind"] == "speech"]
    assert spans == [(1.0, 2.0)]
    assert not [one for one in told if one["kind"] == "sound"]


@pytest.mark.parametrize("count", [1, 500, 1203])
def test_levels_are_those_of_every_frame_that_passed(count):
    loud = np.full(160, 16_384, "<i2").tobytes()
    pairs = [(loud, None if at % 2 else loud) for at in range(count)]
    passing = CallLevels()
    assert list(passing.of(iter(pairs))) == pairs
    found = passing.levels()
    assert found[Channel.OPERATOR] == pytest.approx(np.full(count, -6.02), abs=0.01)
    expected = np.where(np.arange(count) % 2, -120.0, -6.02)
    assert found[Channel.CLIENT] == pytest.approx(expected, abs=0.01)
