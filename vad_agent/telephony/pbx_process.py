"""Runs `vad-agent pbx`: the listener, call control and the parts that all calls share.

Asterisk ── AudioSocket ──> AudioSocketServer ─┬> CallRouter ─> OperatorLine ─┬─> outbox ─> desk
providers ── WebSocket ───> WebSocketServer ───┘    ^                         │
PBX ── ARI, AMI, posted ──> ControlGroup ───────────┘                         └─> desk's pages
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vad_agent.callbacks.outbox import Outbox, outbox_folder
from vad_agent.client.discovery import find_desk, is_desk_local, need_token
from vad_agent.client.headset_link import HeadsetLink
from vad_agent.client.headset_protocol import ControlMessage, ControlSink
from vad_agent.errors import OutputError
from vad_agent.headset.call_reporter import CallWriter
from vad_agent.headset.callback_write_ahead import OutboxWriter
from vad_agent.headset.status_publisher import StatusPublisher
from vad_agent.script.settings import Settings
from vad_agent.speech.prompt_library import PromptLibrary
from vad_agent.telephony.audiosocket_server import AudioSocketServer
from vad_agent.telephony.call_control import CHECK, TapEvent
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.combined_call_control import ControlGroup, ControlOptions, make_controls
from vad_agent.telephony.hook_server import HookServer
from vad_agent.telephony.load_admission import MOST_LOAD, LoadAdmission
from vad_agent.telephony.media_connection import MediaListener
from vad_agent.telephony.metrics import PbxCounts, serve_metrics
from vad_agent.telephony.operator_line import OperatorLine, SharedParts
from vad_agent.telephony.process_pool import Share
from vad_agent.telephony.trace_file import TraceFile

if TYPE_CHECKING:
    from vad_agent.telephony.siprec_server import SiprecServer

log = logging.getLogger(__name__)

SWITCH_S = 0.0002
"""Seconds after which a computing thread releases the interpreter: see `cli/listen_process.py`."""
DRAIN_S = 3600.0
"""Seconds that calls may go on after SIGTERM."""
LOOK_S = 0.2
SCRAPE_S = 5.0
"""Seconds for the event loop to say its counts."""


@dataclass(frozen=True, slots=True)
class PbxOptions:
    """The arguments of `vad-agent pbx`."""

    host: str = "127.0.0.1"
    port: int = 9092
    mode: str = "auto"
    script: Path | None = None
    outbox: Path | None = None
    desk: str | None = None
    trace: Path | None = None
    """None: the calls' traces go to the desk alone."""
    most_calls: int = 200
    most_load: float = MOST_LOAD
    """Share of one processor up to which calls are taken."""
    websocket: tuple[str, int] | None = None
    """Where media over WebSocket are taken; None: nowhere."""
    websocket_token: str = field(default="", repr=False)
    media: tuple[str, int] | None = None
    """Where the PBX reaches the listener; None: as it listens."""
    control: ControlOptions = field(default_factory=ControlOptions)
    metrics_port: int | None = None
    """None: no metrics."""
    share: Share = field(default_factory=Share)
    """Of several processes: the calls of this one."""
    logins: Mapping[str, str] = field(default_factory=dict)
    """The operators' telephones: endpoint → login; an endpoint that is not here is the login."""
    siprec: tuple[str, int] | None = None
    """Host and port of the recording server; None: there is none. Needs the mode cue."""
    rtp_ports: range | None = None
    """Of the recording server; None: its own."""


