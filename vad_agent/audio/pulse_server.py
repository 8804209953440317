"""The sound server (PulseAudio or PipeWire's pulse server): its devices, and the devices that
streams use.

When a device is unplugged, the server silently moves its streams to another one. The stream's
reader notices nothing and would take another sound for the client's. `PulseWatch` detects it.

    no event                ── the thread sleeps in the server's socket
    an event                ─> read everything again (a few ms) ─> has it changed? ─> on_change()
    the server is gone      ─> on_change(), then a retry every RETRY_S until it is back ─> on_change()
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.errors import DeviceError

NO_SERVER = (
    "no sound server answers: log in to the desktop, or start it: systemctl --user start "
    "pipewire-pulse wireplumber (PulseAudio: pulseaudio --start)"
)
HOST = "PulseAudio"
RETRY_S: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each retry to connect; the last value repeats."""
BURST_S = 0.02
"""Seconds between two readings: one device causes a dozen events when it comes or goes."""
END_S = 1.0
OURS = "vad-agent "
"""How the names begin that the workers give their streams."""
EVENTS = ("sink", "source", "sink_input", "source_output", "server")


def pulse_devices() -> list[Device]:
    """The server's sources and sinks; none without libpulse or a server."""
    connection = _connect("vad-agent devices")
    if connection is None:
        return []
    try:
        info = connection.server_info()
        sources = connection.source_list()
        loaded = {one.index: module_arguments(one.argument) for one in connection.module_list()}
        masters = {one.name: loaded.get(one.owner_module, {}).get("master", "") for one in sources}
        return as_devices(
            sources,
            connection.sink_list(),
            info.default_source_name,
            info.default_sink_name,
            masters,
        )
    except _errors():
        return []
    finally:
        connection.close()


def module_arguments(text: str | None) -> dict[str, str]:
    """A module's arguments, `key=value …`; text that cannot be split has none.

    >>> module_arguments("master=virtmic.monitor source_properties='a=\\"b c\\"'")
    {'master': 'virtmic.monitor', 'source_properties': 'a="b c"'}
    """
    try:
        words = shlex.split(text or "")
    except ValueError:
        return {}
    return {key: value for key, equal, value in (word.partition("=") for word in words) if equal}


def as_devices(
    sources: Iterable[Any],
    sinks: Iterable[Any],
    default_source: str,
    default_sink: str,
    masters: Mapping[str, str] | None = None,
) -> list[Device]:
    """Convert pulsectl's sources and sinks to devices, in the server's order.

    `masters`: source → the source from which its module made it, where its properties do not say so
    (PipeWire).
    """
    sources, sinks = list(sources), list(sinks)
    sink_of = {source.name: source.monitor_of_sink_name for source in sources}
    titles = {sink.name: sink.description for sink in sinks}
    found = []
    for source in sources:
        title = source.description
        if sink := sink_of[source.name]:
            plays, default = sink, sink == default_sink
            title = titles.get(sink, title)  # not "Monitor of …" in the server's language
        else:  # a source made from a monitor is a loopback too
            master = _master(source) or (masters or {}).get(source.name, "")
            plays = master if sink_of.get(master) else ""
            default = source.name == default_source
        found.append(_device(source, title, inputs=True, default=default, plays=plays))
    return found + [
        _device(sink, sink.description, inputs=False, default=sink.name == default_sink)
        for sink in sinks
    ]


def _master(source: Any) -> str:
    """The source from which a remapped one is made."""
    return str(source.proplist.get("device.master_device", ""))


def _device(
    one: Any, description: str | None, *, inputs: bool, default: bool, plays: str = ""
) -> Device:
    channels = int(one.sample_spec.channels)
    return Device(
        name=one.name,
        backend="pulse",
        host=HOST,
        index=None,
        inputs=channels if inputs else 0,
        outputs=0 if inputs else channels,
        rate=int(one.sample_spec.rate),
        loopback=bool(plays),
        default=default,
        description=description or "",
        plays=plays,
    )


