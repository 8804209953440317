"""The parent's side of an audio worker: opens a device, and opens it again whenever it is lost.

    start ─> opening ──first record──> open ──worker ended, or restart()──> lost ─┐
                ^                                                                 │ after PAUSES_S
                └─────────────────────────────────────────────────────────────────┘

Nothing here blocks on a worker: commands go through a `WriterThread`. A watchdog (`watch`) kills a
worker that sends nothing or reads nothing, whether the process is stopped or hangs.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any

from vad_agent.audio.ipc_framing import Flag, Record, read_record
from vad_agent.audio.jitter_buffer import LONGEST_STEP_S
from vad_agent.common.writer_thread import WriterThread

PAUSES_S: Sequence[float] = (0.05, 0.2, 0.4, 0.6, 1.0)
"""Seconds before each retry; the last value repeats."""
STEADY_S = 5.0
"""A worker that has lived this long counts as lost again, not as still failing."""
END_S = 2.0
"""Seconds after `end` until the worker is killed."""
OPENING_S = 10.0
"""Seconds for a worker to open its device, and again until its first heartbeat."""
SILENT_S = 1.0
"""Seconds between later heartbeats: a block, or `Flag.ALIVE`."""
TAKING_S = 1.0
"""Seconds for a worker to read a command; reading a phrase takes a millisecond."""
MOST_WAITING = 50
"""Queued commands for a worker."""


class DeviceState(StrEnum):
    """The state of a device."""

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
    """The device is gone, or could not be opened; it is retried."""

    why: str
    first: bool
    """It was open until now, or this was the first try."""


OnReport = Callable[[Opened | Lost | Record], None]


class AudioWorker:
    """One device. `module`: the worker's program; `spec`: its device.

    `on_report`: called in a thread of its own with reports, in order; it must not block for long.
    """

    def __init__(self, module: str, spec: Mapping[str, Any], on_report: OnReport) -> None:
        self._module = module
        self._spec = spec
        self._on_report = on_report
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: WriterThread[bytes] | None = None  # alone writes to stdin, and closes it
        self._patience_s = OPENING_S
        self.silent_s = 0.0
        """Seconds without a message of the worker, by the watchdog's clock."""
        self._taking_s = 0.0
        self._hung = False
        self._watched_at = time.perf_counter()
        self._closing = threading.Event()
        self._end_by = math.inf
        self._thread = threading.Thread(target=self._run, name=f"{spec.get('role')}", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> bool:
        """Queue a command for the worker; never blocks. False: there is no worker, or its queue is full."""
        writer = self._writer
        return writer is not None and writer.put(data)

    def watch(self) -> None:
        """The watchdog, called in each turn of the loop: a hanging worker is killed, and thereby lost."""
        # In limited steps: a stall of this process is not silence of the worker.
        now = time.perf_counter()
        step, self._watched_at = min(now - self._watched_at, LONGEST_STEP_S), now
        writer = self._writer
        self.silent_s += step
        self._taking_s = self._taking_s + step if writer is not None and writer.busy else 0.0
        if self.silent_s > self._patience_s or self._taking_s > TAKING_S:
            self.silent_s = self._taking_s = 0.0
            self._hung = True
            self.restart()

    def restart(self) -> None:
        """The stream is not where it should be: end the worker, so that it is opened again.

        Never blocks.
        """
        process = self._process
        if process is not None:
            process.kill()

    def move(self, spec: Mapping[str, Any]) -> None:
        """Replace the device by another one."""
        self._spec = spec
        self.restart()

    def end(self) -> None:
        """Request the worker's end. Never blocks; a second call does nothing."""
        if not self._closing.is_set():
            self._end_by = time.perf_counter() + END_S
            self._closing.set()
            if (writer := self._writer) is not None:
                writer.end()

    def close(self) -> None:
        """End the worker and the thread. The worker is killed if it has not ended END_S after `end`."""
        self.end()
        try:
            self._thread.join(max(self._end_by - time.perf_counter(), 0.0))
        finally:  # a stopped process would survive an impatient Ctrl-C
            if self._thread.is_alive():
                self.restart()
        self._thread.join(END_S)

    def _run(self) -> None:
        tries = 0
        while not self._closing.is_set():
            began = time.perf_counter()
            was_open, why = self._one()
            if self._closing.is_set():
                return
            if was_open and time.perf_counter() - began > STEADY_S:
                tries = 0
            self._on_report(Lost(why, first=was_open or tries == 0))
            self._closing.wait(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries += 1

    def _one(self) -> tuple[bool, str]:
        """Run one worker until it ends. Return whether it was open, and why it ended."""
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", self._module, json.dumps(self._spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # drivers print noise; errors come as records
            )
        except OSError as error:
            return False, f"cannot be started: {error.strerror}"
        assert process.stdin is not None
        assert process.stdout is not None
        stdin = process.stdin
        self._patience_s, self.silent_s, self._hung = OPENING_S, 0.0, False
        self._process = process
        writer = self._writer = WriterThread(
            "child's stdin",
            lambda data: _write(stdin, data),
            most=MOST_WAITING,
            finish=lambda: _close(stdin),
        )
        if self._closing.is_set():
            writer.end()
        was_open, why = self._read(process.stdout)
        writer.end()
        self._writer = None
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None
        _close(process.stdout)
        writer.close(END_S)  # cannot block: nobody holds the pipe's other end
        return was_open, why or ("its process hung" if self._hung else "its process ended")

    def _read(self, stream: IO[bytes]) -> tuple[bool, str]:
        was_open, why = False, ""
        while (record := read_record(stream)) is not None:
            self.silent_s = 0.0
            if record.flags & Flag.FAILED:
                why = record.payload.decode(errors="replace")
            elif record.flags & Flag.OPENED:
                was_open = True
                self._on_report(Opened(**record.json()))
            else:
                self._patience_s = SILENT_S
                if not record.flags & Flag.ALIVE:
                    self._on_report(record)
        return was_open, why


def _write(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError):  # it has ended, and is reported as lost
        pipe.write(data)
        pipe.flush()


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        pipe.close()
