"""When a call is on, though nobody tells it.

Drawings: see `tests.tape` and, for real endpointers, `endpointer_tape`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.detection.endpointer_tape import clip, draw, noise
from tests.tape import ScriptedEndpointer, TapePlan, tape, transcript
from vad_agent import CallSession, Event, Settings
from vad_agent.audio.recording_reader import open_call
from vad_agent.client.headset_protocol import Command
from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, Phase, Reason
from vad_agent.core.frames import Channel
from vad_agent.headset.call_start_detector import BEFORE, KEPT, SOON
from vad_agent.headset.call_tracker import REGRET, SETTLES, UNUSED, CallTracker

FIXTURES = Path(__file__).parents[2] / "audio_fixtures"
RATE = 8_000
DROPPED = ["callback dropped", "hangup dropped", "phase ended"]
UNCONFIRMED = ["callback unconfirmed", "phase ended"]
GREETING = ".*100 S*75 .*25", "0*100 .*100"
"""The operator greets on a line that was dead."""
DIALOGUE = ".*75 S*75 .*25", "S*75 .*100"


class NewEndpointers(TapePlan):
    """Scripted endpointers, new ones for each call."""

    def endpointer(self, channel: Channel, sample_rate: int) -> ScriptedEndpointer:
        return ScriptedEndpointer()


class Headset:
    """A desk, all that it said, and all sessions that it made."""

    def __init__(self, policy: str = "auto", plan: TapePlan | Settings | None = None) -> None:
        plan = plan or NewEndpointers()
        self.sessions: list[CallSession] = []

        def make() -> CallSession:
            self.sessions.append(CallSession(plan, RATE))
            return self.sessions[-1]

        self.tracker = CallTracker(plan, RATE, policy=policy, make_session=make)
        self.said: list[act.Action] = []

    def feed_tape(self, operator: str, client: str) -> list[act.Action]:
        return self.feed(zip(tape(operator), tape(client), strict=True))

    def feed(self, pairs: Iterable[tuple[bytes | None, bytes | None]]) -> list[act.Action]:
        actions: list[act.Action] = []
        for pair in pairs:
            actions += self.tracker.feed(*pair)
        return self._note(actions)

    def tell(self, kind: str, **fields: object) -> list[act.Action]:
        return self._note(self.tracker.signal(Event.parse({"kind": kind, **fields})))

    def press(self, command: Command) -> list[act.Action]:
        return self._note(self.tracker.command(command))

    def _note(self, actions: Sequence[act.Action]) -> list[act.Action]:
        self.said += actions
        return list(actions)

    @property
    def on(self) -> bool:
        return self.tracker.session is not None


def what(actions: Iterable[act.Action]) -> list[str]:
    """A transcript without frames."""
    return [line.partition(" ")[2] for line in transcript(actions)]


def in_dialogue(policy: str = "auto") -> Headset:
    """A call that began by a guess and has come to the dialogue."""
    headset = Headset(policy)
    headset.feed_tape(*GREETING)
    headset.feed_tape(*DIALOGUE)
    assert headset.tracker.session is not None
    assert headset.tracker.session.phase is Phase.DIALOGUE
    return headset


# -- a call begins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle", "state"),
    [
        ("0*200", LineState.DIGITAL_ZERO),
        ("z*200", LineState.DIGITAL_ZERO),
        (",*200", LineState.QUIET),
        ("-*200", LineState.NO_MEDIA),
    ],
)
def test_a_greeting_on_an_idle_line_begins_a_call(idle: str, state: LineState):
    headset = Headset(plan=Settings())
    headset.feed(zip(noise(200), draw(idle), strict=True))
    assert not headset.on
    assert headset.tracker.line(Channel.CLIENT) is state
    greeting = clip("woman_long")
    headset.feed(zip(greeting, noise(len(greeting)), strict=True))
    assert headset.on
    assert headset.tracker.guessed
    headset.feed(zip(noise(50), noise(50), strict=True))
    runs = [action for action in headset.said if isinstance(action, act.Speech)]
    assert runs[0].channel is Channel.OPERATOR
    assert abs(runs[0].start - BEFORE) <= 3


def test_the_greeting_lies_in_the_session_half_a_second_after_its_beginning():
    headset = Headset()
    headset.feed_tape(*GREETING)
    [run] = [action for action in headset.said if isinstance(action, act.Speech)]
    assert (run.start, run.end) == (BEFORE, BEFORE + 75)
    session = headset.tracker.session
    assert session is not None
    assert session.now == BEFORE + 75 + 25


def test_a_greeting_of_one_word_is_one():
    headset = Headset()
    headset.feed_tape(".*100 S*20 .*40", "0*100 .*60")
    [run] = [action for action in headset.said if isinstance(action, act.Speech)]
    assert headset.on
    assert (run.start, run.end) == (BEFORE, BEFORE + 20)


def test_the_backlog_asks_for_no_phrase():
    headset = Headset()
    headset.feed_tape(".*100 S*75 .*16", "0*191")
    assert headset.on
    assert not any(isinstance(action, act.Play) for action in headset.said)


def test_the_recorded_greeting_and_what_follows_are_the_recordings_own():
    path = FIXTURES / "greeting_silence.flac"
    with open_call(path) as call:
        assert call.sample_rate == RATE
        pairs = list(islice(call, 1000))
    headset = Headset(plan=Settings())
    zero = bytes(320)
    headset.feed([(zero, zero)] * 100 + pairs)
    assert len(headset.sessions) == 1
    alone = CallSession(Settings(), RATE)
    expected = [action for pair in pairs for action in alone.feed(*pair)]
    shift = alone.now - headset.sessions[0].now
    own = [a for a in headset.said if isinstance(a, act.Play | act.Speech)]
    theirs = [a for a in expected if isinstance(a, act.Play | act.Speech)]
    assert own
    assert len(own) == len(theirs)
    for one, two in zip(own, theirs, strict=True):
        assert type(one) is type(two)
        assert abs(one.frame + shift - two.frame) <= 2


def test_none_begins_while_the_clients_line_is_live():
    headset = Headset()
    headset.feed_tape(".*600 S*75 .*25", "0*60 .*640")
    assert not headset.on


def test_none_begins_by_speech_that_was_there_before_the_line_was_idle():
    headset = Headset()
    headset.feed_tape("S*200 .*40", "0*240")
    assert not headset.on


def test_none_begins_by_the_client():
    headset = Headset()
    headset.feed_tape(".*300", "0*100 S*150 .*50")
    assert not headset.on


@pytest.mark.parametrize("policy", ["events", "manual"])
def test_only_auto_guesses(policy: str):
    headset = Headset(policy)
    headset.feed_tape(*GREETING)
    assert not headset.on


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(ValueError, match="policy"):
        CallTracker(NewEndpointers(), RATE, policy="often", mode="auto")


@pytest.mark.parametrize("policy", ["auto", "events", "manual"])
def test_a_key_begins_one_in_any_policy_and_it_is_no_guess(policy: str):
    headset = Headset(policy)
    headset.feed_tape(".*100", "0*100")
    headset.press(Command.START_CALL)
    assert headset.tracker.session is not None
    assert headset.tracker.session.now == BEFORE
    assert not headset.tracker.guessed
    assert headset.press(Command.START_CALL) == []
    assert len(headset.sessions) == 1


# -- call control -----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["auto", "events"])
@pytest.mark.parametrize("kind", ["ringing", "answered"])
def test_an_event_begins_one(policy: str, kind: str):
    headset = Headset(policy)
    assert what(headset.tell(kind)) == ["phase greeting"]
    assert headset.on
    assert not headset.tracker.guessed


def test_without_a_call_other_events_do_nothing_and_manual_heeds_none():
    headset = Headset()
    assert headset.tell("hold") == headset.tell("hangup") == headset.tell("unhold") == []
    manual = Headset("manual")
    assert manual.tell("ringing") == manual.tell("answered") == []
    assert not manual.on
    manual.press(Command.START_CALL)
    assert what(manual.tell("hold", party="client")) == ["phase greeting", "phase on_hold"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ringing", {}),
        ("answered", {}),
        ("hold", {"call_id": "7"}),
        ("unhold", {"seq": 3}),
        ("hangup", {"cause": "16"}),
        ("hangup", {"ts": "2026-01-31T12:00:00+03:00"}),
    ],
)
def test_events_from_outside_stop_guessing_for_good(kind: str, fields: dict[str, object]):
    headset = Headset()
    headset.tell(kind, **fields)
    headset.press(Command.END_CALL)
    headset.feed_tape(*GREETING)
    assert not headset.on


def test_the_operators_own_keys_do_not():
    headset = in_dialogue()
    headset.tell("hold", party="client")
    headset.tell("unhold", party="client")
    headset.tell("hangup", party="client")
    assert not headset.on
    headset.feed_tape(*GREETING)
    assert headset.on


def test_another_call_that_rings_leaves_this_one_alone():
    """Somebody knocks; when he gives up, it is not this call that has ended."""
    headset = Headset()
    headset.tell("ringing", call_id="1")
    headset.tell("answered", call_id="1")
    assert headset.tell("ringing", call_id="2") == []
    assert headset.tell("hangup", call_id="2", party="client") == []
    assert headset.on
    assert len(headset.sessions) == 1


def test_another_call_that_is_answered_ends_one_that_nobody_hung_up():
    headset = Headset()
    headset.tell("answered", call_id="1")
    headset.tell("ringing", call_id="2")
    assert what(headset.tell("answered", call_id="2")) == ["phase ended", "phase greeting"]
    assert len(headset.sessions) == 2
    assert headset.sessions[0].phase is Phase.ENDED


def test_another_call_that_is_answered_on_hold_is_not_this_one():
    headset = Headset()
    headset.tell("answered", call_id="1")
    headset.tell("hold", call_id="1", party="client")
    assert headset.tell("answered", call_id="2") == []
    assert len(headset.sessions) == 1


def test_another_call_that_rings_takes_the_place_of_one_that_only_rang():
    headset = Headset()
    headset.tell("ringing", call_id="1")
    headset.tell("ringing", call_id="2")
    assert len(headset.sessions) == 2


@pytest.mark.parametrize("fields", [{}, {"call_id": "1"}])
def test_ringing_that_is_told_often_is_one_call(fields: dict[str, object]):
    headset = Headset()
    for kind in ("ringing", "ringing", "ringing", "answered"):
        headset.tell(kind, **fields)
    assert len(headset.sessions) == 1


def test_ringing_told_late_of_the_same_call_is_no_other():
    headset = Headset()
    for kind in ("ringing", "answered", "ringing"):
        headset.tell(kind, call_id="1")
    assert len(headset.sessions) == 1


# -- a call ends ------------------------------------------------------------------------------------


def test_a_key_ends_it_well_and_a_new_guess_needs_an_idle_line_anew():
    headset = in_dialogue()
    assert what(headset.press(Command.END_CALL)) == ["phase ended"]
    assert not headset.on
    assert not headset.tracker.guessed
    headset.feed_tape(".*60 S*75 .*25", ".*160")
    assert not headset.on
    headset.feed_tape(*GREETING)
    assert headset.on


def test_a_line_dead_after_goodbye_ends_it_well():
    headset = in_dialogue()
    headset.tell("goodbye")
    assert what(headset.feed_tape(".*650", "0*650")) == ["phase ended"]
    assert not headset.on
    assert headset.tracker.guessed


def test_nobody_is_hung_up_on_by_a_dead_line_while_the_operator_speaks():
    headset = in_dialogue()
    headset.feed_tape("S*1000", "0*1000")
    assert headset.on


@pytest.mark.parametrize("kind", ["pause", "operator_mute"])
def test_nor_while_the_clock_stands_still(kind: str):
    headset = in_dialogue()
    headset.tell(kind)
    headset.feed_tape(".*1000", "0*1000")
    assert headset.on


def test_nor_before_the_operator_has_greeted():
    headset = Headset()
    headset.press(Command.START_CALL)
    headset.feed_tape(".*1000", "0*1000")
    assert headset.on


def test_a_line_that_dies_in_the_dialogue_is_the_scripts_to_treat():
    headset = in_dialogue()
    headset.feed_tape(".*250", "0*250")
    assert headset.on
    assert "play not_heard_in_dialogue" in what(headset.said)


def test_a_softphone_that_plays_no_more_in_the_dialogue_leaves_the_callback_unconfirmed():
    headset = in_dialogue()
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{UNUSED - 1}", f".*{UNUSED - 1}")
    assert headset.on
    headset.feed_tape(".", ".")
    assert what(headset.said)[-2:] == UNCONFIRMED
    assert not headset.on
    assert headset.tracker.guessed
    assert "callback withdrawn unconfirmed" in what(headset.press(Command.UNDO))


def test_where_the_client_was_never_heard_it_is_a_drop():
    headset = Headset()
    headset.feed_tape(*GREETING)
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert what(headset.said)[-3:] == DROPPED


def test_a_goodbye_is_undone_before_anything_else():
    headset = in_dialogue()
    headset.tell("goodbye")
    assert headset.tracker.goodbye
    assert headset.press(Command.UNDO) == []
    assert headset.on  # the call's beginning was not undone
    assert not headset.tracker.goodbye
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert what(headset.said)[-2:] == UNCONFIRMED


def test_a_softphone_that_plays_no_more_after_goodbye_is_the_end():
    headset = in_dialogue()
    headset.tell("goodbye")
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert what(headset.said)[-1:] == ["phase ended"]
    assert not headset.on


def test_a_softphone_that_soon_plays_again_is_in_the_call():
    headset = in_dialogue()
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{UNUSED - 1}", f".*{UNUSED - 1}")
    headset.tracker.line_in_use(True)
    headset.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert headset.on


@pytest.mark.parametrize("order", ["changed first", "unused first"])
def test_after_a_change_of_outputs_the_streams_have_time_to_come_back(order: str):
    headset = in_dialogue()
    headset.tell("goodbye")  # else the ladder ends the call
    if order == "unused first":
        headset.tracker.line_in_use(False)
    headset.tracker.outputs_changed()
    if order == "changed first":
        headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{SETTLES - 1}", f".*{SETTLES - 1}")
    assert headset.on
    headset.feed_tape(".*2", ".*2")
    assert not headset.on


def test_after_a_change_of_outputs_a_dead_line_is_counted_anew():
    headset = in_dialogue()
    headset.tell("goodbye")
    headset.feed_tape(f".*{SETTLES}", f"0*{SETTLES}")
    headset.tracker.outputs_changed()
    headset.feed_tape(f".*{SETTLES - 50}", f"0*{SETTLES - 50}")
    assert headset.on
    headset.feed_tape(".*150", "0*150")
    assert not headset.on


def test_a_softphone_cannot_play_into_a_device_that_is_gone():
    headset = in_dialogue()
    headset.tell("device_lost", party="client")
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{3 * SETTLES}", f"-*{3 * SETTLES}")
    assert headset.on


def test_on_hold_or_where_events_tell_or_without_a_call_it_means_nothing():
    none = Headset()
    none.tracker.line_in_use(False)
    none.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert none.said == []
    held = in_dialogue()
    held.tell("hold", party="client")
    held.tracker.line_in_use(False)
    held.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert held.on
    told = Headset()
    told.tell("answered")
    told.tracker.line_in_use(False)
    told.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    assert told.on


# -- a wrong guess ----------------------------------------------------------------------------------


def test_a_beginning_is_undone():
    headset = Headset()
    headset.feed_tape(*GREETING)
    assert what(headset.press(Command.UNDO)) == ["phase ended"]
    assert not headset.on
    assert not headset.tracker.guessed
    assert headset.press(Command.UNDO) == []


def test_with_the_callback_it_had_asked_for():
    headset = in_dialogue()
    headset.tell("client_cannot_hear")
    assert what(headset.press(Command.UNDO)) == [
        "callback withdrawn client_cannot_hear",
        "phase ended",
    ]


def test_and_the_phrase_it_had_asked_for():
    headset = Headset()
    headset.feed_tape(*GREETING)
    headset.feed_tape(".*110", ".*110")
    assert isinstance(headset.said[-1], act.Play)
    assert [line.split()[0] for line in what(headset.press(Command.UNDO))] == ["stop", "phase"]


def test_a_beginning_is_undone_within_a_minute():
    headset = in_dialogue()
    headset.feed_tape(".*10 S*30 " * 80, ".*3200")
    assert headset.on
    assert not headset.tracker.guessed
    assert headset.press(Command.UNDO) == []


def test_a_beginning_told_by_a_key_or_event_is_not_undone():
    headset = Headset()
    headset.press(Command.START_CALL)
    assert headset.press(Command.UNDO) == []
    assert headset.on


def end_by_silence(headset: Headset) -> None:
    """No media for 10 s: the session ends itself."""
    assert what(headset.feed_tape(".*600", "-*600"))[-3:] == DROPPED


def test_an_end_is_undone_and_the_call_goes_on_in_the_dialogue():
    headset = in_dialogue()
    headset.tell("client_name", name="Анна")
    end_by_silence(headset)
    assert headset.tracker.guessed
    assert not headset.on
    told = what(headset.press(Command.UNDO))
    assert "callback withdrawn dropped" in told
    assert told[-1] == "phase dialogue"
    assert headset.on
    assert not headset.tracker.guessed
    headset.feed_tape(".*200", ".*200")
    [play] = [a for a in headset.said if isinstance(a, act.Play) and "Анна" in a.text][:1]
    assert play.prompt == "not_heard_in_dialogue"


def test_an_agreed_callback_outlives_the_undoing():
    headset = in_dialogue()
    headset.tell("callback_agreed", at="2026-01-31T12:00:00+03:00")
    headset.feed_tape(".*600", "-*600")
    assert headset.tracker.guessed
    told = headset.press(Command.UNDO)
    assert not any(isinstance(action, act.CallbackWithdrawn) for action in told)


def test_a_client_who_cannot_hear_is_still_called_back_after_the_undoing():
    headset = in_dialogue()
    headset.tell("client_cannot_hear")
    headset.tracker.line_in_use(False)
    headset.feed_tape(f".*{UNUSED}", f".*{UNUSED}")
    told = headset.press(Command.UNDO)
    callbacks = [a.reason for a in told if isinstance(a, act.CallbackRequested)]
    assert callbacks == [Reason.CLIENT_CANNOT_HEAR]


def test_an_end_is_undone_within_a_minute():
    headset = in_dialogue()
    end_by_silence(headset)
    headset.feed_tape(f".*{REGRET}", f".*{REGRET}")
    assert not headset.tracker.guessed
    assert headset.press(Command.UNDO) == []


def test_an_end_that_was_told_or_climbed_to_is_not_undone():
    told = in_dialogue()
    told.tell("hangup", party="client")
    assert not told.on
    assert told.press(Command.UNDO) == []


# -- what outlives a call ---------------------------------------------------------------------------


def test_what_stands_reaches_the_next_call_after_its_backlog():
    headset = Headset()
    headset.tell("device_lost", party="prompt")
    headset.tell("player_ready", latency_s=0.2)
    headset.tell("player_ready", latency_s=0.1)
    headset.feed_tape(*GREETING)
    assert "alert prompt_device_lost" in what(headset.said)
    headset.press(Command.END_CALL)
    told = what(headset.press(Command.START_CALL))
    assert "alert prompt_device_lost" in told
    assert [event.latency_s for event in headset.tracker.standing.values()] == [None, 0.1]


def test_what_is_over_does_not():
    headset = Headset()
    headset.tell("device_lost", party="prompt")
    headset.tell("device_back", party="prompt")
    assert not headset.tracker.standing
    assert what(headset.press(Command.START_CALL)) == []


def test_without_a_call_the_surface_sees_who_speaks_and_what_the_lines_carry():
    headset = Headset("manual")
    headset.feed_tape(".*40 S*60", "0*100")
    assert headset.tracker.speaking(Channel.OPERATOR)
    assert not headset.tracker.speaking(Channel.CLIENT)
    assert headset.tracker.line(Channel.CLIENT) is LineState.DIGITAL_ZERO


def test_a_hundred_calls_leave_nothing_behind():
    headset = Headset()
    sessions: list[weakref.ref[CallSession]] = []
    for _ in range(100):
        headset.feed_tape(*GREETING)
        headset.feed_tape(*DIALOGUE)
        assert headset.tracker.session is not None
        sessions.append(weakref.ref(headset.tracker.session))
        headset.press(Command.END_CALL)
        assert not headset.on
    assert len(headset.sessions) == 100
    headset.sessions.clear()
    headset.said.clear()
    gc.collect()
    assert not any(session() for session in sessions)
    assert not headset.tracker.standing


# -- to the frame, and at random --------------------------------------------------------------------


class Doubting(ScriptedEndpointer):
    """Takes back what lasted less than a second."""

    def _close(self) -> None:
        if self.sure:
            super()._close()
        else:
            self.speaking = False


class DoubtingEndpointers(TapePlan):
    """Endpointers that know noise, new ones for each call."""

    def endpointer(self, channel: Channel, sample_rate: int) -> ScriptedEndpointer:
        return Doubting()


def test_noise_that_is_taken_back_begins_nothing():
    headset = Headset(plan=DoubtingEndpointers())
    headset.feed_tape(".*100 S*20 .*80 S*20 .*80", "0*300")
    assert not headset.on
    headset.feed_tape("S*60", "0*60")
    assert headset.on


def test_the_first_phrase_falls_in_its_window_after_the_greetings_true_end():
    headset = Headset()
    headset.feed_tape(".*100 S*75 .*130", "0*100 .*205")
    [play] = [action for action in headset.said if isinstance(action, act.Play)]
    assert play.prompt == "greeting_again"
    assert play.frame == BEFORE + 75 + 125


@pytest.mark.parametrize(("after", "begins"), [(SOON - 10, True), (SOON + 10, False)])
def test_a_greeting_comes_soon_after_the_idle_line_or_is_none(after: int, begins: bool):
    headset = Headset()
    headset.feed_tape(f".*{100 + after} S*60", f"0*100 .*{after + 60}")
    assert headset.on is begins


def test_after_ten_minutes_idle_the_greeting_still_lies_in_the_call():
    headset = Headset()
    headset.feed_tape(".*30000 S*75 .*25", "0*30000 .*100")
    [run] = [action for action in headset.said if isinstance(action, act.Speech)]
    assert (run.start, run.end) == (BEFORE, BEFORE + 75)


def test_a_dead_line_while_the_ladder_runs_goes_the_ladders_way():
    headset = in_dialogue()
    for prompt in ("not_heard_in_dialogue", "farewell_in_dialogue"):
        headset.feed_tape(".*120", "0*120")
        while not any(isinstance(a, act.Play) and a.prompt == prompt for a in headset.said):
            headset.feed_tape(".", "0")
        headset.tell("prompt_started")
        headset.feed_tape(".*100", "0*100")
        headset.tell("prompt_ended")
    assert what(headset.said)[-2:] == ["hangup silence_in_dialogue", "phase ended"]
    assert not headset.tracker.guessed


def test_a_busy_tone_was_none_and_the_call_goes_on_with_the_clients_name():
    headset = in_dialogue()
    headset.tell("client_name", name="Анна")
    busy = "t*18 .*17 " * 6
    headset.feed_tape(".*210", busy)
    assert not headset.on
    assert headset.tracker.guessed
    assert "callback withdrawn dropped" in what(headset.press(Command.UNDO))
    headset.feed_tape(".*180", ".*180")
    assert len(headset.sessions) == 2
    play = [action for action in headset.said if isinstance(action, act.Play)][-1]
    assert play.frame == 175  # of the new session
    assert play.text == "Анна, вас не слышно"


def test_a_guessed_call_is_the_one_that_is_told_to_be_answered():
    headset = Headset()
    headset.feed_tape(*GREETING)
    for kind in ("answered", "ringing"):
        headset.tell(kind, call_id="7")
    assert len(headset.sessions) == 1


KINDS = [
    *("ringing", "answered", "hold", "unhold", "hangup", "operator_mute", "operator_unmute"),
    *("pause", "resume", "client_name", "client_cannot_hear", "callback_agreed", "goodbye"),
    *("goodbye_undone", "line_gone"),
    *("prompt_started", "prompt_ended", "prompt_failed", "source_ended"),
]
FIELDS = st.sampled_from(
    [{}, {"call_id": "1"}, {"call_id": "2"}, {"party": "operator"}, {"name": "Анна"}]
)
DEVICE = st.sampled_from(["operator", "client", "prompt"]).map(lambda party: {"party": party})
EVENTS = st.one_of(
    st.tuples(st.sampled_from(KINDS), FIELDS),
    st.tuples(st.sampled_from(["device_lost", "device_back"]), DEVICE),
    st.just(("player_ready", {"latency_s": 0.1})),
)
COMMANDS = st.sampled_from([Command.START_CALL, Command.END_CALL, Command.UNDO])
LETTERS = st.sampled_from("S.0mtd-")
FRAMES = st.tuples(LETTERS, LETTERS, st.sampled_from([1, 20, 60, 130, 600]))


@given(
    st.sampled_from(["auto", "events", "manual"]),
    st.lists(st.one_of(EVENTS, COMMANDS, FRAMES, FRAMES, st.booleans()), max_size=25),
)
def test_whatever_comes_a_call_that_has_ended_is_not_on(policy: str, steps: list[object]):
    headset = Headset(policy)
    for step in steps:
        match step:
            case bool():
                headset.tracker.line_in_use(step)
            case Command():
                headset.press(step)
            case (str(kind), dict(fields)):
                headset.tell(kind, **fields)
            case (operator, client, count):
                headset.feed_tape(f"{operator}*{count}", f"{client}*{count}")
        session = headset.tracker.session
        assert session is None or session.phase is not Phase.ENDED
        assert len(headset.tracker._standby.last(10 * KEPT)) <= KEPT
        assert len(headset.tracker.standing) <= 4
    assert all(
        s is headset.tracker.session for s in headset.sessions if s.phase is not Phase.ENDED
    ) or (
        Command.UNDO in steps  # a beginning that was none is left as it is
    )


# -- between two calls ------------------------------------------------------------------------------


def ended() -> Headset:
    """A call was ended by the operator's key; the line is dead."""
    headset = in_dialogue()
    headset.press(Command.END_CALL)
    headset.feed_tape(".*150", "0*150")
    assert not headset.on
    return headset


