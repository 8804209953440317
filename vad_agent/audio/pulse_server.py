"""The sound server, PulseAudio or PipeWire's pulse server: its devices, and where streams really are.

Where a device is pulled out, the server silently moves its streams to another one: to whoever reads the
stream nothing has happened, and another sound is taken for the client's. `PulseWatch` is how it is noticed.

    nothing changes ── the thread sleeps in the server's socket
    anything changes ─> all is read anew (a few ms) ─> is it another picture? ─> on_change()
    the server is gone ─> on_change(), then a try at RETRY_S until it is back ─> on_change()
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vad_agent.audio.devices import Device, DeviceRole

HOST = "PulseAudio"
RETRY_S: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Before each further try to connect; the last one for all that follow."""
BURST_S = 0.02
"""Between two readings: a device that comes or goes is told in a dozen events."""
END_S = 1.0
EVENTS = ("sink", "source", "sink_input", "source_output", "server")


def pulse_devices() -> list[Device]:
    """The server's sources and sinks; none where there is no libpulse or no server."""
    connection = _connect("vad-agent devices")
    if connection is None:
        return []
    try:
        info = connection.server_info()
        return as_devices(
            connection.source_list(),
            connection.sink_list(),
            info.default_source_name,
            info.default_sink_name,
        )
    except _errors():
        return []
    finally:
        connection.close()


def as_devices(
    sources: Iterable[Any], sinks: Iterable[Any], default_source: str, default_sink: str
) -> list[Device]:
    """pulsectl's sources and sinks as devices, in the server's order."""
    sources, sinks = list(sources), list(sinks)
    sink_of = {source.name: source.monitor_of_sink_name for source in sources}
    found = []
    for source in sources:
        if sink := sink_of[source.name]:
            plays, default = sink, sink == default_sink
        else:  # one that is made of a monitor gives what is played, too
            plays = _master(source) if sink_of.get(_master(source)) else ""
            default = source.name == default_source
        found.append(_device(source, inputs=True, default=default, plays=plays))
    return found + [
        _device(sink, inputs=False, default=sink.name == default_sink) for sink in sinks
    ]


def _master(source: Any) -> str:
    """The source that a remapped one is made of."""
    return str(source.proplist.get("device.master_device", ""))


def _device(one: Any, *, inputs: bool, default: bool, plays: str = "") -> Device:
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
        description=one.description or "",
        plays=plays,
    )


def _libpulse() -> Any:
    """The module pulsectl, or None: not Linux, or libpulse is not installed."""
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
    """Replace pulsectl's reference into libpulse's memory, which libpulse reuses after the answer."""
    info.sample_spec = type(struct.sample_spec).from_buffer_copy(struct.sample_spec)


def _connect(name: str) -> Any:
    """A connection, or None. Never starts a server. One that hangs is given up by libpulse after 30 s."""
    if (pulsectl := _libpulse()) is None:
        return None
    connection = pulsectl.Pulse(name, connect=False)
    try:
        connection.connect(autospawn=False)  # its own `timeout` is always waited out
    except _errors():
        connection.close()
        return None
    return connection


def _errors() -> tuple[type[Exception], ...]:
    """All that may come of a server that goes away while it is asked."""
    pulsectl = _libpulse()
    raised = (pulsectl.PulseError, pulsectl.PulseDisconnected, OSError)
    return (*raised, pulsectl._pulsectl.LibPulse.CallError)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is on the server at one moment."""

    names: frozenset[str] = frozenset()
    """Of sources and sinks."""
    streams: Mapping[int, str] = field(default_factory=dict)
    """Process id → the source or sink of its stream; of several, the one that captures."""
    playing: frozenset[tuple[str, int]] = frozenset()
    """(sink, process id) of whatever plays."""
    default_source: str = ""
    default_sink: str = ""
    default_monitor: str = ""
    """The default sink's."""


class PulseWatch:
    """A thread that knows what is on the sound server, and calls `on_change()` (in that thread) whenever
    the picture is another one. Costs nothing while nothing changes.

    Questions are answered from the last picture, at once, from any thread; where the server is gone, or
    was never there, with None and False.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._picture: Picture | None = None
        self._connection: Any = None
        self._lock = threading.Lock()  # of the connection
        self._dirty = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse watch", daemon=True)

    def start(self) -> None:
        """Begin; where there is no libpulse, as on Windows, nothing happens, quietly."""
        if _libpulse() is not None:
            self._thread.start()

    @property
    def connected(self) -> bool:
        """The server answers."""
        return self._picture is not None

    def where(self, pid: int) -> str | None:
        """The source or sink that the stream of the process is on now; None: it has none."""
        picture = self._picture
        return picture.streams.get(pid) if picture else None

    def players(self, sink: str) -> frozenset[int]:
        """The ids of the processes that play into this sink."""
        picture = self._picture
        playing = picture.playing if picture else ()
        return frozenset(pid for name, pid in playing if name == sink)

    def exists(self, name: str) -> bool:
        """There is a source or sink of this name."""
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
        """End the thread; one that waits for a server that hangs is left to end by itself."""
        self._closing.set()
        until = time.monotonic() + END_S
        while self._thread.is_alive() and time.monotonic() < until:
            with self._lock:
                if self._connection is not None:
                    self._connection.event_listen_stop()
            self._thread.join(0.05)  # and again: it may just have begun to listen

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
        """Until the server is gone (an error), or we close."""
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
    """The picture as it is now. Raises pulsectl's errors."""
    info = connection.server_info()  # first: it raises where a server hangs, lists come out empty
    sources = {source.index: source for source in connection.source_list()}
    sinks = {sink.index: sink for sink in connection.sink_list()}
    streams: dict[int, str] = {}
    for captured in connection.source_output_list():
        _place(streams, captured, sources.get(captured.source))
    playing = set()
    for played in connection.sink_input_list():
        _place(streams, played, sinks.get(played.sink))
        pid = str(played.proplist.get("application.process.id", ""))
        if played.sink in sinks and pid.isdecimal():
            playing.add((sinks[played.sink].name, int(pid)))
    monitors = {sink.name: sink.monitor_source_name for sink in sinks.values()}
    return Picture(
        names=frozenset(one.name for one in (*sources.values(), *sinks.values())),
        streams=streams,
        playing=frozenset(playing),
        default_source=info.default_source_name or "",
        default_sink=info.default_sink_name or "",
        default_monitor=monitors.get(info.default_sink_name) or "",
    )


def _place(streams: dict[int, str], stream: Any, device: Any) -> None:
    pid = str(stream.proplist.get("application.process.id", ""))
    if device is not None and pid.isdecimal():  # it is on none while it is being moved
        streams.setdefault(int(pid), device.name)
