"""The panel as an ASGI app for authenticated sessions.

    request ─> SecurityMiddleware ─> BodyLimit ─> routes ─> broker (states, commands), callbacks
               Host, Origin,         size, time   session,
               headers                            CSRF

    GET  /                    the own panel; for a supervisor the centre's page, if there is one
    GET  /panel               the own panel: panel.html with operator, csrf, version, has_callbacks
    GET  /enter, POST /enter, POST /leave       see `routes_login`
    GET  /panel/stream        server-sent events: see `browser_event_stream`
    POST /panel/send          an event or a command, as for `listen`'s event socket
    GET  /panel/callbacks     and POST …/{id}/accept, …/outcome, …/not-needed, …/number, /panel/client-called

Paths under /panel answer an invalid request with {"error": "one line of Russian"}; without a
session, with 401. A browser that opens a page without a session is redirected to the login form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vad_agent.callbacks.phone_numbers import normalised
from vad_agent.client.headset_protocol import PAGE_COMMANDS, Command, parse_control
from vad_agent.core.events import Event, EventKind
from vad_agent.errors import EventError, NumberError, extra
from vad_agent.trace.labels_ru import WRONG_NUMBER
from vad_agent.web import routes_login, routes_operator_callbacks
from vad_agent.web.authentication.authenticator import Authenticator
from vad_agent.web.authentication.login_sessions import Role, Session
from vad_agent.web.browser_event_stream import HEADERS, MEDIA_TYPE, events
from vad_agent.web.dependencies import Context, CurrentSession, OwnPage, PanelContext
from vad_agent.web.operator_callbacks import CallbackSource, OperatorCallbacks, Reach, Refused
from vad_agent.web.security_middleware import MOST_BYTES, SecurityMiddleware, refused
from vad_agent.web.state_broker import HEARTBEAT_S, StateBroker

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, FastAPI, Request
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.responses import RedirectResponse, Response, StreamingResponse
    from starlette.staticfiles import StaticFiles

    from vad_agent.web.body_limit import BodyLimit

HERE = Path(__file__).parent
TEXTS = {
    401: "Войдите заново",
    403: "Обновите страницу: она устарела",
    404: "Здесь ничего нет",
    405: "Так сюда не обращаются",
}
NO_HEADSET = "Программа не слушает гарнитуру: этого никто не услышит"
NOT_BY_PANEL = "Программу закрывают там, где она запущена"
WRONG = {
    "at:": "Время перезвона не понято",
    "phone:": "Телефон не понят",
    "name:": "Имя не понято",
    "topic:": "Тема не понята",
    "command:": "Неизвестная команда",
    "event kind:": "Неизвестное событие",
    "expected a JSON": routes_operator_callbacks.NO_OBJECT,
}
"""Text in an event's error → the operator's message."""


class Files(StaticFiles):
    """The panel's own files, revalidated at each load: unchanged ones are answered with 304."""

    def file_response(self, *arguments: Any, **more: Any) -> Response:
        """As in Starlette, with revalidation."""
        answer = super().file_response(*arguments, **more)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def create_panel(
    broker: StateBroker,
    authenticator: Authenticator,
    *,
    callbacks_of: Callable[[str], CallbackSource | Reach | None] | None = None,
    news: Callable[[str], int] | None = None,
    more: Sequence[APIRouter] = (),
    dashboard: Any | None = None,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    heartbeat_s: float = HEARTBEAT_S,
) -> FastAPI:
    """The panels of all authenticated users.

    `callbacks_of`: an operator's callbacks at the desk, or a function that opens them for each
    query; None: there are none. `news`: the number of an operator's last change; None: their page
    has to poll. `more`: further routes. `dashboard`: data of the supervisor's pages. `now`: wall
    time with its zone.
    """

    def mine(operator: str) -> OperatorCallbacks | None:
        return _mine(callbacks_of(operator) if callbacks_of else None, operator, now)

    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(SecurityMiddleware, authenticator.address),
            Middleware(BodyLimit, most_bytes=MOST_BYTES),
        ],
    )
    app.state.panel = PanelContext(broker, authenticator, mine, news, now, heartbeat_s, dashboard)
    app.include_router(pages)
    app.include_router(routes_login.router)
    app.include_router(panel)
    if callbacks_of is not None:
        app.include_router(routes_operator_callbacks.router)
    for router in more:
        app.include_router(router)
    app.mount("/static", Files(directory=HERE / "static", check_dir=False), name="static")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 401 and request.method == "GET" and _is_a_page(request):
            path, query = request.url.path, request.url.query
            return RedirectResponse(
                f"/enter?next={quote(f'{path}?{query}' if query else path)}", 303
            )
        headers = dict(error.headers or {})
        text = TEXTS.get(error.status_code, TEXTS[404])
        return _told(request, error.status_code, text, headers)

    @app.exception_handler(Refused)
    async def _refused(request: Request, error: Refused) -> Response:
        return _told(request, error.status, error.text)

    return app


