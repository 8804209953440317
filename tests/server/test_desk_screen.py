"""The terminal of the desk: the links and who is to be called stay above the log lines."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from tests.server.test_serve import PHONE, letter
from vad_agent.callbacks.model import Callback, State
from vad_agent.callbacks.outbox import Outbox
from vad_agent.errors import StoreError
from vad_agent.server.desk_screen import DeskScreen, LogLines, render

PANEL = f"http://127.0.0.1:8600/enter?token={'x' * 24}"
HEAD = [("desk", "http://127.0.0.1:8600"), ("dialer", "manual"), ("panel", PANEL)]
LOG = [f"2026-01-31 INFO line {number}" for number in range(100)]
AT = datetime(2026, 1, 31, tzinfo=UTC)
STYLE = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|\]8;[^\x1b]*\x1b\\)")


ROW = re.compile(r"\x1b\[(\d+);1H\x1b\[2K(.*?)(?=\x1b\[\d+;1H|\Z)", re.S)


def drawn(written: str) -> dict[str, int]:
    """What stands on the screen after all that was written there: the lines and their rows."""
    rows = {int(row): STYLE.sub("", text).rstrip() for row, text in ROW.findall(written)}
    return {text: row for row, text in rows.items()}


def due(number: int) -> list[Callback]:
    return [
        Callback(
            id=f"k{one}", state=State.RINGING, reasons=("dropped",), created=AT, due=AT, next=AT,
            phone=f"+7912345678{one}", name="Анна", opening="Здравствуйте, Анна", attempt=2,
        )
        for one in range(number)
    ]  # fmt: skip


def read(width: int, height: int, called: int = 0) -> list[str]:
    lines = render(HEAD, due(called), 3, LOG, width, height)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    return [line.plain.rstrip() for line in lines]


def test_a_whole_screen() -> None:
    assert read(100, 12, 1) == [
        "desk      http://127.0.0.1:8600",
        f"panel     {PANEL}",
        "ПЕРЕЗВОНИТЕ +79123456780, Анна, попытка 2 из 3",
        "  «Здравствуйте, Анна»",
        "  потом: vad-agent callbacks done k0 reached | no_answer | busy | machine",
        "─" * 100,
        *LOG[-6:],
    ]


@pytest.mark.parametrize(
    ("state", "since", "head", "then"),
    [
        (State.OFFERED, AT, "ПЕРЕЗВОНИТЕ +7", "звоню: vad-agent callbacks accept k0"),
        (State.RINGING, AT, "ЗВОНИТ anna: +7", "потом: vad-agent callbacks done k0 reached"),
        (State.RINGING, None, "ПЕРЕЗВОНИТЕ +7", "потом: vad-agent callbacks done k0 reached"),
    ],
)
def test_an_offer_is_accepted_first_and_then_it_says_who_calls(
    state: State, since: datetime | None, head: str, then: str
) -> None:
    one = replace(due(1)[0], state=state, since=since, operator="anna")
    lines = [line.plain.strip() for line in render(HEAD, [one], 3, LOG, 100, 12)]
    (first,) = (n for n, line in enumerate(lines) if line.startswith(head))
    assert lines[first + 2].startswith(then)


def test_an_extension_stands_behind_the_number() -> None:
    one = replace(due(1)[0], extension="100")
    lines = [line.plain for line in render(HEAD, [one], 3, LOG, 100, 12)]
    assert "ПЕРЕЗВОНИТЕ +79123456780, доб. 100, Анна, попытка 2 из 3" in lines


@pytest.mark.parametrize("width", [30, 40, 80, 120])
@pytest.mark.parametrize("height", range(8, 40))
def test_the_link_and_who_is_to_be_called_are_above_the_log_in_any_window(
    width: int, height: int
) -> None:
    lines = read(width, height, 2)
    text = "".join(line.strip() for line in lines)
    assert PANEL in text
    assert "ПЕРЕЗВОНИТЕ +79123456780" in text
    rows = [number for number, line in enumerate(lines) if "INFO" in line]
    assert not rows or rows[0] > next(n for n, line in enumerate(lines) if "ПЕРЕЗВОНИТЕ" in line)


def test_more_than_fit_are_counted() -> None:
    assert "ещё 7: vad-agent callbacks list" in read(100, 9, 9)


def test_what_others_wrote_cannot_control_the_terminal() -> None:
    """A name of a request, or text in a log line, with an escape sequence in it."""
    evil = "Ан\x1b]0;x\x07на\u202e"
    (one,) = due(1)
    called = replace(one, name=evil, opening=f"Здравствуйте, {evil}", operator=evil, since=AT)
    kept = LogLines()
    kept.emit(logging.LogRecord("x", logging.INFO, "x", 1, evil, None, None))
    lines = render(HEAD, [called], 3, [*kept.lines], 100, 12)
    assert all(line.plain.isprintable() for line in lines)
    assert "ЗВОНИТ Ан ]0;x на" in lines[2].plain


def test_a_store_that_does_not_answer_leaves_what_is_known() -> None:
    answers: list[object] = [due(1), StoreError("locked")]

    def query() -> list[Callback]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, list)
        return answer

    screen = DeskScreen(Console(file=io.StringIO()), HEAD, query, 3)
    for _ in range(2):
        assert any("+79123456780" in line.plain for line in screen._render(100, 20))


def test_log_lines_of_a_terminal_are_kept_and_others_are_not_touched() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root, file, terminal = logging.getLogger(), io.StringIO(), Terminal()
    before = root.handlers[:]
    root.handlers = [logging.StreamHandler(file), logging.StreamHandler(terminal)]
    try:
        lines = LogLines()
        lines.take_over()
        logging.getLogger("vad_agent").warning("one")
        lines.give_back()
        logging.getLogger("vad_agent").warning("two")
    finally:
        root.handlers = before
    assert list(lines.lines) == ["one"]
    assert file.getvalue() == "one\ntwo\n"
    assert terminal.getvalue() == "two\n"


def test_a_desk_on_a_terminal_shows_whom_to_call_under_its_link_and_ends_with_130(
    tmp_path: Path,
) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    outbox = tmp_path / "outbox"
    command = [sys.executable, "-m", "vad_agent.cli.main", "serve", "--port=0", f"--inbox={outbox}"]
    env = os.environ | {
        "TERM": "xterm-256color", "PYTHONUTF8": "1", "XDG_STATE_HOME": str(tmp_path),
    }  # fmt: skip
    desk = subprocess.Popen(
        [*command, f"--database={tmp_path / 'c.sqlite'}"],
        stdin=slave, stdout=slave, stderr=slave, env=env,
    )  # fmt: skip
    seen = b""

    def until(text: str, limit_s: float = 60) -> dict[str, int]:
        """The screen's lines and their rows, once this is on it."""
        nonlocal seen
        deadline = time.monotonic() + limit_s
        while text not in "".join(shown := drawn(seen.decode(errors="ignore"))):
            left = max(0.0, deadline - time.monotonic())
            assert select.select([master], [], [], left)[0], shown
            seen += os.read(master, 65536)
        return shown

    try:
        until("enter?token=")
        until("───")
        Outbox(outbox).post(letter("k1", PHONE))
        screen = until("звоню: vad-agent callbacks accept")
        wanted = ("enter?token=", f"ПЕРЕЗВОНИТЕ {PHONE}", "звоню:", "───")
        rows = [next(row for line, row in screen.items() if one in line) for one in wanted]
        assert rows == sorted(rows)
        desk.send_signal(signal.SIGINT)
        assert desk.wait(30) == 130
    finally:
        desk.kill()
        desk.wait()
        os.close(slave)
        os.close(master)
