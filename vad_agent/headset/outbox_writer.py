"""Writes the letters of callbacks to the outbox, in a thread: a disk that hangs stops no call.

    post() ──> WriterThread ──> outbox, synced ──> the carrier is woken
                  └─ error: told; again and again, in order, until it is written

A farewell promises a callback, so it waits for the request to be on the disk (`may_promise`): for `STORED_S`
at most. From then on, or from an error on, the operator knows that it is not written yet.
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
"""A request is on a disk that works so soon (milliseconds); well within a prompt's `prompt_start_s`."""
AGAIN_S = 1.0
CLOSE_S = 3.0
MOST_WAITING = 10_000
"""Letters, some 1 kB each: more than any shift has. One that finds no room is told of as lost."""
HANGS = "диск не отвечает"


class Carrier(Protocol):
    """Whoever delivers the letters elsewhere."""

    def wake(self) -> None:
        """There is a new letter."""


@dataclass(slots=True, eq=False)
class _Request:
    """One that is not written yet."""

    call: str
    at: float
    told: bool = False
    """The operator knows that it is not."""


class OutboxWriter:
    """The letters of one headset. `report`: told what is not written, by any thread.

    `post`, `may_promise`, `finish` and `close` are for the owner's thread; only `close` waits.
    """

    def __init__(
        self, outbox: Outbox, report: Callable[[str], None], *, carrier: Carrier | None = None
    ) -> None:
        self._outbox = outbox
        self._report = report
        self._carrier = carrier
        self._requests: deque[_Request] = deque()
        self._why: str | None = None  # the last try failed
        self._told = False  # the operator waits to hear that all is written
        self._posted = self._written = 0
        self._telling = threading.Lock()
        self._closing = threading.Event()
        self._gave_up = False
        self._writer = WriterThread("letters", self._write, most=MOST_WAITING)

    def post(self, message: OutboxMessage) -> None:
        """Have it written, soon. Until it is, it is kept, as long as the process lives."""
        request = None
        if message.kind == REQUESTED:
            request = _Request(message.call, time.monotonic())
            self._requests.append(request)
        self._posted += 1
        if not self._writer.put((message, request)):
            self._posted -= 1
            self._tell(HANGS)
        elif (why := self._why) is not None:
            self._tell(why)

    @property
    def may_promise(self) -> bool:
        """All requests are on the disk, or the operator knows that they are not; to be asked at each turn."""
        if not self._requests:
            return True
        self._tell(HANGS, until=time.monotonic() - STORED_S)
        return all(request.told for request in tuple(self._requests))

    def flush(self, limit_s: float) -> bool:
        """Wait until all letters so far are written; False: they cannot be, or not in time. Any thread."""
        return self._why is None and self._writer.flush(limit_s)

    def finish(self) -> None:
        """Nothing more will be posted; what could not be written is tried once more."""
        self._writer.end()
        self._closing.set()

    def close(self, limit_s: float = CLOSE_S) -> None:
        """Finish; what is not written so long after `finish` is told."""
        self.finish()
        self._writer.close(limit_s)
        if calls := {request.call for request in tuple(self._requests)}:
            why = self._why or HANGS
            self._report(f"ПЕРЕЗВОНЫ НЕ ЗАПИСАНЫ ({len(calls)}): {why}; запишите их сами")

    def _tell(self, why: str, until: float = math.inf) -> None:
        """Of each request that has waited since then, once."""
        with self._telling:
            for request in tuple(self._requests):
                if not request.told and request.at <= until:
                    self._told = request.told = True
                    self._report(f"ПЕРЕЗВОН НЕ ЗАПИСАН: {why}; запишите его сами, я повторяю")

    # -- the disk's thread -------------------------------------------------------------------------

    def _write(self, item: tuple[OutboxMessage, _Request | None]) -> None:
        message, request = item
        while (why := self._try(message)) is not None:
            self._why = why
            self._tell(why)
            if self._gave_up:
                return
            self._closing.wait(AGAIN_S)
        self._why = None
        if request is not None:
            self._requests.remove(request)
        self._written += 1
        if self._told and self._written == self._posted:
            self._told = False
            self._report("перезвон записан")
        if self._carrier is not None:
            self._carrier.wake()

    def _try(self, message: OutboxMessage) -> str | None:
        """Why it is not written; None: it is. At the end nothing is tried after what has failed."""
        if self._gave_up:
            return self._why
        last = self._closing.is_set()
        try:
            self._outbox.post(message)
        except OutputError as error:
            why = str(error)
        except Exception as error:  # its text may quote the letter
            why = type(error).__name__
        else:
            return None
        self._gave_up = last
        return why
