"""Routes for reports of calls, and for the supervisor's queries.

    POST /client-called      the client has called: their callback is closed
    POST /calls              a finished call with its trace: 201 new, 200 known already
    POST /calls/ended        the call is over: what waited for its end is due
    POST /calls/withdrawn    the call's client came back: no callback for that call
    GET  /calls/lost         calls whose trace asks for a callback that was never requested
    POST /calls/callback     make the callback that the call's trace asks for: 201 new, 200 known already
    GET  /promise, /numbers, /alarms

A call's id is in the body, because it may contain any characters.
"""

from __future__ import annotations

from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.trace_compression import unpack
from vad_agent.client.api_models import (
    AlarmOut,
    AlarmsOut,
    CallOut,
    LostCallOut,
    LostCallsOut,
    MaybeOut,
    NumbersOut,
    PromiseOut,
    TakenOut,
)
from vad_agent.errors import extra
from vad_agent.server.app_state import CurrentState, Measured
from vad_agent.server.bearer_auth import BEARER, Caller, Who
from vad_agent.server.error_handlers import Forbidden
from vad_agent.server.ownership import check_operator, is_own_call
from vad_agent.server.request_models import CallDoneIn, CallIn, ClientCalledIn
from vad_agent.web.error_responses import responses

with extra("callbacks", "the API"):
    from fastapi import APIRouter, Response
    from fastapi.exceptions import RequestValidationError

READ = responses(401, 403, 500, 503)
WRITE = responses(400, 401, 403, 408, 409, 413, 422, 500, 503)

router = APIRouter(tags=["calls"], dependencies=[BEARER])
supervisor = APIRouter(tags=["supervisor"], dependencies=[BEARER])


@router.post("/client-called", response_model=MaybeOut, responses=WRITE)
def client_called(body: ClientCalledIn, app_state: CurrentState, caller: Caller) -> MaybeOut:
    """The client has rung himself: his open callback is closed, also while an attempt is under way.

    With an operator, or a headset's token, another operator's callback is a conflict.
    """
    check_operator(body.operator, caller, app_state)
    operator = body.operator or caller.login
    closed = app_state.service.client_called(body.phone, caller.who, operator=operator)
    return MaybeOut.model_validate({"callback": closed})


@router.post(
    "/calls",
    status_code=201,
    response_model=CallOut,
    responses={
        201: {"description": "A new call"},
        200: {"model": CallOut, "description": "It was told before: nothing is changed"},
        **WRITE,
    },
)
def call_done(
    body: CallDoneIn, app_state: CurrentState, caller: Caller, response: Response
) -> CallOut:
    """A finished call with its trace; a repeated report changes nothing."""
    if not caller.is_for(body.operator):
        raise Forbidden(f"operator: this token is that of {caller.login}")
    new = app_state.service.take_call(_record(body))
    if not new:
        response.status_code = 200
    return CallOut(call=body.call, new=new)


def _record(body: CallDoneIn) -> CallRecord:
    """Decoded here and not by validation, because it takes a while: this runs in a thread."""
    try:
        return CallRecord(body.call, body.operator, body.mode, body.began, unpack(body.lines))
    except ValueError as error:
        found = {"type": "value_error", "loc": ("body",), "msg": str(error)}
        raise RequestValidationError([found]) from None


@router.post("/calls/ended", status_code=204, response_model=None, responses=WRITE)
def call_ended(body: CallIn, app_state: CurrentState, caller: Caller) -> None:
    """The call is over; a repeated report, or one of another operator's call, changes nothing."""
    if is_own_call(body.call, caller, app_state):
        app_state.service.call_ended(body.call, caller.who)


@router.post("/calls/withdrawn", response_model=MaybeOut, responses=WRITE)
def call_withdrawn(body: CallIn, app_state: CurrentState, caller: Caller) -> MaybeOut:
    """The call's client came back: cancel the callback unless another call requests it.

    Another operator's call changes nothing.
    """
    if not is_own_call(body.call, caller, app_state):
        return MaybeOut(callback=None)
    withdrawn = app_state.service.withdraw(body.call, caller.who)
    return MaybeOut.model_validate({"callback": withdrawn})


@router.post(
    "/calls/callback",
    status_code=201,
    response_model=TakenOut,
    responses={
        201: {"description": "A new callback"},
        200: {
            "model": TakenOut,
            "description": "It was requested before, or an open one answers it",
        },
        **WRITE,
    },
)
def make_callback(
    body: CallIn, app_state: CurrentState, metrics: Measured, who: Who, response: Response
) -> TakenOut:
    """Make the callback that the stored trace of a call asks for."""
    taken = app_state.service.make(body.call, who)
    metrics.stored(taken.what)
    if taken.what != "taken":
        response.status_code = 200
    return TakenOut.model_validate(taken)


@supervisor.get("/calls/lost", response_model=LostCallsOut, responses=READ)
def lost_calls(app_state: CurrentState) -> LostCallsOut:
    """Calls whose trace asks for a callback that nobody has requested, the oldest first."""
    lost = app_state.service.calls.lost(app_state.service.clock.now())
    return LostCallsOut(calls=[LostCallOut.model_validate(one) for one in lost])


@supervisor.get("/promise", response_model=PromiseOut, responses=READ)
def promise(app_state: CurrentState) -> PromiseOut:
    """Are all requests accounted for?"""
    now = app_state.service.clock.now()
    return PromiseOut.model_validate(app_state.queries.promise(now=now))


@supervisor.get("/numbers", response_model=NumbersOut, responses=READ)
def numbers(app_state: CurrentState) -> NumbersOut:
    """Counts, now."""
    return NumbersOut.model_validate(app_state.queries.numbers(app_state.service.clock.now()))


@supervisor.get("/alarms", response_model=AlarmsOut, responses=READ)
def alarms(app_state: CurrentState) -> AlarmsOut:
    """What is wrong, now."""
    return AlarmsOut(alarms=[AlarmOut.model_validate(alarm) for alarm in app_state.alerts.all()])
