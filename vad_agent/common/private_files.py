"""Files with call data: private to their owner, robust against a full disk.

`replacing` writes a whole file, or nothing of it. `LineFile` writes line by line:

A line has been passed to the operating system when `write` returns. A line that cannot be written
is reported once, removed as a whole and counted. The next line is tried again, so nothing waits in
memory and no line is ever incomplete.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from vad_agent.errors import OutputError

ReportProblem = Callable[[str], None]
"""Called with one line that a person should know; any thread may call it."""


def state_folder() -> Path:
    """The folder of this user's traces, callbacks and tokens."""
    import platformdirs

    return Path(platformdirs.user_state_dir("vad-agent", appauthor=False))


def private_folder(folder: Path) -> None:
    """The folder; a missing one is created with its parents, private to the owner.

    Raises:
        OutputError: it cannot be created, is not a folder, or is not writable.
    """
    try:
        for missing in reversed([folder, *folder.parents]):
            if not missing.is_dir():
                missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make the folder: {why(error)}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: nothing can be written there: name another folder")


def open_private(path: Path, mode: str) -> io.FileIO:
    """Open the file unbuffered; a new file is private to its owner. `mode`: ab, wb or xb.

    Raises:
        OSError: as `open` does.
    """
    return io.FileIO(path, mode, opener=_opened)


def _opened(name: str, flags: int) -> int:
    """As `os.open`; a new file is its owner's alone, whatever the umask."""
    try:
        number = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(name, flags, 0o600)
    if sys.platform != "win32":
        os.fchmod(number, 0o600)
    return number


def make_private(path: Path) -> None:
    """A file of this user's is the owner's alone, though it was restored or copied with other modes.

    Raises:
        OSError: there is none.
    """
    found = path.stat()
    if sys.platform != "win32" and found.st_uid == os.geteuid() and found.st_mode & 0o077:
        path.chmod(0o600)


@contextlib.contextmanager
def replacing(
    path: Path, *, mode: int = 0o600, durable: bool = False, only_new: bool = False
) -> Iterator[BinaryIO]:
    """Write a file whole or not at all: what is written is a draft beside it, renamed at the end.

    `mode`: permissions; those of others are less the user's umask. `durable`: it is on the disk when
    this returns. `only_new`: a file that another process wrote first is kept.

    Raises:
        OSError: it cannot be written; the file is as before.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if sys.platform != "win32" and mode == 0o600:
                os.fchmod(file.fileno(), mode)
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if not only_new or not _linked(draft, path):
            os.replace(draft, path)
    finally:
        with contextlib.suppress(OSError):  # after the rename it no longer exists
            draft.unlink()


def _linked(draft: Path, path: Path) -> bool:
    """The draft has the name now, or another one had it. False: the file system has no hard links."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return True
    except OSError:
        return path.exists()
    return True


def secret_in(path: Path) -> str:
    """The secret of a private file, one line; created if missing.

    Raises:
        OutputError: it cannot be written, or the file has no secret in it.
    """
    if (secret := read_secret(path)) is None:
        private_folder(path.parent)
        try:
            with replacing(path, only_new=True) as file:
                file.write(f"{secrets.token_urlsafe(32)}\n".encode())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {why(error)}") from error
        secret = read_secret(path)
    if secret is None:
        raise OutputError(f"{path}: expected a token in it: remove the file")
    return secret


def read_secret(path: Path) -> str | None:
    """The secret of a private file. None: there is none."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def replace_text(path: Path, text: str) -> None:
    """Write the whole file or nothing of it; missing folders are created. A link stays a link.

    Raises:
        OutputError: it cannot be written.
    """
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(target) as file:
            file.write(text.encode(errors="surrogateescape"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {why(error)}") from error


def why(error: OSError) -> str:
    """The error in a few words."""
    return error.strerror or str(error)


class LineFile:
    """Appends objects to a file as JSON lines. `what`: its name in errors, such as "trace".

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path, what: str, report: ReportProblem, *, mode: str = "ab") -> None:
        self.path = path
        self.lost = 0
        """Lines that could not be written since the last successful one."""
        self._report = report
        try:
            self._file: io.FileIO | None = open_private(path, mode)
        except OSError as error:
            raise OutputError(f"{path}: cannot write the {what}: {why(error)}") from error

    def write(self, line: Mapping[str, object], *, durable: bool = False) -> None:
        """Append the object. `durable`: it is on the disk itself when this returns."""
        try:
            self._append(_encoded(line))
            if durable and self.regular:
                assert self._file is not None
                os.fsync(self._file.fileno())
        except OSError as error:
            self._failed(error)
            return
        if self.lost:
            missing, self.lost = self.lost, 0
            self._report(f"{self.path}: снова пишется, пропало строк: {missing}")

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._file = open_private(self.path, "ab")
        file, rest = self._file, memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]
        except OSError:
            if len(rest) < len(data) and self.regular:
                file.truncate(file.tell() - (len(data) - len(rest)))
            raise

    def _failed(self, error: OSError) -> None:
        self.lost += 1
        if self.lost == 1:
            self._report(f"{self.path}: не пишется: {why(error)}; звонок идёт дальше")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return 0 if self._file is None else os.fstat(self._file.fileno()).st_size

    @property
    def regular(self) -> bool:
        """It is a file on a disk, not a pipe or a terminal."""
        return self._file is None or stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:  # a network drive reports here that there was no space
                self._failed(error)


def _encoded(line: Mapping[str, object]) -> bytes:
    try:
        return f"{json.dumps(line, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate, which a terminal may send
        return f"{json.dumps(line)}\n".encode()


class FileLock:
    """A lock held by one holder, until it is closed or its process ends. The lock's file stays.

    If the file system does not support locks, everybody gets the lock.

    Raises:
        BlockingIOError: another process, or another lock of this one, holds it.
        OSError: its file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_private(path, "ab")
        try:
            _lock(self._file.fileno())
        except BlockingIOError:
            self._file.close()
            raise

    def is_at(self, path: Path) -> bool:
        """Whether the lock's file is still the one at this path: nobody has removed or replaced it."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), path.stat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Release the lock."""
        self._file.close()


def _lock(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(number, 0, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        import errno
        import fcntl

        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise BlockingIOError(error.errno, error.strerror) from error
