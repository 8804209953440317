"""Keeps each stream on its device, because a sound server may silently move it to another one.

A stream of ours that was moved is closed: its device counts as lost until the worker finds it again
by name. Devices that were not named follow the server's defaults, like other programs on the desktop.

The client's device follows the softphone: if its stream is moved to another sink, that sink's monitor
is captured (`client_device_follower.py`). A softphone that does not play anywhere has ended its call.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from vad_agent.audio.device_recovery import AudioWorker
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.pulse_watch import PulseWatch
from vad_agent.audio.sound_graph import SoundGraph
from vad_agent.client.headset_protocol import Command
from vad_agent.headset.client_device_follower import ClientDeviceFollower


class HeldStream(Protocol):
    """A device that is held open."""

    device: Device
    pid: int | None
    child: AudioWorker
    role: DeviceRole

    def move(self, device: Device) -> None:
        """Hold this device instead."""


class StreamWatchdog:
    """Monitors the held streams. `held`: called anew each time; `followed`: roles whose device was
    not named; `client`: the client's device; `prompt`: name of the device that plays into the call.

    `put` is called with LINE_USED, LINE_UNUSED and OUTPUTS_CHANGED. `moved` is called with the
    client's new device, and with whether it can be captured: it cannot if it is `prompt`.
    """

    def __init__(
        self,
        held: Callable[[], Iterable[HeldStream]],
        followed: frozenset[DeviceRole],
        client: Device,
        prompt: str | None,
        *,
        put: Callable[[Command], None],
        moved: Callable[[Device, bool], None],
    ) -> None:
        self._held = held
        self._followed = followed
        self._client = client
        self._put = put
        self._moved = moved
        self._used = False
        self._barred = ""
        self._softphone: ClientDeviceFollower | None = None
        """None: the client's device is not what a sink plays, so there is no sink to follow."""
        if DeviceRole.CLIENT in followed or client.name == f"{client.plays}.monitor":
            named = None if DeviceRole.CLIENT in followed else client.plays
            self._softphone = ClientDeviceFollower(named, frozenset({prompt} if prompt else ()))
        self._watch = PulseWatch(self._look)

    def start(self) -> None:
        """Start; without a sound server that moves streams, do nothing."""
        self._watch.start()

    def close(self) -> None:
        """Stop."""
        self._watch.close()

    def _look(self) -> None:
        """Check the streams: the server has reported a change. Runs in the monitor's thread."""
        graph = self._watch.graph
        if graph is None:
            if self._softphone is not None:
                self._softphone.gone()
            self._put(Command.OUTPUTS_CHANGED)
            return
        for held in self._held():
            device = held.device
            if device.backend != "pulse":
                continue
            wanted = self._wanted(held, graph)
            if wanted.name != device.name:
                held.move(wanted)
                if held.role is DeviceRole.CLIENT:
                    self._moved(wanted, True)
            elif held.pid is not None and self._watch.where(held.pid) not in (None, device.name):
                held.child.restart()

    def _wanted(self, held: HeldStream, graph: SoundGraph) -> Device:
        """The device that it should hold now."""
        device, name, sink = held.device, None, ""
        if held.role is DeviceRole.CLIENT:
            if self._softphone is not None:
                sink = self._follow(self._softphone, device, graph)
                name = graph.monitors.get(sink)
        elif held.role in self._followed:
            name = self._watch.default(held.role)
        if name is None or name == device.name:
            return device
        found = graph.sink(sink) or graph.source(name) or graph.sink(name)
        description = found.description if found is not None else ""
        return dataclasses.replace(device, name=name, plays=sink, description=description)

    def _follow(self, softphone: ClientDeviceFollower, device: Device, graph: SoundGraph) -> str:
        """The sink to capture."""
        place = softphone.look(graph, time.monotonic())
        if place.changed:
            self._put(Command.OUTPUTS_CHANGED)
        if place.used != self._used:
            self._used = place.used
            self._put(Command.LINE_USED if place.used else Command.LINE_UNUSED)
        if place.barred and place.barred != self._barred:
            self._moved(device, False)
        self._barred = place.barred
        return place.sink
