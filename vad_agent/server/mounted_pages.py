"""Serves the pages on the API's port: dispatches each request to one of two apps by its path.

/api/…, /health, /ready, /metrics   the API        all else   the pages
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from vad_agent.errors import extra
from vad_agent.web.authentication.refusals import Refusals

if TYPE_CHECKING:
    from vad_agent.server.container import DeskContainer
    from vad_agent.server.desk_config import DeskConfig

with extra("callbacks", "the API"):
    from fastapi import APIRouter
    from starlette.types import ASGIApp, Receive, Scope, Send

API = "/api/"
PROBES = ("/health", "/ready", "/metrics")


class MountedPages(Protocol):
    """The pages of a desk."""

    @property
    def app(self) -> ASGIApp:
        """The app for all paths that are not the API's."""

    @property
    def routers(self) -> Sequence[APIRouter]:
        """Routes that the pages need in the API, behind its tokens."""

    @property
    def link(self) -> str:
        """The login link for the user who started the desk. It works once."""

    def on_new_link(self, tell: Callable[[str], None]) -> None:
        """`tell` is called with each further link, in any thread."""

    @property
    def url(self) -> str:
        """The address that people open."""

    def hush(self) -> None:
        """The server stops: end all streams, which would delay it."""

    def close(self) -> None:
        """Clean up after the server has stopped."""


MakePages = Callable[["DeskContainer", "DeskConfig", int, Refusals], MountedPages]
"""Makes the pages of a desk; the arguments: the port on which it listens, what counts wrong logins."""


class PathDispatcher:
    """The API and the pages as one ASGI app."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope.get("path", API)
        app = self._api if path.startswith(API) or path in PROBES else self._pages
        await app(scope, receive, send)
