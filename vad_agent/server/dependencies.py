"""Dependencies of all routes: the state of the running desk, and its metrics."""

from __future__ import annotations

from typing import Annotated

from vad_agent.errors import extra
from vad_agent.server.app_state import AppState
from vad_agent.server.metrics import Metrics

with extra("callbacks", "the API"):
    from fastapi import Depends, FastAPI, Request


def set_app_state(app: FastAPI, app_state: AppState, metrics: Metrics) -> None:
    """Set the state that the app's routes use."""
    app.state.app_state, app.state.metrics = app_state, metrics


async def _app_state(request: Request) -> AppState:
    app_state: AppState = request.app.state.app_state
    return app_state


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


CurrentState = Annotated[AppState, Depends(_app_state)]
Measured = Annotated[Metrics, Depends(_metrics)]
