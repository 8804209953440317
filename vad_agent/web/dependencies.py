"""Dependencies of the panel's routes: the context, and the authorization of a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import vad_agent
from vad_agent.errors import extra
from vad_agent.web.authentication.authenticator import Authenticator
from vad_agent.web.authentication.login_sessions import Role, Session
from vad_agent.web.operator_callbacks import OperatorCallbacks, Refused
from vad_agent.web.state_broker import StateBroker

with extra("callbacks", "the panel"):
    from anyio import CapacityLimiter
    from fastapi import Depends, Request
    from fastapi.templating import Jinja2Templates
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

TEMPLATES = Path(__file__).parent / "templates"
CSRF = "x-csrf-token"
MOST_FIELDS = 8
NOT_A_SUPERVISOR = "Это страница старшего смены"
AT_ONCE = 2
"""Concurrent password checks: each takes a core and 64 MiB for a moment."""


class PanelContext:
    """Objects that the routes use. `callbacks_of`, `news`: an operator's; `dashboard`: the supervisor's."""

    def __init__(
        self,
        broker: StateBroker,
        authenticator: Authenticator,
        callbacks_of: Callable[[str], OperatorCallbacks | None],
        news: Callable[[str], int] | None,
        now: Callable[[], datetime],
        heartbeat_s: float,
        dashboard: Any | None = None,
    ) -> None:
        self.broker = broker
        self.authenticator = authenticator
        self.callbacks_of = callbacks_of
        self.news = news
        self.now = now
        self.heartbeat_s = heartbeat_s
        self.dashboard = dashboard
        self.pages = Jinja2Templates(directory=TEMPLATES)
        self.entering = CapacityLimiter(AT_ONCE)
        self.waiting: Counter[str] = Counter()
        """Logins that are being checked or wait, by network address."""

    def session(self, request: Request) -> Session | None:
        """The session of the request."""
        return self.authenticator.session(request.cookies.get(self.authenticator.address.cookie))

    def page(self, request: Request, name: str, status: int = 200, **told: object) -> Response:
        """Render a page."""
        told = {"version": vad_agent.__version__, **told}
        return self.pages.TemplateResponse(request, name, dict(told), status_code=status)


async def _panel(request: Request) -> PanelContext:
    context: PanelContext = request.app.state.panel
    return context


Context = Annotated[PanelContext, Depends(_panel)]


async def _session(request: Request, context: Context) -> Session:
    session = context.session(request)
    if session is None:
        raise HTTPException(401)
    return session


CurrentSession = Annotated[Session, Depends(_session)]
"""A session, or 401."""


async def _page(request: Request, context: Context, session: CurrentSession) -> Session:
    if not context.authenticator.sessions.is_csrf(session, request.headers.get(CSRF, "")):
        raise HTTPException(403)
    return session


OwnPage = Annotated[Session, Depends(_page)]
"""A session whose request has the CSRF token, or 403."""


async def _supervisor(session: CurrentSession) -> Session:
    if session.role is not Role.SUPERVISOR:
        raise Refused(403, NOT_A_SUPERVISOR)
    return session


Supervisor = Annotated[Session, Depends(_supervisor)]
"""A supervisor's session, or 401, or 403."""


async def _supervisor_form(
    request: Request, context: Context, session: Supervisor
) -> Mapping[str, str]:
    given = form_fields(await request.body())
    if not context.authenticator.sessions.is_csrf(session, given.get("csrf", "")):
        raise HTTPException(403)
    return given


SupervisorForm = Annotated[Mapping[str, str], Depends(_supervisor_form)]
"""The fields of a supervisor's form, which has the page's CSRF token; or 401, or 403."""


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form, as browsers send it; {} if the body is not a form."""
    try:
        told = parse_qs(body.decode("ascii", "replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in told.items()}