class Listener(Protocol):
    """A port at which calls come."""

    @property
    def protocol(self) -> str:
        """What it speaks, for the engineer."""

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen. Return the address. Raises OSError."""

    async def close(self) -> None:
        """Listen no more."""


class PbxProcess:
    """One process with many calls. `say`: told what the engineer should read at the start."""

    def __init__(self, options: PbxOptions, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self.settings = Settings() if options.script is None else Settings.load(options.script)
        self._stack = ExitStack()
        self._publishers: dict[int, StatusPublisher] = {}
        self._control = ControlGroup({})
        self._admission = LoadAdmission(options.most_load)
        self._lines: set[OperatorLine] = set()
        self._missing = 0
        """Frames that lines that are gone have missed."""
        self._recorder: SiprecServer | None = None
        self._stopping: asyncio.Event | None = None
        self._asked_to_stop = 0

    def run(self) -> bool:
        """Serve until a signal. Return whether it was Ctrl-C.

        Raises:
            OutputError: the port is taken, or the outbox cannot be written.
            SettingsError: the script, or the address of Asterisk, is not valid.
        """
        sys.setswitchinterval(SWITCH_S)
        with self._stack, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(self._run())

    async def _run(self) -> bool:
        options = self._options
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        interrupted = False

        def stop(number: int) -> None:
            nonlocal interrupted
            interrupted |= number == signal.SIGINT
            self._asked_to_stop += 1
            assert self._stopping is not None
            self._stopping.set()

        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) is not None:
                loop.add_signal_handler(number, partial(stop, number))
        shared = self._shared()

        def tell(found: Sequence[TapEvent]) -> None:
            for one in found:
                if not options.share.has(one.tap) or one.tap.startswith(CHECK):
                    continue
                login = self._options.logins.get(one.operator or "", one.operator)
                loop.call_soon_threadsafe(router.control, one, login)

        host, port = options.media or (options.host, options.port)
        self._control, hooks = make_controls(
            options.control, tell, media=f"{host}:{port}", index=options.share.index
        )
        self._stack.callback(self._control.close)
        router = CallRouter(
            lambda operator, hang_up: self._line(shared, operator, hang_up),
            self._control.hang_up,
            controlled=(lambda: self._control.connected) if self._control.controls else None,
            most_calls=options.most_calls,
            admission=self._admission,
            drop_line=self._drop_line,
            tap=self._control.tap,
        )
        listeners: list[Listener] = []
        audiosocket = AudioSocketServer(router, self._admission)
        posted = HookServer(hooks, options.share)

        def counts() -> PbxCounts:
            coroutine = self._counts(router, listeners, posted, late=audiosocket.late)
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(SCRAPE_S)

        watch = asyncio.create_task(self._watch_pool()) if options.share.of > 1 else None
        try:
            await self._listen(audiosocket, listeners, options.host, options.port)
            if options.websocket is not None:
                from vad_agent.telephony.websocket_server import WebSocketServer

                sockets = WebSocketServer(router, token=options.websocket_token)
                await self._listen(sockets, listeners, *options.websocket)
            if options.control.events is not None:
                host, port = await posted.start(*options.control.events)
                paths = ", ".join(f"/{path}" for path in hooks)
                self._say(f"events    http://{host}:{port} ({paths})")
            if options.metrics_port is not None:
                port, close_metrics = serve_metrics(options.metrics_port, counts)
                self._stack.callback(close_metrics)
                self._say(f"metrics   http://127.0.0.1:{port}/metrics")
            if options.siprec is not None:
                from vad_agent.telephony.siprec_server import SiprecServer

                recorder = SiprecServer(router, options.logins, ports=options.rtp_ports)
                await self._listen(recorder, listeners, *options.siprec)
                self._recorder = recorder
            # Last: a second process, whose ports are taken, must not take the first one's events.
            self._control.start()
            await self._stopping.wait()
            await self._drain(router)
        finally:
            if watch is not None:
                watch.cancel()
            await posted.close()
            router.close()
            for listener in listeners:
                await listener.close()
        return interrupted

    async def _watch_pool(self) -> None:
        """End with the pool, even if it is killed: another one needs the port."""
        pool = os.getppid()
        while os.getppid() == pool:
            await asyncio.sleep(1.0)
        log.error("the pool of processes has ended")
        assert self._stopping is not None
        self._asked_to_stop = 2
        self._stopping.set()

    async def _listen(
        self, listener: Listener, listeners: list[Listener], host: str, port: int
    ) -> None:
        try:
            host, port = await listener.start(host, port)
        except OSError as error:
            raise OutputError(f"{host}:{port}: cannot listen there: {error.strerror}") from error
        listeners.append(listener)
        kind = listener.protocol
        self._say(f"media     {host}:{port} ({kind}), up to {self._options.most_calls} calls")

    async def _drain(self, router: CallRouter) -> None:
        """Take no new call, and let those go on that are on; a second signal ends them."""
        assert self._stopping is not None
        router.draining = True
        if router.in_call:
            self._say(f"calls go on: {router.in_call}; no new ones (again: end them)")
        waited = 0.0
        while router.in_call and self._asked_to_stop < 2 and waited < DRAIN_S:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S

    async def _counts(
        self,
        router: CallRouter,
        listeners: Sequence[Listener],
        posted: HookServer,
        *,
        late: int,
    ) -> PbxCounts:
        """For the metrics."""
        lines = tuple(self._lines)
        controls = self._control.controls
        recorder = self._recorder
        return PbxCounts(
            calls=router.counters.calls,
            refused=router.counters.refused,
            refused_by_load=router.counters.refused_by_load,
            unknown_events=router.counters.unknown_events,
            streams=router.streams,
            in_call=sum(line.in_call for line in lines),
            lines=len(lines),
            most_calls=self._options.most_calls,
            load=self._admission.load,
            call_load=self._admission.call_load,
            most_load=self._admission.most,
            frames_late=late,
            frames_missing=self._missing + sum(line.frames_missing for line in lines),
            connections_failed=sum(
                one.failed for one in listeners if isinstance(one, MediaListener)
            ),
            connected={name: one.connected for name, one in controls.items()},
            commands={name: one.waiting for name, one in controls.items()},
            posted=dict(posted.counts),
            sessions={} if recorder is None else recorder.sessions,
            packets={} if recorder is None else recorder.packets,
        )

    # -- shared parts ------------------------------------------------------------------------------

    def _shared(self) -> SharedParts:
        options = self._options
        outbox = Outbox(options.outbox or outbox_folder())
        relay = None
        if options.desk is not None:
            from vad_agent.callbacks.outbox_relay import OutboxRelay

            relay = OutboxRelay(outbox, options.desk, need_token(), self._report)
            self._stack.callback(relay.stop)
            relay.start()
        messages = OutboxWriter(outbox, self._report, carrier=relay)
        self._stack.callback(messages.close)
        calls = CallWriter(
            messages,
            outbox,
            self._report,
            carrier=relay,
            takes_calls=is_desk_local if options.desk is None else lambda: True,
        )
        self._stack.callback(calls.close)
        phrases = None
        if options.mode != "auto":
            self._admission.start()
        else:
            phrases = PromptLibrary(self.settings)
            self._stack.callback(phrases.close)
            threading.Thread(
                target=self._render, args=(phrases,), name="phrases", daemon=True
            ).start()
        trace = None
        if options.trace is not None:
            trace = TraceFile(options.trace, self._report)
            self._stack.callback(trace.close)
        return SharedParts(self.settings, messages, calls, phrases, trace)

    def _render(self, phrases: PromptLibrary) -> None:
        problems = phrases.prepare_script()
        self._admission.start()
        if problems and not phrases.closed:
            log.error("phrases without a voice", extra={"count": len(problems)})
            self._say(f"phrases without a voice: {len(problems)}: {problems[0][1]}")
        else:
            log.info("the phrases are ready")

    def _report(self, text: str) -> None:
        log.warning("a problem", extra={"why": text})

    # -- lines -------------------------------------------------------------------------------------

    def _line(
        self, shared: SharedParts, operator: str | None, hang_up: Callable[[], None]
    ) -> OperatorLine:
        line = OperatorLine(shared, operator, hang_up)
        self._lines.add(line)
        if operator is not None:
            link = HeadsetLink(partial(find_desk, self._options.desk), line.report)
            publisher = StatusPublisher([link], operator, line.status, self._sink(line))
            line.on_look(publisher.changed)
            publisher.start()
            self._publishers[id(line)] = publisher
        return line

    def _sink(self, line: OperatorLine) -> ControlSink:
        """Takes commands of the operator's page, which come in the link's thread."""
        loop = asyncio.get_running_loop()

        def take(what: ControlMessage) -> None:
            loop.call_soon_threadsafe(line.signal, what)

        return take

    def _drop_line(self, line: OperatorLine) -> None:
        self._lines.discard(line)
        self._missing += line.frames_missing
        publisher = self._publishers.pop(id(line), None)
        if publisher is not None:
            threading.Thread(target=publisher.stop, name="drop line", daemon=True).start()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop, whose sockets cost half; None, asyncio's own, on Windows."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
