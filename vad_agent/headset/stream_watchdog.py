"""Keeps each stream on the device it was opened on, where a sound server would move it silently.

It also sees whether anybody plays into the client's device: a softphone that does no more has ended its call.

A stream that was moved is closed: its device is lost, until the child finds it again by its name. Devices
that were not named follow the server's defaults, as everything else on the desktop does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Protocol

from vad_agent.audio.device_recovery import AudioWorker
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.pulse_server import PulseWatch


class HeldStream(Protocol):
    """A device that somebody holds open."""

    device: Device
    pid: int | None
    child: AudioWorker
    role: DeviceRole

    def move(self, device: Device) -> None:
        """Hold this one instead."""


class StreamWatchdog:
    """Watches what is held. `held`: asked anew each time; `followed`: roles whose device was not named;
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
        """Begin; without a sound server that moves streams nothing happens."""
        self._watch.start()

    def close(self) -> None:
        """End."""
        self._watch.close()

    def _look(self) -> None:
        """In the watch's thread: something has changed on the server."""
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
        """Whose sound the default of this role gives."""
        return (self._watch.default(DeviceRole.MONITOR) or "") if role is DeviceRole.CLIENT else ""

    def _note_use(self, used: bool) -> None:
        before, self._used = self._used, used
        if before and not used:
            self._unused()