def test_a_chat_after_a_call_is_no_call():
    headset = ended()
    for _ in range(4):
        headset.feed_tape("S*100 .*60", "0*160")
    assert len(headset.sessions) == 1


def test_a_call_soon_after_one_begins_once_something_plays():
    headset = ended()
    headset.feed_tape(".*100", "0*30 .*70")
    headset.feed_tape("S*75 .*25", ".*100")
    assert len(headset.sessions) == 2


def test_a_greeting_on_a_line_that_stays_dead_counts_later():
    headset = ended()
    headset.feed_tape(".*1500", "0*1500")
    headset.feed_tape("S*75 .*25", "0*100")
    assert len(headset.sessions) == 2


def test_after_a_beginning_that_was_none_words_alone_begin_nothing():
    headset = Headset()
    headset.feed_tape(*GREETING)
    headset.press(Command.UNDO)
    headset.feed_tape(".*3000", "0*3000")
    headset.feed_tape("S*75 .*25", "0*100")
    assert not headset.on


def test_a_phone_that_rings_for_long_is_still_idle():
    headset = Headset()
    headset.feed_tape(".*100", "0*100")
    headset.feed_tape(".*1500", "t*1500")
    assert not headset.on
    headset.feed_tape(".*100 S*75 .*25", ".*200")
    assert headset.on


def test_a_client_who_speaks_first_is_in_the_call():
    headset = Headset()
    headset.feed_tape(".*100 .*60 .*100 S*75 .*25", "0*100 S*60 .*200")
    session = headset.tracker.session
    assert session is not None
    assert session.phase is Phase.DIALOGUE


def test_a_key_after_the_greeting_takes_the_greeting_in():
    headset = Headset("manual")
    headset.feed_tape(".*100 S*75 .*40", "0*215")
    headset.press(Command.START_CALL)
    session = headset.tracker.session
    assert session is not None
    assert session.now == BEFORE + 75 + 40
    headset.feed_tape(".*60", "0*60")
    assert [a.prompt for a in headset.said if isinstance(a, act.Play)] == []
    headset.feed_tape(".*60", "0*60")
    assert [a.prompt for a in headset.said if isinstance(a, act.Play)] == ["greeting_again"]
