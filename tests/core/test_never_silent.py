"""No call falls silent: something is due, or it is named what is waited for, whatever is heard and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_fixtures.recipe import Recipe, load_all
from tests.tape import LATE, TapePlan, play, tape, transcript
from vad_agent import CallSession, Settings
from vad_agent.audio.recording_reader import open_call
from vad_agent.core import actions as act
from vad_agent.core.actions import Phase
from vad_agent.core.prompt_controller import PromptController
from vad_agent.trace.event_files import load_events
from vad_agent.trace.replay import Replay

GREETED = "S*50 .*30"
UNKNOWN = 600
"""`unknown_sound_s` in frames."""


def overlooked(session: CallSession) -> bool:
    """The session waits for nothing that it could name, and nothing will be due."""
    ended = session.phase is Phase.ENDED
    requested = session._call.request.open  # only a callback waits for nothing
    return not (ended or session.deadline or session.suspended or requested)


class Watched(CallSession):
    """A session that is looked at after each frame and event."""

    def feed(self, operator: Any, client: Any) -> Any:
        actions = super().feed(operator, client)
        assert not overlooked(self), f"frame {self.now}"
        return actions

    def signal(self, event: Any) -> Any:
        actions = super().signal(event)
        assert not overlooked(self), f"{event} at frame {self.now}"
        return actions


def watch(operator: str, client: str, events: Mapping[int, Any], mode: str) -> list[act.Action]:
    """`play`, looked at after each frame, event and report of the player."""
    return play(operator, client, events, mode=mode, session_type=Watched)


SCENES = st.lists(
    st.tuples(
        st.sampled_from([a + b for a in "S.n-" for b in "S.sn0mtd=-"]),
        st.sampled_from([1, 3, 5, 8, 20, 70, 180, 400, 900]),
    ),
    min_size=1,
    max_size=10,
)
KINDS = st.sampled_from(
    [
        *({"kind": kind, "party": party} for kind in ("hold", "unhold", "hangup")
          for party in ("client", "operator")),
        *({"kind": kind} for kind in (
            "ringing", "answered", "operator_mute", "operator_unmute", "pause", "resume",
            "client_cannot_hear", "goodbye", "prompt_failed",
        )),
        *({"kind": kind, "party": party} for kind in ("device_lost", "device_back")
          for party in ("client", "operator", "prompt")),
    ]
)  # fmt: skip
EVENTS = st.dictionaries(st.integers(0, 3000), KINDS, max_size=4)


@given(SCENES, EVENTS, st.sampled_from(["auto", "cue"]), st.booleans())
@settings(max_examples=250, deadline=None)
def test_something_is_due_or_it_is_named_what_is_waited_for(scenes, events, mode, greeted):
    first = GREETED if greeted else ""
    operator = first + "".join(pair[0] * count for pair, count in scenes)
    client = "." * 80 * greeted + "".join(pair[1] * count for pair, count in scenes)
    watch(operator, client, events, mode)


def test_a_ladder_that_stops_for_good_is_seen(monkeypatch):
    """As it once was: a word, found in the middle of the decision, disarmed the ladder behind it."""
    begin: Callable[[PromptController, int], None] = PromptController._begin_if_due

    def find_a_word(self: PromptController, now: int) -> None:
        if now == 265:
            self.client_heard(now)
        else:
            begin(self, now)

    monkeypatch.setattr(PromptController, "_begin_if_due", find_a_word)
    with pytest.raises(AssertionError, match="frame 265"):
        watch("S*50 .*950", ".*60 S*30 .*910", {}, "auto")


@pytest.mark.parametrize("detector", ["earshot", "network", "webrtcvad"])
@pytest.mark.parametrize("recipe", load_all(), ids=lambda recipe: recipe.name)
def test_with_the_real_endpointers(recipe: Recipe, detector: str):
    script = Settings(hearing={"detector": detector})
    first, *second = recipe.recordings
    log = load_events(recipe.events_path) if recipe.events else None
    with open_call(
        first,
        client_path=second[0] if second else None,
        client_channel="left" if recipe.left == "client" else None,
    ) as recording:
        session = Watched(script, recording.sample_rate, mode=recipe.mode)
        list(Replay(session, script, log.events if log else ()).run(recording))


# -- noise does not hold it back for ever --------------------------------------------------------------


@pytest.mark.parametrize(("mode", "due"), [("auto", UNKNOWN), ("cue", UNKNOWN)])
def test_a_noise_that_never_becomes_known_delays_a_step_by_twelve_seconds(mode, due):
    actions = play("S*50 .*50 S*30 .*1200", ".*60 S*30 .*40 n*1200", mode=mode)
    began = [a.frame for a in actions if isinstance(a, act.Play | act.Cue)]
    assert began[0] == 130 + due
    alerts = [a for a in actions if isinstance(a, act.Alert)]
    assert alerts[0].id == "unknown_sound"
    assert alerts[0].frame == began[0]


@pytest.mark.parametrize(("noise", "began"), [(599, 750), (600, 750), (601, 750), (80, 325)])
def test_a_noise_that_ends_before_delays_it_by_no_more_than_it_lasts(noise, began):
    """It is refused 16 frames after its end; the step is due 175 frames after the last word."""
    actions = play("S*50 .*50 S*50 .*1200", f".*60 S*30 .*60 n*{noise} .*{1200 - noise}")
    first = next(a.frame for a in actions if isinstance(a, act.Play))
    assert first == began


def test_the_whole_ladder_goes_through_a_noise_that_never_ends():
    actions = play("S*50 .*4000", ".*50 n*4000")
    said = [text for text in transcript(actions) if "said" in text or "callback" in text]
    assert said == [
        "750 greeting_again said after 600",
        "1450 not_heard said after 600",
        "2050 callback silence_after_greeting",
        "2150 farewell_after_greeting said after 600",
    ]


def test_an_operators_noise_that_never_becomes_known_is_no_words_of_his():
    actions = play("S*50 .*110 n*2000", ".*2160")
    assert "650 play greeting_again" in transcript(actions)
    assert not any("said_by_operator" in text for text in transcript(actions))


def test_a_phrase_that_never_ends_has_failed():
    plan = TapePlan()
    session = CallSession(plan, 8000)
    operator, client = tape("S*50 .*4000"), tape(".*4050")
    actions: list[act.Action] = []
    for pair in zip(operator, client, strict=True):
        for action in session.feed(*pair):
            actions.append(action)
            if isinstance(action, act.Play):
                actions += session.signal({"kind": "prompt_started", "prompt": action.prompt})
    assert transcript(actions)[1:5] == [
        "175 play greeting_again",
        "3175 stop greeting_again",
        "3175 greeting_again failed after 125",
        "3175 cue greeting_again",
    ]


def test_a_cue_that_nobody_says_asks_for_the_callback_in_the_end():
    """It stays shown; twelve seconds after its window the client is to be called back all the same."""
    actions = play("S*50 .*50 S*30 .*1200", ".*60 S*30 .*1240", mode="cue")
    assert transcript(actions)[2:] == [
        "270 cue not_heard_in_dialogue",
        "930 callback silence_in_dialogue",
        "1330 dismiss not_heard_in_dialogue",
        "1330 not_heard_in_dialogue missed after 1200",
        "1330 phase ended",
    ]


# -- noise interrupts once -----------------------------------------------------------------------------


def test_noise_stops_a_phrase_once_and_no_longer():
    thumps = " ".join(["n*12 .*60"] * 20)
    actions = play("S*50 .*50 S*50 .*1500", f".*60 S*30 .*60 .*190 {thumps} .*60")
    texts = transcript(actions)
    assert sum("interrupted" in text for text in texts) <= 1
    assert any("farewell_in_dialogue said" in text for text in texts)


def test_a_word_stops_a_phrase_however_often_noise_did():
    client = ".*60 S*30 .*60 .*190 n*12 .*190 S*60 .*200"
    texts = transcript(play("S*50 .*50 S*50 .*652", client))
    stopped = [text for text in texts if "interrupted" in text]
    # By noise, by the word 50 frames after it began, when it is known, and by the end.
    assert [text.split()[0] for text in stopped] == ["345", "592", "802"]


def test_the_operators_noise_stops_a_phrase_once_too():
    thumps = " ".join(["n*12 .*60"] * 20)
    operator = f"S*50 .*50 S*50 .*190 {thumps} .*60"
    texts = transcript(play(operator, ".*60 S*30 .*1750"))
    assert sum("interrupted" in text for text in texts) <= 1
    assert any("farewell_in_dialogue said" in text for text in texts)


# -- what is found late --------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [20, 60, 100])
def test_a_word_told_late_goes_on_with_the_row_of_a_dialogue(word):
    """«да», over when it is told: 3.5 s after its end the client is not heard."""
    actions = play("S*50 .*1200", f".*{50 + word} s*10 .*{1190 - word}")
    ended = 50 + word + 10
    assert transcript(actions)[1:4] == [
        f"{50 + word + LATE} phase dialogue",
        f"{ended + 175} play not_heard_in_dialogue",
        f"{ended + 275} not_heard_in_dialogue said after 175",
    ]


@given(st.lists(st.tuples(st.integers(5, 60), st.integers(1, 250)), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_words_found_late_lose_no_callback(words):
    client = ".*60 S*30 .*60" + "".join(f" s*{length} .*{pause}" for length, pause in words)
    total = len(tape(client))
    actions = play(f"S*50 .*50 S*50 .*{total + 1200 - 150}", f"{client} .*1200")
    assert any(isinstance(action, act.CallbackRequested) for action in actions)


# -- the end of a call ---------------------------------------------------------------------------------


def callbacks(actions: Iterable[act.Action]) -> list[str]:
    return [action.reason.value for action in actions if isinstance(action, act.CallbackRequested)]


BEFORE = "S*50 .*50 S*50", ".*60 S*30 .*60"
ENDS: dict[str, tuple[str, str, Mapping[int, Any], list[str]]] = {
    "in a silence whose phrase was said": (".*300", ".*300", {}, ["silence_in_dialogue"]),
    "in the first phrase": (".*200", ".*200", {}, ["silence_in_dialogue"]),
    "before any phrase was due": (".*170", ".*170", {}, []),
    "in a noise, the phrase being overdue": (".*250", ".*20 n*230", {}, ["silence_in_dialogue"]),
    "in a noise, no phrase being overdue": (".*190", ".*20 n*170", {}, []),
    "while the client holds": (".*300", ".*300", {200: "hold"}, ["client_hold"]),
    "in hold music": (".*300", ".*20 m*280", {}, ["client_hold"]),
    "while the operator holds": (
        ".*900", ".*900", {200: {"kind": "hold", "party": "operator"}}, [],
    ),
    "while he looks something up": (".*900", ".*900", {200: "pause"}, []),
    "where the client's leg is gone": (".*100", ".*20 -*80", {}, ["dropped"]),
    "where it has just stopped": (".*60", ".*20 -*40", {}, []),
    "where our own device is back, and has not given a frame yet": (
        ".*300", ".*20 -*280",
        {190: {"kind": "device_lost", "party": "client"},
         420: {"kind": "device_back", "party": "client"}}, [],
    ),
    "after the goodbye": (".*900", ".*900", {200: "goodbye"}, []),
    "in what is taken for the client, long unanswered": (
        ".*700", ".*20 S*680", {}, ["silence_in_dialogue"],
    ),
    "in the client's words, not long unanswered": (".*590", ".*20 S*570", {}, []),
}  # fmt: skip


@pytest.mark.parametrize("hangup", [False, True], ids=["recording", "hangup"])
@pytest.mark.parametrize(("operator", "client", "events", "due"), ENDS.values(), ids=ENDS)
def test_a_call_that_ends(operator, client, events, due, hangup):
    """However it ends, what is not resolved asks for its callback, and nothing else does."""
    operator, client = f"{BEFORE[0]} {operator}", f"{BEFORE[1]} {client}"
    last = len(tape(operator))
    hung_up = {last: {"kind": "hangup", "party": "operator"}} if hangup else {}
    assert callbacks(play(operator, client, {**events, **hung_up})) == due