def _libpulse() -> Any:
    """The module pulsectl. None: not Linux, or libpulse is not installed."""
    if sys.platform != "linux":
        return None
    try:
        import pulsectl  # type: ignore[import-untyped]
    except (ImportError, OSError):
        return None
    for info in (pulsectl.PulseSourceInfo, pulsectl.PulseSinkInfo):
        info._init_from_struct = _copy_sample_spec
    return pulsectl


def _copy_sample_spec(info: Any, struct: Any) -> None:
    """Copy what pulsectl only references in libpulse's memory, which libpulse reuses after the answer."""
    info.sample_spec = type(struct.sample_spec).from_buffer_copy(struct.sample_spec)


def _connect(name: str) -> Any:
    """A connection, or None. Never starts a server. libpulse gives up a hanging one after 30 s."""
    if (pulsectl := _libpulse()) is None:
        return None
    connection = pulsectl.Pulse(name, connect=False)
    try:
        connection.connect(autospawn=False)  # its own `timeout` is always waited out
    except _errors():
        connection.close()
        return None
    return connection


@contextlib.contextmanager
def server_connection(name: str) -> Iterator[Any]:
    """A connection to the sound server, as pulsectl's `Pulse`. `name`: what the server calls us.

    Raises:
        DeviceError: no sound server answers, or it went away or refused a request in the block.
    """
    if (connection := _connect(name)) is None:
        raise DeviceError(NO_SERVER)
    try:
        yield connection
    except _errors() as error:
        why = " ".join(str(error).split())
        raise DeviceError(f"the sound server refused a request, or went away: {why}") from error
    finally:
        connection.close()


def server_answers() -> bool:
    """A sound server answers, or this system has none that could (no Linux, no libpulse)."""
    if _libpulse() is None:
        return True
    if (connection := _connect("vad-agent")) is None:
        return False
    connection.close()
    return True


def _errors() -> tuple[type[Exception], ...]:
    """All exceptions of a server that disappears during a request."""
    pulsectl = _libpulse()
    raised = (pulsectl.PulseError, pulsectl.PulseDisconnected, OSError)
    return (*raised, pulsectl._pulsectl.LibPulse.CallError)


@dataclass(frozen=True, slots=True)
class PlayingStream:
    """A stream of another program that plays."""

    index: int
    """The server's number of the stream; it stays the same when the stream is moved."""
    pid: int
    sink: str
    """Name of its sink; empty: it is being moved."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The state of the server at one moment."""

    names: frozenset[str] = frozenset()
    """Names of sources and sinks: one more or less is a change."""
    streams: Mapping[int, str] = field(default_factory=dict)
    """Process id → the source or sink of its stream; of several, the capturing one."""
    playing: frozenset[PlayingStream] = frozenset()
    """Every playing stream, except those of our own workers."""
    recording: frozenset[int] = frozenset()
    """Ids of the processes that record something."""
    monitors: Mapping[str, str] = field(default_factory=dict)
    """Sink → its monitor."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Source or sink → its name for people."""
    looped: frozenset[tuple[str, int]] = frozenset()
    """(source, module) of every stream by which a module, such as a loopback, captures."""
    default_source: str = ""
    default_sink: str = ""
    default_monitor: str = ""
    """The default sink's monitor."""


