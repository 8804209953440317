"""One call: frames and events in, actions out. Reads in the order of a frame's way:

    feed → hearing → line → speech → step → deadline → actions

No I/O, no clock, no thread: time is the count of frames fed. Between transitions and deadlines a frame
costs its hearing and one comparison. What is known changes in hearing alone, before anything is decided:
the ears are told when the next decision falls due, and settle by then what they can.

**No call falls silent.** After each frame and event one of these holds: the call has ended; a deadline is
armed; `suspended` names what the ladder waits for; or the callback is asked for, and the client has not been
heard since. At the call's end a silence, a hold or a drop that is not resolved asks for its callback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, Phase, Reason
from vad_agent.core.ear import Plan
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import (
    ENDLESS,
    SAMPLE_BYTES,
    Channel,
    check_frame,
    frames,
    samples_per_frame,
)
from vad_agent.core.hold import Holds
from vad_agent.core.line_monitor import LineMonitor
from vad_agent.core.prompter import Prompter
from vad_agent.core.request import CallbackRequest
from vad_agent.core.script import Scenario
from vad_agent.core.side_check import SideCheck
from vad_agent.core.silence import SilenceClock, Suspension
from vad_agent.core.watch import Watch

Frame = bytes | bytearray | memoryview | None
NOTHING: Sequence[act.Action] = ()
"""What most frames return."""


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
        operator = self._operator = settings.ear(Channel.OPERATOR, sample_rate)
        client = self._client = settings.ear(Channel.CLIENT, sample_rate)
        self._ears = (Channel.OPERATOR, operator), (Channel.CLIENT, client)
        client.expect_leak_of(operator)
        self._hear_operator: Callable[[Frame], bool] = operator.hear
        self._hear_client: Callable[[Frame], bool] = client.hear

        self.now = 0
        """Frames fed so far."""
        self.phase: Phase | None = None
        """None until the first frame or event."""
        self._deadline = 1  # the frame at which something may be due although nothing changes
        self._actions: list[act.Action] = []

        self._script = script = settings.script
        self._rows: dict[Phase | None, Scenario] = {
            row.phase: row for row in script.scenarios.values() if row.phase
        }
        self._timing = script.timing
        self._clock = SilenceClock()
        self._request = CallbackRequest(script)
        self._lines = LineMonitor(
            self._ears,
            clock=self._clock,
            actions=self._actions,
            drop_after=script.timing.no_media_drop,
        )
        self._sides = SideCheck(
            client,
            clock=self._clock,
            actions=self._actions,
            most_alone=script.timing.one_sided,
        )
        self._prompter = Prompter(
            script,
            operator=operator,
            client=client,
            clock=self._clock,
            request=self._request,
            actions=self._actions,
            cue_only=mode == "cue",
        )

        self._ringing = False
        self._answer_guessed = False
        self._began = 0
        self._greeted = False
        self._greeting_missed = False
        self._goodbye = False
        self._cannot_hear = False
        self._holds = Holds()
        self._lost_devices: set[str] = set()
        # What was seen of each ear so far.
        self._runs = dict.fromkeys(Channel, 0)
        self._utterances = 0
        self._talk_in_ringing = dict.fromkeys(Channel, 0)  # frames

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
            self._enter(self.phase or Phase.GREETING)
            self._ON[event.kind](self, event)
            self._move()
        return self._take_actions()

    # -- how it stands -----------------------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        """A look at the clock and the step, to be shown."""
        return self._prompter.watch(self.now)

    @property
    def deadline(self) -> int | None:
        """The frame at which something may be due although nothing changes; None: there is none."""
        return self._deadline if self._deadline < ENDLESS else None

    @property
    def suspended(self) -> tuple[str, ...]:
        """The names of all that the ladder waits for, in order; none: it counts, or a step is under way."""
        causes = {
            "ringing": self._ringing,
            "goodbye": self._goodbye,
            "held_by_operator": self._holds.by_operator,
            "no_greeting": self.phase is Phase.GREETING and not self._greeted,
            "speech": any(self.speaking(channel) for channel in Channel),
        }
        told = {name for name, present in causes.items() if present}
        clock = () if self._clock.runs else self._clock.suspended
        return tuple(sorted(told | set(clock)))

    @property
    def callback_open(self) -> bool:
        """A callback is asked for, and the client has not been heard since."""
        return self._request.open

    def speaking(self, channel: Channel) -> bool:
        """This side is known to speak."""
        ear = self._operator if channel is Channel.OPERATOR else self._client
        return ear.speaking and ear.sure

    def line(self, channel: Channel) -> LineState | None:
        """What this side's line carries."""
        return (self._operator if channel is Channel.OPERATOR else self._client).line

    def _take_actions(self) -> Sequence[act.Action]:
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    # -- the way of a frame ------------------------------------------------------------------------

    def _move(self) -> None:
        """Something has changed, or is due."""
        for step in (self._read_lines, self._read_speech, self._follow_speech, self._act):
            if self.phase is Phase.ENDED:
                return
            self._enter(self.phase or Phase.GREETING)
            step()
        self._expect_decision()

    def _enter(self, phase: Phase) -> None:
        if self.phase is not phase:
            self.phase = phase
            self._actions.append(act.PhaseChanged(self.now, phase))
            if phase is Phase.ENDED:
                self._deadline = ENDLESS

    # the line: what does each channel carry?

    def _read_lines(self) -> None:
        self._lines.read(self.now)
        if self._sides.read(self.now):
            self._prompter.rearm(self.now)
        client = self._client
        if client.line is LineState.MUSIC:
            if not self._holds and not self._ringing:
                self._holds.hear_music()
                self._begin_hold(Channel.CLIENT, client.since)
        elif self._holds.by_music_alone and self._lines.watches(Channel.CLIENT):
            self._holds.end(None)
            self._unhold()
        if (client.disconnected and self._connected()) or self.now >= self._dropped_at():
            self._client_gone()

    def _connected(self) -> bool:
        """Before anybody has spoken, tones may be the call's own ringing, though nobody said so."""
        return not self._ringing and (self._greeted or self.phase is not Phase.GREETING)

    def _dropped_at(self) -> int:
        """When the client's leg counts as gone for want of media; on hold it may stop."""
        return ENDLESS if self._ringing or self._holds else self._lines.dropped_at

    # speech: who was heard?

    def _read_speech(self) -> None:
        for channel, ear in self._ears:
            if ear.runs != self._runs[channel]:
                self._runs[channel] = ear.runs
                self._clock.heard(ear.end)
                self._actions.append(act.Speech(self.now, channel, ear.start, ear.end))
                if self._sides.heard(channel, ear.end - ear.start, self.now):
                    self._prompter.rearm(self.now)
                if self._ringing:
                    self._hear_in_ringing(channel, ear.end - ear.start)
                elif channel is Channel.OPERATOR:
                    self._greet()
        if self._client.utterances != self._utterances:
            self._utterances = self._client.utterances
            if not self._ringing and not self._holds:
                self._hear_client_now()

    def _hear_client_now(self) -> None:
        self._enter(Phase.DIALOGUE)
        self._request.client_heard()
        self._prompter.client_heard(self.now)

    def _greet(self) -> None:
        if self._client.disconnected and not self._connected():
            self._client.hold_over()  # it has rung
        self._greeted = True

    def _hear_in_ringing(self, channel: Channel, talk: int) -> None:
        """People talk, so the call was answered, though nobody said so."""
        heard = self._talk_in_ringing
        heard[channel] += talk
        if heard[Channel.OPERATOR] < self._timing.answer_talk:
            return
        self._actions.append(act.Alert(self.now, "answer_not_told"))
        self._ringing, self._answer_guessed = False, True
        self._greet()
        if heard[Channel.CLIENT]:
            self._hear_client_now()

    def _follow_speech(self) -> None:
        self._prompter.hear(self.now)
        self._end_if_climbed()

    # the step: is one due?

    def _act(self) -> None:
        self._prompter.arm(self._wanted())
        self._prompter.act_if_due(self.now)
        if self.now >= self._greeting_due():
            self._greeting_missed = True
            self._actions.append(act.Alert(self.now, "no_greeting"))

    def _wanted(self) -> Scenario | None:
        """Which row of the script is armed now: the phase's own, but for what the operator told."""
        if self._ringing or self._goodbye or self._holds.by_operator:
            return None
        if self._cannot_hear and not self._holds:
            return self._script.scenarios[Reason.CLIENT_CANNOT_HEAR]
        if self.phase is Phase.GREETING and not self._greeted:
            return None
        return self._rows.get(self.phase)

    def _greeting_due(self) -> int:
        """When a greeting that did not come is reported."""
        awaited = self.phase is Phase.GREETING and not (self._greeted or self._greeting_missed)
        counts = self._clock.runs and not self._ringing and not self._operator.speaking
        return self._began + self._timing.no_greeting if awaited and counts else ENDLESS

    # the deadline: when is something due although nothing changes?

    def _expect_decision(self) -> None:
        decision = max(self._prompter.decision_due(self.now), self.now + 1)
        for _, ear in self._ears:
            ear.expect_decision(decision)
        due = min(self._dropped_at(), self._greeting_due(), self._prompter.deadline(self.now))
        self._deadline = max(due, self.now + 1)

    # -- the call's end ----------------------------------------------------------------------------

    def _end(self, reason: Reason | None) -> None:
        if reason is not None:
            self._actions.append(act.Hangup(self.now, reason))
        self._enter(Phase.ENDED)

    def _end_if_climbed(self) -> None:
        if self._prompter.ended is not None:
            self._end(self._prompter.ended)

    def _client_gone(self) -> None:
        """The client's leg is gone; dropped, unless they had said goodbye."""
        if self._goodbye:
            self._end_well()
        else:
            self._end_unresolved(Reason.DROPPED)

    def _end_well(self) -> None:
        self._prompter.rearm(self.now)
        self._actions += self._request.end_well(self.now)
        self._end(None)

    def _end_unresolved(self, reason: Reason) -> None:
        self._prompter.rearm(self.now)
        self._prompter.ask_callback(self.now, reason)
        self._end(reason)

    def _unresolved(self) -> Reason | None:
        """The call ends, and nobody said why: what has kept the client from being served, if anything."""
        silent = self._prompter.close(self.now)
        if self._goodbye:
            return None
        if self._holds.by_client:
            return Reason.CLIENT_HOLD
        if self._cannot_hear:
            return Reason.CLIENT_CANNOT_HEAR
        if self._lines.lacks_client and not self._holds:
            return Reason.DROPPED
        return silent or self._unanswered()

    def _unanswered(self) -> Reason | None:
        """What sounded on the client's side may have been no client: the operator has not spoken since.

        Since a phrase that the product said, or for long. Or it was the client, and the call was cut off in
        his words: then he is called back as well.
        """
        row, ear = self._wanted(), self._operator
        heard = self._runs[Channel.OPERATOR] > 0 and not (ear.speaking and ear.sure)
        if row is None or not heard or not self._clock.runs:
            return None
        prompted = self._prompter.last_played > ear.end
        long = self._clock.talk(ear.end, self.now) >= self._timing.unknown_sound
        return (self._request.reason or row.reason) if prompted or long else None

    # -- events ------------------------------------------------------------------------------------

    def _on_ringing(self, event: Event) -> None:
        self._tell_of_call(event)
        if self.phase is Phase.GREETING and not self._greeted:
            self._ringing = True

    def _on_answered(self, event: Event) -> None:
        self._tell_of_call(event)
        guessed = self._answer_guessed and self.phase is Phase.GREETING
        if self._ringing or guessed or not self._greeted:
            self._ringing = self._answer_guessed = self._greeted = False
            self._began = self.now
            self._prompter.rearm(self.now)
            self._lines.await_media(self.now)
            self._clock.restart(self.now)
            self._client.hold_over()

    def _on_hold(self, event: Event) -> None:
        party = _SIDES.get(event.party or "", Channel.CLIENT)
        if self._holds.begin(party):
            self._begin_hold(party, self.now)

    def _begin_hold(self, party: Channel, since: int) -> None:
        self._prompter.rearm(self.now)
        if party is Channel.CLIENT or not self._clock.held:
            self._clock.hold(since)
        self._enter(Phase.ON_HOLD)

    def _on_unhold(self, event: Event) -> None:
        if not self._holds.end(_SIDES.get(event.party or "")):
            return
        if not self._holds:
            self._unhold()
            self._clock.restart(self.now)
        elif self._holds.by_client:
            # What fell due while the operator held is stale.
            self._prompter.rearm(self.now)
            limit = self._rows[Phase.ON_HOLD].rungs[0].window.hi
            if self.now - self._clock.start > limit:
                self._clock.hold(self.now)

    def _unhold(self) -> None:
        self._prompter.rearm(self.now)
        self._client.hold_over()
        self._lines.await_media(self.now)
        self._clock.unhold(self.now)
        self._enter(Phase.DIALOGUE)

    def _on_hangup(self, event: Event) -> None:
        if self._ringing:
            self._end(None)
        elif event.party != Channel.OPERATOR.value:
            self._client_gone()
        # As calls end; but a client who was not heard, or did not come back, is called back.
        elif (reason := self._unresolved()) is not None:
            self._end_unresolved(reason)
        else:
            self._end_well()

    def _on_mute(self, _: Event) -> None:
        muted = act.LineChanged(self.now, Channel.OPERATOR, LineState.MUTED, self.now)
        self._actions.append(muted)
        self._suspend(Suspension.MUTED)

    def _on_unmute(self, _: Event) -> None:
        line = self._operator.line
        if self._resume(Suspension.MUTED) and line is not None:
            self._actions.append(act.LineChanged(self.now, Channel.OPERATOR, line, self.now))

    def _on_pause(self, _: Event) -> None:
        self._prompter.rearm(self.now)
        self._clock.suspend(Suspension.PAUSED)

    def _on_resume(self, _: Event) -> None:
        self._resume(Suspension.PAUSED)

    def _suspend(self, cause: Suspension) -> None:
        self._rearm_unless_heard()
        self._clock.suspend(cause)

    def _resume(self, cause: Suspension) -> bool:
        resumed = self._clock.resume(cause, self.now)
        if resumed:
            self._rearm_unless_heard()
        return resumed

    def _rearm_unless_heard(self) -> None:
        """What was counted is stale; a phrase in the air is heard all the same, and a hold is counted on."""
        if not self._prompter.playing and not self._holds:
            self._prompter.rearm(self.now)

    def _on_device_lost(self, event: Event) -> None:
        party = event.party or ""
        if party in self._lost_devices:
            return
        self._lost_devices.add(party)
        self._actions.append(act.Alert(self.now, f"{party}_device_lost"))
        if party in _DEVICE:
            self._lines.unwatch(Channel(party))
            self._suspend(_DEVICE[party])
        else:
            self._prompter.lose_player(self.now)

    def _on_device_back(self, event: Event) -> None:
        party = event.party or ""
        if party not in self._lost_devices:
            return
        self._lost_devices.discard(party)
        self._actions.append(act.Alert(self.now, f"{party}_device_back"))
        if party not in _DEVICE:
            self._prompter.regain_player(self.now)
            return
        self._lines.watch(Channel(party), self.now)
        if party == Channel.OPERATOR.value:
            self._began = self.now  # he may have greeted, and was not heard
        self._resume(_DEVICE[party])

    def _on_player_ready(self, event: Event) -> None:
        self._prompter.ready(frames(event.latency_s or 0.0))

    def _on_client_name(self, event: Event) -> None:
        name = self._prompter.client_name = (event.name or "").strip() or None
        self._actions += self._request.name_told(self.now, name)

    def _tell_of_call(self, event: Event) -> None:
        self._actions += self._request.of_call(self.now, event)

    def _on_cannot_hear(self, _: Event) -> None:
        if not self._cannot_hear:
            self._cannot_hear = True
            self._prompter.rearm(self.now)
            self._prompter.ask_callback(self.now, Reason.CLIENT_CANNOT_HEAR)
            self._clock.restart(self.now)

    def _on_callback_agreed(self, event: Event) -> None:
        name = (event.name or "").strip() or self._prompter.client_name
        self._actions += self._request.ask(self.now, Reason.AGREED, name, event)
        self._prompter.client_name = name

    def _on_goodbye(self, _: Event) -> None:
        self._prompter.rearm(self.now)
        self._goodbye = True

    def _on_prompt_started(self, event: Event) -> None:
        self._prompter.started(self.now, event.prompt, event.text)

    def _on_prompt_ended(self, event: Event) -> None:
        self._prompter.finished(self.now, event.prompt)
        self._end_if_climbed()

    def _on_prompt_failed(self, event: Event) -> None:
        self._prompter.failed(self.now, event.prompt)

    def _on_source_ended(self, event: Event) -> None:
        """No more frames will come, and nobody said why; of one party: the other's go on."""
        if event.party in _DEVICE:
            self._actions.append(act.Alert(self.now, f"{event.party}_recording_ended"))
            self._lines.unwatch(Channel(event.party))
            self._suspend(_DEVICE[event.party])
            return
        self._operator.finish()
        self._client.finish()
        self._read_speech()
        if (reason := self._unresolved()) is not None:
            self._prompter.ask_callback(self.now, reason)
        self._end(self._prompter.ended)

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
        Kind.CLIENT_PHONE: _tell_of_call,
        Kind.CLIENT_CANNOT_HEAR: _on_cannot_hear,
        Kind.CALLBACK_AGREED: _on_callback_agreed,
        Kind.GOODBYE: _on_goodbye,
        Kind.PROMPT_STARTED: _on_prompt_started,
        Kind.PROMPT_ENDED: _on_prompt_ended,
        Kind.PROMPT_FAILED: _on_prompt_failed,
        Kind.PLAYER_READY: _on_player_ready,
        Kind.DEVICE_LOST: _on_device_lost,
        Kind.DEVICE_BACK: _on_device_back,
        Kind.SOURCE_ENDED: _on_source_ended,
    }


_SIDES = {channel.value: channel for channel in Channel}
_DEVICE = {
    Channel.OPERATOR.value: Suspension.OPERATOR_DEVICE_LOST,
    Channel.CLIENT.value: Suspension.CLIENT_DEVICE_LOST,
}
