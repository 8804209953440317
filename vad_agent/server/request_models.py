"""The API's request bodies, validated: no unknown fields, limited lengths, plain text only.

Texts contain no control characters and no surrogates: PostgreSQL refuses some of them, terminals
interpret others. Numbers are finite. An agreed time is ISO 8601 and of this century; without a zone
it is in the centre's. A headset's request must not be lost for such an error: with
`keep_wrong_number` it is corrected, not refused.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.next_attempt_time import wall_time
from vad_agent.callbacks.trace_compression import MOST_PACKED
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
        StringConstraints,
        model_validator,
    )

TEXT = r"^[^\x00-\x1f\x7f-\x9f]*$"
KEY = r"^[\x20-\x7e]+$"
ID = r"^[0-9a-z]{1,32}$"
ATTEMPT = r"^[0-9a-z]{1,32}\.[0-9]{1,9}\.[0-9]{1,9}$"
BASE64 = r"^[A-Za-z0-9+/]*={0,2}$"
NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_KEY = 200
LONGEST = {
    "phone": 250,
    "name": 200,
    "topic": 500,
    "opening": 1000,
    "operator": 100,
    "session": 200,
}
YEARS = range(2000, 2100)
YEAR_S = 366 * 86400.0
MOST_LISTED = 500


def _text(name: str) -> Any:
    return Field(max_length=LONGEST[name], pattern=TEXT)


def _iso(text: object) -> datetime:
    if not isinstance(text, str):
        raise ValueError("expected an ISO 8601 time, as a text")
    when = wall_time(text)
    if when.year not in YEARS:
        raise ValueError(f"expected a year from {YEARS[0]} to {YEARS[-1]}")
    return when


def _is_time(text: str) -> bool:
    try:
        return bool(_iso(text))
    except ValueError:
        return False


def _agreed(text: str) -> str:
    _iso(text)
    return text


def _or_none(text: str | None) -> str | None:
    return text if text and not text.isspace() else None


Id = Annotated[str, Field(pattern=ID)]
CallField = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT)]
PhoneField = Annotated[str, _text("phone"), Field(examples=["8 912 345-67-89"])]
NameField = Annotated[str, _text("name")]
TopicField = Annotated[str, _text("topic")]
OpeningField = Annotated[str, _text("opening")]
LoginField = Annotated[str, _text("operator")]
SessionField = Annotated[str, _text("session")]
WhyField = Annotated[
    str, Field(max_length=500, pattern=TEXT, description="For history; no names, no numbers.")
]
Time = Annotated[str, Field(max_length=40, examples=["2027-03-01T15:30"]), AfterValidator(_agreed)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=YEAR_S, allow_inf_nan=False)]
MomentField = Annotated[AwareDatetime, BeforeValidator(_iso)]
KeyField = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY, pattern=KEY)]
Blank = AfterValidator(_or_none)
"""An empty text becomes None."""


class Body(BaseModel):
    """Of a request: nothing that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RequestIn(Body):
    """A callback that is asked for.

    Due: `at`, else `due_in_s` after `asked`, else at once; but `agreed` without either needs a time.
    """

    reason: Reason
    due_in_s: Seconds | None = None
    at: Time | None = None
    phone: Annotated[PhoneField | None, Blank] = None
    name: Annotated[NameField | None, Blank] = None
    topic: Annotated[TopicField | None, Blank] = None
    opening: OpeningField = ""
    """What the operator says first."""
    operator: Annotated[LoginField | None, Blank] = None
    call: Annotated[CallField | None, Blank] = None
    call_on: Annotated[bool, Strict()] = False
    session: Annotated[SessionField | None, Blank] = None
    asked: MomentField | None = None
    """Now, if it is not given or, by a clock that is ahead, later than that."""
    key: KeyField | None = None
    """The same key again is the same request. The header `Idempotency-Key` goes before it."""
    keep_wrong_number: Annotated[bool, Strict()] = False
    """Not refused for a number that cannot be rung or a time that is none: the callback needs one then.

    Texts that are too long are cut, what is no text in them is blank.
    """

    @model_validator(mode="before")
    @classmethod
    def _kept(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("keep_wrong_number") is not True:
            return given
        mended = dict(given)
        for name, most in LONGEST.items():
            if isinstance(text := given.get(name), str):
                mended[name] = NO_TEXT.sub(" ", text)[:most]
        if isinstance(at := given.get("at"), str) and not _is_time(at):
            mended |= {"at": None, "due_in_s": None}
        return mended


class OutcomeIn(Body):
    """How an attempt ended: of `key`, where that is given, else of the one under way.

    With its key an outcome that is told twice counts once; without it, if it is told again within 2 s.
    """

    outcome: Outcome
    why: WhyField = ""
    key: Annotated[str, Field(max_length=64, pattern=ATTEMPT)] | None = None
    settles: Annotated[bool, Strict()] = False
    """With `reached`: everything else that was promised to this client is settled too."""

    @model_validator(mode="after")
    def _settles_if_reached(self) -> OutcomeIn:
        if self.settles and self.outcome is not Outcome.REACHED:
            raise ValueError("settles: expected the outcome reached")
        return self


class AcceptIn(Body):
    """Who calls by hand."""

    operator: Annotated[
        str,
        StringConstraints(
            strip_whitespace=True, min_length=1, max_length=LONGEST["operator"], pattern=TEXT
        ),
    ]


class WhyIn(Body):
    """Why somebody changes it."""

    why: WhyField = ""


class NumberIn(Body):
    """A telephone number, however it is written."""

    phone: PhoneField


class ClientCalledIn(NumberIn):
    """Who has called. `operator`: only a callback of theirs, or of nobody, is closed."""

    operator: Annotated[LoginField | None, Blank] = None


class TimeIn(Body):
    """An agreed time."""

    at: Time


class OperatorIn(Body):
    """Who is to call; null: anybody."""

    operator: Annotated[LoginField | None, Blank]
    why: WhyField = ""


class CallIn(Body):
    """A call, by its id."""

    call: CallField


class CallDoneIn(Body):
    """A call that is over."""

    call: CallField
    began: MomentField
    mode: Literal["auto", "cue"]
    operator: Annotated[LoginField | None, Blank] = None
    lines: Annotated[str, Field(min_length=1, max_length=MOST_PACKED, pattern=BASE64)]
    """Its trace: JSON lines, each an object with `t` (s) and `kind`, compressed by zlib, in base64."""


class ListQuery(Body):
    """Which callbacks; `after`: the `next` of the page before."""

    state: Literal["open", "ended"] | State | None = None
    phone: PhoneField | None = None
    operator: LoginField | None = None
    """Those that are his, or anybody's, or offered to him now."""
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 100
    after: Id | None = None