def _told(
    request: Request, status: int, text: str, headers: dict[str, str] | None = None
) -> Response:
    """An error: as a page for a person, as an object for a script."""
    if not _is_a_page(request):
        return refused(status, text, headers)
    context: PanelContext = request.app.state.panel
    answer = context.page(request, "refused.html", status, text=text)
    answer.headers.update(headers or {})
    return answer


def _mine(
    callbacks: CallbackSource | Reach | None, operator: str, now: Callable[[], datetime]
) -> OperatorCallbacks | None:
    if callbacks is None:
        return None
    if callable(callbacks):
        return OperatorCallbacks(callbacks, operator, now)
    always = callbacks
    return OperatorCallbacks(lambda: nullcontext(always), operator, now)


# -- pages -----------------------------------------------------------------------------------------

pages = APIRouter()


@pages.get("/")
async def show(request: Request, context: Context) -> Response:
    """The user's start page."""
    session = context.session(request)
    if session is None:
        return RedirectResponse("/enter", 303)
    if session.role is Role.SUPERVISOR and context.dashboard is not None:
        return RedirectResponse("/supervisor", 303)
    return _panel(request, context, session)


@pages.get("/panel")
async def show_panel(request: Request, context: Context, session: CurrentSession) -> Response:
    """The user's own panel."""
    return _panel(request, context, session)


def _panel(request: Request, context: PanelContext, session: Session) -> Response:
    return context.page(
        request,
        "panel.html",
        operator=session.operator,
        csrf=context.authenticator.sessions.csrf(session),
        has_callbacks=context.callbacks_of(session.operator) is not None,
        has_logins=context.authenticator.has_logins,
        has_centre=session.role is Role.SUPERVISOR and context.dashboard is not None,
    )


def _is_a_page(request: Request) -> bool:
    """A browser shows the answer to a person.

    The browser's header says so; a site without TLS elsewhere sends none.
    """
    headers = request.headers
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode else "text/html" in headers.get("accept", "")


# -- the live part ---------------------------------------------------------------------------------

panel = APIRouter(prefix="/panel")


@panel.get("/stream")
async def stream(context: Context, session: CurrentSession) -> Response:
    """The state from now on, as server-sent events."""
    is_on = partial(context.authenticator.sessions.is_on, session)
    news = None if context.news is None else partial(context.news, session.operator)
    told = events(context.broker, session.operator, is_on, context.heartbeat_s, news)
    return StreamingResponse(told, media_type=MEDIA_TYPE, headers=HEADERS)


@panel.post("/send")
async def send(request: Request, context: Context, session: OwnPage) -> Response:
    """Send an event or a command to the headset."""
    try:
        what = parse_control(await request.body(), PAGE_COMMANDS)
    except EventError as error:
        raise Refused(400, _wrong(str(error))) from None
    if what is Command.QUIT:
        raise Refused(400, NOT_BY_PANEL)
    if isinstance(what, Event) and what.kind is EventKind.CALLBACK_AGREED and what.ts is None:
        what = replace(what, ts=context.now().isoformat(timespec="seconds"))  # base of the delay
    if isinstance(what, Event) and what.phone:
        what = replace(what, phone=_dialled(what.phone, context.broker.state(session.operator)))
    if not await run_in_threadpool(context.broker.send, session.operator, what):
        raise Refused(409, NO_HEADSET)
    return Response(status_code=204)


def _dialled(phone: str, state: Mapping[str, Any]) -> str:
    """The number as it is dialled. `state`: of the headset, which knows the region."""
    region = state.get("region")
    try:
        return normalised(phone, region) if isinstance(region, str) else normalised(phone)
    except NumberError:
        raise Refused(400, WRONG_NUMBER.capitalize()) from None


def _wrong(error: str) -> str:
    return next((told for part, told in WRONG.items() if part in error), "Событие не понято")
