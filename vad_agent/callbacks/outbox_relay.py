"""Delivers messages to a desk on another machine: in order, retried until each has been taken.

A message that the desk refuses is moved aside. While the desk is unreachable, or something else
answers in its place, all messages wait, across restarts too. A call's message that no desk may ever
take is moved aside, so that nothing waits behind it.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from vad_agent.callbacks.outbox import Outbox, is_call
from vad_agent.callbacks.outbox_message import (
    CALL,
    ENDED,
    NEEDED,
    REQUESTED,
    WITHDRAWN,
    OutboxMessage,
    request_fields,
)
from vad_agent.common.private_files import why
from vad_agent.errors import StoreError, extra

with extra("callbacks", "--desk"):
    import httpx

log = logging.getLogger(__name__)

LOOK_S = 0.2
IDLE_S = 2.0
"""Seconds between passes: other processes also post into the folder and do not wake this one."""
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
LIMIT_S = 10.0
REFUSED = (400, 409, 413, 415, 422)
"""Statuses that mean the message is at fault; any other failure is the desk's."""
REFUSED_CALLS = (*REFUSED, 404, 405, 500)
"""An older desk does not know calls, or a bug of this one makes it fail every time."""
NOT_LET_IN = {401: ", стол не принимает токен", 403: ", это токен не для гарнитуры"}
TOLD_FROM = 3
"""Number of consecutive failures that count as an outage."""
PATHS = {
    REQUESTED: "/api/v1/callbacks",
    WITHDRAWN: "/api/v1/calls/withdrawn",
    ENDED: "/api/v1/calls/ended",
    CALL: "/api/v1/calls",
}


class OutboxRelay:
    """Delivers a folder to `url` in a thread of its own.

    `report`: called on a refusal and on a long outage.
    """

    def __init__(self, outbox: Outbox, url: str, token: str, report: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._report = report
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=LIMIT_S,
            trust_env=False,
        )
        self._where = urllib.parse.urlsplit(url).netloc
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._failures = 0
        self._told: set[str] = set()
        self._told_absent: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def wake(self) -> None:
        """A new message was posted."""
        self._wake.set()

    def stop(self, limit_s: float = 3.0) -> None:
        """Deliver pending messages within `limit_s` seconds, then stop.

        The rest waits for the next start.
        """
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)
        self._client.close()

    def _run(self) -> None:
        while True:
            stopping = self._stop.is_set()
            try:
                self.deliver()
                self._failures = 0
                self._told_absent.clear()
            except StoreError as error:
                self._failed(str(error))
            except Exception as error:  # its text may quote a message
                log.error("messages could not be delivered", extra={"why": type(error).__name__})
                self._failed(type(error).__name__)
            if stopping:
                return
            pause = PAUSES_S[min(self._failures, len(PAUSES_S)) - 1] if self._failures else IDLE_S
            if self._failures:
                self._stop.wait(pause)
            else:
                self._wake.wait(LOOK_S if self._outbox.waiting() else pause)
                self._wake.clear()

    def _failed(self, reason: str) -> None:
        """Report each outage once; if no callback waits, as one of calls only."""
        self._failures += 1
        if self._failures < TOLD_FROM:
            return
        waiting = self._outbox.waiting()
        callbacks = [path for path in waiting if not is_call(path)]
        of_calls = bool(waiting) and not callbacks
        what = "звонки не доставлены" if of_calls else "перезвоны не доставлены"
        if what not in self._told_absent:
            self._told_absent.add(what)
            count = len(waiting) if of_calls else len(self._outbox.requested(callbacks))
            self._report(f"{what} ({count}): {reason}; повторяю, ничего не потеряно")

    def deliver(self) -> int:
        """Deliver all messages, in order. Return their number.

        Raises:
            StoreError: the desk cannot take them now: they stay.
            OSError: the folder's lock cannot be created.
        """
        return self._outbox.each(self._deliver)

    def _deliver(self, path: Path) -> int:
        try:
            message = self._outbox.read(path)
        except FileNotFoundError:
            return 0
        except ValueError as error:
            self._refuse(path, str(error))
            return 0
        except OSError as error:  # the message may be valid: tried again
            self._stays(path, f"{_what(path)} не прочитан: {why(error)}; повторяю: {path}")
            return 0
        answer = self._send(message)
        if _is_taken(answer, message.kind):
            try:
                self._outbox.done(path)
            except OSError as error:  # delivered again, which changes nothing
                self._stays(path, f"{_what(path)} доставлен, но не удалён: {why(error)}: {path}")
            return 1
        refused = REFUSED_CALLS if message.kind == CALL else REFUSED
        if answer.status_code not in refused and not _is_anothers(answer):
            told = NOT_LET_IN.get(answer.status_code, "")
            raise StoreError(f"{self._where}: HTTP {answer.status_code}{told}")
        self._refuse(path, f"HTTP {answer.status_code}")
        return 0

    def _send(self, message: OutboxMessage) -> httpx.Response:
        body: Any = {"call": message.call}
        headers = {"Content-Type": "application/json"}
        if message.kind == REQUESTED:
            body = request_fields(message)
            headers["Idempotency-Key"] = message.key
            headers["Date"] = format_datetime(datetime.now(UTC), usegmt=True)  # of `asked`'s clock
        elif message.kind == CALL:
            body |= {name: getattr(message, name) for name in ("operator", *NEEDED[CALL])}
        try:
            content = json.dumps(body)  # ASCII: a name may contain a lone surrogate
            return self._client.post(PATHS[message.kind], content=content, headers=headers)
        except httpx.HTTPError as error:
            raise StoreError(f"{self._where}: {type(error).__name__}") from error

    def _refuse(self, path: Path, reason: str) -> None:
        kept = self._outbox.refuse(path)
        self._stays(
            kept,
            f"{_what(path)} не принят: {reason}; сохранён: {kept}",
            once=f"call {reason}" if is_call(path) else None,
        )

    def _stays(self, path: Path, text: str, once: str | None = None) -> None:
        """Report each message once; report the calls that an older desk refuses only once in all."""
        about = once or path.name
        if about not in self._told:
            self._told.add(about)
            self._report(text)


def _what(path: Path) -> str:
    return "звонок" if is_call(path) else "перезвон"


def _is_anothers(answer: httpx.Response) -> bool:
    """The message is another operator's than the token. (A desk keeps such a request of a callback.)"""
    try:
        return answer.status_code == 403 and answer.json()["error"]["code"] == "not_yours"
    except (ValueError, LookupError, TypeError):
        return False


def _is_taken(answer: httpx.Response, kind: str) -> bool:
    """A desk has taken it. A proxy's own page does not count, even with status 200."""
    if kind == ENDED:
        return answer.status_code == 204
    if answer.status_code not in (200, 201):
        return False
    try:
        told = answer.json()
    except ValueError:
        return False
    return isinstance(told, dict) and ("new" if kind == CALL else "callback") in told
