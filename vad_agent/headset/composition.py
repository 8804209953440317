"""Builds the live parts of one headset, and shuts them down in order.

devices ─> capture, players ─────────┐                              ┌─> trace, recordings, hooks, display
keys, event socket, watchdog ────────┴─> loop ─> tracker ─> session ┴─> prompt player ─> players

Over 400 lines: the one place where all parts of a headset are wired.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.duplex_capture import SAMPLE_RATE, DuplexCapture
from vad_agent.audio.echo_canceller import EchoCanceller
from vad_agent.callbacks.outbox import Outbox, outbox_folder
from vad_agent.client.headset_protocol import Command
from vad_agent.common.identity import login
from vad_agent.common.pipe_poll import pipe_poll
from vad_agent.core.actions import Action
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.core.session import CallSession
from vad_agent.headset import messages_ru
from vad_agent.headset.action_hooks import ActionHooks
from vad_agent.headset.action_sinks import ActionSink, ActionSinks
from vad_agent.headset.call_reporter import CallReporter, CallWriter
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.callback_write_ahead import OutboxWriter
from vad_agent.headset.device_selection import SelectedDevices
from vad_agent.headset.farewell_questions import FarewellQuestions
from vad_agent.headset.headset_admission import HeadsetAdmission
from vad_agent.headset.loop import CONTROL, MONITOR, PROMPT, Loop
from vad_agent.headset.microphone_keeper import MicrophoneKeeper
from vad_agent.headset.open_question_file import FOLDER, OpenQuestionFile
from vad_agent.headset.options import Options
from vad_agent.headset.outbox_monitor import OutboxMonitor
from vad_agent.headset.prompt_device_lock import PromptDeviceLock
from vad_agent.headset.prompt_player import PromptPlayer
from vad_agent.headset.recorder import Recordings
from vad_agent.headset.softphone_event_socket import SoftphoneEventSocket
from vad_agent.headset.status import Status
from vad_agent.headset.status_presenter import StatusPresenter
from vad_agent.headset.stream_watchdog import HeldStream, StreamWatchdog
from vad_agent.headset.trace_log import TraceLog, TraceSink
from vad_agent.script.settings import Settings
from vad_agent.speech.player import Player
from vad_agent.speech.prompt_library import PromptLibrary


class Writes(Protocol):
    """A part that writes in a thread of its own."""

    def finish(self) -> None:
        """Nothing more will come; does not block."""

    def close(self) -> None:
        """Finish, and wait briefly until all is written."""


WriterPart = TypeVar("WriterPart", bound=Writes)


class HookSink:
    """The action hooks as a sink."""

    def __init__(self, hooks: ActionHooks) -> None:
        self._hooks = hooks

    def begin(self, call: str, began: datetime) -> None:
        """The following actions belong to this call."""
        self._hooks.begin(call)

    def take(self, actions: Sequence[Action]) -> None:
        """Pass the actions to the hooks."""
        self._hooks.take(actions)

    def end(self) -> None:
        """Do nothing: the phase action reports the end."""

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Pass the actions of a call that is over to the hooks."""
        self._hooks.late(call, actions)


