"""What the name of a recording tells: operator, number, time. A pattern, as each PBX writes names.

    {direction}-{operator}-{number}-{time:%Y%m%d-%H%M%S}-{id}      Asterisk's monitor, the default
    {time:%Y/%m/%d}/{operator}_{number}.mp3                        folders count, from the end of the path

`{operator}`, `{number}` and `{time:…}` (the directives of strptime, or `%s`: seconds since 1970) are
read; any other name in braces is anything but `/`. An ending that the pattern does not name may follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from vad_agent.errors import SettingsError

ASTERISK = "{direction}-{operator}-{number}-{time:%Y%m%d-%H%M%S}-{id}"
_FIELD = re.compile(r"\{(\w+)(?::([^}]*))?\}")
_DIRECTIVES = {
    "Y": r"\d{4}", "m": r"\d{1,2}", "d": r"\d{1,2}", "H": r"\d{1,2}", "M": r"\d{1,2}", "S": r"\d{1,2}",
    "y": r"\d{2}", "f": r"\d{1,6}", "j": r"\d{1,3}", "z": r"[+-]\d{4}|Z", "s": r"\d{9,10}", "%": "%",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What is known of a recording from outside. None: unknown. `began`: aware, UTC."""

    operator: str | None = None
    number: str | None = None
    began: datetime | None = None


class NamePattern:
    """Reads the names of recordings.

    `zone`: of times in names that have none of their own.

    Raises:
        SettingsError: the pattern has no field that is read, or its time is not one of strptime's.
    """

    def __init__(self, pattern: str, zone: tzinfo) -> None:
        self._zone = zone
        self._time = ""
        parts, at, read = [], 0, 0
        for found in _FIELD.finditer(pattern):
            parts.append(re.escape(pattern[at : found.start()]))
            at = found.end()
            name, form = found.groups()
            if name == "time" and form:
                self._time = form
                parts.append(f"(?P<time>{self._form(form, pattern)})")
            elif name in ("operator", "number"):
                parts.append(f"(?P<{name}>[^/]+?)")
            else:
                parts.append("[^/]*?")
                continue
            read += 1
        if not read:
            expected = "expected {operator}, {number} or {time:%Y%m%d-%H%M%S} in it"
            raise SettingsError("--names", [f"{pattern!r}: {expected}"])
        parts.append(re.escape(pattern[at:]))
        try:
            self._regex = re.compile(rf"(?:^|/){''.join(parts)}(?:\.\w+)?$")
        except re.error as error:
            raise SettingsError("--names", [f"{pattern!r}: each field once: {error}"]) from None

    @staticmethod
    def _form(form: str, pattern: str) -> str:
        def directive(found: re.Match[str]) -> str:
            if (letter := found[1]) not in _DIRECTIVES:
                raise SettingsError("--names", [f"{pattern!r}: %{letter} is not supported"])
            return f"(?:{_DIRECTIVES[letter]})"

        return re.sub(r"%(.)", directive, re.sub(r"[.^$*+?()\[\]{}|\\]", r"\\\g<0>", form))

    def read(self, source: str) -> NameFacts:
        """The facts of a path or URL; empty if its name is none of the pattern."""
        found = self._regex.search(source.replace("\\", "/"))
        if found is None:
            return NameFacts()
        told = found.groupdict()
        return NameFacts(told.get("operator"), told.get("number"), self._began(told.get("time")))

    def _began(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            if self._time == "%s":
                return datetime.fromtimestamp(int(text), UTC)
            return moment(datetime.strptime(text, self._time), self._zone)
        except ValueError:  # the 31st of February
            return None


def moment(when: datetime, zone: tzinfo) -> datetime:
    """The moment in UTC; without a zone of its own it is a time of `zone`."""
    return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)
