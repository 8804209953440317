"""Every threshold of the session at n-1, n and n+1 frames."""

from __future__ import annotations

import pytest

from tests.tape import PHRASE, TapePlan, play, tape, told, transcript
from vad_agent import CallSession, Settings
from vad_agent.core.actions import Alert, LineChanged, LineState, Play

GREETING = 50


def plays(actions):
    return [action.frame for action in actions if isinstance(action, Play)]


@pytest.mark.parametrize(("silence", "fires"), [(124, False), (125, True), (126, True)])
def test_greeting_again_after_125_frames_of_silence(silence, fires):
    actions = play(f"S*{GREETING} .*{silence}", f".*{GREETING + silence}")
    assert plays(actions) == ([GREETING + 125] if fires else [])


@pytest.mark.parametrize(("silence", "fires"), [(174, False), (175, True), (176, True)])
def test_first_prompt_in_the_dialogue_after_175(silence, fires):
    actions = play(f"S*50 .*{silence}", f"S*30 .*{20 + silence}")
    assert plays(actions) == ([225] if fires else [])


@pytest.mark.parametrize(("held", "fires"), [(3024, False), (3025, True), (3026, True)])
def test_hold_farewell_after_3025_frames_of_hold(held, fires):
    actions = play(f"S*50 .*{50 + held}", f"S*30 .*{70 + held}", {100: "hold"})
    assert plays(actions) == ([3125] if fires else [])


@pytest.mark.parametrize(("frames", "reported"), [(249, False), (250, True), (251, True)])
def test_a_missing_greeting_after_250(frames, reported):
    actions = play(f".*{frames}", f".*{frames}")
    assert any(isinstance(action, Alert) for action in actions) is reported


@pytest.mark.parametrize(("gone", "dropped"), [(499, False), (500, True), (501, True)])
def test_no_media_counts_as_dropped_after_500(gone, dropped):
    actions = play(f"S*50 .*{50 + gone}", f"S*30 .*70 -*{gone}")
    assert ("600 hangup dropped" in transcript(actions)) is dropped


LOST = {
    party: {"kind": "device_lost", "party": party} for party in ("client", "operator", "prompt")
}
BACK = {party: {"kind": "device_back", "party": party} for party in ("client", "operator")}


@pytest.mark.parametrize("party", ["client", "operator"])
@pytest.mark.parametrize(("silence", "fires"), [(174, False), (175, True), (176, True)])
def test_a_step_is_due_175_frames_after_a_device_is_back(party, silence, fires):
    events = {100: LOST[party], 300: BACK[party]}
    actions = play(f"S*50 .*{250 + silence}", f"S*30 .*{270 + silence}", events)
    assert plays(actions) == ([475] if fires else [])


@pytest.mark.parametrize(("gone", "dropped"), [(499, False), (500, True), (501, True)])
def test_no_media_counts_as_dropped_500_frames_after_the_device_is_back(gone, dropped):
    events = {100: LOST["client"], 700: BACK["client"]}
    actions = play(f"S*50 .*{650 + gone}", f"S*30 .*70 -*{600 + gone}", events)
    assert ("1200 hangup dropped" in transcript(actions)) is dropped


@pytest.mark.parametrize(("frames", "reported"), [(249, False), (250, True), (251, True)])
def test_a_missing_greeting_is_reported_250_after_the_operators_device_is_back(frames, reported):
    events = {100: LOST["operator"], 600: BACK["operator"]}
    actions = play(f".*{600 + frames}", f".*{600 + frames}", events)
    assert ("850 alert no_greeting" in transcript(actions)) is reported


@pytest.mark.parametrize(("silence", "cued"), [(139, False), (140, True), (141, True)])
def test_without_the_prompts_device_a_step_is_cued_ten_frames_before_its_window(silence, cued):
    actions = play(f"S*50 .*{silence}", f"S*30 .*{20 + silence}", {60: LOST["prompt"]})
    assert ("190 cue not_heard_in_dialogue" in transcript(actions)) is cued


@pytest.mark.parametrize("lead", [0, 1, 10, 49, 50])
@pytest.mark.parametrize(("more", "asked"), [(-1, False), (0, True), (1, True)])
def test_a_phrase_is_asked_for_its_way_before_its_aim(lead, more, asked):
    ready = {0: {"kind": "player_ready", "latency_s": lead / 50}}
    silence = 175 - lead + more
    actions = play(f"S*50 .*{silence}", f"S*30 .*{20 + silence}", ready)
    assert plays(actions) == ([225 - lead] if asked else [])


