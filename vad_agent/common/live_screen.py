"""Redraws lines on a terminal's alternate screen (as `less` uses), so that resizing leaves no artefacts.

Only rows that have changed are written: a whole screen of `rich.live` costs four times as much.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.style import Style
from rich.text import Text

WHOLE = 20
"""Redraws after which all rows are written again: another program may have written there."""
ERASE_ROW = Control((ControlType.ERASE_IN_LINE, 2))


def redraw(
    console: Console,
    render: Callable[[int, int], Sequence[Text]],
    ended: threading.Event,
    every_s: float,
) -> None:
    """Draw the lines of `render(columns, rows)` every `every_s` seconds until `ended`; only changed rows.

    The alternate screen's content is lost at the end.

    Raises:
        OSError, ValueError: the terminal is gone, or closed.
    """
    shown: list[tuple[Text, str | Style]] = []
    size = None
    turn = 0
    with console.screen():
        while True:
            if console.size != size:
                size, shown = console.size, []
                console.control(Control.clear())
            lines = render(size.width, size.height)
            now = [(line, line.style) for line in lines]  # texts compare equal whatever their style
            changed = [row for row, line in enumerate(now) if shown[row : row + 1] != [line]]
            if changed and turn >= WHOLE:
                changed, turn = list(range(len(lines))), 0
            with console:  # one write
                for row in changed:
                    console.control(Control.move_to(0, row), ERASE_ROW)
                    console.print(lines[row], end="", no_wrap=True, overflow="crop")
                for row in range(len(lines), len(shown)):
                    console.control(Control.move_to(0, row), ERASE_ROW)
            shown = now
            turn += 1
            if ended.wait(every_s):
                return


def can_redraw(console: Console) -> bool:
    """The output is a terminal with a cursor."""
    return console.is_terminal and not console.is_dumb_terminal


def folded(text: str, width: int) -> list[str]:
    """The text in rows of at most `width` columns, cut anywhere, as a link is. One column a character."""
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]


def safe(text: str) -> str:
    """External text (names, reasons, logs) without a terminal's control characters."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


def labelled(label: str, value: str, indent: int, width: int) -> list[Text]:
    """A label and a value, whole, in as many rows as needed; each row of a link opens all of it.

    `indent`: columns of the label; without a label there are none.
    """
    indent = indent if label else 0
    look = Style(link=value) if value.startswith("http") else Style()
    return [
        Text(f"{label if row == 0 else '':<{indent}}").append(part, look)
        for row, part in enumerate(folded(value, width - indent))
    ]
