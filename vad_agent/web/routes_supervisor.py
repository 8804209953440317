"""The supervisor's pages. Without a session: 401; with a session of another role: 403.

    GET /supervisor[?day=…&from=…&to=…&…&after=CALL]       the page of a period: see `reporting_period`; for
                                                           the list of callbacks see `callback_list`
    GET /supervisor/stream                                 the wallboard, as it changes: server-sent events
    /supervisor/callbacks/…, /supervisor/search            see `routes_supervisor_callbacks`
    /supervisor/people                                     see `routes_people`
    GET /supervisor/calls/CALL                             a finished call, prompt by prompt
    GET /supervisor/verdicts[?day=…]                       what was wrong in a day's calls; yesterday's
    GET /supervisor/picture.svg?call=CALL&row=N            a part of its picture; row=-1: the legend
    GET /supervisor/{calls,steps,callbacks}.csv?day=…      a period for a spreadsheet

Nothing of a page's content is logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from re import compile
from typing import Annotated

from vad_agent.errors import StoreError, extra
from vad_agent.web import supervisor_csv
from vad_agent.web.browser_event_stream import HEADERS, MEDIA_TYPE, RETRY_MS
from vad_agent.web.call_reviews import reviewed
from vad_agent.web.call_view import course
from vad_agent.web.callback_actions import NO_STORE
from vad_agent.web.callback_list import CallbackListQuery
from vad_agent.web.dependencies import Context, Supervisor
from vad_agent.web.operator_callbacks import Refused
from vad_agent.web.reporting_period import ReportingPeriod
from vad_agent.web.routes_people import router as people
from vad_agent.web.routes_supervisor_callbacks import CurrentDashboard
from vad_agent.web.routes_supervisor_callbacks import router as callbacks

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, Depends, Query, Request
    from starlette.exceptions import HTTPException
    from starlette.responses import Response, StreamingResponse

NUMBER = compile("-1|[0-9]{1,3}")
PICTURE_HEADERS = {"Cache-Control": "private, max-age=600"}

router = APIRouter(prefix="/supervisor")
router.include_router(callbacks)
router.include_router(people)


async def _period(
    dashboard: CurrentDashboard,
    day: str | None = None,
    first: Annotated[str | None, Query(alias="from")] = None,
    last: Annotated[str | None, Query(alias="to")] = None,
) -> ReportingPeriod:
    return dashboard.day(day, first, last)


async def _listed(
    state: str | None = None,
    operator: str | None = None,
    reason: str | None = None,
    sort: str | None = None,
    page: str | None = None,
) -> CallbackListQuery:
    return CallbackListQuery.of(state, operator, reason, sort, page)


Period = Annotated[ReportingPeriod, Depends(_period)]
Listed = Annotated[CallbackListQuery, Depends(_listed)]


@router.get("")
def show(
    request: Request, context: Context, supervisor: Supervisor, dashboard: CurrentDashboard,
    period: Period, listed: Listed, after: str | None = None,
) -> Response:  # fmt: skip
    """The page of a period; 503 with the remaining data if the store cannot be read."""
    board = dashboard.board(period, listed, after_call=after)
    return context.page(
        request,
        "supervisor.html",
        200 if board.promise is not None else 503,
        supervisor=supervisor.operator,
        csrf=context.authenticator.sessions.csrf(supervisor),
        has_logins=context.authenticator.has_logins,
        board=board,
        say=dashboard.words(period),
        after=after,
    )


@router.get("/verdicts")
def show_verdicts(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    dashboard: CurrentDashboard,
    day: str | None = None,
) -> Response:
    """What was wrong in a day's calls; without a day, in yesterday's."""
    period = dashboard.day(day or f"{dashboard.day(None).before:%Y-%m-%d}")
    try:
        reviews = reviewed(dashboard.calls, period)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    words = dashboard.words(period)
    return context.page(request, "supervisor_verdicts.html", day=period, found=reviews, say=words)


@router.get("/stream")
async def stream(context: Context, supervisor: Supervisor, dashboard: CurrentDashboard) -> Response:
    """The wallboard, from now on."""
    is_on = partial(context.authenticator.sessions.is_on, supervisor)
    heartbeat_s = context.heartbeat_s

    async def events() -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        async with aclosing(dashboard.floor.follow(is_on, heartbeat_s=heartbeat_s)) as told:
            async for changes in told:
                yield f"data: {changes}\n\n".encode(errors="replace")

    return StreamingResponse(events(), media_type=MEDIA_TYPE, headers=HEADERS)


@router.get("/calls/{call:path}")
def show_call(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    dashboard: CurrentDashboard,
    call: str,
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
    supervisor: Supervisor, dashboard: CurrentDashboard, call: str = "", row: str = ""
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
def table(
    supervisor: Supervisor, dashboard: CurrentDashboard, table: str, period: Period, listed: Listed
) -> Response:
    """A period as CSV."""
    if table not in supervisor_csv.TABLES:
        raise HTTPException(404)
    rows = supervisor_csv.TABLES[table](dashboard, period, listed)
    try:
        first = next(rows)  # read errors must occur before the answer begins
    except StoreError:
        raise Refused(503, NO_STORE) from None
    name = "-".join(
        (table, str(period.on), *(one.replace(":", "") for one in period.times.values()))
    )
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(_file(first, rows), media_type="text/csv", headers=headers)


def _file(first: str, rows: Iterator[str]) -> Iterator[bytes]:
    yield first.encode()
    for row in rows:
        yield row.encode(errors="replace")
