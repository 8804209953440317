"""What a headset tells the desk, as files: written before the farewell is spoken, kept until the desk has it.

    listen ─> outbox/….json ─┬─ a desk on this machine reads the folder
                             └─ a relay posts them to a desk elsewhere

A message is on the disk itself when `post` returns, whoever runs or does not run a desk. Each has a key, so
that one that is delivered twice is taken once. The folder is for its owner alone.

Most messages are of callbacks. One tells of a whole call that is over, with its trace: it comes after all
others (`is_call`), as no callback may wait for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from vad_agent.callbacks.outbox_message import CALL, MOST_BYTES, OutboxMessage
from vad_agent.common.private_files import FileLock, private_folder, state_folder, why
from vad_agent.errors import OutputError

ENDING = ".json"
CALL_ENDING = ".call.json"
REFUSED = "refused"


def outbox_folder() -> Path:
    """Where the headsets of this user leave their letters."""
    return state_folder() / "outbox"


def is_call(path: Path) -> bool:
    """The letter tells of a whole call; its name says so, as it may be none inside."""
    return path.name.endswith(CALL_ENDING)


class Outbox:
    """A folder of letters, each process's in the order in which it posted them.

    Raises:
        OutputError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self.folder = folder
        self._lock = threading.Lock()
        self._own = secrets.token_hex(4)  # no other process, nor another outbox of this one, has it
        self._last = 0

    def post(self, message: OutboxMessage) -> Path:
        """On the disk when this returns.

        Raises:
            OutputError: it could not be written; nothing is left of it.
        """
        with self._lock:
            self._last = max(time.time_ns(), self._last + 1)
            ending = CALL_ENDING if message.kind == CALL else ENDING
            path = self.folder / f"{self._last:020d}-{self._own}{ending}"
        draft = path.with_suffix(".draft")
        private_folder(self.folder)  # somebody may have tidied up
        try:
            _write_durably(draft, message.to_json().encode())
            os.replace(draft, path)
            _sync_folder(self.folder)
        except OSError as error:
            for rest in (draft, path):
                with contextlib.suppress(OSError):
                    rest.unlink()
            what = "call" if message.kind == CALL else "callback"
            raise OutputError(f"{path}: cannot write the {what}: {why(error)}") from error
        return path

    def waiting(self) -> list[Path]:
        """Letters that nobody has taken, the oldest first; those of calls after all others."""
        found = (path for path in self.folder.glob(f"*{ENDING}") if path.is_file())
        return sorted(found, key=lambda path: (is_call(path), path.name))

    def read(self, path: Path) -> OutboxMessage:
        """A letter.

        Raises:
            ValueError: it is none.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError("too long")
        return OutboxMessage.parse(data)

    def each(self, take: Callable[[Path], int]) -> int:
        """Give every letter to `take`, in order; the sum of what it returns, 0 where another one reads.

        Raises:
            OSError: the folder's lock cannot be made.
        """
        count = 0
        if self.waiting():
            with contextlib.suppress(BlockingIOError), one_reader(self.folder):
                for path in self._in_order():
                    count += take(path)
        return count

    def _in_order(self) -> Iterator[Path]:
        """Each letter once; what comes meanwhile goes before the next call."""
        seen: set[Path] = set()
        while rest := [path for path in self.waiting() if path not in seen]:
            for path in rest:
                seen.add(path)
                yield path
                if is_call(path):
                    break

    def done(self, path: Path) -> None:
        """It was taken."""
        path.unlink(missing_ok=True)

    def refuse(self, path: Path) -> Path:
        """It cannot be understood: kept, out of the way."""
        folder = self.folder / REFUSED
        private_folder(folder)
        kept = folder / path.name
        os.replace(path, kept)
        return kept


def _write_durably(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(number, rest) :]
        os.fsync(number)
    finally:
        os.close(number)


def _sync_folder(folder: Path) -> None:
    """The name is on the disk, too; Windows knows no such thing."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # some network drives know no such thing
            raise
    finally:
        os.close(number)


@contextlib.contextmanager
def one_reader(folder: Path) -> Iterator[None]:
    """Nobody else delivers this folder's letters meanwhile.

    Raises:
        BlockingIOError: somebody does.
    """

    lock = FileLock(folder / ".reader.lock")
    try:
        yield
    finally:
        lock.close()