class PulseWatch:
    """A thread that tracks the sound server, and calls `on_change()` in that thread whenever its
    state changes.

    Without changes it costs nothing. Queries are answered at once from the last state, in any
    thread; without a server, with None and False.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._picture: Picture | None = None
        self._connection: Any = None
        self._lock = threading.Lock()  # guards the connection
        self._dirty = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse watch", daemon=True)

    def start(self) -> None:
        """Start; without libpulse, as on Windows, do nothing."""
        if _libpulse() is not None:
            self._thread.start()

    @property
    def connected(self) -> bool:
        """The server answers."""
        return self._picture is not None

    @property
    def picture(self) -> Picture | None:
        """The last state; None: no server answers."""
        return self._picture

    def where(self, pid: int) -> str | None:
        """The source or sink that the process's stream uses now; None: it has no stream."""
        picture = self._picture
        return picture.streams.get(pid) if picture else None

    def exists(self, name: str) -> bool:
        """A source or sink of this name exists."""
        picture = self._picture
        return picture is not None and name in picture.names

    def default(self, role: DeviceRole) -> str | None:
        """The server's default for the role: the source, the sink, or for the client the sink's monitor."""
        picture = self._picture
        if picture is None:
            return None
        if role is DeviceRole.CLIENT:
            return picture.default_monitor or None
        return (picture.default_source if role.hears else picture.default_sink) or None

    def close(self) -> None:
        """Stop the thread; one that waits for a hanging server is left to end by itself."""
        self._closing.set()
        until = time.monotonic() + END_S
        while self._thread.is_alive() and time.monotonic() < until:
            with self._lock:
                if self._connection is not None:
                    self._connection.event_listen_stop()
            self._thread.join(0.05)  # again: it may just have begun to listen

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        tries = 0
        while not self._closing.is_set():
            if (connection := _connect("vad-agent watch")) is not None:
                tries = 0
                self._attach(connection)
                with contextlib.suppress(*_errors()):
                    self._follow(connection)
                self._attach(None)
                connection.close()
                self._show(None)
            self._closing.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    def _attach(self, connection: Any) -> None:
        with self._lock:  # libpulse aborts the process if a closed connection is woken
            self._connection = connection

    def _follow(self, connection: Any) -> None:
        """Run until the server is gone (an error), or until closed."""
        pulsectl = _libpulse()

        def told(_: Any) -> None:
            self._dirty = True
            raise pulsectl.PulseLoopStop

        connection.event_callback_set(told)
        connection.event_mask_set(*EVENTS)
        self._dirty = True
        while not self._closing.is_set():
            if self._dirty:
                self._dirty = False
                self._show(read(connection))
                self._closing.wait(BURST_S)
            else:
                connection.event_listen()

    def _show(self, picture: Picture | None) -> None:
        if picture != self._picture and not self._closing.is_set():
            self._picture = picture
            self._on_change()


def read(connection: Any) -> Picture:
    """Read the current state. Raises pulsectl's errors."""
    info = connection.server_info()  # first: raises if a server hangs; lists would be empty
    sources = {source.index: source for source in connection.source_list()}
    sinks = {sink.index: sink for sink in connection.sink_list()}
    streams: dict[int, str] = {}
    recording, looped = set(), set()
    for captured in connection.source_output_list():
        _place(streams, captured, sources.get(captured.source))
        recording.add(_pid(captured))
        if captured.source in sources and "application.process.id" not in captured.proplist:
            looped.add((sources[captured.source].name, captured.owner_module))
    playing = set()
    for played in connection.sink_input_list():
        sink = sinks.get(played.sink)
        _place(streams, played, sink)
        name = str(played.proplist.get("application.name", ""))
        if (pid := _pid(played)) is not None and not name.startswith(OURS):
            playing.add(PlayingStream(played.index, pid, "" if sink is None else sink.name))
    monitors = {sink.name: sink.monitor_source_name for sink in sinks.values()}
    devices = (*sources.values(), *sinks.values())
    return Picture(
        names=frozenset(one.name for one in devices),
        streams=streams,
        playing=frozenset(playing),
        recording=frozenset(pid for pid in recording if pid is not None),
        monitors=monitors,
        descriptions={one.name: one.description or one.name for one in devices},
        looped=frozenset(looped),
        default_source=info.default_source_name or "",
        default_sink=info.default_sink_name or "",
        default_monitor=monitors.get(info.default_sink_name) or "",
    )


def _pid(stream: Any) -> int | None:
    """Id of the process that has the stream; a stream of the server itself has none."""
    pid = str(stream.proplist.get("application.process.id", ""))
    return int(pid) if pid.isdecimal() else None


def _place(streams: dict[int, str], stream: Any, device: Any) -> None:
    pid = _pid(stream)
    if device is not None and pid is not None:  # a stream has no device while it is being moved
        streams.setdefault(pid, device.name)
