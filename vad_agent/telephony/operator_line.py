"""The calls of one operator at the PBX: what `listen` is at a headset, without devices.

    media stream ── pairs of frames ──> Loop ─> tracker ─> session ─> actions ─┬─> callbacks, call, pages
    call control ── events ─────────────^                                      └─> prompt ─> media stream

Everything runs in the event loop's thread. Nothing here blocks: disks and the network have threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.client.headset_protocol import Command
from vad_agent.core.actions import Action, Hangup
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.core.session import CallSession
from vad_agent.headset.action_sinks import ActionSink, ActionSinks
from vad_agent.headset.call_reporter import CallReporter, CallWriter
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.callback_write_ahead import OutboxWriter
from vad_agent.headset.farewell_questions import FarewellQuestions
from vad_agent.headset.loop import CONTROL, PROMPT, Loop
from vad_agent.headset.prompt_player import PlaysPhrases, PromptPlayer
from vad_agent.headset.status import Status
from vad_agent.headset.status_presenter import StatusPresenter
from vad_agent.script.settings import Settings
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.media_capture import SAMPLE_RATE, MediaCapture
from vad_agent.telephony.prompt_stream import MediaStream, PromptStream
from vad_agent.telephony.trace_file import CallTraceSink, TraceFile

log = logging.getLogger(__name__)


class Phrases(PlaysPhrases, Protocol):
    """The script's phrases, with the names of the clients who are in calls."""

    def expect_name(self, name: str) -> None:
        """Make the phrases with this name ready, in the background."""

    def forget_name(self, name: str) -> None:
        """One call fewer needs them."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What the lines of one process share."""

    settings: Settings
    messages: OutboxWriter
    calls: CallWriter
    phrases: Phrases | None = None
    """None: nothing is spoken, the operator says the prompts (cue mode)."""
    trace: TraceFile | None = None


