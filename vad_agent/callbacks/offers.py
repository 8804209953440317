"""Who may see an offered callback now: its operator, then the stand-ins too, then everybody. Pure.

    offered ──offer_s──> the stand-ins too ──offer_s──> everybody       a step whose people all have no
                                                                        panel open takes no time

Computed from the stored time of the offer at each query, so nothing has to be woken or stored.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import IntEnum

from vad_agent.callbacks.model import Callback, Policy, State
from vad_agent.callbacks.next_attempt_time import seconds_after
from vad_agent.common.identity import folded

HasPanel = Callable[[str], bool]
"""Whether the operator of this login has a panel open."""


class Audience(IntEnum):
    """To whom a callback is offered."""

    OPERATOR = 0
    STAND_INS = 1
    """To its operator and the stand-ins."""
    EVERYBODY = 2


def audience(callback: Callback, now: datetime, policy: Policy, has_panel: HasPanel) -> Audience:
    """The audience of an offered callback."""
    operator, since = callback.operator, callback.since or callback.next
    if not operator or since is None:
        return Audience.EVERYBODY
    steps = [(Audience.OPERATOR, (operator,)), (Audience.STAND_INS, policy.stand_ins)]
    until = since
    for step, people in steps:
        if any(map(has_panel, people)):
            until = seconds_after(until, policy.offer_s)
        if now < until:
            return step
    return Audience.EVERYBODY


def is_offered_to(
    login: str, callback: Callback, now: datetime, policy: Policy, has_panel: HasPanel
) -> bool:
    """The callback is offered, and this operator may accept it."""
    if callback.state is not State.OFFERED:
        return False
    name = folded(login)
    people = {folded(callback.operator or "")}
    step = audience(callback, now, policy, has_panel)
    if step is Audience.STAND_INS:
        people |= {folded(one) for one in policy.stand_ins}
    return step is Audience.EVERYBODY or name in people
