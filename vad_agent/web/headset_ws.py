"""WebSocket from each headset to the desk: receives its state, sends its operator's commands.

The messages: see `vad_agent.client.headset_protocol`. A headset is let in for the login of its token;
the desk's own token is for headsets of its machine, with the login of a user. If the operator has
another headset on, that one is asked first.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from vad_agent.client.headset_protocol import (
    LOCAL_ONLY,
    MOST_BYTES,
    NOT_YOURS,
    PAGE_COMMANDS,
    PATH,
    REPLACED,
    STAYS,
    UNKNOWN_LOGIN,
    VERSION,
    Command,
    ControlMessage,
    DeskHello,
    control_fields,
)
from vad_agent.common.identity import folded
from vad_agent.errors import extra
from vad_agent.web.authentication.access_tokens import CREDENTIAL, Credential, Scope
from vad_agent.web.state_broker import LinkEnd, StateBroker

with extra("callbacks", "the panel"):
    from fastapi import APIRouter
    from starlette.concurrency import run_in_threadpool
    from starlette.websockets import WebSocket, WebSocketDisconnect

log = logging.getLogger(__name__)

HELLO_S = 5.0
SILENCE_S = 8.0
ASK_S = 15.0
"""Seconds for an operator's headset to answer whether another one may take over. A headset that is gone
is known to be so sooner."""
CLOSE_S = 1.0
"""Seconds for the closing message to a headset that does not read."""
MOST_KEYS = 60
LONGEST_KEY = 40
LONGEST_OPERATOR = 100
LONGEST_INSTANCE = 64
MOST_WAITING = 32
"""Limit on commands that a headset has not read yet."""
SENT = frozenset(PAGE_COMMANDS) - {Command.QUIT}
"""Only the person at the headset may end the program."""
GOING_AWAY, UNREADABLE, WRONG, TOO_LONG, BROKEN, TOO_SLOW = 1001, 1007, 1008, 1009, 1011, 1013
UNKNOWN = "nobody has this login"
ELSEWHERE = "another headset of this operator"
OVER = {LinkEnd.REPLACED: (REPLACED, ELSEWHERE), LinkEnd.CLOSED: (GOING_AWAY, "the desk ends")}


def headsets(
    broker: StateBroker,
    *,
    is_known: Callable[[str], bool] = lambda _: True,
    knows: Callable[[str], bool] = lambda _: True,
    is_valid: Callable[[Credential], bool] = lambda _: True,
    hello_s: float = HELLO_S,
    silence_s: float = SILENCE_S,
    ask_s: float = ASK_S,
) -> APIRouter:
    """The route of all headsets, `PATH`; the caller checks the token. Links end with the broker.

    `is_known`: the login is a user's; `knows`: the same of a login that comes in, may take a while;
    `is_valid`: the token has not been revoked since.
    """
    router = APIRouter()
    desk = _Desk(broker, is_known, knows, is_valid, hello_s, silence_s, ask_s)

    @router.websocket(PATH)
    async def headset(socket: WebSocket) -> None:
        await _Link(desk, socket).serve()

    return router


@dataclass(frozen=True, slots=True)
class _Desk:
    """What all links share. `on`: connected links, by operator."""

    broker: StateBroker
    is_known: Callable[[str], bool]
    knows: Callable[[str], bool]
    is_valid: Callable[[Credential], bool]
    hello_s: float
    silence_s: float
    ask_s: float
    on: dict[str, _Link] = field(default_factory=dict)


class _End(Exception):
    """The link ends."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Link:
    """One headset."""

    def __init__(self, desk: _Desk, socket: WebSocket) -> None:
        self._desk = desk
        self._broker = desk.broker
        self._socket = socket
        self._credential: Credential = socket.scope[CREDENTIAL]
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._operator = ""
        self._instance = ""
        self._keys: set[str] = set()
        self._asked: tuple[str, asyncio.Future[bool]] | None = None
        """The question whether another headset may take over, and its answer."""
        self._refused: set[str] = set()
        """Instances that were refused: they are not asked about again."""

    async def serve(self) -> None:
        """Run until either side ends the link."""
        await self._socket.accept()
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
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
        if self._desk.on.get(folded(self._operator)) is self:
            del self._desk.on[folded(self._operator)]
        if self._asked is not None and not self._asked[1].done():
            self._asked[1].set_result(True)  # it is gone: its place is free

    # -- from the headset ----------------------------------------------------------------------------

    async def _read(self) -> None:
        await self._enter(await self._next(self._desk.hello_s))
        while True:
            told = await self._next(self._desk.silence_s)
            self._check_login(self._operator)
            if "state" in told:
                self._publish(told["state"])
            if "answer" in told:
                self._take_answer(told["answer"])

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

    async def _enter(self, hello: dict[str, Any]) -> None:
        """Attach the headset to the broker and acknowledge it."""
        if type(hello.get("hello")) is not int or hello["hello"] != VERSION:
            raise _End(WRONG, f"hello: expected {VERSION}")
        operator, instance = hello.get("operator"), hello.get("instance", "")
        if not isinstance(operator, str) or not 1 <= len(operator) <= LONGEST_OPERATOR:
            raise _End(WRONG, f"operator: expected 1 to {LONGEST_OPERATOR} characters")
        if not operator.isprintable():
            raise _End(WRONG, "operator: expected characters that can be printed")
        if not isinstance(instance, str) or len(instance) > LONGEST_INSTANCE:
            raise _End(WRONG, f"instance: expected {LONGEST_INSTANCE} characters at most")
        if not await run_in_threadpool(self._desk.knows, operator):
            raise _End(UNKNOWN_LOGIN, UNKNOWN)
        self._check_login(operator)
        self._instance = instance or secrets.token_hex(8)
        name = folded(operator)
        while (other := self._desk.on.get(name)) is not None:
            if other._instance == self._instance:  # it has reconnected
                break
            if not await self._may_take_over(other):
                raise _End(STAYS, "the operator's other headset stays")
            if self._desk.on.get(name) is other:
                self._refused = other._refused | {other._instance}  # it has given its place away
                break
        self._operator = operator
        self._desk.on[name] = self
        self._waiting.put_nowait(json.dumps(DeskHello(hello=VERSION)))
        self._broker.attach(operator, self._sink, self._end)

    def _check_login(self, operator: str) -> None:
        credential = self._credential
        if not self._desk.is_valid(credential):
            raise _End(NOT_YOURS, "the token is no longer valid")
        if not credential.is_for(operator):
            raise _End(NOT_YOURS, "the token is another operator's")
        if not self._desk.is_known(operator):
            raise _End(UNKNOWN_LOGIN, UNKNOWN)
        if credential.scope is Scope.OWN and not self._is_local():
            raise _End(LOCAL_ONLY, "the desk's own token is for headsets of its machine")

    def _is_local(self) -> bool:
        client = self._socket.client
        try:
            return client is not None and ip_address(client.host).is_loopback
        except ValueError:
            return False

    # -- another headset of the same operator --------------------------------------------------------

    async def _may_take_over(self, other: _Link) -> bool:
        """Ask the other headset. True: it says so, or it is gone."""
        if other._asked is not None or self._instance in other._refused:
            return False
        client = self._socket.client
        answer = other._ask(client.host if client else "")
        self._waiting.put_nowait(json.dumps({"wait": self._desk.ask_s}))
        ended = asyncio.create_task(self._until_gone())
        try:
            waited: set[asyncio.Future[Any]] = {answer, ended}
            await asyncio.wait(
                waited, timeout=self._desk.ask_s, return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done():
                await ended
            said = answer.done() and answer.result()
        finally:
            ended.cancel()
            other._end_question()
        if not said:
            other._refused.add(self._instance)
        return said

    async def _until_gone(self) -> None:
        """Read, and drop, until this headset leaves; it sends its state only after the desk's hello."""
        while True:
            await self._next(self._desk.ask_s + HELLO_S)

    def _ask(self, address: str) -> asyncio.Future[bool]:
        self._asked = (secrets.token_hex(8), self._loop.create_future())
        id, answer = self._asked
        told = {"id": id, "address": address, "for_s": self._desk.ask_s}
        self._queue(json.dumps({"ask": told}))
        return answer

    def _end_question(self) -> None:
        if self._asked is not None:
            self._queue(json.dumps({"asked": self._asked[0]}))
            self._asked = None

    def _take_answer(self, told: object) -> None:
        if self._asked is None or not isinstance(told, dict) or told.get("id") != self._asked[0]:
            return
        if not self._asked[1].done():
            self._asked[1].set_result(told.get("yes") is True)

    def _publish(self, state: object) -> None:
        if not isinstance(state, dict):
            raise _End(WRONG, "state: expected an object")
        if "operator" in state:
            state = {**state, "operator": self._operator}
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
