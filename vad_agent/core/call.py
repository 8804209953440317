"""One call: frames and events in, actions out. Reads in the order of a frame's way:

    feed → hearing → line → speech → clock → ladder → actions

No I/O, no clock, no thread: time is the count of frames fed. Between transitions and deadlines a frame
costs its hearing and one comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, Outcome, Phase, Reason
from vad_agent.core.ear import Ear, Plan
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import SAMPLE_BYTES, Channel, check_frame, samples_per_frame
from vad_agent.core.ladder import Ladder, State, Step
from vad_agent.core.request import CallbackRequest
from vad_agent.core.script import Clock, Rung, Scenario, Window, fill
from vad_agent.core.silence import SilenceClock, Suspension

ENDLESS = 1 << 62
Frame = bytes | bytearray | memoryview | None


class CallSession:
    """The session of one call.

    `settings`: a `vad_agent.Settings`; `sample_rate`: Hz, one of 8000, 16000, 32000, 48000; `mode`: auto
    (the product speaks: carry out Play, report with prompt_started and prompt_ended) or cue (the
    operator speaks: show Cue).

    Raises:
        FrameError: a sample rate that is not taken.
        ValueError: an unknown mode.
    """

    def __init__(self, settings: Plan, sample_rate: int, *, mode: str = "auto") -> None:
        if mode not in ("auto", "cue"):
            raise ValueError(f"mode: expected auto or cue, got {mode!r}")
        self._frame_bytes = samples_per_frame(sample_rate) * SAMPLE_BYTES
        self._operator = settings.ear(Channel.OPERATOR, sample_rate)
        self._client = settings.ear(Channel.CLIENT, sample_rate)
        self._hear_operator: Callable[[Frame], bool] = self._operator.hear
        self._hear_client: Callable[[Frame], bool] = self._client.hear
        self._script = settings.script
        self._timing = self._script.timing
        self._cue_only = mode == "cue"

        self.now = 0
        """Frames fed so far."""
        self.phase: Phase | None = None
        self._deadline = 1  # the frame at which something may be due although nothing changes
        self._actions: list[act.Action] = []

        self._ringing = False
        self._began = 0
        self._greeted = False
        self._greeting_missed = False
        self._client_name: str | None = None
        self._goodbye = False
        self._cannot_hear = False
        self._held_by: str | None = None  # client, operator, music
        self._hold_base = 0
        self._media_base = 0

        self._lines: dict[Channel, tuple[LineState | None, int]] = {}
        self._runs = {Channel.OPERATOR: 0, Channel.CLIENT: 0}
        self._utterances = {Channel.OPERATOR: 0, Channel.CLIENT: 0}
        self._had_media: set[Channel] = set()
        self._clock = SilenceClock()
        self._ladder = Ladder()
        self._step: Step | None = None
        self._request = CallbackRequest(self._script)

    # -- in ----------------------------------------------------------------------------------------

    def feed(self, operator: Frame, client: Frame) -> Sequence[act.Action]:
        """One 20 ms frame of each channel, int16 little-endian mono; None: no frame came.

        Raises:
            FrameError: wrong size or type; nothing has changed then.
        """
        if client is not None and (type(client) is not bytes or len(client) != self._frame_bytes):
            client = check_frame(client, self._frame_bytes)  # before the operator's is taken
        changed = self._hear_operator(operator)
        if self._hear_client(client):
            changed = True
        now = self.now = self.now + 1
        if changed or now >= self._deadline:
            self._move()
            return self._take_actions()
        return NOTHING

    def signal(self, event: Event | Mapping[str, object] | str) -> Sequence[act.Action]:
        """An event, between the frames fed so far and the next one.

        Raises:
            EventError: it cannot be understood; nothing has changed then.
        """
        event = Event.parse(event)
        if self.phase is not Phase.ENDED:
            self._begin()
            self._ON[event.kind](self, event)
            self._move()
        return self._take_actions()

    def _take_actions(self) -> list[act.Action]:
        actions, self._actions = self._actions, []
        return actions

    # -- the way of a frame ------------------------------------------------------------------------

    def _move(self) -> None:
        """Something changed or is due."""
        if self.phase is Phase.ENDED:
            return
        self._begin()
        self._read_lines()
        self._read_speech()
        if self.phase is not Phase.ENDED:  # the client's leg may be gone
            self._yield_to_speech()
        if self.phase is not Phase.ENDED:  # the operator may have said the farewell
            self._climb()
        self._deadline = self._next_deadline()

    def _begin(self) -> None:
        if self.phase is None:
            self._enter(Phase.GREETING)

    def _enter(self, phase: Phase) -> None:
        if self.phase is not phase:
            self.phase = phase
            self._actions.append(act.PhaseChanged(self.now, phase))

    # the line: what does each channel carry?

    def _read_lines(self) -> None:
        for channel, ear in self._ears():
            state = ear.line, ear.since
            if state == self._lines.get(channel, (None, 0)):
                continue
            self._lines[channel] = state
            if ear.line is None:
                continue
            self._actions.append(act.LineChanged(self.now, channel, ear.line, ear.since))
            if ear.line is not LineState.NO_MEDIA:
                self._had_media.add(channel)
            self._watch_media(channel, ear)
        client = self._client
        if client.line is LineState.MUSIC:
            if self._held_by is None and not self._ringing:
                self._hold("music", client.since)
        elif self._held_by == "music":
            self._unhold()
        if (
            client.line is LineState.NO_MEDIA
            and self._held_by is None
            and self._began_with_media()
            and self.now >= self._media_awaited_until()
        ):
            self._drop()

    def _watch_media(self, channel: Channel, ear: Ear) -> None:
        cause = _NO_MEDIA[channel]
        if ear.line is not LineState.NO_MEDIA:
            self._clock.resume(cause, self.now)
        elif channel is Channel.CLIENT or channel in self._had_media:
            # An operator's leg that never came is not tapped: nothing can be told from it.
            self._clock.suspend(cause)

    def _began_with_media(self) -> bool:
        return bool(self._had_media) and not self._ringing

    def _media_awaited_until(self) -> int:
        # After a hold the media needs its time to come back.
        return max(self._client.since, self._media_base) + self._timing.no_media_drop

    # speech: who was heard?

    def _read_speech(self) -> None:
        for channel, ear in self._ears():
            if ear.runs != self._runs[channel]:
                self._runs[channel] = ear.runs
                self._clock.heard(ear.end)
                self._actions.append(act.Speech(self.now, channel, ear.start, ear.end))
                if channel is Channel.OPERATOR and not self._ringing:
                    self._greeted = True
            if ear.utterances != self._utterances[channel]:
                self._utterances[channel] = ear.utterances
                if channel is Channel.CLIENT and not self._ringing:
                    self._client_heard()

    def _client_heard(self) -> None:
        if self._held_by is not None:
            return
        self._request.client_heard()
        self._enter(Phase.DIALOGUE)
        if self._disarmed_by_client():
            self._give_way(by_client=True)
            self._ladder.disarm()

    def _disarmed_by_client(self) -> bool:
        return self._ladder.scenario is None or self._ladder.scenario.client_resets

    # barge-in and the operator's own words

    def _yield_to_speech(self) -> None:
        step = self._step
        if self._client.speaking and self._held_by is None and self._disarmed_by_client():
            if step and step.state in (State.ASKED, State.PLAYING):
                self._give_way(by_client=True)
        if self._operator.speaking:
            self._yield_to_operator(self._step)
        if self._step and self._step.state is State.BY_OPERATOR:
            self._follow_operator(self._step)

    def _yield_to_operator(self, step: Step | None) -> None:
        began = self._operator.start
        if step is None:
            rung = self._ladder.rung
            if rung is None or not self._clock_runs() or self._client_speaks():
                return
            base = self._base()
            window = self._window(rung, base)
            if began - base >= window.lo - self._timing.takeover_lead:
                self._step = self._new_step(rung, window, base, State.BY_OPERATOR)
                self._step.started = began
                self._ask_callback_before_farewell()
        elif step.state is State.PLAYING and step.started is not None and began >= step.started:
            self._give_way(by_client=False)
        elif step.state is State.CUED:
            if began >= step.asked:
                step.state, step.started = State.BY_OPERATOR, began
                self._actions.append(act.Dismiss(self.now, step.prompt))
        elif step.state in (State.ASKED, State.PLAYING):
            if began - step.base >= step.window.lo - self._timing.takeover_lead:
                self._stop(step)
                step.state, step.started = State.BY_OPERATOR, began
            else:
                self._give_way(by_client=False)

    def _follow_operator(self, step: Step) -> None:
        """Wait for the end of what the operator is saying, inner pauses included."""
        ear = self._operator
        assert step.started is not None, step
        if ear.speaking:
            return
        if ear.end <= step.started:  # it turned out as noise
            self._step = None
        elif self.now - ear.end >= self._timing.utterance_gap:
            self._said(step, ear.end, Outcome.SAID_BY_OPERATOR)

    def _give_way(self, *, by_client: bool) -> None:
        """Somebody speaks, or the step is no longer called for."""
        step, self._step = self._step, None
        if step is None:
            return
        match step.state:
            case State.ASKED:
                self._stop(step)
            case State.PLAYING:
                self._stop(step)
                self._finish_step(step, self.now, Outcome.INTERRUPTED)
            case State.CUED:
                self._actions.append(act.Dismiss(self.now, step.prompt))
                until = self._client.start if by_client else self.now
                if until - step.base > step.window.hi:
                    self._finish_step(step, None, Outcome.MISSED)
            case State.BY_OPERATOR:
                spoken = not self._operator.speaking and by_client
                end = self._operator.end if spoken else self.now
                outcome = Outcome.SAID_BY_OPERATOR if spoken else Outcome.INTERRUPTED
                self._finish_step(step, end, outcome)

    def _stop(self, step: Step) -> None:
        self._actions.append(act.Stop(self.now, step.prompt))
        self._client.own_prompt(False)

    # the ladder: is a step due?

    def _climb(self) -> None:
        if self._ringing:
            return
        self._ladder.arm(self._wanted())
        if self._step is not None:
            if self._step.state is State.ASKED and self._start_is_late(self._step):
                self._fail(self._step)
            return
        self._report_missing_greeting()
        rung = self._ladder.rung
        if rung is None or not self._nobody_speaks():
            return
        base = self._base()
        window = self._window(rung, base)
        silence = self.now - base
        if silence < self._due(window) or self._in_doubt(silence, window):
            return
        state = State.CUED if self._cue_only else State.ASKED
        step = self._step = self._new_step(rung, window, base, state)
        self._ask_callback_before_farewell()
        if state is State.ASKED:
            self._actions.append(act.Play(self.now, step.prompt, step.text))
        else:
            self._cue(step)

    def _wanted(self) -> Scenario | None:
        """Which row is armed now."""
        rows = self._script.scenarios
        if self._goodbye:
            return None
        if self.phase is Phase.ON_HOLD:
            return None if self._held_by == "operator" else rows[Reason.CLIENT_HOLD]
        if self._cannot_hear:
            return rows[Reason.CLIENT_CANNOT_HEAR]
        if self.phase is Phase.DIALOGUE:
            return rows[Reason.SILENCE_IN_DIALOGUE]
        return rows[Reason.SILENCE_AFTER_GREETING] if self._greeted else None

    def _nobody_speaks(self) -> bool:
        return (
            self._clock_runs() and not self._client_speaks() and not self._operator.speaking
        )

    def _client_speaks(self) -> bool:
        # What is heard on hold is not the client, until the hold is over.
        return self._client.speaking and self._held_by is None

    def _clock_runs(self) -> bool:
        if self._held_by is not None:  # media may stop on hold, and the operator mute himself
            return not self._clock.suspended_by(Suspension.PAUSED)
        return self._clock.runs

    def _base(self) -> int:
        """What the armed row's windows are measured from."""
        scenario = self._ladder.scenario
        if scenario is not None and scenario.clock is Clock.HOLD:
            return self._hold_base
        return self._clock.start

    def _window(self, rung: Rung, base: int) -> Window:
        dead = self._client.line is LineState.DIGITAL_ZERO
        window = rung.window_for(dead)
        # A line that goes dead when the shorter window has passed keeps the longer one.
        return window if self.now - base <= window.hi else rung.window

    def _due(self, window: Window) -> int:
        return window.lo - self._timing.takeover_lead if self._cue_only else window.aim

    def _in_doubt(self, silence: int, window: Window) -> bool:
        """Wait a little: a sound has just begun, or a frame did not come."""
        if silence >= min(self._due(window) + self._timing.defer, window.hi):
            return False
        if self._held_by is not None:
            return self._operator.doubtful()
        missing = self._client.missing or (
            self._operator.missing and Channel.OPERATOR in self._had_media
        )
        return bool(missing) or self._operator.doubtful() or self._client.doubtful()

    def _new_step(self, rung: Rung, window: Window, base: int, state: State) -> Step:
        text = fill(rung.text, self._script.fields(self._client_name))
        return Step(rung.prompt, text, window, state, base, asked=self.now)

    def _cue(self, step: Step) -> None:
        lo, hi = step.base + step.window.lo, step.base + step.window.hi
        self._actions.append(act.Cue(self.now, step.prompt, step.text, lo, hi))

    def _ask_callback_before_farewell(self) -> None:
        """It must be stored before the client hears it promised."""
        if self._ladder.last and self._ladder.scenario is not None:
            self._ask_callback(self._ladder.scenario.reason)

    def _ask_callback(self, reason: Reason, agreed: Event | None = None) -> None:
        self._actions += self._request.ask(self.now, reason, self._client_name, agreed)

    def _start_is_late(self, step: Step) -> bool:
        return self.now - step.asked >= self._timing.prompt_start

    def _report_missing_greeting(self) -> None:
        if self._awaits_greeting() and self.now - self._began >= self._timing.no_greeting:
            self._greeting_missed = True
            self._actions.append(act.Alert(self.now, "no_greeting"))

    def _awaits_greeting(self) -> bool:
        return (
            self.phase is Phase.GREETING
            and not (self._greeted or self._greeting_missed or self._operator.speaking)
            and self._clock.runs
        )

    # a step's end

    def _said(self, step: Step, end: int, outcome: Outcome) -> None:
        self._step = None
        self._clock.heard(end)
        self._finish_step(step, end, outcome)
        if self._ladder.scenario is not None and not self._ladder.advance():
            self._end(self._ladder.scenario.reason)

    def _fail(self, step: Step) -> None:
        """The player could not: the operator is to say it."""
        self._client.own_prompt(False)
        self._finish_step(step, self.now if step.started is not None else None, Outcome.FAILED)
        step.state, step.started, step.asked = State.CUED, None, self.now
        self._cue(step)

    def _finish_step(self, step: Step, end: int | None, outcome: Outcome) -> None:
        self._actions.append(
            act.PromptDone(
                frame=self.now,
                prompt=step.prompt,
                text=step.text,
                lo=step.window.lo,
                hi=step.window.hi,
                silence=step.silence(self.now),
                started=step.started,
                ended=end,
                outcome=outcome,
            )
        )

    def _end(self, reason: Reason | None) -> None:
        if reason is not None:
            self._actions.append(act.Hangup(self.now, reason))
        self._enter(Phase.ENDED)

    def _drop(self) -> None:
        """The client's leg is gone, and nobody said goodbye."""
        self._give_way(by_client=False)
        self._ask_callback(Reason.DROPPED)
        self._end(Reason.DROPPED)

    # when to look again although nothing changes

    def _next_deadline(self) -> int:
        if self.phase is Phase.ENDED:
            return ENDLESS
        due = [ENDLESS]
        if self._client.line is LineState.NO_MEDIA and self._began_with_media():
            if self._held_by is None:
                due.append(self._media_awaited_until())
        if self._awaits_greeting():
            due.append(self._began + self._timing.no_greeting)
        step, rung = self._step, self._ladder.rung
        if step is not None:
            if step.state is State.ASKED:
                due.append(step.asked + self._timing.prompt_start)
            elif step.state is State.BY_OPERATOR and not self._operator.speaking:
                due.append(self._operator.end + self._timing.utterance_gap)
        elif rung is not None and self._nobody_speaks():
            base = self._base()
            due.append(base + self._due(self._window(rung, base)))
        return max(min(due), self.now + 1)

    # -- events ------------------------------------------------------------------------------------

    def _on_ringing(self, _: Event) -> None:
        if self.phase is Phase.GREETING and not self._greeted:
            self._ringing = True

    def _on_answered(self, _: Event) -> None:
        if self._ringing or not self._greeted:
            self._ringing = False
            self._began = self._media_base = self.now
            self._clock.restart(self.now)

    def _on_hold(self, event: Event) -> None:
        if self._held_by == "music":
            self._held_by = "client"  # the event confirms what was heard
        elif self._held_by is None:
            self._hold("operator" if event.party == "operator" else "client", self.now)

    def _on_unhold(self, _: Event) -> None:
        if self._held_by is not None:
            self._unhold()

    def _hold(self, by: str, since: int) -> None:
        self._rearm()
        self._held_by = by
        self._hold_base = since
        self._enter(Phase.ON_HOLD)

    def _unhold(self) -> None:
        self._rearm()
        self._held_by = None
        self._client.hold_over()
        self._media_base = self.now
        self._clock.restart(self.now)
        self._enter(Phase.DIALOGUE)

    def _rearm(self) -> None:
        """The situation is a new one: what was due, cued or climbed before is stale."""
        self._give_way(by_client=False)
        self._ladder.disarm()

    def _on_hangup(self, event: Event) -> None:
        if self._ringing:
            self._end(None)
        elif self._goodbye:
            self._end_well()
        elif event.party == "operator":
            self._hang_up_by_operator()
        else:
            self._drop()

    def _hang_up_by_operator(self) -> None:
        """As calls end; but a client who was not heard, or did not come back, is called back."""
        scenario, step = self._ladder.scenario, self._step
        farewell = self._ladder.last
        if step is not None and step.state is State.BY_OPERATOR:
            self._step = None
            end = self.now if self._operator.speaking else self._operator.end
            self._finish_step(step, end, Outcome.SAID_BY_OPERATOR)
            self._ladder.climbed += 1
        else:
            self._give_way(by_client=False)
        lost = self._held_by in ("client", "music") or self._cannot_hear
        if scenario is not None and (self._ladder.climbed > 0 or lost or (farewell and step)):
            self._ask_callback(scenario.reason)
            self._end(scenario.reason)
        else:
            self._end_well()

    def _end_well(self) -> None:
        self._give_way(by_client=False)
        self._actions += self._request.end_well(self.now)
        self._end(None)

    def _on_mute(self, _: Event) -> None:
        self._actions.append(
            act.LineChanged(self.now, Channel.OPERATOR, LineState.MUTED, self.now)
        )
        playing = self._step is not None and self._step.state is State.PLAYING
        if not playing and self._held_by is None:
            self._rearm()
        self._clock.suspend(Suspension.MUTED)

    def _on_unmute(self, _: Event) -> None:
        if self._resume(Suspension.MUTED) and self._operator.line is not None:
            line = self._operator.line
            self._actions.append(act.LineChanged(self.now, Channel.OPERATOR, line, self.now))

    def _on_pause(self, _: Event) -> None:
        self._rearm()
        self._clock.suspend(Suspension.PAUSED)

    def _on_resume(self, _: Event) -> None:
        self._resume(Suspension.PAUSED)

    def _resume(self, cause: Suspension) -> bool:
        resumed = self._clock.resume(cause, self.now)
        if resumed and cause is Suspension.PAUSED:
            self._hold_base = self.now
        if resumed and self._step is None and self._held_by is None:
            self._ladder.disarm()
        return resumed

    def _on_client_name(self, event: Event) -> None:
        self._client_name = (event.name or "").strip() or None

    def _on_cannot_hear(self, _: Event) -> None:
        if not self._cannot_hear:
            self._rearm()
            self._cannot_hear = True
            self._clock.restart(self.now)
            self._ask_callback(Reason.CLIENT_CANNOT_HEAR)

    def _on_callback_agreed(self, event: Event) -> None:
        self._client_name = (event.name or "").strip() or self._client_name
        self._ask_callback(Reason.AGREED, event)

    def _on_goodbye(self, _: Event) -> None:
        self._rearm()
        self._goodbye = True

    def _on_prompt_started(self, event: Event) -> None:
        step = self._step
        if step and step.state is State.ASKED and event.prompt in (step.prompt, None):
            step.state, step.started = State.PLAYING, self.now
            self._client.own_prompt(True)

    def _on_prompt_ended(self, event: Event) -> None:
        step = self._step
        if step and step.state is State.PLAYING and event.prompt in (step.prompt, None):
            self._client.own_prompt(False)
            self._said(step, self.now, Outcome.SAID)

    def _on_prompt_failed(self, event: Event) -> None:
        step = self._step
        playing = step is not None and step.state in (State.ASKED, State.PLAYING)
        if step and playing and event.prompt in (step.prompt, None):
            self._fail(step)

    def _on_source_ended(self, _: Event) -> None:
        """No more frames will come, and nobody said why: the call is over, nothing follows."""
        self._operator.finish()
        self._client.finish()
        self._read_speech()
        step = self._step
        by_operator = step is not None and step.state is State.BY_OPERATOR
        if step and by_operator and self._operator.end > (step.started or 0):
            self._said(step, self._operator.end, Outcome.SAID_BY_OPERATOR)
        if self.phase is not Phase.ENDED:
            self._give_way(by_client=False)
            self._end(None)

    def _ears(self) -> tuple[tuple[Channel, Ear], tuple[Channel, Ear]]:
        return (Channel.OPERATOR, self._operator), (Channel.CLIENT, self._client)

    _ON: Mapping[Kind, Callable[[CallSession, Event], None]] = {
        Kind.RINGING: _on_ringing,
        Kind.ANSWERED: _on_answered,
        Kind.HOLD: _on_hold,
        Kind.UNHOLD: _on_unhold,
        Kind.HANGUP: _on_hangup,
        Kind.OPERATOR_MUTE: _on_mute,
        Kind.OPERATOR_UNMUTE: _on_unmute,
        Kind.PAUSE: _on_pause,
        Kind.RESUME: _on_resume,
        Kind.CLIENT_NAME: _on_client_name,
        Kind.CLIENT_CANNOT_HEAR: _on_cannot_hear,
        Kind.CALLBACK_AGREED: _on_callback_agreed,
        Kind.GOODBYE: _on_goodbye,
        Kind.PROMPT_STARTED: _on_prompt_started,
        Kind.PROMPT_ENDED: _on_prompt_ended,
        Kind.PROMPT_FAILED: _on_prompt_failed,
        Kind.SOURCE_ENDED: _on_source_ended,
    }


NOTHING: Sequence[act.Action] = ()
"""What most frames return."""

_NO_MEDIA = {
    Channel.OPERATOR: Suspension.NO_OPERATOR_MEDIA,
    Channel.CLIENT: Suspension.NO_CLIENT_MEDIA,
}
