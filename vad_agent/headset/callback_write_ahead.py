"""Writes callback messages to the outbox in a thread, so that a blocked disk stops no call.

    post() ──> WriterThread ──> outbox, synced ──> the relay is woken
                  └─ error: reported; retried, in order, until it is written

A farewell promises a callback. It therefore waits until the request is on the disk (`may_promise`),
for at most `STORED_S`. After that time, or after an error, the operator knows that it is not
written yet.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage
from vad_agent.common.writer_thread import WriterThread
from vad_agent.errors import OutputError

STORED_S = 0.5
"""Seconds; a working disk needs milliseconds. Well within a prompt's `prompt_start_s`."""
AGAIN_S = 1.0
CLOSE_S = 3.0
MOST_WAITING = 10_000
"""Messages, some 1 kB each: more than a shift has. One that does not fit is reported as lost."""
HANGS = "диск не отвечает"


class Carrier(Protocol):
    """Delivers the messages to a desk elsewhere."""

    def wake(self) -> None:
        """A new message was posted."""


@dataclass(slots=True, eq=False)
class _Request:
    """A request that is not written yet."""

    call: str
    at: float
    reported: bool = False
    """The operator knows that it is not written."""


class OutboxWriter:
    """The messages of one headset. `report`: called with what is not written, by any thread.

    `post`, `may_promise`, `finish` and `close` are for the owner's thread; only `close` blocks.
    """

    def __init__(
        self, outbox: Outbox, report: Callable[[str], None], *, carrier: Carrier | None = None
    ) -> None:
        self._outbox = outbox
        self._report = report
        self._carrier = carrier
        self._requests: deque[_Request] = deque()
        self._why: str | None = None  # the last try failed
        self._report_success = False  # the operator expects a message when all is written
        self._posted = self._written = 0
        self._telling = threading.Lock()
        self._closing = threading.Event()
        self._gave_up = False
        self._writer = WriterThread("outbox writer", self._write, most=MOST_WAITING)

    def post(self, message: OutboxMessage) -> None:
        """Write a message soon. Until it is written, it is kept as long as the process lives."""
        request = None
        if message.kind == REQUESTED:
            request = _Request(message.call, time.monotonic())
            self._requests.append(request)
        self._posted += 1
        if not self._writer.put((message, request)):
            self._posted -= 1
            self._report_unwritten(HANGS)
        elif (why := self._why) is not None:
            self._report_unwritten(why)

    @property
    def may_promise(self) -> bool:
        """All requests are on the disk, or the operator knows that they are not. Call it in each turn."""
        if not self._requests:
            return True
        self._report_unwritten(HANGS, until=time.monotonic() - STORED_S)
        return all(request.reported for request in tuple(self._requests))

    def flush(self, limit_s: float) -> bool:
        """Wait until all messages so far are written. False: not possible, or not in time. Any thread."""
        return self._why is None and self._writer.flush(limit_s)

    def finish(self) -> None:
        """No more messages will come; what could not be written is retried once."""
        self._writer.end()
        self._closing.set()

    def close(self, limit_s: float = CLOSE_S) -> None:
        """Finish; report what is not written `limit_s` seconds after `finish`."""
        self.finish()
        self._writer.close(limit_s)
        if calls := {request.call for request in tuple(self._requests)}:
            why = self._why or HANGS
            self._report(f"ПЕРЕЗВОНЫ НЕ ЗАПИСАНЫ ({len(calls)}): {why}; запишите их сами")

    def _report_unwritten(self, why: str, until: float = math.inf) -> None:
        """Report each request that has waited since then, once."""
        with self._telling:
            for request in tuple(self._requests):
                if not request.reported and request.at <= until:
                    self._report_success = request.reported = True
                    self._report(f"ПЕРЕЗВОН НЕ ЗАПИСАН: {why}; запишите его сами, я повторяю")

    # -- writer thread
    # -------------------------------------------------------------------------------

    def _write(self, item: tuple[OutboxMessage, _Request | None]) -> None:
        message, request = item
        while (why := self._try(message)) is not None:
            self._why = why
            self._report_unwritten(why)
            if self._gave_up:
                return
            self._closing.wait(AGAIN_S)
        self._why = None
        if request is not None:
            self._requests.remove(request)
        self._written += 1
        if self._report_success and self._written == self._posted:
            self._report_success = False
            self._report("перезвон записан")
        if self._carrier is not None:
            self._carrier.wake()

    def _try(self, message: OutboxMessage) -> str | None:
        """Why the message is not written; None: it is. At the end, nothing is tried after a failure."""
        if self._gave_up:
            return self._why
        last = self._closing.is_set()
        try:
            self._outbox.post(message)
        except OutputError as error:
            why = str(error)
        except Exception as error:  # its text may quote the message
            why = type(error).__name__
        else:
            return None
        self._gave_up = last
        return why
