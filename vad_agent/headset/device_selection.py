"""Resolves the devices given to `listen` among the available ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vad_agent.audio.devices import Device, DeviceRole, find_device
from vad_agent.errors import DeviceError
from vad_agent.headset.options import Options


@dataclass(frozen=True, slots=True)
class SelectedDevices:
    """The devices of a headset."""

    operator: Device
    client: Device
    prompt: Device | None
    """None: nothing is played into the call, prompts are shown."""
    monitor: Device | None

    @property
    def heard_from(self) -> DeviceRole | None:
        """The device by which our prompts also enter the client's channel."""
        for role, device in ((DeviceRole.PROMPT, self.prompt), (DeviceRole.MONITOR, self.monitor)):
            if device is not None and device.name == self.client.plays:
                return role
        return None

    def rows(self) -> list[tuple[str, str]]:
        """(role, device) for each, for display."""
        named = {
            DeviceRole.CLIENT: self.client,
            DeviceRole.OPERATOR: self.operator,
            DeviceRole.PROMPT: self.prompt,
            DeviceRole.MONITOR: self.monitor,
        }
        return [(role.value, device.label) for role, device in named.items() if device is not None]


def select_devices(options: Options, devices: Sequence[Device]) -> SelectedDevices:
    """Find each device.

    Raises:
        DeviceError: a device is missing or ambiguous, or prompts must be played and no device is
            given.
    """
    prompt = monitor = None
    if options.mode == "auto":
        if options.prompt is None:
            raise DeviceError(
                "--prompt-device: expected the output that plays into the call, such as a virtual "
                "microphone's sink (vad-agent devices tells how to make one); without one: --mode cue"
            )
        prompt = find_device(options.prompt, DeviceRole.PROMPT, devices)
        if options.monitor is not None:
            monitor = find_device(options.monitor, DeviceRole.MONITOR, devices)
    return SelectedDevices(
        operator=find_device(options.operator, DeviceRole.OPERATOR, devices),
        client=find_device(options.client, DeviceRole.CLIENT, devices),
        prompt=prompt,
        monitor=monitor,
    )
