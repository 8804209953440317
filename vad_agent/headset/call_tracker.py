"""Tracks when a call is on: makes a session for each call, and infers calls without signalling.

    policy   a call begins by                         ends by (beside what ends every session)
    auto     events; until the first of them comes,   10 s of a dead line where no step is due, or the
             also by a greeting on an idle line       softphone plays no more; a key
    events   events                                   a key
    manual   a key                                    a key

Frames from before a call was recognized (`call_start_detector.py`) are fed to its session at once,
long before any prompt may be due.

Without events, a normal end of a call and a lost client look the same: a dead line, a softphone
that plays no more. After talk on both sides the session requests an unconfirmed callback, and the
operator is asked (`farewell_questions.py`); any other end is a drop, unless the operator has
reported a goodbye, or the call's end, by a key. A dead line alone ends only calls that the script
does not end: those after a goodbye. Before a goodbye the escalation proceeds. No call is ended while
the operator speaks, pauses or is muted, because the line of a client who listens may be zero. UNDO
reverts the last inference, or the goodbye: a call that did not exist is discarded, and a call that
ended too early continues.

Pure: no I/O, no clock; time is a count of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vad_agent.client.headset_protocol import Command
from vad_agent.core import actions as act
from vad_agent.core.actions import Action, LineState, Phase, Reason
from vad_agent.core.endpointer_port import Plan
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import ENDLESS, FRAMES_PER_SECOND, Channel, Frame, frames
from vad_agent.core.session import CallSession
from vad_agent.headset.call_start_detector import CallStartDetector

POLICIES = ("auto", "events", "manual")
DEAD = 10 * FRAMES_PER_SECOND
"""A line dead for this long, in a call without a due step, has been hung up."""
AFTER = 30 * FRAMES_PER_SECOND
"""After a call the operator's words begin no new call for this long, unless the line has played
something.
"""
UNUSED = FRAMES_PER_SECOND
"""A softphone that has not played for this long has ended the call: some reopen their stream in it."""
SETTLES_S = 10.0
"""Seconds after a change of sinks, default or server in which programs open their streams anew."""
SETTLES = frames(SETTLES_S)
"""After a change of sinks, default or server, or while the client's device is lost, a softphone that
does not play, or a dead line, says nothing for this long: the streams are being moved.
"""
REGRET = 60 * FRAMES_PER_SECOND
"""An inference can be undone for this long."""

BEGINS = (EventKind.RINGING, EventKind.ANSWERED)
"""Events that only a switchboard sends: after one of them, it reports every call."""
CONTROL = (EventKind.HOLD, EventKind.UNHOLD, EventKind.HANGUP, EventKind.LINE_GONE)
"""Events that both a switchboard and the operator's keys send."""
LASTS = {
    EventKind.CLIENT_NAME: EventKind.CLIENT_NAME,
    EventKind.CLIENT_CANNOT_HEAR: EventKind.CLIENT_CANNOT_HEAR,
    EventKind.GOODBYE: EventKind.GOODBYE,
    EventKind.GOODBYE_UNDONE: EventKind.GOODBYE,
    EventKind.OPERATOR_MUTE: EventKind.OPERATOR_MUTE,
    EventKind.OPERATOR_UNMUTE: EventKind.OPERATOR_MUTE,
    EventKind.PAUSE: EventKind.PAUSE,
    EventKind.RESUME: EventKind.PAUSE,
}
"""Events that hold until the call ends, and the event that ends each: repeated if an ended call
continues.
"""
_OF_DEVICES = (EventKind.DEVICE_LOST, EventKind.DEVICE_BACK, EventKind.PLAYER_READY)


