"""Common parts of the audio workers: opening their device, ending with their parent, their clock.

A worker holds one stream and nothing else. A lost device, a restart of PortAudio (which ends every
stream of its process) and a crash of a driver therefore affect only that stream. The worker reports
its problem in one record and ends; the parent starts the next one.
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

LOST_S = 0.6
"""Seconds without a callback after which the device is lost."""
FIRST_S = 5.0
"""Seconds for the first callback: an idle monitor needs 1 to 2."""
LONGEST_LATENCY_S = 1.0
GONE, WRONG = 3, 2
"""Exit status: the device was open and is gone; it cannot be opened."""
OUT = 1


class NoDevice(Exception):
    """The device is missing or cannot be opened; the text says why."""


def parent_stdin(command: Callable[[], bool] | None = None) -> None:
    """In a thread: run `command()` while it returns true; at the end of stdin the worker ends with
    its parent.
    """

    def watch() -> None:
        if command is None:
            while os.read(0, 4096):
                pass
        else:
            while command():
                pass
        os._exit(0)  # without PortAudio's own shutdown, which may hang on a dead server

    threading.Thread(target=watch, name="parent", daemon=True).start()


def run(main: Callable[[dict[str, Any]], None]) -> None:
    """Run a worker: ignores Ctrl-C (the parent ends it), and reports every error in a record."""
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
    """PortAudio's module and the index of the device in the spec. `side`: source or sink.

    Raises:
        NoDevice: it is not there now.
    """
    if spec["backend"] == "pulse":
        # The ALSA plugin reads it at each opening. This process has one stream, so it affects only
        # that.
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
    """Windows' own resampler, if the host has one."""
    if spec.get("host") == "Windows WASAPI":
        return sounddevice.WasapiSettings(auto_convert=True)
    return None


def best_format(
    sounddevice: ModuleType, check: Callable[..., None], rates: Sequence[int], **stream: Any
) -> tuple[int, int]:
    """(rate in Hz, channels): the first format that the device accepts.

    `check`: sounddevice's `check_input_settings` or `check_output_settings`. `stream`: further
    arguments of the stream.

    Raises:
        NoDevice: it accepts none.
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
    """Report to the parent that the stream is open, its rate (Hz), and this process's id."""
    about = {"rate": rate, "channels": channels, "latency_s": latency_s, "pid": os.getpid()}
    write_json(OUT, time.perf_counter(), Flag.OPENED, about)


def sane(latency_s: float, otherwise: float) -> float:
    """The driver's latency, or `otherwise` if it is impossible."""
    return latency_s if 0 <= latency_s <= LONGEST_LATENCY_S else otherwise
