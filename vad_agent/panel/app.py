"""The operator's panel over HTTP: an ASGI app on loopback, for whom the door has let in.

    request ─> Gate ────────────> BodyLimit ─> routes ─> hub (states, keys), callbacks
               Host, Origin,      size, time   session,
               headers                         CSRF

    GET  /                    the page: panel.html with operator, csrf, version, has_callbacks
    GET  /enter[?token=T]     in, or enter.html with error (a line, or None), version
    POST /enter               the form of it: token
    POST /leave               the session ends, everywhere; X-CSRF-Token, or a form's csrf
    GET  /panel/stream        server-sent events: see `stream`
    POST /panel/send          an event or a command, as the live loop's inlet has them
    GET  /panel/callbacks     and POST …/{id}/outcome, …/{id}/number, /panel/client-called

What is under /panel answers a wrong request with {"error": "one line of Russian"}; 401 without a session.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from vad_agent.core.events import Event, Kind
from vad_agent.errors import EventError, extra
from vad_agent.live.inlet import parse
from vad_agent.live.status import Command
from vad_agent.panel import routes_callbacks
from vad_agent.panel.door import SESSION_S, Door, TooMany
from vad_agent.panel.gate import MOST_BYTES, Gate, refused
from vad_agent.panel.here import CSRF, Desktop, Here, OwnPage, Who
from vad_agent.panel.hub import HEARTBEAT_S, Hub
from vad_agent.panel.my_callbacks import Callbacks, MyCallbacks, Reach, Refused
from vad_agent.panel.stream import HEADERS, MEDIA_TYPE, events

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, FastAPI, Request
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.responses import RedirectResponse, Response, StreamingResponse
    from starlette.staticfiles import StaticFiles

    from vad_agent.server.limits import BodyLimit

HERE = Path(__file__).parent
TEXTS = {
    401: "Войдите заново",
    403: "Обновите страницу: она устарела",
    404: "Здесь ничего нет",
    405: "Так сюда не обращаются",
}
WRONG_TOKEN = "Этот токен не подходит: возьмите ссылку из последнего запуска программы"
NO_HEADSET = "Программа не слушает гарнитуру: этого никто не услышит"
NOT_BY_PANEL = "Программу закрывают там, где она запущена"
WRONG = {
    "at:": "Время перезвона не понято",
    "phone:": "Телефон не понят",
    "name:": "Имя не понято",
    "topic:": "Тема не понята",
    "command:": "Неизвестная команда",
    "event kind:": "Неизвестное событие",
    "expected a JSON": routes_callbacks.NO_OBJECT,
}
"""What stands in an event's error: what the operator is told."""


class Files(StaticFiles):
    """The panel's own files, asked for anew at each load: unchanged ones come as 304."""

    def file_response(self, *arguments: Any, **more: Any) -> Response:
        """As Starlette's."""
        answer = super().file_response(*arguments, **more)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def create_panel(
    hub: Hub,
    door: Door,
    *,
    operator: str,
    callbacks: Callbacks | Reach | None = None,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    heartbeat_s: float = HEARTBEAT_S,
) -> FastAPI:
    """The panel of one operator.

    `callbacks`: his and the desk's, or what opens them for each question; None: there are none.
    `now`: wall time with its zone.
    """
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Gate, door), Middleware(BodyLimit, most_bytes=MOST_BYTES)],
    )
    app.state.panel = Desktop(
        hub, door, operator, _mine(callbacks, operator, now), now, heartbeat_s
    )
    app.include_router(pages)
    app.include_router(panel)
    if callbacks is not None:
        app.include_router(routes_callbacks.router)
    app.mount("/static", Files(directory=HERE / "static", check_dir=False), name="static")

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return refused(error.status_code, TEXTS.get(error.status_code, TEXTS[404]), headers)

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Refused) -> Response:
        return refused(error.status, error.text)

    return app


def _mine(
    callbacks: Callbacks | Reach | None, operator: str, now: Callable[[], datetime]
) -> MyCallbacks | None:
    if callbacks is None:
        return None
    if callable(callbacks):
        return MyCallbacks(callbacks, operator, now)
    always = callbacks
    return MyCallbacks(lambda: nullcontext(always), operator, now)


# -- pages -----------------------------------------------------------------------------------------

pages = APIRouter()


@pages.get("/")
async def show(request: Request, here: Here) -> Response:
    """The panel."""
    session = here.session(request)
    if session is None:
        return RedirectResponse("/enter", 303)
    return here.page(
        request,
        "panel.html",
        operator=session.operator,
        csrf=here.door.csrf(session),
        has_callbacks=here.callbacks is not None,
    )


@pages.get("/enter")
async def enter(request: Request, here: Here, token: str = "") -> Response:
    """In by the printed link. A link on a page of somebody else is none: it would use up the tries."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        token = ""
    if not token and here.session(request) is not None:
        return RedirectResponse("/", 303)
    return _enter(request, here, token)


@pages.post("/enter")
async def enter_by_form(request: Request, here: Here) -> Response:
    """In by the token alone."""
    return _enter(request, here, _field(await request.body(), "token") or "?")


def _enter(request: Request, here: Desktop, token: str) -> Response:
    if not token:
        return here.page(request, "enter.html", error=None)
    door = here.door
    try:
        right = door.try_token(token.rpartition("token=")[2])  # the whole link was pasted
    except TooMany as pause:
        wait_s = int(pause.wait_s) + 1
        told = f"Слишком много неверных попыток: подождите {wait_s} с"
        answer = here.page(request, "enter.html", 429, error=told)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    if not right:
        return here.page(request, "enter.html", 401, error=WRONG_TOKEN)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        door.cookie,
        door.open(here.operator),
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=door.https,
    )
    return answer


@pages.post("/leave")
async def leave(request: Request, here: Here, session: Who) -> Response:
    """Out, and every copy of the cookie with it."""
    given = request.headers.get(CSRF) or _field(await request.body(), "csrf")
    if not here.door.is_csrf(session, given):
        raise HTTPException(403)
    await run_in_threadpool(here.door.leave, session)
    answer = RedirectResponse("/enter", 303)
    answer.delete_cookie(here.door.cookie, httponly=True, samesite="strict", secure=here.door.https)
    return answer


def _field(body: bytes, name: str) -> str:
    """Of a form, as browsers send it."""
    found = parse_qs(body.decode("ascii", "replace"), max_num_fields=8).get(name, [""])
    return found[0].strip()


# -- the live part ---------------------------------------------------------------------------------

panel = APIRouter(prefix="/panel")


@panel.get("/stream")
async def stream(here: Here, session: Who) -> Response:
    """How things stand, from now on."""
    told = events(here.hub, session.operator, partial(here.door.is_on, session), here.heartbeat_s)
    return StreamingResponse(told, media_type=MEDIA_TYPE, headers=HEADERS)


@panel.post("/send")
async def send(request: Request, here: Here, session: OwnPage) -> Response:
    """A key."""
    try:
        what = parse(await request.body())
    except EventError as error:
        raise Refused(400, _wrong(str(error))) from None
    if what is Command.QUIT:
        raise Refused(400, NOT_BY_PANEL)
    if isinstance(what, Event) and what.kind is Kind.CALLBACK_AGREED and what.ts is None:
        what = replace(what, ts=here.now().isoformat(timespec="seconds"))  # tells how soon it is
    if not await run_in_threadpool(here.hub.send, session.operator, what):
        raise Refused(409, NO_HEADSET)
    return Response(status_code=204)


def _wrong(error: str) -> str:
    return next((told for part, told in WRONG.items() if part in error), "Событие не понято")
