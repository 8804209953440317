"""What the listeners for media have in common: connections that fail alone, bounded in time and memory.

it says which call it carries    within HELLO_S
it reads what we send            at most MOST_UNSENT bytes wait
its host is gone                 found by TCP within DEAD_S, also where we send nothing
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import cast

from vad_agent.telephony.call_router import CallRouter

log = logging.getLogger(__name__)

HELLO_S = 5.0
"""Seconds for a connection to say which call it carries."""
MOST_UNSENT = 32_000
"""Bytes that a peer has not read, 2 s of audio: it reads no more."""
DEAD_S = 15
"""Seconds after which a host that does not answer is gone."""
CLOSE_S = 3.0
"""Seconds for a peer to read what was sent before we closed."""
BACKLOG = 1024


class MediaConnection(asyncio.Protocol):
    """One connection. It is closed unless `hello_done` is called in time."""

    most_unsent = MOST_UNSENT

    def __init__(self, listener: MediaListener) -> None:
        self.listener = listener
        self._transport: asyncio.Transport | None = None
        self._hello: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no such class
        self.listener.connections.add(self)
        self._hello = asyncio.get_running_loop().call_later(HELLO_S, self._unidentified)
        if (peer := transport.get_extra_info("socket")) is not None:
            _detect_dead_host(peer)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self.listener.connections.discard(self)
        self.hello_done()
        self._transport = None
        self.ended()

    def hello_done(self) -> None:
        """It has said which call it carries."""
        if self._hello is not None:
            self._hello.cancel()

    def ended(self) -> None:
        """The connection has ended: leave the call."""

    def _unidentified(self) -> None:
        if self.is_open:
            self.fail("it does not say which call it carries")

    def fail(self, why: str) -> None:
        """Close it, because the peer is at fault."""
        self.listener.failed += 1
        log.warning("a connection is closed", extra={"why": why})
        self.close()

    @property
    def is_open(self) -> bool:
        """Something can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send, unless the peer reads no more, which ends the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self.most_unsent:
            self.listener.failed += 1
            log.warning("a connection is closed", extra={"why": "it reads no more"})
            transport.abort()
            return
        transport.write(data)

    def close(self) -> None:
        """End the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.close()
        if transport.get_write_buffer_size():  # a peer that does not read would hold it open
            asyncio.get_running_loop().call_later(CLOSE_S, transport.abort)


class MediaListener:
    """A port, and its connections. `make`: a connection that has been accepted."""

    protocol: str
    """What it speaks, for the engineer."""

    def __init__(self, router: CallRouter, make: Callable[[], MediaConnection]) -> None:
        self.router = router
        self.connections: set[MediaConnection] = set()
        self.failed = 0
        """Connections closed by us, since the start."""
        self._make = make
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen. Return the address.

        Raises:
            OSError: the port cannot be taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make, host, port, backlog=BACKLOG)
        bound = self._server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()


def _detect_dead_host(peer: socket.socket) -> None:
    """A host that is gone without a word is found where we send, and where we do not."""
    options = {
        "TCP_USER_TIMEOUT": DEAD_S * 1_000,
        "TCP_KEEPIDLE": DEAD_S // 3,
        "TCP_KEEPINTVL": DEAD_S // 3,
        "TCP_KEEPCNT": 2,
    }
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if (option := getattr(socket, name, None)) is not None:
            peer.setsockopt(socket.IPPROTO_TCP, option, value)
