"""The parent's side of an audio child: a device that is opened, and opened again whenever it is lost.

start ─> opening ──first record──> open ──child ended, or restart()──> lost ─┐
            ^                                                                 │ after PAUSES_S
            └─────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any

from vad_agent.sources.child_records import Flag, Record, read_record

PAUSES_S: Sequence[float] = (0.05, 0.2, 0.4, 0.6, 1.0)
"""Before each further try; the last one for all that follow."""
STEADY_S = 5.0
"""A child that has lived so long is lost anew, not still."""
END_S = 2.0


class DeviceState(StrEnum):
    """Where a device stands."""

    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Opened:
    """The device is open."""

    rate: int
    channels: int
    latency_s: float
    pid: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The device is gone, or could not be opened; it is tried again."""

    why: str
    first: bool
    """It was open until now, or this was the first try."""


Heard = Callable[[Opened | Lost | Record], None]


class AudioChild:
    """One device. `module`: the child's program; `spec`: its device; `heard`: called in a thread of its own
    with what happens, in order; it must not block for long.
    """

    def __init__(self, module: str, spec: Mapping[str, Any], heard: Heard) -> None:
        self._module = module
        self._spec = spec
        self._heard = heard
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of the process and its stdin
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{spec.get('role')}", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> bool:
        """Give the child a command. False: there is none, or it has ended."""
        with self._lock:
            if self._process is None or self._process.stdin is None:
                return False
            try:
                self._process.stdin.write(data)
                self._process.stdin.flush()
            except (OSError, ValueError):
                return False
        return True

    def restart(self) -> None:
        """The stream is not where it should be: end the child, so that it is opened anew."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def move(self, spec: Mapping[str, Any]) -> None:
        """Another device takes this one's place."""
        self._spec = spec
        self.restart()

    def close(self) -> None:
        """End the child and the thread."""
        self._closing.set()
        with self._lock:
            process = self._process
            if process is not None and process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()  # it ends with its parent's pipe
        self._thread.join(END_S)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    def _run(self) -> None:
        tries = 0
        while not self._closing.is_set():
            began = time.perf_counter()
            was_open, why = self._one()
            if self._closing.is_set():
                return
            if was_open and time.perf_counter() - began > STEADY_S:
                tries = 0
            self._heard(Lost(why, first=was_open or tries == 0))
            self._closing.wait(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries += 1

    def _one(self) -> tuple[bool, str]:
        """One child from its start to its end: was it open, and why did it end?"""
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", self._module, json.dumps(self._spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # drivers chatter; what matters comes as a record
            )
        except OSError as error:
            return False, f"cannot be started: {error.strerror}"
        with self._lock:
            self._process = process
        if self._closing.is_set() and process.stdin is not None:
            process.stdin.close()
        assert process.stdout is not None
        was_open, why = self._read(process.stdout)
        with self._lock:
            self._process = None
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return was_open, why or "its process ended"

    def _read(self, stream: IO[bytes]) -> tuple[bool, str]:
        was_open, why = False, ""
        while (record := read_record(stream)) is not None:
            if record.flags & Flag.FAILED:
                why = record.payload.decode(errors="replace")
            elif record.flags & Flag.OPENED:
                was_open = True
                self._heard(Opened(**record.json()))
            else:
                self._heard(record)
        return was_open, why
