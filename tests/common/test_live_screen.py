"""The redrawn screen writes the rows that have changed, and all of them for another size."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from vad_agent.common.live_screen import WHOLE, folded, redraw

ROW = re.compile(r"\x1b\[(\d+);1H\x1b\[2K")


class Turns:
    """Instead of an event: so many redraws, after each of which something may happen."""

    def __init__(self, count: int, happens: Callable[[int], None]) -> None:
        self._count, self._happens, self._turn = count, happens, 0

    def wait(self, _: float) -> bool:
        self._turn += 1
        self._happens(self._turn)
        return self._turn >= self._count


def written(lines: list[Text], count: int, happens: Callable[[int, Console], None]) -> list[str]:
    """The rows that each turn wrote."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=40, height=5)
    turns: list[str] = []

    def after(turn: int) -> None:
        turns.append("".join(ROW.findall(file.getvalue())))
        file.seek(0)
        file.truncate()
        happens(turn, console)

    redraw(console, lambda width, height: list(lines), Turns(count, after), 0.0)  # type: ignore[arg-type]
    return turns


def test_only_rows_that_have_changed_are_written() -> None:
    lines = [Text("one"), Text("two"), Text("three")]

    def happens(turn: int, console: Console) -> None:
        if turn == 2:
            lines[1] = Text("two", "bold")
        if turn == 3:
            console.size = (50, 6)  # type: ignore[assignment]
        if turn == 4:
            del lines[2]

    assert written(lines, 6, happens) == ["123", "", "2", "123", "3", ""]


def test_now_and_then_a_change_writes_all_rows() -> None:
    lines = [Text("0"), Text("same")]

    def happens(turn: int, _: Console) -> None:
        lines[0] = Text(str(turn))

    turns = written(lines, WHOLE + 3, happens)
    assert turns[0] == "12"
    assert turns.count("12") == 2
    assert set(turns) == {"1", "12"}


def test_a_link_is_cut_anywhere() -> None:
    assert folded("abcdefg", 3) == ["abc", "def", "g"]
    assert folded("", 3) == [""]
