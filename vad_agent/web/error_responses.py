"""What every response has: its headers, and an error's form: `ErrorOut` of the API, or the caller's own."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vad_agent.client.api_models import Code, Error, ErrorOut, FieldError
from vad_agent.errors import extra

with extra("callbacks", "the API"):
    from starlette.datastructures import MutableHeaders
    from starlette.responses import JSONResponse, Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


CODES = {
    400: Code.UNREADABLE,
    401: Code.UNAUTHORIZED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.NOT_ALLOWED,
    408: Code.TOO_SLOW,
    409: Code.CONFLICT,
    413: Code.TOO_LARGE,
    422: Code.INVALID,
    503: Code.UNAVAILABLE,
}


def failed(
    status: int,
    text: str,
    *,
    code: Code | None = None,
    fields: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error response."""
    code = code or CODES.get(status, Code.BROKEN if status >= 500 else Code.INVALID)
    error = ErrorOut(error=Error(code=code, text=text, fields=list(fields) if fields else None))
    content = error.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, dict(headers or {}))


async def respond(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    headers: Mapping[str, str],
    broken: Callable[[Exception, str], Response],
) -> None:
    """Run the app: `headers` are set on its response, which is not cached unless it says so itself.

    An exception is answered with `broken(error, where)`, unless the response has begun. `where`: the
    frames of its traceback, the last one first; without its text, which may quote a name or a number.
    """
    begun = False

    async def answer(message: Message) -> None:
        nonlocal begun
        if message["type"] == "http.response.start":
            begun = True
            own = MutableHeaders(scope=message)
            own.update(headers)
            own.setdefault("Cache-Control", "no-store")
        await send(message)

    try:
        await app(scope, receive, answer)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
        response = broken(error, where)
        if not begun:
            await response(scope, receive, answer)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the error responses of these statuses."""
    return {status: {"model": ErrorOut} for status in statuses}
