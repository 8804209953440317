"""What the API speaks to: the parts of one running desk."""

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
    """Takes what `hooks` were told; raises `StoreError` where it could not be stored."""
    not_ready: Callable[[], list[str]] = list
    """Names of what fails, and no more, as everybody may ask; [] where all is well."""
    hooks: Mapping[str, Hooked] = field(default_factory=dict)
    """Dialers that are told outcomes by HTTP, by name."""
