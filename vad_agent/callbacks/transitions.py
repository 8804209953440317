"""State transitions of a callback by requests, outcomes and people. Pure: time is an argument.

    open                                                       ended
    ┌─────────────┐ number  ┌─────────┐ begin  ┌─────────┐ reached
    │needs_number ├────────>│ waiting ├───────>│ ringing ├──────────> reached
    │needs_time   │ time    └───▲─────┘        └─┬─┬─────┘ the last, not reached
    └─────────────┘             │ not reached,   │ └──────────────> not_reached
    ┌─────────────┐ retry       │ failed, no     │ failed too often
    │needs_person │<────────────┼────────────────┘
    │             ├─────────────┘  any open ──> client_called, cancelled
    └─────────────┘                any ended or open ──retry──> waiting
    ringing ──offer──> offered ──accept──> ringing     offered ends as ringing, is overdue as waiting

Arming again (another attempt, another time, a failure) increments the generation, so that an
attempt's key (callback, generation, number) is used once. Functions return the changed callback.
They raise `RuleError` if the transition is not allowed; nothing is changed then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from vad_agent.callbacks.model import (
    ENDED,
    UNCONFIRMED,
    UNDER_WAY,
    USED_UP,
    Callback,
    Outcome,
    Policy,
    Request,
    State,
)
from vad_agent.callbacks.next_attempt_time import (
    agreed_time,
    due_on_hangup,
    first_due,
    next_allowed,
    seconds_after,
)
from vad_agent.errors import RuleError

# -- requests
# -----------------------------------------------------------------------------------------


def take(request: Request, id: str, policy: Policy, now: datetime) -> Callback:
    """A new callback for the request.

    Raises:
        RuleError: the agreed time is not valid.
    """
    due, fixed = first_due(request, policy)
    callback = Callback(
        id=id,
        state=State.WAITING,
        reasons=(request.reason,),
        created=now,
        due=due,
        next=due,
        early=due_on_hangup(request, policy),
        fixed=fixed,
        phone=request.phone,
        phone_given=None if request.phone else request.phone_given,
        name=request.name,
        topic=request.topic,
        opening=request.opening,
        operator=request.operator,
        session=request.session,
        asked=request.asked.astimezone(UTC),
    )
    return _settled(callback)


def merge(callback: Callback, request: Request, policy: Policy) -> Callback:
    """Merge a second request into an open callback: earlier time, both reasons, missing data filled in.

    Raises:
        RuleError: the callback has ended, or the agreed time is not valid.
    """
    _must_be_open(callback, "merged with another request")
    due, fixed = first_due(request, policy)
    merged = replace(_joined(callback, request), asked=request.asked.astimezone(UTC))
    if request.reason == UNCONFIRMED:  # the other call's reason is certain, or the same
        merged = replace(merged, reasons=callback.reasons)
    if callback.state in UNDER_WAY:
        asked = request.asked.astimezone(UTC)
        again = min((t for t in (callback.again, due) if t is not None), default=asked)
        return replace(merged, again=again)
    if due is not None and (callback.due is None or due < callback.due):
        merged = _at(merged, due, due, fixed=fixed, early=due_on_hangup(request, policy))
    return _settled(merged)


def revise(callback: Callback, request: Request, policy: Policy) -> Callback:
    """The same call requests its callback for another reason or time: the later request counts.

    Raises:
        RuleError: the callback has ended, or the agreed time is not valid.
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
    if callback.state in UNDER_WAY:
        return replace(revised, again=due or request.asked.astimezone(UTC))
    if (due, fixed) != (callback.due, callback.fixed):
        revised = _at(revised, due, due, fixed=fixed, early=due_on_hangup(request, policy))
    return _settled(revised)


def call_ended(callback: Callback, now: datetime) -> Callback:
    """The call that requested it is over: what waited for its end is due, now at the earliest."""
    if callback.early is None or not callback.open or callback.state in UNDER_WAY:
        return callback
    due = max(callback.early, now.astimezone(UTC))
    if callback.due is not None and due >= callback.due:
        return replace(callback, early=None)
    return _settled(_at(callback, due, due))


