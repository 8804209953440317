"""`listen --check`: each finding a line, as it is made."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from vad_agent.audio.devices import Device, list_devices
from vad_agent.core.frames import Channel
from vad_agent.live.check import Finding, check_prompt, check_side
from vad_agent.live.chosen import Chosen, choose
from vad_agent.live.options import Options


def check_all(options: Options, console: Console) -> bool:
    """Print what was found. True: all is well.

    Raises:
        DeviceError: a device is not there, or ambiguous.
    """
    devices = list_devices()
    chosen = choose(options, devices)
    good = True
    for finding in findings(chosen, devices):
        good = good and finding.good
        mark, style = ("✓", "green") if finding.good else ("✗", "bold red")
        fix = f": {finding.fix}" if finding.fix else ""
        console.print(Text(f"{mark} {finding.path}: {finding.text}{fix}", style), soft_wrap=True)
    return good


def findings(chosen: Chosen, devices: list[Device]) -> Iterator[Finding]:
    """All that is tried, in order."""
    yield from check_side(Channel.CLIENT, chosen.client)
    yield from check_side(Channel.OPERATOR, chosen.operator)
    if chosen.prompt is not None:
        yield from check_prompt(chosen.prompt, _monitor(chosen.prompt, devices))


def _monitor(output: Device, devices: list[Device]) -> Device | None:
    """What captures what this output plays, where there is such a thing."""
    for device in devices:
        if device.inputs and device.plays == output.name:
            return device
    return None
