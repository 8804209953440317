"""A callback, its request, and a centre's policy: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from enum import StrEnum


class State(StrEnum):
    """Where a callback stands."""

    WAITING = "waiting"
    """Waits for its time, `next`."""
    OFFERED = "offered"
    """A person has been told to call; nobody has accepted it yet."""
    RINGING = "ringing"
    """An attempt is under way, from its intent, or from the acceptance of its offer, to its outcome."""
    NEEDS_NUMBER = "needs_number"
    NEEDS_TIME = "needs_time"
    NEEDS_PERSON = "needs_person"
    """The dialer has failed too often: somebody must call by hand, or repair it and retry."""
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    CLIENT_CALLED = "client_called"
    CANCELLED = "cancelled"


UNDER_WAY = frozenset({State.OFFERED, State.RINGING})
"""The states of a callback whose attempt has begun and has not ended."""
OPEN = UNDER_WAY | {State.WAITING, State.NEEDS_NUMBER, State.NEEDS_TIME, State.NEEDS_PERSON}
ENDED = frozenset(State) - OPEN


class Outcome(StrEnum):
    """What became of an attempt."""

    REACHED = "reached"
    """A person spoke; an answered call alone is not enough."""
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"
    """An answering machine: not reached."""
    LOST = "lost"
    """It may have rung, but the outcome is unknown.

    Counts as an attempt, so that nobody is rung twice for it.
    """
    FAILED = "failed"
    """Failed before anything rang: no attempt is used up."""
    OPERATOR_UNAVAILABLE = "operator_unavailable"
    """The client was not rung, because no operator was available: no attempt is used up."""


UNCONFIRMED = "unconfirmed"
"""The reason of a callback whose call may have ended well. Any other reason replaces it."""
USED_UP = frozenset({Outcome.NO_ANSWER, Outcome.BUSY, Outcome.MACHINE, Outcome.LOST})


@dataclass(frozen=True, slots=True)
class Policy:
    """The centre's callback policy."""

    zone: tzinfo
    """For agreed times without a zone, and for quiet hours."""
    attempts: int = 3
    gaps_s: tuple[float, ...] = (60.0, 120.0)
    """Seconds from the end of an attempt to the next one: one fewer than `attempts`."""
    failed_pauses_s: tuple[float, ...] = (5.0, 15.0, 30.0, 60.0, 120.0)
    """Seconds before each retry of an attempt that failed before ringing; after the last a person
    is needed.
    """
    operator_pause_s: float = 15.0
    """Seconds before the next operator is tried."""
    stand_ins: tuple[str, ...] = ()
    """Operators tried, in order, if the call's own is not available; then anybody."""
    offer_s: float = 30.0
    """Seconds that an offer is only its operator's, then only theirs and the stand-ins'."""
    quiet: tuple[time, time] | None = None
    """[from, to) in `zone`, over midnight if from > to: nobody is rung. Equal times: never quiet."""
    overdue_s: float = 60.0
    """An attempt that has not begun, or is only offered, this many seconds after its time raises an
    alert.
    """
    farewell_s: float = 15.0
    """Seconds after a request during which nobody is rung, unless the call has ended: it is still on."""
    answer_limit_s: float = 900.0
    """Seconds that an attempt may be under way before its outcome is queried."""
    region: str = "RU"
    """For numbers without a country code."""
    zone_is_machines: bool = False
    """The script names no zone: `zone` is this machine's, which may be UTC."""
    allow_numbers: tuple[str, ...] = ()
    """Beginnings, E.164, of premium and satellite numbers that may be rung."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a callback, from a call or a person. Times are aware."""

    key: str
    """Idempotency key: the same key twice is one request."""
    reason: str
    """The value of a `vad_agent.core.actions.Reason`."""
    asked: datetime
    due_in_s: float | None = None
    """Seconds from `asked`; None: see `at`."""
    at: str | None = None
    """The agreed time, ISO 8601; without a zone, in the centre's zone."""
    phone: str | None = None
    """E.164; see `phone_numbers.py`."""
    phone_given: str | None = None
    """The number as given, if it cannot be dialled."""
    extension: str | None = None
    """The client's extension behind the number, digits."""
    name: str | None = None
    topic: str | None = None
    opening: str = ""
    """The operator's first sentence."""
    operator: str | None = None
    """Login of the call's operator."""
    call: str | None = None
    """The call's id, with the namespace in which it is unique."""
    call_on: bool = False
    """The call is still on: the client hears the farewell. Its end will be reported."""
    session: str | None = None
    """The call's id in the contact centre's own system."""
    made: bool = False
    """Made from the stored trace of its call, because no other request of that call came."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One promise to call a client back. Times are aware."""

    id: str
    state: State
    reasons: tuple[str, ...]
    created: datetime
    due: datetime | None
    """The promised time of the attempt; None: not known yet."""
    next: datetime | None
    """The time of the next try: later than `due` after a failure."""
    early: datetime | None = None
    """`due` if the call that requested it ends; None: it has ended, or that does not matter."""
    fixed: bool = False
    """`due` is an agreed wall-clock time, not relative to now."""
    attempt: int = 1
    """Number of the next or current attempt, from 1."""
    generation: int = 1
    failures: int = 0
    """Failures of this attempt before it rang."""
    asked_operators: tuple[str, ...] = ()
    """Operators who were not available for this attempt."""
    again: datetime | None = None
    """Requested again while ringing: an attempt that began before this time does not end it."""
    phone: str | None = None
    phone_given: str | None = None
    name: str | None = None
    topic: str | None = None
    opening: str = ""
    operator: str | None = None
    """The operator who is to call; None: anybody."""
    session: str | None = None
    ended: datetime | None = None
    asked: datetime | None = None
    """When its call requested it, the last one of several calls; None: unknown."""
    since: datetime | None = None
    """When the attempt under way was offered, or its offer accepted; None: it was not offered."""
    extension: str | None = None
    """The client's extension behind the number: another one is another callback."""
    merged: int = 0
    """Requests that were merged into it."""

    @property
    def open(self) -> bool:
        """The callback has not ended yet."""
        return self.state in OPEN

    @property
    def key(self) -> str:
        """The key of the next or current attempt."""
        return f"{self.id}.{self.generation}.{self.attempt}"