class CallTracker:
    """`mode`: auto or cue; `make_session` makes the session of a call; None: a plain one.

    Raises:
        ValueError: an unknown policy.
    """

    def __init__(
        self,
        settings: Plan,
        sample_rate: int,
        *,
        policy: str = "auto",
        mode: str = "auto",
        make_session: Callable[[], CallSession] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy: expected one of {', '.join(POLICIES)}, got {policy!r}")
        self._settings = settings
        self._sample_rate = sample_rate
        self._policy = policy
        self._make = make_session or (lambda: CallSession(settings, sample_rate, mode=mode))
        self.session: CallSession | None = None
        """The current call; None: no call is on."""
        self.standing: dict[str, Event] = {}
        """Events that hold beyond a call: lost devices, the player's latency."""
        self._has_signalling = False  # a switchboard sends events
        self._guess_for = 0  # frames for which the last inference can be undone
        self._standby = CallStartDetector(settings, sample_rate)  # while no call is on
        # Id of the current or the last call.
        self._id: str | None = None
        self._phone: str | None = None
        self._ringing = False
        self._lasting: dict[EventKind, Event] = {}
        self._callback: Reason | None = None
        self._zero = 0  # frames for which the client's line has been dead
        self._settling = 0  # frames for which the outputs count as changing
        self._ends_in: int | None = None  # frames until a softphone that does not play has hung up

    @property
    def guessed(self) -> bool:
        """A call's begin or end was inferred, and can still be undone."""
        return self._guess_for > 0

    @property
    def goodbye(self) -> bool:
        """The operator has reported a goodbye in the current call."""
        return self.session is not None and EventKind.GOODBYE in self._lasting

    # -- input
    # ------------------------------------------------------------------------------------------

    def feed(self, operator: Frame, client: Frame) -> Sequence[Action]:
        """Feed one 20 ms frame of each side. None: it did not arrive.

        Raises:
            FrameError: an invalid frame.
        """
        if self._guess_for:
            self._guess_for -= 1
        if self._settling:
            self._settling -= 1
        session = self.session
        if session is None:
            began = self._standby.feed(operator, client)
            if began is None or not self._infers:
                return ()
            guessed = self._begin(began)
            self._guess_for = REGRET
            return guessed
        actions = session.feed(operator, client)
        if not actions and self._ends_in is not None and self._hung_up(session):
            actions = session.signal(Event(EventKind.LINE_GONE, cause="line unused"))
        if not actions and session.now % FRAMES_PER_SECOND == 0 and self._dead(session):
            actions = session.signal(Event(EventKind.LINE_GONE, cause="dead line"))
        return self._after(actions, guess=True) if actions else ()

    def signal(self, event: Event) -> Sequence[Action]:
        """Take an event of a switchboard, the operator, the player or the devices."""
        kind = event.kind
        if kind in _OF_DEVICES:
            self._remember(event)
        if kind in BEGINS or (kind in CONTROL and _from_outside(event)):
            self._has_signalling = True
        actions: list[Action] = []
        if kind in BEGINS and self._policy != "manual":
            actions += self._call(event)
        if kind in BEGINS and not self._of_another(event):
            self._phone = event.phone or self._phone
        if self.session is None or (kind in (*BEGINS, *CONTROL) and self._of_another(event)):
            return actions
        if kind is EventKind.CLIENT_PHONE:
            self._phone = event.phone or self._phone
        if kind in LASTS:
            self._lasting.pop(LASTS[kind], None)
            if LASTS[kind] is kind:
                self._lasting[kind] = event
        return [*actions, *self._after(self.session.signal(event))]

    def command(self, command: Command) -> Sequence[Action]:
        """Take a command from the operator's keys or a softphone's script."""
        if command is Command.START_CALL and self.session is None:
            return self._begin(self._standby.since_key())
        if command is Command.END_CALL and self.session is not None:
            return self._after(self.session.signal(Event(EventKind.HANGUP, party="operator")))
        if command is Command.UNDO and self.goodbye:
            return self.signal(Event(EventKind.GOODBYE_UNDONE))
        if command is Command.UNDO and self.guessed:
            return self._undo_end() if self.session is None else self._undo_beginning(self.session)
        return ()

    def _of_another(self, event: Event) -> bool:
        """The event belongs to another call than the current one, such as one that has just ended."""
        return event.call_id is not None and self._id is not None and event.call_id != self._id

    def line_in_use(self, used: bool) -> None:
        """Whether the softphone plays, if the sound server can tell. It counts after `UNUSED`.

        A softphone that stops playing has ended the call, except on hold: then it may play nothing.
        """
        self._ends_in = None
        session = self.session
        if not used and session is not None and self._infers and not session.watch.held:
            self._ends_in = max(UNUSED, self._settling)

    def outputs_changed(self) -> None:
        """Sinks, the default or the server have changed: for `SETTLES` no end is inferred."""
        self._settling = SETTLES
        self._zero = 0
        if self._ends_in is not None:
            self._ends_in = SETTLES

    @property
    def _infers(self) -> bool:
        """Calls are inferred, because no switchboard reports them."""
        return self._policy == "auto" and not self._has_signalling

    def _remember(self, event: Event) -> None:
        key = event.party or "player"
        if event.kind is EventKind.DEVICE_BACK:
            self.standing.pop(key, None)
        else:
            self.standing[key] = event

    # -- for display
    # ------------------------------------------------------------------------------------

    def speaking(self, channel: Channel) -> bool:
        """This side is known to speak, while no call is on."""
        endpointer = self._standby.endpointer(channel)
        return endpointer.speaking and endpointer.sure

    def line(self, channel: Channel) -> LineState | None:
        """What this side's line carries, while no call is on."""
        return self._standby.endpointer(channel).line

    # -- a call begins --------------------------------------------------------------------------------

    def _call(self, event: Event) -> list[Action]:
        """A switchboard event of a call: begin another call if it is not the current one."""
        session = self.session
        if session is not None:
            if self._of_another(event):
                waiting = event.kind is EventKind.RINGING and not self._ringing
                if waiting or session.watch.held:
                    return []  # a second call is waiting
            elif event.kind is EventKind.ANSWERED:
                self._id = self._id or event.call_id  # an inferred or ringing call had no id yet
                self._ringing = False
                return []
            elif self._ringing or (event.call_id is not None and event.call_id == self._id):
                return []  # a duplicate
            ended = self._after(session.signal(Event(EventKind.SOURCE_ENDED)))
            return [*ended, *self._call(event)]
        actions = self._begin(0)
        self._id, self._ringing = event.call_id, event.kind is EventKind.RINGING
        return actions

    def _begin(self, frames: int) -> list[Action]:
        """Begin a call that started `frames` frames ago."""
        backlog = self._standby.last(frames)
        session = self.session = self._make()
        self._guess_for = self._zero = 0
        self._ends_in = None
        self._id = self._phone = self._callback = None
        self._lasting = {}
        self._ringing = False
        actions: list[Action] = []
        for operator, client in backlog:
            actions += session.feed(operator, client)
        for event in self.standing.values():
            actions += session.signal(event)
        return list(self._after(actions))

    # -- a call ends ----------------------------------------------------------------------------------

    def _hung_up(self, session: CallSession) -> bool:
        """In each frame while the softphone does not play: it has not for long enough."""
        assert self._ends_in is not None
        if Channel.CLIENT.value in self.standing:  # it cannot play into a device that is gone
            self._ends_in = SETTLES
            return False
        self._ends_in -= 1
        if self._ends_in > 0:
            return False
        self._ends_in = None
        return self._infers and not session.watch.held

    def _dead(self, session: CallSession) -> bool:
        """Once a second: the line has been dead for long, and the script has no step for it."""
        dead = self._infers and session.line(Channel.CLIENT) is LineState.DIGITAL_ZERO
        if not dead or session.speaking(Channel.OPERATOR) or not self._unwatched(session):
            self._zero = 0
            return False
        self._zero += FRAMES_PER_SECOND
        return self._zero >= DEAD

    def _unwatched(self, session: CallSession) -> bool:
        """No row of the script is armed, or only the one that waits for the greeting."""
        if session.phase is Phase.GREETING and not self.goodbye:
            return False
        watch = session.watch
        stale = watch.prompt_state == "cued" and session.now > (watch.prompt_hi or 0)
        idle = stale or (watch.prompt is None and watch.silence is None)
        return idle and not watch.held and not watch.suspended

    def _after(self, actions: Sequence[Action], *, guess: bool = False) -> Sequence[Action]:
        """Process the session's actions; if it has ended, no call is on.

        `guess`: the end was inferred; unless the script caused it, it can be undone.
        """
        session = self.session
        for action in actions:
            if isinstance(action, act.CallbackRequested):
                self._callback = action.reason
            elif isinstance(action, act.CallbackWithdrawn):
                self._callback = None
            elif isinstance(action, act.Hangup) and action.reason is not Reason.DROPPED:
                guess = False  # the end of the escalation
        if session is not None and session.phase is Phase.ENDED:
            self.session = None
            self._guess_for = REGRET if guess else 0
            self._standby = CallStartDetector(
                self._settings, self._sample_rate, ignore_greeting_for=AFTER
            )
        return actions

    # -- undo
    # -------------------------------------------------------------------------------------------

    def _undo_beginning(self, session: CallSession) -> Sequence[Action]:
        """Undo the begin: there was no call."""
        now, watch = session.now, session.watch
        actions: list[Action] = []
        if watch.prompt is not None and watch.prompt_state in ("asked", "playing"):
            actions.append(act.Stop(now, watch.prompt))
        elif watch.prompt is not None:
            actions.append(act.Dismiss(now, watch.prompt))
        if self._callback is not None and self._callback is not Reason.AGREED:
            actions.append(act.CallbackWithdrawn(now, self._callback))
        self.session = None
        self._guess_for = 0
        self._standby = CallStartDetector(
            self._settings, self._sample_rate, ignore_greeting_for=ENDLESS
        )
        return [*actions, act.PhaseChanged(now, Phase.ENDED)]

    def _undo_end(self) -> Sequence[Action]:
        """Undo the end: the call continues, in the dialogue, with all its known data.

        An agreed callback stands, because it was promised to the client.
        """
        lasting, reason = self._lasting, self._callback
        answered = Event(EventKind.ANSWERED, phone=self._phone, call_id=self._id)
        actions: list[Action] = []
        if reason is not None and reason is not Reason.AGREED:
            actions.append(act.CallbackWithdrawn(0, reason))  # requested by the call that had ended
        actions += self._begin(0)
        session = self.session
        assert session is not None
        for event in (
            answered,
            Event(EventKind.HOLD, party="operator"),
            Event(EventKind.UNHOLD, party="operator"),
            *lasting.values(),
        ):
            actions += self._after(session.signal(event))
        self._lasting = lasting
        self._id, self._phone = answered.call_id, answered.phone
        return actions


def _from_outside(event: Event) -> bool:
    """The event is from a switchboard: it has a call id, a sequence number, a time or a cause; a
    key has none.
    """
    return any(field is not None for field in (event.call_id, event.seq, event.ts, event.cause))
