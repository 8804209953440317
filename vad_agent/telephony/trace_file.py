"""The traces of many calls at once in one file: JSON lines, each with `of`, the id of its call.

{"t": 0.0, "kind": "call", "id": "…", "of": "…", "began": "…", "mode": "auto", "operator": "anna"}
{"t": 2.94, "kind": "prompt", "of": "…", …
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from vad_agent.common.private_files import LineFile
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.actions import Action
from vad_agent.trace.trace_format import record

MOST_WAITING = 20_000
CLOSE_S = 3.0


class TraceFile:
    """One file, written in a thread. `report`: called with problems.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.lost = 0
        """Lines dropped because the disk is too slow."""
        lines = LineFile(path, "trace", report)
        self._writer: WriterThread[Mapping[str, object]] = WriterThread(
            "trace", lines.write, most=MOST_WAITING, finish=lines.close
        )

    def put(self, line: Mapping[str, object]) -> None:
        """Write this line soon."""
        self.lost += not self._writer.put(line)

    def close(self) -> None:
        """Wait briefly for pending writes."""
        self._writer.close(CLOSE_S)


class CallTraceSink:
    """An action sink: one operator's calls. `call`: the current call's id, as the desk knows it."""

    def __init__(
        self, file: TraceFile, call: Callable[[], str], mode: str, operator: str | None
    ) -> None:
        self._file = file
        self._call = call
        self._mode = mode
        self._operator = operator

    def begin(self, call: str, began: datetime) -> None:
        """Write the call's first line."""
        began = began if began.tzinfo is not None else began.astimezone()
        head = {"t": 0.0, "kind": "call", "id": self._call(), "began": began.isoformat()}
        self._write(head | {"mode": self._mode, "operator": self._operator})

    def take(self, actions: Sequence[Action]) -> None:
        """Write the call's lines."""
        for action in actions:
            if (line := record(action)) is not None:
                self._write(line)

    def end(self) -> None:
        """Do nothing."""

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Write what an answer to a question about an ended call has changed."""
        self.take(actions)

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.put({**line, "of": self._call()})
