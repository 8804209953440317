"""Whole calls with each other detector; as the product is installed, tests/test_fixtures.py checks them."""

from __future__ import annotations

from collections.abc import Mapping, Set

import pytest

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from tests.test_fixtures import told
from vad_agent import CallSession, Settings
from vad_agent.audio.recording_reader import open_call
from vad_agent.trace.event_files import load_events
from vad_agent.trace.replay import Replay
from vad_agent.trace.trace_format import record

HOLD_MUSIC = {"hold_music_melody", "hold_music_not_returning", "hold_music_returning"}
UNABLE: Mapping[str, Set[str]] = {
    "network": set(),
    "silero": HOLD_MUSIC,  # the network's music rests on earshot, to which music is speech
    "webrtcvad": HOLD_MUSIC | {"breath_and_keys"},
}
CASES = [
    pytest.param(recipe, detector, id=f"{recipe.name}-{detector}")
    for recipe in load_all()
    for detector, unable in UNABLE.items()
    if recipe.name not in unable
]


@pytest.mark.parametrize(("recipe", "detector"), CASES)
def test_a_fixture_goes_as_its_recipe_demands(recipe: Recipe, detector: str) -> None:
    settings = Settings.load(FOLDER / recipe.script) if recipe.script else Settings()
    settings = Settings(**settings.model_dump() | {"hearing": {"detector": detector}})
    events = load_events(recipe.events_path).events if recipe.events else []
    first, *second = recipe.recordings
    swapped = recipe.left == "client"
    sides = {"operator_channel": "right", "client_channel": "left"} if swapped else {}
    with open_call(first, client_path=second[0] if second else None, **sides) as recording:
        session = CallSession(settings, recording.sample_rate, mode=recipe.mode)
        lines = [record(a) for a in Replay(session, settings, events).run(recording)]
    happened = [text for line in lines if line and (text := told(line))]
    assert happened == ["phase greeting", *recipe.expect]
