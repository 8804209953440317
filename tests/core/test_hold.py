"""Holds by music alone: what is the same hold, and what another one."""

from __future__ import annotations

import pytest

from vad_agent.core.frames import Channel
from vad_agent.core.hold import PASSAGE, Holds

BEGAN, ENDED = 100, 2_000


def after_a_voice() -> Holds:
    """Music has played and ended, and a voice has been heard as the client's since."""
    holds = Holds()
    assert holds.begin_music(BEGAN, spoken_until=BEGAN - 10) == BEGAN
    assert holds.end_music(ENDED)
    holds.client_back()
    return holds


def test_music_that_had_begun_before_the_voice_ended_is_the_same_hold() -> None:
    assert after_a_voice().begin_music(ENDED + 50, spoken_until=ENDED + 51) == BEGAN


@pytest.mark.parametrize("spoken_until", [ENDED + 10, ENDED + 50])
def test_music_after_the_voice_is_another_hold(spoken_until: int) -> None:
    assert after_a_voice().begin_music(ENDED + 50, spoken_until=spoken_until) == ENDED + 50


@pytest.mark.parametrize(("late", "same"), [(PASSAGE, True), (PASSAGE + 1, False)])
def test_music_that_returns_later_is_another_hold(late: int, same: bool) -> None:
    since = ENDED + late
    began = after_a_voice().begin_music(since, spoken_until=since + 1)
    assert began == (BEGAN if same else since)


@pytest.mark.parametrize("party", [None, Channel.CLIENT])
def test_a_hold_that_is_told_as_ended_does_not_go_on(party: Channel | None) -> None:
    holds = Holds()
    holds.begin_music(BEGAN, spoken_until=0)
    assert holds.end(party)
    holds.client_back()
    assert holds.begin_music(ENDED, spoken_until=ENDED + 1) == ENDED


def test_the_same_hold_may_be_interrupted_by_the_music_twice() -> None:
    holds = after_a_voice()
    assert holds.begin_music(ENDED + 50, spoken_until=ENDED + 51) == BEGAN
    holds.end_music(ENDED + 1_000)
    holds.client_back()
    assert holds.begin_music(ENDED + 1_040, spoken_until=ENDED + 1_060) == BEGAN
