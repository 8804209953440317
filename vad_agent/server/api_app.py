"""The API of the desk, `/api/v1`: an ASGI app. The routes describe each path; the OpenAPI
description is at `/api/v1/openapi.json`.

    request ─> ErrorMiddleware ─> BearerAuthMiddleware ─> BodyLimit ─> routes ─> service, queries
               headers, errors    token and its scope     size, time

`/health`, `/ready` and `/metrics` also exist without the version, where probes and Prometheus
expect them. Run it without an access log: a query may contain a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import vad_agent
from vad_agent.errors import extra
from vad_agent.server import routes_callbacks, routes_calls, routes_health, routes_hooks
from vad_agent.server.app_state import AppState, set_app_state
from vad_agent.server.bearer_auth import BEARER, V1, BearerAuthMiddleware, Tokens
from vad_agent.server.error_handlers import ErrorMiddleware, install_error_handlers
from vad_agent.server.metrics import Metrics
from vad_agent.web.authentication.refusals import Refusals
from vad_agent.web.body_limit import LIMIT_S, BodyLimit
from vad_agent.web.error_responses import responses

with extra("callbacks", "the API"):
    from fastapi import APIRouter, FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.middleware import Middleware

HOOKS = f"{V1}/hooks/"
OPEN = ("/health", "/ready")
METRICS = "/metrics"

description = APIRouter(tags=["description"], dependencies=[BEARER])


@description.get("/openapi.json", include_in_schema=False, responses=responses(401, 403))
async def openapi(request: Request) -> JSONResponse:
    """This API, described."""
    told: dict[str, Any] = request.app.openapi()
    return JSONResponse(told)


def create_app(
    app_state: AppState,
    tokens: Tokens | Mapping[str, str],
    *,
    more: Sequence[APIRouter] = (),
    metrics: Metrics | None = None,
    refusals: Refusals | None = None,
    open_metrics: bool = False,
    limit_s: float = LIMIT_S,
) -> FastAPI:
    """The API of one desk.

    `tokens`: a mapping: by name, of programs that may do everything. `more`: further routes, below
    `V1`. `metrics`: what the dispatcher feeds, its own if None; with `open_metrics` they need no
    token. `refusals`: counts wrong tokens.
    `limit_s`: within which a request's body must arrive.

    Raises:
        SettingsError: the tokens are not valid.
    """
    if not isinstance(tokens, Tokens):
        tokens = Tokens(tokens)
    open_paths = (*OPEN, METRICS) if open_metrics else OPEN
    everywhere = [prefix + path for prefix in ("", V1) for path in open_paths]
    app = FastAPI(
        title="vad-agent callbacks",
        summary="Callbacks that cannot be lost, doubled or forgotten",
        version=vad_agent.__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(ErrorMiddleware),
            Middleware(BearerAuthMiddleware, tokens, everywhere, HOOKS, refusals),
            Middleware(BodyLimit, limit_s=limit_s),
        ],
    )
    set_app_state(app, app_state, metrics or Metrics(), refusals or Refusals())
    install_error_handlers(app)
    measured = [] if open_metrics else [BEARER]
    for prefix, shown in ((V1, True), ("", False)):
        app.include_router(routes_health.router, prefix=prefix, include_in_schema=shown)
        app.include_router(
            routes_health.counts, prefix=prefix, dependencies=measured, include_in_schema=shown
        )
    for router in (
        routes_callbacks.router,
        routes_calls.router,
        routes_calls.supervisor,
        routes_hooks.router,
        description,
        *more,
    ):
        app.include_router(router, prefix=V1)
    return app
