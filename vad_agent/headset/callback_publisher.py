"""Converts a call's actions into callback messages for an `OutboxWriter` or an outbox."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import datetime

from vad_agent.callbacks.outbox_message import ENDED, REQUESTED, WITHDRAWN, OutboxMessage, new_key
from vad_agent.core import actions as act
from vad_agent.core.actions import Action

LONGEST = {
    "at": 60,
    "phone": 250,
    "name": 200,
    "topic": 500,
    "opening": 1000,
    "operator": 100,
    "session": 200,
}
"""Length limits of the API: no long name may cause a callback to be refused."""

MOST_CALLS = 100
"""Calls that are over and may still change their callbacks."""


class CallbackPublisher:
    """An action sink of the loop. `post` is called with each message, in order; `operator`: the login."""

    def __init__(
        self,
        post: Callable[[OutboxMessage], object],
        *,
        operator: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._post = post
        self._operator = operator
        self._now = now
        self._here = f"{socket.gethostname()[:64]}-{os.getpid()}"
        self._call = ""
        self._asked = False
        self._ids: dict[str, str] = {}  # of the last calls, by name

    @property
    def call(self) -> str:
        """The call's id, unique over all headsets."""
        return self._call

    def begin(self, call: str, began: datetime) -> None:
        """The following actions belong to this call; another start time is another call, even with
        the same name.
        """
        name = "".join(sign if sign.isprintable() else "_" for sign in call)[:80]
        self._call, self._asked = f"{self._here}-{name}-{secrets.token_hex(4)}", False
        self.adopt(call, self._call)

    def adopt(self, call: str, id: str) -> None:
        """This call, which another `listen` may have had, is known to the desk by that id."""
        self._ids.pop(call, None)
        self._ids[call] = id
        if len(self._ids) > MOST_CALLS:
            del self._ids[next(iter(self._ids))]

    def take(self, actions: Sequence[Action]) -> None:
        """Post messages for callback actions."""
        for action in actions:
            self._asked |= isinstance(action, act.CallbackRequested)
            self._take(action, self._call)

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Post messages of a call that is over."""
        if (id := self._ids.get(call)) is None:
            return
        for action in actions:
            self._take(action, id)
            if isinstance(action, act.CallbackRequested):
                self._post(self._message(ENDED, id))

    def _take(self, action: Action, call: str) -> None:
        if isinstance(action, act.CallbackRequested):
            self._post(self._request(action, call))
        elif isinstance(action, act.CallbackWithdrawn):
            self._post(self._message(WITHDRAWN, call))

    def end(self) -> None:
        """The call is over: a callback "at once" need not wait any more."""
        if self._asked:
            self._asked = False
            self._post(self._message(ENDED, self._call))

    def _message(self, kind: str, call: str) -> OutboxMessage:
        return OutboxMessage(kind, new_key(), call, self._now().isoformat())

    def _request(self, action: act.CallbackRequested, call: str) -> OutboxMessage:
        texts = {
            "at": action.at,
            "phone": action.phone,
            "name": action.name,
            "topic": action.topic,
            "opening": action.opening,
            "operator": self._operator,
            "session": action.call_id,
        }
        return OutboxMessage(
            kind=REQUESTED,
            key=new_key(),
            call=call,
            asked=self._now().isoformat(),
            reason=action.reason.value,
            due_in_s=action.due_in_s,
            **{name: text and text[: LONGEST[name]] for name, text in texts.items()},
        )
