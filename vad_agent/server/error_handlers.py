"""Headers of all answers, and one form of all errors, without tracebacks or received values.

    NumberError 422   RuleError 409, or 404 if there is no such callback   StoreError 503, send it again
    UnstorableError 422
    HookRefused its own status   invalid body or parameter 422   anything else 500, its place in the log

Logs contain no text of an unexpected error, because it may quote a name or a number.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.client.api_models import Code, FieldError
from vad_agent.errors import NumberError, RuleError, StoreError, UnstorableError, extra
from vad_agent.web.error_responses import failed, respond

with extra("callbacks", "the API"):
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import Response
    from starlette.routing import Match
    from starlette.types import ASGIApp, Receive, Scope, Send


log = logging.getLogger(__name__)

AGAIN_S = 2
"""Seconds after which a request that could not be stored may be sent again."""
LONGEST_NAME = 60
MOST_FIELDS = 20

TEXTS = {
    400: "body: expected JSON",
    404: "there is nothing here",
    405: "this is not done with this method",
}
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
ALWAYS = {"X-Content-Type-Options": "nosniff"}


class ErrorMiddleware:
    """The outermost middleware: sets headers on every answer, and answers every error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await respond(self._app, scope, receive, send, headers=ALWAYS, broken=_broken)


def _broken(error: Exception, where: str) -> Response:
    log.error("a request failed", extra={"why": type(error).__name__, "at": where})
    return failed(500, "the desk has failed: its log says where")


def install_error_handlers(app: FastAPI) -> None:
    """Install handlers for the product's errors."""

    @app.exception_handler(NumberError)
    async def _number(_: Request, error: NumberError) -> Response:
        return failed(422, str(error), code=Code.WRONG_NUMBER)

    @app.exception_handler(RuleError)
    async def _rule(_: Request, error: RuleError) -> Response:
        return failed(409, str(error))

    @app.exception_handler(StoreError)
    async def _store(_: Request, error: StoreError) -> Response:
        log.error("the store cannot be used", extra={"why": str(error)})
        text = "the callbacks cannot be stored or read now: send it again"
        return failed(503, text, headers={"Retry-After": str(AGAIN_S)})

    @app.exception_handler(UnstorableError)
    async def _unstorable(_: Request, error: UnstorableError) -> Response:
        log.error("values that the store does not accept", extra={"why": str(error)})
        return failed(422, "the callbacks' database does not accept these values")

    @app.exception_handler(HookRefused)
    async def _hook(_: Request, error: HookRefused) -> Response:
        log.warning("a dialer's webhook was refused", extra={"why": str(error)})
        headers = {"WWW-Authenticate": "Signature"} if error.status == 401 else None
        return failed(error.status, str(error), headers=headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        told = error.detail if isinstance(error, Missing | Forbidden) else None
        text = told or TEXTS.get(error.status_code, "this cannot be done")
        code = Code.NOT_YOURS if isinstance(error, Forbidden) else None
        headers = error.headers
        if error.status_code == 405:  # Starlette names the methods of the path's first route alone
            headers = {"Allow": ", ".join(_methods(app, request))}
        return failed(error.status_code, text, code=code, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        if any(one["type"] == "json_invalid" for one in found):
            return failed(400, TEXTS[400])
        fields = [
            FieldError(where=_where(one["loc"]), text=_text(one)) for one in found[:MOST_FIELDS]
        ]
        text = "; ".join(f"{one.where}: {one.text}" for one in fields[:3])
        return failed(422, text, fields=fields)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods of all routes of the request's path (RFC 9110, 15.5.6)."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in app.routes
        )
    ]


class Missing(HTTPException):
    """The object does not exist; the text may be shown."""

    def __init__(self, text: str) -> None:
        super().__init__(404, text)


class Forbidden(HTTPException):
    """The token is another operator's; the text may be shown."""

    def __init__(self, text: str) -> None:
        super().__init__(403, text)


def _where(path: Sequence[object]) -> str:
    """The path of a field. An unknown name comes from the sender: only its beginning, in ASCII."""
    return ".".join(ascii(part)[1:-1] if isinstance(part, str) else str(part) for part in path)[
        :LONGEST_NAME
    ]


def _text(error: Mapping[str, Any]) -> str:
    if error["type"] == "model_attributes_type":
        return "expected a JSON object, with Content-Type: application/json"
    return str(error["msg"]).removeprefix("Value error, ")
