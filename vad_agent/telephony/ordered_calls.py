"""Calls from numbered events that come late, twice or out of order. Pure.

    state of a call = its events in the order of `seq`, whatever their order of arrival
    told            = what has changed in that state

    4 hold, 3 answered, 5 unhold       ─> answered
    2 answered, 4 unhold, 3 hold       ─> answered; the hold is over already

A call that has ended does not begin again. A tap is one call's at a time: another call of the same tap
that is answered is a transfer, and ends the one before.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.errors import EventError
from vad_agent.telephony.asterisk_calls import TRANSFER
from vad_agent.telephony.call_control import TapEvent

KINDS = frozenset(
    {
        EventKind.RINGING,
        EventKind.ANSWERED,
        EventKind.HOLD,
        EventKind.UNHOLD,
        EventKind.HANGUP,
        EventKind.OPERATOR_MUTE,
        EventKind.OPERATOR_UNMUTE,
    }
)
MOST_EVENTS = 1000
"""Events of one call."""
MOST_CALLS = 10_000
"""Calls that have not ended: of more the oldest is forgotten, since its end was never told."""
MOST_ENDED = 10_000
"""Calls that have ended, whose late events are recognized."""


@dataclass(frozen=True, slots=True)
class _State:
    answered: Event | None = None
    operator: str | None = None
    phone: str | None = None
    held: frozenset[str] = frozenset()
    muted: bool = False
    ended: Event | None = None

    def after(self, event: Event, operator: str | None) -> _State:
        """The state after the next event."""
        kind, party = event.kind, event.party or Channel.OPERATOR.value
        if self.ended is not None:
            return self
        if kind is EventKind.ANSWERED:
            operator = operator or self.operator
            other = self.answered is None or operator != self.operator
            return replace(
                self,
                answered=event if other else self.answered,
                operator=operator,
                phone=event.phone or self.phone,
                held=frozenset(),
                muted=self.muted and not other,
            )
        if kind is EventKind.RINGING:
            return replace(self, phone=event.phone or self.phone)
        if kind is EventKind.HOLD:
            return replace(self, held=self.held | {party})
        if kind is EventKind.UNHOLD:
            return replace(self, held=self.held - {party} if event.party else frozenset())
        if kind in (EventKind.OPERATOR_MUTE, EventKind.OPERATOR_UNMUTE):
            return replace(self, muted=kind is EventKind.OPERATOR_MUTE)
        return replace(self, ended=event) if kind is EventKind.HANGUP else self


@dataclass(slots=True)
class _OrderedCall:
    tap: str
    events: dict[int, tuple[Event, str | None]] = field(default_factory=dict)
    told: _State = field(default_factory=_State)
    legs: int = 0
    """Operators that have been told as answered."""

    def event(self, id: str, event: Event) -> TapEvent:
        """What happens to the call with its operator of now."""
        call_id = f"{id}-{self.legs}" if self.legs > 1 else id
        return TapEvent(self.tap, replace(event, call_id=call_id), self.told.operator)

    def passed_on(self, id: str) -> TapEvent:
        """The operator's call ends well: the client talks to another one."""
        party = Channel.OPERATOR.value
        return self.event(id, Event(EventKind.HANGUP, party=party, cause=TRANSFER))


class OrderedCalls:
    """The calls of one source of events."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _OrderedCall] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._of_tap: dict[str, str] = {}
        """The call of each tap that has been told as answered."""

    def __len__(self) -> int:
        return len(self._calls)

    def call_of(self, tap: str) -> str | None:
        """The call of a tap; None: unknown, or over."""
        return self._of_tap.get(tap)

    def take(self, tap: str, operator: str | None, event: Event) -> list[TapEvent] | None:
        """Take an event with its `call_id` and `seq`. None: it has been taken before, or its call is
        over.

        Raises:
            EventError: the call has too many events.
        """
        id, seq = event.call_id, event.seq
        assert id is not None, "call_id"
        assert seq is not None, "seq"
        if id in self._ended:
            return None
        call = self._calls.get(id)
        if call is None:
            call = self._calls[id] = _OrderedCall(tap)
            if len(self._calls) > MOST_CALLS:
                self._forget(*self._calls.popitem(last=False))
        if seq in call.events:
            return None
        if len(call.events) >= MOST_EVENTS:
            raise EventError(f"seq: expected {MOST_EVENTS} events of one call at most")
        call.events[seq] = event, operator
        return self._changed(id, call)

    def _changed(self, id: str, call: _OrderedCall) -> list[TapEvent]:
        before, now = call.told, _State()
        for _, one in sorted(call.events.items()):
            now = now.after(*one)
        found = []
        if now.ended is not None:
            if before.answered is not None:
                found.append(call.event(id, now.ended))
            del self._calls[id]
            self._forget(id, call)
            return found
        if now.answered is None:
            return []
        if before.answered is None:
            found += self._taken_over(id, call.tap)
        elif before.operator != now.operator:
            found.append(call.passed_on(id))
            before = _State()
        call.told = now
        if before.answered is None:
            call.legs += 1
        return found + [call.event(id, one) for one in _between(before, now)]

    def _taken_over(self, id: str, tap: str) -> list[TapEvent]:
        """Another call of this tap is answered. Return the end of the one before."""
        other = self._of_tap.get(tap)
        found = []
        if other is not None:
            call = self._calls.pop(other)
            self._forget(other, call)
            found.append(call.passed_on(other))
        self._of_tap[tap] = id
        return found

    def _forget(self, id: str, call: _OrderedCall) -> None:
        if self._of_tap.get(call.tap) == id:
            del self._of_tap[call.tap]
        self._ended[id] = None
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)


def _between(before: _State, now: _State) -> list[Event]:
    """What leads from one state of a call that goes on to the other."""
    found = []
    if before.answered is None:
        assert now.answered is not None
        found.append(replace(now.answered, party=None, phone=now.phone))
    for kind, parties in (
        (EventKind.UNHOLD, before.held - now.held),
        (EventKind.HOLD, now.held - before.held),
    ):
        found += [Event(kind, party=party) for party in sorted(parties)]
    if before.muted != now.muted:
        found.append(Event(EventKind.OPERATOR_MUTE if now.muted else EventKind.OPERATOR_UNMUTE))
    return found
