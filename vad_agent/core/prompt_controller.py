"""Carries out the armed scenario: when a step is due, who says it, and its outcome.

    silence ──window──> ASKED ──started──> PLAYING ──ended──> said         auto: the product speaks
                          └─ late, failed ──┴──> CUED
    silence ──window──> CUED ──operator speaks──> BY_OPERATOR ──pause──> said by the operator    cue
    silence ──window──> BY_OPERATOR: the operator speaks just before it is due           auto and cue

Speech on either channel stops a prompt. Client speech returns the call to the dialogue. Operator
speech that begins during the prompt leaves the step pending.

A sound that is not known to be speech may delay a step, but not for ever: it stops a prompt once,
and it delays a step until nobody has been known to speak for `TimingTable.unknown_sound`. Therefore
every state except known speech has a deadline, or the callback is requested.

Over 400 lines: one state machine; each of its transitions reads or sets the same four states.
"""

from __future__ import annotations

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, PromptOutcome, Reason
from vad_agent.core.callback_request import CallbackRequest
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.escalation import Escalation, StepRun, StepState
from vad_agent.core.frames import ENDLESS
from vad_agent.core.script import Scenario, Script, Step, Window, fill
from vad_agent.core.session_snapshot import SessionSnapshot
from vad_agent.core.silence_clock import SilenceClock


