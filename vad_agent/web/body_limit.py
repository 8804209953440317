"""Reads a request's body completely, within a size and a time limit, before a route runs."""

from __future__ import annotations

import asyncio

from vad_agent.errors import extra
from vad_agent.web.error_responses import failed

with extra("callbacks", "the API"):
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
LIMIT_S = 10.0


class BodyLimit:
    """Answers 413 to a body of more than `most_bytes`, 408 to one that does not arrive within `limit_s`."""

    def __init__(
        self, app: ASGIApp, most_bytes: int = MOST_BYTES, limit_s: float = LIMIT_S
    ) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._declared(scope) > self._most_bytes:
            await self._too_large(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._limit_s):
                body = await self._read(receive)
        except TimeoutError:
            text = f"body: expected within {self._limit_s:g} s"
            await failed(408, text, headers={"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            return
        if len(body) > self._most_bytes:
            await self._too_large(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)

    def _declared(self, scope: Scope) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value[:19])  # more digits than any length has
        return 0

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or the part read when it became too large. None: the client has disconnected."""
        body = bytearray()
        while len(body) <= self._most_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"body: expected {self._most_bytes} bytes at most"
        await failed(413, text, headers={"Connection": "close"})(scope, receive, send)


def _again(body: bytes, receive: Receive) -> Receive:
    told = False

    async def message() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return message
