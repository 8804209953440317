"""Generated calls: the same each time, true to their truth, mixed as they are said to be."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.accuracy import signals
from benchmarks.accuracy.labels import FRAME
from benchmarks.calls import ground_truth, noises, recipe_sampling, render
from benchmarks.calls.recipe import KINDS, Carries, Echo, Kind, Loss, Recipe, kind_of, noise_of
from benchmarks.calls.render import RenderedCall
from tests.calls.library import small
from training import source_clips
from vad_agent.core.actions import Reason
from vad_agent.core.frames import Channel, frames

ROUND = 260
MANY = range(120)


@cache
def sampled(number: int) -> Recipe:
    return recipe_sampling.sample("tuning", number, small())


def rendered(recipe: Recipe) -> RenderedCall:
    return render.render(recipe, small())


@cache
def first_calls() -> list[RenderedCall]:
    """One of each slot of kinds."""
    return [rendered(sampled(number)) for number in range(len(KINDS))]


def bare(recipe: Recipe) -> Recipe:
    """Nothing but hiss beside the voices."""
    return replace(
        recipe, noise="none", echo=None, gate=None, gain_steps=(), loss=None, stretches=()
    )


def of_kind(kind: Kind, at: int = 0) -> Recipe:
    return sampled([number for number in range(ROUND) if kind_of(number) is kind][at])


# -- the same each time ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 4, 12, 25])
def test_the_same_number_is_the_same_call_to_the_byte(number: int) -> None:
    first, second = (rendered(recipe_sampling.sample("tuning", number, small())) for _ in range(2))
    assert first.recipe == second.recipe
    assert list(first.pairs()) == list(second.pairs())
    assert first.truth == second.truth


def test_another_number_or_part_is_another_call() -> None:
    recipes = {sampled(0).to_json(), sampled(20).to_json()}
    recipes.add(replace(recipe_sampling.sample("test", 0, small()), name=sampled(0).name).to_json())
    assert len(recipes) == 3


def test_a_recipe_is_printed_as_json() -> None:
    recipe = sampled(4)
    table = json.loads(recipe.to_json())
    assert table["name"] == "tuning-00004"
    assert [said["clip"] for said in table["said"]] == [said.clip for said in recipe.said]


# -- mixed as they are said to be ------------------------------------------------------------------


def test_each_kind_meets_each_noise_in_a_round() -> None:
    pairs = {(number % len(KINDS), noise_of("test", number)) for number in range(ROUND)}
    assert len(pairs) == ROUND == len(KINDS) * len(noises.NOISES)
    assert len([noise for noise in noises.NOISES if noise != "none"]) >= 10


def test_three_quarters_of_the_calls_end_with_a_client_to_be_called_back() -> None:
    recipes = [sampled(number) for number in range(len(KINDS))]
    assert sum(recipe.callback is not None for recipe in recipes) == 0.75 * len(KINDS)


def test_levels_lie_in_their_ranges() -> None:
    for recipe in map(sampled, MANY):
        assert -44 <= recipe.client.level_dbfs <= -18
        assert 15 <= recipe.snr_db <= 35
        for leg in (recipe.operator, recipe.client):
            assert -72 <= leg.floor_dbfs <= -58
        assert all(0 <= said.fade_db <= 14 for said in recipe.said)
        assert recipe.operator.voice != recipe.client.voice


def test_lines_vary() -> None:
    recipes = [sampled(number) for number in range(ROUND)]
    share = {
        "echo": sum(recipe.echo is not None for recipe in recipes) / ROUND,
        "loss": sum(recipe.loss is not None for recipe in recipes) / ROUND,
    }
    assert 0.22 < share["echo"] < 0.38
    assert 0.1 < share["loss"] < 0.26
    assert {recipe.loss.missing for recipe in recipes if recipe.loss} == {False, True}
    assert any(recipe.gate is not None for recipe in recipes)
    assert any(recipe.gain_steps for recipe in recipes)
    carried = Counter(one.carries for recipe in recipes for one in recipe.stretches)
    assert set(carried) == set(Carries)


def test_a_drop_comes_in_four_ways() -> None:
    ways = set()
    for recipe in (sampled(number) for number in range(ROUND)):
        if recipe.kind is Kind.DROP:
            told = [dict(event)["party"] for _, event in recipe.events]
            ways |= {*told, *(one.carries.value for one in recipe.stretches)}
    assert ways == {"client", "network", Carries.NOTHING.value, Carries.BUSY.value}


# -- true to their truth ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 2, 3, 6, 9])
def test_speech_of_the_truth_is_in_the_audio_and_nothing_else(number: int) -> None:
    recipe = bare(sampled(number))
    call = rendered(recipe)
    for side, samples in ((Channel.OPERATOR, call.operator), (Channel.CLIENT, call.client)):
        leg = recipe.operator if side is Channel.OPERATOR else recipe.client
        powers = signals.frame_power(samples.astype(np.float64)) / signals.FULL_SCALE**2
        level = 10 * np.log10(powers + 1e-12)
        spoken = call.truth.mask(side, recipe.frames)
        for first, last in call.truth.speech[side]:
            assert max(level[first], level[last - 1]) > leg.floor_dbfs - 3
        beside = spoken.copy()
        for away in range(1, 6):  # a word fades out over what nobody hears
            beside[away:] |= spoken[:-away]
            beside[:-away] |= spoken[away:]
        assert level[~beside].max() < leg.floor_dbfs + 6
        loud = np.sort(level[spoken])[-len(level[spoken]) // 4 :]
        assert loud.mean() > leg.level_dbfs - 8


def test_the_clients_level_is_that_of_his_active_speech() -> None:
    recipe = bare(sampled(0))
    recipe = replace(recipe, said=tuple(replace(said, fade_db=0.0) for said in recipe.said))
    call = rendered(recipe)
    mask = call.truth.mask(Channel.CLIENT, recipe.frames)
    level = signals.active_level(call.client.astype(np.float64), mask)
    # The band and the words' own gaps take something.
    assert recipe.client.level_dbfs - 6 < level < recipe.client.level_dbfs + 1


def test_the_last_word_is_as_much_weaker_as_it_is_said_to_be() -> None:
    recipe = bare(of_kind(Kind.SILENT))
    last = max(
        (said for said in recipe.said if said.channel is Channel.CLIENT), key=lambda said: said.at
    )
    levels = []
    for fade in (0.0, 9.0):
        said = tuple(replace(one, fade_db=fade) if one is last else one for one in recipe.said)
        samples = rendered(replace(recipe, said=said)).client.astype(np.float64)
        levels.append(signals.level(samples[(last.end - 10) * FRAME : last.end * FRAME]))
    assert levels[0] - levels[1] == pytest.approx(9.0, abs=1.5)


def silences(call: RenderedCall) -> list[tuple[int, int]]:
    """In which nobody speaks, the recording's end included."""
    operator, client = (call.truth.mask(side, call.recipe.frames) for side in Channel)
    return list(source_clips.runs(~(operator | client)))


