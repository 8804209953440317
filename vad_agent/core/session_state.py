"""What a call is made of, and how it goes from one situation to the next.

`session.py` moves it on with the frames, `call_control.py` with events; both use the transitions here.
"""

from __future__ import annotations

from vad_agent.core import actions as act
from vad_agent.core.actions import Phase, Reason
from vad_agent.core.callback_request import CallbackRequest
from vad_agent.core.endpointer_port import Plan, Progress
from vad_agent.core.frames import ENDLESS, Channel
from vad_agent.core.hold import Holds
from vad_agent.core.line_monitor import LineMonitor
from vad_agent.core.prompt_controller import PromptController
from vad_agent.core.script import Scenario
from vad_agent.core.silence_clock import SilenceClock, Suspension
from vad_agent.core.two_way_check import TwoWayCheck


class CallState:
    """One call. Times are frames of the call."""

    def __init__(self, settings: Plan, sample_rate: int, *, cue_only: bool) -> None:
        self.operator = settings.ear(Channel.OPERATOR, sample_rate)
        self.client = settings.ear(Channel.CLIENT, sample_rate)
        self.ears = (Channel.OPERATOR, self.operator), (Channel.CLIENT, self.client)
        self.client.expect_leak_of(self.operator)

        self.now = 0
        self.deadline = 1
        """The frame at which something may be due although nothing changes."""
        self.phase: Phase | None = None
        self.actions: list[act.Action] = []

        self.script = script = settings.script
        self.timing = script.timing
        self._rows: dict[Phase | None, Scenario] = {
            row.phase: row for row in script.scenarios.values() if row.phase
        }
        self.clock = SilenceClock()
        self.request = CallbackRequest(script)
        self.holds = Holds()
        self.lines = LineMonitor(
            self.ears,
            clock=self.clock,
            actions=self.actions,
            drop_after=script.timing.no_media_drop,
        )
        self.sides = TwoWayCheck(
            self.client,
            clock=self.clock,
            actions=self.actions,
            most_alone=script.timing.one_sided,
        )
        self.prompt_controller = PromptController(
            script,
            operator=self.operator,
            client=self.client,
            clock=self.clock,
            request=self.request,
            actions=self.actions,
            cue_only=cue_only,
        )

        self.began = 0
        """Since when a greeting is awaited."""
        self.ringing = False
        self.answer_guessed = False
        """Nobody told of the answer: people talk."""
        self.greeted = False
        self.greeting_missed = False
        self.goodbye = False
        self.cannot_hear = False
        self.lost_devices: set[str] = set()

    # -- how it stands -----------------------------------------------------------------------------

    def suspended(self) -> tuple[str, ...]:
        """The names of all that the ladder waits for, in order; none: it counts, or a step is under way."""
        causes = {
            "ringing": self.ringing,
            "goodbye": self.goodbye,
            "held_by_operator": self.holds.by_operator,
            "no_greeting": self.phase is Phase.GREETING and not self.greeted,
            "speech": any(ear.speaking and ear.sure for _, ear in self.ears),
        }
        told = {name for name, present in causes.items() if present}
        clock = () if self.clock.runs else self.clock.suspended
        return tuple(sorted(told | set(clock)))

    def connected(self) -> bool:
        """Before anybody has spoken, tones may be the call's own ringing, though nobody said so."""
        return not self.ringing and (self.greeted or self.phase is not Phase.GREETING)

    def tones_end(self) -> bool:
        """Tones say that the client is gone; on hold they may transfer the call, and a telephone ring."""
        progress = self.client.progress
        ends = progress in (Progress.BUSY, Progress.DIAL)
        return self.connected() and (ends or (progress is Progress.RINGBACK and not self.holds))

    def armed(self) -> Scenario | None:
        """Which row of the script is in force: the phase's own, but for what the operator told."""
        if self.ringing or self.goodbye or self.holds.by_operator:
            return None
        if self.cannot_hear and not self.holds:
            return self.script.scenarios[Reason.CLIENT_CANNOT_HEAR]
        if self.phase is Phase.GREETING and not self.greeted:
            return None
        return self._rows.get(self.phase)

    def dropped_at(self) -> int:
        """When the client's leg counts as gone for want of media; on hold it may stop."""
        return ENDLESS if self.ringing or self.holds else self.lines.dropped_at

    def greeting_due(self) -> int:
        """When a greeting that did not come is reported."""
        awaited = self.phase is Phase.GREETING and not (self.greeted or self.greeting_missed)
        counts = self.clock.runs and not self.ringing and not self.operator.speaking
        return self.began + self.timing.no_greeting if awaited and counts else ENDLESS

    # -- speech ------------------------------------------------------------------------------------

    def greet(self) -> None:
        """The operator was heard."""
        if self.client.progress is not None and not self.connected():
            self.client.hold_over()  # it has rung
        self.greeted = True

    def hear_client(self) -> None:
        """The client was heard: a dialogue, and the ladder begins anew."""
        self.enter(Phase.DIALOGUE)
        self.holds.client_back()
        self.request.client_heard()
        self.prompt_controller.client_heard(self.now)

    # -- from one situation to the next ------------------------------------------------------------

    def enter(self, phase: Phase) -> None:
        """The call is in this phase."""
        if self.phase is not phase:
            missing = self.client.detector_missing if self.phase is None else None
            self.phase = phase
            self.actions.append(act.PhaseChanged(self.now, phase, missing))
            if phase is Phase.ENDED:
                self.deadline = ENDLESS

    def rearm(self) -> None:
        """The situation is a new one: what was due, cued or said before is stale."""
        self.prompt_controller.rearm(self.now)

    def answer(self) -> None:
        """The call begins here."""
        self.ringing = self.answer_guessed = self.greeted = False
        self.began = self.now
        self.rearm()
        self.lines.await_media(self.now)
        self.clock.restart(self.now)
        self.client.hold_over()

    def hold(self, party: Channel, since: int) -> None:
        """This party holds the call since that frame."""
        self.rearm()
        if party is Channel.CLIENT or not self.clock.held:
            self.clock.hold(since)
        self.enter(Phase.ON_HOLD)

    def unhold(self, *, anew: bool) -> None:
        """Nobody holds the call any more. `anew`: silence is counted from here, else from where it began."""
        self.rearm()
        self.client.hold_over()
        self.lines.await_media(self.now)
        self.clock.unhold(self.now if anew else None)
        self.enter(Phase.DIALOGUE)

    def hold_on(self) -> None:
        """The operator's hold is over, the client's is not: what fell due meanwhile is stale."""
        self.rearm()
        limit = self._rows[Phase.ON_HOLD].rungs[0].window.hi
        if self.now - self.clock.start > limit:
            self.clock.hold(self.now)

    def suspend(self, cause: Suspension) -> None:
        """The clock stands still."""
        self._rearm_unless_heard()
        self.clock.suspend(cause)

    def resume(self, cause: Suspension) -> bool:
        """The cause is gone: the clock begins anew. True if it was there."""
        resumed = self.clock.resume(cause, self.now)
        if resumed:
            self._rearm_unless_heard()
        return resumed

    def _rearm_unless_heard(self) -> None:
        """A phrase in the air is heard all the same, and a hold is counted on."""
        if not self.prompt_controller.playing and not self.holds:
            self.rearm()

    # -- the end -----------------------------------------------------------------------------------

    def end(self, reason: Reason | None) -> None:
        """The script ends the call for this reason; None: it has ended by itself."""
        if reason is not None:
            self.actions.append(act.Hangup(self.now, reason))
        self.enter(Phase.ENDED)

    def end_if_said(self) -> None:
        """The ladder was said to its end."""
        if self.prompt_controller.ended is not None:
            self.end(self.prompt_controller.ended)

    def end_well(self) -> None:
        """As calls end: a callback that is no longer needed is withdrawn."""
        self.rearm()
        self.actions += self.request.end_well(self.now)
        self.end(None)

    def end_unresolved(self, reason: Reason) -> None:
        """The client is to be called back for this reason."""
        self.rearm()
        self.prompt_controller.ask_callback(self.now, reason)
        self.end(reason)

    def client_gone(self) -> None:
        """The client's leg is gone; dropped, unless they had said goodbye."""
        if self.goodbye:
            self.end_well()
        else:
            self.end_unresolved(Reason.DROPPED)

    def unresolved(self) -> Reason | None:
        """The call ends, and nobody said why: what has kept the client from being served, if anything."""
        silent = self.prompt_controller.close(self.now)
        if self.goodbye:
            return None
        if self.holds.by_client:
            return Reason.CLIENT_HOLD
        if self.cannot_hear:
            return Reason.CLIENT_CANNOT_HEAR
        if self.lines.lacks_client(self.now) and not self.holds:
            return Reason.DROPPED
        return silent or self._unanswered()

    def _unanswered(self) -> Reason | None:
        """What sounded on the client's side may have been no client: the operator has not spoken since.

        Since a phrase that the product said, or for long. Or it was the client, and the call was cut off in
        their words: then they are called back as well.
        """
        row, ear = self.armed(), self.operator
        heard = ear.runs > 0 and not (ear.speaking and ear.sure)
        if row is None or not heard or not self.clock.runs:
            return None
        prompted = self.prompt_controller.last_played > ear.end
        long = self.now - max(ear.end, self.clock.restarted) >= self.timing.unknown_sound
        return (self.request.reason or row.reason) if prompted or long else None
