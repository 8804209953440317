"""The desk's reader of local headsets' messages. A message is deleted when its content is stored."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.model import Request
from vad_agent.callbacks.outbox import Outbox, is_call
from vad_agent.callbacks.outbox_message import CALL, ENDED, WITHDRAWN, OutboxMessage
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.trace_compression import unpack
from vad_agent.common.periodic import Periodic
from vad_agent.common.private_files import why
from vad_agent.errors import RuleError, StoreError, UnstorableError

log = logging.getLogger(__name__)

LOOK_S = 0.5
PAUSES_S = (0.5, 1.0, 2.0, 3.0)
"""Seconds before the next pass, after each pass that the store failed; the last one is repeated."""
STOP_S = 5.0
WHO = "headset"


class OutboxConsumer:
    """Reads a folder in a thread of its own, or once by `read_all`.

    Raises:
        OutputError: the folder cannot be created.
    """

    def __init__(
        self, folder: Path, service: CallbackService, alerts: AlertBoard | None = None
    ) -> None:
        self._outbox = Outbox(folder)
        self._service = service
        self._alerts = alerts
        self._told: set[str] = set()
        self._failures = 0
        self._next = 0.0
        self._thread = Periodic("outbox consumer", LOOK_S, self._read)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._thread.close(STOP_S)

    def _read(self) -> None:
        if time.monotonic() < self._next:
            return
        try:
            self.read_all()
        except StoreError as error:
            pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
            self._next = time.monotonic() + pause_s
            self._failures += 1
            if self._failures == 1:
                log.warning("messages wait for the store", extra={"why": str(error)})
        else:
            self._failures = 0

    def read_all(self) -> int:
        """Take all messages, in order. Return their number. A message that is invalid, or that the
        store will never accept, is moved aside and raises an alert.

        A message that cannot be read or deleted now raises an alert and stays; later ones are
        taken. A problem with a call's message is only logged: it loses no callback.

        Raises:
            StoreError: the store cannot take them now: they stay.
            OSError: the folder's lock cannot be created.
        """
        return self._outbox.each(self._take)

    def _take(self, path: Path) -> int:
        try:
            message = self._outbox.read(path)
            take(self._service, message)
        except FileNotFoundError:
            return 0
        except UnstorableError as error:
            self._refuse(path, f"it can never be stored: {error}")
            return 0
        except StoreError:
            raise
        except (ValueError, RuleError) as error:
            self._refuse(path, str(error))
            return 0
        except Exception as error:  # the message may be valid: the next pass tries it again
            self._alert(path, why(error) if isinstance(error, OSError) else type(error).__name__)
            return 0
        try:
            self._outbox.done(path)
        except OSError as error:  # the next pass takes it again, which changes nothing
            self._alert(path, f"taken, and cannot be removed: {why(error)}")
            return 1
        if self._alerts is not None:
            self._alerts.settle(Kind.REFUSED, path.name)
        return 1

    def _refuse(self, path: Path, reason: str) -> None:
        self._alert(self._outbox.refuse(path), reason)

    def _alert(self, path: Path, reason: str) -> None:
        if is_call(path):
            if path.name not in self._told:
                self._told.add(path.name)
                log.warning("a call was not taken", extra={"letter": str(path), "why": reason})
            return
        if self._alerts is not None:
            now = self._service.clock.now()
            self._alerts.sound(Kind.REFUSED, path.name, now, f"{path}: {reason}")


def take(service: CallbackService, message: OutboxMessage) -> None:
    """Carry out what a message says.

    Raises:
        StoreError: it could not be stored.
        ValueError, RuleError: its content is not valid.
    """
    if message.kind == WITHDRAWN:
        service.withdraw(message.call, WHO)
    elif message.kind == ENDED:
        service.call_ended(message.call, WHO)
    elif message.kind == CALL:
        service.take_call(as_record(message))
    else:
        service.take(as_request(message), WHO)


def as_request(message: OutboxMessage) -> Request:
    """The request in a message.

    Raises:
        ValueError: a time in it is not valid; the text does not quote it.
    """
    asked = _time("asked", message.asked)
    return Request(
        key=message.key,
        reason=message.reason or "",
        asked=asked,
        due_in_s=message.due_in_s if message.at is None else None,
        at=message.at,
        phone=message.phone,
        name=message.name,
        topic=message.topic,
        opening=message.opening or "",
        operator=message.operator,
        call=message.call,
        session=message.session,
        call_on=True,
    )


def as_record(message: OutboxMessage) -> CallRecord:
    """The call in a message.

    Raises:
        ValueError: it is not valid; the text does not quote it.
    """
    return CallRecord(
        call=message.call,
        operator=message.operator,
        mode=message.mode or "",
        began=_time("began", message.began or ""),
        lines=unpack(message.lines or ""),
    )


def _time(name: str, text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            raise ValueError
        return when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name}: expected an ISO 8601 time with a zone") from None
