"""Pages on the port of the API: each request goes to one of two apps, by its path.

/api/…, /health, /ready, /metrics   the API        all else   the pages
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from vad_agent.errors import extra

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
        """All that is not the API's."""

    @property
    def routers(self) -> Sequence[APIRouter]:
        """Of the API, behind its tokens: what the pages live on."""

    @property
    def link(self) -> str:
        """Lets in whoever started the desk."""

    @property
    def url(self) -> str:
        """Where people open it."""

    def hush(self) -> None:
        """The server ends: nothing that is followed may keep it."""

    def close(self) -> None:
        """After the server's end."""


MakePages = Callable[["DeskContainer", "DeskConfig", int], MountedPages]
"""Of a desk, and the port that it listens on."""


class PathDispatcher:
    """The API and the pages, as one ASGI app."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope.get("path", API)
        app = self._api if path.startswith(API) or path in PROBES else self._pages
        await app(scope, receive, send)
