"""The sound server's graph: sinks, sources, the modules that connect them, the programs on them.

    microphone ──loopback──> sink of phrases ─monitor──remap──> virtual microphone ──> softphone
    softphone ──> headset's sink ─monitor──> the client's side

A snapshot: `read_graph` reads it once, `pulse_watch` after each change; everything else is a pure query
of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vad_agent.audio.pulse_server import module_arguments, server_connection

OURS = "vad-agent"
"""Our own streams' application names begin with it."""
HEADSETS = frozenset({"headset", "headphone", "handset", "hands-free"})
"""Form factors of devices that are worn or held."""
PLUGGED = frozenset({"usb", "bluetooth"})
_NONE = 0xFFFFFFFF
"""The server's index for "none"."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A sink or a source."""

    index: int
    name: str
    description: str
    monitor_of: str = ""
    """For a sink's monitor: the sink."""
    module: int | None = None
    """The module that made it."""
    hardware: str = ""
    """Its hardware: a card, or a device's serial number; "" if unknown."""
    form_factor: str = ""
    bus: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a program, or of a module, that plays into a sink or records from a source."""

    index: int
    device: str
    """Its sink or source; "" while it is being moved."""
    application: str
    pid: int | None
    module: int | None = None
    """The owner module; of a program's stream on PulseAudio, the module of the protocol."""
    meter: bool = False
    """It only measures a level (pavucontrol)."""

    @property
    def inside(self) -> bool:
        """The stream belongs to a module, not to a program."""
        return self.module is not None and self.pid is None


@dataclass(frozen=True, slots=True)
class Module:
    """A loaded module."""

    index: int
    name: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SoundGraph:
    """The state of a sound server at one moment."""

    server: str = ""
    """The server's name and version."""
    default_sink: str = ""
    default_source: str = ""
    sinks: tuple[Endpoint, ...] = ()
    sources: tuple[Endpoint, ...] = ()
    playing: tuple[Stream, ...] = ()
    recording: tuple[Stream, ...] = ()
    modules: tuple[Module, ...] = field(default=(), repr=False)

    @property
    def pipewire(self) -> bool:
        """The server is PipeWire's pulse server."""
        return "PipeWire" in self.server

    def sink(self, name: str) -> Endpoint | None:
        """The sink of this name."""
        return next((sink for sink in self.sinks if sink.name == name), None)

    def source(self, name: str) -> Endpoint | None:
        """The source of this name."""
        return next((source for source in self.sources if source.name == name), None)

    def monitor(self, sink: str) -> Endpoint | None:
        """The sink's own monitor."""
        return next((source for source in self.sources if source.monitor_of == sink), None)

    @property
    def monitors(self) -> dict[str, str]:
        """Sink → its monitor."""
        return {source.monitor_of: source.name for source in self.sources if source.monitor_of}

    def device_of(self, pid: int) -> str | None:
        """The source or sink of the process's stream; of several, the capturing one. None: no stream."""
        streams = (*self.recording, *self.playing)
        return next((one.device for one in streams if one.pid == pid and one.device), None)

    def playing_programs(self) -> list[Stream]:
        """Playing streams of programs, except our own."""
        return [
            stream
            for stream in self.playing
            if stream.pid is not None and not stream.application.startswith(OURS)
        ]

    def also_records(self, stream: Stream) -> bool:
        """The stream's program records something, as a telephone does."""
        return stream.pid is not None and any(one.pid == stream.pid for one in self.recording)

    def module(self, index: int | None) -> Module | None:
        """The module of this index."""
        return next((one for one in self.modules if one.index == index), None)

    def master(self, source: Endpoint) -> str:
        """The source from which a remapped one is made; "" for others."""
        module = self.module(source.module)
        return module.arguments.get("master", "") if module is not None else ""

    def played_by(self, source: str) -> str:
        """The sink whose sound the source carries, directly or through others; "": a microphone."""
        name = source
        for _ in self.sources:
            found = self.source(name)
            if found is None or found.monitor_of:
                return found.monitor_of if found is not None else ""
            name = self.master(found)
        return ""

    def microphones_of(self, sink: str) -> list[Endpoint]:
        """Virtual microphones: sources that carry the sink's sound and are not its monitor.

        The monitor counts if a program that is not ours records it as its microphone.
        """
        virtual = [
            source
            for source in self.sources
            if not source.monitor_of and self.played_by(source.name) == sink
        ]
        monitor = self.monitor(sink)
        if monitor is not None and any(self.recorders(monitor.name)):
            virtual.append(monitor)
        return virtual

    def voices_into(self, sink: str) -> list[str]:
        """The sources that modules play into the sink."""
        into = {stream.module for stream in self.playing if stream.device == sink and stream.inside}
        return [
            stream.device
            for stream in self.recording
            if stream.inside and stream.module in into and stream.device
        ]

    def recorders(self, source: str) -> Iterator[Stream]:
        """Streams of programs, except our own, that record the source."""
        for stream in self.recording:
            ours = stream.inside or stream.application.startswith(OURS)
            if stream.device == source and not ours and not stream.meter:
                yield stream

    def also_plays(self, stream: Stream) -> bool:
        """The stream's program also plays something, as a telephone does."""
        return stream.pid is not None and any(one.pid == stream.pid for one in self.playing)


