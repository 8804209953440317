"""The state of an audit: which files there are, in which batch each is, which batches are done.

    listing ──add──> files ──next_batch──> batch ──done──> batch
                                             └─ killed before: `unfinished` gives it again, the same files

SQLite, because a resumed audit must know a million files without holding them in memory. A batch's files
never change: its rows are written under its number, so a batch that is run again replaces itself.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from vad_agent.archive.call_audit import AuditJob
from vad_agent.archive.file_listing import Listed, chunked
from vad_agent.archive.file_names import NameFacts, NamePattern, moment
from vad_agent.common.private_files import open_private
from vad_agent.errors import OutputError, SettingsError

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    operator TEXT, number TEXT, began TEXT, batch INTEGER);
CREATE INDEX IF NOT EXISTS waiting ON files (id) WHERE batch IS NULL;
CREATE INDEX IF NOT EXISTS of_batch ON files (batch);
CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, files INTEGER, bytes INTEGER, done INTEGER);
CREATE TABLE IF NOT EXISTS told (name TEXT PRIMARY KEY, operator TEXT, number TEXT, began TEXT);
CREATE TABLE IF NOT EXISTS plan (name TEXT PRIMARY KEY, value TEXT);
"""
CHUNK = 1_000
"""Rows a transaction."""
CSV_COLUMNS = ("file", "operator", "number", "time")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some files that are audited together. `size`: bytes."""

    id: int
    jobs: Sequence[AuditJob]
    size: int


@dataclass(frozen=True, slots=True)
class AuditTotals:
    """So many files, and their bytes."""

    files: int
    size: int


class JobStore:
    """The state of the audit in `folder`. Each thread has its own store.

    Raises:
        OutputError: by each method, if the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit.sqlite"
        with _usable(self.path):
            try:
                # Only a new file: to close one that SQLite has open here would drop SQLite's locks.
                open_private(self.path, "xb").close()
            except FileExistsError:
                pass
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def keep_plan(self, plan: str) -> None:
        """Audit with this plan from now on.

        Raises:
            SettingsError: the folder has results of another plan.
        """
        with _usable(self.path):
            self._db.execute("INSERT OR IGNORE INTO plan VALUES ('plan', ?)", (plan,))
            (kept,) = self._db.execute("SELECT value FROM plan WHERE name = 'plan'").fetchone()
        if kept != plan:
            raise SettingsError(
                str(self.path.parent),
                [
                    "it has results of another script, other rules or another version: name another folder"
                ],
            )

    # -- listing

    def add(self, listed: Iterable[Listed], pattern: NamePattern | None) -> None:
        """Add files that are not known yet."""
        for chunk in chunked(listed, CHUNK):
            with _usable(self.path), self._transaction():
                for source, size in chunk:
                    facts = pattern.read(source) if pattern else NameFacts()
                    began = facts.began.isoformat() if facts.began else None
                    values = (_stored(source), size, facts.operator, facts.number, began)
                    self._db.execute(
                        "INSERT OR IGNORE INTO files (source, size, operator, number, began) "
                        "VALUES (?, ?, ?, ?, ?)",
                        values,
                    )

    def add_told(self, path: Path, zone: tzinfo) -> None:
        """Take what a CSV file tells of the recordings: it takes precedence over their names.

        Raises:
            SettingsError: the file cannot be read, lacks a column or has a wrong time.
        """
        for chunk in chunked(_told(path, zone), CHUNK):
            with _usable(self.path), self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", chunk)

    # -- batches

    def unfinished(self) -> Iterator[Batch]:
        """Batches that were begun and not finished, when the audit was last ended."""
        with _usable(self.path):
            ids = self._db.execute("SELECT id FROM batches WHERE done = 0 ORDER BY id").fetchall()
        for (id,) in ids:
            yield self.batch(id)

    def next_batch(self, size: int, *, partial: bool) -> Batch | None:
        """The next `size` files as a new batch. `partial`: fewer will do. None: there are not so many."""
        with _usable(self.path), self._transaction():
            waiting = "SELECT id, size FROM files WHERE batch IS NULL ORDER BY id LIMIT ?"
            found = self._db.execute(waiting, (size,)).fetchall()
            if not found or (len(found) < size and not partial):
                return None
            total = sum(row[1] for row in found)
            made = self._db.execute(
                "INSERT INTO batches (files, bytes, done) VALUES (?, ?, 0)", (len(found), total)
            )
            ids = [(made.lastrowid, row[0]) for row in found]
            self._db.executemany("UPDATE files SET batch = ? WHERE id = ?", ids)
        assert made.lastrowid is not None
        return self.batch(made.lastrowid)

    def batch(self, id: int) -> Batch:
        """A batch with its files, in order."""
        query = (
            "SELECT source, size, coalesce(t.operator, f.operator), coalesce(t.number, f.number), "
            f"coalesce(t.began, f.began) FROM files f LEFT JOIN told t ON t.name = {_BASENAME} "
            "WHERE batch = ? ORDER BY id"
        )
        with _usable(self.path):
            rows = self._db.execute(query, (id,)).fetchall()
        jobs = [
            AuditJob(
                os.fsdecode(source),
                operator,
                number,
                datetime.fromisoformat(began) if began else None,
            )
            for source, _, operator, number, began in rows
        ]
        return Batch(id, jobs, sum(row[1] for row in rows))

    def done(self, id: int) -> None:
        """The rows of the batch are on the disk."""
        with _usable(self.path):
            self._db.execute("UPDATE batches SET done = 1 WHERE id = ?", (id,))

    def finished(self) -> Iterator[int]:
        """The numbers of the finished batches, in order."""
        with _usable(self.path):
            yield from (
                row[0]
                for row in self._db.execute("SELECT id FROM batches WHERE done = 1 ORDER BY id")
            )

    def known(self) -> AuditTotals:
        """How much there is. Reads every file's row: not for each batch."""
        return self._totals("SELECT count(*), coalesce(sum(size), 0) FROM files")

    def audited(self) -> AuditTotals:
        """How much is done."""
        return self._totals(
            "SELECT coalesce(sum(files), 0), coalesce(sum(bytes), 0) FROM batches WHERE done = 1"
        )

    def _totals(self, query: str) -> AuditTotals:
        with _usable(self.path):
            return AuditTotals(*self._db.execute(query).fetchone())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


