"""The one callback request of a call: created, revised, withdrawn.

A call requests at most one callback. The request stands until the call ends normally. A client who
returns during the farewell may be lost again; an unneeded callback is harmless, a missing one is a
critical error. A later reason revises the request, and so does a number or a name that arrives
later. An agreed time is never revised.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from vad_agent.core import actions as act
from vad_agent.core.events import Event
from vad_agent.core.frames import FRAMES_PER_SECOND
from vad_agent.core.script import Script, fill
from vad_agent.errors import EventError


class CallbackRequest:
    """Decides which callback action, if any, follows from a reason."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._asked: act.CallbackRequested | None = None  # the request as last issued
        self._client_came_back = False
        self._phone: str | None = None
        self._agreed_phone: str | None = None
        self._call_id: str | None = None

    @property
    def open(self) -> bool:
        """A callback is requested, and the client has not been heard since."""
        return self._asked is not None and not self._client_came_back

    @property
    def reason(self) -> act.Reason | None:
        """Why the callback is requested. None: no callback is requested."""
        return None if self._asked is None else self._asked.reason

    def of_call(self, now: int, event: Event) -> list[act.Action]:
        """Take the client's number and the switchboard's call id from the event.

        A number agreed with the client is kept. The returned actions revise a pending request.
        """
        self._phone = event.phone or self._phone
        self._call_id = event.call_id or self._call_id
        return self._revise(now)

    def set_client_name(self, now: int, client_name: str | None) -> list[act.Action]:
        """Take the client's name, which opens the callback.

        Return actions that revise a pending request.
        """
        return self._revise(now, client_name)

    def _revise(self, now: int, client_name: str | None = None) -> list[act.Action]:
        before = self._asked
        if before is None:
            return []
        name = client_name or before.name
        same_time = replace(
            before,
            name=name,
            phone=self._agreed_phone or self._phone,
            call_id=self._call_id,
            opening=self._opening(before.reason, name),
        )
        if same_time == before:
            return []
        due_in_s = before.due_in_s
        if due_in_s is not None:  # the due time stays as it was
            due_in_s = max(0.0, round(due_in_s - (now - before.frame) / FRAMES_PER_SECOND, 3))
        return [self._issue(replace(same_time, frame=now, due_in_s=due_in_s))]

    def _issue(self, callback: act.CallbackRequested) -> act.CallbackRequested:
        kind = act.CallbackRequested if self._asked is None else act.CallbackRevised
        self._asked = callback
        fields = {name: getattr(callback, name) for name in act.CallbackRequested.__slots__}
        return kind(frame=callback.frame, **fields)

    def _opening(self, reason: act.Reason, client_name: str | None) -> str:
        return fill(self._script.scenarios[reason].opening, self._script.fields(client_name))

    def ask(
        self,
        now: int,
        reason: act.Reason,
        client_name: str | None,
        agreed: Event | None = None,
    ) -> list[act.Action]:
        """Return the actions that request a callback for this reason.

        Raises:
            EventError: the agreed time is not valid; nothing is requested or changed.
        """
        stands = self._asked.reason if self._asked is not None else None
        if stands is act.Reason.AGREED and agreed is None:
            return []
        if stands is reason and agreed is None:
            self._client_came_back = False
            return []
        due_in_s = self._script.scenarios[reason].callback_in_s
        if agreed is not None:
            if agreed.at is not None:
                due_in_s = seconds_until(agreed)
            self._agreed_phone = agreed.phone or self._agreed_phone
        self._client_came_back = False
        callback = act.CallbackRequested(
            frame=now,
            reason=reason,
            due_in_s=due_in_s,
            opening=self._opening(reason, client_name),
            at=agreed.at if agreed else None,
            name=client_name,
            phone=self._agreed_phone or self._phone,
            topic=agreed.topic if agreed else None,
            call_id=self._call_id,
        )
        return [self._issue(callback)]

    def client_heard(self) -> None:
        """The client is back and can hear: if the call now ends normally, no callback is needed."""
        stands = self._asked
        if stands and stands.reason not in (act.Reason.AGREED, act.Reason.CLIENT_CANNOT_HEAR):
            self._client_came_back = True

    def end_well(self, now: int) -> list[act.Action]:
        """The call ended normally: withdraw a request that is no longer needed."""
        if self._asked is None or not self._client_came_back:
            return []
        return [act.CallbackWithdrawn(frame=now, reason=self._asked.reason)]


def revised(
    script: Script, asked: act.CallbackRequested, reason: act.Reason
) -> act.CallbackRevised:
    """The request of a call that is over, for another reason, due as that reason says."""
    fields = {name: getattr(asked, name) for name in act.CallbackRequested.__slots__}
    scenario = script.scenarios[reason]
    fields |= {
        "reason": reason,
        "due_in_s": scenario.callback_in_s,
        "opening": fill(scenario.opening, script.fields(asked.name)),
    }
    return act.CallbackRevised(frame=asked.frame, **fields)


def seconds_until(event: Event) -> float | None:
    """Seconds from the event's own wall time to the agreed time. None if that cannot be computed.

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
    except (ValueError, TypeError):  # ts missing or not ISO 8601, or only one has a zone
        return None
