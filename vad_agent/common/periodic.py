"""A periodic task in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Periodic:
    """Calls `do` every `every_s` seconds from `start` until `close`; an exception is logged and
    ends nothing.
    """

    def __init__(self, name: str, every_s: float, do: Callable[[], None]) -> None:
        self._every_s = every_s
        self._do = do
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start; the first call comes after `every_s`."""
        self._thread.start()

    def close(self, limit_s: float | None = None) -> None:
        """Stop; wait for a call in progress, at most `limit_s` seconds. None: to its end."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            try:
                self._do()
            except Exception as error:  # its text may quote personal data
                log.error(
                    "it failed", extra={"what": self._thread.name, "why": type(error).__name__}
                )
