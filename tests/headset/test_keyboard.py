"""The keyboard on a real pseudo-terminal: what arrives, and the terminal's mode afterwards."""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.headset.keyboard import Keyboard
from vad_agent.headset.posix_keyboard import KeyReader

if sys.platform == "win32":
    pytest.skip("no pseudo-terminals", allow_module_level=True)
import pty
import termios

ROOT = Path(__file__).parent.parent.parent


# -- bytes → keys ----------------------------------------------------------------------------------

TYPED = [
    ("П", ["П"]),
    ("\x1b[A\x1b[1;5C\x1bOP\x1b[[Aп", ["п"]),  # arrows, Ctrl with one, F1, F1 of a console
    ("\x1b[3~\x1b[Mп", ["п"]),
    ("\x1bп", ["\x1b", "п"]),
    ("\x1b[200~нн\rзз\x1b[201~п", ["нн\rзз", "п"]),
    ("\x1b[200~\x1b[201~п", ["п"]),
    ("日\r\x7f\x1a", ["日", "\r", "\x7f", "\x1a"]),
]


@pytest.mark.parametrize(("typed", "keys"), TYPED)
def test_bytes_become_keys_whatever_they_are_cut_into(typed: str, keys: list[str]) -> None:
    data = typed.encode()
    assert KeyReader().feed(data) == keys
    for size in (1, 2, 3):
        reader = KeyReader()
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        assert [key for piece in pieces for key in reader.feed(piece)] == keys


def test_a_lone_escape_is_a_key_once_nothing_has_followed() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b") == []
    assert reader.waiting
    assert reader.flush() == ["\x1b"]
    assert not reader.waiting
    assert reader.flush() == []


