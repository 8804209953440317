"""The plain timers that the product is compared to do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.calls import baselines, recipe_sampling, render
from benchmarks.calls.evaluation import evaluate
from benchmarks.calls.recipe import KINDS, Kind, Recipe, kind_of
from benchmarks.calls.render import RenderedCall
from tests.calls.library import small
from vad_agent.core.frames import Channel

EASY = (Kind.SILENT, Kind.NOBODY, Kind.TALK, Kind.AGAIN, Kind.HELD, Kind.HELD_BACK)


def easy(number: int) -> Recipe:
    """Without anything that a detector could take for speech."""
    recipe = recipe_sampling.sample("tuning", number, small())
    return replace(recipe, noise="none", echo=None, gate=None, gain_steps=(), loss=None)


def true_flags(call: RenderedCall) -> tuple[np.ndarray, np.ndarray]:
    operator, client = (call.truth.mask(side, call.recipe.frames) for side in Channel)
    return operator, client


@pytest.mark.parametrize(
    "number", [number for number in range(len(KINDS)) if kind_of(number) in EASY]
)
def test_the_timer_over_the_truth_itself_is_right(number: int) -> None:
    """So a fault of a baseline is its detector's; and what is right can be done."""
    call = render.render(easy(number), small())
    assert evaluate(call.truth, baselines.timer(call, true_flags(call))) == []


def test_a_timer_that_hears_a_client_for_ever_misses_the_callback() -> None:
    call = render.render(easy(0), small())
    operator, client = true_flags(call)
    client[:] = True
    found = {
        fault.defect.value
        for fault in evaluate(call.truth, baselines.timer(call, (operator, client)))
    }
    assert "missing" in found


def test_a_quiet_frame_under_the_operators_loud_ones_is_his_leak() -> None:
    loud, quiet = np.full(160 * 20, 8000, np.int16), np.full(160 * 20, 800, np.int16)
    nothing = np.zeros(160 * 20, np.int16)
    assert baselines.leak(loud, quiet).all()
    assert not baselines.leak(loud, loud).any()
    assert not baselines.leak(nothing, quiet).any()
    assert not baselines.leak(quiet // 10, quiet // 100).any()


def test_earshot_hears_a_voice_and_not_the_hiss() -> None:
    call = render.render(easy(0), small())
    _, client = baselines.earshot_flags(call)
    _, truth = true_flags(call)
    assert client[truth].mean() > 0.6
    assert client[~truth].mean() < 0.1


def test_earshot_gives_one_probability_a_frame() -> None:
    call = render.render(easy(1), small())
    said = baselines.earshot(call.operator)
    assert len(said) == call.recipe.frames
    assert ((said >= 0) & (said <= 1)).all()
