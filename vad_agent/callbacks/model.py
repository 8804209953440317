"""A callback, its request, and the policy of a centre: values without behaviour of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from enum import StrEnum


class State(StrEnum):
    """Where a callback stands."""

    WAITING = "waiting"
    """For its time; the engine has it armed."""
    RINGING = "ringing"
    """An attempt is under way, from the intent to its outcome."""
    NEEDS_NUMBER = "needs_number"
    NEEDS_TIME = "needs_time"
    NEEDS_PERSON = "needs_person"
    """What dials has failed too often: somebody must ring by hand, or repair it and retry."""
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    CLIENT_CALLED = "client_called"
    CANCELLED = "cancelled"


OPEN = frozenset(
    {State.WAITING, State.RINGING, State.NEEDS_NUMBER, State.NEEDS_TIME, State.NEEDS_PERSON}
)
ENDED = frozenset(State) - OPEN


class Outcome(StrEnum):
    """What became of an attempt."""

    REACHED = "reached"
    """A person spoke, not merely something that answered."""
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"
    """Something that answers like a human, and is none: not reached."""
    LOST = "lost"
    """It may have rung, nobody knows: counts as an attempt, so that nobody is rung twice for it."""
    FAILED = "failed"
    """Before anything rang: no attempt is used up."""
    OPERATOR_UNAVAILABLE = "operator_unavailable"
    """The client was not rung, as there was nobody to talk to him: no attempt is used up."""


USED_UP = frozenset({Outcome.NO_ANSWER, Outcome.BUSY, Outcome.MACHINE, Outcome.LOST})


@dataclass(frozen=True, slots=True)
class Policy:
    """The centre's rules."""

    zone: tzinfo
    """Of agreed times without one, and of quiet hours."""
    attempts: int = 3
    gaps_s: tuple[float, ...] = (60.0, 120.0)
    """From the end of an attempt to the next: one fewer than `attempts`."""
    failed_pauses_s: tuple[float, ...] = (5.0, 15.0, 30.0, 60.0, 120.0)
    """Before each new try of an attempt that failed before ringing; after the last a person is needed."""
    operator_pause_s: float = 15.0
    """Before the next operator is asked."""
    stand_ins: tuple[str, ...] = ()
    """Operators asked, in order, where the call's own is not available; then anybody."""
    quiet: tuple[time, time] | None = None
    """[from, to) in `zone`, over midnight where from > to: nobody is rung. Both the same: never quiet."""
    overdue_s: float = 60.0
    """So long after its time an attempt that has not begun is an alarm."""
    farewell_s: float = 15.0
    """So long after it was asked for in a call that is still on nobody is rung, unless the call has ended."""
    answer_limit_s: float = 900.0
    """So long an attempt may be under way until somebody asks what became of it."""
    region: str = "RU"
    """Of numbers without a country's code."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a call, or a person, asks for. Times are aware."""

    key: str
    """Of the request: the same one twice is one request."""
    reason: str
    """A `vad_agent.core.actions.Reason`'s value."""
    asked: datetime
    due_in_s: float | None = None
    """From `asked`; None: `at`."""
    at: str | None = None
    """The agreed time, ISO 8601; without a zone it is the centre's."""
    phone: str | None = None
    """E.164; see `phone_numbers.py`."""
    phone_given: str | None = None
    """As it was given, where it is not a number that can be rung."""
    name: str | None = None
    topic: str | None = None
    opening: str = ""
    """What the operator says first."""
    operator: str | None = None
    """Login of who had the call."""
    call: str | None = None
    """The call's id, with what it is unique in."""
    call_on: bool = False
    """The call is not over: the client hears the farewell, and it will be told when he does no more."""
    session: str | None = None
    """The call's id in the contact centre's own system."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One client to be called back. Times are aware."""

    id: str
    state: State
    reasons: tuple[str, ...]
    created: datetime
    due: datetime | None
    """When the attempt is promised for; None: nobody knows yet."""
    next: datetime | None
    """When it will be tried: later than `due` after a failure."""
    early: datetime | None = None
    """`due` once the call that asked for it has ended; None: it has, or does not matter."""
    fixed: bool = False
    """`due` is an agreed time of the clock on the wall, not a time from now."""
    attempt: int = 1
    """Number of the attempt that is next or under way, from 1."""
    generation: int = 1
    failures: int = 0
    """Of this attempt, before it rang."""
    asked_operators: tuple[str, ...] = ()
    """Who was not available for this attempt."""
    again: datetime | None = None
    """Asked for anew while ringing: an attempt that begins earlier does not end it."""
    phone: str | None = None
    phone_given: str | None = None
    name: str | None = None
    topic: str | None = None
    opening: str = ""
    operator: str | None = None
    """Who is to ring; None: anybody."""
    session: str | None = None
    ended: datetime | None = None

    @property
    def open(self) -> bool:
        """It is not accounted for yet."""
        return self.state in OPEN

    @property
    def key(self) -> str:
        """Of the attempt that is next or under way."""
        return f"{self.id}.{self.generation}.{self.attempt}"
