"""What goes in and out of the API, checked at the door: nothing unknown, nothing endless, no signs but text.

Texts hold no control characters and no half letters: PostgreSQL refuses some of them, terminals obey others.
Numbers are finite. An agreed time is ISO 8601 and of this century; without a zone it is the centre's.
Errors have one form, whatever went wrong:

    {"error": {"code": "invalid", "text": "one line", "fields": [{"where": "body.at", "text": "one line"}]}}
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from vad_agent.callbacks.alarms import Kind
from vad_agent.callbacks.rules import Outcome, State
from vad_agent.core.actions import Reason
from vad_agent.errors import extra

with extra("callbacks", "the API"):
    from pydantic import (
        AfterValidator,
        AwareDatetime,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        Strict,
        model_validator,
    )

TEXT = r"^[^\x00-\x1f\x7f-\x9f]*$"
KEY = r"^[\x20-\x7e]+$"
ID = r"^[0-9a-z]{1,32}$"
ATTEMPT = r"^[0-9a-z]{1,32}\.[0-9]{1,9}\.[0-9]{1,9}$"
LONGEST_KEY = 200
YEARS = range(2000, 2100)
YEAR_S = 366 * 86400.0
MOST_LISTED = 500


def _iso(text: object) -> datetime:
    if not isinstance(text, str):
        raise ValueError("expected an ISO 8601 time, as a text")
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected an ISO 8601 time") from None
    if when.year not in YEARS:
        raise ValueError(f"expected a year from {YEARS[0]} to {YEARS[-1]}")
    return when


def _agreed(text: str) -> str:
    _iso(text)
    return text


def _or_none(text: str | None) -> str | None:
    return text if text and not text.isspace() else None


Id = Annotated[str, Field(pattern=ID)]
Call = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT)]
Phone = Annotated[str, Field(max_length=40, pattern=TEXT, examples=["8 912 345-67-89"])]
Login = Annotated[str, Field(max_length=100, pattern=TEXT)]
Why = Annotated[
    str, Field(max_length=500, pattern=TEXT, description="For history; no names, no numbers.")
]
Time = Annotated[str, Field(max_length=40, examples=["2027-03-01T15:30"]), AfterValidator(_agreed)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=YEAR_S, allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, BeforeValidator(_iso)]
Key = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY, pattern=KEY)]
Blank = AfterValidator(_or_none)
"""A text of nothing is none."""


class Body(BaseModel):
    """Of a request: nothing that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Of what the desk has."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


# -- in --------------------------------------------------------------------------------------------


class RequestIn(Body):
    """A callback that is asked for.

    Due: `due_in_s` after `asked`, or `at`; with neither, at once, but for `agreed`: then it needs a time.
    """

    reason: Reason
    due_in_s: Seconds | None = None
    at: Time | None = None
    phone: Annotated[Phone | None, Blank] = None
    name: Annotated[
        Annotated[str, Field(max_length=200, pattern=TEXT)] | None,
        Blank,
    ] = None
    topic: Annotated[
        Annotated[str, Field(max_length=500, pattern=TEXT)] | None,
        Blank,
    ] = None
    opening: Annotated[str, Field(max_length=1000, pattern=TEXT)] = ""
    """What the operator says first."""
    operator: Annotated[Login | None, Blank] = None
    call: Annotated[Call | None, Blank] = None
    call_on: Annotated[bool, Strict()] = False
    session: Annotated[
        Annotated[str, Field(max_length=200, pattern=TEXT)] | None,
        Blank,
    ] = None
    asked: Moment | None = None
    """Now, if it is not given or, by a clock that is ahead, later than that."""
    key: Key | None = None
    """The same key again is the same request. The header `Idempotency-Key` goes before it."""
    keep_wrong_number: Annotated[bool, Strict()] = False
    """A number that cannot be rung is kept, and the callback needs one; else it is refused."""

    @model_validator(mode="after")
    def _one_time(self) -> RequestIn:
        if self.due_in_s is not None and self.at is not None:
            raise ValueError("expected due_in_s or at, not both")
        return self


class OutcomeIn(Body):
    """How an attempt ended: of `key`, where that is given, else of the one under way or made by hand.

    With its key an outcome that is told twice counts once.
    """

    outcome: Outcome
    why: Why = ""
    key: Annotated[str, Field(max_length=64, pattern=ATTEMPT)] | None = None


class WhyIn(Body):
    """Why somebody changes it."""

    why: Why = ""


class NumberIn(Body):
    """A telephone number, however it is written."""

    phone: Phone


class TimeIn(Body):
    """An agreed time."""

    at: Time


class CallIn(Body):
    """A call, by its id."""

    call: Call


class ListQuery(Body):
    """Which callbacks; `after`: the `next` of the page before."""

    state: Literal["open", "ended"] | State | None = None
    phone: Phone | None = None
    operator: Login | None = None
    """Those that are his, or anybody's."""
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 100
    after: Id | None = None


# -- out -------------------------------------------------------------------------------------------


class CallbackOut(Answer):
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


class TakenOut(Answer):
    """A request that is stored, and the callback that answers it."""

    what: Literal["taken", "merged", "revised", "duplicate"]
    callback: CallbackOut


class MaybeOut(Answer):
    """The callback that was closed, if there was one."""

    callback: CallbackOut | None


class PageOut(Answer):
    """Callbacks; `next`: for `after`, null on the last page."""

    callbacks: list[CallbackOut]
    next: str | None


class AttemptOut(Answer):
    """One attempt, from its intent on."""

    key: str
    number: int
    node: str
    operator: str | None
    due: datetime
    intent: datetime
    dialled: datetime | None
    reference: str
    ended: datetime | None
    outcome: Outcome | None
    detail: str | None


class ChangeOut(Answer):
    """One row of history; `change`: {field: [before, after]}, of what is personal "changed"."""

    at: datetime
    who: str
    what: str
    why: str
    change: dict[str, Any]


class StoryOut(Answer):
    """A callback and all that happened to it."""

    callback: CallbackOut
    attempts: list[AttemptOut]
    history: list[ChangeOut]
    calls: list[str]


class PromiseOut(Answer):
    """Counts of requests; `missing` is 0, or something is wrong."""

    taken: int
    reached: int
    not_reached: int
    client_called: int
    cancelled: int
    open: int
    missing: int


class NumbersOut(Answer):
    """Counts of callbacks and attempts."""

    by_state: dict[str, int]
    overdue: int
    oldest_due_s: float
    attempts_by_outcome: dict[str, int]
    under_way: int


class AlarmOut(Answer):
    """One thing that is wrong; `about`: a callback's id, a node's name, or nothing."""

    kind: Kind
    about: str
    since: datetime
    detail: str


class AlarmsOut(Answer):
    """The alarms that are on, the oldest first."""

    alarms: list[AlarmOut]


class HookOut(Answer):
    """Outcomes taken from a dialer; `unknown`: of attempts that this desk has not made."""

    reported: int
    unknown: int


class HealthOut(Answer):
    """The process is alive."""

    alive: Literal[True] = True
    node: str


class ReadyOut(Answer):
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
    """What went wrong; nothing of the request is repeated."""

    code: Code
    text: str
    fields: list[FieldError] | None = None


class ErrorOut(BaseModel):
    """The form of every error."""

    error: Error
