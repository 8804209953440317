"""Call-progress tones through the endpointer: which tone, and how soon after its beginning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from audio_fixtures import g711
from tests.detection import endpointer_tape as sound
from vad_agent import CallSession, Settings
from vad_agent.core.actions import Hangup, Reason
from vad_agent.core.endpointer_port import EndpointerPort, Progress
from vad_agent.detection.call_progress_tones import classify

Frame = bytes | None

BUSY = {
    "russia": (0.35, 0.35),
    "america": (0.5, 0.5),
    "britain": (0.375, 0.375),
    "congestion": (0.25, 0.25),
    "fast": (0.2, 0.2),
}
RINGS = {
    "europe": (1.0, 4.0),
    "russia": (0.8, 3.2),
    "america": (2.0, 4.0),
    "britain": (0.4, 0.2, 0.4, 2.0),
}
BEEPS = {
    "spain": (0.175, 0.175, 0.175, 3.5),
    "russia": (0.2, 4.0),
    "germany": (0.2, 0.2, 0.2, 4.0),
    "america": (0.3, 9.7),
}
WORD = 100
"""Frames before the word ends."""


def call(tone: Sequence[Frame], gap: int, *, floor_db: float = -60.0) -> list[Frame]:
    """A word of a second, a gap of so many frames, the tone; noise throughout, A-law."""
    frames: list[Frame] = (
        [bytes(320)] * 50 + list(sound.voice(50)) + [bytes(320)] * gap + list(tone)
    )
    noisy = sound.over(frames, sound.noise(len(frames), floor_db, 7))
    return [None if one is None else _alaw(one) for one in noisy]


def _alaw(frame: bytes) -> bytes:
    return np.asarray(g711.round_trip(np.frombuffer(frame, "<i2"), "alaw"), "<i2").tobytes()


def known(endpointer: EndpointerPort, frames: Sequence[Frame]) -> dict[Progress, int]:
    """When each was first known, in frames."""
    found: dict[Progress, int] = {}
    for at, frame in enumerate(frames, 1):
        if endpointer.feed(frame) and endpointer.progress is not None:
            found.setdefault(endpointer.progress, at)
    return found


def endpointers() -> list[EndpointerPort]:
    """With earshot, and where it is not installed."""
    return [sound.new_endpointer(detector=one) for one in ("earshot", "network")]


@pytest.mark.parametrize("gap", [0, 3, 6, 15, 40])
@pytest.mark.parametrize("place", BUSY)
def test_busy_right_after_a_word_is_known_within_three_seconds_and_a_half(
    place: str, gap: int
) -> None:
    """Congestion has the period of the endpointer's checks: its pulses may begin just before each."""
    latest = 240 if place == "congestion" else 175
    for level_db, phase_s in ((-15.0, 0.0), (-25.0, 0.013), (-35.0, 0.093), (-20.0, -0.005)):
        frames = call(sound.tone(500, level_db, BUSY[place], phase_s % sum(BUSY[place])), gap)
        for endpointer in endpointers():
            found = known(endpointer, frames)
            assert set(found) == {Progress.BUSY}
            assert found[Progress.BUSY] - WORD - gap <= latest, (level_db, phase_s, endpointer)


@pytest.mark.parametrize("hz", [(400,), (440,), (450,), (350, 440), (480, 620)], ids=str)
def test_busy_of_other_frequencies_on_a_noisy_line(hz: tuple[float, ...]) -> None:
    frames = call(sound.tone(500, -20.0, BUSY["america"], hz=hz), 10, floor_db=-45.0)
    for endpointer in endpointers():
        assert known(endpointer, frames)[Progress.BUSY] - WORD - 10 <= 175


@pytest.mark.parametrize("place", BUSY)
def test_busy_that_loses_each_twentieth_frame_is_known_still(place: str) -> None:
    random = np.random.default_rng(5)
    tone: list[Frame] = list(sound.tone(600, -20.0, BUSY[place]))
    for at in np.flatnonzero(random.random(len(tone)) < 0.05):
        tone[at] = None
    for endpointer in endpointers():
        assert known(endpointer, call(tone, 10)).get(Progress.BUSY, 999) - WORD - 10 <= 300


