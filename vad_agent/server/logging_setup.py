"""The desk's log on stderr: time, level, a static text, values as fields. No names, no numbers."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Fields(logging.Formatter):
    """`2026-01-31T12:00:00.000+03:00 WARNING alarm kind=overdue about=…`; `as_json`: one JSON
    object per line.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on its own lines, or in a field."""
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        when = (
            datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        )
        trace = self.formatException(record.exc_info) if record.exc_info else None
        if self._as_json:
            told = {"t": when, "level": record.levelname, "text": record.getMessage(), **fields}
            return json.dumps(told | ({"trace": trace} if trace else {}), default=str)
        values = "".join(f" {name}={_word(value)}" for name, value in fields.items())
        line = f"{when} {record.levelname} {record.getMessage()}{values}"
        return f"{line}\n{trace}" if trace else line


def _word(value: object) -> str:
    text = str(value)
    printable = text.isprintable()
    if text and printable and " " not in text:
        return text
    return json.dumps(text, ensure_ascii=not printable)


def log_to_stderr(*, as_json: bool = False) -> None:
    """Log the product from INFO, libraries from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Fields(as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("vad_agent").setLevel(logging.INFO)
