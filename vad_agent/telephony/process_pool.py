"""Several processes of `vad-agent pbx` on one machine, one for each processor that calls need.

    vad-agent pbx --processes 4 ──┬─ process 0, port 9092    the taps whose name ends in 0, 4, 8, …
                                  ├─ process 1, port 9093    … in 1, 5, 9, …
                                  └─ …

A call lives in one process, from its first frame to its last. The dialplan chooses it: the last digit of the
tap's name, and the port. Call control tells every process everything, and each takes what is its own.
A process that ends is started again; its calls go on at the PBX and are tapped anew.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

MOST = 10
"""Digits that a name can end in."""
AGAIN_S = 1.0
"""Seconds before a process that has ended is started again."""
LOOK_S = 0.1
STARTING_S = 20.0
"""Seconds from the beginning in which a process that ends with an error cannot start: its port is taken."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Share:
    """The calls of one process: the `index`th of `of`."""

    index: int = 0
    of: int = 1

    def has(self, tap: str) -> bool:
        """Whether this tap is one of them."""
        try:
            return int(tap[-1:], 16) % self.of == self.index
        except ValueError:  # no name of AudioSocket
            return self.index == 0


class ProcessPool:
    """`command(index)`: the command line of a process. `say`: told what the engineer should read."""

    def __init__(
        self, command: Callable[[int], Sequence[str]], processes: int, say: Callable[[str], None]
    ) -> None:
        self._command = command
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._ended: dict[int, float] = dict.fromkeys(range(processes), 0.0)
        self._say = say
        self._stopping = False
        self._interrupted = False
        self._refused = 0
        self._until = 0.0

    def run(self) -> int:
        """Run until a signal, and until the calls that are on have ended; a second signal ends them.

        Return 0, 130 after Ctrl-C, or the status of a process that could not start; its message is on
        stderr.
        """
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._stop)
        self._until = time.monotonic() + STARTING_S
        for index in self._ended.copy():
            self._start(index)
        while self._running or not self._stopping:
            time.sleep(LOOK_S)
            self._look()
        return self._refused or (INTERRUPTED if self._interrupted else 0)

    def _stop(self, number: int, _: object) -> None:
        self._stopping = True
        self._interrupted |= number == signal.SIGINT
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)

    def _start(self, index: int) -> None:
        # A session of its own: Ctrl-C at the terminal comes from here, once.
        self._running[index] = subprocess.Popen(self._command(index), start_new_session=True)
        self._ended.pop(index, None)

    def _look(self) -> None:
        for index, process in tuple(self._running.items()):
            status = process.poll()
            if status is None:
                continue
            del self._running[index]
            if self._stopping:
                continue
            if status > 0 and time.monotonic() < self._until:
                self._refused = status
                self._stop(signal.SIGTERM, None)
                continue
            log.error("a process has ended", extra={"number": index, "status": status})
            self._say(f"process {index} has ended (status {status}): it is started again")
            self._ended[index] = time.monotonic()
        for index, at in tuple(self._ended.items()):
            if not self._stopping and time.monotonic() - at >= AGAIN_S:
                self._start(index)


def command_line(arguments: Sequence[str], index: int) -> list[str]:
    """The process `index` of a pool that was started with these arguments (without the program)."""
    return [sys.executable, "-m", "vad_agent.cli.main", *arguments, "--process", str(index)]
