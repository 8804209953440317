"""The surface on terminals of all kinds: what is written to them, and that they are given back."""

from __future__ import annotations

import io
import os
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from vad_agent.core.actions import Phase
from vad_agent.core.frames import Channel
from vad_agent.headset.key_dispatch import KeyDispatch
from vad_agent.headset.status import Status
from vad_agent.headset.terminal_display import TerminalDisplay

ROOT = Path(__file__).parent.parent.parent
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def a_call() -> Status:
    status = Status(phase=Phase.DIALOGUE, call_s=222.0, hang_up=True)
    status.messages.append((60.0, "удержание"))
    return status


class Ticks:
    """Instead of waiting: so many redraws, before each of which something may happen."""

    def __init__(self, count: int, happens: Callable[[int], None] = lambda _: None) -> None:
        self.count, self.happens, self.done = count, happens, 0

    def wait(self, _: float) -> bool:
        self.done += 1
        self.happens(self.done)
        return self.done >= self.count

    def set(self) -> None:
        self.count = 0


def drawn(
    status: Status,
    ticks: Ticks,
    *,
    keys: KeyDispatch | None = None,
    file: io.TextIOBase | None = None,
    terminal: bool = True,
    environ: dict[str, str] | None = None,
) -> str:
    file = file or io.StringIO()
    environ = {"TERM": "xterm-256color"} if environ is None else environ
    console = Console(
        file=file, force_terminal=terminal, width=70, height=16, _environ=environ,
        markup=False, highlight=False, emoji=False,
    )  # fmt: skip
    surface = TerminalDisplay(status, console, keys)
    surface._ended = ticks  # type: ignore[assignment]
    surface.run()
    return file.getvalue() if isinstance(file, io.StringIO) else ""


def test_it_draws_on_another_screen_and_gives_the_terminal_back() -> None:
    out = drawn(a_call(), Ticks(1))
    text = STYLE.sub("", out)
    assert (
        text.index(ENTER_SCREEN) < text.index("ЗАВЕРШИТЕ ЗВОНОК  3:42") < text.index(LEAVE_SCREEN)
    )
    assert HIDE_CURSOR in out
    assert out.rindex(SHOW_CURSOR) > out.rindex(HIDE_CURSOR)
    # What happened stays to be read.
    assert out[out.index(LEAVE_SCREEN) :].endswith("1:00  удержание\n")
    assert COLOUR.search(out)


def test_nothing_is_written_while_nothing_changes() -> None:
    status, lengths = a_call(), []
    file = io.StringIO()

    def happens(tick: int) -> None:
        lengths.append(len(file.getvalue()))
        if tick == 3:
            status.call_s += 1.0

    drawn(status, Ticks(5, happens), file=file)
    assert lengths[0] == lengths[1] == lengths[2] < lengths[3] == lengths[4]


