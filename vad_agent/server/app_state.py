"""What the API speaks to: the parts of one running desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vad_agent.callbacks.alerts import Alarms
from vad_agent.callbacks.dialers.base import Hooked, Report
from vad_agent.callbacks.queries import Ledger
from vad_agent.callbacks.service import Desk


@dataclass(frozen=True, slots=True)
class AppState:
    """One running desk."""

    desk: Desk
    ledger: Ledger
    alarms: Alarms
    node: str
    report: Report
    """Takes what `hooks` were told; raises `StoreError` where it could not be stored."""
    not_ready: Callable[[], list[str]] = list
    """Names of what fails, and no more, as everybody may ask; [] where all is well."""
    hooks: Mapping[str, Hooked] = field(default_factory=dict)
    """Dialers that are told outcomes by HTTP, by name."""
