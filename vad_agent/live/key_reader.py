"""Bytes of a terminal → keys: letters of several bytes, arrows that are left out, pastes."""

from __future__ import annotations

import codecs
import re

PASTE_LONGEST = 4096

_SEQUENCE = re.compile(r"\x1b(?:\[\[.|\[[0-?]*[ -/]*[@-Z\\-~]|O.)", re.DOTALL)
_BEGUN = re.compile(r"\x1b(?:\[\[?[0-?]*[ -/]*|O)?", re.DOTALL)
_PASTE, _PASTE_END = "\x1b[200~", "\x1b[201~"


class KeyReader:
    """Bytes of a terminal → keys. Arrows and other sequences are left out; a paste is one key."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._rest = ""

    @property
    def waiting(self) -> bool:
        """It may be Esc, or the beginning of a sequence: only time tells."""
        return bool(self._rest) and not self._rest.startswith(_PASTE)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete."""
        self._rest += self._decoder.decode(data)
        keys: list[str] = []
        while self._rest:
            if self._rest.startswith(_PASTE):
                text, end, rest = self._rest[len(_PASTE) :].partition(_PASTE_END)
                if not end and len(text) < PASTE_LONGEST:
                    break
                keys += [text] if text else []
                self._rest = rest
            elif found := _SEQUENCE.match(self._rest):
                self._rest = self._rest[found.end() :]
            elif _BEGUN.fullmatch(self._rest):
                break
            else:
                keys.append(self._rest[0])
                self._rest = self._rest[1:]
        return keys

    def flush(self) -> list[str]:
        """Nothing followed: a lone Esc is the key, a broken sequence is nothing."""
        if not self.waiting:
            return []
        rest, self._rest = self._rest, ""
        return [rest] if rest == "\x1b" else []