@pytest.mark.parametrize("gap", [0, 6, 40])
def test_a_dial_tone_is_known_by_its_length(gap: int) -> None:
    for endpointer in endpointers():
        found = known(endpointer, call(sound.tone(300), gap))
        assert found[Progress.RINGBACK] - WORD - gap <= 150  # it may still be a ring
        assert 130 < found[Progress.DIAL] - WORD - gap <= 180


@pytest.mark.parametrize("gap", [3, 40])
@pytest.mark.parametrize("place", RINGS)
def test_ringback_is_neither_busy_nor_a_dial_tone(place: str, gap: int) -> None:
    frames = call(sound.tone(1_500, -20.0, RINGS[place]), gap)
    for endpointer in endpointers():
        found = known(endpointer, frames)
        assert Progress.RINGBACK in found
        assert not {Progress.BUSY, Progress.DIAL} & set(found)


def test_the_second_ring_is_known_as_such() -> None:
    for endpointer in endpointers():
        found = known(endpointer, call(sound.tone(1_000, -20.0, RINGS["europe"]), 40))
        assert 250 < found[Progress.RINGBACK] - WORD - 40 <= 310


@pytest.mark.parametrize("gap", [3, 40])
@pytest.mark.parametrize("place", BEEPS)
def test_beeps_of_a_call_that_waits_are_nothing_else_for_a_minute(place: str, gap: int) -> None:
    frames = call(sound.tone(3_000, -20.0, BEEPS[place]), gap)
    for endpointer in endpointers():
        assert set(known(endpointer, frames)) == {Progress.WAITING}


def notes(*hz: float, frames: int) -> list[bytes]:
    """Pure notes of so many frames each, one after another: 0 Hz is a rest."""
    return [
        frame
        for one in hz
        for frame in (sound.tone(frames, -20.0, hz=(one,)) if one else [bytes(320)] * frames)
    ]


@pytest.mark.parametrize("frames", [12, 15, 20, 25])
def test_a_melody_whose_other_notes_fill_the_pauses_is_no_busy_tone(frames: int) -> None:
    """440 Hz, on and off at a steady beat: but what lies between is as loud."""
    siren = notes(*[440, 585] * 20, frames=frames)
    assert classify(siren[2:6], 8_000) is not None
    for endpointer in endpointers():
        assert not {Progress.BUSY, Progress.DIAL} & set(known(endpointer, call(siren, 40)))


def test_keys_and_beeps_that_are_no_exchanges_say_nothing() -> None:
    keys = sound.tone(600, -20.0, (0.2, 0.2), hz=(770, 1336))
    till = sound.tone(600, -20.0, (0.5, 0.5), hz=(1400,))
    till_in_tune = sound.tone(1_500, -20.0, (0.15, 0.85), hz=(440,))
    for tone in (keys, till, till_in_tune):
        for endpointer in endpointers():
            assert known(endpointer, call(tone, 40)) == {}


def test_who_speaks_while_his_call_waits_is_heard() -> None:
    beeps = sound.tone(1_000, -25.0, BEEPS["russia"])
    frames = [frame for frame in sound.over(sound.voice(1_000), beeps) if frame]
    for endpointer in endpointers():
        assert not {Progress.BUSY, Progress.DIAL, Progress.RINGBACK} & set(
            known(endpointer, frames)
        )
        assert endpointer.utterances >= 1


@pytest.mark.parametrize(
    ("cadence", "dropped"),
    [
        (RINGS["europe"], False),
        (RINGS["america"], False),
        (BEEPS["spain"], False),
        (BUSY["russia"], True),
        ((1.0, 0.0), True),
    ],
)
def test_on_a_signalled_hold_only_busy_and_dial_tone_end_the_call(
    cadence: tuple[float, ...], dropped: bool
) -> None:
    client = call(sound.tone(2_000, -20.0, cadence), 30)
    operator = sound.voice(40) + sound.noise(len(client) - 40)
    session = CallSession(Settings(), 8_000)
    ends: list[Reason] = []
    for at, pair in enumerate(zip(operator, client, strict=True)):
        actions = list(session.feed(*pair))
        if at == WORD + 20:
            actions += session.signal({"kind": "hold", "party": "client"})
        ends += [action.reason for action in actions if isinstance(action, Hangup)]
        if ends:
            break
    assert ends == [Reason.DROPPED] * dropped
