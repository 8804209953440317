"""ASGI middleware that checks every request before any route, and sets security headers.

    Host      must be one of the panel's names, else the name may be foreign (DNS rebinding): 400
    Origin    of a changing request: must be the panel's own page, else 403
    headers   only the panel's own files are loaded; no framing, no caching

A page without a referrer may send no origin with a form: then the browser's Sec-Fetch-Site decides.
"""

from __future__ import annotations

import logging

from vad_agent.errors import extra
from vad_agent.web.error_responses import respond
from vad_agent.web.origins import Origins

with extra("callbacks", "the panel"):
    from starlette.datastructures import Headers
    from starlette.responses import JSONResponse
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
ALWAYS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MOST_BYTES = 16 * 1024
"""Limit on a body's declared length; `BodyLimit` counts a body without one."""
SAFE = ("GET", "HEAD")


def refused(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error, in the form that the page shows."""
    return JSONResponse({"error": text}, status, headers)


class SecurityMiddleware:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, address: Origins) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app = self._why_not(scope) or self._app
        await respond(app, scope, receive, send, headers=ALWAYS, broken=_broken)

    def _why_not(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._address.hosts]:
            return refused(400, f"Откройте {self._address.url}")
        if scope["method"] not in SAFE and not self._is_own(headers):
            return refused(403, "Запрос не со страницы панели")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_BYTES:
            return refused(413, "Слишком длинно", {"Connection": "close"})
        return None

    def _is_own(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site not in (None, "same-origin"):
            return False
        origin = headers.get("origin")
        if origin in (None, "null"):
            return site == "same-origin"
        return origin in self._address.origins


def _broken(error: Exception, where: str) -> JSONResponse:
    log.error("the panel has failed", extra={"why": type(error).__name__, "at": where})
    return refused(500, "Ошибка в программе: это не получилось")