class PromptController:
    """The escalation of one call and the step being carried out. Appends to the call's actions."""

    def __init__(
        self,
        script: Script,
        *,
        operator: EndpointerPort,
        client: EndpointerPort,
        clock: SilenceClock,
        request: CallbackRequest,
        actions: list[act.Action],
        cue_only: bool,
    ) -> None:
        self._script = script
        self._timing = script.timing
        self._operator = operator
        self._client = client
        self._clock = clock
        self._request = request
        self._actions = actions
        self._cue_only = cue_only
        self._player_lost = False
        self._lead = 0  # frames between the request for a prompt and its sound
        self._escalation = Escalation()
        self._step: StepRun | None = None
        # For each endpointer: its utterance count when an unproven sound last delayed a step.
        self._unproven: dict[int, int] = {}
        self.client_name: str | None = None
        self.last_played = -1
        """The frame at which the player began the last prompt; -1: none yet."""
        self.ended: Reason | None = None
        """All steps were done: the call is to end for this reason."""

    # -- is a step due? ----------------------------------------------------------------------------

    def arm(self, scenario: Scenario | None) -> None:
        """Put this scenario in force; None: none. A scenario that is already armed continues."""
        self._escalation.arm(scenario)

    def act_if_due(self, now: int) -> None:
        """Begin the armed scenario's next step, or give up waiting for the current one."""
        step = self._step
        if step is not None:
            self._give_up_if_due(step, now)
        if self._step is None:
            self._begin_if_due(now)

    def _give_up_if_due(self, step: StepRun, now: int) -> None:
        """Give up the step if the player or the operator has not reported in time."""
        if now < self._step_deadline(step):
            return
        match step.state:
            case StepState.ASKED:
                self._fail(step, now)
            case StepState.PLAYING:
                self._actions.append(act.Stop(now, step.prompt))
                self._fail(step, now)
            case StepState.CUED:
                # The cue stays visible, but the client is called back whatever the operator does
                # now.
                self._ask_callback_of_ladder(now)
            case StepState.BY_OPERATOR:
                self._step = None  # it was never confirmed as the operator's voice

    def _begin_if_due(self, now: int) -> None:
        next_step = self._escalation.next_step
        if next_step is None or not self._silent:
            return
        silence = now - self._clock.start
        window = self._window(next_step, silence)
        if silence < self._due(window) or self._tone_delays(silence, window):
            return
        sounds = any(endpointer.speaking for endpointer in self._endpointers())
        if silence < self._patience(window):
            if sounds or self._in_doubt(silence, window):
                return
        elif sounds:
            for endpointer in self._endpointers():
                # The sound that delayed the prompt must not stop it as well.
                self._doubt(endpointer)
            self._actions.append(act.Alert(now, "unknown_sound"))
        self._begin_step(next_step, window, now)

    def _begin_step(self, next_step: Step, window: Window, now: int) -> None:
        state = StepState.CUED if self._by_operator else StepState.ASKED
        step = self._begin(next_step, window, now, state)
        if state is StepState.CUED:
            self._cue(step, now)
        else:
            self._actions.append(act.Play(now, step.prompt, step.text))

    def _step_due(self, now: int) -> int:
        """The frame from which the next step may begin; ENDLESS: no step waits for silence."""
        next_step = self._escalation.next_step
        if self._step is not None or next_step is None or not self._silent:
            return ENDLESS
        base = self._clock.start
        return base + self._due(self._window(next_step, now - base))

    def deadline(self, now: int) -> int:
        """The frame at which to check again even if nothing has changed."""
        return self._step_due(now) if self._step is None else self._step_deadline(self._step)

    def _step_deadline(self, step: StepRun) -> int:
        """The frame at which the current step is given up, or counts as said by the operator."""
        match step.state:
            case StepState.ASKED:
                return step.asked + self._timing.prompt_start
            case StepState.PLAYING:
                return (step.started or 0) + self._timing.prompt_end
            case StepState.CUED:
                if self._request.open:
                    return ENDLESS  # nothing can be lost by waiting for the operator
                return max(step.asked, step.base + step.window.hi) + self._timing.unknown_sound
            case StepState.BY_OPERATOR:
                if not self._operator.speaking:
                    return self._operator.end + self._timing.utterance_gap
                if self._operator.sure:
                    return ENDLESS
                since = step.started if self._clock.held and step.started else step.base
                return since + self._timing.unknown_sound

    @property
    def _silent(self) -> bool:
        """The clock runs, and no side is known to speak."""
        return self._clock.runs and not any(
            endpointer.speaking and endpointer.sure for endpointer in self._endpointers()
        )

    def _patience(self, window: Window) -> int:
        """Frames of silence after which an unknown sound no longer delays a step."""
        return max(self._timing.unknown_sound, window.hi - self._lead)

    def _is_known_speech(self, endpointer: EndpointerPort) -> bool:
        """The endpointer reports speech, or a sound that may be speech and has not delayed a step
        before.
        """
        proven = endpointer.sure or self._unproven.get(id(endpointer)) != endpointer.utterances
        return endpointer.speaking and proven

    def _doubt(self, endpointer: EndpointerPort) -> None:
        """A sound on this channel delays a step.

        Unless it is speech, the next sound must be known speech to delay one.
        """
        if endpointer.speaking and not endpointer.sure:
            self._unproven[id(endpointer)] = endpointer.utterances

    def client_speaks(self) -> bool:
        """The client speaks. On hold, sound is not attributed to the client until the hold ends."""
        return self._is_known_speech(self._client) and not self._clock.held

    def _window(self, next_step: Step, silence: int) -> Window:
        client = self._client
        window = next_step.window_for(client.line is LineState.DIGITAL_ZERO and not client.gated)
        # A line that goes dead after the shorter window has passed keeps the longer window.
        return window if silence <= window.hi else next_step.window

    @property
    def _by_operator(self) -> bool:
        """The operator is to say the step: the product has no voice or has lost it."""
        return self._cue_only or self._player_lost

    def _due(self, window: Window) -> int:
        if self._by_operator:
            return window.lo - self._timing.takeover_lead
        # The sound should start at the aim. If the actual latency is half the measured one, the
        # prompt must not start too early, unless the window is so narrow that it would otherwise
        # start too late.
        late = max(window.aim - self._lead, window.lo - self._lead // 2)
        return min(late, window.hi - self._lead)

    def _tone_delays(self, silence: int, window: Window) -> bool:
        """Wait, as long as the window allows: the client may be gone or may have just pressed a key."""
        if self._client.line is not LineState.TONE or self._by_operator:
            return False  # the operator hears the tone too
        return silence < window.hi - self._timing.defer - self._lead

    def _in_doubt(self, silence: int, window: Window) -> bool:
        """Wait: a frame is missing. Or wait a little: a sound has just begun."""
        if any(endpointer.lacks_frame() for endpointer in self._endpointers()):
            return True  # until the frame comes, or the line is known to have no media
        if silence >= min(self._due(window) + self._timing.defer, window.hi - self._lead):
            return False
        return any(endpointer.doubtful() for endpointer in self._endpointers())

    def _endpointers(self) -> tuple[EndpointerPort, ...]:
        """The endpointers whose speech counts now: on hold, only the operator's."""
        return (self._operator,) if self._clock.held else (self._operator, self._client)

    def _begin(self, next_step: Step, window: Window, now: int, state: StepState) -> StepRun:
        text = fill(next_step.text, self._script.fields(self.client_name))
        step = StepRun(next_step.prompt, text, window, state, base=self._clock.start, asked=now)
        self._step = step
        if self._escalation.last:
            # The request must be stored before the client hears the promise of a callback.
            self._ask_callback_of_ladder(now)
        return step

    def _ask_callback_of_ladder(self, now: int) -> None:
        if self._escalation.scenario is not None:
            self.ask_callback(now, self._escalation.scenario.reason)

    def _cue(self, step: StepRun, now: int) -> None:
        lo, hi = step.base + step.window.lo, step.base + step.window.hi
        self._actions.append(act.Cue(now, step.prompt, step.text, lo, hi))

    def ask_callback(self, now: int, reason: Reason) -> None:
        """Request the callback that follows from this reason."""
        self._actions += self._request.ask(now, reason, self.client_name)

    # -- somebody speaks ---------------------------------------------------------------------------

    def follow_speech(self, now: int) -> None:
        """Yield to whoever speaks; let the operator say the step themselves."""
        step = self._step
        playing = step is not None and step.state in (StepState.ASKED, StepState.PLAYING)
        if playing and self.client_speaks() and self._client_resets():
            self._doubt(self._client)
            self._give_way(now)
        if self._is_known_speech(self._operator):
            self._follow_operator_speech(now)
        if self._step is not None and self._step.state is StepState.BY_OPERATOR:
            self._follow_operator(self._step, now)

    def client_heard(self, now: int) -> None:
        """The client's sound is accepted as speech: the escalation restarts next time."""
        if self._client_resets():
            self._give_way(now, until=self._client.start)
            self._escalation.disarm()

    def _client_resets(self) -> bool:
        return self._escalation.scenario is None or self._escalation.scenario.client_resets

    def _follow_operator_speech(self, now: int) -> None:
        began, step = self._operator.start, self._step
        if step is None:
            next_step = self._escalation.next_step
            if next_step is None or not self._clock.runs or self.client_speaks():
                return
            window = self._window(next_step, now - self._clock.start)
            if self._in_time(began - self._clock.start, window):
                self._doubt(self._operator)
                self._begin(next_step, window, now, StepState.BY_OPERATOR).started = began
        elif step.state is StepState.CUED and began >= step.asked:
            self._doubt(self._operator)
            self._actions.append(act.Dismiss(now, step.prompt))
            step.state, step.started = StepState.BY_OPERATOR, began
        elif step.state in (StepState.ASKED, StepState.PLAYING):
            self._doubt(self._operator)
            before = step.started is None or began < step.started
            if before and self._in_time(began - step.base, step.window):
                self._stop(step, now)
                step.state, step.started = StepState.BY_OPERATOR, began
            else:
                self._give_way(now)

    def _in_time(self, silence: int, window: Window) -> bool:
        return silence >= window.lo - self._timing.takeover_lead

    def _follow_operator(self, step: StepRun, now: int) -> None:
        """Wait for the end of what the operator is saying, including pauses inside it."""
        endpointer = self._operator
        if endpointer.speaking:
            return
        if endpointer.end <= (step.started or 0):
            self._step = None  # it was noise
        elif now - endpointer.end >= self._timing.utterance_gap:
            self._said(step, now, endpointer.end, PromptOutcome.SAID_BY_OPERATOR)

    # -- the player --------------------------------------------------------------------------------

    def started(self, now: int, prompt: str | None, text: str | None = None) -> None:
        """The player has output the first sample. `text`: what it says, if it differs from the request."""
        step = self._step
        if step and step.state is StepState.ASKED and prompt in (step.prompt, None):
            step.state, step.started = StepState.PLAYING, now
            self.last_played = now
            step.text = text or step.text
            self._client.own_prompt(True)

    def finished(self, now: int, prompt: str | None) -> None:
        """The player has output the last sample."""
        step = self._step
        if step and step.state is StepState.PLAYING and prompt in (step.prompt, None):
            self._client.own_prompt(False)
            self._said(step, now, now, PromptOutcome.SAID)

    def failed(self, now: int, prompt: str | None) -> None:
        """The player could not play the prompt, or could not finish it."""
        step = self._step
        playing = step is not None and step.state in (StepState.ASKED, StepState.PLAYING)
        if step and playing and prompt in (step.prompt, None):
            self._fail(step, now)

    def ready(self, lead: int) -> None:
        """The player is ready and has a latency of `lead` frames."""
        self._lead = lead

    def lose_player(self, now: int) -> None:
        """The player is gone: the current prompt has failed, and the operator says the rest."""
        self._player_lost = True
        step = self._step
        if step is not None and step.state in (StepState.ASKED, StepState.PLAYING):
            self._fail(step, now)

    def regain_player(self, now: int) -> None:
        """The player is back: it says what the operator has not said."""
        self._player_lost = False
        step = self._step
        if step is not None and step.state is StepState.CUED and not self._cue_only:
            self._actions.append(act.Dismiss(now, step.prompt))
            self._step = None

    def _fail(self, step: StepRun, now: int) -> None:
        self._client.own_prompt(False)
        self._finish(step, now, None if step.started is None else now, PromptOutcome.FAILED)
        # The operator is to say the step.
        step.state, step.started, step.asked = StepState.CUED, None, now
        self._cue(step, now)

    # -- a step's end ------------------------------------------------------------------------------

    def rearm(self, now: int) -> None:
        """The situation has changed: discard steps that were due, cued or done."""
        self._give_way(now)
        self._escalation.disarm()

    def watch(self, now: int) -> SessionSnapshot:
        """A snapshot for display."""
        clock, step, next_step = self._clock, self._step, self._escalation.next_step
        waits = step is None and next_step is not None and self._silent
        silence = now - clock.start if waits or (step and step.state is StepState.CUED) else None
        window = None
        if next_step is not None and silence is not None:
            window = step.window if step else self._window(next_step, silence)
        return SessionSnapshot(
            silence=silence,
            lo=window.lo if window else None,
            hi=window.hi if window else None,
            suspended=clock.suspended,
            held=clock.held,
            prompt=step.prompt if step else None,
            prompt_text=step.text if step else None,
            prompt_state=step.state.name.lower() if step else None,
            prompt_lo=step.base + step.window.lo if step else None,
            prompt_hi=step.base + step.window.hi if step else None,
            next_text=self._next_text(step is not None),
            ends=step is not None and self._escalation.last,
        )

    def _next_text(self, after_step: bool) -> str | None:
        scenario, number = self._escalation.scenario, self._escalation.done + after_step
        if scenario is None or number >= len(scenario.steps):
            return None
        return fill(scenario.steps[number].text, self._script.fields(self.client_name))

    @property
    def playing(self) -> bool:
        """A prompt is playing."""
        return self._step is not None and self._step.state is StepState.PLAYING

    def close(self, now: int) -> Reason | None:
        """The call is over: settle the current step. Return the reason for a callback, if there is one.

        There is one if a step was said, in progress or overdue: the client was not heard.
        """
        scenario, step = self._escalation.scenario, self._step
        unresolved = step is not None or self._escalation.done > 0 or self._is_overdue(now)
        if step is not None and step.state is StepState.BY_OPERATOR:
            self._step = None
            end = now if self._operator.speaking else self._operator.end
            if end > (step.started or 0):
                self._said(step, now, end, PromptOutcome.SAID_BY_OPERATOR)
        else:
            self._give_way(now)
        return scenario.reason if scenario is not None and unresolved else None

    def _is_overdue(self, now: int) -> bool:
        """A step's window passed without the step: an unproven sound delayed it."""
        next_step, silence = self._escalation.next_step, now - self._clock.start
        return (
            next_step is not None and self._silent and silence > self._window(next_step, silence).hi
        )

    def _give_way(self, now: int, until: int | None = None) -> None:
        """Somebody speaks, since frame `until`, or the step is no longer needed."""
        step, self._step = self._step, None
        if step is None:
            return
        match step.state:
            case StepState.ASKED:
                self._stop(step, now)
            case StepState.PLAYING:
                self._stop(step, now)
                self._clock.heard(now)
                self._finish(step, now, now, PromptOutcome.INTERRUPTED)
            case StepState.CUED:
                self._actions.append(act.Dismiss(now, step.prompt))
                if (now if until is None else until) - step.base > step.window.hi:
                    self._finish(step, now, None, PromptOutcome.MISSED)
            case StepState.BY_OPERATOR:
                # The operator was interrupted while speaking, or in the pause that would have ended
                # the step.
                if self._operator.speaking or self._operator.end <= (step.started or 0):
                    self._finish(step, now, now, PromptOutcome.INTERRUPTED)
                else:
                    self._finish(step, now, self._operator.end, PromptOutcome.SAID_BY_OPERATOR)

    def _stop(self, step: StepRun, now: int) -> None:
        self._actions.append(act.Stop(now, step.prompt))
        self._client.own_prompt(False)

    def _said(self, step: StepRun, now: int, end: int, outcome: PromptOutcome) -> None:
        self._step = None
        self._clock.heard(end)
        self._finish(step, now, end, outcome)
        if self._escalation.scenario is not None and not self._escalation.advance():
            self.ended = self._escalation.scenario.reason

    def _finish(self, step: StepRun, now: int, end: int | None, outcome: PromptOutcome) -> None:
        self._actions.append(
            act.PromptDone(
                frame=now,
                prompt=step.prompt,
                text=step.text,
                lo=step.window.lo,
                hi=step.window.hi,
                silence=step.silence(now),
                started=step.started,
                ended=end,
                outcome=outcome,
            )
        )