@dataclass(frozen=True, slots=True)
class Headset:
    """The operator's headset: the sink with the client's sound, and the microphone."""

    sink: Endpoint
    source: Endpoint
    known: bool
    """Recognized as one device; False: the server's defaults."""
    others: tuple[str, ...] = ()
    """Descriptions of the other headsets."""


def find_headset(graph: SoundGraph) -> Headset | None:
    """The plugged-in headset, else the default sink and source. None: no output or no microphone.

    Of several headsets the default one is taken.
    """
    sinks = [sink for sink in graph.sinks if not graph.microphones_of(sink.name)]
    sources = [source for source in graph.sources if not graph.played_by(source.name)]
    pairs = [
        (rank, sink, source)
        for sink in sinks
        for source in sources
        if sink.hardware and sink.hardware == source.hardware and (rank := _rank(sink, source))
    ]
    if pairs:
        best = max(pairs, key=lambda pair: _preference(graph, *pair))
        others = {sink.description for _, sink, _ in pairs if sink.hardware != best[1].hardware}
        return Headset(best[1], best[2], True, tuple(sorted(others)))
    if not sinks or not sources:
        return None
    sink = next((one for one in sinks if one.name == graph.default_sink), sinks[0])
    source = next((one for one in sources if one.name == graph.default_source), sources[0])
    return Headset(sink, source, False)


def _rank(sink: Endpoint, source: Endpoint) -> int:
    if {sink.form_factor, source.form_factor} & HEADSETS:
        return 2
    return 1 if {sink.bus, source.bus} & PLUGGED else 0


def _preference(
    graph: SoundGraph, rank: int, sink: Endpoint, source: Endpoint
) -> tuple[int, bool, bool]:
    return rank, sink.name == graph.default_sink, source.name == graph.default_source


# -- reading ----------------------------------------------------------------------------------------


def read_graph() -> SoundGraph:
    """Read the server's graph.

    Raises:
        DeviceError: no sound server answers.
    """
    with server_connection("vad-agent") as server:
        return graph_of(server)


def graph_of(server: Any) -> SoundGraph:
    """The graph of a connected server. Raises pulsectl's errors."""
    info = server.server_info()  # first: raises if a server hangs; lists would be empty
    sinks = {sink.index: sink for sink in server.sink_list()}
    sources = {source.index: source for source in server.source_list()}
    return SoundGraph(
        server=f"{info.server_name} {info.server_version}".strip(),
        default_sink=info.default_sink_name or "",
        default_source=info.default_source_name or "",
        sinks=tuple(map(_endpoint, sinks.values())),
        sources=tuple(map(_endpoint, sources.values())),
        playing=tuple(
            _stream(one, sinks.get(one.sink), one.resample_method)
            for one in server.sink_input_list()
        ),
        recording=tuple(
            _stream(one, sources.get(one.source), one.resample_method)
            for one in server.source_output_list()
        ),
        modules=tuple(_modules(server.module_list())),
    )


def _endpoint(one: Any) -> Endpoint:
    properties = one.proplist
    card = getattr(one, "card", _NONE)
    serial = properties.get("device.serial", "")
    return Endpoint(
        index=one.index,
        name=one.name,
        description=one.description or one.name,
        monitor_of=getattr(one, "monitor_of_sink_name", None) or "",
        module=_index(one.owner_module),
        hardware=serial if card in (_NONE, None) else f"card {card}",
        form_factor=properties.get("device.form_factor", properties.get("device.form-factor", "")),
        bus=properties.get("device.bus", ""),
    )


def _stream(one: Any, device: Any, resampler: str | None) -> Stream:
    properties = one.proplist
    pid = str(properties.get("application.process.id", ""))
    name = properties.get("application.name") or properties.get("media.name") or "a program"
    return Stream(
        index=one.index,
        device=device.name if device is not None else "",
        application=name,
        pid=int(pid) if pid.isdecimal() else None,
        module=_index(one.owner_module),
        meter=resampler == "peaks" or properties.get("media.name") == "Peak detect",
    )


def _index(index: int | None) -> int | None:
    return None if index in (None, _NONE) else index


def _modules(modules: Iterable[Any]) -> Iterator[Module]:
    for module in modules:
        yield Module(module.index, module.name, module_arguments(module.argument))
