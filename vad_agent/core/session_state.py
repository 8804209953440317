"""The state of a call and its transitions.

`session.py` advances it with frames, `call_control.py` with events; both use the transitions here.
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
    """The state of one call. Times are frames of the call."""

    def __init__(self, settings: Plan, sample_rate: int, *, cue_only: bool) -> None:
        self.operator = settings.endpointer(Channel.OPERATOR, sample_rate)
        self.client = settings.endpointer(Channel.CLIENT, sample_rate)
        self.endpointers = (Channel.OPERATOR, self.operator), (Channel.CLIENT, self.client)
        self.client.expect_crosstalk_of(self.operator)

        self.now = 0
        self.deadline = 1
        """The frame at which something may be due without any change."""
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
            self.endpointers,
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
        """The frame since which a greeting is awaited."""
        self.ringing = False
        self.answer_guessed = False
        """No event reported the answer; it was inferred from talk."""
        self.greeted = False
        self.greeting_missed = False
        self.goodbye = False
        self.cannot_hear = False
        self.lost_devices: set[str] = set()

    # -- state ------------------------------------------------------------------------------------

    def suspended(self) -> tuple[str, ...]:
        """The names of everything that the escalation waits for, in order; empty: it counts, or a
        step runs.
        """
        causes = {
            "ringing": self.ringing,
            "goodbye": self.goodbye,
            "held_by_operator": self.holds.by_operator,
            "no_greeting": self.phase is Phase.GREETING and not self.greeted,
            "speech": any(
                endpointer.speaking and endpointer.sure for _, endpointer in self.endpointers
            ),
        }
        present_causes = {name for name, present in causes.items() if present}
        clock = () if self.clock.runs else self.clock.suspended
        return tuple(sorted(present_causes | set(clock)))

    def connected(self) -> bool:
        """The call is connected. Before anybody has spoken, tones may be unsignalled ringing."""
        return not self.ringing and (self.greeted or self.phase is not Phase.GREETING)

    @property
    def both_talked(self) -> bool:
        """The call is in a dialogue: both sides were heard, and nobody holds it."""
        return self.greeted and self.phase is Phase.DIALOGUE

    def tones_end(self) -> bool:
        """A tone means that the client is gone.

        On hold it does not: the call may be in transfer and ringing.
        """
        progress = self.client.progress
        ends = progress in (Progress.BUSY, Progress.DIAL)
        return self.connected() and (ends or (progress is Progress.RINGBACK and not self.holds))

    def armed(self) -> Scenario | None:
        """The row in force: the phase's own row, unless the operator reported something else."""
        if self.ringing or self.goodbye or self.holds.by_operator:
            return None
        if self.cannot_hear and not self.holds:
            return self.script.scenarios[Reason.CLIENT_CANNOT_HEAR]
        if self.phase is Phase.GREETING and not self.greeted:
            return None
        return self._rows.get(self.phase)

    def dropped_at(self) -> int:
        """The frame at which the client's leg counts as gone for lack of media. On hold, media may stop."""
        return ENDLESS if self.ringing or self.holds else self.lines.dropped_at

    def greeting_due(self) -> int:
        """The frame at which a missing greeting is reported."""
        awaited = self.phase is Phase.GREETING and not (self.greeted or self.greeting_missed)
        counts = self.clock.runs and not self.ringing and not self.operator.speaking
        return self.began + self.timing.no_greeting if awaited and counts else ENDLESS

    # -- speech ------------------------------------------------------------------------------------

    def greet(self) -> None:
        """The operator was heard."""
        if self.client.progress is not None and not self.connected():
            self.client.hold_over()  # ringing is over
        self.greeted = True

    def note_client_speech(self) -> None:
        """The client was heard: enter the dialogue and restart the escalation."""
        self.enter(Phase.DIALOGUE)
        self.holds.client_back()
        self.request.client_heard()
        self.prompt_controller.client_heard(self.now)

    # -- transitions -------------------------------------------------------------------------------

    def enter(self, phase: Phase) -> None:
        """Enter the phase."""
        if self.phase is not phase:
            missing = self.client.detector_missing if self.phase is None else None
            self.phase = phase
            self.actions.append(act.PhaseChanged(self.now, phase, missing))
            if phase is Phase.ENDED:
                self.deadline = ENDLESS

    def rearm(self) -> None:
        """The situation has changed: discard prompts that were due, cued or said before."""
        self.prompt_controller.rearm(self.now)

    def answer(self) -> None:
        """The call is answered: it begins here."""
        self.ringing = self.answer_guessed = self.greeted = False
        self.began = self.now
        self.rearm()
        self.lines.await_media(self.now)
        self.clock.restart(self.now)
        self.client.hold_over()

    def hold(self, party: Channel, since: int) -> None:
        """The party has held the call since frame `since`."""
        self.rearm()
        if party is Channel.CLIENT or not self.clock.held:
            self.clock.hold(since)
        self.enter(Phase.ON_HOLD)

    def unhold(self, *, anew: bool) -> None:
        """Nobody holds the call any more. `anew`: count silence from now, else from its beginning."""
        self.rearm()
        self.client.hold_over()
        self.lines.await_media(self.now)
        self.clock.unhold(self.now if anew else None)
        self.enter(Phase.DIALOGUE)

    def hold_on(self) -> None:
        """The operator's hold ended, the client's has not: discard what fell due meanwhile."""
        self.rearm()
        limit = self._rows[Phase.ON_HOLD].steps[0].window.hi
        if self.now - self.clock.start > limit:
            self.clock.hold(self.now)

    def suspend(self, cause: Suspension) -> None:
        """Stop the clock for this cause."""
        self._rearm_unless_heard()
        self.clock.suspend(cause)

    def resume(self, cause: Suspension) -> bool:
        """The cause has gone: restart the clock. True if the cause was present."""
        resumed = self.clock.resume(cause, self.now)
        if resumed:
            self._rearm_unless_heard()
        return resumed

    def _rearm_unless_heard(self) -> None:
        """Rearm, except while a prompt is playing or a hold is being counted."""
        if not self.prompt_controller.playing and not self.holds:
            self.rearm()

    # -- the end -----------------------------------------------------------------------------------

    def end(self, reason: Reason | None) -> None:
        """The script ends the call for this reason; None: it ended by itself."""
        if reason is not None:
            self.actions.append(act.Hangup(self.now, reason))
        self.enter(Phase.ENDED)

    def end_if_said(self) -> None:
        """End the call if all steps were said."""
        if self.prompt_controller.ended is not None:
            self.end(self.prompt_controller.ended)

    def end_well(self) -> None:
        """The call ended normally: withdraw a callback that is no longer needed."""
        self.rearm()
        self.actions += self.request.end_well(self.now)
        self.end(None)

    def end_unresolved(self, reason: Reason) -> None:
        """The client must be called back for this reason."""
        self.rearm()
        self.prompt_controller.ask_callback(self.now, reason)
        self.end(reason)

    def end_unconfirmed(self) -> None:
        """Nothing says whether they said goodbye: request the callback that a confirmation withdraws."""
        self.rearm()
        self.prompt_controller.ask_callback(self.now, Reason.UNCONFIRMED)
        self.end(None)

    def client_gone(self) -> None:
        """The client's leg is gone: dropped, unless they had said goodbye."""
        if self.goodbye:
            self.end_well()
        else:
            self.end_unresolved(Reason.DROPPED)

    def unresolved(self) -> Reason | None:
        """The call ends for an unknown reason.

        Return the problem that kept the client from service, if any.
        """
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
        """The client may not have been answered: the operator has not spoken since the last sound
        of the client.

        Applies after a prompt of the product, or after a long time. Either the sound was not the
        client, or the call was cut off while they spoke; they are called back in both cases.
        """
        row, endpointer = self.armed(), self.operator
        heard = endpointer.segments_ended > 0 and not (endpointer.speaking and endpointer.sure)
        if row is None or not heard or not self.clock.runs:
            return None
        prompted = self.prompt_controller.last_played > endpointer.end
        long = self.now - max(endpointer.end, self.clock.restarted) >= self.timing.unknown_sound
        return (self.request.reason or row.reason) if prompted or long else None
