"""Outbox: messages from a headset to the desk, as files that are kept until the desk has taken them.

    listen ─> outbox/….json ─┬─ a desk on this machine reads the folder
                             └─ a relay posts them to a desk elsewhere

When `post` returns, the message is on the disk itself, whether or not a desk is running. A callback
request is therefore safe before the farewell is spoken. Each message has a key, so that a duplicate
delivery counts once. Only the folder's owner can read it.

Most messages concern callbacks. A message with a whole finished call and its trace is delivered
after all others (`is_call`), because no callback may wait for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vad_agent.callbacks.outbox_message import CALL, MOST_BYTES, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.common.private_files import FileLock, private_folder, state_folder, why
from vad_agent.errors import OutputError

ENDING = ".json"
CALL_ENDING = ".call.json"
REFUSED = "refused"
STALE_S = 15.0
"""Seconds without a message after which a reader counts as standing still: a store that does not
answer gives up before.
"""


def outbox_folder() -> Path:
    """The outbox folder of this user's headsets."""
    return state_folder() / "outbox"


def is_call(path: Path) -> bool:
    """The message contains a whole call. Its file name says so, because its content may be invalid."""
    return path.name.endswith(CALL_ENDING)


class Outbox:
    """A folder of messages. Messages of one process stay in the order in which it posted them.

    Raises:
        OutputError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self.folder = folder
        self._lock = threading.Lock()
        self._own = secrets.token_hex(4)  # unique among processes and outboxes
        self._last = 0

    def post(self, message: OutboxMessage) -> Path:
        """Store a message. It is on the disk when this returns.

        Raises:
            OutputError: it could not be written; nothing of it remains.
        """
        with self._lock:
            self._last = max(time.time_ns(), self._last + 1)
            ending = CALL_ENDING if message.kind == CALL else ENDING
            path = self.folder / f"{self._last:020d}-{self._own}{ending}"
        draft = path.with_suffix(".draft")
        private_folder(self.folder)  # it may have been deleted
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
        """Messages that nobody has taken, oldest first; those with calls after all others."""
        found = (path for path in self.folder.glob(f"*{ENDING}") if path.is_file())
        return sorted(found, key=lambda path: (is_call(path), path.name))

    def read(self, path: Path) -> OutboxMessage:
        """Read a message.

        Raises:
            ValueError: it is not valid.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError("too long")
        return OutboxMessage.parse(data)

    def requested(self, paths: Iterable[Path]) -> frozenset[str]:
        """The calls whose callbacks these messages request, and have not withdrawn: one each, however
        many messages it has. A message that cannot be read counts as one, by its file's name.
        """
        calls: dict[str, bool] = {}
        for path in paths:
            try:
                message = self.read(path)
            except FileNotFoundError:  # taken just now
                continue
            except (OSError, ValueError):
                calls[path.name] = True
                continue
            if message.kind in (REQUESTED, WITHDRAWN):
                calls[message.call] = message.kind == REQUESTED
        return frozenset(call for call, stands in calls.items() if stands)

    def each(self, take: Callable[[Path], int]) -> int:
        """Pass every message to `take`, in order. Return the sum of its results, 0 if another
        reader is active.

        Raises:
            OSError: the folder's lock cannot be created.
        """
        count = 0
        if self.waiting():
            with contextlib.suppress(BlockingIOError), one_reader(self.folder) as keep_lock:
                for path in self._in_order():
                    keep_lock()
                    count += take(path)
        return count

    def _in_order(self) -> Iterator[Path]:
        """Each message once; a new callback message goes before the next call."""
        seen: set[Path] = set()
        while rest := [path for path in self.waiting() if path not in seen]:
            for path in rest:
                seen.add(path)
                yield path
                if is_call(path):
                    break

    def done(self, path: Path) -> None:
        """The message was taken: delete it."""
        path.unlink(missing_ok=True)

    def refuse(self, path: Path) -> Path:
        """The message cannot be understood: move it to a folder of its own. Return where it is now:
        where it was, if it cannot be moved.
        """
        kept = self.folder / REFUSED / path.name
        try:
            private_folder(kept.parent)
            os.replace(path, kept)
        except (OSError, OutputError):
            return path
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
    """Sync the directory entry too; not possible on Windows."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # some network drives do not support it
            raise
    finally:
        os.close(number)


@contextlib.contextmanager
def one_reader(folder: Path) -> Iterator[Callable[[], None]]:
    """Lock the folder, so that only one process delivers its messages.

    Yields what the reader calls before each message; it raises BlockingIOError if another has taken
    over, since this one stood still for longer than STALE_S (suspended, or its disk hung). A message
    may then be taken twice, which changes nothing. Where an open file cannot be removed (Windows)
    nobody takes over.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    path = folder / ".reader.lock"
    try:
        lock = FileLock(path)
    except BlockingIOError:
        if not _is_stale(path):
            raise
        with contextlib.suppress(OSError):
            path.unlink()
        lock = FileLock(path)

    def keep_lock() -> None:
        if not lock.is_at(path):
            raise BlockingIOError(errno.EAGAIN, "another reader has taken over")
        os.utime(path)

    try:
        keep_lock()
        yield keep_lock
    finally:
        lock.close()


def _is_stale(lock: Path) -> bool:
    try:
        return time.time() - lock.stat().st_mtime > STALE_S
    except FileNotFoundError:  # another takes over now
        return False
