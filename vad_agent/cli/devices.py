"""`vad-agent devices`: lists devices and their roles, and explains how to capture the client's side."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.terminal import plain_console, print_table
from vad_agent.errors import install_extra

if TYPE_CHECKING:
    from vad_agent.audio.devices import Device

COLUMNS = ("client", "operator", "prompt")

LINUX = """\
The client's side is the monitor of the sink that the softphone plays to: NAME.monitor, or the sink's own
name. Nothing need be installed; the default is the default sink's monitor.

The phrases reach the client through a virtual microphone: a sink that we play to, and a source made of it
that the softphone takes for its microphone. It is made, with the settings for listen, by:
  vad-agent setup
By hand, until the sound server ends:
  pactl load-module module-null-sink sink_name=virtmic
  pactl load-module module-remap-source source_name=vmic master=virtmic.monitor
The operator's own voice belongs in there too; MIC is the name of his microphone in the table:
  pactl load-module module-loopback source=MIC sink=virtmic latency_msec=20 \\
      source_dont_move=true sink_dont_move=true
Then choose vmic in the softphone, and: vad-agent listen --operator-device MIC --prompt-device virtmic"""

WINDOWS = f"""\
(Not tried on Windows.)
The client's side is what the headset plays. This lists it (WASAPI loopback by SoundCard):
  {install_extra("loopback")}
Or let the softphone play into a virtual cable (VB-CABLE) and name its output here.

The phrases reach the client through a virtual cable: --prompt-device "CABLE Input", and "CABLE Output" as the
softphone's microphone. The operator's own voice goes in there by the microphone's properties: Listen to this
device, through CABLE Input."""

MACOS = """\
(Not tried on macOS.)
The client's side: install BlackHole, let the softphone play to a Multi-Output Device of the headset and
BlackHole (Audio MIDI Setup), then --client-device BlackHole. Allow the terminal the microphone: without the
permission all that is heard is exactly zero.

The phrases reach the client through a second BlackHole (16ch beside 2ch): --prompt-device names it, the
softphone takes it for its microphone. The operator's own voice goes in there by an Aggregate Device."""


def devices(
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON: a list with one object per device.")
    ] = False,
) -> None:
    """List the audio devices, their roles, and how to capture the client's side on this system.

    listen takes a device's name, a part of its name or description, or PortAudio's number.

    For the client's side the name of a sink means its monitor.

    \b
    All devices:
      vad-agent devices
    The names of devices that capture the client's side:
      vad-agent devices --json | jq -r '.[] | select(.loopback).name'
    """
    from vad_agent.audio.devices import list_devices

    found = list_devices()
    if as_json:
        lines = [json.dumps(_record(device), ensure_ascii=False) for device in found]
        print("[" + ",\n ".join(lines) + "]")
        return
    _print_table(found)
    if sys.platform == "linux" and not any(device.backend == "pulse" for device in found):
        from vad_agent.audio.pulse_server import NO_SERVER, server_answers

        if not server_answers():
            print(f"\n{NO_SERVER}")
    print()
    print(how_to(sys.platform))


def how_to(platform: str) -> str:
    """How to capture the client's side and play into the call on this system (as in `sys.platform`)."""
    return {"win32": WINDOWS, "darwin": MACOS}.get(platform, LINUX)


def _record(device: Device) -> dict[str, object]:
    return device.record() | {"roles": sorted(device.roles)}


def marks(device: Device) -> list[str]:
    """For each of COLUMNS: ✓ the device is intended for the role, "default" it is used if none is named."""
    from vad_agent.audio.devices import DeviceRole

    cells = []
    for role in map(DeviceRole, COLUMNS):
        mark = "✓" if role in device.roles else ""
        cells.append("default" if mark and device.is_default(role) else mark)
    return cells


def _print_table(found: Sequence[Device]) -> None:
    console = plain_console()
    if not found:
        console.print("no audio devices: is a sound card there?")
        return
    print_table(console, HEAD, [_row(device) for device in found])


HEAD = ("name", *COLUMNS, "no.", "host", "description")


def _row(device: Device) -> list[str]:
    number = "" if device.index is None else str(device.index)
    about = device.description
    if device.plays and not device.name.startswith(device.plays):  # not a sink's own monitor
        about = f"{about}: what {device.plays} gives"
    return [device.name, *marks(device), number, device.host, about]
