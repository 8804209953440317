"""The definitions of an audit: a TOML file over the vendors' defaults.

vendor = "nice"            # dead air from 3 s; observe (default): 10, genesys: 15, cisco: 6
[measures]                 # MeasureThresholds
overtalk_s = 0.5
[verdicts]                 # VerdictRules
tolerance_s = 0.3
[flags]                    # CallFlags
hold_s = 120.0
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any

from vad_agent.common.toml_file import Toml, read
from vad_agent.errors import SettingsError
from vad_agent.trace.call_measures import VENDORS, MeasureThresholds
from vad_agent.trace.call_verdicts import VerdictRules

LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class CallFlags:
    """From where on a measure is a reproach of the whole call."""

    silent_share: float = 0.35
    """Observe.AI: a silent call."""
    hold_s: float = 120.0
    """Observe.AI: a hold violation."""
    overtalk_share: float = 0.10
    """Evaluagent and others."""


@dataclass(frozen=True, slots=True)
class AuditRules:
    """All definitions of an audit."""

    measures: MeasureThresholds = field(default_factory=MeasureThresholds)
    verdicts: VerdictRules = field(default_factory=VerdictRules)
    flags: CallFlags = field(default_factory=CallFlags)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None) -> AuditRules:
        """The rules of a file; None: the defaults.

        Raises:
            SettingsError: it cannot be read, or is not valid: one line for each error.
        """
        if path is None:
            return cls()
        source = os.fspath(path)
        table = read(source)
        found: list[str] = []
        vendor = table.pop("vendor", "observe")
        if vendor not in VENDORS:
            found.append(f"vendor: expected one of {', '.join(VENDORS)}, got {vendor!r}")
        tables = {"measures": MeasureThresholds, "verdicts": VerdictRules, "flags": CallFlags}
        expected = f"expected vendor, {', '.join(tables)}"
        found += [f"{name}: unknown key: {expected}" for name in table.keys() - tables.keys()]
        given = {
            name: _numbers(kind, table.get(name, {}), name, found) for name, kind in tables.items()
        }
        if found:
            raise SettingsError(source, sorted(found))
        measured = {"dead_air_s": VENDORS[vendor]} | given["measures"]
        return cls(
            MeasureThresholds(**measured),
            VerdictRules(**given["verdicts"]),
            CallFlags(**given["flags"]),
        )


def _numbers(
    kind: type[Any], table: Toml | object, where: str, found: list[str]
) -> dict[str, float]:
    """The numbers of one table; what is wrong is added to `found`."""
    if not isinstance(table, dict):
        found.append(f"{where}: expected a table of numbers")
        return {}
    known = [one.name for one in fields(kind)]
    numbers = {}
    for name, value in table.items():
        most = 1.0 if name.endswith("_share") else LONGEST_S
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name not in known:
            found.append(f"{where}.{name}: unknown key: expected one of {', '.join(known)}")
        elif not is_number or not 0 <= value <= most:
            found.append(f"{where}.{name}: expected a number from 0 to {most:g}, got {value!r}")
        else:
            numbers[name] = float(value)
    return numbers
