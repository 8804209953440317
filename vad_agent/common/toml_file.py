"""TOML in and out: reads a file as a table, merges two tables, writes a table as text.

parse(text)   text → table
read(path)    file → table; every problem of the file is reported in one line
merge(a, b)   b over a
write(table)  table → text that parses to the same table
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vad_agent.errors import SettingsError

MOST_BYTES = 1_000_000
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

Toml = dict[str, Any]


def read(path: str | os.PathLike[str]) -> Toml:
    """The file's table; an empty file is an empty table.

    Raises:
        SettingsError: it cannot be read, is over 1 MB, not UTF-8 or not TOML.
    """
    source = os.fspath(path)
    try:
        with Path(source).open("rb") as file:
            # One byte over the limit is enough to know, whatever the file is.
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError(source, ["no such file"]) from None
    except IsADirectoryError:
        raise SettingsError(source, ["expected a TOML file, got a directory"]) from None
    except PermissionError:
        raise SettingsError(source, ["no permission to read it"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(source, [f"cannot be read: {reason}"]) from None
    if len(content) > MOST_BYTES:
        raise SettingsError(source, ["expected a TOML file of 1 MB at most, got a longer one"])
    try:
        text = content.decode("utf-8-sig")  # Windows editors write a byte order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: expected UTF-8 text, got byte 0x{content[error.start]:02x}"
        raise SettingsError(source, [problem]) from None
    return parse(text, source)


def parse(text: str, source: str) -> Toml:
    """The text's table.

    Raises:
        SettingsError: it is not TOML; the problem names line and column.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(source, ["expected TOML, got lists too deep to read"]) from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise SettingsError(source, [_not_toml(text, str(error))]) from None


def _not_toml(text: str, message: str) -> str:
    """The parser's message after the place; "end of document" gets a line and a column too."""
    position = _POSITION.search(message)
    what = " ".join(_POSITION.sub("", message).split())
    if position is None:
        return f"expected TOML: {what}"
    lines = text.replace("\r\n", "\n").split("\n")
    line, column = position.groups(default="")
    return (
        f"line {line or len(lines)}, column {column or len(lines[-1]) + 1}: expected TOML: {what}"
    )


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Toml:
    """Merge `over` into `base`: tables key by key, other values replace. Neither argument is changed."""
    merged = dict(base)
    for name, value in over.items():
        old = base.get(name)
        merged[name] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def key(name: object) -> str:
    """One part of a key, quoted if TOML requires it."""
    text = str(name)
    return text if _BARE_KEY.fullmatch(text) else _string(text)


def write(table: Mapping[str, Any]) -> str:
    """TOML text for text, numbers, lists of them and tables; None means "not set" and is left out."""
    return "\n".join(_lines(table, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    # A table of tables needs no header of its own; an empty one has nothing else.
    if path and not (table and all(isinstance(value, Mapping) for value in table.values())):
        yield f"\n[{'.'.join(map(key, path))}]"
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    for name, value in table.items():
        # Values come before tables, because a table's header applies to all following lines.
        if name not in tables and value is not None:
            yield f"{key(name)} = {_value(value)}"
    for name, value in tables.items():
        yield from _lines(value, (*path, name))


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
    raise AssertionError(value)


def _string(text: str) -> str:
    # JSON's escapes are valid in TOML; only DEL is allowed unescaped in JSON alone.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