def test_nobody_is_silent_for_more_than_2_2_s_but_where_phrases_are_due() -> None:
    for call in first_calls():
        stretches = [(one.start, one.end) for one in call.recipe.stretches]
        expected = [(due.start, due.until) for due in call.truth.due] + stretches
        for start, end in silences(call):
            inside = any(first < end and last > start for first, last in expected)
            assert inside or end - start <= frames(2.2) + 3, (call.recipe.name, start, end)


def test_a_silence_begins_with_the_last_sound_of_either_side() -> None:
    for call in first_calls():
        for due, silence in zip(call.truth.due, call.recipe.silences, strict=True):
            if silence.hold is None:
                runs = [run for side in Channel for run in call.truth.speech[side]]
                assert due.start == max(last for first, last in runs if first < due.until)


def test_a_ladder_has_room_to_its_end() -> None:
    for call in first_calls():
        if call.recipe.callback is not None and call.truth.due:
            due = call.truth.due[-1]
            assert due.start + sum(step.hi + step.length for step in due.steps) < due.until


def test_an_answer_leaves_room_for_the_first_phrase_and_none_for_the_second() -> None:
    for kind in (Kind.AGAIN, Kind.ANSWERED):
        due = rendered(of_kind(kind)).truth.due[0]
        first, second = due.steps[:2]
        middle = due.start + (first.lo + first.hi) // 2 + first.length
        assert due.start + first.hi < due.until
        assert middle < due.until < middle + second.lo + ground_truth.TOLERANCE


