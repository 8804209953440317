"""Calls that are over go to the desk, each with its trace: for the supervisor's page.

    actions ──> lines ──end──> a thread of its own: packed, on the disk ──> as the letters of callbacks

No callback may wait for it or be lost by it: what cannot be written is dropped and told once. The trace of
the shift has it all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from vad_agent.callbacks.call_lines import pack
from vad_agent.callbacks.letters import CALL, Letter, Outbox, is_call, new_key
from vad_agent.core.actions import Action
from vad_agent.errors import OutputError
from vad_agent.live.desk_outlet import LONGEST, Carrier, DeskOutlet
from vad_agent.trace import record

MOST_LINES = 20_000
"""Of a call; those after are left out."""
LEAST_S = 1.0
"""What is shorter and had no step is no call."""
MOST_WAITING = 500
"""Calls that nobody has taken yet: 32 MB at most."""
CLOSE_S = 2.0

Lines = list[dict[str, Any]]


class CallOutlet:
    """An outlet of the loop, after `callbacks`, which gives the call its id.

    `takes_calls`: a desk is expected, asked at each call's end in a thread; `operator`: the login; `report`:
    told what could not be written.
    """

    def __init__(
        self,
        callbacks: DeskOutlet,
        outbox: Outbox,
        report: Callable[[str], None],
        *,
        mode: str,
        operator: str | None = None,
        carrier: Carrier | None = None,
        takes_calls: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._callbacks = callbacks
        self._outbox = outbox
        self._report = report
        self._mode = mode
        self._operator = operator and operator[: LONGEST["operator"]]
        self._carrier = carrier
        self._takes_calls = takes_calls
        self._now = now
        self._began: datetime | None = None
        self._lines: Lines = []
        self._threads: list[threading.Thread] = []

    def begin(self, call: str, began: datetime) -> None:
        """The lines that follow are of this call; `began`: aware, or local time."""
        self._began = began if began.tzinfo is not None else began.astimezone()
        self._lines = []

    def take(self, actions: Sequence[Action]) -> None:
        """Keep the lines of a call that is on."""
        if self._began is None:
            return
        for action in actions:
            if len(self._lines) < MOST_LINES and (line := record(action)) is not None:
                self._lines.append(line)

    def end(self) -> None:
        """The call is over: its letter is written, in a thread."""
        began, lines = self._began, self._lines
        self._began, self._lines = None, []
        if began is None or not _is_call(lines):
            return
        thread = threading.Thread(
            target=self._write,
            args=(self._callbacks.call, began, lines),
            name="call letter",
            daemon=True,
        )
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def close(self) -> None:
        """Wait a moment for what is being written."""
        until = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _write(self, call: str, began: datetime, lines: Lines) -> None:
        try:
            if not self._takes_calls():
                return
            reason = self._hindrance()
            if reason is None:
                self._outbox.post(self._letter(call, began, lines))
        except OutputError as error:
            reason = str(error)
        except Exception as error:  # its text may quote the call
            reason = type(error).__name__
        if reason is not None:
            self._report(f"звонок не передан на стол: {reason}")
        elif self._carrier is not None:
            self._carrier.wake()

    def _hindrance(self) -> str | None:
        """Why the disk is left to others."""
        if self._callbacks.is_behind:
            return "перезвоны ещё не записаны"
        if sum(map(is_call, self._outbox.waiting())) >= MOST_WAITING:
            return f"прежние ({MOST_WAITING}) никто не взял"
        return None

    def _letter(self, call: str, began: datetime, lines: Lines) -> Letter:
        return Letter(
            kind=CALL,
            key=new_key(),
            call=call,
            asked=self._now().isoformat(),
            operator=self._operator,
            began=began.isoformat(),
            mode=self._mode,
            lines=pack(lines),
        )


def _is_call(lines: Lines) -> bool:
    if any(line["kind"] == "prompt" for line in lines):
        return True
    return any(line["t"] >= LEAST_S for line in lines)