def test_without_colour_the_words_are_all_there() -> None:
    out = drawn(a_call(), Ticks(1), environ={"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert not COLOUR.search(out)
    assert "\x1b[1;7m ЗАВЕРШИТЕ ЗВОНОК" in out  # reversed, not red


@pytest.mark.parametrize(
    ("terminal", "environ"),
    [(False, {"TERM": "xterm-256color"}), (True, {"TERM": "dumb"}), (True, {"TERM": "unknown"})],
)
def test_where_lines_cannot_be_drawn_over_there_is_one_for_each_change(
    terminal: bool, environ: dict[str, str]
) -> None:
    status = a_call()

    def happens(tick: int) -> None:
        if tick == 2:
            status.messages.append((223.0, "клиент вернулся"))

    out = drawn(status, Ticks(4, happens), terminal=terminal, environ=environ)
    assert out.splitlines() == [
        "1:00  удержание",
        "3:42  ЗАВЕРШИТЕ ЗВОНОК",
        "3:43  клиент вернулся",
    ]


def test_keys_without_redraws_ask_but_show_no_number_in_a_log() -> None:
    status = Status(phase=Phase.DIALOGUE)
    keys = KeyDispatch(status, lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))

    def happens(tick: int) -> None:
        if tick > 1:
            for key in ("д+20\r", "+7912345678", "9\r")[tick - 2]:
                keys.press(key)

    out = drawn(status, Ticks(4, happens), keys=keys, terminal=False)
    first, *rest = out.splitlines()
    assert first.startswith("Клавиши: А начать звонок, П пауза, ")
    assert "0:00  Перезвон сегодня в 12:20. Телефон (пусто: тот же)" in rest
    assert "912" not in out


def test_keys_are_listed_and_give_way_to_what_is_typed() -> None:
    status = Status(phase=Phase.DIALOGUE)
    keys = KeyDispatch(status, lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert "пауза" in drawn(status, Ticks(1), keys=keys)
    for key in "иАнна":
        keys.press(key)
    out = drawn(status, Ticks(1), keys=keys)
    assert "Имя клиента: Анна_" in out
    assert "пауза" not in out
    assert "клавиш нет" in drawn(status, Ticks(1))


class Gone(io.StringIO):
    """A terminal that is no longer there."""

    def write(self, _: str) -> int:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_that_is_gone_ends_the_drawing_and_nothing_else(terminal: bool) -> None:
    ticks = Ticks(100)
    drawn(a_call(), ticks, file=Gone(), terminal=terminal)
    assert ticks.done < 100


@pytest.mark.parametrize("encoding", ["cp866", "cp1251", "ascii"])
@pytest.mark.parametrize("terminal", [True, False])
def test_an_encoding_without_some_letters_does_not_end_it(encoding: str, terminal: bool) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, write_through=True) as file:
        status = a_call()
        status.sides[Channel.CLIENT].level_db = 0.0
        status.callback = "«日本» — сразу"
        drawn(status, Ticks(1), file=file, terminal=terminal)
        out = raw.getvalue().decode(encoding)
    if encoding != "ascii":
        assert "ЗАВЕРШИТЕ ЗВОНОК" in out
        assert "?" * 5 not in out  # bars are ASCII


def test_the_thread_ends_when_it_is_closed_and_a_second_close_is_nothing() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, height=15)
    with TerminalDisplay(a_call(), console) as surface:
        thread = surface._thread
        assert thread is not None
        surface.start()
        assert surface._thread is thread
    assert not thread.is_alive()
    assert LEAVE_SCREEN in file.getvalue()
    surface.close()


PROGRAM = """
import time
from datetime import datetime
from rich.console import Console
from vad_agent.core.actions import Phase
from vad_agent.headset.keyboard import Keyboard
from vad_agent.headset.key_dispatch import KeyDispatch
from vad_agent.headset.status import Status
from vad_agent.headset.terminal_display import TerminalDisplay

status = Status(phase=Phase.DIALOGUE)
keys = KeyDispatch(status, lambda: datetime.now().astimezone())
def press(key):
    for sent in keys.press(key):
        status.messages.append((1.0, str(sent)))
try:
    with TerminalDisplay(status, Console(markup=False), keys), Keyboard(press):
        time.sleep(60)
except KeyboardInterrupt:
    print("ended by Ctrl-C")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_whole_program_on_a_terminal_that_is_resized_and_ended_by_ctrl_c() -> None:
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)

    def size(rows: int, columns: int) -> None:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    size(30, 100)
    launch = (
        "import os,fcntl,termios,sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    )
    environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", launch, PROGRAM], stdin=slave, stdout=slave, stderr=slave,
        cwd=ROOT, env=environ | {"TERM": "xterm-256color", "PYTHONUTF8": "1"},
    )  # fmt: skip
    shown = b""

    def until(text: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + 20
        while text not in STYLE.sub("", shown.decode(errors="ignore")):
            assert select.select([master], [], [], deadline - time.monotonic())[0], shown.decode()
            shown += os.read(master, 65536)

    until("Й выход")
    shown = b""
    size(15, 60)
    until("Н не слышит  Д договорились  В попрощались  З завершён")  # a row of its own now
    os.write(master, "иАнна\r".encode())
    until("client_name")
    shown = b""
    os.write(master, b"\x03")
    until("ended by Ctrl-C")
    assert process.wait(timeout=20) == 0
    assert LEAVE_SCREEN.encode() in shown
    assert shown.index(LEAVE_SCREEN.encode()) < shown.index(b"ended by")
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)
