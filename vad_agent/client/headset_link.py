"""A headset's live link to the desk: sends its state, receives the operator's commands. Reconnects
for ever.

    where() ──> connect ──> hello ──> all of the state ──> changes … ──> lost ──> pause ──> where()
      └─ no desk: try again every LOOK_S                                 PAUSES_S, or AGAIN_S

A change is sent at once, together with the changes of the following frame. For a slow network only
the newest value of each key is kept. The operator is notified once of an outage, and of its end.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from vad_agent.client.conflating_buffer import ConflatingBuffer
from vad_agent.client.headset_protocol import (
    LOCAL_ONLY,
    NOT_YOURS,
    PAGE_COMMANDS,
    REPLACED,
    STAYS,
    UNKNOWN_LOGIN,
    AskOperator,
    Command,
    ControlSink,
    parse_control,
)
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
MOST_WAIT_S = 60.0
"""Limit of the seconds for which the desk may let this headset wait."""
LEAST_S = 0.02
"""Seconds between two messages: a frame."""
SIGN_S = 2.0
"""Seconds between messages to the desk, empty ones if necessary."""
STOP_S = 0.9
TOLERATED = 3
"""Consecutive failures that are not reported."""
UNSEEN = "стол не видит эту гарнитуру"
LET_OUT = "стол не пускает: нужен токен этого оператора (vad-agent people token ЛОГИН)"
ELSEWHERE = "работу приняла другая гарнитура этого логина: панель стола показывает её"
ASKING = "под этим логином уже работает другая гарнитура: она спрошена, ждём её ответа"
ONLY_BY_A_PERSON = {
    REPLACED: ELSEWHERE,
    STAYS: "стол не пускает: под этим логином работает другая гарнитура, и она остаётся",
    NOT_YOURS: "стол не пускает: это токен другого оператора, проверьте --operator",
    UNKNOWN_LOGIN: "стол не знает этого логина: vad-agent people add ЛОГИН, или --operator ЛОГИН",
    LOCAL_ONLY: "стол не пускает: с другой машины нужен токен оператора (vad-agent people token ЛОГИН)",
}
"""Codes of an end that trying again soon does not change."""
SEEN = "стол снова видит эту гарнитуру"


class HeadsetLink:
    """The link of one headset, from `attach` until `detach` or `stop`: the `StateReceiver` of a
    status publisher.

    `where`: returns the desk, called at each try; None: there is none now. `report`: called with
    notices for the operator; `operator`: asked whether another headset may take over, None: it may
    not. The link's own thread calls them.
    """

    def __init__(
        self,
        where: Callable[[], DeskEndpoint | None],
        report: Callable[[str], None],
        operator: AskOperator | None = None,
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        again_s: float = AGAIN_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._where = where
        self._report = report
        self._asks = operator
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
        self._instance = secrets.token_urlsafe(16)
        self._asked: str | None = None  # the id of the last question
        self._answers: dict[str, bool] = {}  # by the question's id, not sent yet
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
            with open_connection(where, self._operator, self._instance) as self._connection:
                self._follow(self._connection)
        except NotAuthorized:
            self._notify(LET_OUT)
            return self._again_s
        except ConnectionLost as lost:
            if (why := ONLY_BY_A_PERSON.get(lost.code or 0)) is not None:
                self._notify(why)
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
        limit_s = HELLO_S
        while "hello" not in (message := connection.receive(limit_s)):
            if (
                isinstance(wait_s := message.get("wait"), int | float)
                and 0 <= wait_s <= MOST_WAIT_S
            ):
                self._notify(ASKING)
                limit_s = HELLO_S + wait_s
        over = threading.Event()
        self._unsent.again()
        sender = threading.Thread(
            target=self._send, args=(connection, over), name="desk link sender", daemon=True
        )
        sender.start()
        try:
            self._linked()
            while True:
                self._take(connection.receive())
        finally:
            if self._asks is not None and (asked := self._asked) is not None:
                self._asks.over(asked)
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
        self._take_question(message)
        if "send" not in message:
            return
        try:
            what = parse_control(json.dumps(message["send"]).encode(), PAGE_COMMANDS)
        except (EventError, RecursionError):
            return
        if what is not Command.QUIT:
            self._sink(what)

    def _take_question(self, message: Mapping[str, Any]) -> None:
        """Another headset of this operator wants to take over, or no longer does."""
        match message:
            case {"ask": {"id": str(id), "address": str(address)}}:
                if self._asks is None:
                    self._answer(id, False)
                else:
                    self._asked = id
                    self._asks.ask(id, address, partial(self._answer, id))
            case {"asked": str(id)} if self._asks is not None:
                self._asks.over(id)

    def _answer(self, id: str, yes: bool) -> None:
        self._answers[id] = yes
        self._wake.set()

    # -- sender thread
    # ----------------------------------------------------------------------------------

    def _send(self, connection: HeadsetConnection, over: threading.Event) -> None:
        from vad_agent.client.headset_websocket import ConnectionLost

        try:
            while True:
                self._wake.clear()
                if over.is_set() or self._stopped.is_set():
                    break
                if self._answers:
                    id, yes = self._answers.popitem()
                    connection.send(json.dumps({"answer": {"id": id, "yes": yes}}))
                    self._wake.set()
                elif (state := self._unsent.next()) is not None:
                    connection.send(f'{{"state":{state}}}')
                    self._stopped.wait(LEAST_S)
                elif not self._wake.wait(SIGN_S):
                    connection.send("{}")
            connection.close()
        except ConnectionLost:
            pass  # the receiver notices it too
