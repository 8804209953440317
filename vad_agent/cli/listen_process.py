"""Runs `vad-agent listen`: the loop in a thread, keys and screen in the main thread.

listen ─┬─ list the devices (a process) ┐
        ├─ settings, imports            ├─> composition ─> devices open ─> loop ─> quit, Ctrl-C ─> close
        └─ the panel's port, if asked ──┘
    the loop's status ─> publisher ─> the local panel, the desk
"""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from vad_agent.audio.devices import Device, DeviceRole, find_device, list_devices
from vad_agent.audio.virtual_microphone import ensure
from vad_agent.cli.terminal import tell_missing_detector
from vad_agent.common.identity import login
from vad_agent.common.writer_thread import WriterThread
from vad_agent.errors import DeviceError
from vad_agent.headset import messages_ru
from vad_agent.headset.device_selection import select_devices
from vad_agent.headset.options import Options
from vad_agent.script.settings import Settings

if TYPE_CHECKING:
    from vad_agent.client.headset_link import HeadsetLink
    from vad_agent.client.headset_protocol import StateReceiver
    from vad_agent.headset.composition import Composition
    from vad_agent.headset.status_publisher import StatusPublisher
    from vad_agent.web.operator_callbacks import CallbackSource
    from vad_agent.web.panel_server import PanelServer

QUIT_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SWITCH_S = 0.0002
"""Seconds after which a computing thread releases the interpreter.

The network releases and retakes it two dozen times per block; Python's default of 5 ms each would
take six frames.
"""
LOOK_S = 0.2
UNRUNG = "есть перезвоны, но сами они не звонят: запустите vad-agent serve"
LAST_WORD_S = 3.0
TERMINAL_S = 1.0
IMPATIENT = 3
"""Number of signals after which the process ends at once, whatever the loop is doing."""


def listen(options: Options, console: Console, remark: str = "") -> bool:
    """Run until the operator quits. `remark`: printed once the devices are found.

    Returns whether it was by Ctrl-C.

    Raises:
        DeviceError: a device is missing or ambiguous.
        SettingsError: the script, or a hook, is not valid.
        OutputError: the trace, a recording, the socket or the panel cannot be created.
        MissingExtra: the panel's packages are not installed.
    """
    sys.setswitchinterval(SWITCH_S)
    with ExitStack() as stack:
        return _listen(options, console, remark, stack)


def _listen(options: Options, console: Console, remark: str, stack: ExitStack) -> bool:
    panel = None
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(list_devices)
        settings = Settings() if options.script is None else Settings.load(options.script)
        from vad_agent.headset.composition import (
            Composition,  # numpy and models load while devices are listed
        )

        tell_missing_detector(settings)
        if options.panel:
            panel = _panel(options)
            stack.callback(panel.close)
        options, devices = _with_microphone(options, listed.result(), console)
        chosen = select_devices(options, devices)
    if remark:
        console.print(remark, soft_wrap=True)
    for role, device in chosen.rows():
        console.print(f"{role:<9} {device}", soft_wrap=True)
    composition = Composition(options, settings, chosen)
    console.print(f"trace     {composition.trace_path}", soft_wrap=True)
    if composition.event_token_path is not None:
        console.print(f"events    token in {composition.event_token_path}", soft_wrap=True)
    failures: list[BaseException] = []
    interrupted = threading.Event()
    try:
        states: list[StateReceiver] = [_desk_link(options, composition)]
        if panel is not None:
            panel.start(composition.report)
            states.append(panel.broker)
            composition.status.panel = panel.authenticator.link
            panel.authenticator.one_time.replaced = partial(_show_link, composition)
            console.print(f"panel     {panel.authenticator.link}", soft_wrap=True)
        publisher = _publisher(states, options, composition)
        composition.on_look(publisher.changed)
        stack.callback(publisher.stop)
        publisher.start()
        composition.start()
        with (
            _quitting(composition, interrupted),
            _shown(composition, options, console, interrupted),
        ):
            _run(composition, failures)
    finally:
        _say(console, composition.close())
    if failures:
        raise failures[0]
    return interrupted.is_set()


def _show_link(composition: Composition, link: str) -> None:
    """The panel's link was used, and there is another one."""
    composition.status.panel = link