def _joined(callback: Callback, request: Request) -> Callback:
    """Add the request's data without losing known data."""
    reasons = callback.reasons
    if request.reason not in reasons:
        reasons = (*(reason for reason in reasons if reason != UNCONFIRMED), request.reason)
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
    """Set the number (E.164).

    Raises:
        RuleError: the callback has ended, or an attempt is under way.
    """
    _must_be_open(callback, "given a number")
    if callback.state in UNDER_WAY:
        raise RuleError(
            f"{callback.id}: it is {callback.state}: give the number after this attempt"
        )
    known = replace(callback, phone=phone, phone_given=None)
    return _settled(_at(known, callback.due, early=callback.early))


def set_time(callback: Callback, at: str, policy: Policy) -> Callback:
    """Set another agreed time.

    Raises:
        RuleError: the callback has ended, an attempt is under way, or the time is not valid.
    """
    _must_be_open(callback, "given a time")
    if callback.state in UNDER_WAY:
        raise RuleError(f"{callback.id}: it is {callback.state}: set the time after this attempt")
    due = next_allowed(agreed_time(at, policy), policy)
    return _settled(_at(replace(callback, again=None), due, due, fixed=True))


# -- attempts --------------------------------------------------------------------------------------


def may_begin(callback: Callback, key: str, now: datetime) -> bool:
    """The key's attempt is the next one, and its time has come."""
    return (
        callback.state is State.WAITING
        and callback.key == key
        and callback.next is not None
        and now >= callback.next
    )


def defer_for_quiet_hours(callback: Callback, now: datetime, policy: Policy) -> Callback:
    """In quiet hours, defer the callback to their end; otherwise return it unchanged."""
    when = next_allowed(now, policy)
    return callback if when <= now else _settled(_at(callback, when, when))


def begin(callback: Callback) -> Callback:
    """The attempt begins: from now on it may ring. It also answers requests made up to its start.

    Raises:
        RuleError: the callback is not waiting.
    """
    if callback.state is not State.WAITING:
        raise RuleError(f"{callback.id}: expected a waiting callback, it is {callback.state}")
    again = callback.again
    if again is not None and callback.next is not None and again <= callback.next:
        again = None
    return replace(callback, state=State.RINGING, again=again)


def offer(callback: Callback, now: datetime) -> Callback:
    """The attempt has begun, but nobody is rung: a person has been told to call.

    Raises:
        RuleError: the callback is not ringing.
    """
    if callback.state is not State.RINGING:
        raise RuleError(f"{callback.id}: expected a begun attempt, it is {callback.state}")
    return replace(callback, state=State.OFFERED, since=now)


def accept(callback: Callback, operator: str, now: datetime) -> Callback:
    """The operator calls: the callback is theirs. The call answers requests made up to now.

    Raises:
        RuleError: the callback is not offered.
    """
    if callback.state is not State.OFFERED:
        has = f", {callback.operator} has it" if callback.state is State.RINGING else ""
        raise RuleError(f"{callback.id}: it is not offered: {callback.state}{has}")
    again = callback.again if callback.again is not None and callback.again > now else None
    return replace(callback, state=State.RINGING, operator=operator, since=now, again=again)


