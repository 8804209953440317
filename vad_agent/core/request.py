"""The one callback of a call: asked for, revised, withdrawn.

A call asks for at most one. Once asked for it stands until the call ends well: a client who comes
back in the middle of the farewell may be lost again, and a callback too many is harmless where one
too few is a critical error. A later reason revises it; an agreed time is never revised.
"""

from __future__ import annotations

from datetime import datetime

from vad_agent.core import actions as act
from vad_agent.core.events import Event
from vad_agent.core.script import Script, fill
from vad_agent.errors import EventError


class CallbackRequest:
    """Decides which callback action, if any, follows from a reason."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._reason: act.Reason | None = None
        self._client_came_back = False
        self._phone: str | None = None
        self._agreed_phone: str | None = None
        self._call_id: str | None = None

    def of_call(self, event: Event) -> None:
        """What the switchboard tells of the call: the client's number, its own id of the call.

        A number that the client has agreed on stands.
        """
        self._phone = event.phone or self._phone
        self._call_id = event.call_id or self._call_id

    def ask(
        self,
        now: int,
        reason: act.Reason,
        client_name: str | None,
        agreed: Event | None = None,
    ) -> list[act.Action]:
        """The actions that ask for a callback for this reason.

        Raises:
            EventError: the agreed time is none; nothing is asked for, and nothing is changed.
        """
        if self._reason is act.Reason.AGREED and agreed is None:
            return []
        if self._reason is reason and agreed is None:
            self._client_came_back = False
            return []
        scenario = self._script.scenarios[reason]
        due_in_s = scenario.callback_in_s
        if agreed is not None:
            if agreed.at is not None:
                due_in_s = seconds_until(agreed)
            self._agreed_phone = agreed.phone or self._agreed_phone
        kind = act.Callback if self._reason is None else act.CallbackRevised
        self._reason = reason
        self._client_came_back = False
        return [
            kind(
                frame=now,
                reason=reason,
                due_in_s=due_in_s,
                opening=fill(scenario.opening, self._script.fields(client_name)),
                at=agreed.at if agreed else None,
                name=client_name,
                phone=self._agreed_phone or self._phone,
                topic=agreed.topic if agreed else None,
                call_id=self._call_id,
            )
        ]

    def client_heard(self) -> None:
        """The client is back, and can hear: if the call ends well now, nobody need call him."""
        if self._reason not in (act.Reason.AGREED, act.Reason.CLIENT_CANNOT_HEAR):
            self._client_came_back = True

    def end_well(self, now: int) -> list[act.Action]:
        """The call ended as calls do."""
        if self._reason is None or not self._client_came_back:
            return []
        return [act.CallbackWithdrawn(frame=now, reason=self._reason)]


def seconds_until(event: Event) -> float | None:
    """Seconds from the event's own wall time to the agreed one; None where that cannot be told.

    Raises:
        EventError: `at` is not an ISO 8601 time.
    """
    try:
        at = datetime.fromisoformat(event.at or "")
    except ValueError:
        raise EventError(
            f"event callback_agreed: at: expected an ISO 8601 time, got {event.at!r}"
        ) from None
    try:
        return max(0.0, (at - datetime.fromisoformat(event.ts or "")).total_seconds())
    except (ValueError, TypeError):  # no ts, an own form of it, or only one has a time zone
        return None
