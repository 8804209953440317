"""Worker process that lists all audio devices as JSON on stdout: {"problem": text or null,
"devices": […]}.

python -m vad_agent.audio.device_list_worker
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vad_agent.audio.devices import Device
from vad_agent.audio.pulse_server import pulse_devices
from vad_agent.audio.wasapi_loopback import loopback_devices

CLOCKLESS = frozenset({"null", "file", "tee", "shm"})
"""ALSA devices without a clock: they run as fast as they are read, thousands of times faster than sound."""
CONVERTERS = frozenset(
    {"hw", "plughw", "plug", "dmix", "dsnoop", "dshare", "samplerate", "speexrate", "lavrate"}
    | {"upmix", "vdownmix", "speex", "rate_convert", "jack", "oss", "a52", "usbstream"}
)
"""ALSA's plugins: another path to the default device, or to none."""
DOORS = frozenset({"pulse", "default", "pipewire"})
"""ALSA's aliases of the sound server's defaults, hidden if the server's own devices are listed."""


def portaudio_devices(
    devices: Sequence[Mapping[str, Any]], hosts: Sequence[Mapping[str, Any]], *, server: bool
) -> list[Device]:
    """PortAudio's devices without misleading ones.

    `server`: a sound server's own devices are listed too.
    """
    found = []
    for index, device in enumerate(devices):
        host, name = hosts[device["hostapi"]], str(device["name"])
        if host["name"] == "ALSA":
            plugin = name.partition(":")[0]
            if plugin in CLOCKLESS | CONVERTERS or (server and plugin in DOORS):
                continue
        defaults = (host["default_input_device"], host["default_output_device"])
        found.append(
            Device(
                name=name,
                backend="portaudio",
                host=host["name"],
                index=index,
                inputs=device["max_input_channels"],
                outputs=device["max_output_channels"],
                rate=round(device["default_samplerate"]),
                loopback=False,
                default=index in defaults,
            )
        )
    return found


def all_devices() -> list[Device]:
    """The devices of all backends.

    Raises:
        OSError: PortAudio's library is not installed.
    """
    import sounddevice  # type: ignore[import-untyped]

    of_server = pulse_devices() if sys.platform == "linux" else []
    of_portaudio = portaudio_devices(
        sounddevice.query_devices(), sounddevice.query_hostapis(), server=bool(of_server)
    )
    loopbacks = loopback_devices() if sys.platform == "win32" else []
    return of_server + of_portaudio + loopbacks


def no_portaudio(platform: str) -> str:
    """What to do if the library is missing."""
    if platform == "linux":
        what = "apt-get install libportaudio2 libpulse0, or your system's packages of PortAudio"
    else:
        what = "pip install --force-reinstall sounddevice, whose wheel has it"
    return f"PortAudio is not installed: {what}"


def main() -> None:
    """Print the list."""
    problem, devices = None, []
    try:
        devices = [device.record() for device in all_devices()]
    except OSError as error:
        if "PortAudio" not in str(error):
            raise
        problem = no_portaudio(sys.platform)
    json.dump({"problem": problem, "devices": devices}, sys.stdout)


if __name__ == "__main__":
    main()