def end(callback: Callback, outcome: Outcome, now: datetime, policy: Policy) -> Callback:
    """The attempt under way has ended.

    Raises:
        RuleError: none is under way.
    """
    if callback.state not in UNDER_WAY:
        raise RuleError(f"{callback.id}: no attempt is under way, it is {callback.state}")
    callback = replace(callback, since=None)
    if outcome is Outcome.FAILED:
        return _failed(callback, now, policy)
    if outcome is Outcome.OPERATOR_UNAVAILABLE:
        return _reassigned(callback, now, policy)
    callback = replace(callback, failures=0, asked_operators=())
    if outcome is Outcome.REACHED or callback.attempt >= policy.attempts:
        if callback.again is not None:
            due = next_allowed(max(callback.again, now), policy)
            return _waiting(replace(callback, attempt=1, again=None), due)
        reached = outcome is Outcome.REACHED
        return _ended(callback, State.REACHED if reached else State.NOT_REACHED, now)
    due = next_allowed(seconds_after(now, policy.gaps_s[callback.attempt - 1]), policy)
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
    next = next_allowed(seconds_after(now, policy.failed_pauses_s[failures - 1]), policy)
    return _at(replace(callback, state=State.WAITING), callback.due, next)


def _reassigned(callback: Callback, now: datetime, policy: Policy) -> Callback:
    asked = callback.asked_operators
    if callback.operator is not None and callback.operator not in asked:
        asked = (*asked, callback.operator)
    left = [name for name in policy.stand_ins if name not in asked]
    operator = left[0] if left and callback.operator is not None else None
    moved = replace(callback, state=State.WAITING, operator=operator, asked_operators=asked)
    return _at(
        moved, callback.due, next_allowed(seconds_after(now, policy.operator_pause_s), policy)
    )


def client_called(callback: Callback, now: datetime) -> Callback:
    """The client has called, possibly while an attempt is under way.

    Raises:
        RuleError: the callback has ended.
    """
    _must_be_open(callback, "closed")
    return _ended(callback, State.CLIENT_CALLED, now)


def cancel(callback: Callback, now: datetime) -> Callback:
    """Cancel the callback.

    Raises:
        RuleError: the callback has ended.
    """
    _must_be_open(callback, "cancelled")
    return _ended(callback, State.CANCELLED, now)


def done(callback: Callback, outcome: Outcome, now: datetime, policy: Policy) -> Callback:
    """A person has called by hand, which counts as an attempt in any open state, or reports the
    outcome of the attempt under way.

    A call by hand changes nothing if nothing rang, or if the client was not reached before the
    agreed time.

    Raises:
        RuleError: the callback has ended.
    """
    _must_be_open(callback, "done")
    if callback.state not in UNDER_WAY:
        if outcome not in USED_UP and outcome is not Outcome.REACHED:
            return callback
        early = callback.fixed and callback.due is not None and now < callback.due
        if early and outcome in USED_UP:
            return callback
        again = callback.again if callback.again is not None and callback.again > now else None
        callback = replace(callback, state=State.RINGING, again=again)
    return _settled(end(callback, outcome, now, policy))


def retry(callback: Callback, now: datetime) -> Callback:
    """Start all attempts anew, now, even of a callback that has ended.

    Raises:
        RuleError: an attempt is under way, or it has no number.
    """
    if callback.state in UNDER_WAY:
        raise RuleError(f"{callback.id}: it is {callback.state}: wait for the attempt's end")
    if callback.phone is None:
        raise RuleError(f"{callback.id}: it has no number: give it one first")
    fresh = replace(callback, attempt=1, failures=0, asked_operators=(), again=None, ended=None)
    return _waiting(fresh, now.astimezone(UTC))


def shift_clock(callback: Callback, step: timedelta) -> Callback:
    """The wall clock was set forward by `step` (back if negative).

    A relative due time keeps its distance from now. An agreed time keeps its wall-clock time. A
    attempt under way keeps its key, and its age.
    """
    if callback.since is not None:
        callback = replace(callback, since=callback.since.astimezone(UTC) + step)
    if not callback.open or callback.fixed or callback.due is None:
        return callback
    due = callback.due.astimezone(UTC) + step
    if callback.state in UNDER_WAY:
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
    """Arm again."""
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
    return replace(callback, state=state, next=None, early=None, again=None, since=None, ended=now)


def _settled(callback: Callback) -> Callback:
    """Put an open callback without an attempt under way into the state for its missing data."""
    if callback.state in ENDED or callback.state in UNDER_WAY:
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
