"""Every fixture: what its recipe demands, by its truth; the golden trace."""

from __future__ import annotations

import json

import pytest

from audio_fixtures.recipe import FRAMES_PER_SECOND, Recipe, load_all
from tests.goldens import golden, lines, trace

RECIPES = load_all()
each_fixture = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
each_with_prompts = pytest.mark.parametrize(
    "recipe",
    [recipe for recipe in RECIPES if any(text.startswith("prompt") for text in recipe.expect)],
    ids=lambda recipe: recipe.name,
)
EAR = 0.24
"""An operator's own phrase: how far its heard beginning may be from the true one, seconds."""


def told(line: dict[str, object]) -> str | None:
    """A trace line in the words of a recipe's expectation."""
    match line["kind"]:
        case "phase":
            return f"phase {line['phase']}"
        case "prompt":
            return f"prompt {line['id']} {line['outcome']}"
        case "callback" | "callback_withdrawn" | "callback_revised" | "hangup":
            return f"{line['kind']} {line['reason']}"
        case "alert":
            return f"alert {line['id']}"
    return None


@each_fixture
def test_it_does_what_its_recipe_demands(recipe: Recipe):
    happened = [text for line in lines(recipe) if (text := told(line))]
    assert happened == ["phase greeting", *recipe.expect]


@each_with_prompts
def test_each_prompt_falls_into_its_window_by_the_truth(recipe: Recipe):
    """The silence before it is measured on the recipe's sounds, not on what the endpointer heard."""
    prompts = [line for line in lines(recipe) if line["kind"] == "prompt"]
    ends = [line["ended_s"] for line in prompts]
    for index, prompt in enumerate(prompts):
        began = prompt["started_s"]
        if prompt["outcome"] == "said_by_operator":
            began = min(true_starts(recipe, "operator"), key=lambda start: abs(start - began))
            assert abs(began - prompt["started_s"]) <= EAR
        silence = began - silence_base(recipe, prompt["id"], began, ends[:index])
        lo, hi = prompt["window_s"]
        assert lo <= round(silence, 2) <= hi, (prompt["id"], silence)


def true_starts(recipe: Recipe, channel: str) -> list[float]:
    return [s.at / FRAMES_PER_SECOND for s in recipe.sounds if s.channel == channel]


def silence_base(recipe: Recipe, prompt: str, began: float, prompt_ends: list[float]) -> float:
    """Since when nobody was heard before `began`; for the hold's farewell, since when it is held."""
    if prompt == "hold_farewell":
        held = [e["at"] for e in recipe.events if e["kind"] == "hold"]
        held += [s.at for s in recipe.sounds if s.kind == "music"]
        return max(frame / FRAMES_PER_SECOND for frame in held[:1])
    ended = [
        s.end / FRAMES_PER_SECOND
        for s in recipe.sounds
        if s.kind == "speech" and s.end / FRAMES_PER_SECOND <= began
    ]
    anew = ("resume", "unhold", "operator_unmute", "client_cannot_hear", "answered")
    ended += [
        e["at"] / FRAMES_PER_SECOND
        for e in recipe.events
        if e["kind"] in anew and e["at"] / FRAMES_PER_SECOND <= began
    ]
    return max(ended + [end for end in prompt_ends if end <= began])


@each_fixture
def test_the_callback_comes_before_the_farewell_it_is_promised_in(recipe: Recipe):
    kinds = lines(recipe)
    farewells = [line for line in kinds if line["kind"] == "prompt" and "farewell" in line["id"]]
    asked = [line["t"] for line in kinds if line["kind"] == "callback"]
    assert all(asked and asked[0] <= farewell["started_s"] for farewell in farewells)


@each_fixture
def test_the_trace_is_the_golden_one(recipe: Recipe):
    """After a wanted change: `make goldens`, then read the diff."""
    assert golden(recipe).read_text(encoding="utf-8").splitlines() == (
        trace(recipe.name).splitlines()
    )


@each_fixture
def test_times_are_whole_frames(recipe: Recipe):
    for line in lines(recipe):
        for name, value in line.items():
            if (name == "t" or name.endswith("_s")) and name != "due_in_s":
                for seconds in value if isinstance(value, list) else [value]:
                    assert seconds is None or round(seconds * 50, 6) == round(seconds * 50), line


def test_goldens_are_json_lines_without_personal_data():
    for recipe in RECIPES:
        text = golden(recipe).read_text(encoding="utf-8")
        assert all(json.loads(line) for line in text.splitlines())
        phones = [e["phone"] for e in recipe.events if e.get("phone")]
        assert not any(str(phone) in text for phone in phones)
