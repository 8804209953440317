"""Sends finished calls with their traces to the desk, for the supervisor's page.

    actions ──> lines ──end──> a thread of its own: packed, on the disk ──> delivered as callbacks are

A call must not delay or endanger a callback: it is written after them, and dropped and reported
once if it cannot be written. The trace of the shift still contains it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vad_agent.callbacks.outbox import Outbox, is_call
from vad_agent.callbacks.outbox_message import CALL, OutboxMessage, new_key
from vad_agent.callbacks.trace_compression import pack
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.actions import Action
from vad_agent.errors import OutputError
from vad_agent.headset.callback_publisher import LONGEST, CallbackPublisher
from vad_agent.headset.callback_write_ahead import HANGS, Carrier, OutboxWriter
from vad_agent.trace.trace_format import record

MOST_LINES = 20_000
"""Lines of a call; later ones are left out."""
LEAST_S = 1.0
"""A shorter call without a step is not reported."""
MOST_WAITING = 500
"""Calls in the outbox that nobody has taken: at most 32 MB."""
MOST_UNWRITTEN = 20
"""Calls that wait for a blocked disk."""
AFTER_S = 2.0
"""Seconds after which the call's callbacks have been written."""
CLOSE_S = 3.0

TraceLines = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Ended:
    call: str
    began: datetime
    mode: str
    operator: str | None
    lines: TraceLines


class CallWriter:
    """Writes finished calls to the outbox, in a thread. Several operators' reporters may share it.

    `messages`: writes the callbacks, which come first. `takes_calls`: whether a desk is expected;
    called in the thread at each call's end. `report`: called with what could not be written.
    """

    def __init__(
        self,
        messages: OutboxWriter,
        outbox: Outbox,
        report: Callable[[str], None],
        *,
        carrier: Carrier | None = None,
        takes_calls: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._messages = messages
        self._outbox = outbox
        self._report = report
        self._carrier = carrier
        self._takes_calls = takes_calls
        self._now = now
        self._writer = WriterThread("call reporter", self._write, most=MOST_UNWRITTEN)

    def put(self, ended: _Ended) -> None:
        """Write this call soon; does not block."""
        if not self._writer.put(ended):
            self._report(f"звонок не передан на стол: {HANGS}")

    def finish(self) -> None:
        """No more calls will come."""
        self._writer.end()

    def close(self) -> None:
        """Wait briefly for pending writes."""
        self._writer.close(CLOSE_S)

    def _write(self, ended: _Ended) -> None:
        try:
            if not self._takes_calls():
                return
            reason = self._hindrance()
            if reason is None:
                self._outbox.post(self._message(ended))
        except OutputError as error:
            reason = str(error)
        except Exception as error:  # its text may quote the call
            reason = type(error).__name__
        if reason is not None:
            self._report(f"звонок не передан на стол: {reason}")
        elif self._carrier is not None:
            self._carrier.wake()

    def _hindrance(self) -> str | None:
        """Why the call is not written, to leave the disk to callbacks. None: write it."""
        if not self._messages.flush(AFTER_S):
            return "перезвоны ещё не записаны"
        if sum(map(is_call, self._outbox.waiting())) >= MOST_WAITING:
            return f"прежние ({MOST_WAITING}) никто не взял"
        return None

    def _message(self, ended: _Ended) -> OutboxMessage:
        return OutboxMessage(
            kind=CALL,
            key=new_key(),
            call=ended.call,
            asked=self._now().isoformat(),
            operator=ended.operator,
            began=ended.began.isoformat(),
            mode=ended.mode,
            lines=pack(ended.lines),
        )


class CallReporter:
    """An action sink, placed after `callbacks`, which defines the call's id. `operator`: the login."""

    def __init__(
        self,
        callbacks: CallbackPublisher,
        writer: CallWriter,
        *,
        mode: str,
        operator: str | None = None,
    ) -> None:
        self._callbacks = callbacks
        self._writer = writer
        self._mode = mode
        self._operator = operator and operator[: LONGEST["operator"]]
        self._began: datetime | None = None
        self._lines: TraceLines = []

    def begin(self, call: str, began: datetime) -> None:
        """The following lines belong to this call. `began`: aware, or local time."""
        self._began = began if began.tzinfo is not None else began.astimezone()
        self._lines = []

    def take(self, actions: Sequence[Action]) -> None:
        """Keep the lines of a call in progress."""
        if self._began is None:
            return
        for action in actions:
            if len(self._lines) < MOST_LINES and (line := record(action)) is not None:
                self._lines.append(line)

    def end(self) -> None:
        """The call is over: write its message, in a thread."""
        began, lines = self._began, self._lines
        self._began, self._lines = None, []
        if began is not None and _is_call(lines):
            call = self._callbacks.call
            self._writer.put(_Ended(call, began, self._mode, self._operator, lines))

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Do nothing: the desk gets a changed callback in a message of its own."""


def _is_call(lines: TraceLines) -> bool:
    if any(line["kind"] == "prompt" for line in lines):
        return True
    return any(line["t"] >= LEAST_S for line in lines)
