"""Callbacks to the desk: each request is on the disk before the farewell that promises it is spoken."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from vad_agent.callbacks.letters import ENDED, REQUESTED, WITHDRAWN, Letter, Outbox, new_key
from vad_agent.core import actions as act
from vad_agent.core.actions import Action
from vad_agent.errors import OutputError

AGAIN_S = 1.0
LONGEST = {
    "at": 60,
    "phone": 250,
    "name": 200,
    "topic": 500,
    "opening": 1000,
    "operator": 100,
    "session": 200,
}
"""As the API has it; no long name is a reason to refuse a callback."""


class Carrier(Protocol):
    """Whoever delivers the letters elsewhere."""

    def wake(self) -> None:
        """There is a new letter."""


class DeskOutlet:
    """An outlet of the loop. `operator`: the login; `report`: told what cannot be written."""

    def __init__(
        self,
        outbox: Outbox,
        report: Callable[[str], None],
        *,
        operator: str | None = None,
        carrier: Carrier | None = None,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._outbox = outbox
        self._report = report
        self._operator = operator
        self._carrier = carrier
        self._now = now
        self._here = f"{socket.gethostname()[:64]}-{os.getpid()}"
        self._call = ""
        self._asked = False
        self._unwritten: list[Letter] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def call(self) -> str:
        """The call's id, unique over all headsets."""
        return self._call

    @property
    def is_behind(self) -> bool:
        """There are callbacks that could not be written yet."""
        return bool(self._unwritten)

    def begin(self, call: str, began: datetime) -> None:
        """The actions that follow are of this call; another one of the same name, or time, is another."""
        name = "".join(sign if sign.isprintable() else "_" for sign in call)[:80]
        self._call, self._asked = f"{self._here}-{name}-{secrets.token_hex(4)}", False

    def take(self, actions: Sequence[Action]) -> None:
        """Post what asks for a callback, or takes it back."""
        for action in actions:
            if isinstance(action, act.Callback):
                self._asked = True
                self._post(self._request(action))
            elif isinstance(action, act.CallbackWithdrawn):
                self._post(self._letter(WITHDRAWN))

    def end(self) -> None:
        """The call is over: a callback "at once" need not wait any more."""
        if self._asked:
            self._asked = False
            self._post(self._letter(ENDED))

    def close(self) -> None:
        """Once more for what could not be written."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(AGAIN_S + 1)

    def _letter(self, kind: str) -> Letter:
        return Letter(kind, new_key(), self._call, self._now().isoformat())

    def _request(self, action: act.Callback) -> Letter:
        texts = {
            "at": action.at,
            "phone": action.phone,
            "name": action.name,
            "topic": action.topic,
            "opening": action.opening,
            "operator": self._operator,
            "session": action.call_id,
        }
        return Letter(
            kind=REQUESTED,
            key=new_key(),
            call=self._call,
            asked=self._now().isoformat(),
            reason=action.reason.value,
            due_in_s=action.due_in_s,
            **{name: text and text[: LONGEST[name]] for name, text in texts.items()},
        )

    def _post(self, letter: Letter) -> None:
        with self._lock:
            if self._unwritten:
                if letter.kind == REQUESTED:
                    self._report("ПЕРЕЗВОН НЕ ЗАПИСАН: запишите его сами, я повторяю")
                self._unwritten.append(letter)  # in order
                return
            try:
                self._outbox.post(letter)
            except OutputError as error:
                self._report(f"ПЕРЕЗВОН НЕ ЗАПИСАН: {error}; запишите его сами, я повторяю")
                self._unwritten.append(letter)
                self._thread = threading.Thread(target=self._again, name="letters", daemon=True)
                self._thread.start()
                return
        if self._carrier is not None:
            self._carrier.wake()

    def _again(self) -> None:
        """Until what could not be written is."""
        while True:
            last = self._closing.wait(AGAIN_S)
            with self._lock:
                try:
                    while self._unwritten:
                        self._outbox.post(self._unwritten[0])
                        self._unwritten.pop(0)
                except OutputError as error:
                    if last:
                        count = len({one.call for one in self._unwritten if one.kind == REQUESTED})
                        self._report(f"ПЕРЕЗВОНЫ НЕ ЗАПИСАНЫ ({count}): {error}; запишите их сами")
                        return
                    continue
            self._report("перезвон записан")
            if self._carrier is not None:
                self._carrier.wake()
            return
