"""The terminal of `vad-agent serve`: the links and who is to be called stay above the log lines.

    desk      http://127.0.0.1:8600
    panel     http://127.0.0.1:8600/enter?token=…
    ПЕРЕЗВОНИТЕ +79123456788, Ольга, попытка 1 из 3
      «Здравствуйте, Ольга…»
      звоню: vad-agent callbacks accept k3w5t8n1c4je
    ЗВОНИТ anna: +79123456789, Анна, попытка 1 из 3
      «Здравствуйте, Анна…»
      потом: vad-agent callbacks done k3v9q0m2x7ha reached | no_answer | busy | machine
    ─────────────────────────────────────────────
    2026-01-31T12:00:00.000+03:00 INFO …             the newest lines, in the rows that are left

Only for a terminal with a cursor; a journal gets plain lines (`process.tell_to_ring`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from vad_agent.callbacks.model import Callback, State
from vad_agent.common.live_screen import folded, labelled, redraw, safe
from vad_agent.errors import StoreError

EVERY_S = 1.0
"""Seconds between two redraws, and between two queries."""
NAME = 10
"""Columns of the names at the left."""
MOST_LINES = 500
"""Log lines that are kept, and printed at the end."""
OUTCOMES = "reached | no_answer | busy | machine"


class DeskScreen:
    """Draws from `start` until `close`, in a thread.

    `head`: names and values, shown whole. `due`: queries who is to be called now; may raise
    StoreError. `attempts`: how many a callback has.
    """

    def __init__(
        self,
        console: Console,
        head: Sequence[tuple[str, str]],
        due: Callable[[], Sequence[Callback]],
        attempts: int,
    ) -> None:
        self._console = console
        self._head = head
        self._due = due
        self._attempts = attempts
        self._known: Sequence[Callback] = ()
        self._log = LogLines()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def start(self) -> None:
        """Start drawing; log lines for this terminal go to the screen."""
        self._log.take_over()
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back, with the log lines that are kept."""
        self._ended.set()
        self._thread.join(2 * EVERY_S)
        self._log.give_back()
        with contextlib.suppress(OSError, ValueError):
            for line in self._log.lines:
                self._console.print(Text(line), soft_wrap=True)

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone: the desk goes on
            redraw(self._console, self._render, self._ended, EVERY_S)

    def _render(self, width: int, height: int) -> list[Text]:
        with contextlib.suppress(StoreError):  # what is known stays; the log says why
            self._known = self._due()
        return render(
            self._head, self._known, self._attempts, tuple(self._log.lines), width, height
        )


def render(
    head: Sequence[tuple[str, str]],
    due: Sequence[Callback],
    attempts: int,
    log: Sequence[str],
    width: int,
    height: int,
) -> list[Text]:
    """At most `height` lines, none wider than `width` columns. Links first, then who is to be called,
    then the newest of the log.
    """
    links = [row for row in head if row[1].startswith("http")]
    top = [line for row in links for line in _row(*row, width)]
    called, left = _called(due, attempts, width, height - len(top))
    top += called
    if left:
        top.append(Text(f"ещё {left}: vad-agent callbacks list", "bold yellow"))
    rest = [line for row in head if row not in links for line in _row(*row, width)]
    if len(top) + len(rest) < height // 2:
        top += rest
    room = height - len(top) - 1
    if room > 0:
        top.append(Text("─" * width, "dim"))
        rows = [Text(part, "dim") for line in log[-room:] for part in folded(line, width)]
        top += rows[-room:]
    for line in top:
        line.truncate(width, overflow="ellipsis")
    return top[:height]


def _row(name: str, value: str, width: int) -> list[Text]:
    if width > 2 * NAME:
        return labelled(name, value, NAME, width)
    return [Text(name), *labelled("", value, 0, width)]


def _called(
    due: Sequence[Callback], attempts: int, width: int, height: int
) -> tuple[list[Text], int]:
    """Who is to be called, in at most `height` rows, and how many are left out."""
    lines: list[Text] = []
    for number, one in enumerate(due):
        rows = _callback(one, attempts, width)
        more = number + 1 < len(due)
        if len(lines) + len(rows) + more > height:
            rows = rows[:1]
        if len(lines) + len(rows) + more > height:
            return lines, len(due) - number
        lines += rows
    return lines, 0


def _callback(one: Callback, attempts: int, width: int) -> list[Text]:
    number = Text(one.phone or "номер неизвестен", "bold")
    if one.phone:
        number.stylize(f"link tel:{one.phone}")
    if one.extension:
        number.append(f", доб. {safe(one.extension)}")
    name = f", {safe(one.name)}" if one.name else ""
    accepted = one.state is State.RINGING and one.since is not None
    asked = f"ЗВОНИТ {safe(one.operator or '')}: " if accepted else "ПЕРЕЗВОНИТЕ "
    head = Text(asked, "bold yellow").append_text(number)
    head.append(f"{name}, попытка {one.attempt} из {attempts}")
    rows = [head]
    if one.opening:
        rows += [Text(part) for part in folded(f"  «{safe(one.opening)}»", width)]
    then = f"  потом: vad-agent callbacks done {one.id} {OUTCOMES}"
    if one.state is State.OFFERED:
        then = f"  звоню: vad-agent callbacks accept {one.id}"
    return rows + [Text(part) for part in folded(then, width)]


class LogLines(logging.Handler):
    """Takes the place of the root logger's handlers that write to a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        self._before: list[logging.Handler] = []

    def take_over(self) -> None:
        """From now on lines are kept here."""
        root = logging.getLogger()
        self._before = [one for one in root.handlers if _on_terminal(one)]
        for one in self._before:
            self.setFormatter(one.formatter)
            root.removeHandler(one)
        if self._before:
            root.addHandler(self)

    def give_back(self) -> None:
        """The handlers before are there again."""
        root = logging.getLogger()
        root.removeHandler(self)
        for one in self._before:
            root.addHandler(one)
        self._before = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the lines of a record."""
        self.lines.extend(map(safe, self.format(record).splitlines()))


def _on_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and bool(handler.stream.isatty())
