"""What the panel's routes work with, and who asks: a session, or its own page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import vad_agent
from vad_agent.errors import extra
from vad_agent.panel.door import Door, Session
from vad_agent.panel.hub import Hub
from vad_agent.panel.my_callbacks import MyCallbacks

with extra("callbacks", "the panel"):
    from fastapi import Depends, Request
    from fastapi.templating import Jinja2Templates
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

TEMPLATES = Path(__file__).parent / "templates"
CSRF = "x-csrf-token"


class Desktop:
    """What the routes work with."""

    def __init__(
        self,
        hub: Hub,
        door: Door,
        operator: str,
        callbacks: MyCallbacks | None,
        now: Callable[[], datetime],
        heartbeat_s: float,
    ) -> None:
        self.hub = hub
        self.door = door
        self.operator = operator
        self.callbacks = callbacks
        self.now = now
        self.heartbeat_s = heartbeat_s
        self.pages = Jinja2Templates(directory=TEMPLATES)

    def session(self, request: Request) -> Session | None:
        """Whose request this is; one who worked here under another name has to come in anew."""
        session = self.door.session(request.cookies.get(self.door.cookie))
        return session if session is not None and session.operator == self.operator else None

    def page(self, request: Request, name: str, status: int = 200, **told: object) -> Response:
        """A page."""
        told = {"version": vad_agent.__version__, **told}
        return self.pages.TemplateResponse(request, name, dict(told), status_code=status)


async def _panel(request: Request) -> Desktop:
    here: Desktop = request.app.state.panel
    return here


Here = Annotated[Desktop, Depends(_panel)]


async def _session(request: Request, here: Here) -> Session:
    session = here.session(request)
    if session is None:
        raise HTTPException(401)
    return session


Who = Annotated[Session, Depends(_session)]
"""A session, or 401."""


async def _page(request: Request, here: Here, session: Who) -> Session:
    if not here.door.is_csrf(session, request.headers.get(CSRF, "")):
        raise HTTPException(403)
    return session


OwnPage = Annotated[Session, Depends(_page)]
"""A session whose own page asks, or 403."""
