"""Asterisk's events over its WebSocket, on one thread: reconnects for ever and drops invalid messages.

    connect ──> opened() ──> event(…), event(…), tick() … ──> lost ──> pause ──> connect
                                                               PAUSES_S, tick() goes on

`opened` runs before the first event of each connection: events in between were lost, so it polls
the state. Only this thread calls the three functions. It logs what they raise and continues.

The events of an application go to one connection, the newest: the one before it is told so
(ApplicationReplaced), stays open and gets none. It is closed here, and made again after the longest pause.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from vad_agent.errors import extra

with extra("callbacks", "a dialer"):
    from websockets.exceptions import InvalidStatus, WebSocketException
    from websockets.sync.client import ClientConnection, connect

LOG = logging.getLogger(__name__)
WIRE = logging.getLogger(f"{__name__}.wire")
WIRE.setLevel(logging.WARNING)  # its debug log contains the password as sent

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Seconds before each reconnect; the last value repeats."""
REFUSED = {
    401: "the user or the password of ARI is wrong (ari.conf)",
    404: "ARI is off, or its configuration is not loaded (a second [general] in ari.conf?)",
}
"""What ARI's HTTP status means."""
NOT_THERE = "nothing answers there: is HTTP on (http.conf: enabled, bindaddr, bindport; no second [general])?"
OPEN_LIMIT_S = 5.0
CLOSE_LIMIT_S = 2.0


class _ApplicationReplaced(Exception):
    """Another connection gets the events."""


class AriEvents:
    """Receives the application's events; `all_channels`: those of every channel."""

    def __init__(
        self,
        url: str,
        app: str,
        auth: tuple[str, str],
        *,
        opened: Callable[[], None],
        event: Callable[[Mapping[str, Any]], None],
        tick: Callable[[], None],
        tick_s: float = 0.5,
        pauses_s: tuple[float, ...] = PAUSES_S,
        all_channels: bool = False,
    ) -> None:
        scheme, _, rest = url.rstrip("/").partition("://")
        secure = "wss" if scheme == "https" else "ws"
        query = urlencode({"app": app, "subscribeAll": str(all_channels).lower()})
        self._uri = f"{secure}://{rest}/events?{query}"
        token = base64.b64encode(":".join(auth).encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}
        self._url, self._app = url, app
        self._opened, self._event, self._tick = opened, event, tick
        self._tick_s, self._pauses_s = tick_s, pauses_s
        self._connection: ClientConnection | None = None
        self._listening = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ari-events", daemon=True)

    def start(self) -> None:
        """Start the thread; it connects in the background."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Events are being received."""
        return self._listening.is_set()

    def wait(self, limit_s: float) -> bool:
        """Whether events are being received, now or within `limit_s` seconds."""
        return self._listening.wait(limit_s)

    def close(self) -> None:
        """Stop the thread. After `CLOSE_LIMIT_S` it is left to finish its request."""
        if self._closing.is_set():
            return
        self._closing.set()
        until = time.monotonic() + CLOSE_LIMIT_S
        if (connection := self._connection) is not None:
            with contextlib.suppress(Exception):  # the connection may be failing at this moment
                connection.close()
        if self._thread.is_alive():
            self._thread.join(max(until - time.monotonic(), 0.1))

    def _run(self) -> None:
        failed = 0
        while not self._closing.is_set():
            had = False
            try:
                with connect(
                    self._uri,
                    additional_headers=self._headers,
                    proxy=None,
                    open_timeout=OPEN_LIMIT_S,
                    close_timeout=1,
                    logger=WIRE,
                ) as self._connection:
                    failed, had = 0, True
                    self._follow(self._connection)
            except (OSError, EOFError, WebSocketException) as error:
                if not self._closing.is_set():
                    self._report(error, had)
            except _ApplicationReplaced:
                failed = len(self._pauses_s) - 1
                LOG.error(
                    "another program gets the events of this ARI application: end it, or this one",
                    extra={"app": self._app},
                )
            finally:
                self._listening.clear()
            self._pause(self._pauses_s[min(failed, len(self._pauses_s) - 1)])
            failed += 1
        self._safely(self._tick)

    def _report(self, error: Exception, had: bool) -> None:
        """Log why there is no connection. `had`: there was one."""
        if had:
            LOG.warning(
                "lost the connection for Asterisk's events, reconnecting",
                extra={"why": type(error).__name__},
            )
            return
        why = type(error).__name__
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            why = f"HTTP {status}: {REFUSED.get(status, 'is this the address of Asterisk?')}"
        elif isinstance(error, ConnectionError):
            why = NOT_THERE
        LOG.warning(
            "no connection for Asterisk's events, trying again",
            extra={"url": self._url, "why": why},
        )

    def _follow(self, connection: ClientConnection) -> None:
        self._safely(self._opened)
        self._listening.set()
        ticked = time.monotonic()
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                self._take(connection.recv(timeout=self._tick_s))
            if time.monotonic() - ticked >= self._tick_s:
                self._safely(self._tick)
                ticked = time.monotonic()

    def _take(self, text: str | bytes) -> None:
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            LOG.warning("an event of Asterisk's that cannot be read was left out")
            return
        if event["type"] == "ApplicationReplaced" and event.get("application") == self._app:
            raise _ApplicationReplaced
        self._safely(lambda: self._event(event))

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while (left := until - time.monotonic()) > 0:
            if self._closing.wait(min(left, self._tick_s)):
                return
            self._safely(self._tick)

    def _safely(self, do: Callable[[], None]) -> None:
        """Run a handler; an event that fails must not stop the events after it."""
        try:
            do()
        except Exception as error:
            LOG.warning(
                "the handler of an Asterisk event failed", extra={"why": type(error).__name__}
            )
