"""A message from a headset to the desk: a callback requested or withdrawn, or a finished call."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime

REQUESTED, WITHDRAWN, ENDED, CALL = "requested", "withdrawn", "ended", "call"
KINDS = (REQUESTED, WITHDRAWN, ENDED, CALL)
NEEDED = {REQUESTED: ("reason",), CALL: ("began", "mode", "lines")}
"""Required fields of each kind, besides those of every message."""
MOST_BYTES = 65_536
LONGEST = {"key": 200, "call": 200, "reason": 32}
"""Lengths that every desk accepts."""
MODES = ("auto", "cue")
YEARS = range(2000, 2100)
"""Years of a clock that was set."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message. `call`: unique over all headsets; `asked`: ISO 8601 with a zone.

    `key`: ASCII, as it is sent in a header. For a call: `began`: ISO 8601 with a zone; `mode`: auto
    or cue; `lines`: its trace, packed (`trace_compression.py`).
    """

    kind: str
    key: str
    call: str
    asked: str
    reason: str | None = None
    due_in_s: float | None = None
    at: str | None = None
    phone: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    topic: str | None = field(default=None, repr=False)
    opening: str | None = field(default=None, repr=False)
    operator: str | None = None
    session: str | None = None
    began: str | None = None
    mode: str | None = None
    lines: str | None = field(default=None, repr=False)

    def to_json(self) -> str:
        """One JSON object, without unknown fields."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, ensure_ascii=True)

    @classmethod
    def parse(cls, text: str | bytes) -> OutboxMessage:
        """Parse a message.

        Raises:
            ValueError: it is not valid; the text gives the reason without quoting the content.
        """
        try:
            told = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(told, dict) or told.get("kind") not in KINDS:
            raise ValueError(f"expected an object with a kind of {', '.join(KINDS)}")
        values = {one.name: told.get(one.name) for one in fields(cls)}
        needed = ("key", "call", "asked", *NEEDED.get(told["kind"], ()))
        for name, value in values.items():
            wanted = (int, float) if name == "due_in_s" else (str,)
            if value in (None, "") and name in needed:
                raise ValueError(f"{name}: missing")
            if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
                raise ValueError(f"{name}: expected {wanted[-1].__name__}")
            if isinstance(value, str) and len(value) > LONGEST.get(name, MOST_BYTES):
                raise ValueError(f"{name}: too long")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name}: expected a finite number")
        message = cls(**values)  # type: ignore[arg-type]
        key = message.key
        if not key.isprintable() or not key.isascii() or key != key.strip():
            raise ValueError("key: expected printable ASCII")
        if not message.call.isprintable():
            raise ValueError("call: expected printable text")
        if message.kind == CALL and message.mode not in MODES:
            raise ValueError(f"mode: expected {' or '.join(MODES)}")
        return message


def new_key() -> str:
    """A unique message key."""
    return secrets.token_hex(12)


def request_fields(message: OutboxMessage) -> Mapping[str, object]:
    """The message as the API's body of a new callback, without fields that would make the API refuse it."""
    foreign = ("kind", *NEEDED[CALL])
    body = {
        name: value
        for name, value in asdict(message).items()
        if value is not None and name not in foreign
    }
    if message.at is not None:
        body.pop("due_in_s", None)
    if not _of_a_set_clock(message.asked):
        del body["asked"]  # the desk then uses its own time
    return body | {"call_on": True, "keep_wrong_number": True}


def _of_a_set_clock(asked: str) -> bool:
    try:
        when = datetime.fromisoformat(asked)
    except ValueError:
        return False
    return when.tzinfo is not None and when.year in YEARS
