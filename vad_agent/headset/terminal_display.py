"""Draws the status on the terminal three times a second, from a thread of its own.

It uses the terminal's alternate screen (as `less` does), so that resizing leaves no artefacts. If
the output is not a terminal, or has no cursor, it prints one plain line per change. No problem of
the terminal ends the call: an output that is gone is no longer drawn.
"""

from __future__ import annotations

import io
import threading

from rich.console import Console
from rich.text import Text

from vad_agent.common.live_screen import can_redraw, redraw, safe
from vad_agent.headset import messages_ru
from vad_agent.headset.key_dispatch import KeyDispatch
from vad_agent.headset.keymap import all_keys, in_call
from vad_agent.headset.screen import ASCII, ORDER, Marks, render
from vad_agent.headset.status import Status

REDRAW_S = 0.3


class TerminalDisplay:
    """The operator's display. `keys`: provides the typed text and questions; None: there is no
    keyboard.

    Use it as a context manager, or call `start` and `close`.
    """

    def __init__(self, status: Status, console: Console, keys: KeyDispatch | None = None) -> None:
        self._status = status
        self._console = console
        self._keys = keys
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.redraws = can_redraw(console)
        """Lines are redrawn; False: one plain line per change."""
        encoding = console.encoding.lower().replace("-", "")
        self._marks = Marks() if encoding.startswith("utf") else ASCII

    def start(self) -> None:
        """Start drawing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name="surface", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop drawing and restore the terminal. A second call does nothing."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2.0)  # a blocked terminal must not keep the process alive

    def __enter__(self) -> TerminalDisplay:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self) -> None:
        """Draw until closed, or until the terminal is gone."""
        file = self._console.file
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="replace")  # Russian text must not fail in any encoding
        try:
            if self.redraws:
                self._redraw()
            else:
                self._print_changes()
        except (OSError, ValueError):
            self._ended.set()  # gone, or closed: the call continues without display

    def _redraw(self) -> None:
        def lines(width: int, height: int) -> list[Text]:
            prompt = None if self._keys is None else self._keys.prompt
            return render(self._status, width, height, prompt, self._marks)

        redraw(self._console, lines, self._ended, REDRAW_S)
        # The alternate screen's content is lost with it.
        for at, what in tuple(self._status.messages):
            self._say(f"{messages_ru.clock(at)}  {what}")

    def _print_changes(self) -> None:
        changes = ChangeLines()
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


class ChangeLines:
    """Changes since the last call, one line each: for a pipe, or a terminal without a cursor."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}
        self._last: object = None

    def lines(self, status: Status, question: str = "") -> list[str]:
        """New lines, oldest first. `question`: the question for the operator."""
        messages = tuple(status.messages)
        seen = next((i for i in range(len(messages), 0, -1) if messages[i - 1] is self._last), 0)
        new = [f"{messages_ru.clock(at)}  {what}" for at, what in messages[seen:]]
        if messages:
            self._last = messages[-1]
        now = messages_ru.clock(status.call_s)
        topics = _topics(status) | {"question": question}
        for topic, text in topics.items():
            if topic == "panel" and topic not in self._printed:
                continue  # the first link was printed at the start
            if text and text != self._printed.get(topic):
                new.append(f"{now}  {text}")
        self._printed = topics
        return [safe(line) for line in new]


def _topics(status: Status) -> dict[str, str]:
    """What is worth a line when it changes; not levels or who speaks."""
    topics = {
        "suspended": next(
            (text for why, text in messages_ru.SUSPENDED.items() if why in status.suspended), ""
        ),
        "callback": status.callback or "",
        "headline": messages_ru.headline(status),
        "voice": "; ".join(messages_ru.voice_alarms(status)),
    }
    for channel in ORDER:
        text, kind = messages_ru.state(channel, status.sides[channel])
        shown = kind in ("bad", "odd")
        topics[channel.value] = f"{messages_ru.SIDES[channel]}: {text}" if shown else ""
    if status.panel:
        topics["panel"] = f"Панель: {status.panel}"
    if status.headset_question is not None:
        asked = messages_ru.headset_question(status.headset_question)
        topics["headset"] = f"{asked} Г: {messages_ru.ADMIT}"
    if status.questions and not in_call(status):
        asked = messages_ru.question(status.questions[0])
        topics["farewell"] = f"{asked}. {messages_ru.answers()}"
    if (phrase := status.phrase) is not None:
        title = messages_ru.PHRASES.get(phrase.state, "Фраза")
        if phrase.state == "cue":
            title = "СКАЖИТЕ СЕЙЧАС" if phrase.from_s <= 0 else "СКАЖИТЕ"
        topics["phrase"] = f"{title}: «{phrase.text}»"
    return topics
