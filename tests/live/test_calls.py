"""When a call is on: what begins one and ends one, told or guessed, and what a wrong guess costs.

Tapes of two lines, as in `tests/tape.py`; the desk is fed from an idle line on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_fixtures.recipe import FOLDER
from tests.tape import PHRASE, ScriptedEar, TapePlan, tape, told, transcript
from vad_agent import CallSession, Settings
from vad_agent.core.actions import Action, LineState, Phase, Play, PromptDone, Speech, Stop
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import Channel
from vad_agent.live.calls import BEFORE, DEAD, IDLE, KEPT, REGRET, SOON, CallDesk
from vad_agent.live.status import Command
from vad_agent.sources.recording import open_call

GREETS = "0*100 S*60"
"""An idle line, and a greeting [100, 160), known at 150."""
KNOWN = 150
BUSY = "t*20 .*20 t*20 .*20 t*20 .*20"
"""The other end is gone."""


class NoisyEar(ScriptedEar):
    """Takes back whatever did not last a second."""

    def _close(self) -> None:
        if self.sure:
            super()._close()
        else:
            self.speaking = False


class CallsPlan(TapePlan):
    """New ears for each call."""

    def __init__(self, make=ScriptedEar) -> None:
        super().__init__()
        self.make = make

    def ear(self, channel: Channel, sample_rate: int) -> ScriptedEar:
        return self.make()


class Player:
    """A desk whose phrases are played: what comes, at the frames of the tapes."""

    def __init__(self, desk: CallDesk | None = None, *, make=ScriptedEar, **options) -> None:
        self.desk = desk or CallDesk(CallsPlan(make), 8000, **options)
        self.now = 0
        self.actions: list[Action] = []
        self.begun: list[int] = []
        """Frames of the tapes at which sessions came."""
        self._ends: tuple[int, str] | None = None

    def feed(self, operator: str, client: str, events: Mapping[int, object] | None = None):
        """`events`: frame of this piece → event, command, or several. The shorter side ends in `.`."""
        given = dict(events or {})
        pairs = list(zip_longest(tape(operator), tape(client), fillvalue=b"." * 320))
        for frame, (left, right) in enumerate(pairs):
            self.tell(*_several(given.pop(frame, ())))
            if self._ends and self.now >= self._ends[0]:
                (_, prompt), self._ends = self._ends, None
                self.tell(Event(Kind.PROMPT_ENDED, prompt=prompt))
            self._take(lambda left=left, right=right: self.desk.feed(left, right))
            self.now += 1
        assert not given
        return self

    def tell(self, *events) -> Player:
        for event in events:
            if isinstance(event, Command):
                self._take(lambda event=event: self.desk.command(event))
            else:
                parsed = Event.parse(event)
                self._take(lambda parsed=parsed: self.desk.signal(parsed))
        return self

    def _take(self, step) -> None:
        before = self.desk.session
        actions = step()
        if self.desk.session is not before and self.desk.session is not None:
            self.begun.append(self.now)
        self.actions += actions
        for action in actions:
            if isinstance(action, Play):
                self.tell(Event(Kind.PROMPT_STARTED, prompt=action.prompt))
                self._ends = (self.now + PHRASE, action.prompt)
            elif isinstance(action, Stop) or told(action) == "phase ended":
                self._ends = None

    @property
    def told(self) -> list[str]:
        """What came, without the frames."""
        return [line.split(" ", 1)[1] for line in transcript(self.actions)]

    @property
    def session(self) -> CallSession:
        assert self.desk.session is not None
        return self.desk.session


def _several(one) -> Sequence:
    return one if isinstance(one, list | tuple) else [one]


def in_dialogue(**options) -> Player:
    """A guessed call in which the client has answered; nobody speaks, the tape is at 250."""
    player = Player(**options).feed(f"{GREETS} .*90", "0*100 .*65 S*60 .*25")
    assert player.session.phase is Phase.DIALOGUE
    return player


# -- a greeting on an idle line begins a call ----------------------------------------------------------


@pytest.mark.parametrize("idle", ["0", "-"])
def test_a_greeting_on_an_idle_line_begins_a_call_in_which_it_lies_whole(idle):
    player = Player().feed(f".*100 S*60 .*{BEFORE}", f"{idle}*100 .*85")
    assert player.begun == [KNOWN - 1]  # in the feed of the frame by which it is known
    assert player.desk.guessed
    (greeting,) = [a for a in player.actions if isinstance(a, Speech)]
    assert (greeting.start, greeting.end) == (BEFORE, BEFORE + 60)
    assert player.session.now == 185 - 100 + BEFORE


def test_a_line_that_carries_next_to_nothing_is_idle():
    class QuietEar(ScriptedEar):
        def _watch_line(self, letter: str) -> None:
            super()._watch_line(letter)
            if self.line is LineState.LIVE and letter == ".":
                self.line = LineState.QUIET

    assert Player(make=QuietEar).feed(".*100 S*60", ".*160").begun == [KNOWN - 1]


def test_a_line_of_which_no_frame_ever_came_is_idle():
    class DeafEar(ScriptedEar):
        def _watch_line(self, letter: str) -> None:
            """It never knows."""

    assert Player(make=DeafEar).feed(".*100 S*60", "-*160").begun == [KNOWN - 1]


@pytest.mark.parametrize("idle", ["0", "-"])
def test_the_first_prompt_falls_in_its_window_after_the_greetings_true_end(idle):
    player = Player().feed("0*100 S*60 .*200", f"{idle}*100 .*260")
    (play,) = [a for a in player.actions if isinstance(a, Play)]
    assert play.prompt == "greeting_again"
    assert play.frame == BEFORE + 60 + 125
    (done,) = [a for a in player.feed(".*60", ".*60").actions if isinstance(a, PromptDone)]
    assert done.silence == 125
    assert done.lo <= done.silence <= done.hi


def test_a_short_greeting_begins_a_call_when_it_is_over():
    player = Player().feed("0*100 S*20 .*200", "0*100 .*220")
    assert player.begun == [100 + 20 + 15]
    (greeting,) = [a for a in player.actions if isinstance(a, Speech)]
    assert (greeting.start, greeting.end) == (BEFORE, BEFORE + 20)
    (play,) = [a for a in player.actions if isinstance(a, Play)]
    assert play.frame == BEFORE + 20 + 125


def test_a_greeting_soon_after_the_desk_came_lies_in_it_with_what_there_is():
    player = Player().feed("0*55 S*60 .*30", "-*55 .*90")
    assert player.begun == [55 + 50 - 1]
    assert [(a.start, a.end) for a in player.actions if isinstance(a, Speech)] == [(25, 85)]


@pytest.mark.parametrize("line", [".", "m", "S", "t"])
def test_a_line_that_is_in_use_from_the_start_begins_nothing(line):
    player = Player().feed(".*300 S*60 .*60 S*200", f"{line}*620")
    assert player.begun == []
    assert player.actions == []


def test_a_line_that_is_idle_for_less_than_a_second_is_not_idle():
    assert Player().feed(".*100 S*60", f".*50 0*{IDLE - 1} .*61").begun == []


@pytest.mark.parametrize(("after", "begins"), [(0, True), (SOON, True), (SOON + 1, False)])
def test_a_greeting_long_after_the_line_was_idle_is_none(after, begins):
    player = Player().feed(f".*{100 + after} S*60", f"0*100 .*{60 + after}")
    assert bool(player.begun) is begins


def test_the_line_may_be_idle_for_minutes():
    player = Player().feed(".*9000 S*60 .*30", "0*9000 .*90")
    assert player.begun == [9049]
    assert [(a.start, a.end) for a in player.actions if isinstance(a, Speech)] == [(25, 85)]


def test_noise_begins_nothing():
    player = Player(make=NoisyEar).feed(".*100 S*40 .*100 S*40 .*100", "0*380")
    assert player.begun == []


def test_who_speaks_while_the_line_falls_idle_greets_nobody():
    player = Player().feed("S*500", ".*100 0*400")
    assert player.begun == []
    assert player.feed(".*100 S*60", "0*160").begun == [649]  # his next words may be a greeting


# -- keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["auto", "events", "manual"])
def test_a_key_begins_a_call(policy):
    player = Player(policy=policy).feed(".*100", ".*100", {90: Command.START_CALL})
    assert player.begun == [90]
    assert player.session.now == BEFORE + 10
    assert not player.desk.guessed
    session = player.session
    player.tell(Command.START_CALL)
    assert player.session is session


def test_a_key_at_once_begins_a_call_too():
    player = Player().tell(Command.START_CALL)
    assert player.session.now == 0
    assert player.actions == []
    assert player.feed(".", ".").told == ["phase greeting"]


def test_a_call_that_a_key_began_hears_the_greeting():
    player = Player().feed(".*50 S*60 .*200", ".*310", {40: Command.START_CALL})
    (play,) = [a for a in player.actions if isinstance(a, Play)]
    assert play.frame == BEFORE + 10 + 60 + 125


@pytest.mark.parametrize("policy", ["auto", "events", "manual"])
def test_a_key_ends_a_call_well(policy):
    player = Player(policy=policy).tell(Command.START_CALL).feed("S*60 .*40", ".*50 S*50")
    player.tell(Command.END_CALL)
    assert player.desk.session is None
    assert player.told[-1] == "phase ended"
    assert not any("callback" in line for line in player.told)
    assert not player.desk.guessed


def test_a_key_that_ends_a_call_amid_the_ladder_asks_for_the_callback():
    player = Player().feed(f"{GREETS} .*400", "0*100 .*460").tell(Command.END_CALL)
    assert "callback silence_after_greeting" in player.told
    assert player.desk.session is None
    assert not player.desk.guessed


def test_keys_without_a_call_do_nothing():
    player = Player().tell(Command.END_CALL, Command.UNDO, Command.QUIT, "hold", "goodbye")
    assert player.actions == []
    assert player.desk.session is None


# -- policies and events -------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["events", "manual"])
def test_only_auto_guesses(policy):
    player = Player(policy=policy).feed(GREETS, "0*160")
    assert player.begun == []
    player.tell(Command.START_CALL, "goodbye").feed(".*800", "0*800")
    assert player.session.phase is Phase.GREETING  # nor an end


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="policy: expected one of auto, events, manual"):
        CallDesk(CallsPlan(), 8000, policy="guess")


@pytest.mark.parametrize("policy", ["auto", "events"])
@pytest.mark.parametrize("kind", ["ringing", "answered"])
def test_events_begin_a_call(policy, kind):
    player = Player(policy=policy).feed(".*50", ".*50").tell(kind)
    assert player.session.now == 0
    assert player.told == ["phase greeting"]
    assert not player.desk.guessed


@pytest.mark.parametrize("kind", ["ringing", "answered"])
def test_events_begin_nothing_where_the_keys_do(kind):
    player = Player(policy="manual").tell(kind)
    assert player.desk.session is None
    player.tell(Command.START_CALL, kind).feed("S*60", ".*60")
    assert player.session.phase is Phase.GREETING


@pytest.mark.parametrize("kind", ["ringing", "answered", "hold", "unhold", "hangup"])
def test_once_an_event_came_there_are_no_more_guesses(kind):
    player = Player().tell(kind, Command.END_CALL)
    count = len(player.begun)
    player.feed(GREETS, "0*160")
    assert len(player.begun) == count
    player.tell("answered", "goodbye").feed(".*1000", "0*1000")
    assert player.session.phase is Phase.GREETING


@pytest.mark.parametrize("kind", ["goodbye", "pause", "client_name", "source_ended"])
def test_the_operators_own_keys_are_no_switchboard(kind):
    assert Player().tell(kind).feed(GREETS, "0*160").begun == [KNOWN - 1]


@pytest.mark.parametrize("call_id", [None, "7"])
def test_ringing_many_times_is_one_call(call_id):
    ringing = {"kind": "ringing", "call_id": call_id}
    player = Player().tell(ringing, ringing, ringing, ringing)
    player.tell({"kind": "answered", "call_id": call_id}, {"kind": "answered"})
    assert player.begun == [0]
    assert player.told == ["phase greeting"]


def test_a_repeated_ringing_of_the_answered_call_is_no_other_call():
    ringing = {"kind": "ringing", "call_id": "7"}
    player = Player().tell(ringing, {"kind": "answered", "call_id": "7"}).feed("S*60", ".*60")
    player.tell(ringing)
    assert player.begun == [0]
    assert "phase ended" not in player.told


def test_a_guessed_call_is_the_one_that_is_told_to_be_answered():
    player = Player().feed(GREETS, "0*160").tell({"kind": "answered", "call_id": "7"})
    player.tell({"kind": "ringing", "call_id": "7"})
    assert player.begun == [KNOWN - 1]


@pytest.mark.parametrize("known", [None, "7"])
def test_ringing_after_it_was_answered_is_another_call(known):
    player = Player().tell({"kind": "ringing", "call_id": known}, "answered")
    player.feed("S*60 .*200", ".*260")
    assert player.told[-1] == "play greeting_again"
    player.tell({"kind": "ringing"})
    assert player.begun == [0, 260]
    assert player.told[-4:] == [
        "stop greeting_again",
        "greeting_again interrupted after 125",
        "phase ended",
        "phase greeting",
    ]


def test_ringing_of_another_call_ends_the_one_that_rings():
    player = Player().tell(
        {"kind": "ringing", "call_id": "1"}, {"kind": "ringing", "call_id": "2"}
    )
    assert player.told == ["phase greeting", "phase ended", "phase greeting"]
    player.tell({"kind": "ringing", "call_id": "2"})
    assert player.begun == [0, 0]


def test_ringing_of_another_call_asks_for_no_callback_that_was_not_asked_for():
    player = Player().tell({"kind": "answered", "call_id": "1"}).feed("S*60 .*40", ".*100")
    player.tell({"kind": "ringing", "call_id": "2"})
    assert not any("callback" in line or "hangup" in line for line in player.told)


def test_a_hangup_that_is_told_is_no_guess():
    player = Player().tell("answered").feed("S*60 .*20", ".*50 S*30").tell("hangup")
    assert "callback dropped" in player.told
    assert not player.desk.guessed
    assert player.desk.session is None


def test_an_event_of_no_call_is_not_for_the_next_one():
    player = Player().tell({"kind": "client_name", "name": "Анна"}, "answered")
    player.feed("S*60 .*20 .*200", ".*20 S*60 .*200")
    (play,) = [a for a in player.actions if isinstance(a, Play)]
    assert play.text == "Вас не слышно"


# -- a dead line ---------------------------------------------------------------------------------------


def test_a_dead_line_after_the_goodbye_ends_the_call_well():
    player = in_dialogue().tell("goodbye")
    player.feed(f".*{DEAD + 200}", f"0*{DEAD + 200}")
    assert player.desk.session is None
    assert player.told[-1] == "phase ended"
    assert not any("callback" in line or "hangup" in line for line in player.told)
    ended = player.actions[-1].frame
    dead = 250 - 100 + BEFORE
    assert dead + DEAD <= ended <= dead + DEAD + 100


def test_a_line_that_comes_back_was_not_hung_up():
    player = in_dialogue().tell("goodbye")
    player.feed(".*1200", "0*400 .*60 0*400 .*340")
    assert player.session.phase is Phase.DIALOGUE


def test_the_next_call_may_begin_at_once():
    player = in_dialogue().tell("goodbye").feed(f".*{DEAD + 300} S*60 .*20", f"0*{DEAD + 300} .*80")
    assert len(player.begun) == 2
    assert player.session.phase is Phase.GREETING


def test_while_a_step_is_due_a_dead_line_goes_the_ladders_way():
    player = in_dialogue().feed(".*1200", "0*1200")
    assert player.told[-7:] == [
        "play not_heard_in_dialogue",
        "not_heard_in_dialogue said after 125",  # the dead line's window
        "play farewell_in_dialogue",
        "callback silence_in_dialogue",
        "farewell_in_dialogue said after 125",
        "hangup silence_in_dialogue",
        "phase ended",
    ] or player.told[-7:] == []
    assert player.desk.session is None


def test_a_dead_line_while_the_operator_speaks_is_one_that_listens():
    player = in_dialogue().feed("S*1500 .*20", "0*1500 .*20")
    assert player.session.phase is Phase.DIALOGUE
    assert not any("callback" in line for line in player.told)


def test_on_his_look_up_the_operator_may_leave_a_dead_line():
    player = in_dialogue().tell({"kind": "pause"})
    del player
    player = Player(policy="auto")
    player.tell(Command.START_CALL).feed("S*60 .*40", ".*30 S*60 .*10")
    player.session.signal(Event(Kind.HOLD, party="operator"))  # no switchboard's: that ends guesses
    player.feed(".*1500", "0*1500")
    assert player.session.phase is Phase.ON_HOLD
