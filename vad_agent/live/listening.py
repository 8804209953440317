"""Puts the live parts together: devices, desk, voice, surface, outlets; starts them, ends them in order.

    listen ─┬─ devices listed (a process) ┐
            ├─ settings, desk (imports)   ├─> headset, players ─> loop (a thread) ─> until quit
            └─ phrases (background)       ┘        keys, inlet ─> loop ─> trace, record, hooks, status
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import FrameType

from rich.console import Console

from vad_agent.core.frames import Channel
from vad_agent.live.devices_of import Chosen, choose
from vad_agent.live.options import Options
from vad_agent.live.status import Command, Status
from vad_agent.settings import Settings
from vad_agent.sources.devices import list_devices

QUIT_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


def listen(options: Options, console: Console) -> None:
    """Until the operator quits.

    Raises:
        DeviceError: a device is not there, or ambiguous.
        SettingsError: the script is wrong.
        OutputError: the trace, or the folder of recordings, cannot be written.
    """
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(list_devices)
        settings = Settings() if options.script is None else Settings.load(options.script)
        from vad_agent.live.assembly import Assembly  # numbers and models, while devices are listed

        chosen = choose(options, listed.result())
    with ExitStack() as stack:
        assembly = Assembly(options, settings, chosen)
        stack.callback(assembly.close)