class Composition:
    """All parts of one `listen`. `start` opens the devices, `run` runs the loop, `close` ends
    everything.

    Raises:
        DeviceError: another `listen` speaks into the prompt device.
        OutputError: the trace or the recording folder cannot be written, or the socket cannot be
            created.
        SettingsError: a hook is invalid.
    """

    def __init__(self, options: Options, settings: Settings, chosen: SelectedDevices) -> None:
        self._options = options
        self._settings = settings
        self._chosen = chosen
        self._stack = ExitStack()
        self._finishing: list[Callable[[], None]] = []
        self._last_words: list[str] | None = None
        self.event_token_path: Path | None = None
        """The file of the token for `--events PORT`."""
        self._capture: DuplexCapture | None = None
        self._players: list[Player] = []
        self.status = _status(options, settings, chosen)
        self.admission = HeadsetAdmission(self.status)
        with ExitStack() as building:  # opened parts are closed if a later one fails
            self._build(building)
            self._stack = building.pop_all()

    def _build(self, stack: ExitStack) -> None:
        options, settings = self._options, self._settings
        if self._chosen.prompt is not None:
            stack.callback(PromptDeviceLock(self._chosen.prompt).close)
        log = TraceLog(options.trace, self.report)
        self.trace_path = log.path
        trace = self._writing(stack, TraceSink(log, options.mode, self.report))
        outbox_writer, callbacks, calls = self._desk_outlets(stack)
        journal = OpenQuestionFile(
            (options.outbox or outbox_folder()) / FOLDER, options.operator_login or login()
        )
        questions = FarewellQuestions(
            settings.script,
            lambda call, actions: self._sinks.late(call, actions),
            self.report,
            callbacks,
            self._writing(stack, journal),
        )
        shown = self._shown = StatusPresenter(self.status, questions.waiting)
        sinks: list[ActionSink] = [callbacks, calls, trace]
        self._recordings: Recordings | None = None
        if options.record is not None:
            recordings = Recordings(options.record, settings, options.mode, self.report)
            self._recordings = self._writing(stack, recordings)
            sinks.append(recordings)
        if options.on_action:
            hooks = self._writing(stack, ActionHooks(options.on_action, self.report))
            sinks.append(HookSink(hooks))
        sinks += [questions, shown]
        self._sinks = ActionSinks(sinks, datetime.now)
        stack.callback(questions.close)
        stack.callback(self._finish)
        stack.callback(self._sinks.end)
        desk = CallTracker(
            settings,
            SAMPLE_RATE,
            policy=options.calls,
            mode=options.mode,
            make_session=self._session,
        )
        # The client's device may change to one that plays the prompts too.
        self._cleaner = EchoCanceller(SAMPLE_RATE) if self._chosen.prompt is not None else None
        self.loop = Loop(
            desk,
            self._sinks.take,
            cleaner=self._cleaner,
            on_event=self._on_event,
            after_pair=shown.look,
            may_promise=lambda: outbox_writer.may_promise,
            answers=lambda event, in_call: questions.answer(event, in_call=in_call),
            pipes=pipe_poll(),
        )
        self._phrases = PromptLibrary(settings) if self._chosen.prompt is not None else None
        if self._phrases is not None:
            stack.callback(self._phrases.close)
        if options.events is not None:
            event_socket = SoftphoneEventSocket(
                options.events, lambda what: self.loop.put(CONTROL, what), self.report
            )
            self.event_token_path = event_socket.token_path
            stack.callback(event_socket.close)
            event_socket.start()

    def _writing(self, stack: ExitStack, part: WriterPart) -> WriterPart:
        """Register a part with a writer thread: at the end all finish in parallel, and then are
        waited for.
        """
        stack.callback(part.close)
        self._finishing.append(part.finish)
        return part

    def _finish(self) -> None:
        for finish in self._finishing:
            finish()

    def _desk_outlets(
        self, stack: ExitStack
    ) -> tuple[OutboxWriter, CallbackPublisher, CallReporter]:
        """Callbacks and calls go to the desk on this machine, or are relayed to one elsewhere."""
        options = self._options
        outbox = Outbox(options.outbox or outbox_folder())
        relay = None
        if options.desk is not None:
            from vad_agent.callbacks.outbox_relay import OutboxRelay
            from vad_agent.client.discovery import need_token

            relay = OutboxRelay(outbox, options.desk, need_token(), self.report)
            stack.callback(relay.stop)
            relay.start()
        else:
            unread = OutboxMonitor(outbox, self.report)
            stack.callback(unread.stop)
            unread.start()
        outbox_writer = self._writing(stack, OutboxWriter(outbox, self.report, carrier=relay))
        # Without a login anybody may make the callback. A call report always has its operator.
        callbacks = CallbackPublisher(outbox_writer.post, operator=options.operator_login)
        writer = CallWriter(
            outbox_writer,
            outbox,
            self.report,
            carrier=relay,
            takes_calls=_desk_is_near if options.desk is None else lambda: True,
        )
        self._writing(stack, writer)
        operator = options.operator_login or login()
        calls = CallReporter(callbacks, writer, mode=options.mode, operator=operator)
        return outbox_writer, callbacks, calls

    def _session(self) -> CallSession:
        call = self._sinks.begin()
        if self._phrases is not None:
            self._phrases.forget_names()
        session = CallSession(self._settings, SAMPLE_RATE, mode=self._options.mode)
        return session if self._recordings is None else self._recordings.tap(session, call)

    def start(self) -> None:
        """Open the devices and prepare the prompts."""
        loop, chosen = self.loop, self._chosen
        headset = loop.headset = self._capture = DuplexCapture(
            chosen.operator, chosen.client, loop.put, loop.pipes
        )
        self._stack.callback(headset.close)
        if chosen.prompt is not None and self._phrases is not None:
            player = Player(
                chosen.prompt,
                DeviceRole.PROMPT,
                lambda what: loop.put(PROMPT, what),
                loop.pipes,
            )
            self._stack.callback(player.close)
            self._players.append(player)
            monitor = None
            if chosen.monitor is not None:
                monitor = Player(
                    chosen.monitor,
                    DeviceRole.MONITOR,
                    lambda what: loop.put(MONITOR, what),
                    loop.pipes,
                )
                self._stack.callback(monitor.close)
                self._players.append(monitor)
            loop.prompt_player = PromptPlayer(
                self._settings.script,
                self._phrases,
                player,
                headset.slot_at,
                monitor=monitor,
                canceller=self._cleaner,
                echo_source=self._echo_source,
            )
            threading.Thread(target=self._render, name="phrases", daemon=True).start()
        whereabouts = StreamWatchdog(
            self._held,
            self._followed(),
            chosen.client,
            chosen.prompt.name if chosen.prompt is not None else None,
            put=lambda what: loop.put(CONTROL, what),
            moved=self._on_move,
        )
        self._stack.callback(whereabouts.close)
        self._stack.callback(self._end_children)
        whereabouts.start()
        if self._options.keep_microphone:
            keeper = MicrophoneKeeper(chosen.operator.name, chosen.client.plays, self.report)
            self._stack.callback(keeper.close)
            keeper.start()

    def _end_children(self) -> None:
        """End all workers at once, then wait for each."""
        for held in self._held():
            held.child.end()

    def _render(self) -> None:
        """Render the script's prompts in advance."""
        assert self._phrases is not None
        problems = self._phrases.prepare_script()
        if not problems or self._phrases.closed:
            return
        self.status.voice_problem = str(problems[0][1])
        self.report(f"фраз без голоса: {len(problems)}: их говорите сами")
        if (
            len(problems) == len(list(self._phrases.texts()))
            and self.loop.prompt_player is not None
        ):
            self.loop.put(CONTROL, self.loop.prompt_player.mute())

    def _followed(self) -> frozenset[DeviceRole]:
        named = {
            DeviceRole.CLIENT: self._options.client,
            DeviceRole.OPERATOR: self._options.operator,
        }
        return frozenset(role for role, name in named.items() if name is None)

    def _echo_source(self) -> DeviceRole | None:
        """The device by which our prompts enter the client's channel now."""
        client = self._chosen.client
        if self._capture is not None:
            (client,) = (
                side.device for side in self._capture.sides if side.channel is Channel.CLIENT
            )
        return dataclasses.replace(self._chosen, client=client).echo_source

    def _on_move(self, device: Device, captured: bool) -> None:
        """The softphone's sound goes to another device. Runs in the watchdog's thread."""
        if captured:
            self.status.sides[Channel.CLIENT].device = device.name
            self.report(messages_ru.client_moved(device.description or device.name))
        else:
            self.report(messages_ru.CLIENT_IN_PROMPTS)

    def _held(self) -> Iterator[HeldStream]:
        if self._capture is not None:
            yield from self._capture.sides
        yield from self._players

    # -- input
    # ------------------------------------------------------------------------------------------

    def press(self, what: Event | Command) -> None:
        """Take a key of the operator."""
        if what in (Command.ADMIT_HEADSET, Command.REFUSE_HEADSET):
            self.admission.answer(what is Command.ADMIT_HEADSET)
            return
        if what in (Command.END_CALL, Command.START_CALL):
            self.status.hang_up = False
        self.loop.put(CONTROL, what)

    def _on_event(self, event: Event) -> None:
        """Handle an event before the session gets it."""
        self._shown.request_update()
        if event.kind in (EventKind.CLIENT_PHONE, EventKind.CALLBACK_AGREED) and event.phone:
            self.status.client_phone = event.phone
            self.report("номер клиента записан")  # the messages may be in a log
        if event.kind in (EventKind.CLIENT_NAME, EventKind.CALLBACK_AGREED):
            name = (event.name or "").strip() or None
            if event.kind is EventKind.CLIENT_NAME or name is not None:
                self.status.client_name = name
            if name is not None and self._phrases is not None:
                self._phrases.forget_names()
                self._phrases.expect_name(name)

    def on_look(self, changed: Callable[[], None]) -> None:
        """Register a function that is called whenever the status was written; it must not block.

        Before `run`.
        """
        self._shown.on_update(changed)

    def report(self, text: str) -> None:
        """Show the operator a problem of this program."""
        self.status.messages.append((self.status.call_s, text))
        if self._last_words is not None:
            self._last_words.append(text)

    def run(self) -> None:
        """Run the loop until `Command.QUIT`."""
        self.loop.run()

    def quit(self) -> None:
        """Request the end of the loop."""
        self.loop.put(CONTROL, Command.QUIT)

    def close(self) -> Sequence[str]:
        """End everything without losing data.

        Return problems during the shutdown, when no screen shows them.
        """
        said = self._last_words = []
        self._stack.close()
        return said


def _desk_is_near() -> bool:
    """A desk exists; without one, messages with calls would stay for ever."""
    from vad_agent.client.discovery import is_desk_local

    return is_desk_local()


def _status(options: Options, settings: Settings, chosen: SelectedDevices) -> Status:
    region = settings.callbacks.region
    status = Status(
        mode=options.mode, calls=options.calls, region=region, no_voice=options.no_voice
    )
    status.sides[Channel.OPERATOR].device = chosen.operator.title
    status.sides[Channel.CLIENT].device = chosen.client.title
    status.prompt_device = chosen.prompt.title if chosen.prompt is not None else ""
    return status
