"""Resolves the devices given to `listen` among the available ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vad_agent.audio.devices import Device, DeviceRole, find_device
from vad_agent.audio.pulse_server import NO_SERVER, server_answers
from vad_agent.errors import DeviceError
from vad_agent.headset.options import Options
from vad_agent.headset.saved_options import options_path


@dataclass(frozen=True, slots=True)
class SelectedDevices:
    """The devices of a headset."""

    operator: Device
    client: Device
    prompt: Device | None
    """None: nothing is played into the call, prompts are shown."""
    monitor: Device | None

    @property
    def echo_source(self) -> DeviceRole | None:
        """The device by which our prompts also enter the client's channel."""
        for role, device in ((DeviceRole.PROMPT, self.prompt), (DeviceRole.MONITOR, self.monitor)):
            if device is not None and device.name == self.client.plays:
                return role
        return None

    def rows(self) -> list[tuple[str, str]]:
        """(role, device as the desktop calls it) for each, for display."""
        named = {
            DeviceRole.CLIENT: self.client,
            DeviceRole.OPERATOR: self.operator,
            DeviceRole.PROMPT: self.prompt,
            DeviceRole.MONITOR: self.monitor,
        }
        return [(role.value, device.title) for role, device in named.items() if device is not None]


def select_devices(options: Options, devices: Sequence[Device]) -> SelectedDevices:
    """Find each device.

    Raises:
        DeviceError: a device is missing or ambiguous, no sound server answers, or prompts must be
            played and no device is given.
    """
    try:
        return _selected(options, devices)
    except DeviceError as error:
        of_server = any(device.backend == "pulse" for device in devices)
        if not of_server and not server_answers():
            raise DeviceError(NO_SERVER) from error
        if any(str(error).startswith(f"--{role}-device ") for role in options.saved):
            remedy = "plug it in, or choose anew: vad-agent setup"
            raise DeviceError(f"{error}; it is saved in {options_path()}: {remedy}") from error
        raise


def _selected(options: Options, devices: Sequence[Device]) -> SelectedDevices:
    prompt = monitor = None
    if options.mode == "auto":
        if options.prompt is None:
            raise DeviceError(
                "--prompt-device: expected the output that plays into the call, such as a virtual "
                "microphone's sink (vad-agent setup makes one); without one: --mode cue"
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
