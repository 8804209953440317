"""Webhooks of dialers: `POST /hooks/{dialer}`, authenticated by the dialer's own signature, not by
a token. Paths below it are equivalent: some senders append the kind of a message, which its body
contains too.

Each outcome is stored before the answer. If one cannot be stored, the answer is 503: the sender
repeats all of them, and those already stored count once. Outcomes of unknown attempts are an error in
the answer (422), counted, and an alert: the sender reports to the wrong desk, or has wrong keys. The
others of the same message are stored.
"""

from __future__ import annotations

import logging
from typing import Annotated

from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.client.api_models import HookOut
from vad_agent.errors import RuleError, extra
from vad_agent.server.app_state import CurrentState, Measured, Refused
from vad_agent.server.error_handlers import Missing
from vad_agent.web.authentication.refusals import Attempted
from vad_agent.web.error_responses import responses

with extra("callbacks", "the API"):
    from fastapi import APIRouter, Depends, Path, Request

log = logging.getLogger(__name__)
router = APIRouter(tags=["hooks"])


async def _raw(request: Request) -> bytes:
    return await request.body()


@router.post("/hooks/{dialer}/{below:path}", response_model=HookOut, include_in_schema=False)
@router.post(
    "/hooks/{dialer}",
    response_model=HookOut,
    responses=responses(401, 404, 408, 413, 422, 500, 503),
    openapi_extra={"requestBody": {"content": {"*/*": {}}}},
)
def take_hook(
    dialer: Annotated[str, Path(max_length=40)],
    app_state: CurrentState,
    metrics: Measured,
    refusals: Refused,
    request: Request,
    body: Annotated[bytes, Depends(_raw)],
) -> HookOut:
    """Take what the other side of a dialer says of its attempts."""
    hook = app_state.hooks.get(dialer)
    if hook is None:
        raise Missing("no dialer of this name is told anything here")
    headers = {name.lower(): value for name, value in request.headers.items()}
    reported = unknown = 0
    try:
        received = hook.receive(headers, body)
    except HookRefused as error:
        if error.status == 401:
            refusals.note(Attempted.HOOK, request.client.host if request.client else "")
        raise
    for told in received:
        try:
            app_state.report(told)
            reported += 1
        except RuleError:
            unknown += 1
            log.warning(
                "an outcome of an unknown attempt", extra={"dialer": dialer, "key": told.key}
            )
    if unknown:
        metrics.unknown_keys(dialer, unknown)
        detail = f"outcomes of {unknown} unknown attempts"
        app_state.alerts.sound(Kind.UNKNOWN_KEY, dialer, app_state.service.clock.now(), detail)
        raise HookRefused(f"{dialer}: key: {unknown} of no attempt made here; {reported} stored")
    return HookOut(reported=reported, unknown=unknown)
