"""The supervisor's pages, for supervisors alone: who is not one gets 403, who has not come in 401.

    GET /supervisor[?day=YYYY-MM-DD&state=…&after=CALL]    the page of a day
    GET /supervisor/stream                                 the floor, as it changes: server-sent events
    GET /supervisor/callbacks/ID                           all that happened to a callback
    GET /supervisor/calls/CALL                             a call that is over, phrase by phrase
    GET /supervisor/picture.svg?call=CALL&row=N            a stretch of it; row=-1: what its signs mean
    GET /supervisor/{calls,steps,callbacks}.csv?day=…      a day for a spreadsheet

Nothing is changed here, and nothing of a page is logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from re import compile
from typing import Annotated

from vad_agent.callbacks.attempt_schedule import overdue
from vad_agent.callbacks.queries import Which
from vad_agent.errors import StoreError, extra
from vad_agent.web import supervisor_csv
from vad_agent.web.call_view import course
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.dependencies import Context, Supervisor
from vad_agent.web.operator_callbacks import Refused
from vad_agent.web.sse import HEADERS, MEDIA_TYPE, RETRY_MS

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, Depends, Request
    from starlette.exceptions import HTTPException
    from starlette.responses import Response, StreamingResponse

NO_STORE = "База данных не отвечает: попробуйте ещё раз"
NUMBER = compile("-1|[0-9]{1,3}")
PICTURE_HEADERS = {"Cache-Control": "private, max-age=600"}

router = APIRouter(prefix="/supervisor")


async def _centre(here: Context) -> Dashboard:
    assert isinstance(here.centre, Dashboard), "without a centre there are no routes of it"
    return here.centre


Its = Annotated[Dashboard, Depends(_centre)]


@router.get("")
def show(
    request: Request, here: Context, boss: Supervisor, centre: Its,
    day: str | None = None, state: str | None = None, after: str | None = None,
) -> Response:  # fmt: skip
    """The page of a day; 503 where the store cannot be read, with what is known without it."""
    asked = centre.day(day)
    which = next((one for one in Which if one.value == state), None)
    board = centre.board(asked, which, after_call=after)
    return here.page(
        request,
        "supervisor.html",
        200 if board.promise is not None else 503,
        boss=boss.operator,
        csrf=here.door.sessions.csrf(boss),
        has_logins=here.door.has_logins,
        board=board,
        say=centre.words(asked),
        after=after,
    )


@router.get("/stream")
async def stream(here: Context, boss: Supervisor, centre: Its) -> Response:
    """The floor, from now on."""
    is_on = partial(here.door.sessions.is_on, boss)
    heartbeat_s = here.heartbeat_s

    async def events() -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        async with aclosing(centre.floor.follow(is_on, heartbeat_s=heartbeat_s)) as told:
            async for changes in told:
                yield f"data: {changes}\n\n".encode(errors="replace")

    return StreamingResponse(events(), media_type=MEDIA_TYPE, headers=HEADERS)


@router.get("/callbacks/{id}")
def show_callback(
    request: Request, here: Context, boss: Supervisor, centre: Its, id: str
) -> Response:
    """One callback."""
    try:
        found = centre.callback(id)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if found is None:
        raise HTTPException(404)
    story, kept = found
    day = centre.day(None)
    return here.page(
        request,
        "supervisor_callback.html",
        story=story,
        kept=kept,
        policy=centre.policy,
        overdue=overdue(story.callback, centre.now, centre.policy),
        say=centre.words(day),
        day=day,
    )


@router.get("/calls/{call:path}")
def show_call(
    request: Request, here: Context, boss: Supervisor, centre: Its, call: str
) -> Response:
    """One call."""
    try:
        found = centre.call(call)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if found is None:
        raise HTTPException(404)
    day = centre.day(f"{found.row.began.astimezone(centre.zone):%Y-%m-%d}")
    return here.page(
        request,
        "supervisor_call.html",
        call=found,
        course=course(found.lines),
        say=centre.words(day),
        day=day,
    )


@router.get("/picture.svg")
async def picture(boss: Supervisor, centre: Its, call: str = "", row: str = "") -> Response:
    """A stretch of a call."""
    if not NUMBER.fullmatch(row):
        raise HTTPException(404)
    try:
        svg = await centre.pictures.svg(call, int(row), partial(centre.lines, call))
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if svg is None:
        raise HTTPException(404)
    return Response(svg, media_type="image/svg+xml", headers=PICTURE_HEADERS)


@router.get("/{table}.csv")
def table(boss: Supervisor, centre: Its, table: str, day: str | None = None) -> Response:
    """A day for a spreadsheet."""
    if table not in supervisor_csv.TABLES:
        raise HTTPException(404)
    asked = centre.day(day)
    rows = supervisor_csv.TABLES[table](centre, asked)
    try:
        first = next(rows)  # what cannot be read is told before the answer begins
    except StoreError:
        raise Refused(503, NO_STORE) from None
    headers = {"Content-Disposition": f'attachment; filename="{table}-{asked.on}.csv"'}
    return StreamingResponse(_file(first, rows), media_type="text/csv", headers=headers)


def _file(first: str, rows: Iterator[str]) -> Iterator[bytes]:
    yield first.encode()
    for row in rows:
        yield row.encode(errors="replace")
