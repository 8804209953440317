"""The parts of a running desk that the API uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.dialers.base import Hooked, Report
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService


@dataclass(frozen=True, slots=True)
class AppState:
    """One running desk."""

    service: CallbackService
    queries: CallbackQueries
    alerts: AlertBoard
    node: str
    report: Report
    """Takes outcomes from `hooks`; raises `StoreError` if one could not be stored."""
    not_ready: Callable[[], list[str]] = list
    """Only the names of failing parts, because everybody may ask; [] if everything works."""
    hooks: Mapping[str, Hooked] = field(default_factory=dict)
    """Dialers that receive outcomes by HTTP, by name."""
