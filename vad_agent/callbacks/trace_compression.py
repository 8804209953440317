"""Packs a call's trace into one text for a message: JSON lines, compressed, in base64.

    [{"t": 0.02, "kind": "phase", …}, …] ──pack──> "eNq…" ──unpack──> the same

A message has a size limit, so a long trace is reduced: first the speech segments are left out, then
everything except the script's actions, then the last lines. Input from elsewhere is not trusted,
neither its length nor its numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

MOST_PACKED = 60_000
"""Characters of a packed text: 45 KB compressed."""
MOST_UNPACKED = 8 * 1024 * 1024
"""Bytes of the lines."""
LONGEST_S = 366 * 86400.0
"""Upper limit on a call's times, in seconds."""
OF_SCRIPT = frozenset(
    ("prompt", "callback", "callback_revised", "callback_withdrawn", "hangup", "phase")
)
HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""A possible lone surrogate: JSON can contain one, UTF-8 cannot."""

TraceLine = Mapping[str, Any]


def pack(lines: Sequence[TraceLine]) -> str:
    """Pack the lines into at most `MOST_PACKED` characters; the most important ones if all are too
    long.

    A lone surrogate becomes "?".
    """
    encoded: list[bytes] = []
    for matters in (lambda _: True, lambda kind: kind != "speech", lambda kind: kind in OF_SCRIPT):
        encoded = [_encoded(line) for line in lines if matters(line["kind"])]
        if (text := _packed(encoded)) is not None:
            return text
    sizes = range(1, len(encoded))
    most = bisect_left(sizes, True, key=lambda n: _packed(encoded[:n]) is None)
    text = _packed(encoded[:most])
    assert text is not None, most
    return text


def unpack(text: str) -> list[dict[str, Any]]:
    """Unpack the lines. A lone surrogate becomes "?".

    Raises:
        ValueError: the text is not valid, or too long; the message does not quote it.
    """
    if len(text) > MOST_PACKED:
        raise ValueError("lines: too long")
    try:
        told = _inflated(base64.b64decode(text.encode("ascii"), validate=True)).decode()
    except (UnicodeError, binascii.Error, zlib.error):
        raise ValueError("lines: expected base64 of compressed JSON lines") from None
    return [_line(line) for line in told.split("\n") if line]  # not splitlines: it splits elsewhere


def number(value: object, most: float) -> float | None:
    """The value as a number from -`most` to `most`. None: it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -most <= value <= most else None  # NaN is in no range


def _encoded(line: TraceLine) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode(errors="replace")


def _packed(encoded: Sequence[bytes]) -> str | None:
    """The packed text. None: too long."""
    data = b"\n".join(encoded)
    if len(data) > MOST_UNPACKED:
        return None
    text = base64.b64encode(zlib.compress(data, zlib.Z_BEST_COMPRESSION)).decode()
    return text if len(text) <= MOST_PACKED else None


def _inflated(data: bytes) -> bytes:
    """Decompress, using no more memory than `MOST_UNPACKED`, however small the data is."""
    machine = zlib.decompressobj()
    told = machine.decompress(data, MOST_UNPACKED + 1)
    if len(told) > MOST_UNPACKED:
        raise ValueError("lines: too long")
    if not machine.eof or machine.unused_data:
        raise zlib.error
    return told


def _line(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text, parse_float=_finite, parse_constant=_finite)
        if HALF.search(text):
            line = json.loads(_encoded(line))
    except (ValueError, RecursionError):
        raise ValueError("lines: expected JSON, with finite numbers") from None
    if not isinstance(line, dict):
        raise ValueError("lines: expected an object in each")
    t = number(line.get("t"), LONGEST_S)
    if t is None or t < 0:
        raise ValueError("lines: expected a time in each, in seconds: t")
    if not isinstance(line.get("kind"), str):
        raise ValueError("lines: expected a kind in each")
    return line


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
