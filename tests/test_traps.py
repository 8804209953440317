"""What users of other systems reported: each trap, by its number, is a call in which ours must not fall.

On scripted tapes where the rule is the session's, on real sound where it is the endpointer's.
"""

from __future__ import annotations

import pytest

from audio_fixtures.recipe import load_all
from tests.goldens import lines
from tests.tape import PHRASE, TapePlan, play, tape, told, transcript
from vad_agent import CallSession, Settings
from vad_agent.audio.recording_reader import open_call
from vad_agent.core.actions import Alert, CallbackRequested, Hangup, Play, PromptDone
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import Channel
from vad_agent.detection.endpointer import Endpointer
from vad_agent.detection.neural_network import load
from vad_agent.detection.third_party_detectors import Earshot
from vad_agent.errors import FrameError

BEFORE = ("S*50 .*50", "S*30 .*70")  # 100 frames of a dialogue; the operator spoke last, until 50
FIXTURES = {recipe.name: recipe for recipe in load_all()}


def prompts(name):
    """(id, outcome) of each prompt in a fixture's replay."""
    trace = lines(FIXTURES[name])
    return [(line["id"], line["outcome"]) for line in trace if line["kind"] == "prompt"]


def test_trap_1_noise_neither_kills_the_timer_nor_re_arms_it():
    said = ["not_heard_in_dialogue", "farewell_in_dialogue"]
    for name in ("noisy_line", "breath_and_keys"):
        assert prompts(name) == [(prompt, "said") for prompt in said], name


def test_trap_1_a_click_in_the_silence_leaves_the_window_where_it_was():
    quiet = transcript(play("S*50 .*250", ".*300"))
    clicks = transcript(play("S*50 .*250", ".*90 S*3 .*30 S*4 .*10 S .*162"))
    assert quiet == clicks


def test_trap_2_silence_begins_when_the_last_sample_has_left():
    """A long phrase, and a player that reports its end late: the next one waits for both."""
    plan = TapePlan()
    session = CallSession(plan, 8000)
    actions = []

    def feed(operator, client):
        for pair in zip(tape(operator), tape(client), strict=True):
            actions.extend(session.feed(*pair))

    feed("S*50 .*125", ".*175")
    actions += session.signal({"kind": "prompt_started", "prompt": "greeting_again"})
    feed(".*2000", ".*2000")  # forty seconds of phrase
    assert [a.prompt for a in actions if isinstance(a, Play)] == ["greeting_again"]
    actions += session.signal({"kind": "prompt_ended", "prompt": "greeting_again"})
    feed(".*124", ".*124")
    assert len([a for a in actions if isinstance(a, Play)]) == 1
    feed(".", ".")
    assert [a.prompt for a in actions if isinstance(a, Play)] == ["greeting_again", "not_heard"]


@pytest.mark.parametrize("gap", [1, 10, 49, 50, 400])
def test_trap_3_frames_that_do_not_come_are_not_silence(gap):
    """No prompt while they are missing, and after a second of it the clock begins anew."""
    actions = play(f"{BEFORE[0]} .*{600 + gap}", f"{BEFORE[1]} .*100 -*{gap} .*500")
    first = next(a for a in actions if isinstance(a, Play))
    missing = range(200, 200 + gap)
    assert first.frame not in missing
    assert first.frame == (225 if gap < 25 else 250 if gap == 49 else 200 + gap + 1 + 175)


def test_trap_3_the_detector_does_not_stay_in_speaking_when_frames_stop():
    recipe = FIXTURES["long_dialogue"]
    endpointer = Settings().endpointer(Channel.CLIENT, 8000)
    with open_call(next(iter(recipe.recordings))) as recording:
        for _, client in recording:
            endpointer.feed(client)
            if endpointer.speaking:
                break
    for _ in range(20):
        endpointer.feed(None)
    assert not endpointer.speaking


def test_trap_4_the_farewell_is_not_cut_by_the_end_of_the_call():
    actions = play("S*50 .*800", ".*850")
    farewell = [a for a in actions if isinstance(a, PromptDone)][-1]
    hangup = next(a for a in actions if isinstance(a, Hangup))
    assert farewell.ended - farewell.started == PHRASE
    assert hangup.frame == farewell.ended
    assert actions.index(farewell) < actions.index(hangup)


def test_trap_4_a_farewell_that_nobody_heard_is_not_logged_as_said():
    plan = TapePlan()
    session = CallSession(plan, 8000)
    actions = []
    for pair in zip(tape("S*50 .*125"), tape(".*175"), strict=True):
        actions += session.feed(*pair)
    actions += session.signal({"kind": "prompt_failed", "prompt": "greeting_again"})
    assert [told(a) for a in actions][-2:] == [
        "greeting_again failed after 125",
        "cue greeting_again",
    ]


def test_trap_5_the_echo_of_the_own_prompt_is_not_the_client():
    assert prompts("echo_of_prompts") == [
        ("not_heard_in_dialogue", "said"),
        ("farewell_in_dialogue", "said"),
    ]


def test_trap_6_no_prompt_over_the_operators_look_up():
    assert prompts("lookup_paused") == []


def test_trap_6_no_prompt_over_a_client_who_listens():
    """The operator explains for half a minute; the client says nothing, and is not asked."""
    actions = play(f"{BEFORE[0]} S*1500 .*100", f"{BEFORE[1]} .*1600")
    assert not [a for a in actions if isinstance(a, Play)]