class OperatorLine:
    """`operator`: the login; None: call control does not tell it.

    `hang_up`: called when the script ends the call.
    """

    def __init__(
        self, shared: SharedParts, operator: str | None, hang_up: Callable[[], None]
    ) -> None:
        self.operator = operator
        self.status = Status(mode="auto" if shared.phrases is not None else "cue")
        for side in self.status.sides.values():
            side.at_pbx = True
        self.capture = MediaCapture()
        self.output = PromptStream(SAMPLE_RATE) if shared.phrases is not None else None
        callbacks = CallbackPublisher(shared.messages.post, operator=operator)
        questions = FarewellQuestions(
            shared.settings.script,
            lambda call, actions: self._sinks.late(call, actions),
            self.report,
            callbacks,
        )
        self._presenter = StatusPresenter(self.status, questions.waiting)
        calls = CallReporter(callbacks, shared.calls, mode=self.status.mode, operator=operator)
        sinks: list[ActionSink] = [
            callbacks,
            calls,
            questions,
            self._presenter,
            HangupSink(hang_up),
        ]
        if shared.trace is not None:
            mode = self.status.mode
            sinks.append(CallTraceSink(shared.trace, lambda: callbacks.call, mode, operator))
        self._sinks = ActionSinks(sinks, datetime.now)
        self._questions = questions
        self._phrases = shared.phrases
        self._name: str | None = None
        self._missed = 0

        def session() -> CallSession:
            self._sinks.begin()
            self._call_by(None)
            return CallSession(shared.settings, SAMPLE_RATE, mode=self.status.mode)

        tracker = CallTracker(
            shared.settings,
            SAMPLE_RATE,
            mode=self.status.mode,
            make_session=session,
        )
        self._loop = Loop(
            tracker,
            self._sinks.take,
            on_event=self._on_event,
            after_pair=self._presenter.look,
            may_promise=lambda: shared.messages.may_promise,
            answers=lambda event, in_call: questions.answer(event, in_call=in_call),
        )
        self._loop.headset = self.capture
        if self.output is not None and shared.phrases is not None:
            self._loop.prompt_player = PromptPlayer(
                shared.settings.script, shared.phrases, self.output, self.capture.slot_at
            )

    # -- the media stream --------------------------------------------------------------------------

    def connect(self) -> None:
        """The first stream of this operator's call begins: both sides, or one of them."""
        self._missed = self.frames_missing  # the capture begins anew
        self.capture.connect()
        for channel in Channel:
            self._regain(channel)

    def regain(self, side: Channel) -> None:
        """A further stream of the call begins: it carries this side."""
        self.capture.lost.discard(side)
        self._regain(side)

    def _regain(self, channel: Channel) -> None:
        if channel.value in self._loop.tracker.standing:
            self.signal(Event(EventKind.DEVICE_BACK, party=channel.value))

    def disconnect(self) -> None:
        """The last stream has ended. While the call is on, nothing that it does not carry is silence."""
        for channel in Channel:
            self.lose(channel)
        self.speak_into(None)

    def lose(self, side: Channel) -> None:
        """The stream of this side has ended."""
        if self.in_call:
            self.capture.lost.add(side)
            self.signal(Event(EventKind.DEVICE_LOST, party=side.value))

    def speak_into(self, stream: MediaStream | None) -> None:
        """Prompts go into this stream from now on; None: none of the call's streams takes any, so the
        operator says them.
        """
        if self.output is None:
            return
        self.output.attach(stream)
        if stream is not None:
            self._loop.take(PROMPT, Opened(SAMPLE_RATE, 1, self.output.latency_s, 0))
        elif self.output.state is DeviceState.OPEN:
            self._loop.take(PROMPT, Lost("the media stream ended", first=False))
        elif PROMPT not in self._loop.tracker.standing:
            self.signal(Event(EventKind.DEVICE_LOST, party=PROMPT))

    def speak(self, now: float) -> None:
        """Send what is due at time `now` (s of `time.perf_counter`). Call it each 20 ms."""
        if self.output is not None:
            self.output.turn(now)
            self._take_reports()
            if self.output.unheard and self.output.state is DeviceState.OPEN:
                log.warning("the peer does not play our phrases: the operator says them")
                self._loop.take(PROMPT, Lost("the peer does not play", first=False))

    def marked(self, number: int, mark: Mark, at: float) -> None:
        """The peer has played phrase `number` up to this mark; it is heard at `at` (s)."""
        if self.output is not None:
            self.output.marked(number, mark, at)
            self._take_reports()

    def _take_reports(self) -> None:
        assert self.output is not None
        for report in self.output.reports():
            self._loop.take(PROMPT, report)

    def turn(self, now: float) -> None:
        """Feed what has come by `now`. Call it at each frame, and each 20 ms while a call is on."""
        self._loop.turn(now)

    @property
    def frames_missing(self) -> int:
        """Frames of either side that did not come, since the line's beginning."""
        return self._missed + sum(self.capture.lane(channel).missing for channel in Channel)

    # -- call control ------------------------------------------------------------------------------

    @property
    def in_call(self) -> bool:
        """A call is on."""
        return self._loop.tracker.session is not None

    @property
    def held(self) -> bool:
        """The call is on hold."""
        session = self._loop.tracker.session
        return session is not None and session.watch.held

    @property
    def asks(self) -> bool:
        """A question about an ended call is open."""
        return bool(self._questions.waiting())

    def signal(self, event: Event | Command) -> None:
        """Take an event of the PBX, or of the operator's page."""
        self._loop.take(CONTROL, event)

    def resume(self, answered: Event) -> None:
        """A call that began before this process: it is in the dialogue, and nothing was missed in it."""
        self.signal(answered)
        for kind in (EventKind.HOLD, EventKind.UNHOLD):
            self.signal(Event(kind, party=Channel.OPERATOR.value))

    def end(self) -> None:
        """The process ends: a current call ends with all its requests."""
        self._loop.end()
        self._questions.close()
        self._call_by(None)

    def on_look(self, changed: Callable[[], None]) -> None:
        """Register a function that is called whenever the status was written; it must not block."""
        self._presenter.on_update(changed)

    def report(self, text: str) -> None:
        """Show the operator a problem of this program."""
        self.status.messages.append((self.status.call_s, text))

    def _on_event(self, event: Event) -> None:
        self._presenter.request_update()
        if event.kind is EventKind.ANSWERED:
            self._presenter.answered(event.phone)
        if event.kind in (EventKind.CLIENT_PHONE, EventKind.CALLBACK_AGREED) and event.phone:
            self.status.client_phone = event.phone
        if event.kind in (EventKind.CLIENT_NAME, EventKind.CALLBACK_AGREED):
            name = (event.name or "").strip() or None
            if event.kind is EventKind.CLIENT_NAME or name is not None:
                self.status.client_name = name
                self._call_by(name)

    def _call_by(self, name: str | None) -> None:
        """The phrases call the client by this name; None: by none."""
        if self._phrases is None or name == self._name:
            return
        if self._name is not None:
            self._phrases.forget_name(self._name)
        if name is not None:
            self._phrases.expect_name(name)
        self._name = name


class HangupSink:
    """An action sink that ends the call when the script says so."""

    def __init__(self, hang_up: Callable[[], None]) -> None:
        self._hang_up = hang_up

    def begin(self, call: str, began: datetime) -> None:
        """Do nothing."""

    def take(self, actions: Sequence[Action]) -> None:
        """Hang up, where the actions say so."""
        if any(isinstance(action, Hangup) for action in actions):
            self._hang_up()

    def end(self) -> None:
        """Do nothing."""

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Do nothing: that call is over."""
