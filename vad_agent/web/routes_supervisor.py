"""The supervisor's pages. Without a session: 401; with a session of another role: 403.

    GET /supervisor[?day=YYYY-MM-DD&state=…&after=CALL]    the page of a day
    GET /supervisor/stream                                 the wallboard, as it changes: server-sent events
    GET /supervisor/callbacks/ID                           a callback's history
    GET /supervisor/calls/CALL                             a finished call, prompt by prompt
    GET /supervisor/picture.svg?call=CALL&row=N            a part of its picture; row=-1: the legend
    GET /supervisor/{calls,steps,callbacks}.csv?day=…      a day for a spreadsheet
    POST /supervisor/callbacks (call, csrf)                make the callback that a call's trace asks for

Nothing of a page's content is logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from re import compile
from typing import Annotated

from vad_agent.callbacks.next_attempt_time import overdue
from vad_agent.callbacks.queries import Which
from vad_agent.errors import RuleError, StoreError, extra
from vad_agent.web import supervisor_csv
from vad_agent.web.browser_event_stream import HEADERS, MEDIA_TYPE, RETRY_MS
from vad_agent.web.call_view import course
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.dependencies import Context, Supervisor
from vad_agent.web.operator_callbacks import Refused
from vad_agent.web.routes_login import fields

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, Depends, Request
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse, Response, StreamingResponse

NO_STORE = "База данных не отвечает: попробуйте ещё раз"
NOTHING_TO_MAKE = "Запись этого звонка стёрта или не просит перезвона"
NUMBER = compile("-1|[0-9]{1,3}")
PICTURE_HEADERS = {"Cache-Control": "private, max-age=600"}

router = APIRouter(prefix="/supervisor")


async def _dashboard(context: Context) -> Dashboard:
    assert isinstance(context.dashboard, Dashboard), "without a centre there are no routes of it"
    return context.dashboard


Its = Annotated[Dashboard, Depends(_dashboard)]


@router.get("")
def show(
    request: Request, context: Context, supervisor: Supervisor, dashboard: Its,
    day: str | None = None, state: str | None = None, after: str | None = None,
) -> Response:  # fmt: skip
    """The page of a day; 503 with the remaining data if the store cannot be read."""
    asked = dashboard.day(day)
    which = next((one for one in Which if one.value == state), None)
    board = dashboard.board(asked, which, after_call=after)
    return context.page(
        request,
        "supervisor.html",
        200 if board.promise is not None else 503,
        supervisor=supervisor.operator,
        csrf=context.authenticator.sessions.csrf(supervisor),
        has_logins=context.authenticator.has_logins,
        board=board,
        say=dashboard.words(asked),
        after=after,
    )


@router.get("/stream")
async def stream(context: Context, supervisor: Supervisor, dashboard: Its) -> Response:
    """The wallboard, from now on."""
    is_on = partial(context.authenticator.sessions.is_on, supervisor)
    heartbeat_s = context.heartbeat_s

    async def events() -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        async with aclosing(dashboard.floor.follow(is_on, heartbeat_s=heartbeat_s)) as told:
            async for changes in told:
                yield f"data: {changes}\n\n".encode(errors="replace")

    return StreamingResponse(events(), media_type=MEDIA_TYPE, headers=HEADERS)


@router.post("/callbacks")
async def make_callback(
    request: Request, context: Context, supervisor: Supervisor, dashboard: Its
) -> Response:
    """Make the callback that the trace of a call asks for; then its page."""
    given = fields(await request.body())
    if not context.authenticator.sessions.is_csrf(supervisor, given.get("csrf", "")):
        raise HTTPException(403)
    call = given.get("call", "")
    try:
        made = await run_in_threadpool(dashboard.make, call, supervisor.operator)
    except RuleError:
        raise Refused(409, NOTHING_TO_MAKE) from None
    except StoreError:
        raise Refused(503, NO_STORE) from None
    return RedirectResponse(f"/supervisor/callbacks/{made.id}", 303)


@router.get("/callbacks/{id}")
def show_callback(
    request: Request, context: Context, supervisor: Supervisor, dashboard: Its, id: str
) -> Response:
    """One callback."""
    try:
        found = dashboard.callback(id)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if found is None:
        raise HTTPException(404)
    story, kept = found
    day = dashboard.day(None)
    return context.page(
        request,
        "supervisor_callback.html",
        story=story,
        kept=kept,
        policy=dashboard.policy,
        overdue=overdue(story.callback, dashboard.now, dashboard.policy),
        say=dashboard.words(day),
        day=day,
    )


@router.get("/calls/{call:path}")
def show_call(
    request: Request, context: Context, supervisor: Supervisor, dashboard: Its, call: str
) -> Response:
    """One call."""
    try:
        found = dashboard.call(call)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if found is None:
        raise HTTPException(404)
    day = dashboard.day(f"{found.row.began.astimezone(dashboard.zone):%Y-%m-%d}")
    return context.page(
        request,
        "supervisor_call.html",
        call=found,
        course=course(found.lines),
        say=dashboard.words(day),
        day=day,
    )


@router.get("/picture.svg")
async def picture(
    supervisor: Supervisor, dashboard: Its, call: str = "", row: str = ""
) -> Response:
    """A part of a call's picture."""
    if not NUMBER.fullmatch(row):
        raise HTTPException(404)
    try:
        svg = await dashboard.pictures.svg(call, int(row), partial(dashboard.lines, call))
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if svg is None:
        raise HTTPException(404)
    return Response(svg, media_type="image/svg+xml", headers=PICTURE_HEADERS)


@router.get("/{table}.csv")
def table(supervisor: Supervisor, dashboard: Its, table: str, day: str | None = None) -> Response:
    """A day as CSV."""
    if table not in supervisor_csv.TABLES:
        raise HTTPException(404)
    asked = dashboard.day(day)
    rows = supervisor_csv.TABLES[table](dashboard, asked)
    try:
        first = next(rows)  # read errors must occur before the answer begins
    except StoreError:
        raise Refused(503, NO_STORE) from None
    headers = {"Content-Disposition": f'attachment; filename="{table}-{asked.on}.csv"'}
    return StreamingResponse(_file(first, rows), media_type="text/csv", headers=headers)


def _file(first: str, rows: Iterator[str]) -> Iterator[bytes]:
    yield first.encode()
    for row in rows:
        yield row.encode(errors="replace")
