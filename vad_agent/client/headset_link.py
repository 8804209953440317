"""A headset's live link to the desk: sends its state, receives the operator's commands. Reconnects
for ever.

    where() ──> connect ──> hello, all of the state ──> changes … ──> lost ──> pause ──> where()
      └─ no desk: try again every LOOK_S                              PAUSES_S, or AGAIN_S

A change is sent at once, together with the changes of the following frame. For a slow network only
the newest value of each key is kept. The operator is notified once of an outage, and of its end.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vad_agent.client.conflating_buffer import ConflatingBuffer
from vad_agent.client.headset_protocol import REPLACED, Command, ControlSink, parse_control
from vad_agent.errors import EventError, MissingExtra

if TYPE_CHECKING:
    from vad_agent.client.discovery import DeskEndpoint
    from vad_agent.client.headset_websocket import HeadsetConnection

log = logging.getLogger(__name__)

LOOK_S = 5.0
PAUSES_S = (0.5, 1.0, 2.0, 5.0)
"""Seconds before each reconnect; the last value repeats."""
AGAIN_S = 30.0
"""The same, if only a person can fix the problem."""
HELLO_S = 5.0
LEAST_S = 0.02
"""Seconds between two messages: a frame."""
SIGN_S = 2.0
"""Seconds between messages to the desk, empty ones if necessary."""
STOP_S = 0.9
TOLERATED = 3
"""Consecutive failures that are not reported."""
UNSEEN = "стол не видит эту гарнитуру"
LET_OUT = "стол не пускает: проверьте токен"
ELSEWHERE = "этот оператор работает на другой гарнитуре: панель стола показывает её"
SEEN = "стол снова видит эту гарнитуру"


class HeadsetLink:
    """The link of one headset, from `attach` until `detach` or `stop`: the `StateReceiver` of a
    status publisher.

    `where`: returns the desk, called at each try; None: there is none now. `report`: called with
    notices for the operator. The link's own thread calls both.
    """

    def __init__(
        self,
        where: Callable[[], DeskEndpoint | None],
        report: Callable[[str], None],
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        again_s: float = AGAIN_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._where = where
        self._report = report
        self._pauses_s = pauses_s
        self._again_s = again_s
        self._look_s = look_s
        self._unsent = ConflatingBuffer()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._failures = 0
        self._notices: set[str] = set()  # notices of this outage
        self._connection: HeadsetConnection | None = None
        self._sink: ControlSink = lambda _: None
        self._operator = ""
        self._began = datetime.now().astimezone()
        self._thread = threading.Thread(target=self._run, name="desk link", daemon=True)

    def attach(self, operator: str, sink: ControlSink) -> None:
        """The headset connects: connect in the background. Call once."""
        self._operator, self._sink = operator, sink
        self._thread.start()

    def publish(self, operator: str, state: Mapping[str, Any]) -> None:
        """Take the state: all of it, or what has changed. Any thread; never blocks."""
        if self._unsent.take(state):
            self._wake.set()

    def detach(self, operator: str, sink: ControlSink | None = None) -> None:
        """The headset disconnects."""
        self.stop()

    def stop(self) -> None:
        """Close the link within a second; after that the thread is left to finish."""
        until = time.monotonic() + STOP_S
        self._stopped.set()
        self._wake.set()
        if not self._thread.is_alive():
            return
        self._thread.join(STOP_S * 0.7)
        if self._thread.is_alive() and (connection := self._connection) is not None:
            connection.cut()
        self._thread.join(max(0.0, until - time.monotonic()))

    # -- link thread
    # ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                pause_s = self._try()
            except MissingExtra:
                return
            except Exception as error:
                log.error("the link to the desk failed", extra={"why": type(error).__name__})
                pause_s = self._failed(type(error).__name__)
            self._stopped.wait(pause_s)

    def _try(self) -> float:
        """One connection, until it ends. Return the seconds until the next."""
        where = self._where()
        if where is None:
            return self._look_s
        from vad_agent.client.headset_websocket import (
            ConnectionLost,
            NotAuthorized,
            open_connection,
        )

        try:
            with open_connection(where, self._operator, self._began) as self._connection:
                self._follow(self._connection)
        except NotAuthorized:
            self._notify(LET_OUT)
            return self._again_s
        except ConnectionLost as lost:
            if lost.code == REPLACED:
                self._notify(ELSEWHERE)
                return self._again_s
            return self._failed(str(lost))
        finally:
            self._connection = None
        return 0.0

    def _failed(self, why: str) -> float:
        if self._stopped.is_set():
            return 0.0
        self._failures += 1
        if self._failures >= TOLERATED and UNSEEN not in self._notices:
            self._notices.add(UNSEEN)
            self._report(f"{UNSEEN}: {why}; повторяю")
        return self._pauses_s[min(self._failures, len(self._pauses_s)) - 1]

    def _notify(self, text: str) -> None:
        if text not in self._notices:
            self._notices.add(text)
            self._report(text)

    def _follow(self, connection: HeadsetConnection) -> None:
        """Send in another thread, and receive in this one.

        Raises:
            ConnectionLost: the connection was lost, or the desk did not answer the hello.
        """
        over = threading.Event()
        self._unsent.again()
        sender = threading.Thread(
            target=self._send, args=(connection, over), name="desk link sender", daemon=True
        )
        sender.start()
        try:
            while "hello" not in connection.receive(HELLO_S):
                pass
            self._linked()
            while True:
                self._take(connection.receive())
        finally:
            over.set()
            self._wake.set()
            sender.join()

    def _linked(self) -> None:
        self._failures = 0
        if self._notices:
            self._notices.clear()
            self._report(SEEN)

    def _take(self, message: Mapping[str, Any]) -> None:
        """Take a command; invalid ones and the one that ends the program are ignored."""
        try:
            what = parse_control(json.dumps(message.get("send")).encode())
        except (EventError, RecursionError):
            return
        if what is not Command.QUIT:
            self._sink(what)

    # -- sender thread
    # ----------------------------------------------------------------------------------

    def _send(self, connection: HeadsetConnection, over: threading.Event) -> None:
        from vad_agent.client.headset_websocket import ConnectionLost

        try:
            while True:
                self._wake.clear()
                if over.is_set() or self._stopped.is_set():
                    break
                if (state := self._unsent.next()) is not None:
                    connection.send(f'{{"state":{state}}}')
                    self._stopped.wait(LEAST_S)
                elif not self._wake.wait(SIGN_S):
                    connection.send("{}")
            connection.close()
        except ConnectionLost:
            pass  # the receiver notices it too
