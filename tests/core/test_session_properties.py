"""What holds of a session whatever is fed to it and signalled, in any order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.tape import HANGOVER, ONSET, TapePlan, play, run
from vad_agent import CallSession, Event, Settings
from vad_agent.core import actions as act
from vad_agent.core.actions import Phase, PromptOutcome
from vad_agent.core.events import DEVICES, LONGEST_LATENCY_S, EventKind

SETTINGS = Settings()
FRAMES = {letter: letter.encode() * 320 for letter in "S.0mtd"} | {"-": None}
DEVICE_KINDS = [EventKind.DEVICE_LOST, EventKind.DEVICE_BACK]
OF_THEIR_OWN = [
    EventKind.SOURCE_ENDED,
    EventKind.CALLBACK_AGREED,
    EventKind.PLAYER_READY,
    *DEVICE_KINDS,
]
KINDS = [kind for kind in EventKind if kind not in OF_THEIR_OWN]
PARTIES = st.sampled_from(["client", "operator", "network", None])
PROMPTS = st.sampled_from(["greeting_again", "not_heard", "farewell_in_dialogue", "nonsense", None])
FAREWELLS = ("farewell_after_greeting", "farewell_in_dialogue", "hold_farewell")


class AnyCall(RuleBasedStateMachine):
    """Feeds runs of frames and signals events; a player answers now and then, or nonsense does."""

    @initialize(mode=st.sampled_from(["auto", "cue"]))
    def begin(self, mode):
        self.session = CallSession(TapePlan(), 8000, mode=mode)
        self.actions: list[act.Action] = []
        self.asked: str | None = None
        self.playing = False

    def take(self, actions):
        for action in actions:
            if isinstance(action, act.Play):
                assert self.asked is None, "a prompt is asked for while another one is on"
                self.asked = action.prompt
            elif isinstance(action, act.Stop | act.PromptDone) or (
                isinstance(action, act.PhaseChanged) and action.phase is Phase.ENDED
            ):
                self.asked, self.playing = None, False
        self.actions += actions

    @rule(
        operator=st.sampled_from("S...0-"),
        client=st.sampled_from("S...0mtd-"),
        count=st.sampled_from([1, 4, 5, 20, 60, 130, 180, 600, 3100]),
    )
    def feed(self, operator, client, count):
        for _ in range(count):
            self.take(self.session.feed(FRAMES[operator], FRAMES[client]))

    @rule(kind=st.sampled_from(KINDS), party=PARTIES, prompt=PROMPTS)
    def signal(self, kind, party, prompt):
        self.take(self.session.signal(Event(kind, party=party, prompt=prompt, name="Анна")))

    @rule(kind=st.sampled_from(DEVICE_KINDS), party=st.sampled_from(DEVICES))
    def lose_or_regain(self, kind, party):
        self.take(self.session.signal(Event(kind, party=party)))

    @rule(latency_s=st.floats(0, LONGEST_LATENCY_S))
    def player_ready(self, latency_s):
        self.take(self.session.signal(Event(EventKind.PLAYER_READY, latency_s=latency_s)))

    @rule(at=st.sampled_from([None, "2026-11-24T15:00:00"]))
    def agree(self, at):
        self.take(self.session.signal({"kind": "callback_agreed", "at": at}))

    @rule()
    def player_begins(self):
        if self.asked and not self.playing:
            self.playing = True
            self.take(self.session.signal({"kind": "prompt_started", "prompt": self.asked}))

    @rule()
    def player_ends(self):
        if self.playing:
            self.take(self.session.signal({"kind": "prompt_ended", "prompt": self.asked}))

    @rule()
    def player_fails(self):
        if self.asked:
            self.take(self.session.signal({"kind": "prompt_failed", "prompt": self.asked}))

    @invariant()
    def frames_never_go_back(self):
        if getattr(self, "actions", None):
            assert all(a.frame <= b.frame for a, b in pairwise(self.actions))

    @invariant()
    def at_most_one_callback_a_call(self):
        asked = [a for a in getattr(self, "actions", []) if type(a) is act.CallbackRequested]
        assert len(asked) <= 1

    @invariant()
    def every_farewell_is_preceded_by_its_callback(self):
        asked = False
        for action in getattr(self, "actions", []):
            asked = asked or isinstance(action, act.CallbackRequested)
            farewell = isinstance(action, act.Play | act.Cue | act.PromptDone)
            if farewell and action.prompt in FAREWELLS:
                assert asked, action

    @invariant()
    def nothing_follows_the_end_and_it_comes_once(self):
        ends = [
            index
            for index, action in enumerate(getattr(self, "actions", []))
            if isinstance(action, act.PhaseChanged) and action.phase is Phase.ENDED
        ]
        assert len(ends) <= 1
        if ends:
            assert ends[0] == len(self.actions) - 1

    @invariant()
    def prompts_do_not_overlap(self):
        sounds = [
            (action.started, action.ended)
            for action in getattr(self, "actions", [])
            if isinstance(action, act.PromptDone) and action.started is not None
        ]
        assert all(started <= ended for started, ended in sounds)
        assert all(before[1] <= after[0] for before, after in pairwise(sounds))


TestAnyCall = AnyCall.TestCase
TestAnyCall.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# -- calls without events: the truth can be read off the tape -----------------------------------------

SCENES = st.lists(
    st.tuples(st.sampled_from(["S.", ".S", "..", "..", "SS"]), st.integers(1, 260)), max_size=12
)
LONGEST_WINDOW = 200


def sounds(drawing):
    """[start, end) of the runs of speech on a tape that are long enough to be one.

    What follows a run before its hangover is over belongs to it, however short.
    """
    runs, start = [], None
    for frame, letter in enumerate([*drawing, "."]):
        if letter == "S" and start is None:
            start = frame
        elif letter != "S" and start is not None:
            if frame - start >= ONSET or (runs and start - runs[-1][1] <= HANGOVER):
                runs.append((start, frame))
            start = None
    return runs


@given(SCENES)
@example([("..", 200), (".S", 8), ("..", 250)])
@settings(max_examples=150, deadline=None)
def test_windows_are_kept_whenever_the_line_is_silent(scenes):
    operator = "S" * 50 + "." * 30 + "".join(pair[0] * count for pair, count in scenes)
    client = "." * 80 + "".join(pair[1] * count for pair, count in scenes)
    actions = play(operator, client)
    spoken = sounds(operator) + sounds(client)
    prompts = [a for a in actions if isinstance(a, act.PromptDone) and a.started is not None]
    played = [(a.started, a.ended) for a in prompts]

    def last_sound(frame):
        """Where the silence at this frame began; None: it is none."""
        heard = spoken + played
        if any(start <= frame < end for start, end in heard):
            return None
        return max(end for start, end in heard if start < frame)

    # Every prompt the product spoke began in its window, by the tape and not only by its own count.
    by_product = {a.frame for a in actions if isinstance(a, act.Play)}
    for prompt in prompts:
        if prompt.started in by_product:
            # A sound of a single frame so far may be anything: it does not hold a prompt back.
            began = last_sound(prompt.started - 2)
            assert began is not None, prompt
            assert prompt.silence == prompt.started - began, prompt
            assert prompt.lo <= prompt.silence <= prompt.hi, prompt

    # And no silence outlasted the longest window without a prompt, but in a call that had ended.
    ended = [a for a in actions if isinstance(a, act.PhaseChanged) and a.phase is Phase.ENDED]
    for frame in range(80, ended[0].frame):
        began = last_sound(frame)
        assert began is None or frame - began <= LONGEST_WINDOW, frame


@given(SCENES)
@settings(max_examples=150, deadline=None)
def test_a_step_is_said_at_most_once_until_the_client_is_heard(scenes):
    operator = "S" * 50 + "." * 30 + "".join(pair[0] * count for pair, count in scenes)
    client = "." * 80 + "".join(pair[1] * count for pair, count in scenes)
    said: set[str] = set()
    for action in play(operator, client):
        if isinstance(action, act.Speech) and action.channel == "client":
            said.clear()
        if isinstance(action, act.PromptDone) and action.outcome in (
            PromptOutcome.SAID,
            PromptOutcome.SAID_BY_OPERATOR,
        ):
            assert action.prompt not in said
            said.add(action.prompt)


@given(SCENES, SCENES, st.sampled_from(["auto", "cue"]))
@settings(max_examples=60, deadline=None)
def test_a_call_beside_another_gives_the_actions_that_it_gives_alone(scenes, other, mode):
    def begin(scenes, beside=None):
        operator = "S" * 50 + "." * 30 + "".join(pair[0] * count for pair, count in scenes)
        client = "." * 80 + "".join(pair[1] * count for pair, count in scenes)
        return run(operator, client, mode=mode, settings=SETTINGS, beside=beside)

    alone = list(begin(scenes))
    assert list(begin(scenes, beside=begin(other))) == alone
