"""What the audio children share: the device they are told of, the parent they end with, their time.

A child holds one stream and nothing else, so that a device's loss, a new start of PortAudio (it ends every
stream of its process) and a crash of a driver stay its own. It says what is wrong in one record and ends;
the parent starts the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from vad_agent.audio.ipc_framing import Flag, write_json, write_record

FRAME_S = 0.02
LOST_S = 0.6
"""No callback for so long: the device is lost."""
FIRST_S = 5.0
"""The first callback may take so long: an idle monitor's comes after 1 to 2 s."""
LONGEST_LATENCY_S = 1.0
GONE, WRONG = 3, 2
"""Exit status: it was open and is gone; it cannot be opened."""
OUT = 1


class NoDevice(Exception):
    """The device is not there, or cannot be opened; the text says why."""


def parent_stdin(command: Callable[[], bool] | None = None) -> None:
    """In a thread: `command()` for as long as it is true; at stdin's end the child ends with its parent."""

    def watch() -> None:
        if command is None:
            while os.read(0, 4096):
                pass
        else:
            while command():
                pass
        os._exit(0)  # streams are the parent's wish; PortAudio's own end may hang on a dead server

    threading.Thread(target=watch, name="parent", daemon=True).start()


def run(main: Callable[[dict[str, Any]], None]) -> None:
    """The child's main: ignores Ctrl-C (the parent ends it), tells every error in a record."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        main(json.loads(sys.argv[1]))
    except NoDevice as error:
        _fail(str(error), WRONG)
    except Exception as error:
        _fail(f"{type(error).__name__}: {error}", WRONG)
    _fail("no more sound came", GONE)


def _fail(why: str, status: int) -> None:
    with contextlib.suppress(OSError):
        write_record(OUT, time.perf_counter(), Flag.FAILED, " ".join(why.split()).encode())
    os._exit(status)


def portaudio(spec: dict[str, Any], side: str) -> tuple[ModuleType, int]:
    """PortAudio's module and the index of the device that the spec names; `side`: source or sink.

    Raises:
        NoDevice: it is not there now.
    """
    if spec["backend"] == "pulse":
        # Read by the ALSA plugin at each opening; a process of its own, so it names this stream alone.
        os.environ[f"PULSE_{side.upper()}"] = spec["name"]
        os.environ["PULSE_PROP_OVERRIDE"] = f"application.name='vad-agent {spec['role']}'"
    import sounddevice  # type: ignore[import-untyped]

    hosts = sounddevice.query_hostapis()
    want = ("pulse", "ALSA") if spec["backend"] == "pulse" else (spec["name"], spec["host"])
    for index, device in enumerate(sounddevice.query_devices()):
        if (device["name"], hosts[device["hostapi"]]["name"]) == want:
            return sounddevice, index
    if spec["backend"] == "pulse":
        raise NoDevice("PortAudio has no device 'pulse': install libasound2-plugins")
    raise NoDevice(f"{spec['name']} ({spec['host']}) is not there")


def settings_for(sounddevice: ModuleType, spec: dict[str, Any]) -> Any:
    """Windows' own resampler, where the host has one."""
    if spec.get("host") == "Windows WASAPI":
        return sounddevice.WasapiSettings(auto_convert=True)
    return None


def best_format(
    sounddevice: ModuleType, check: Callable[..., None], rates: Sequence[int], **stream: Any
) -> tuple[int, int]:
    """(rate in Hz, channels): the first that the device takes.

    `check`: sounddevice's `check_input_settings` or `check_output_settings`; `stream`: what else the
    stream is opened with.

    Raises:
        NoDevice: it takes none.
    """
    why: Exception | None = None
    for channels in (1, 2):
        for rate in rates:
            try:
                check(samplerate=rate, channels=channels, **stream)
            except sounddevice.PortAudioError as refused:
                why = why or refused
            else:
                return rate, channels
    raise NoDevice(f"cannot be opened: {why}")


def tell_open(rate: int, channels: int, latency_s: float) -> None:
    """The stream is open: the parent is told at which rate (Hz), and who holds it."""
    about = {"rate": rate, "channels": channels, "latency_s": latency_s, "pid": os.getpid()}
    write_json(OUT, time.perf_counter(), Flag.OPENED, about)


def sane(latency_s: float, otherwise: float) -> float:
    """A latency as the driver tells it, unless it cannot be."""
    return latency_s if 0 <= latency_s <= LONGEST_LATENCY_S else otherwise
