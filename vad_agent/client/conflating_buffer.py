"""The part of a headset's state that the desk does not have yet: the newest value per key, never a
queue.

take {"a": 1, "b": 1}   take {"a": 2}   next: a 2, b 1   take {"a": 2}   next: nothing
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 48 * 1024
"""Limit of a message; the desk accepts 64 KiB."""
LONGEST_VALUE = 16 * 1024
"""Bytes of a value; a longer one, which no panel could show, is not sent."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ConflatingBuffer:
    """One headset's state. Any thread may call its methods; nothing blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}  # key → "key":value
        self._waiting: dict[str, None] = {}  # an ordered set

    def take(self, state: Mapping[str, Any]) -> bool:
        """Take the state: all of it, or what has changed. Return whether anything must be sent."""
        encoded = {key: f"{_encode(key)}:{_encode(value)}" for key, value in state.items()}
        with self._lock:
            for key, text in encoded.items():
                value = text.encode(errors="replace")  # a lone surrogate in a device's name
                if len(value) <= LONGEST_VALUE and self._values.get(key) != value:
                    self._values[key] = value
                    self._waiting[key] = None
            return bool(self._waiting)

    def again(self) -> None:
        """Send everything again."""
        with self._lock:
            self._waiting = dict.fromkeys(self._values)

    def next(self) -> str | None:
        """The next message, a JSON object; a long state is split. None: nothing to send."""
        parts: list[bytes] = []
        length = 0
        with self._lock:
            for key in self._waiting:
                length += len(self._values[key]) + 1
                if parts and length > MOST_BYTES:
                    break
                parts.append(self._values[key])
            for key in list(self._waiting)[: len(parts)]:
                del self._waiting[key]
        return f"{{{b','.join(parts).decode()}}}" if parts else None
