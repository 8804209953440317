"""One callback on the supervisor's pages: search, its history, and what a supervisor does to it.

    GET  /supervisor/search?q=…                callbacks of all days; the address has what was typed, so a
                                               proxy must not log it
    POST /supervisor/callbacks                 make the one that a call's trace asks for (call)
    GET  /supervisor/callbacks/ID              one, with its history and its forms
    POST /supervisor/callbacks/ID/ACTION       a form: see `callback_actions`; then 303 to the callback

History records a supervisor as `panel:LOGIN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from vad_agent.callbacks.next_attempt_time import overdue
from vad_agent.errors import RuleError, StoreError, extra
from vad_agent.web.authentication.login_sessions import Session
from vad_agent.web.callback_actions import (
    DONE,
    NO_STORE,
    OUTCOMES,
    UNCHANGED,
    CallbackActions,
    SupervisorAction,
    possible,
    seen,
)
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.dependencies import Context, PanelContext, Supervisor, SupervisorForm
from vad_agent.web.operator_callbacks import Refused

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, Depends, Request
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse, Response

NOTHING_TO_MAKE = "Запись этого звонка стёрта или не просит перезвона"

router = APIRouter()


async def _dashboard(context: Context) -> Dashboard:
    assert isinstance(context.dashboard, Dashboard), "without a centre there are no routes of it"
    return context.dashboard


CurrentDashboard = Annotated[Dashboard, Depends(_dashboard)]
"""The centre's dashboard."""


@router.get("/search")
def search(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    dashboard: CurrentDashboard,
    q: str = "",
) -> Response:
    """Callbacks by number, name, login or id."""
    try:
        found, since, late = dashboard.found(q)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    day = dashboard.day(None)
    return context.page(
        request,
        "supervisor_search.html",
        found=found,
        since=since,
        overdue=late,
        asked=q.strip(),
        policy=dashboard.policy,
        say=dashboard.words(day),
    )


@router.post("/callbacks")
def make_callback(
    supervisor: Supervisor, fields: SupervisorForm, dashboard: CurrentDashboard
) -> Response:
    """Make the callback that the trace of a call asks for; then its page."""
    try:
        made = dashboard.make(fields.get("call", ""), supervisor.operator)
    except RuleError:
        raise Refused(409, NOTHING_TO_MAKE) from None
    except StoreError:
        raise Refused(503, NO_STORE) from None
    return RedirectResponse(f"/supervisor/callbacks/{made.id}", 303)


@router.get("/callbacks/{id}")
def show_callback(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    dashboard: CurrentDashboard,
    id: str,
    done: str = "",
) -> Response:
    """One callback."""
    return _page(request, context, supervisor, dashboard, id, done=DONE.get(done, ""))


@router.post("/callbacks/{id}/{action}")
def act(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    fields: SupervisorForm,
    dashboard: CurrentDashboard,
    id: str,
    action: str,
) -> Response:
    """Do what the form says; if that is refused, the page with what was typed."""
    chosen = next((one for one in SupervisorAction if one.value == action), None)
    if chosen is None:
        raise HTTPException(404)
    actions = CallbackActions(dashboard.service, supervisor.operator, dashboard.operators)
    try:
        after = actions.perform(id, chosen, fields)
    except Refused as refusal:
        if refusal.status in (404, 503):
            raise
        page = partial(_page, request, context, supervisor, dashboard, id, status=refusal.status)
        return page(wrong=refusal.text, action=chosen, typed=fields)
    is_same = chosen is SupervisorAction.OUTCOME and seen(after) == fields.get("seen")
    done = UNCHANGED if is_same else chosen.value
    return RedirectResponse(f"/supervisor/callbacks/{after.id}?done={done}", 303)


def _page(
    request: Request,
    context: PanelContext,
    supervisor: Session,
    dashboard: Dashboard,
    id: str,
    status: int = 200,
    *,
    done: str = "",
    wrong: str = "",
    action: SupervisorAction | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """A callback's page. `wrong`: why `action` was refused; `typed`: its form's fields."""
    try:
        found = dashboard.callback(id)
        operators = dashboard.operators() if found else []
    except StoreError:
        raise Refused(503, NO_STORE) from None
    if found is None:
        raise HTTPException(404)
    story, kept = found
    day, callback = dashboard.day(None), story.callback
    return context.page(
        request,
        "supervisor_callback.html",
        status,
        story=story,
        kept=kept,
        policy=dashboard.policy,
        overdue=overdue(callback, dashboard.now, dashboard.policy),
        since=dashboard.ringing_since(callback),
        say=dashboard.words(day),
        day=day,
        csrf=context.authenticator.sessions.csrf(supervisor),
        has_logins=context.authenticator.has_logins,
        supervisor=supervisor.operator,
        possible=possible(callback, dashboard.now, dashboard.policy),
        seen=seen(callback),
        outcomes=OUTCOMES,
        operators=operators,
        done=done,
        wrong=wrong,
        action=action,
        typed=typed or {},
    )