def test_a_dead_line_has_the_shorter_window_and_a_noise_gate_either() -> None:
    recipe = next(
        one
        for one in map(sampled, range(ROUND))
        if one.kind is Kind.SILENT and any(s.carries is Carries.ZERO for s in one.stretches)
    )
    assert _first_window(recipe) == (2.0 - 0.3, 3.0 + 0.3)
    assert _first_window(replace(recipe, stretches=())) == (3.0 - 0.3, 4.0 + 0.3)
    assert _first_window(replace(recipe, stretches=(), gate=8)) == (2.0 - 0.3, 4.0 + 0.3)


def _first_window(recipe: Recipe) -> tuple[float, float]:
    step = rendered(recipe).truth.due[-1].steps[0]
    return pytest.approx((step.lo / 50, step.hi / 50))  # type: ignore[return-value]


def test_a_hold_is_counted_from_its_beginning() -> None:
    recipe = of_kind(Kind.MUSIC)
    due = rendered(recipe).truth.due[0]
    assert due.start == recipe.stretches[0].start
    assert (due.steps[0].lo, due.steps[0].hi) == (frames(59.7), frames(61.3))
    assert recipe.callback is Reason.CLIENT_HOLD


# -- the line --------------------------------------------------------------------------------------


def test_a_dead_line_is_digitally_zero() -> None:
    recipe = next(
        one
        for one in map(sampled, range(ROUND))
        if any(s.carries is Carries.ZERO for s in one.stretches)
    )
    stretch = next(one for one in recipe.stretches if one.carries is Carries.ZERO)
    call = rendered(replace(recipe, loss=None))
    cut = call.client[stretch.start * FRAME : stretch.end * FRAME]
    assert set(cut.tolist()) == {recipe.idle}


def test_a_noise_gate_leaves_zero_between_the_words() -> None:
    recipe = replace(bare(of_kind(Kind.SILENT)), noise="fan", gate=6, idle=8)
    call = rendered(recipe)
    constant = np.ptp(call.client.reshape(-1, FRAME), axis=1) == 0
    for first, last in call.truth.speech[Channel.CLIENT]:
        assert not constant[first:last].all()
    assert constant[call.truth.due[-1].start + 20 :].all()


@pytest.mark.parametrize("missing", [False, True])
def test_lost_packets_are_zeros_or_do_not_come(missing: bool) -> None:
    call = rendered(replace(bare(sampled(0)), loss=Loss(0.05, 2.0, missing)))
    frames_of = [client for _, client in call.pairs()]
    zeros = sum(frame == bytes(2 * FRAME) for frame in frames_of)
    none = sum(frame is None for frame in frames_of)
    assert (none if missing else zeros) == pytest.approx(0.05 * len(frames_of), rel=0.6)
    assert (zeros if missing else none) == 0


def test_an_echo_is_the_operator_later_and_weaker() -> None:
    recipe = replace(bare(of_kind(Kind.NOBODY)), echo=Echo(-18.0, 100))
    recipe = replace(recipe, client=replace(recipe.client, floor_dbfs=-90.0))
    call = rendered(recipe)
    near, far = call.operator.astype(np.float64), call.client.astype(np.float64)
    first, last = call.truth.speech[Channel.OPERATOR][0]
    near = near[first * FRAME : last * FRAME]
    far = far[first * FRAME + 800 : last * FRAME + 800]
    assert np.corrcoef(near, far)[0, 1] > 0.9
    assert signals.level(near) - signals.level(far) == pytest.approx(18, abs=1)


@pytest.mark.parametrize(
    "noise",
    [
        name
        for name in dict.fromkeys([*noises.NOISES, *noises.WORLD])
        if name not in ("none", "sounds")
    ],
)
def test_each_noise_has_its_level_under_the_client(noise: str) -> None:
    quiet = bare(of_kind(Kind.NOBODY))
    client = replace(quiet.client, level_dbfs=-20.0, floor_dbfs=-90.0)
    recipe = replace(quiet, noise=noise, snr_db=15.0, client=client)
    samples = rendered(recipe).client.astype(np.float64)
    uneven = noise in noises.UNEVEN
    level = signals.active_level(samples) if uneven else signals.level(samples)
    assert level == pytest.approx(-35, abs=1.5)


def test_what_lies_outside_the_telephones_band_is_gone() -> None:
    call = rendered(bare(sampled(0)))
    spectrum = np.abs(np.fft.rfft(call.client.astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(len(call.client), 1 / 8000)
    inside = spectrum[(hertz > 350) & (hertz < 3350)].mean()
    assert spectrum[(hertz > 20) & (hertz < 170)].mean() < inside / 100
