"""The common form of the API's errors (`ErrorOut`), as a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vad_agent.client.api_models import Code, Error, ErrorOut, FieldError
from vad_agent.errors import extra

with extra("callbacks", "the API"):
    from starlette.responses import JSONResponse


CODES = {
    400: Code.UNREADABLE,
    401: Code.UNAUTHORIZED,
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


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the error responses of these statuses."""
    return {status: {"model": ErrorOut} for status in statuses}
