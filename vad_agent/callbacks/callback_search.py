"""Search for callbacks by a client's number, a name, an operator's login or the beginning of an id.

A whole number and an id are found in the database, among all callbacks. Anything else is compared
here, with what is decrypted for it, among the newest `MOST_COMPARED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from re import compile, sub

from vad_agent.callbacks.model import Callback
from vad_agent.callbacks.phone_numbers import normalised
from vad_agent.callbacks.row_mapping import from_row
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import callbacks
from vad_agent.common.identity import folded
from vad_agent.errors import NumberError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

MOST_COMPARED = 5_000
MOST_FOUND = 100
LEAST = 3
"""Characters of an id, or digits of a number, that are searched for."""
LONGEST = 250
NUMBER = compile(r"[\d\s()+./-]+")
ID = compile(r"[0-9a-z]+")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found, the newest first, at most `MOST_FOUND`."""

    callbacks: Sequence[Callback] = ()
    is_cut: bool = False
    """There are more."""
    compared: int = 0
    """Callbacks whose names and numbers were compared: the newest ones."""
    total: int = 0
    """All callbacks."""


class CallbackSearch:
    """Search in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, text: str) -> SearchResult:
        """All that the text may mean. Takes up to half a second where names are encrypted.

        Raises:
            StoreError: the store cannot be read.
        """
        text = text.strip()[:LONGEST]
        if not text:
            return SearchResult()
        with self._store.database.reading() as c:
            exactly = _NEWEST_FIRST.where(self._exactly(text)).limit(MOST_FOUND + 1)
            found = {row["id"]: row for row in c.execute(exactly).mappings()}
            newest = c.execute(_NEWEST_FIRST.limit(MOST_COMPARED)).mappings()
            compared = 0
            for row in newest:
                compared += 1
                if row["id"] not in found and self._matches(row, text):
                    found[row["id"]] = row
            total = c.execute(sa.select(sa.func.count()).select_from(callbacks)).scalar() or 0
        ordered = sorted(found.values(), key=lambda row: (row["created"], row["id"]), reverse=True)
        shown = [from_row(row, self._store.encryption) for row in ordered[:MOST_FOUND]]
        return SearchResult(shown, len(ordered) > MOST_FOUND, compared, total)

    def _exactly(self, text: str) -> sa.ColumnElement[bool]:
        """By the whole number, or the beginning of an id."""
        alike: list[sa.ColumnElement[bool]] = [sa.false()]
        try:
            number = normalised(text, self._store.policy.region)
        except NumberError:
            pass
        else:
            alike.append(callbacks.c.client == self._store.encryption.look_up(number))
        if len(text) >= LEAST and ID.fullmatch(text.lower()):
            alike.append(callbacks.c.id.startswith(text.lower(), autoescape=True))
        return sa.or_(*alike)

    def _matches(self, row: sa.RowMapping, text: str) -> bool:
        name = folded(text)
        if name in folded(row["operator"] or ""):
            return True
        opened = self._store.encryption.open
        if NUMBER.fullmatch(text):
            digits = _digits(text)
            if len(digits) < LEAST:
                return False
            number = _digits(opened(row["phone"]) or opened(row["phone_given"]) or "")
            # 8 912 is the beginning of +7 912
            national = digits[1:] if digits.startswith("8") else None
            return digits in number or (bool(national) and number.startswith(f"7{national}"))
        return name in folded(opened(row["name"]) or "")


_NEWEST_FIRST = sa.select(callbacks).order_by(callbacks.c.created.desc(), callbacks.c.id.desc())


def _digits(text: str) -> str:
    return sub(r"\D", "", text)