_BASENAME = "replace(source, rtrim(source, replace(source, '/', '')), '')"
"""What stands behind the last slash."""


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(f"{path}: the audit's state cannot be used: {error}") from error


def _stored(source: str) -> str | bytes:
    """A file's name that is no UTF-8 is stored as its bytes."""
    try:
        source.encode()
    except UnicodeEncodeError:
        return os.fsencode(source)
    return source


def _told(path: Path, zone: tzinfo) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            sign = max(",;\t", key=head.count)
            file.seek(0)
            table = csv.DictReader(file, delimiter=sign)
            names = table.fieldnames or []
            if "file" not in names or not set(names) & set(CSV_COLUMNS[1:]):
                expected = f"expected a first line with {', '.join(CSV_COLUMNS)}"
                raise SettingsError(str(path), [f"{expected}; got {head.strip()[:80]!r}"])
            for number, row in enumerate(table, start=2):
                yield _told_row(path, number, row, zone)
    except (OSError, UnicodeError, csv.Error) as error:
        raise SettingsError(str(path), [f"cannot be read as CSV in UTF-8: {error}"]) from error


def _told_row(
    path: Path, number: int, row: dict[str, str | None], zone: tzinfo
) -> tuple[str, str | None, str | None, str | None]:
    began = None
    if text := (row.get("time") or "").strip():
        try:
            began = moment(datetime.fromisoformat(text), zone).isoformat()
        except ValueError:
            expected = "expected a time such as 2026-11-30T10:15:00"
            raise SettingsError(
                str(path), [f"line {number}: time: {expected}, got {text!r}"]
            ) from None
    name = (row.get("file") or "").replace("\\", "/").rpartition("/")[2]
    return name, row.get("operator") or None, row.get("number") or None, began
