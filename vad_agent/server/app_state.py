"""The parts of a running desk that the API uses, and how its routes get them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.dialers.base import Hooked, OutcomeReporter
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.errors import extra
from vad_agent.server.metrics import Metrics
from vad_agent.web.authentication.refusals import Refusals

with extra("callbacks", "the API"):
    from fastapi import Depends, FastAPI, Request


@dataclass(frozen=True, slots=True)
class AppState:
    """One running desk."""

    service: CallbackService
    queries: CallbackQueries
    alerts: AlertBoard
    node: str
    report: OutcomeReporter
    """Takes outcomes from `hooks`; raises `StoreError` if one could not be stored, `RuleError` for an
    unknown attempt.
    """
    not_ready: Callable[[], list[str]] = list
    """Only the names of failing parts, because everybody may ask; [] if everything works."""
    hooks: Mapping[str, Hooked] = field(default_factory=dict)
    """Dialers that receive outcomes by HTTP, by name."""
    is_known: Callable[[str], bool] = lambda _: True
    """The login is an enabled user's."""


def set_app_state(app: FastAPI, app_state: AppState, metrics: Metrics, refusals: Refusals) -> None:
    """Set the state that the app's routes use."""
    app.state.app_state, app.state.metrics = app_state, metrics
    app.state.refusals = refusals


async def _app_state(request: Request) -> AppState:
    app_state: AppState = request.app.state.app_state
    return app_state


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _refusals(request: Request) -> Refusals:
    refusals: Refusals = request.app.state.refusals
    return refusals


CurrentState = Annotated[AppState, Depends(_app_state)]
Measured = Annotated[Metrics, Depends(_metrics)]
Refused = Annotated[Refusals, Depends(_refusals)]
