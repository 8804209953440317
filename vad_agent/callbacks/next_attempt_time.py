"""When an attempt is due: the agreed time, quiet hours, the pause before the next attempt. Pure.

Computed times are in UTC, because arithmetic and comparison of local times fail where the clocks
change.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from vad_agent.callbacks.model import Callback, Policy, Request, State
from vad_agent.errors import RuleError


def wall_time(text: str) -> datetime:
    """An ISO 8601 date with a time; aware if it has a zone.

    Raises:
        ValueError: it is not; a date alone is no time at which somebody could be rung.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected an ISO 8601 time") from None
    try:
        date.fromisoformat(text)
    except ValueError:
        return when
    raise ValueError("expected an ISO 8601 time, such as 2027-03-01T15:30, not a date alone")


def agreed_time(at: str, policy: Policy) -> datetime:
    """The agreed time, in UTC.

    Raises:
        RuleError: `at` is not an ISO 8601 date with a time.
    """
    try:
        when = wall_time(at)
        return (when if when.tzinfo else when.replace(tzinfo=policy.zone)).astimezone(UTC)
    except OverflowError:
        raise RuleError(f"at: expected an ISO 8601 time, got {at!r}") from None
    except ValueError as error:
        raise RuleError(f"at: {error}: {at!r}") from None


def first_due(request: Request, policy: Policy) -> tuple[datetime | None, bool]:
    """When the first attempt is due, and whether that is an agreed time. None: not known yet.

    Raises:
        RuleError: the agreed time or the delay is not valid.
    """
    if request.at is not None:
        return next_allowed(agreed_time(request.at, policy), policy), True
    if request.due_in_s is None:
        return None, False
    wait_s = request.due_in_s
    if request.call_on:
        wait_s = max(wait_s, policy.farewell_s)
    try:
        return next_allowed(seconds_after(request.asked, wait_s), policy), False
    except (ValueError, OverflowError):
        raise RuleError(f"due_in_s: expected seconds, got {request.due_in_s}") from None


def due_on_hangup(request: Request, policy: Policy) -> datetime | None:
    """When the attempt would be due if the call were over. None: still not known."""
    if not request.call_on or request.at is not None or request.due_in_s is None:
        return None
    due, _ = first_due(replace(request, call_on=False), policy)
    return due if due != first_due(request, policy)[0] else None


def next_allowed(when: datetime, policy: Policy) -> datetime:
    """`when`, or the end of the quiet hours that contain it; in UTC."""
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


def seconds_after(when: datetime, seconds: float) -> datetime:
    """The time `seconds` later, in UTC."""
    return when.astimezone(UTC) + timedelta(seconds=seconds)


def overdue(callback: Callback, now: datetime, policy: Policy) -> bool:
    """The due time has passed, and nobody is rung: no attempt is under way, or it is only offered. A
    critical error if it stays so.
    """
    if callback.state is State.RINGING or not callback.open:
        return False
    promised = callback.due or callback.created
    return now.astimezone(UTC) > seconds_after(promised, policy.overdue_s)
