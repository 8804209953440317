"""The users of the pages, for supervisors: who may log in, and who changed that.

    GET  /supervisor/people                                   all users and the newest changes
    POST /supervisor/people/disable | enable   login          then 303 to the page
    POST /supervisor/people/reset              login          the page with a one-time password, shown once

Nobody changes their own login here: they could lock themselves out. To add users and to set roles is the
engineer's: `vad-agent people`. History records a supervisor as `panel:LOGIN`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vad_agent.common.identity import folded
from vad_agent.errors import StoreError, extra
from vad_agent.web.authentication.login_sessions import Session
from vad_agent.web.authentication.users import UserError, Users
from vad_agent.web.callback_actions import NO_STORE
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.dependencies import Context, PanelContext, Supervisor, SupervisorForm
from vad_agent.web.operator_callbacks import Refused
from vad_agent.web.routes_supervisor_callbacks import CurrentDashboard

with extra("callbacks", "the panel"):
    from fastapi import APIRouter, Request
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse, Response

MOST_CHANGES = 100
DONE = {
    "disable": "Отключён: вход закрыт, сеансы закончены",
    "enable": "Включён: вход с прежним паролем",
}
NO_USER = "Такого логина нет"
ONESELF = "Свой логин меняет другой старший или инженер"

router = APIRouter(prefix="/people")


@router.get("")
def show(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    dashboard: CurrentDashboard,
    done: str = "",
) -> Response:
    """All users."""
    return _page(request, context, supervisor, dashboard, done=DONE.get(done, ""))


@router.post("/disable")
def disable(
    supervisor: Supervisor, fields: SupervisorForm, dashboard: CurrentDashboard
) -> Response:
    """No login from now on, and the user's sessions end at once."""
    _change(dashboard, supervisor, fields.get("login", ""), Users.disable)
    return RedirectResponse("/supervisor/people?done=disable", 303)


@router.post("/enable")
def enable(supervisor: Supervisor, fields: SupervisorForm, dashboard: CurrentDashboard) -> Response:
    """The user may log in again."""
    _change(dashboard, supervisor, fields.get("login", ""), Users.enable)
    return RedirectResponse("/supervisor/people?done=enable", 303)


@router.post("/reset")
def reset(
    request: Request,
    context: Context,
    supervisor: Supervisor,
    fields: SupervisorForm,
    dashboard: CurrentDashboard,
) -> Response:
    """Another password, which this answer alone contains."""
    login = fields.get("login", "")
    user, password = _change(dashboard, supervisor, login, Users.reset_password)
    return _page(request, context, supervisor, dashboard, reset=(user.login, password))


def _change(
    dashboard: Dashboard, supervisor: Session, login: str, how: Callable[[Users, str, str], Any]
) -> Any:
    users = _users(dashboard)
    if folded(login) == folded(supervisor.operator):
        raise Refused(409, ONESELF)
    try:
        return how(users, login, f"panel:{supervisor.operator}")
    except UserError:
        raise Refused(404, NO_USER) from None
    except StoreError:
        raise Refused(503, NO_STORE) from None


def _users(dashboard: Dashboard) -> Users:
    if dashboard.users is None:
        raise HTTPException(404)
    return dashboard.users


def _page(
    request: Request,
    context: PanelContext,
    supervisor: Session,
    dashboard: Dashboard,
    *,
    done: str = "",
    reset: tuple[str, str] | None = None,
) -> Response:
    """The page. `reset`: a login and its new password."""
    users = _users(dashboard)
    try:
        everybody, changes = users.all(), users.history(MOST_CHANGES)
    except StoreError:
        raise Refused(503, NO_STORE) from None
    return context.page(
        request,
        "supervisor_people.html",
        users=everybody,
        changes=changes,
        own=folded(supervisor.operator),
        folded=folded,
        csrf=context.authenticator.sessions.csrf(supervisor),
        has_logins=context.authenticator.has_logins,
        say=dashboard.words(dashboard.day(None)),
        done=done,
        reset=reset,
    )
