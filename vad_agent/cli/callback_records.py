"""Callbacks for programs and spreadsheets: the API's fields as JSON, or as CSV.

JSON has times in UTC. CSV has local times, in a form that spreadsheets read.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from vad_agent.callbacks.model import Callback
from vad_agent.cli.callback_tables import text
from vad_agent.common.csv_export import lines
from vad_agent.common.private_files import replacing, why
from vad_agent.common.time_zones import zone_name
from vad_agent.errors import OutputError

TIMES = ("created", "due", "next", "early", "again", "ended")
PERSONAL = ("name", "topic", "opening")
HIDDEN = "…"


class Mask(Enum):
    """Which fields are masked."""

    NOTHING = "nothing"
    NUMBERS = "numbers"
    PERSONAL = "personal"
    """Numbers, names, topics and spoken texts."""


def record(callback: Callback, mask: Mask) -> dict[str, Any]:
    """The API's fields, with masking."""
    from vad_agent.callbacks.phone_numbers import masked
    from vad_agent.client.api_models import CallbackOut

    told = CallbackOut.model_validate(callback).model_dump(mode="json")
    if mask is not Mask.NOTHING:
        names = ("phone", "phone_given", "extension")
        told |= {name: masked(told[name]) or None for name in names}
    if mask is Mask.PERSONAL:
        told |= {name: HIDDEN for name in PERSONAL if told[name]}
    return told


def write_json_list(out: TextIO, records: Iterable[dict[str, Any]]) -> None:
    """Write a JSON list with one object per line."""
    lines = [json.dumps(one, ensure_ascii=False) for one in records]
    out.write("[" + ",\n ".join(lines) + "]\n")


def write_json_lines(out: TextIO, records: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object per line. Return their number."""
    count = 0
    for count, one in enumerate(records, 1):  # noqa: B007 - it is the count
        out.write(json.dumps(one, ensure_ascii=False) + "\n")
    return count


def write_csv(
    out: TextIO, records: Iterable[dict[str, Any]], zone: tzinfo, separator: str = ","
) -> int:
    """Write one row per record, below the field names; times in `zone`, which the last column names.
    Return their number.
    """
    name_of_zone = zone_name(zone)
    rows = ([*(_cell(name, one[name], zone) for name in FIELDS), name_of_zone] for one in records)
    count = -1
    for count, line in enumerate(lines((*FIELDS, "zone"), rows, separator)):  # noqa: B007 - it is the count
        out.write(line)
    return count


FIELDS = (
    "id",
    "state",
    "open",
    "reasons",
    "created",
    "due",
    "next",
    "early",
    "fixed",
    "key",
    "attempt",
    "generation",
    "failures",
    "asked_operators",
    "again",
    "phone",
    "phone_given",
    "name",
    "topic",
    "opening",
    "operator",
    "session",
    "ended",
    "extension",
    "merged",
)


def _cell(name: str, value: Any, zone: tzinfo) -> str:
    if name in TIMES and value is not None:
        return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(value)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return text(value)


# -- output
# -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stdout() -> Iterator[TextIO]:
    """UTF-8 on every machine, without newline translation."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace", newline="")
    yield sys.stdout


def write_file(path: Path, write: Callable[[TextIO], int]) -> int:
    """Write a file atomically, private to its owner. Return what `write` returns.

    Raises:
        OutputError: it cannot be written.
    """
    check_file(path)
    path = Path(os.path.realpath(path))
    try:
        with replacing(path) as file:
            out = io.TextIOWrapper(file, encoding="utf-8", newline="", errors="replace")
            count = write(out)
            out.detach()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {why(error)}") from error
    return count


def check_file(path: Path) -> None:
    """Check the output path before anything is read.

    Raises:
        OutputError: no file can be created there.
    """
    if path.is_dir():
        raise OutputError(f"{path}: it is a folder: name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}: create it first")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: it is a device or a pipe: name a file")
