"""Draws the status on the terminal, three times a second, from a thread of its own.

On another screen of the terminal (as `less` does), so that a resized window leaves no rubbish. Where the
output is no terminal, or one without a cursor, there is one plain line for each change instead.
Nothing that happens to the terminal ends the call: an output that is gone is no longer drawn.
"""

from __future__ import annotations

import io
import threading

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vad_agent.live import words
from vad_agent.live.changes import Changes
from vad_agent.live.keymap import all_keys
from vad_agent.live.keys import Keys
from vad_agent.live.screen import ASCII, Marks, render
from vad_agent.live.status import Status

REDRAW_S = 0.3


class Surface:
    """What the operator sees. `keys`: they show what he types and is asked; None: there is no keyboard.

    Use it as a context, or `start` and `close` it.
    """

    def __init__(self, status: Status, console: Console, keys: Keys | None = None) -> None:
        self._status = status
        self._console = console
        self._keys = keys
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.redraws = console.is_terminal and not console.is_dumb_terminal
        """Lines are drawn over; False: one plain line for each change."""
        encoding = console.encoding.lower().replace("-", "")
        self._marks = Marks() if encoding.startswith("utf") else ASCII

    def start(self) -> None:
        """Begin to draw."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name="surface", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Draw no more and give the terminal back; a second time, nothing."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2.0)  # a terminal that takes nothing must not keep the process

    def __enter__(self) -> Surface:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self) -> None:
        """Draw until it is closed or the terminal is gone."""
        file = self._console.file
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="replace")  # a Russian letter must not end it anywhere
        try:
            if self.redraws:
                self._redraw()
            else:
                self._print_changes()
        except (OSError, ValueError):
            self._ended.set()  # gone, or closed: the call goes on unseen

    def _redraw(self) -> None:
        shown: tuple[object, ...] = ()
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            while True:
                size = self._console.size
                prompt = None if self._keys is None else self._keys.prompt
                lines = render(self._status, size.width, size.height, prompt, self._marks)
                if (now := (size, *lines)) != shown:
                    live.update(Group(*lines), refresh=True)
                    shown = now
                if self._ended.wait(REDRAW_S):
                    break
        # What was on the other screen is gone with it.
        for at, what in tuple(self._status.messages):
            self._say(f"{words.clock(at)}  {what}")

    def _print_changes(self) -> None:
        changes = Changes()
        if self._keys is not None:
            self._say("Клавиши: " + ", ".join(f"{letter} {name}" for letter, name in all_keys()))
        while True:
            ended = self._ended.wait(REDRAW_S)
            question = "" if self._keys is None else self._keys.question
            for line in changes.lines(self._status, question):
                self._say(line)
            if ended:
                return

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
