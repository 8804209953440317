"""The sound server (PulseAudio or PipeWire's pulse server): connections to it, and its devices."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vad_agent.audio.devices import Device
from vad_agent.errors import DeviceError

NO_SERVER = (
    "no sound server answers: log in to the desktop, or start it: systemctl --user start "
    "pipewire-pulse wireplumber (PulseAudio: pulseaudio --start)"
)
HOST = "PulseAudio"


def pulse_devices() -> list[Device]:
    """The server's sources and sinks; none without libpulse or a server."""
    connection = connect("vad-agent devices")
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
    except server_errors():
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


def libpulse() -> Any:
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


def connect(name: str) -> Any:
    """A connection, or None. Never starts a server. libpulse gives up a hanging one after 30 s."""
    if (pulsectl := libpulse()) is None:
        return None
    connection = pulsectl.Pulse(name, connect=False)
    try:
        connection.connect(autospawn=False)  # its own `timeout` is always waited out
    except server_errors():
        connection.close()
        return None
    return connection


@contextlib.contextmanager
def server_connection(name: str) -> Iterator[Any]:
    """A connection to the sound server, as pulsectl's `Pulse`. `name`: what the server calls us.

    Raises:
        DeviceError: no sound server answers, or it went away or refused a request in the block.
    """
    if (connection := connect(name)) is None:
        raise DeviceError(NO_SERVER)
    try:
        yield connection
    except server_errors() as error:
        why = " ".join(str(error).split())
        raise DeviceError(f"the sound server refused a request, or went away: {why}") from error
    finally:
        connection.close()


def server_answers() -> bool:
    """A sound server answers, or this system has none that could (no Linux, no libpulse)."""
    if libpulse() is None:
        return True
    if (connection := connect("vad-agent")) is None:
        return False
    connection.close()
    return True


def server_errors() -> tuple[type[Exception], ...]:
    """All exceptions of a server that disappears during a request."""
    pulsectl = libpulse()
    raised = (pulsectl.PulseError, pulsectl.PulseDisconnected, OSError)
    return (*raised, pulsectl._pulsectl.LibPulse.CallError)
