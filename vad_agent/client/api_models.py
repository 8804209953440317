"""The API's responses, and the form of its errors:

    {"error": {"code": "invalid", "text": "one line", "fields": [{"where": "body.at", "text": "one
        line"}]}}

Times are aware, in UTC.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.model import Outcome, State
from vad_agent.errors import extra

with extra("callbacks", "the API"):
    from pydantic import BaseModel, ConfigDict

PERSON = "X-Person"
"""Header with the person for whom a program acts, percent-encoded UTF-8: history records them too."""


class ApiModel(BaseModel):
    """Base class of the API's responses."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class CallbackOut(ApiModel):
    """One client to be called back."""

    id: str
    state: State
    open: bool
    reasons: list[str]
    created: datetime
    due: datetime | None
    next: datetime | None
    early: datetime | None
    fixed: bool
    key: str
    """Of the attempt that is next or under way."""
    attempt: int
    generation: int
    failures: int
    asked_operators: list[str]
    again: datetime | None
    phone: str | None
    phone_given: str | None
    name: str | None
    topic: str | None
    opening: str
    operator: str | None
    session: str | None
    ended: datetime | None
    asked: datetime | None = None
    """By the last call that requested it."""
    since: datetime | None = None
    """When it was offered to people, or one of them accepted it."""
    extension: str | None = None
    """Behind the number."""
    merged: int = 0
    """Requests that were merged into it: `requests` of the callback has each."""


class CallOut(ApiModel):
    """A call that is stored."""

    call: str
    new: bool
    """It was not here before."""


class LostCallOut(ApiModel):
    """A call whose trace asks for a callback that nobody has requested."""

    call: str
    operator: str | None
    ended: datetime


class LostCallsOut(ApiModel):
    """Such calls, the oldest first."""

    calls: list[LostCallOut]


class TakenOut(ApiModel):
    """A request that is stored, and the callback that answers it."""

    what: Literal["taken", "merged", "revised", "duplicate"]
    callback: CallbackOut


class MaybeOut(ApiModel):
    """The callback that was closed, if there was one."""

    callback: CallbackOut | None


class PageOut(ApiModel):
    """Callbacks; `next`: for `after`, null on the last page."""

    callbacks: list[CallbackOut]
    next: str | None


class AttemptOut(ApiModel):
    """One attempt, from its intent on."""

    key: str
    number: int
    node: str
    operator: str | None
    due: datetime
    intent: datetime
    dialled: datetime | None
    reference: str
    accepted: datetime | None = None
    """When `operator` accepted the offer."""
    ended: datetime | None
    outcome: Outcome | None
    detail: str | None


class ChangeOut(ApiModel):
    """One row of history; `change`: {field: [before, after]}, of what is personal "changed"."""

    at: datetime
    who: str
    what: str
    why: str
    change: dict[str, Any]


class RequestOut(ApiModel):
    """One request that a callback answers, as it was made; what is personal: null once it is erased."""

    taken: datetime
    reason: str
    call: str | None
    withdrawn: datetime | None
    asked: datetime | None
    at: str | None
    due_in_s: float | None
    operator: str | None
    name: str | None
    topic: str | None
    extension: str | None
    made: bool
    """Made from the trace of its call."""


class StoryOut(ApiModel):
    """A callback and all that happened to it."""

    callback: CallbackOut
    attempts: list[AttemptOut]
    history: list[ChangeOut]
    calls: list[str]
    requests: list[RequestOut] = []
    """All that it answers, those merged into it too."""


class PromiseOut(ApiModel):
    """Counts of requests; `missing` is 0, or something is wrong."""

    taken: int
    reached: int
    not_reached: int
    client_called: int
    cancelled: int
    open: int
    lost: int
    """Calls whose trace asks for a callback that nobody has requested a minute after the call's end."""
    missing: int
    """Requests that are not accounted for, and the lost ones."""


class NumbersOut(ApiModel):
    """Counts of callbacks and attempts."""

    by_state: dict[str, int]
    overdue: int
    oldest_due_s: float
    attempts_by_outcome: dict[str, int]
    under_way: int


class AlarmOut(ApiModel):
    """One thing that is wrong; `about`: a callback's id, a call's, a node's name, a dialer's, or nothing."""

    kind: Kind
    about: str
    since: datetime
    detail: str


class AlarmsOut(ApiModel):
    """The alarms that are on, the oldest first."""

    alarms: list[AlarmOut]


class HookOut(ApiModel):
    """Outcomes taken from a dialer; `unknown`: always 0, since unknown attempts are an error."""

    reported: int
    unknown: int


class HealthOut(ApiModel):
    """The process is alive."""

    alive: Literal[True] = True
    node: str
    zone: str = ""
    """IANA name of the centre's time zone; "": it has none."""


class ReadyOut(ApiModel):
    """Whether attempts would be made now, and why not."""

    ready: bool
    why: list[str]


# -- errors ----------------------------------------------------------------------------------------


class Code(StrEnum):
    """What went wrong, for programs."""

    UNREADABLE = "unreadable"
    """400: the body is not to be read at all."""
    UNAUTHORIZED = "unauthorized"
    """401: no token or signature, or a wrong one."""
    FORBIDDEN = "forbidden"
    """403: the token is of another scope."""
    NOT_YOURS = "not_yours"
    """403: the token is another operator's."""
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    """405: not with this method."""
    TOO_SLOW = "too_slow"
    """408: the body did not come."""
    CONFLICT = "conflict"
    """409: the callback's state does not allow it."""
    TOO_LARGE = "too_large"
    """413"""
    INVALID = "invalid"
    """422: `fields` says where."""
    WRONG_NUMBER = "wrong_number"
    """422: a telephone number that cannot be rung."""
    BROKEN = "broken"
    """500: a fault of the desk; its log has it."""
    UNAVAILABLE = "unavailable"
    """503: nothing was stored, send it again."""


class FieldError(BaseModel):
    """What is wrong with one field."""

    where: str
    text: str


class Error(BaseModel):
    """What went wrong; no value that came is repeated."""

    code: Code
    text: str
    fields: list[FieldError] | None = None


class ErrorOut(BaseModel):
    """The form of every error."""

    error: Error
