"""What a headset's token may touch: the callbacks and calls of its operator, and those of nobody.

A colleague's callback is treated as missing, as on the operator's panel. Other tokens may touch all.
"""

from __future__ import annotations

from vad_agent.callbacks.model import Callback
from vad_agent.errors import extra
from vad_agent.server.app_state import AppState
from vad_agent.server.error_handlers import Forbidden, Missing
from vad_agent.web.authentication.access_tokens import Credential

with extra("callbacks", "the API"):
    from fastapi.exceptions import RequestValidationError

NO_SUCH = "there is no such callback"


def own(id: str, caller: Credential, app_state: AppState, *, offered: bool = False) -> Callback:
    """The callback, if the caller may change it. `offered`: also one that is offered to them.

    Raises:
        Missing: there is none, or it is another operator's.
    """
    found = app_state.service.store.find(id)
    if found is None or not (
        caller.is_for(found.operator)
        or (offered and app_state.service.is_offered_to(caller.name, found))
    ):
        raise Missing(NO_SUCH)
    return found


def check_operator(operator: str | None, caller: Credential, app_state: AppState) -> None:
    """Check an operator whom a request names.

    Raises:
        Forbidden: the token is another operator's.
        RequestValidationError: nobody has this login.
    """
    if not caller.is_for(operator):
        raise Forbidden(f"operator: this token is that of {caller.login}")
    if operator and not app_state.is_known(operator):
        told = {"type": "value_error", "loc": ("body", "operator"), "msg": "nobody has this login"}
        raise RequestValidationError([told])


def is_own_call(call: str, caller: Credential, app_state: AppState) -> bool:
    """The call's callbacks were requested for the caller, or for nobody."""
    if caller.login is None:
        return True
    return all(caller.is_for(one) for one in app_state.queries.operators_of_call(call))
