"""The keyboard of the terminal, key by key: a Windows console's here, else `posix_keyboard`.

That of Windows is not tested there. It cannot tell a paste from typing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TextIO

if sys.platform == "win32":
    import msvcrt

LOOK_S = 0.03
"""Seconds between checks for a key."""
TWO_CODES = ("\x00", "\xe0")
"""Prefixes of arrows and function keys: another code follows."""


class WindowsKeyboard:
    """Calls `press` for each key, from a thread of its own, until `close`.

    If `stdin` is not a console, there are no keys: `available` is False, nothing is started.
    """

    def __init__(self, press: Callable[[str], None], stdin: TextIO | None = None) -> None:
        self._press = press
        stdin = sys.stdin if stdin is None else stdin
        try:
            self.available = stdin is not None and stdin.isatty()
        except ValueError:
            self.available = False  # closed
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Start reading."""
        if self.available and self._thread is None:
            self._thread = threading.Thread(target=self._read, name="keyboard", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread. A second call does nothing."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def __enter__(self) -> WindowsKeyboard:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        if sys.platform == "win32":  # elsewhere this file is only type-checked
            while not self._ended.wait(LOOK_S):
                while msvcrt.kbhit() and not self._ended.is_set():
                    key = msvcrt.getwch()
                    if key in TWO_CODES:
                        msvcrt.getwch()
                    else:
                        self._press(key)


if sys.platform == "win32":
    Keyboard = WindowsKeyboard
else:
    from vad_agent.headset.posix_keyboard import PosixKeyboard as Keyboard

__all__ = ["Keyboard", "WindowsKeyboard"]
