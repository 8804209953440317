"""The trace of a shift: every call's actions as JSON lines, in real time.

{"t": 0.0, "kind": "call", "id": "…", "began": "2030-05-13T12:00:00+03:00", "mode": "auto"}
{"t": 0.02, "kind": "phase", …                     `t` counts from the call's own start

listen.trace.jsonl ──full, between two calls──> listen.trace.jsonl.1 ──> … ──> .4 ──> deleted
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from vad_agent.common.private_files import (
    FileLock,
    LineFile,
    ReportProblem,
    private_folder,
    state_folder,
    why,
)
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.actions import Action, CallbackRequested, CallbackWithdrawn
from vad_agent.errors import OutputError
from vad_agent.headset.callback_write_ahead import HANGS
from vad_agent.trace.trace_format import record

MOST_BYTES = 10_000_000
"""A file of this size is full; the current call is still written to its end."""
FILES = 5
MOST_AT_ONCE = 20
"""Processes that may write a trace of one name."""
ENDING = ".trace.jsonl"


def default_path() -> Path:
    """The trace in the user's state folder."""
    return state_folder() / f"listen{ENDING}"


class TraceLog:
    """An action sink of the loop. `path`: None: in the user's state folder; `report` is called with
    problems.

    A second process that writes the same trace gets a name of its own: listen-2.trace.jsonl.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path | None = None,
        report: ReportProblem = lambda text: None,
        *,
        most_bytes: int = MOST_BYTES,
        files: int = FILES,
    ) -> None:
        wanted = default_path() if path is None else path
        self._most_bytes = most_bytes
        self._files = files
        self._lock: FileLock | None = None
        if wanted.exists() and not (wanted.is_file() or wanted.is_dir()):
            self.path = wanted  # a pipe or a terminal needs no lock
        else:
            private_folder(wanted.parent)
            self.path, self._lock = _own_name(wanted)
        if self.path != wanted:
            report(f"{wanted} пишет другой vad-agent; журнал этого: {self.path}")
        try:
            self._lines = LineFile(self.path, "trace", report)
        except OutputError:
            self._unlock()
            raise

    def begin(self, call_id: str, began: datetime, mode: str) -> None:
        """A call begins; `began`: aware, or local time. A full file is rotated first."""
        if self._lines.regular:
            full = self._lines.size >= self._most_bytes
            self._lines.close()  # reopened for the line: it may have been moved or deleted
            if full:
                self._put_away()
        began = began if began.tzinfo is not None else began.astimezone()
        line = {"t": 0.0, "kind": "call", "id": call_id, "began": began.isoformat(), "mode": mode}
        self._lines.write(line)

    def take(self, actions: Sequence[Action]) -> None:
        """Append the actions in order. A callback's line is on the disk itself when this returns."""
        for action in actions:
            if (line := record(action)) is not None:
                durable = isinstance(action, CallbackRequested | CallbackWithdrawn)
                self._lines.write(line, durable=durable)

    def late(self, call_id: str, actions: Sequence[Action]) -> None:
        """Append actions of a call that is over; `of` in each line names it."""
        for action in actions:
            if (line := record(action)) is not None:
                self._lines.write(line | {"of": call_id}, durable=True)

    def close(self) -> None:
        """Close the file and release its name."""
        self._lines.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _put_away(self) -> None:
        names = [self.path, *(Path(f"{self.path}.{n}") for n in range(1, self._files))]
        # If it fails (on Windows a reader has it open), the file grows; the next call tries again.
        with contextlib.suppress(OSError):
            for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
                if newer.exists():
                    os.replace(newer, older)


def _own_name(wanted: Path) -> tuple[Path, FileLock]:
    """The first name that no other process writes, and the lock that reserves it."""
    stem, ending = wanted.stem, wanted.suffix
    if wanted.name.endswith(ENDING):
        stem, ending = wanted.name.removesuffix(ENDING), ENDING
    for number in range(1, MOST_AT_ONCE + 1):
        path = wanted if number == 1 else wanted.with_name(f"{stem}-{number}{ending}")
        try:
            return path, FileLock(path.with_name(f".{path.name}.lock"))
        except BlockingIOError:
            continue
        except OSError as error:
            raise OutputError(f"{path}: cannot write the trace: {why(error)}") from error
    raise OutputError(f"{wanted}: {MOST_AT_ONCE} processes write it already: end some of them")


MOST_WAITING = 2_000
"""Parts of calls, some lines each: enough for several calls."""
CLOSE_S = 3.0


class TraceSink:
    """An action sink of the loop.

    `log` is closed with it; `report`: called with what could not be written.
    """

    def __init__(self, log: TraceLog, mode: str, report: ReportProblem) -> None:
        self.lost = 0
        """Actions dropped by the full queue since the last that fitted."""
        self._log = log
        self._mode = mode
        self._report = report
        self._unknown = False  # the call's first line was dropped: drop its others
        self._writer: WriterThread[Callable[[], None]] = WriterThread(
            "trace", lambda write: write(), most=MOST_WAITING, finish=log.close
        )

    def begin(self, call: str, began: datetime) -> None:
        """Write the call's first line."""
        self._unknown = not self._put(lambda: self._log.begin(call, began, self._mode), 1)

    def take(self, actions: Sequence[Action]) -> None:
        """Write the call's lines."""
        if self._unknown:
            self.lost += len(actions)
        else:
            self._put(lambda: self._log.take(actions), len(actions))

    def end(self) -> None:
        """Do nothing: the next call's lines follow."""

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Write lines of a call that is over."""
        self._put(lambda: self._log.late(call, actions), len(actions))

    def finish(self) -> None:
        """No more calls will come."""
        self._writer.end()

    def close(self) -> None:
        """Wait briefly for pending writes; report what is not written."""
        if not self._writer.close(CLOSE_S):
            self._report(f"{self._log.path}: не дописан: {HANGS}")

    def _put(self, write: Callable[[], None], count: int) -> bool:
        if not self._writer.put(write):
            if not self.lost:
                self._report(f"{self._log.path}: не пишется: {HANGS}; звонок идёт дальше")
            self.lost += count
            return False
        if self.lost:
            missing, self.lost = self.lost, 0
            self._report(f"{self._log.path}: снова пишется, пропало строк: {missing}")
        return True
