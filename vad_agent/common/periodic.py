"""Something done again and again, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Periodic:
    """Calls `do` every `every_s` seconds from `start` until `close`; what it raises ends nothing."""

    def __init__(self, name: str, every_s: float, do: Callable[[], None]) -> None:
        self._every_s = every_s
        self._do = do
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """For the first time after `every_s`."""
        self._thread.start()

    def close(self) -> None:
        """When this returns it is done no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            try:
                self._do()
            except Exception as error:  # its text may quote what is personal
                log.error(
                    "it failed", extra={"what": self._thread.name, "why": type(error).__name__}
                )
