"""The keyboard of a POSIX terminal; always restores the terminal's mode.

A thread waits for the terminal and for a pipe that ends it at once. Ctrl-C stays a signal. Ctrl-Z
is an ordinary key, because a stopped process would leave the call unattended. Other programs may
still stop the process (`kill -TSTP`): the mode is restored for the shell and set again afterwards.
"""

from __future__ import annotations

import atexit
import codecs
import os
import re
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable
from types import FrameType
from typing import TextIO

assert sys.platform != "win32"

ESCAPE_S = 0.05
"""A lone Esc counts as a key if nothing follows within this many seconds."""
LOOK_S = 0.5
"""Seconds between checks of the terminal's mode and foreground."""
_GONE = (OSError, ValueError, termios.error)
"""Exceptions of a terminal that no longer exists."""


class PosixKeyboard:
    """Calls `press` for each key, from a thread of its own, until `close`.

    If `stdin` is not a terminal, there are no keys: `available` is False, nothing is started. Start
    it in the main thread, so that SIGTERM and SIGHUP restore the mode too.
    """

    def __init__(self, press: Callable[[str], None], stdin: TextIO | None = None) -> None:
        self._press = press
        stdin = sys.stdin if stdin is None else stdin
        self._fd = -1
        try:
            if stdin is not None and stdin.isatty():
                self._fd = stdin.fileno()
        except (ValueError, OSError):
            pass  # closed
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._wake: tuple[int, int] | None = None
        self._before: list[object] | None = None
        self._handlers: dict[int, object] = {}

    @property
    def available(self) -> bool:
        """A keyboard exists."""
        return self._fd >= 0

    def start(self) -> None:
        """Start reading."""
        if not self.available or self._thread is not None:
            return
        try:
            self._before = termios.tcgetattr(self._fd)
        except _GONE:
            self._fd = -1
            return
        self._wake = os.pipe()
        atexit.register(self._restore)
        if threading.current_thread() is threading.main_thread():
            self._catch_signals()
        if self._foreground():
            self._take()
        self._thread = threading.Thread(target=self._read, name="keyboard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread at once and restore the terminal. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ended.set()
        if self._wake is not None:
            os.write(self._wake[1], b".")
        own = thread is threading.current_thread()  # called by a key
        if not own:
            thread.join(timeout=1.0)
        self._restore()
        self._before = None
        atexit.unregister(self._restore)
        if threading.current_thread() is threading.main_thread():  # else they stay set
            for number, before in self._handlers.items():
                signal.signal(number, before)  # type: ignore[arg-type]
            self._handlers.clear()
        if self._wake is not None and (own or not thread.is_alive()):
            for end in self._wake:
                os.close(end)
        self._wake = None

    def __enter__(self) -> PosixKeyboard:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the terminal's mode -----------------------------------------------------------------------

    def _take(self) -> None:
        """Set the mode: single keys without echo; Ctrl-C is a signal; no Ctrl-Z, no Ctrl-S."""
        mode = termios.tcgetattr(self._fd)
        mode[0] &= ~termios.IXON
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[3] |= termios.ISIG
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        mode[6][termios.VSUSP] = bytes([os.fpathconf(self._fd, "PC_VDISABLE") & 0xFF])
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        self._write(b"\x1b[?2004h")  # mark pastes

    def _taken(self) -> bool:
        return not termios.tcgetattr(self._fd)[3] & termios.ICANON

    def _restore(self) -> None:
        if self._before is None:
            return
        try:
            if self._foreground():
                self._write(b"\x1b[?2004l")
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
        except _GONE:
            pass

    def _write(self, control: bytes) -> None:
        if os.environ.get("TERM", "dumb") not in ("dumb", "unknown", ""):
            os.write(self._fd, control)

    def _foreground(self) -> bool:
        """The terminal is in the foreground.

        Reading or setting it in the background would stop the process.
        """
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True  # not our controlling terminal: it cannot stop us

    # -- signals -----------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        """Handle only signals that have no handler yet."""
        for number, handler in (
            (signal.SIGTERM, self._end),
            (signal.SIGHUP, self._end),
            (signal.SIGTSTP, self._suspend),
        ):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, handler)

    def _end(self, number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the clean exit
        self._restore()
        raise SystemExit(128 + number)

    def _suspend(self, number: int, _: FrameType | None) -> None:
        self._restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._suspend)  # execution continues here after SIGCONT
        if self._foreground():
            self._take()

    # -- reading -----------------------------------------------------------------------------------

    def _read(self) -> None:
        reader = KeyReader()
        while not self._ended.is_set():
            try:
                keys = self._next_keys(reader)
            except _GONE:
                return  # the terminal is gone: the call continues without keys
            if keys is None:
                return
            self._hand_over(keys)

    def _next_keys(self, reader: KeyReader) -> list[str] | None:
        """Wait briefly for keys. None: there will be no more."""
        if self._wake is None:
            return None
        wake = self._wake[0]
        if not self._foreground():
            select.select([wake], [], [], LOOK_S)
            return []
        if not self._taken():  # returned to the foreground
            self._take()
        wait = ESCAPE_S if reader.waiting else LOOK_S
        ready, _, _ = select.select([self._fd, wake], [], [], wait)
        if self._fd in ready:
            data = os.read(self._fd, 1024)
            return reader.feed(data) if data else None
        return [] if ready else reader.flush()

    def _hand_over(self, keys: list[str]) -> None:
        for key in keys:
            if not self._ended.is_set():
                self._press(key)


PASTE_LONGEST = 4096

_SEQUENCE = re.compile(r"\x1b(?:\[\[.|\[[0-?]*[ -/]*[@-Z\\-~]|O.)", re.DOTALL)
_BEGUN = re.compile(r"\x1b(?:\[\[?[0-?]*[ -/]*|O)?", re.DOTALL)
_PASTE, _PASTE_END = "\x1b[200~", "\x1b[201~"


class KeyReader:
    """Decodes a terminal's bytes into keys. Arrows and other sequences are dropped; a paste is one key."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._rest = ""

    @property
    def waiting(self) -> bool:
        """The input may be Esc or the start of a sequence: a timeout decides."""
        return bool(self._rest) and not self._rest.startswith(_PASTE)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete."""
        self._rest += self._decoder.decode(data)
        keys: list[str] = []
        while self._rest:
            if self._rest.startswith(_PASTE):
                text, end, rest = self._rest[len(_PASTE) :].partition(_PASTE_END)
                if not end and len(text) < PASTE_LONGEST:
                    break
                keys += [text] if text else []
                self._rest = rest
            elif found := _SEQUENCE.match(self._rest):
                self._rest = self._rest[found.end() :]
            elif _BEGUN.fullmatch(self._rest):
                break
            else:
                keys.append(self._rest[0])
                self._rest = self._rest[1:]
        return keys

    def flush(self) -> list[str]:
        """Nothing followed: a lone Esc is a key, an incomplete sequence is dropped."""
        if not self.waiting:
            return []
        rest, self._rest = self._rest, ""
        return [rest] if rest == "\x1b" else []
