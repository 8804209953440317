"""`vad-agent listen`, from its start to its end: the loop in a thread, keys and screen in this one.

listen ─┬─ list the devices (a process) ┐
        ├─ settings, imports            ├─> assembly ─> devices open ─> loop ─> quit, Ctrl-C ─> close
        └───────────────────────────────┘
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from vad_agent.live.chosen import choose
from vad_agent.live.options import Options
from vad_agent.settings import Settings
from vad_agent.sources.devices import list_devices

if TYPE_CHECKING:
    from vad_agent.live.assembly import Assembly

QUIT_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SWITCH_S = 0.0002
"""A thread that computes gives the interpreter away so soon: a question to the judge asks for it two dozen
times, and Python's own 5 ms each would be a frame's time six times over."""
LOOK_S = 0.2
LAST_WORD_S = 3.0
IMPATIENT = 3
"""Signals after which it ends at once, whatever the loop is at."""


def listen(options: Options, console: Console) -> None:
    """Until the operator quits.

    Raises:
        DeviceError: a device is not there, or ambiguous.
        SettingsError: the script, or a hook, is wrong.
        OutputError: the trace, a recording or the socket cannot be made.
    """
    sys.setswitchinterval(SWITCH_S)
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(list_devices)
        settings = Settings() if options.script is None else Settings.load(options.script)
        from vad_agent.live.assembly import Assembly  # numbers and models, while devices are listed

        chosen = choose(options, listed.result())
    for role, device in chosen.rows():
        console.print(f"{role:<9} {device}", soft_wrap=True)
    assembly = Assembly(options, settings, chosen)
    console.print(f"trace     {assembly.trace_path}", soft_wrap=True)
    failures: list[BaseException] = []
    try:
        assembly.start()
        with _quitting(assembly), _shown(assembly, options, console):
            _run(assembly, failures)
    finally:
        assembly.close()
    if failures:
        raise failures[0]


def _run(assembly: Assembly, failures: list[BaseException]) -> None:
    """The loop in its thread, so that no signal ends it in the middle of a frame."""

    def run() -> None:
        try:
            assembly.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="loop")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(LOOK_S)  # signals are handled in between
    finally:
        assembly.quit()
        thread.join(LAST_WORD_S)


@contextmanager
def _quitting(assembly: Assembly) -> Iterator[None]:
    """Ctrl-C and the like end the loop, after the frame that it is at."""

    asked = 0

    def quit(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked >= IMPATIENT:
            raise KeyboardInterrupt
        threading.Thread(target=assembly.quit, daemon=True).start()  # the inbox has a lock

    before = {}
    for name in QUIT_SIGNALS:
        if (number := getattr(signal, name, None)) is not None:
            before[number] = signal.signal(number, quit)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(assembly: Assembly, options: Options, console: Console) -> Iterator[None]:
    """The screen and the keys."""
    from vad_agent.live.keyboard import Keyboard
    from vad_agent.live.keys import Keys
    from vad_agent.live.surface import Surface

    keys = Keys(assembly.status, lambda: datetime.now().astimezone())

    def press(key: str) -> None:
        for sent in keys.press(key):
            assembly.press(sent)

    with ExitStack() as stack:
        keyboard = Keyboard(press)
        if options.plain:
            console = Console(file=sys.stdout, force_terminal=False, markup=False, highlight=False)
        typing = keyboard.available and options.events != "-"
        stack.enter_context(Surface(assembly.status, console, keys if typing else None))
        if typing:
            stack.enter_context(keyboard)
        yield
