"""The virtual microphone: what the softphone records in place of the headset's microphone.

    phrases ────────────────> sink SINK ──monitor──> source SOURCE ──> softphone
    microphone ──loopback──────┘

Three modules of the sound server (PulseAudio, or PipeWire's pulse server). `ensure` makes what is
missing, so it may be called at any time; `remove` removes all parts. They last until the server
ends; `vad_agent.audio.server_startup` makes them permanent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vad_agent.audio.pulse_server import server_connection
from vad_agent.audio.sound_graph import Module, SoundGraph, Stream, graph_of
from vad_agent.errors import DeviceError

SINK = "virtmic"
SOURCE = "vmic"
SINK_TITLE = "vad-agent phrases"
SOURCE_TITLE = "vad-agent microphone"
LOOPBACK = "module-loopback"
LATENCY_MS = 20
NAME = "vad-agent setup"


@dataclass(frozen=True, slots=True)
class Part:
    """A module of the virtual microphone."""

    module: str
    arguments: str
    title: str
    """A description for the user."""


def parts(microphone: str) -> tuple[Part, Part, Part]:
    """All parts, in the order of loading. `microphone`: the source with the operator's voice."""
    return (
        Part(
            "module-null-sink",
            f"sink_name={SINK} rate=48000 channels=1 sink_properties={_title(SINK_TITLE)}",
            "the sink of phrases",
        ),
        Part(
            "module-remap-source",
            f"source_name={SOURCE} master={SINK}.monitor channels=1 source_properties={_title(SOURCE_TITLE)}",
            f"the microphone «{SOURCE_TITLE}»",
        ),
        # dont_move: the server would take another microphone, or play the voice into the headset.
        Part(
            LOOPBACK,
            f"source={microphone} sink={SINK} channels=1 latency_msec={LATENCY_MS} "
            "source_dont_move=true sink_dont_move=true",
            "your voice in it",
        ),
    )


def _title(text: str) -> str:
    """Quoted for both servers: PipeWire's parser takes no escaped spaces."""
    return f"\"device.description='{text}'\""


def missing(graph: SoundGraph, microphone: str) -> list[Part]:
    """The parts that are not there."""
    sink, source, voice = parts(microphone)
    absent = []
    if graph.sink(SINK) is None:
        absent.append(sink)
    if graph.source(SOURCE) is None:
        absent.append(source)
    if not any(_voice_of(module) == microphone for module in _loopbacks(graph)):
        absent.append(voice)
    return absent


def _loopbacks(graph: SoundGraph) -> Iterator[Module]:
    """The modules that play a source into SINK."""
    for module in graph.modules:
        if module.name == LOOPBACK and module.arguments.get("sink") == SINK:
            yield module


def _voice_of(module: Module) -> str:
    return module.arguments.get("source", "")


def ensure(microphone: str) -> list[Part]:
    """Make what is missing; return it. Another microphone's voice is taken out of the sink.

    The default sink stays as it is.

    Raises:
        DeviceError: no sound server answers, or it does not load a module.
    """
    with server_connection(NAME) as server:
        graph = graph_of(server)
        if graph.source(microphone) is None:
            raise DeviceError(f"the microphone {microphone} is not there: plug the headset in")
        for module in _loopbacks(graph):
            if _voice_of(module) != microphone:
                server.module_unload(module.index)
        made = missing(graph, microphone)
        for part in made:
            _load(server, part)
        if made and server.server_info().default_sink_name != graph.default_sink:
            server.default_set(server.get_sink_by_name(graph.default_sink))
        return made


def _load(server: Any, part: Part) -> None:
    try:
        server.module_load(part.module, part.arguments)
    except _refused() as error:
        raise DeviceError(
            f"{part.title} cannot be made: the sound server does not load {part.module} "
            f"{part.arguments}: see its log (journalctl --user)"
        ) from error


def _refused() -> type[Exception]:
    from pulsectl import PulseOperationFailed  # type: ignore[import-untyped]

    refused: type[Exception] = PulseOperationFailed
    return refused


def remove(default: str | None) -> bool:
    """Unload all parts, also those made by hand with the same names. False: none was there.

    `default`: the source that becomes the default one again; programs that record the virtual
    microphone record it, too.

    Raises:
        DeviceError: no sound server answers.
    """
    with server_connection(NAME) as server:
        graph = graph_of(server)
        if (before := graph.source(default or "")) is not None:
            if graph.default_source == SOURCE:
                server.default_set(server.get_source_by_name(before.name))
            for stream in graph.recorders(SOURCE):
                with suppress(_refused()):
                    server.source_output_move(stream.index, before.index)
        made = list(_loopbacks(graph))
        made += [one for one in graph.modules if one.arguments.get("source_name") == SOURCE]
        made += [one for one in graph.modules if one.arguments.get("sink_name") == SINK]
        for module in made:
            server.module_unload(module.index)
        return bool(made)


def use_as_default() -> str:
    """Let programs that record the default microphone record the virtual one.

    Return the default source before. Raises DeviceError.
    """
    with server_connection(NAME) as server:
        before = str(server.server_info().default_source_name or "")
        if before != SOURCE:
            server.default_set(server.get_source_by_name(SOURCE))
        return before


def move_recording(stream: Stream, source: str) -> None:
    """Let a program's stream record this source. Raises DeviceError."""
    with server_connection(NAME) as server:
        server.source_output_move(stream.index, server.get_source_by_name(source).index)
