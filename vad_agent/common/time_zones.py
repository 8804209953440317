"""The time zone of this machine, with its rules: the offset of a time is that of its day, not of the
program's start.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LINK, NAME = Path("/etc/localtime"), Path("/etc/timezone")
FOLDER = "zoneinfo/"


class MachineZone(tzinfo):
    """The machine's zone where it has no name: its C library is asked for each time."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        """Offset from UTC."""
        return _own(when).utcoffset() or timedelta()

    def dst(self, when: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    def tzname(self, when: datetime | None) -> str:
        """Abbreviation, such as MSK."""
        return _own(when).tzname() or ""

    def fromutc(self, when: datetime) -> datetime:
        """The local time of a time in UTC."""
        return when.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)


def _own(when: datetime | None) -> datetime:
    return (when or datetime.now()).replace(tzinfo=None).astimezone()


def machine_zone() -> tzinfo:
    """The machine's zone: by its name, if it has one and that is what the clock shows."""
    for name in _names():
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
        now = datetime.now(UTC)
        if now.astimezone(zone).utcoffset() == now.astimezone().utcoffset():
            return zone
    return MachineZone()


def _names() -> list[str]:
    if own := os.environ.get("TZ", "").removeprefix(":"):
        return [own]
    found = [os.path.realpath(LINK)]
    with contextlib.suppress(OSError):
        found.insert(0, os.readlink(LINK))
    names = [one.rpartition(FOLDER)[2] for one in found if FOLDER in one]
    with contextlib.suppress(OSError, ValueError):
        names.append(NAME.read_text(encoding="ascii").strip())
    return [name for name in names if name]


def zone_name(zone: tzinfo) -> str:
    """The name of a zone for people: Europe/Moscow; where it has none, its abbreviation or offset now."""
    now = datetime.now(zone)
    return getattr(zone, "key", None) or now.tzname() or f"UTC{now:%z}"
