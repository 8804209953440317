"""Which recordings are meant: files, folders, globs, @lists, URLs of any store that fsspec knows.

A generator: a folder of a million files costs no more memory than one of a hundred.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from vad_agent.errors import RecordingError, extra

AUDIO = (".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".wv49", ".gsm")
"""Endings of files that are taken from folders; a file that is named is taken whatever its ending."""
TRACE = ".trace.jsonl"

T = TypeVar("T")
Listed = tuple[str, int]
"""A path or URL, and its size in bytes; 0 if unknown."""


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items; the last one may be shorter."""
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def listing(paths: Iterable[str]) -> Iterator[Listed]:
    """The recordings and traces that `paths` name.

    Raises:
        RecordingError: a path names nothing; a list or a store cannot be read.
        MissingExtra: a URL, and fsspec or the store's package is not installed.
    """
    for path in paths:
        if path.startswith("@"):
            yield from listing(_list(path[1:]))
        elif "://" in path:
            yield from _remote(path)
        elif os.path.isdir(path):
            yield from _folder(path)
        elif os.path.exists(path):
            yield os.path.abspath(path), os.path.getsize(path)
        elif glob.has_magic(path):
            yield from _glob(path)
        else:
            raise RecordingError(path, "no such file or folder: check the path")


def _list(name: str) -> Iterator[str]:
    try:
        with open(name, encoding="utf-8-sig", errors="surrogateescape") as file:
            for line in file:
                if text := line.strip():
                    yield text
    except OSError as error:
        raise RecordingError(name, f"the list cannot be read: {error.strerror}") from error


def _wanted(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(AUDIO) or lower.endswith(TRACE)


def _folder(folder: str) -> Iterator[Listed]:
    waiting = [os.path.abspath(folder)]
    while waiting:
        at = waiting.pop()
        try:
            with os.scandir(at) as found:
                for entry in found:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif _wanted(entry.name) and entry.is_file() and not _has_sound(entry.path):
                        yield entry.path, entry.stat().st_size
        except OSError as error:
            raise RecordingError(at, f"the folder cannot be read: {error.strerror}") from error


def _has_sound(path: str) -> bool:
    """The trace of a recorded call, which lies beside its sound: one call, one row."""
    if not path.lower().endswith(TRACE):
        return False
    return os.path.exists(path[: -len(TRACE)] + ".flac")


def _glob(pattern: str) -> Iterator[Listed]:
    found = False
    for path in glob.iglob(pattern, recursive=True):
        if os.path.isfile(path):
            found = True
            yield os.path.abspath(path), os.path.getsize(path)
    if not found:
        raise RecordingError(pattern, "no file has such a name: check the pattern")


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path within it.

    Raises:
        MissingExtra: fsspec, or the package of this kind of store, is not installed.
        RecordingError: there is no such kind of store.
    """
    with extra("archive", f"{url.split('://')[0]}://"):
        import fsspec
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise RecordingError(url, f"{error}") from error
    except ValueError as error:
        raise RecordingError(url, f"no such kind of store: {error}") from error
    return found


def _remote(url: str) -> Iterator[Listed]:
    store, path = filesystem(url)
    scheme = url.split("://")[0]
    try:
        if glob.has_magic(path):
            names: Iterable[tuple[str, Any]] = store.glob(path, detail=True).items()
        elif store.isfile(path):
            names = [(path, store.info(path))]
        else:
            names = (pair for pair in _walk(store, path))
        found = False
        for name, info in names:
            if info.get("type") == "file" and (_wanted(name) or name == path):
                found = True
                yield (
                    f"{scheme}://{name.lstrip('/') if scheme != 'file' else name}",
                    int(info.get("size") or 0),
                )
    except (OSError, ValueError) as error:
        raise RecordingError(url, f"cannot be listed: {_brief(error)}") from error
    if not found:
        raise RecordingError(url, "no recording there: check the URL")


def _walk(store: Any, path: str) -> Iterator[tuple[str, Any]]:
    for _, _, files in store.walk(path, detail=True):
        for info in files.values():
            yield info["name"], info


def _brief(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def local_copy(url: str, folder: Path) -> Path:
    """Fetch the object into `folder`; the caller removes it.

    Raises:
        OSError: the store does not give it.
    """
    store, path = filesystem(url)
    target = folder / os.path.basename(path)
    store.get_file(path, str(target))
    return target
