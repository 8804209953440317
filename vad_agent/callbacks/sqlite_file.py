"""Looks at an SQLite file before it is opened: a damaged one is refused and copied, never written to."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import datetime
from pathlib import Path

from vad_agent.errors import StoreError

BUSY_MS = 5000
_HEADER = b"SQLite format 3\0"


def is_empty(file: Path) -> bool:
    """There is no such file, or nothing in it and in its journal."""
    return not _holds_something(file) and not _journal(file)


def refuse_damaged(file: Path) -> None:
    """Check that an SQLite file is intact.

    Raises:
        StoreError: the file is damaged; a copy of it and of its journal lies next to it.
    """
    found = _found_in(file)
    if found is None:
        return
    copy = _set_aside(file)
    raise StoreError(
        f"{file}: the database is damaged ({found}); nothing was changed, a copy is {copy}: "
        "put a backup in its place, or move it away to begin anew"
    )


def _found_in(file: Path) -> str | None:
    """What is wrong with the file. None: nothing."""
    if not _holds_something(file):
        return "it is empty, its journal is not" if _journal(file) else None
    try:
        with file.open("rb") as opened:  # SQLite treats a very short file as a new database
            if opened.read(len(_HEADER)) != _HEADER:
                return "file is not a database"
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise StoreError(f"{file}: cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        found = str(error)
    return None if found == "ok" else str(found).splitlines()[0]


def _holds_something(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _journal(file: Path) -> bool:
    return _holds_something(Path(f"{file}-wal"))


def _set_aside(file: Path) -> Path:
    """Copy the damaged file; an existing copy is reused. Return the copy's path."""
    journal = Path(f"{file}-wal")
    parts = [file] if file.exists() else []
    parts += [journal] if _holds_something(journal) else []
    stamp = parts[0].stat().st_mtime
    copy = file.with_name(f"{file.name}.damaged-{datetime.fromtimestamp(stamp):%Y%m%dT%H%M%S}")
    for part in parts:
        kept = Path(f"{copy}{part.name.removeprefix(file.name)}")
        if not (kept.exists() and kept.stat().st_size == part.stat().st_size):
            shutil.copy2(part, kept)
    return copy