def test_trap_7_a_very_short_yes_is_an_answer():
    assert prompts("short_yes")
    outcomes = {outcome for _, outcome in prompts("short_yes")}
    assert "phase dialogue" in FIXTURES["short_yes"].expect
    assert outcomes <= {"said", "interrupted"}


def test_trap_7_no_warm_up_swallows_the_first_word():
    """«Да» in the very first frames of the call, before any noise floor is known."""
    answers = [s for s in FIXTURES["short_yes"].sounds if s.channel == "client"]
    clip = min(answers, key=lambda sound: sound.end - sound.at)
    heard = Settings().endpointer(Channel.CLIENT, 8000)
    with open_call(next(iter(FIXTURES["short_yes"].recordings))) as recording:
        for index, (_, client) in enumerate(recording):
            if index >= clip.at:
                heard.feed(client)
            if index >= clip.end + 30:
                break
    assert heard.utterances >= 1
    assert heard.start <= 3


def test_trap_8_a_detector_that_dies_does_not_hang_up_on_a_speaking_client():
    class Dies:
        threshold = 0.5

        def probability(self, frame: bytes) -> float:
            raise RuntimeError("no more")

    class Plan:
        script = Settings().script

        def endpointer(self, channel: Channel, sample_rate: int) -> EndpointerPort:
            detector = Dies() if channel is Channel.CLIENT else Earshot()
            return Endpointer(sample_rate, detector=detector, network=load())

    session = CallSession(Plan(), 8000)
    actions = []
    with open_call(next(iter(FIXTURES["long_dialogue"].recordings))) as recording:
        for operator, client in recording:
            actions += session.feed(operator, client)
    assert [a.id for a in actions if isinstance(a, Alert)] == ["client_detector_failed"]
    assert not [a for a in actions if isinstance(a, Hangup)]


def test_trap_9_comfort_noise_is_silence():
    for name in ("greeting_silence", "noisy_line", "dialogue_silence"):
        assert [outcome for _, outcome in prompts(name)].count("said") >= 2, name


@pytest.mark.parametrize(
    ("begin", "end"),
    [("pause", "resume"), ("operator_mute", "operator_unmute"), ("hold", "unhold")],
)
def test_trap_10_nothing_stale_fires_when_a_pause_ends(begin, end):
    events = {200: begin, 1200: end}
    actions = play(f"{BEFORE[0]} .*1500", f"{BEFORE[1]} .*1500", events)
    assert next(a.frame for a in actions if isinstance(a, Play)) == 1375


def test_trap_10_a_name_that_becomes_known_is_in_the_very_next_phrase():
    events = {224: {"kind": "client_name", "name": "Анна"}}
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300", events)
    assert next(a for a in actions if isinstance(a, Play)).text == "Анна, вас не слышно"


def test_trap_11_time_to_think_is_a_setting_and_a_dead_line_is_not_given_it():
    assert prompts("thinking_patient") == []
    assert prompts("thinking_default") == [("not_heard_in_dialogue", "interrupted")]
    assert prompts("dialogue_line_dead")[0] == ("not_heard_in_dialogue", "said")


@pytest.mark.parametrize("at", [0, 1, 5, 30, 60, 175, 176, 230, 276, 400, 676])
@pytest.mark.parametrize("party", ["client", "operator"])
def test_trap_12_a_call_that_ends_early_has_no_negative_times(at, party):
    hangup = {"kind": "hangup", "party": party}
    for mode in ("auto", "cue"):
        for action in play("S*50 .*700", ".*750", {at: hangup}, mode=mode):
            if isinstance(action, PromptDone):
                assert action.silence >= 0
                assert action.started is None or action.ended >= action.started


def test_trap_13_however_often_the_end_is_told_there_is_one_callback():
    hangup = {"kind": "hangup", "party": "client"}
    plan = TapePlan()
    session = CallSession(plan, 8000)
    actions = []
    for pair in zip(tape("S*50 .*50"), tape("S*30 .*70"), strict=True):
        actions += session.feed(*pair)
    for _ in range(3):
        actions += session.signal(hangup)
        actions += session.feed(None, None)
    assert len([a for a in actions if isinstance(a, CallbackRequested)]) == 1
    assert len([a for a in actions if isinstance(a, Hangup)]) == 1


def test_trap_14_one_detector_per_channel_and_call():
    """Two calls fed in turns decide as each alone does."""
    recordings = [next(iter(FIXTURES[n].recordings)) for n in ("long_dialogue", "greeting_silence")]
    pairs = []
    for path in recordings:
        with open_call(path) as recording:
            pairs.append(list(recording)[:1000])
    alone = []
    for one in pairs:
        session = CallSession(Settings(), 8000)
        alone.append([a for pair in one for a in session.feed(*pair)])
    sessions = [CallSession(Settings(), 8000) for _ in pairs]
    together = [[], []]
    for both in zip(*pairs, strict=True):
        for session, actions, pair in zip(sessions, together, both, strict=True):
            actions += session.feed(*pair)
    assert together == alone


def test_half_a_frame_is_not_judged_in_silence():
    """The detector's own trap: it takes an array of int16 and judges half of it."""
    session = CallSession(Settings(), 8000)
    with pytest.raises(FrameError, match="expected 320 bytes"):
        session.feed(bytes(320), bytes(160))
    with pytest.raises(FrameError, match="memoryview of bytes"):
        session.feed(bytes(320), memoryview(bytes(320)).cast("h"))
    assert session.now == 0
