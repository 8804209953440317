"""One call: frames and events in, actions out. Reads in the order of a frame's way:

    feed → hearing → line → speech → ladder → actions

No I/O, no clock, no thread: time is the count of frames fed. Between transitions and deadlines a frame
costs its hearing and one comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, Phase, Reason
from vad_agent.core.ear import Ear, Plan, Progress
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import SAMPLE_BYTES, Channel, check_frame, frames, samples_per_frame
from vad_agent.core.prompter import ENDLESS, Prompter
from vad_agent.core.request import CallbackRequest
from vad_agent.core.script import Scenario
from vad_agent.core.silence import SilenceClock, Suspension
from vad_agent.core.watch import Watch

Frame = bytes | bytearray | memoryview | None
NOTHING: Sequence[act.Action] = ()
"""What most frames return."""


class Hold(Enum):
    """Who holds the call."""

    CLIENT = auto()
    OPERATOR = auto()
    """His look-up: no ladder."""
    MUSIC = auto()
    """Nobody said so, but hold music is heard: the client."""


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
        self._began = 0
        self._greeted = False
        self._greeting_missed = False
        self._goodbye = False
        self._cannot_hear = False
        self._hold: Hold | None = None
        self._media_base = 0  # since when the client's media is awaited
        self._had_media: set[Channel] = set()
        self._failed: set[Channel] = set()
        self._lost_devices: set[str] = set()
        # What was seen of each ear so far.
        self._lines: dict[Channel, tuple[LineState | None, int]] = {}
        self._runs = dict.fromkeys(Channel, 0)
        self._utterances = 0

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
        for step in (self._read_lines, self._read_speech, self._follow_speech, self._climb):
            if self.phase is Phase.ENDED:
                return
            self._enter(self.phase or Phase.GREETING)
            step()
        self._deadline = self._next_deadline()

    def _enter(self, phase: Phase) -> None:
        if self.phase is not phase:
            self.phase = phase
            self._actions.append(act.PhaseChanged(self.now, phase))
            if phase is Phase.ENDED:
                self._deadline = ENDLESS

    # the line: what does each channel carry?

    def _read_lines(self) -> None:
        for channel, ear in self._ears:
            if ear.failed and channel not in self._failed:
                self._failed.add(channel)
                self._actions.append(act.Alert(self.now, f"{channel.value}_detector_failed"))
            seen = ear.line, ear.since
            if ear.line is not None and seen != self._lines.get(channel):
                self._lines[channel] = seen
                self._actions.append(act.LineChanged(self.now, channel, ear.line, ear.since))
                self._watch_media(channel, ear)
        client = self._client
        if client.line is LineState.MUSIC:
            if self._hold is None and not self._ringing:
                self._hold_by(Hold.MUSIC, client.since)
        elif self._hold is Hold.MUSIC and not self._deaf_to(Channel.CLIENT):
            self._unhold()
        if (self._tones_end() and self._connected()) or self.now >= self._dropped_at():
            self._client_gone()

    def _tones_end(self) -> bool:
        """Tones say that the client is gone; on hold he may transfer the call, and his telephone ring."""
        progress = self._client.progress
        if progress is Progress.RINGBACK:
            return self._hold is None
        return progress in (Progress.BUSY, Progress.DIAL)

    def _connected(self) -> bool:
        """Before anybody has spoken, tones may be the call's own ringing, though nobody said so."""
        return not self._ringing and (self._greeted or self.phase is not Phase.GREETING)

    def _watch_media(self, channel: Channel, ear: Ear) -> None:
        cause = _NO_MEDIA[channel]
        if ear.line is not LineState.NO_MEDIA:
            self._had_media.add(channel)
            self._clock.resume(cause, self.now)
        elif channel is Channel.CLIENT or channel in self._had_media:
            # An operator's leg that never came is not tapped: nothing can be told from it.
            self._clock.suspend(cause)

    def _deaf_to(self, channel: Channel) -> bool:
        """Our own device is gone: nothing can be told from what is not heard."""
        return channel.value in self._lost_devices

    def _dropped_at(self) -> int:
        """When the client's leg counts as gone for want of media."""
        gone = self._client.line is LineState.NO_MEDIA and self._had_media
        if self._deaf_to(Channel.CLIENT):
            return ENDLESS  # it is ours that is gone
        if not gone or self._ringing or self._hold is not None:  # on hold media may stop
            return ENDLESS
        return max(self._client.since, self._media_base) + self._timing.no_media_drop

    # speech: who was heard?

    def _read_speech(self) -> None:
        for channel, ear in self._ears:
            if ear.runs != self._runs[channel]:
                self._runs[channel] = ear.runs
                self._clock.heard(ear.end)
                self._actions.append(act.Speech(self.now, channel, ear.start, ear.end))
                if channel is Channel.OPERATOR and not self._ringing:
                    self._greet()
        if self._client.utterances != self._utterances:
            self._utterances = self._client.utterances
            if not self._ringing and self._hold is None:
                self._enter(Phase.DIALOGUE)
                self._request.client_heard()
                self._prompter.client_heard(self.now)

    def _greet(self) -> None:
        if self._client.progress is not None and not self._connected():
            self._client.hold_over()  # it has rung
        self._greeted = True

    def _follow_speech(self) -> None:
        self._prompter.hear(self.now)
        self._end_if_climbed()

    # the ladder: is a step due?

    def _climb(self) -> None:
        if self._ringing:
            return
        if self._prompter.climb(self.now, self._wanted()):
            self._read_speech()
            self._follow_speech()
        if self.now >= self._greeting_due():
            self._greeting_missed = True
            self._actions.append(act.Alert(self.now, "no_greeting"))

    def _wanted(self) -> Scenario | None:
        """Which row of the script is armed now: the phase's own, but for what the operator told."""
        if self._goodbye or self._hold is Hold.OPERATOR:
            return None
        if self._cannot_hear and self._hold is None:
            return self._script.scenarios[Reason.CLIENT_CANNOT_HEAR]
        if self.phase is Phase.GREETING and not self._greeted:
            return None
        return self._rows.get(self.phase)

    def _greeting_due(self) -> int:
        """When a greeting that did not come is reported."""
        awaited = self.phase is Phase.GREETING and not (self._greeted or self._greeting_missed)
        if awaited and self._clock.runs and not self._operator.speaking:
            return self._began + self._timing.no_greeting
        return ENDLESS

    def _next_deadline(self) -> int:
        due = min(self._dropped_at(), self._greeting_due(), self._prompter.deadline(self.now))
        return max(due, self.now + 1)

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
            return
        self._prompter.rearm(self.now)
        self._prompter.ask_callback(self.now, Reason.DROPPED)
        self._end(Reason.DROPPED)

    def _end_well(self) -> None:
        self._prompter.rearm(self.now)
        self._actions += self._request.end_well(self.now)
        self._end(None)

    # -- events ------------------------------------------------------------------------------------

    def _on_ringing(self, event: Event) -> None:
        self._request.of_call(event)
        if self.phase is Phase.GREETING and not self._greeted:
            self._ringing = True

    def _on_answered(self, event: Event) -> None:
        self._request.of_call(event)
        if self._ringing or not self._greeted:
            self._ringing = False
            self._began = self._media_base = self.now
            self._clock.restart(self.now)
            self._client.hold_over()

    def _on_hold(self, event: Event) -> None:
        if self._hold is Hold.MUSIC:
            self._hold = Hold.CLIENT  # the event confirms what was heard
        elif self._hold is None:
            by = Hold.OPERATOR if event.party == "operator" else Hold.CLIENT
            self._hold_by(by, self.now)

    def _hold_by(self, hold: Hold, since: int) -> None:
        self._prompter.rearm(self.now)
        self._hold = hold
        self._clock.hold(since)
        self._enter(Phase.ON_HOLD)

    def _on_unhold(self, _: Event) -> None:
        if self._hold is not None:
            self._unhold()

    def _unhold(self) -> None:
        self._prompter.rearm(self.now)
        self._hold = None
        self._client.hold_over()
        self._media_base = self.now
        self._clock.unhold(self.now)
        self._enter(Phase.DIALOGUE)

    def _on_hangup(self, event: Event) -> None:
        if self._ringing:
            self._end(None)
        elif event.party != "operator":
            self._client_gone()
        elif self._goodbye:
            self._end_well()
        else:
            # As calls end; but a client who was not heard, or did not come back, is called back.
            reason = self._prompter.close(self.now)
            if self._hold in (Hold.CLIENT, Hold.MUSIC):
                reason = Reason.CLIENT_HOLD
            elif self._cannot_hear:
                reason = Reason.CLIENT_CANNOT_HEAR
            if reason is None:
                self._end_well()
            else:
                self._prompter.ask_callback(self.now, reason)
                self._end(reason)

    def _on_mute(self, _: Event) -> None:
        muted = act.LineChanged(self.now, Channel.OPERATOR, LineState.MUTED, self.now)
        self._actions.append(muted)
        if not self._prompter.playing and self._hold is None:
            self._prompter.rearm(self.now)
        self._clock.suspend(Suspension.MUTED)

    def _on_unmute(self, _: Event) -> None:
        line = self._operator.line
        if self._resume(Suspension.MUTED) and line is not None:
            self._actions.append(act.LineChanged(self.now, Channel.OPERATOR, line, self.now))

    def _on_pause(self, _: Event) -> None:
        self._prompter.rearm(self.now)
        self._clock.suspend(Suspension.PAUSED)

    def _on_resume(self, _: Event) -> None:
        self._resume(Suspension.PAUSED)

    def _resume(self, cause: Suspension) -> bool:
        resumed = self._clock.resume(cause, self.now)
        if resumed and not self._prompter.playing and self._hold is None:
            self._prompter.rearm(self.now)
        return resumed

    def _on_device_lost(self, event: Event) -> None:
        party = event.party or ""
        if party in self._lost_devices:
            return
        self._lost_devices.add(party)
        self._actions.append(act.Alert(self.now, f"{party}_device_lost"))
        if party not in _DEVICE:
            self._prompter.lose_player(self.now)
            return
        if not self._prompter.playing and self._hold is None:
            self._prompter.rearm(self.now)
        self._clock.suspend(_DEVICE[party])

    def _on_device_back(self, event: Event) -> None:
        party = event.party or ""
        if party not in self._lost_devices:
            return
        self._lost_devices.discard(party)
        self._actions.append(act.Alert(self.now, f"{party}_device_back"))
        if party not in _DEVICE:
            self._prompter.regain_player(self.now)
            return
        if party == Channel.CLIENT.value:
            self._media_base = self.now
        else:
            self._began = self.now  # he may have greeted, and was not heard
        self._resume(_DEVICE[party])

    def _on_player_ready(self, event: Event) -> None:
        self._prompter.ready(frames(event.latency_s or 0.0))

    def _on_client_name(self, event: Event) -> None:
        self._prompter.client_name = (event.name or "").strip() or None

    def _on_client_phone(self, event: Event) -> None:
        self._request.of_call(event)

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

    def _on_source_ended(self, _: Event) -> None:
        """No more frames will come, and nobody said why: nothing follows but what was said."""
        self._operator.finish()
        self._client.finish()
        self._read_speech()
        self._prompter.close(self.now)
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
        Kind.CLIENT_PHONE: _on_client_phone,
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


_DEVICE = {
    Channel.OPERATOR.value: Suspension.OPERATOR_DEVICE_LOST,
    Channel.CLIENT.value: Suspension.CLIENT_DEVICE_LOST,
}
_NO_MEDIA = {
    Channel.OPERATOR: Suspension.NO_OPERATOR_MEDIA,
    Channel.CLIENT: Suspension.NO_CLIENT_MEDIA,
}
