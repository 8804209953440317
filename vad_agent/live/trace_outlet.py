"""The trace of all calls, written in a thread: a disk or a pipe that hangs stops no call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from vad_agent.common.private_files import Report
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.actions import Action
from vad_agent.live.letter_writer import HANGS
from vad_agent.live.log import TraceLog

MOST_WAITING = 2_000
"""Parts of calls, some lines each: several calls."""
CLOSE_S = 3.0


class TraceOutlet:
    """An outlet of the loop. `log` is closed with it; `report`: told what could not be written."""

    def __init__(self, log: TraceLog, mode: str, report: Report) -> None:
        self.lost = 0
        """Actions that found no room in the queue since the last that did."""
        self._log = log
        self._mode = mode
        self._report = report
        self._unknown = False  # the call's first line found no room: the rest would be another's
        self._writer: WriterThread[Callable[[], None]] = WriterThread(
            "trace", lambda write: write(), most=MOST_WAITING, finish=log.close
        )

    def begin(self, call: str, began: datetime) -> None:
        """Its first line."""
        self._unknown = not self._put(lambda: self._log.begin(call, began, self._mode), 1)

    def take(self, actions: Sequence[Action]) -> None:
        """Its lines."""
        if self._unknown:
            self.lost += len(actions)
        else:
            self._put(lambda: self._log.take(actions), len(actions))

    def end(self) -> None:
        """Nothing: the next call's lines follow."""

    def finish(self) -> None:
        """No more calls will come."""
        self._writer.end()

    def close(self) -> None:
        """Wait a moment for what is being written; what is not is told."""
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
