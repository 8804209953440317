"""Login and logout: `/enter` and `/leave`.

    GET  /enter[?token=T][&next=/PATH]     login by the link; without a token, or with a wrong one, the form
    POST /enter                            the form: token, or login and password, and next; with a password
                                           for one login also new and again: the password from now on
    POST /leave                            ends the session everywhere; X-CSRF-Token, or a form's csrf

The form is enter.html with error (a line, or None), has_logins, login (as typed), next, version, and
renews (a new password is asked for). It does not say whether the login or the password was wrong. After
too many failures: 429.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from vad_agent.errors import StoreError, extra
from vad_agent.web.authentication.authenticator import NewPasswordNeeded
from vad_agent.web.authentication.login_sessions import SESSION_S
from vad_agent.web.authentication.login_throttle import TooManyAttempts
from vad_agent.web.authentication.refusals import network_of
from vad_agent.web.dependencies import CSRF, Context, PanelContext, form_fields

with extra("callbacks", "the panel"):
    from anyio import to_thread
    from fastapi import APIRouter, Request
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse, Response

WRONG_TOKEN = "Эта ссылка не подходит: она действует один раз. Новая — в окне программы"
WRONG_LOGIN = "Логин или пароль не подходит"
NEW_PASSWORD = "Пароль верный, но одноразовый: придумайте свой, от 8 знаков, и введите оба"
NOT_ALIKE = "Новые пароли не совпали"
NO_STORE = "Войти сейчас нельзя: база недоступна. Попробуйте ещё раз"
OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path of this panel: browsers resolve //host and /\\host to other servers.

A path that leads back here does not count.
"""
MOST_WAITING = 20
"""Logins of one address that are being checked, or wait for it."""

router = APIRouter()


@router.get("/enter")
async def enter(request: Request, context: Context, token: str = "", next: str = "") -> Response:
    """Login by the printed link. A link on another site's page is rejected: it would use up the tries."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        token = ""
    if context.session(request) is not None:
        return RedirectResponse(own_path(next), 303)
    if token:
        return await _by_token(request, context, token, {"next": next})
    return _form(request, context, {"next": next})


@router.post("/enter")
async def enter_by_form(request: Request, context: Context) -> Response:
    """Login by the form."""
    given = form_fields(await request.body())
    if not context.authenticator.has_logins or "token" in given:
        return await _by_token(request, context, given.get("token", "").strip() or "?", given)
    new = given.get("new", "")
    if new != given.get("again", ""):
        return _form(request, context, given, 400, NOT_ALIKE, renews=True)
    way = partial(
        context.authenticator.by_login, given.get("login", ""), given.get("password", ""), new=new
    )
    return await _let_in(request, context, way, given, WRONG_LOGIN)


@router.post("/leave")
async def leave(request: Request, context: Context) -> Response:
    """Logout, which also ends every copy of the cookie.

    A session that is over already counts as logged out.
    """
    authenticator, session = context.authenticator, context.session(request)
    if session is None:
        return RedirectResponse("/enter", 303)
    given = request.headers.get(CSRF) or form_fields(await request.body()).get("csrf", "")
    if not authenticator.sessions.is_csrf(session, given):
        raise HTTPException(403)
    await run_in_threadpool(authenticator.sessions.leave, session)
    answer = RedirectResponse("/enter", 303)
    secure = _is_secure(request, context)
    answer.delete_cookie(
        authenticator.address.cookie, httponly=True, samesite="strict", secure=secure
    )
    return answer


def own_path(next: str) -> str:
    """The target after a login: a page of this panel, or its start page."""
    away = not OWN_PATH.fullmatch(next) or next.partition("?")[0] in ("/enter", "/leave")
    return "/" if away else next


async def _by_token(
    request: Request, context: PanelContext, token: str, given: Mapping[str, str]
) -> Response:
    way = partial(
        context.authenticator.by_token, token.rpartition("token=")[2]
    )  # the whole link was pasted
    return await _let_in(request, context, way, given, WRONG_TOKEN)


async def _let_in(
    request: Request,
    context: PanelContext,
    way: Callable[[str], str | None],
    given: Mapping[str, str],
    wrong: str,
) -> Response:
    """Check a login; a few run at once. Others wait here, not in a thread that other requests need; of
    one address only some, so that no flood of logins delays those of other addresses.
    """
    address = request.client.host if request.client else ""
    network = network_of(address)
    if context.waiting[network] >= MOST_WAITING:
        return _later(request, context, given, "Слишком много входов сразу", 1)
    context.waiting[network] += 1
    try:
        cookie = await to_thread.run_sync(way, address, limiter=context.entering)
    except TooManyAttempts as pause:
        wait_s = int(pause.wait_s) + 1
        return _later(request, context, given, "Слишком много неверных попыток", wait_s)
    except NewPasswordNeeded:
        return _form(request, context, given, 409, NEW_PASSWORD, renews=True)
    except StoreError:
        return _form(request, context, given, 503, NO_STORE)
    finally:
        context.waiting[network] -= 1
        if not context.waiting[network]:
            del context.waiting[network]
    if cookie is None:
        return _form(request, context, given, 401, wrong)
    answer = RedirectResponse(own_path(given.get("next", "")), 303)
    answer.set_cookie(
        context.authenticator.address.cookie,
        cookie,
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=_is_secure(request, context),
    )
    return answer


def _later(
    request: Request, context: PanelContext, given: Mapping[str, str], why: str, wait_s: int
) -> Response:
    answer = _form(request, context, given, 429, f"{why}: подождите {wait_s} с")
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def _form(
    request: Request,
    context: PanelContext,
    given: Mapping[str, str],
    status: int = 200,
    error: str | None = None,
    *,
    renews: bool = False,
) -> Response:
    told = {"has_logins": context.authenticator.has_logins, "login": given.get("login", "")}
    next = own_path(given.get("next", ""))
    return context.page(
        request, "enter.html", status, error=error, next=next, renews=renews, **told
    )


def _is_secure(request: Request, context: PanelContext) -> bool:
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    return context.authenticator.address.is_secure(request.url.scheme, host, origin)