def test_a_broken_sequence_is_nothing() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b[1;") == []
    assert reader.flush() == []
    assert reader.feed("п".encode()) == ["п"]


def test_a_slow_paste_is_waited_for_but_not_for_ever() -> None:
    reader = KeyReader()
    assert reader.feed("\x1b[200~нн".encode()) == []
    assert not reader.waiting
    assert reader.feed(b"\x1b[201~") == ["нн"]
    assert reader.feed(b"\x1b[200~" + b"x" * 5000) == ["x" * 5000]
    assert reader.feed(b"\x1b[201~y") == ["y"]


@given(st.binary())
def test_any_bytes_are_taken(data: bytes) -> None:
    reader = KeyReader()
    keys = reader.feed(data) + reader.flush()
    assert all(keys)
    assert "".join(keys).count("\x1b[A") == 0 or b"200~" in data


# -- a real terminal -------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The user's end, and the program's as its stdin."""
    master, slave = pty.openpty()
    stdin = open(slave, encoding="utf-8")  # noqa: SIM115
    yield master, stdin
    stdin.close()
    os.close(master)


def test_keys_arrive_one_by_one_and_the_mode_is_put_back(
    terminal: tuple[int, io.TextIOWrapper],
) -> None:
    master, stdin = terminal
    before = termios.tcgetattr(stdin)
    pressed: queue.Queue[str] = queue.Queue()
    with Keyboard(pressed.put, stdin) as keyboard:
        assert keyboard.available
        mode = termios.tcgetattr(stdin)
        assert not mode[3] & (termios.ICANON | termios.ECHO)
        assert mode[3] & termios.ISIG  # Ctrl-C stays a signal
        for letter in "Пh":
            os.write(master, letter.encode())
            assert pressed.get(timeout=5) == letter
        os.write(master, b"\x1b")
        assert pressed.get(timeout=5) == "\x1b"
        os.write(master, b"\x1a")
        assert pressed.get(timeout=5) == "\x1a"
    assert termios.tcgetattr(stdin) == before
    keyboard.close()


@pytest.mark.serial
def test_it_ends_at_once(terminal: tuple[int, io.TextIOWrapper]) -> None:
    keyboard = Keyboard(lambda _: None, terminal[1])
    keyboard.start()
    keyboard.start()
    thread = keyboard._thread
    assert thread is not None
    began = time.perf_counter()
    keyboard.close()
    assert time.perf_counter() - began < 0.3  # LOOK_S would be longer
    assert not thread.is_alive()


def test_a_key_may_end_it(terminal: tuple[int, io.TextIOWrapper]) -> None:
    master, stdin = terminal
    before = termios.tcgetattr(stdin)
    ended: queue.Queue[str] = queue.Queue()

    def press(key: str) -> None:
        keyboard.close()
        ended.put(key)

    keyboard = Keyboard(press, stdin)
    keyboard.start()
    os.write(master, b"qqq")
    assert ended.get(timeout=5) == "q"
    assert termios.tcgetattr(stdin) == before
    assert ended.empty()


def test_a_terminal_that_is_gone_ends_the_keys_and_nothing_else() -> None:
    master, slave = pty.openpty()
    stdin = open(slave, encoding="utf-8")  # noqa: SIM115
    keyboard = Keyboard(lambda _: None, stdin)
    keyboard.start()
    thread = keyboard._thread
    assert thread is not None
    os.close(master)
    thread.join(timeout=5)
    assert not thread.is_alive()
    keyboard.close()
    stdin.close()


def test_a_mode_that_a_shell_has_changed_is_taken_again(
    terminal: tuple[int, io.TextIOWrapper],
) -> None:
    master, stdin = terminal
    before = termios.tcgetattr(stdin)
    pressed: queue.Queue[str] = queue.Queue()
    with Keyboard(pressed.put, stdin):
        termios.tcsetattr(stdin, termios.TCSANOW, before)  # as after fg
        deadline = time.monotonic() + 5
        while termios.tcgetattr(stdin)[3] & termios.ICANON and time.monotonic() < deadline:
            os.write(master, b"x\n")  # something arrives
            pressed.get(timeout=5)
        assert not termios.tcgetattr(stdin)[3] & termios.ICANON


def test_without_a_terminal_there_are_no_keys(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_text("нн")
    with file.open(encoding="utf-8") as stdin, Keyboard(lambda _: None, stdin) as keyboard:
        assert not keyboard.available
        assert keyboard._thread is None
    assert not Keyboard(lambda _: None, io.StringIO("нн")).available
    assert not Keyboard(lambda _: None, stdin).available  # closed


PROGRAM = """
    import sys, termios, time
    from vad_agent.headset.keyboard import Keyboard
    keyboard = Keyboard(lambda key: print("key", repr(key), flush=True))
    keyboard.start()
    assert not termios.tcgetattr(0)[3] & (termios.ICANON | termios.ECHO)
    try:
        print("ready", flush=True)
        {body}
    finally:
        print("cleaned", flush=True)
"""


class Program:
    """A program of its own on a controlling terminal of its own; stdout is a pipe."""

    def __init__(self, body: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        launch = (
            "import os,fcntl,termios,sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
            "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", launch, textwrap.dedent(PROGRAM).format(body=body)],
            stdin=self.slave, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            encoding="utf-8", cwd=ROOT,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.out = self.process.stdout
        assert self.out.readline() == "ready\n"

    def ended(self) -> tuple[int, str]:
        """Exit status and stdout; the mode must be as it was."""
        status = self.process.wait(timeout=20)
        with self.out:
            out = self.out.read()
        after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        assert after == self.before
        return status, out


def test_the_mode_is_put_back_after_an_exception() -> None:
    assert Program("raise RuntimeError").ended() == (1, "cleaned\n")


def test_the_mode_is_put_back_at_an_exit_without_close() -> None:
    assert Program("sys.exit(3)").ended() == (3, "cleaned\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_the_mode_back_and_lets_others_clean_up(number: signal.Signals) -> None:
    program = Program("time.sleep(60)")
    program.process.send_signal(number)
    assert program.ended() == (128 + number, "cleaned\n")


def test_ctrl_c_is_a_signal() -> None:
    program = Program("time.sleep(60)")
    os.write(program.master, b"\x03")
    status, out = program.ended()
    assert (abs(status), out) in ((2, "cleaned\n"), (130, "cleaned\n"))


def test_ctrl_z_is_a_key_and_a_stop_from_elsewhere_is_survived() -> None:
    program = Program("time.sleep(60)")
    out = program.out
    os.write(program.master, b"\x1a")
    assert out.readline() == "key '\\x1a'\n"
    program.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, program.process.pid, os.WSTOPPED)
    termios.tcsetattr(program.slave, termios.TCSANOW, program.before)  # as a shell does
    program.process.send_signal(signal.SIGCONT)
    for _ in range(100):
        if not termios.tcgetattr(program.slave)[3] & termios.ICANON:
            break
        time.sleep(0.05)
    os.write(program.master, b"q")
    assert out.readline() == "key 'q'\n"
    program.process.send_signal(signal.SIGTERM)
    assert program.ended()[1] == "cleaned\n"
