"""Keeps each stream on its device, because a sound server may silently move it to another one.

It also detects whether anybody plays into the client's device: a softphone that stops has ended its
call.

A stream that was moved is closed: its device counts as lost until the worker finds it again by
name. Devices that were not named follow the server's defaults, like other programs on the desktop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Protocol

from vad_agent.audio.device_recovery import AudioWorker
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.pulse_server import PulseWatch


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
    not named.

    `unused` is called when nobody plays into the client's device any more.
    """

    def __init__(
        self,
        held: Callable[[], Iterable[HeldStream]],
        followed: frozenset[DeviceRole],
        unused: Callable[[], None] = lambda: None,
    ) -> None:
        self._held = held
        self._followed = followed
        self._unused = unused
        self._used = False
        self._watch = PulseWatch(self._look)

    def start(self) -> None:
        """Start; without a sound server that moves streams, do nothing."""
        self._watch.start()

    def close(self) -> None:
        """Stop."""
        self._watch.close()

    def _look(self) -> None:
        """Check the streams: the server has reported a change. Runs in the monitor's thread."""
        if not self._watch.connected:
            return
        ours = {held.pid for held in self._held()}
        for held in self._held():
            device = held.device
            if device.backend != "pulse":
                continue
            if held.role is DeviceRole.CLIENT and device.plays:
                self._note_use(bool(self._watch.players(device.plays) - ours))
            wanted = self._watch.default(held.role) if held.role in self._followed else None
            if wanted is not None and wanted != device.name:
                held.move(
                    dataclasses.replace(
                        device, name=wanted, plays=self._sink(held.role), description=""
                    )
                )
            elif held.pid is not None and self._watch.where(held.pid) not in (None, device.name):
                held.child.restart()

    def _sink(self, role: DeviceRole) -> str:
        """The sink whose sound this role's default device captures."""
        return (self._watch.default(DeviceRole.MONITOR) or "") if role is DeviceRole.CLIENT else ""

    def _note_use(self, used: bool) -> None:
        before, self._used = self._used, used
        if before and not used:
            self._unused()
