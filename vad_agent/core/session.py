"""One call: frames and events in, actions out. The code follows the order in which a frame is
processed:

    feed → detection → line → speech → step → deadline → actions

No I/O, no clock, no thread: time is the number of frames fed. Between transitions and deadlines a
frame costs its detection and one comparison. Only detection changes what is known, and it does so
before any decision; it classifies each sound within a bounded time of its beginning.

**Every wait is bounded.** After each frame and event one of these holds: the call has ended; a
deadline is armed; `suspended` names what the escalation waits for; or a callback is requested and
the client has not been heard since. If a call ends with an unresolved silence, hold or drop, its
callback is requested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vad_agent.core import actions as act
from vad_agent.core import call_control
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.endpointer_port import EndpointerPort, Plan
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import (
    ENDLESS,
    SAMPLE_BYTES,
    Channel,
    FrameInput,
    check_frame,
    samples_per_frame,
)
from vad_agent.core.session_snapshot import SessionSnapshot
from vad_agent.core.session_state import CallState

NOTHING: Sequence[act.Action] = ()
"""The result of most frames."""


class CallSession:
    """The session of one call.

    `settings`: a `vad_agent.Settings`. `sample_rate`: Hz, one of 8000, 16000, 32000, 48000. `mode`:
    auto (the product speaks: carry out Play and report prompt_started and prompt_ended) or cue (the
    operator speaks: show Cue).

    Raises:
        FrameError: the sample rate is not supported.
        ValueError: an unknown mode.
    """

    def __init__(self, settings: Plan, sample_rate: int, *, mode: str = "auto") -> None:
        if mode not in ("auto", "cue"):
            raise ValueError(f"mode: expected auto or cue, got {mode!r}")
        self._frame_bytes = samples_per_frame(sample_rate) * SAMPLE_BYTES
        call = self._call = CallState(settings, sample_rate, cue_only=mode == "cue")
        self._feed_operator: Callable[[FrameInput], bool] = call.operator.feed
        self._feed_client: Callable[[FrameInput], bool] = call.client.feed
        # Number of ended segments already processed, per channel.
        self._runs = dict.fromkeys(Channel, 0)
        self._utterances = 0
        self._talk_in_ringing = dict.fromkeys(Channel, 0)  # frames

    def feed(self, operator: FrameInput, client: FrameInput) -> Sequence[act.Action]:
        """Feed one 20 ms frame of each channel, int16 little-endian mono. None: no frame arrived.

        Raises:
            FrameError: wrong size or type; nothing has changed.
        """
        if client is not None and (type(client) is not bytes or len(client) != self._frame_bytes):
            client = check_frame(client, self._frame_bytes)  # before the operator's is taken
        changed = self._feed_operator(operator)
        if self._feed_client(client):
            changed = True
        call = self._call
        now = call.now = call.now + 1
        if changed or now >= call.deadline:
            self._move()
            return self._take_actions()
        return NOTHING

    def signal(self, event: Event | Mapping[str, object] | str) -> Sequence[act.Action]:
        """Apply an event between the frames fed so far and the next one.

        Raises:
            EventError: the event cannot be understood; nothing has changed.
        """
        event = Event.parse(event)
        call = self._call
        if call.phase is not Phase.ENDED:
            call.enter(call.phase or Phase.GREETING)
            if event.kind is EventKind.SOURCE_ENDED and event.party not in tuple(Channel):
                self._finish_detection()
            call_control.apply(call, event)
            self._move()
        return self._take_actions()

    # -- state
    # ---------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Frames fed so far."""
        return self._call.now

    @property
    def phase(self) -> Phase | None:
        """The current phase; None until the first frame or event."""
        return self._call.phase

    @property
    def watch(self) -> SessionSnapshot:
        """A snapshot of the clock and the step, for display."""
        return self._call.prompt_controller.watch(self._call.now)

    @property
    def deadline(self) -> int | None:
        """The frame at which something may be due without any change; None: there is none."""
        return self._call.deadline if self._call.deadline < ENDLESS else None

    @property
    def suspended(self) -> tuple[str, ...]:
        """The names of everything that the escalation waits for, in order; empty: it counts, or a
        step runs.
        """
        return self._call.suspended()

    def speaking(self, channel: Channel) -> bool:
        """This channel is known to carry speech."""
        endpointer = self._endpointer(channel)
        return endpointer.speaking and endpointer.sure

    def line(self, channel: Channel) -> LineState | None:
        """What this channel's line carries."""
        return self._endpointer(channel).line

    def _endpointer(self, channel: Channel) -> EndpointerPort:
        call = self._call
        return call.operator if channel is Channel.OPERATOR else call.client

    def _take_actions(self) -> Sequence[act.Action]:
        actions = self._call.actions.copy()
        self._call.actions.clear()
        return actions

    # -- processing of a frame
    # -----------------------------------------------------------------------

    def _move(self) -> None:
        """Process a change or a deadline."""
        call = self._call
        for step in (self._read_lines, self._read_speech, self._follow_speech, self._act):
            if call.phase is Phase.ENDED:
                return
            call.enter(call.phase or Phase.GREETING)
            step()
        self._set_deadline()

    # Line: what does each channel carry?

    def _read_lines(self) -> None:
        call, client = self._call, self._call.client
        call.lines.read(call.now)
        if call.sides.read(call.now):
            call.rearm()
        if client.line is LineState.MUSIC:
            if not call.holds and not call.ringing:
                since = call.holds.begin_music(client.since, client.end)
                call.hold(Channel.CLIENT, since)
        elif call.holds.by_music_alone and call.lines.watches(Channel.CLIENT):
            call.unhold(anew=call.holds.end_music(call.now))
        if call.tones_end() or call.now >= call.dropped_at():
            call.client_gone()

    # Speech: who was heard?

    def _read_speech(self) -> None:
        call = self._call
        for channel, endpointer in call.endpointers:
            if endpointer.segments_ended != self._runs[channel]:
                self._runs[channel] = endpointer.segments_ended
                self._take_segment(channel, endpointer.start, endpointer.end)
        if call.client.utterances != self._utterances:
            self._utterances = call.client.utterances
            if not call.ringing and not call.holds:
                call.note_client_speech()

    def _take_segment(self, channel: Channel, start: int, end: int) -> None:
        call = self._call
        call.clock.heard(end)
        call.actions.append(act.Speech(call.now, channel, start, end))
        if not call.holds:
            call.holds.talk()
        if call.sides.heard(channel, end - start, call.now):
            call.rearm()
        if call.ringing:
            self._note_talk_in_ringing(channel, end - start)
        elif channel is Channel.OPERATOR:
            call.greet()

    def _note_talk_in_ringing(self, channel: Channel, talk: int) -> None:
        """Talk during ringing means that the call was answered, even if no event reported it."""
        call, heard = self._call, self._talk_in_ringing
        heard[channel] += talk
        if heard[Channel.OPERATOR] < call.timing.answer_talk:
            return
        call.actions.append(act.Alert(call.now, "answer_not_told"))
        call.ringing, call.answer_guessed = False, True
        call.greet()
        if heard[Channel.CLIENT]:
            call.note_client_speech()

    def _follow_speech(self) -> None:
        self._call.prompt_controller.follow_speech(self._call.now)
        self._call.end_if_said()

    def _finish_detection(self) -> None:
        """No more frames: close the open segments."""
        for _, endpointer in self._call.endpointers:
            while endpointer.finish():
                self._read_speech()

    # Step: is one due?

    def _act(self) -> None:
        call = self._call
        call.prompt_controller.arm(call.armed())
        call.prompt_controller.act_if_due(call.now)
        if call.now >= call.greeting_due():
            call.greeting_missed = True
            call.actions.append(act.Alert(call.now, "no_greeting"))

    # Deadline: when is something due without any change?

    def _set_deadline(self) -> None:
        call = self._call
        due = min(call.dropped_at(), call.greeting_due(), call.prompt_controller.deadline(call.now))
        call.deadline = max(due, call.now + 1)
