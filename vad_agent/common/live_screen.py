"""Redraws lines on a terminal's alternate screen (as `less` uses), so that resizing leaves no artefacts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text


def redraw(
    console: Console,
    render: Callable[[int, int], Sequence[Text]],
    ended: threading.Event,
    every_s: float,
) -> None:
    """Draw what `render(columns, rows)` gives, each `every_s` seconds if it has changed, until `ended`.

    The alternate screen's content is lost at the end.

    Raises:
        OSError, ValueError: the terminal is gone, or closed.
    """
    shown: tuple[object, ...] = ()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            size = console.size
            lines = render(size.width, size.height)
            if (now := (size, *lines)) != shown:
                live.update(Group(*lines), refresh=True)
                shown = now
            if ended.wait(every_s):
                return


def can_redraw(console: Console) -> bool:
    """The output is a terminal with a cursor."""
    return console.is_terminal and not console.is_dumb_terminal


def folded(text: str, width: int) -> list[str]:
    """The text in rows of at most `width` columns, cut anywhere, as a link is. One column a character."""
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]
