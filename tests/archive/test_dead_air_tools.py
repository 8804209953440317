"""How the benchmark of dead air compares: a silence is right, off, missed or false."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.archive.dead_air_tools import Tally, compare
from benchmarks.calls.recipe import Carries
from vad_agent.core.frames import Channel


def tally(found, *, stretches=()):
    """The truth: speech in frames 0 to 100 and 300 to 400 of 1,000."""
    call = SimpleNamespace(
        recipe=SimpleNamespace(frames=1_000, stretches=stretches),
        in_band={Channel.CLIENT: ((0, 100), (300, 400))},
    )
    told = Tally()
    compare(found, call, told)
    return told.right, told.off, told.missed, told.false


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0, 100), (300, 400)], (2, 0, 0, 0)),
        ([(0, 120), (290, 410)], (2, 0, 0, 0)),
        ([(0, 140), (300, 400)], (1, 1, 0, 0)),
        ([(0, 100), (180, 400)], (1, 0, 1, 0)),
        ([(0, 20), (140, 400)], (1, 0, 1, 1)),
        ([(0, 1_000)], (0, 0, 2, 0)),
    ],
)
def test_each_silence_is_right_off_missed_or_false(found, expected):
    assert tally(found) == expected


def test_a_silence_with_music_is_counted_apart():
    music = SimpleNamespace(start=450, end=1_000, carries=Carries.MUSIC)
    assert tally([(0, 100), (300, 400)], stretches=[music]) == (1, 0, 0, 0)
