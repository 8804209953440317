"""Maps callbacks and requests to rows and back; personal data is encrypted."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vad_agent.callbacks.field_encryption import FieldEncryption
from vad_agent.callbacks.model import Callback, Request, State
from vad_agent.common.identity import folded

PERSONAL = ("phone", "phone_given", "extension", "name", "topic", "opening")
_LISTS = ("reasons", "asked_operators")
_FIELDS = tuple(field.name for field in dataclasses.fields(Callback))


def to_row(callback: Callback, encryption: FieldEncryption) -> dict[str, Any]:
    """The columns of `tables.callbacks`."""
    row = {name: getattr(callback, name) for name in _FIELDS}
    row["state"] = callback.state.value
    for name in _LISTS:
        row[name] = list(row[name])
    for name in PERSONAL:
        row[name] = encryption.close(row[name] or None)
    row["client"] = encryption.look_up(callback.phone)
    row["operator_folded"] = None if callback.operator is None else folded(callback.operator)
    return row


def from_row(row: Mapping[Any, Any], encryption: FieldEncryption) -> Callback:
    """Build the callback. Erased texts are None, an erased opening is "".

    Raises:
        StoreError: it was encrypted with another key.
    """
    values = {name: row[name] for name in _FIELDS}
    values["state"] = State(values["state"])
    for name in _LISTS:
        values[name] = tuple(values[name])
    for name in PERSONAL:
        values[name] = encryption.open(values[name])
    values["opening"] = values["opening"] or ""
    return Callback(**values)


def changed(before: Callback | None, after: Callback) -> dict[str, Any]:
    """The change for history: {field: [before, after]}; for personal data only that it changed."""
    told: dict[str, Any] = {}
    for name in _FIELDS:
        old, new = (getattr(before, name) if before else None), getattr(after, name)
        if name == "id" or old == new or (new in (None, "", ()) and old in (None, "", ())):
            continue
        told[name] = "changed" if name in PERSONAL else [_plain(old), _plain(new)]
    return told


def storable(request: Request) -> Request:
    """The request without surrogates and NULs, which no database accepts: no name may lose a request.

    Names are composed (NFC): the same name is the same text.
    """
    texts: dict[str, Any] = {
        field.name: _composed(field.name, storable_text(text))
        for field in dataclasses.fields(request)
        if isinstance(text := getattr(request, field.name), str)
    }
    return dataclasses.replace(request, **texts)


def _composed(name: str, text: str) -> str:
    return unicodedata.normalize("NFC", text) if name in PERSONAL else text


def storable_text(text: str) -> str:
    """The text without characters that no database accepts."""
    return text.replace("\0", "").encode(errors="replace").decode()


def request_body(request: Request) -> str:
    """The request as it was made, JSON."""
    return json.dumps(
        {
            name: _plain(value)
            for name, value in dataclasses.asdict(request).items()
            if value not in (None, "")
        },
        ensure_ascii=False,
    )


def is_same(request: Request, body: str | None) -> bool:
    """Whether a request with the same key asks for the same. An erased request cannot be compared."""
    if body is None:
        return True
    told = json.loads(body)
    return all(
        (getattr(request, name) or None) == told.get(name) for name in ("phone", "reason", "call")
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