def _with_microphone(
    options: Options, devices: list[Device], console: Console
) -> tuple[Options, list[Device]]:
    """Make our virtual microphone again if it is missing; without it the phrases are only shown."""
    if not options.keep_microphone:
        return options, devices
    try:
        operator = find_device(options.operator, DeviceRole.OPERATOR, devices)
        made = ensure(operator.name)
    except DeviceError as error:
        if any(device.name == options.prompt for device in devices):
            return options, devices
        console.print(f"no virtual microphone, so you say the phrases (cue mode): {error}")
        shown = dataclasses.replace(
            options, mode="cue", keep_microphone=False, no_voice=messages_ru.NO_MICROPHONE
        )
        return shown, devices
    if made:
        what = ", ".join(part.title for part in made)
        console.print(f"made again {what}", soft_wrap=True)
        devices = list_devices()
    return options, devices


def _say(console: Console, texts: Sequence[str]) -> None:
    """Print problems at the end; a blocked terminal must not keep the process alive."""
    writer: WriterThread[str] = WriterThread(
        "terminal",
        lambda text: console.print(text, soft_wrap=True, markup=False, highlight=False),
        most=len(texts),
    )
    for text in texts:
        writer.put(text)
    writer.close(TERMINAL_S)


def _panel(options: Options) -> PanelServer:
    """Take the panel's port. Callbacks are opened for each query, because a desk may come and go."""
    from vad_agent.server.backend_factory import open_backend
    from vad_agent.server.callback_list_cache import CallbackListCache
    from vad_agent.server.desk_config import DeskConfig
    from vad_agent.web.panel_server import PanelServer

    told = False
    store = None
    if options.desk is None and "://" not in (config := DeskConfig.load(None)).database:
        store = CallbackListCache(
            lambda: open_backend(None, None, panel.report), Path(config.database), config.inbox
        )

    @contextmanager
    def callbacks() -> Iterator[CallbackSource]:
        nonlocal told
        with (
            nullcontext(store)
            if store is not None and store.is_near()
            else open_backend(options.desk, None, panel.report)
        ) as found:
            # This process reads the messages now, so `OutboxMonitor` never sees one that waits for
            # a desk.
            if not (told or found.rings) and found.page("open", phone=None, operator=None, limit=1):
                told = True
                panel.report(UNRUNG)
            yield found

    panel = PanelServer(_operator(options), port=options.panel_port, callbacks=callbacks)
    return panel


def _desk_link(options: Options, composition: Composition) -> HeadsetLink:
    """The link that sends the status to the desk, whenever one runs."""
    from vad_agent.client.discovery import find_desk
    from vad_agent.client.headset_link import HeadsetLink

    return HeadsetLink(partial(find_desk, options.desk), composition.report, composition.admission)


def _publisher(
    states: Sequence[StateReceiver], options: Options, composition: Composition
) -> StatusPublisher:
    """Publishes the status to `states`, and passes the commands from there to the loop."""
    from vad_agent.headset.status_publisher import StatusPublisher

    return StatusPublisher(states, _operator(options), composition.status, composition.press)


def _operator(options: Options) -> str:
    return options.operator_login or login()


def _run(composition: Composition, failures: list[BaseException]) -> None:
    """Run the loop in a thread, so that no signal interrupts it in the middle of a frame."""

    def run() -> None:
        try:
            composition.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="loop")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(LOOK_S)  # signals are handled in between
    finally:
        composition.quit()
        thread.join(LAST_WORD_S)


@contextmanager
def _quitting(composition: Composition, interrupted: threading.Event) -> Iterator[None]:
    """Ctrl-C and similar signals end the loop after its current frame."""

    asked = 0

    def quit(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if number == signal.SIGINT:
            interrupted.set()
        if asked >= IMPATIENT:
            raise KeyboardInterrupt
        threading.Thread(target=composition.quit, daemon=True).start()  # the inbox has a lock

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
def _shown(
    composition: Composition, options: Options, console: Console, interrupted: threading.Event
) -> Iterator[None]:
    """Show the screen and read the keys."""
    from vad_agent.headset.key_dispatch import CTRL_C, KeyDispatch
    from vad_agent.headset.keyboard import Keyboard
    from vad_agent.headset.terminal_display import TerminalDisplay

    keys = KeyDispatch(composition.status, lambda: datetime.now().astimezone())

    def press(key: str) -> None:
        if key == CTRL_C:  # of a console that sends no signal
            interrupted.set()
        for sent in keys.press(key):
            composition.press(sent)

    with ExitStack() as stack:
        keyboard = Keyboard(press)
        if options.plain:
            console = Console(file=sys.stdout, force_terminal=False, markup=False, highlight=False)
        typing = keyboard.available and options.events != "-"
        stack.enter_context(TerminalDisplay(composition.status, console, keys if typing else None))
        if typing:
            stack.enter_context(keyboard)
        yield
