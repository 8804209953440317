"""Routes of callbacks: request, list, show, change.

    POST /callbacks                 201 a new one; 200 merged, revised, or the same request again
    GET  /callbacks                 a page of callbacks
    GET  /callbacks/{id}            one, with its attempts, history and calls
    POST /callbacks/{id}/accept     an offered one: the operator calls by hand
    POST /callbacks/{id}/outcome | cancel | retry | number | time | operator

The store blocks: these are not coroutines, so that each runs in a thread.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated

from vad_agent.callbacks.model import ENDED, OPEN, Callback, Request, State
from vad_agent.callbacks.phone_numbers import normalised
from vad_agent.client.api_models import CallbackOut, PageOut, StoryOut, TakenOut
from vad_agent.core.actions import Reason
from vad_agent.errors import RuleError, extra
from vad_agent.server.app_state import AppState, CurrentState, Measured
from vad_agent.server.bearer_auth import BEARER, Caller, Who
from vad_agent.server.error_handlers import Forbidden, Missing
from vad_agent.server.ownership import NO_SUCH, check_operator, own
from vad_agent.server.request_models import (
    KEY,
    LONGEST_KEY,
    AcceptIn,
    Id,
    ListQuery,
    NumberIn,
    OperatorIn,
    OutcomeIn,
    RequestIn,
    TimeIn,
    WhyIn,
)
from vad_agent.web.error_responses import responses

with extra("callbacks", "the API"):
    from fastapi import APIRouter, Header, Path, Query, Response

SKEW = timedelta(seconds=5)
"""A smaller difference is the way of the request, and the seconds of its Date header."""
MOST_SKEW = timedelta(days=366)
READ = responses(401, 403, 404, 422, 500, 503)
WRITE = responses(400, 401, 403, 404, 408, 409, 413, 422, 500, 503)

router = APIRouter(prefix="/callbacks", tags=["callbacks"], dependencies=[BEARER])
IdPath = Annotated[Id, Path()]
TheKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=LONGEST_KEY, pattern=KEY),
]


@router.post(
    "",
    status_code=201,
    response_model=TakenOut,
    responses={
        201: {"description": "A new callback"},
        200: {"model": TakenOut, "description": "An open one answers it, or it was stored before"},
        **responses(400, 401, 403, 408, 409, 413, 422, 500, 503),
    },
)
def ask_for_callback(
    body: RequestIn,
    app_state: CurrentState,
    metrics: Measured,
    caller: Caller,
    response: Response,
    idempotency_key: TheKey = None,
    date: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> TakenOut:
    """Ask for a callback; once this is answered it cannot be lost."""
    strict = not body.keep_wrong_number
    if strict:
        check_operator(body.operator, caller, app_state)
    request = _request(body, idempotency_key, date, app_state)
    if not caller.is_for(request.operator):  # a headset's request must not be lost
        request = replace(request, operator=caller.login)
    taken = app_state.service.take(request, caller.who, strict=strict)
    metrics.stored(taken.what)
    if taken.what != "taken":
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/callbacks/{taken.callback.id}"
    return TakenOut.model_validate(taken)


def _request(body: RequestIn, key: str | None, date: str | None, app_state: AppState) -> Request:
    now = app_state.service.clock.now()
    asked = now if body.asked is None else body.asked + _behind(date, now)
    due_in_s = body.due_in_s
    if due_in_s is None and body.at is None and body.reason is not Reason.AGREED:
        due_in_s = 0.0
    return Request(
        key=key or body.key or secrets.token_urlsafe(16),
        reason=body.reason.value,
        asked=min(asked, now),
        due_in_s=due_in_s,
        at=body.at,
        phone=body.phone,
        name=body.name,
        topic=body.topic,
        opening=body.opening,
        operator=body.operator,
        call=body.call,
        call_on=body.call_on,
        session=body.session,
    )


def _behind(date: str | None, now: datetime) -> timedelta:
    """By how much the sender's clock is behind, by its Date header.

    A request that seems older than the client's last call is not rung: it must not seem so by a wrong
    clock.
    """
    try:
        sent = parsedate_to_datetime(date or "")
    except ValueError:
        return timedelta()
    behind = now - (sent if sent.tzinfo else sent.replace(tzinfo=UTC))
    return behind if SKEW < abs(behind) < MOST_SKEW else timedelta()


@router.get("", response_model=PageOut, responses=responses(401, 403, 422, 500, 503))
def list_callbacks(
    query: Annotated[ListQuery, Query()], app_state: CurrentState, caller: Caller
) -> PageOut:
    """The next due first, then those without a time, ended ones last, the newest first.

    With a headset's token: those that its operator may see.
    """
    operator = query.operator or caller.login
    if not caller.is_for(operator):
        raise Forbidden(f"operator: this token is that of {caller.login}")
    phone = query.phone and normalised(query.phone, app_state.service.store.policy.region)
    found = app_state.queries.page(
        _states(query.state),
        phone=phone,
        operator=operator,
        offered=partial(app_state.service.is_offered_to, operator or ""),
        after=query.after,
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    return PageOut(
        callbacks=[CallbackOut.model_validate(one) for one in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


def _states(given: str | None) -> frozenset[State] | None:
    match given:
        case None:
            return None
        case "open":
            return OPEN
        case "ended":
            return ENDED
        case _:
            return frozenset({State(given)})


@router.get("/{id}", response_model=StoryOut, responses=READ)
def show_callback(id: IdPath, app_state: CurrentState, caller: Caller) -> StoryOut:
    """One callback, with all that happened to it."""
    callback = own(id, caller, app_state, offered=True)
    return StoryOut.model_validate(
        {
            "callback": callback,
            "attempts": app_state.service.store.attempts_of(id),
            "history": app_state.queries.history(id),
            "calls": app_state.queries.calls_of(id),
            "requests": app_state.queries.requests_of(id),
        }
    )


@router.post("/{id}/accept", response_model=CallbackOut, responses=WRITE)
def accept_callback(
    id: IdPath, body: AcceptIn, app_state: CurrentState, caller: Caller
) -> Callback:
    """Call by hand what is offered: the first operator has it, for another one it is a conflict."""
    check_operator(body.operator, caller, app_state)
    with _existing(id, app_state):
        return app_state.service.accept(id, body.operator, caller.who)


@router.post("/{id}/outcome", response_model=CallbackOut, responses=WRITE)
def say_outcome(id: IdPath, body: OutcomeIn, app_state: CurrentState, caller: Caller) -> Callback:
    """Say how an attempt ended: the one of the key, or the one under way.

    A call made by hand is the next attempt: its key is the callback's. `reached` corrects an outcome of
    the same attempt that was not. With a headset's token only its operator's callbacks, and nobody's, are
    settled.
    """
    own(id, caller, app_state)
    with _existing(id, app_state):
        return app_state.service.done(
            id,
            body.outcome,
            caller.who,
            body.why,
            key=body.key,
            settles=body.settles,
            operator=caller.login,
        )


@router.post("/{id}/cancel", response_model=CallbackOut, responses=WRITE)
def cancel_callback(id: IdPath, body: WhyIn, app_state: CurrentState, caller: Caller) -> Callback:
    """Take it back."""
    own(id, caller, app_state)
    with _existing(id, app_state):
        return app_state.service.cancel(id, caller.who, body.why)


@router.post("/{id}/retry", response_model=CallbackOut, responses=WRITE)
def retry_callback(id: IdPath, body: WhyIn, app_state: CurrentState, who: Who) -> Callback:
    """All attempts anew, now; also of one that has ended."""
    with _existing(id, app_state):
        return app_state.service.retry(id, who, body.why)


@router.post("/{id}/number", response_model=CallbackOut, responses=WRITE)
def set_number(id: IdPath, body: NumberIn, app_state: CurrentState, caller: Caller) -> Callback:
    """Give it a number; the answer is another callback where the client has one already."""
    own(id, caller, app_state)
    with _existing(id, app_state):
        return app_state.service.set_number(id, body.phone, caller.who)


@router.post("/{id}/time", response_model=CallbackOut, responses=WRITE)
def set_time(id: IdPath, body: TimeIn, app_state: CurrentState, who: Who) -> Callback:
    """Agree on another time."""
    with _existing(id, app_state):
        return app_state.service.set_time(id, body.at, who)


@router.post("/{id}/operator", response_model=CallbackOut, responses=WRITE)
def set_operator(id: IdPath, body: OperatorIn, app_state: CurrentState, caller: Caller) -> Callback:
    """Hand it over to another operator, or to anybody."""
    check_operator(body.operator, caller, app_state)
    with _existing(id, app_state):
        return app_state.service.set_operator(id, body.operator, caller.who, body.why)


@contextmanager
def _existing(id: str, app_state: AppState) -> Iterator[None]:
    """A refused transition is a conflict, except for a callback that does not exist."""
    try:
        yield
    except RuleError:
        if app_state.service.store.find(id) is None:
            raise Missing(NO_SUCH) from None
        raise