@pytest.mark.parametrize("lead", [0, 1, 4, 5, 10, 11, 12, 20])
def test_the_sound_of_a_phrase_falls_in_a_narrow_window_however_long_its_way(lead):
    """25 to 30 frames. A run of speech is known to be over after 16."""
    settings = Settings(prompts={"greeting_again": {"window_s": [0.5, 0.6]}})
    ready = {0: {"kind": "player_ready", "latency_s": lead / 50}}
    actions = play("S*50 .*100", ".*150", ready, settings=settings)
    known = GREETING + 16
    assert GREETING + 25 <= plays(actions)[0] + lead <= max(GREETING + 30, known + lead)


@pytest.mark.parametrize(("heard", "dropped"), [(99, False), (100, True), (101, True)])
def test_tones_count_as_a_hangup_after_100_frames_of_sound(heard, dropped):
    actions = play(f"S*50 .*{50 + heard}", f"S*30 .*70 t*{heard}")
    assert ("200 hangup dropped" in transcript(actions)) is dropped


@pytest.mark.parametrize(("gone", "reported"), [(49, False), (50, True), (51, True)])
def test_no_media_is_reported_after_50(gone, reported):
    actions = play(f".*{50 + gone}", f".*50 -*{gone}")
    states = [a.state for a in actions if isinstance(a, LineChanged)]
    assert (LineState.NO_MEDIA in states) is reported


@pytest.mark.parametrize(("began", "taken"), [(89, False), (90, True), (91, True)])
def test_an_operator_who_begins_90_frames_after_the_last_sound_takes_the_step(began, taken):
    """Ten frames before the window: takeover_lead_s."""
    actions = play(f"S*50 .*{began} S*50 .*80", f".*{180 + began}")
    said = "greeting_again said_by_operator" in " ".join(transcript(actions))
    assert said is taken


@pytest.mark.parametrize(("pause", "ended"), [(49, False), (50, True), (51, True)])
def test_a_pause_of_50_frames_ends_what_the_operator_is_saying(pause, ended):
    actions = play(f"S*50 .*110 S*50 .*{pause}", f".*{210 + pause}")
    frames = [a.frame for a in actions if (told(a) or "").startswith("greeting_again said_by")]
    # The end of the recording ends it too, one frame earlier here.
    assert frames == [260 if ended else 210 + pause]


@pytest.mark.parametrize(("late", "failed"), [(49, False), (50, True), (51, True)])
def test_a_prompt_that_does_not_begin_within_50_frames_has_failed(late, failed):
    plan = TapePlan()
    session = CallSession(plan, 8000)
    actions = []
    for operator, client in zip(tape(f"S*50 .*{125 + late}"), tape(f".*{175 + late}"), strict=True):
        actions += session.feed(operator, client)
    texts = [told(action) for action in actions]
    assert ("greeting_again failed after 175" in texts) is failed
    assert ("cue greeting_again" in texts) is failed  # the operator is to say it


@pytest.mark.parametrize(("speech", "begins"), [(4, 128), (5, None)])
def test_a_beginning_sound_delays_the_prompt_until_it_is_known(speech, begins):
    """The sound begins 2 frames before the prompt is due: a click delays it, a word prevents it."""
    actions = play("S*50 .*200", f".*173 S*{speech} .*{77 - speech}")
    assert plays(actions) == ([] if begins is None else [GREETING + begins])


def test_a_sound_that_stays_in_doubt_delays_the_prompt_by_no_more_than_ten_frames():
    doubtful = " ".join(["SS", ".."] * 25)
    # Two frames of sound, two of none, and so on: never speech, always in doubt on every other pair.
    actions = play("S*50 .*250", f".*170 {doubtful} .*30")
    assert plays(actions)
    assert plays(actions)[0] - GREETING <= 135


@pytest.mark.parametrize("missing", [1, 5, 9])
def test_a_frame_that_lacks_delays_the_prompt_until_the_next_one(missing):
    actions = play("S*50 .*250", f".*173 -*{missing} .*{127 - missing}")
    assert plays(actions)[0] == max(GREETING + 125, 173 + missing + 1)


def test_windows_are_those_of_the_settings():
    settings = Settings(prompts={"greeting_again": {"window_s": [0.5, 0.6]}})
    actions = play("S*50 .*100", ".*150", settings=settings)
    assert plays(actions) == [GREETING + 28]


def test_prompts_last_to_their_last_sample():
    actions = play("S*50 .*600", ".*650")
    first, second, *_ = plays(actions)
    assert second - (first + PHRASE) == 125
