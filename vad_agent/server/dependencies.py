"""What every route is given: the office it works in."""

from __future__ import annotations

from typing import Annotated

from vad_agent.errors import extra
from vad_agent.server.app_state import AppState
from vad_agent.server.metrics import Metrics

with extra("callbacks", "the API"):
    from fastapi import Depends, FastAPI, Request


def set_app_state(app: FastAPI, office: AppState, metrics: Metrics) -> None:
    """From now on the app's routes work here."""
    app.state.office, app.state.metrics = office, metrics


async def _office(request: Request) -> AppState:
    office: AppState = request.app.state.office
    return office


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


CurrentState = Annotated[AppState, Depends(_office)]
Measured = Annotated[Metrics, Depends(_metrics)]
