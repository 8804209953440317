"""WebSocket from each headset to the desk: receives its state, sends its operator's commands.

The messages: see `vad_agent.client.headset_protocol`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vad_agent.client.headset_protocol import (
    COMMANDS,
    MOST_BYTES,
    PATH,
    REPLACED,
    VERSION,
    Command,
    ControlMessage,
    DeskHello,
    control_fields,
)
from vad_agent.common.identity import folded
from vad_agent.errors import extra
from vad_agent.web.state_broker import LinkEnd, StateBroker

with extra("callbacks", "the panel"):
    from fastapi import APIRouter
    from starlette.websockets import WebSocket, WebSocketDisconnect

log = logging.getLogger(__name__)

HELLO_S = 5.0
SILENCE_S = 8.0
CLOSE_S = 1.0
"""Seconds for the closing message to a headset that does not read."""
MOST_KEYS = 60
LONGEST_KEY = 40
LONGEST_OPERATOR = 100
MOST_WAITING = 32
"""Limit on commands that a headset has not read yet."""
SENT = frozenset(COMMANDS) - {Command.QUIT}
"""Only the person at the headset may end the program."""
GOING_AWAY, UNREADABLE, WRONG, TOO_LONG, BROKEN, TOO_SLOW = 1001, 1007, 1008, 1009, 1011, 1013
ELSEWHERE = "another headset of this operator"
OVER = {LinkEnd.REPLACED: (REPLACED, ELSEWHERE), LinkEnd.CLOSED: (GOING_AWAY, "the desk ends")}


def headsets(
    broker: StateBroker, *, hello_s: float = HELLO_S, silence_s: float = SILENCE_S
) -> APIRouter:
    """The route of all headsets, `PATH`; the caller checks the token. Links end with the broker."""
    router = APIRouter()
    on: dict[str, _Link] = {}

    @router.websocket(PATH)
    async def headset(socket: WebSocket) -> None:
        await _Link(broker, on, socket).serve(hello_s, silence_s)

    return router


class _End(Exception):
    """The link ends."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Link:
    """One headset. `on`: connected links, by operator."""

    def __init__(self, broker: StateBroker, on: dict[str, _Link], socket: WebSocket) -> None:
        self._broker = broker
        self._on = on
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._operator = ""
        self._began = datetime.now(UTC)
        self._keys: set[str] = set()

    async def serve(self, hello_s: float, silence_s: float) -> None:
        """Run until either side ends the link."""
        await self._socket.accept()
        tasks = [
            asyncio.create_task(self._read(hello_s, silence_s)),
            asyncio.create_task(self._write()),
        ]
        try:
            await asyncio.wait([*tasks, self._over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._leave()
            ends = await asyncio.gather(*tasks, self._over, return_exceptions=True)
        await self._close(next(end for end in ends if isinstance(end, Exception)))

    async def _close(self, end: Exception) -> None:
        if isinstance(end, WebSocketDisconnect):
            return
        if not isinstance(end, _End):
            log.error("a headset's link failed", extra={"why": type(end).__name__})
            end = _End(BROKEN, "the desk has failed")
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):  # it is closed already
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(end.code, end.reason)

    def _leave(self) -> None:
        self._over.cancel()
        if self._operator:
            self._broker.detach(self._operator, self._sink)
        if self._on.get(folded(self._operator)) is self:
            del self._on[folded(self._operator)]

    # -- from the headset ----------------------------------------------------------------------------

    async def _read(self, hello_s: float, silence_s: float) -> None:
        self._enter(await self._next(hello_s))
        while True:
            told = await self._next(silence_s)
            if "state" in told:
                self._publish(told["state"])

    async def _next(self, limit_s: float) -> dict[str, Any]:
        """The next message.

        Raises:
            _End: none came in time, or it cannot be parsed.
            WebSocketDisconnect: the headset has disconnected.
        """
        try:
            async with asyncio.timeout(limit_s):
                message = await self._socket.receive()
        except TimeoutError:
            raise _End(WRONG, f"expected a word within {limit_s:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        text = message.get("text")
        if text is None:
            raise _End(UNREADABLE, "expected text")
        if len(text.encode()) > MOST_BYTES:
            raise _End(TOO_LONG, f"expected {MOST_BYTES} bytes at most")
        try:
            told = json.loads(text, parse_float=_finite, parse_constant=_finite)
        except (ValueError, RecursionError):
            raise _End(UNREADABLE, "expected JSON") from None
        if not isinstance(told, dict):
            raise _End(WRONG, "expected an object")
        return told

    def _enter(self, hello: dict[str, Any]) -> None:
        """Attach the headset to the broker and acknowledge it."""
        if type(hello.get("hello")) is not int or hello["hello"] != VERSION:
            raise _End(WRONG, f"hello: expected {VERSION}")
        operator = hello.get("operator")
        if not isinstance(operator, str) or not 1 <= len(operator) <= LONGEST_OPERATOR:
            raise _End(WRONG, f"operator: expected 1 to {LONGEST_OPERATOR} characters")
        if not operator.isprintable():
            raise _End(WRONG, "operator: expected characters that can be printed")
        if hello.get("began") is not None:
            self._began = min(self._began, _moment(hello["began"]))  # its clock may be wrong
        other = self._on.get(folded(operator))
        if other is not None and other._began > self._began:
            raise _End(REPLACED, ELSEWHERE)
        self._operator = operator
        self._on[folded(operator)] = self
        self._waiting.put_nowait(json.dumps(DeskHello(hello=VERSION)))
        self._broker.attach(operator, self._sink, self._end)

    def _publish(self, state: object) -> None:
        if not isinstance(state, dict):
            raise _End(WRONG, "state: expected an object")
        self._keys.update(state)
        if len(self._keys) > MOST_KEYS or any(len(key) > LONGEST_KEY for key in state):
            raise _End(WRONG, f"state: expected {MOST_KEYS} keys of {LONGEST_KEY} letters at most")
        try:
            self._broker.publish(self._operator, state, self._sink)
        except RecursionError:
            raise _End(UNREADABLE, "state: too deep") from None

    # -- to the headset ------------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            text = await self._waiting.get()
            try:
                await self._socket.send_text(text)
            except RuntimeError:  # the server has just closed it
                raise WebSocketDisconnect(1006) from None

    def _sink(self, what: ControlMessage) -> None:
        """Send a command; any thread may call this."""
        if isinstance(what, Command) and what not in SENT:
            return
        self._soon(self._queue, json.dumps({"send": control_fields(what)}))

    def _end(self, over: LinkEnd) -> None:
        """The link no longer receives commands; any thread may call this."""
        self._soon(self._set_over, _End(*OVER[over]))

    def _soon(self, do: Callable[[Any], None], what: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(do, what)

    def _queue(self, text: str) -> None:
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self._set_over(_End(TOO_SLOW, "the keys were not taken"))

    def _set_over(self, end: _End) -> None:
        if not self._over.done():
            self._over.set_exception(end)


def _finite(text: str) -> float:
    """Parse a finite float. Raises ValueError: JSON cannot express the number."""
    number = float(text)
    if number - number != 0:
        raise ValueError(text)
    return number


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        moment = datetime.min
    if moment.tzinfo is None:
        raise _End(WRONG, "began: expected a time with its zone, ISO 8601")
    return moment
