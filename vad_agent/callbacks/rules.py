"""The rules of callbacks: when each attempt is due, what an outcome does. Pure: time is an argument.

    open                                                       ended
    ┌─────────────┐ number  ┌─────────┐ begin  ┌─────────┐ reached
    │needs_number ├────────>│ waiting ├───────>│ ringing ├──────────> reached
    │needs_time   │ time    └───▲─────┘        └─┬─┬─────┘ the last, not reached
    └─────────────┘             │ not reached,   │ └──────────────> not_reached
    ┌─────────────┐ retry       │ failed, no     │ failed too often
    │needs_person │<────────────┼────────────────┘
    │             ├─────────────┘  any open ──> client_called, cancelled
    └─────────────┘                any ended or open ──retry──> waiting

Whatever arms anew (another attempt, another time, a failure) raises the generation: the key of an attempt,
(callback, generation, number), is used once. Functions return the changed callback and raise `RuleError`
where the change is impossible; nothing is changed then. Times that are computed here are UTC: sums and
comparisons of local times go wrong where the clocks change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from vad_agent.errors import RuleError


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
    """E.164; see `phone.py`."""
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


# -- when ------------------------------------------------------------------------------------------


def agreed_time(at: str, policy: Policy) -> datetime:
    """The agreed time, in UTC.

    Raises:
        RuleError: not an ISO 8601 time.
    """
    try:
        when = datetime.fromisoformat(at)
        return (when if when.tzinfo else when.replace(tzinfo=policy.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RuleError(f"at: expected an ISO 8601 time, got {at!r}") from None


def first_due(request: Request, policy: Policy) -> tuple[datetime | None, bool]:
    """When the first attempt is due, and whether that is an agreed time; None: nobody knows yet.

    Raises:
        RuleError: the agreed time, or the span until the callback, is none.
    """
    if request.at is not None:
        return loud(agreed_time(request.at, policy), policy), True
    if request.due_in_s is None:
        return None, False
    wait_s = request.due_in_s
    if request.call_on:
        wait_s = max(wait_s, policy.farewell_s)
    try:
        return loud(_later(request.asked, wait_s), policy), False
    except (ValueError, OverflowError):
        raise RuleError(f"due_in_s: expected seconds, got {request.due_in_s}") from None


def _early(request: Request, policy: Policy) -> datetime | None:
    """When it would be due if the call were over; None: then, too."""
    if not request.call_on or request.at is not None or request.due_in_s is None:
        return None
    due, _ = first_due(replace(request, call_on=False), policy)
    return due if due != first_due(request, policy)[0] else None


def loud(when: datetime, policy: Policy) -> datetime:
    """`when`, or the end of the quiet hours that it falls into; in UTC."""
    when = when.astimezone(UTC)
    if policy.quiet is None:
        return when
    begin, end = policy.quiet
    local = when.astimezone(policy.zone)
    now = local.time()
    inside = begin <= now < end if begin <= end else now >= begin or now < end
    if not inside:
        return when
    day = local.date() + timedelta(days=1 if begin > end and now >= begin else 0)
    end = end.replace(fold=local.fold)  # where the clocks go back: the same one of the two hours
    return datetime.combine(day, end, policy.zone).astimezone(UTC)


def _later(when: datetime, seconds: float) -> datetime:
    return when.astimezone(UTC) + timedelta(seconds=seconds)


def overdue(callback: Callback, now: datetime, policy: Policy) -> bool:
    """Its time has passed and nothing rings: a critical error in the making."""
    if callback.state is State.RINGING or not callback.open:
        return False
    promised = callback.due or callback.created
    return now.astimezone(UTC) > _later(promised, policy.overdue_s)


# -- what comes in ---------------------------------------------------------------------------------


def take(request: Request, id: str, policy: Policy, now: datetime) -> Callback:
    """A new callback for the request.

    Raises:
        RuleError: the agreed time is none.
    """
    due, fixed = first_due(request, policy)
    callback = Callback(
        id=id,
        state=State.WAITING,
        reasons=(request.reason,),
        created=now,
        due=due,
        next=due,
        early=_early(request, policy),
        fixed=fixed,
        phone=request.phone,
        phone_given=None if request.phone else request.phone_given,
        name=request.name,
        topic=request.topic,
        opening=request.opening,
        operator=request.operator,
        session=request.session,
    )
    return _settled(callback)


def merge(callback: Callback, request: Request, policy: Policy) -> Callback:
    """A second request for an open callback: the earlier time, both reasons, what was not known.

    Raises:
        RuleError: the callback has ended, or the agreed time is none.
    """
    _must_be_open(callback, "merged with another request")
    due, fixed = first_due(request, policy)
    merged = _joined(callback, request)
    if callback.state is State.RINGING:
        asked = request.asked.astimezone(UTC)
        again = min((t for t in (callback.again, due) if t is not None), default=asked)
        return replace(merged, again=again)
    if due is not None and (callback.due is None or due < callback.due):
        merged = _at(merged, due, due, fixed=fixed, early=_early(request, policy))
    return _settled(merged)


def revise(callback: Callback, request: Request, policy: Policy) -> Callback:
    """The same call wants its callback for another reason or at another time: the later word counts.

    Raises:
        RuleError: the callback has ended, or the agreed time is none.
    """
    _must_be_open(callback, "revised")
    due, fixed = first_due(request, policy)
    revised = replace(
        _joined(callback, request),
        opening=request.opening or callback.opening,
        name=request.name or callback.name,
        topic=request.topic or callback.topic,
    )
    if request.phone is not None:
        revised = replace(revised, phone=request.phone, phone_given=None)
    elif revised.phone is None and request.phone_given:
        revised = replace(revised, phone_given=request.phone_given)
    if callback.state is State.RINGING:
        return replace(revised, again=due or request.asked.astimezone(UTC))
    if (due, fixed) != (callback.due, callback.fixed):
        revised = _at(revised, due, due, fixed=fixed, early=_early(request, policy))
    return _settled(revised)


def call_ended(callback: Callback, now: datetime) -> Callback:
    """The call that asked for it is over: what waited for that is due, now at the earliest."""
    if callback.early is None or not callback.open or callback.state is State.RINGING:
        return callback
    due = max(callback.early, now.astimezone(UTC))
    if callback.due is not None and due >= callback.due:
        return replace(callback, early=None)
    return _settled(_at(callback, due, due))


def _joined(callback: Callback, request: Request) -> Callback:
    """What the request adds, and nothing lost of what is known."""
    reasons = callback.reasons
    if request.reason not in reasons:
        reasons = (*reasons, request.reason)
    phone = callback.phone or request.phone
    return replace(
        callback,
        reasons=reasons,
        phone=phone,
        phone_given=None if phone else callback.phone_given or request.phone_given,
        name=callback.name or request.name,
        topic=callback.topic or request.topic,
        opening=callback.opening or request.opening,
        operator=callback.operator or request.operator,
        session=callback.session or request.session,
    )


def set_number(callback: Callback, phone: str) -> Callback:
    """Somebody found the number (E.164).

    Raises:
        RuleError: the callback has ended or is ringing.
    """
    _must_be_open(callback, "given a number")
    if callback.state is State.RINGING:
        raise RuleError(f"{callback.id}: it is ringing: give the number after this attempt")
    known = replace(callback, phone=phone, phone_given=None)
    return _settled(_at(known, callback.due, early=callback.early))


def set_time(callback: Callback, at: str, policy: Policy) -> Callback:
    """Another agreed time.

    Raises:
        RuleError: the callback has ended or is ringing, or the time is none.
    """
    _must_be_open(callback, "given a time")
    if callback.state is State.RINGING:
        raise RuleError(f"{callback.id}: it is ringing: set the time after this attempt")
    due = loud(agreed_time(at, policy), policy)
    return _settled(_at(replace(callback, again=None), due, due, fixed=True))


# -- attempts --------------------------------------------------------------------------------------


def may_begin(callback: Callback, key: str, now: datetime) -> bool:
    """The attempt of this key is the next one, and its time has come."""
    return (
        callback.state is State.WAITING
        and callback.key == key
        and callback.next is not None
        and now >= callback.next
    )


def hushed(callback: Callback, now: datetime, policy: Policy) -> Callback:
    """In quiet hours it waits for their end, however it came to be due in them; else it is as it was."""
    when = loud(now, policy)
    return callback if when <= now else _settled(_at(callback, when, when))


def begin(callback: Callback) -> Callback:
    """The attempt begins: from now on it may ring. What was asked for anew by its time is its matter too.

    Raises:
        RuleError: it does not wait.
    """
    if callback.state is not State.WAITING:
        raise RuleError(f"{callback.id}: expected a waiting callback, it is {callback.state}")
    again = callback.again
    if again is not None and callback.next is not None and again <= callback.next:
        again = None
    return replace(callback, state=State.RINGING, again=again)


def end(callback: Callback, outcome: Outcome, now: datetime, policy: Policy) -> Callback:
    """The attempt under way has ended so.

    Raises:
        RuleError: none is under way.
    """
    if callback.state is not State.RINGING:
        raise RuleError(f"{callback.id}: no attempt is under way, it is {callback.state}")
    if outcome is Outcome.FAILED:
        return _failed(callback, now, policy)
    if outcome is Outcome.OPERATOR_UNAVAILABLE:
        return _reassigned(callback, now, policy)
    callback = replace(callback, failures=0, asked_operators=())
    if outcome is Outcome.REACHED or callback.attempt >= policy.attempts:
        if callback.again is not None:
            due = loud(max(callback.again, now), policy)
            return _waiting(replace(callback, attempt=1, again=None), due)
        reached = outcome is Outcome.REACHED
        return _ended(callback, State.REACHED if reached else State.NOT_REACHED, now)
    due = loud(_later(now, policy.gaps_s[callback.attempt - 1]), policy)
    return _waiting(replace(callback, attempt=callback.attempt + 1), due)


def _failed(callback: Callback, now: datetime, policy: Policy) -> Callback:
    failures = callback.failures + 1
    callback = replace(callback, failures=failures)
    if failures > len(policy.failed_pauses_s):
        return replace(
            callback,
            state=State.NEEDS_PERSON,
            next=None,
            generation=callback.generation + 1,
        )
    next = loud(_later(now, policy.failed_pauses_s[failures - 1]), policy)
    return _at(replace(callback, state=State.WAITING), callback.due, next)


def _reassigned(callback: Callback, now: datetime, policy: Policy) -> Callback:
    asked = callback.asked_operators
    if callback.operator is not None and callback.operator not in asked:
        asked = (*asked, callback.operator)
    left = [name for name in policy.stand_ins if name not in asked]
    operator = left[0] if left and callback.operator is not None else None
    moved = replace(callback, state=State.WAITING, operator=operator, asked_operators=asked)
    return _at(moved, callback.due, loud(_later(now, policy.operator_pause_s), policy))


def client_called(callback: Callback, now: datetime) -> Callback:
    """The client has rung himself, be it while an attempt is under way.

    Raises:
        RuleError: the callback has ended.
    """
    _must_be_open(callback, "closed")
    return _ended(callback, State.CLIENT_CALLED, now)


def cancel(callback: Callback, now: datetime) -> Callback:
    """Somebody takes it back.

    Raises:
        RuleError: the callback has ended.
    """
    _must_be_open(callback, "cancelled")
    return _ended(callback, State.CANCELLED, now)


def done(callback: Callback, outcome: Outcome, now: datetime, policy: Policy) -> Callback:
    """A person has rung by hand: an attempt like another, whatever the callback waits for; or he says what
    became of the one under way.

    By hand nothing changes where nothing rang, nor where the client was not reached before the agreed time.

    Raises:
        RuleError: the callback has ended.
    """
    _must_be_open(callback, "done")
    if callback.state is not State.RINGING:
        if outcome not in USED_UP and outcome is not Outcome.REACHED:
            return callback
        early = callback.fixed and callback.due is not None and now < callback.due
        if early and outcome in USED_UP:
            return callback
        again = callback.again if callback.again is not None and callback.again > now else None
        callback = replace(callback, state=State.RINGING, again=again)
    return _settled(end(callback, outcome, now, policy))


def retry(callback: Callback, now: datetime) -> Callback:
    """Begin anew, now: all attempts, also of one that has ended.

    Raises:
        RuleError: it is ringing, or has no number.
    """
    if callback.state is State.RINGING:
        raise RuleError(f"{callback.id}: it is ringing: wait for the attempt's end")
    if callback.phone is None:
        raise RuleError(f"{callback.id}: it has no number: give it one first")
    fresh = replace(callback, attempt=1, failures=0, asked_operators=(), again=None, ended=None)
    return _waiting(fresh, now.astimezone(UTC))


def shifted(callback: Callback, step: timedelta) -> Callback:
    """The clock on the wall was put forward by `step` (backward where negative): what was promised from
    now stays so far away, an agreed time stays where it is on the wall; what rings keeps its key."""
    if not callback.open or callback.fixed or callback.due is None:
        return callback
    due = callback.due.astimezone(UTC) + step
    if callback.state is State.RINGING:
        return replace(callback, due=due)
    next = callback.next and callback.next.astimezone(UTC) + step
    early = callback.early and callback.early.astimezone(UTC) + step
    return _settled(_at(callback, due, next, early=early))


def _at(
    callback: Callback,
    due: datetime | None,
    next: datetime | None = None,
    fixed: bool | None = None,
    early: datetime | None = None,
) -> Callback:
    """Armed anew."""
    return replace(
        callback,
        due=due,
        next=next or due,
        early=early,
        fixed=callback.fixed if fixed is None else fixed,
        generation=callback.generation + 1,
    )


def _waiting(callback: Callback, due: datetime) -> Callback:
    return _at(replace(callback, state=State.WAITING), due, due, fixed=False)


def _ended(callback: Callback, state: State, now: datetime) -> Callback:
    return replace(callback, state=state, next=None, early=None, again=None, ended=now)


def _settled(callback: Callback) -> Callback:
    """What an open callback that does not ring needs before it can."""
    if callback.state in ENDED or callback.state is State.RINGING:
        return callback
    if callback.state is State.NEEDS_PERSON:
        return replace(callback, next=None)
    if callback.phone is None:
        return replace(callback, state=State.NEEDS_NUMBER)
    if callback.due is None:
        return replace(callback, state=State.NEEDS_TIME)
    return replace(callback, state=State.WAITING, next=callback.next or callback.due)


def _must_be_open(callback: Callback, what: str) -> None:
    if not callback.open:
        raise RuleError(f"{callback.id}: it has ended ({callback.state}) and cannot be {what}")
