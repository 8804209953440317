"""The operator's callbacks: `/panel/callbacks` and the paths under it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from vad_agent.errors import extra
from vad_agent.web.dependencies import Context, CurrentSession, OwnPage
from vad_agent.web.operator_callbacks import OperatorCallbacks, Refused

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, Depends, Request
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

NO_OBJECT = "Ожидается объект JSON"

router = APIRouter(prefix="/panel")


def _callbacks(context: Context, session: CurrentSession) -> OperatorCallbacks:
    mine = context.callbacks_of(session.operator)
    if mine is None:
        raise HTTPException(404)
    return mine


Mine = Annotated[OperatorCallbacks, Depends(_callbacks)]


async def _body(request: Request) -> Mapping[str, Any]:
    try:
        told = json.loads(await request.body())
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Refused(400, NO_OBJECT)
    return told


JsonBody = Annotated[Mapping[str, Any], Depends(_body)]


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"Ожидается {name}")
    return value.strip()


@router.get("/callbacks")
def my_callbacks(mine: Mine, session: CurrentSession) -> dict[str, Any]:
    """The callbacks that this operator, or anybody, is to make."""
    return mine.all()


@router.post("/callbacks/{id}/accept")
def accept(id: str, mine: Mine, session: OwnPage) -> Response:
    """The operator calls by hand what is offered."""
    mine.accept(id)
    return Response(status_code=204)


@router.post("/callbacks/{id}/outcome")
def say_outcome(id: str, mine: Mine, session: OwnPage, body: JsonBody) -> Response:
    """Report the outcome of the operator's attempt."""
    key = _text(body, "key") if body.get("key") is not None else None
    mine.outcome(id, _text(body, "outcome"), key)
    return Response(status_code=204)


@router.post("/callbacks/{id}/not-needed")
def say_not_needed(id: str, mine: Mine, session: OwnPage, body: JsonBody) -> Response:
    """Cancel a callback that is not needed."""
    mine.not_needed(id, _text(body, "why"))
    return Response(status_code=204)


@router.post("/callbacks/{id}/number")
def set_number(id: str, mine: Mine, session: OwnPage, body: JsonBody) -> Response:
    """Set the client's number."""
    mine.number(id, _text(body, "phone"))
    return Response(status_code=204)


@router.post("/client-called")
def client_called(mine: Mine, session: OwnPage, body: JsonBody) -> dict[str, bool]:
    """The client has called."""
    return {"closed": mine.client_called(_text(body, "phone"))}
