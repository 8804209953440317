"""Routes for monitoring: liveness, readiness, metrics."""

from __future__ import annotations

from vad_agent.client.api_models import HealthOut, ReadyOut
from vad_agent.errors import extra
from vad_agent.server.app_state import CurrentState, Measured
from vad_agent.web.error_responses import responses

with extra("callbacks", "the API"):
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse, Response
    from prometheus_client import CONTENT_TYPE_LATEST

router = APIRouter(tags=["health"])


@router.get("/health", response_model=HealthOut, responses=responses(500))
async def health(app_state: CurrentState) -> HealthOut:
    """The process answers. It waits for no thread and no store."""
    zone = getattr(app_state.service.store.policy.zone, "key", None) or ""
    return HealthOut(node=app_state.node, zone=zone)


@router.get(
    "/ready",
    response_model=ReadyOut,
    responses={**responses(500), 503: {"model": ReadyOut, "description": "It would not ring now"}},
)
def ready(app_state: CurrentState) -> JSONResponse:
    """Attempts would be made now; else 503 and why not."""
    why = app_state.not_ready()
    answer = ReadyOut(ready=not why, why=why)
    return JSONResponse(answer.model_dump(), 503 if why else 200)


counts = APIRouter(tags=["health"])


@counts.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **responses(401, 403, 500),
    },
)
def metrics(app_state: CurrentState, measured: Measured) -> Response:
    """For Prometheus."""
    text = measured.text(app_state.queries, app_state.alerts, app_state.service.clock.now())
    return Response(text, media_type=CONTENT_TYPE_LATEST)
