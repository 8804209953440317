"""The connections of a server: accepted here, limited, and with a deadline for the request's headers.

    accept ─> TLS handshake, HANDSHAKE_S ─> headers, HEADERS_S ─> the app ─> keep-alive, again the headers

At most `most_connections()` are open, so that files are left for the database, whatever comes in. When
there are more, the one that has waited longest without a whole request is ended: who asks something is
served, also under a flood of connections that ask nothing. Requests under way and WebSockets are never
ended.

Uvicorn has none of this: no deadline before the headers, asyncio's 60 s for a handshake, and a
`limit_concurrency` that counts idle connections and refuses those that ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

from vad_agent.errors import extra

with extra("callbacks", "an HTTP server"):
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
HEADERS_S = 10.0
"""Seconds from the connection's beginning, or the end of the last answer, to the last header."""
FLUSH_S = 10.0
"""Seconds for a client to read the rest of an answer of a connection that ends."""
RESERVED = 200
"""Files for the database, the log and everything else."""
MOST = 4096
SANSIO = "websockets-sansio"
PAUSE_S = 0.05
"""Seconds until the next try, if a connection could not be accepted."""


def most_connections() -> int:
    """How many connections leave enough files for the rest; raises this process's soft limit first."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
        soft = max(soft, limit)
    return max(min(MOST, soft - RESERVED), soft // 2)


class HttpConnection(H11Protocol):
    """One connection. It waits until a request has come; then it has a deadline, and may be ended."""

    waiting: dict[HttpConnection, None]
    """All that wait, the longest first; set by `limited`."""
    headers_s: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio's."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """As asyncio's."""
        super().data_received(data)
        if self._is_at_work():
            self._stop_waiting(body_too=not self.cycle.more_body)

    def on_response_complete(self) -> None:
        """As uvicorn's."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._stop_waiting()
            self._deadline = self.loop.call_later(FLUSH_S, self.transport.abort)
        elif not self._is_at_work():  # no pipelined request follows
            self._wait()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """As uvicorn's; the connection is that of another protocol from now on."""
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio's."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_at_work(self) -> bool:
        """A request is under way: its headers have come, and its answer has not ended."""
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._stop_waiting()
        self.waiting[self] = None
        self._deadline = self.loop.call_later(self.headers_s, self.end)

    def _stop_waiting(self, *, body_too: bool = True) -> None:
        if body_too:  # until its body has come, too, it may be ended; `BodyLimit` has the deadline
            self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def end(self) -> None:
        """End the connection at once."""
        self._stop_waiting()
        self.transport.abort()


def limited(headers_s: float = HEADERS_S) -> type[HttpConnection]:
    """The class of one server's connections."""
    own = {"waiting": {}, "headers_s": headers_s}
    return type("LimitedHttpConnection", (HttpConnection,), own)


def _websocket() -> type[asyncio.Protocol]:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    from websockets.exceptions import InvalidState

    class LimitedWebSocket(WebSocketsSansIOProtocol):
        """One that is closing already may be shut down, too; uvicorn's raises then, and `serve` fails."""

        def shutdown(self) -> None:
            """As uvicorn's."""
            try:
                super().shutdown()
            except InvalidState:
                self.transport.close()

    return LimitedWebSocket


class Acceptor:
    """Accepts the connections of one listening socket, in the running loop, until `close`.

    `make`: makes a connection's protocol. `open_now`: the number of those that are open. `waiting`:
    those that may be ended, the longest first. It has the methods of an `asyncio.Server` that uvicorn
    calls.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        open_now: Callable[[], int],
        waiting: dict[HttpConnection, None],
        *,
        most: int,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        self._listening = listening
        self._make = make
        self._tls = tls
        self._open_now = open_now
        self._waiting = waiting
        self._most = most
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._handshakes: dict[asyncio.Task[None], None] = {}
        """The connections under way, the oldest first."""
        listening.setblocking(False)
        self._task = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and end the handshakes."""
        self._task.cancel()
        for task in tuple(self._handshakes):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until it has ended."""
        await asyncio.gather(self._task, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(self._listening)
            except OSError as error:  # no file is left, or the client has gone
                log.warning("a connection was not accepted", extra={"why": error.strerror})
                self._end_longest()
                await asyncio.sleep(PAUSE_S)
                continue
            if self._open_now() + len(self._handshakes) >= self._most and not self._end_longest():
                accepted.close()  # all of them are at work
                continue
            task = self._loop.create_task(self._begin(accepted))
            self._handshakes[task] = None
            task.add_done_callback(lambda done: self._handshakes.pop(done, None))
            await asyncio.sleep(0)  # a flood must not keep the loop from anything else

    def _end_longest(self) -> bool:
        """End the connection that has waited longest, else the oldest handshake. False: there is none."""
        if self._waiting:
            next(iter(self._waiting)).end()
            return True
        if self._tls is not None and self._handshakes:
            task = next(iter(self._handshakes))
            del self._handshakes[task]
            task.cancel()
            return True
        return False

    async def _begin(self, accepted: socket.socket) -> None:
        told: dict[str, Any] = {}
        if self._tls is not None:
            told = {"ssl": self._tls, "ssl_handshake_timeout": self._handshake_s}
        with contextlib.suppress(OSError):  # the handshake failed or took too long, or it has gone
            await self._loop.connect_accepted_socket(self._make, accepted, **told)


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server on our sockets, with limited connections, and without signal handlers: the
    program around it handles signals.

    `most`: connections; None: see `most_connections`. `headers_s`, `handshake_s`: deadlines.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        most: int | None = None,
        headers_s: float = HEADERS_S,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        self._connections = limited(headers_s)
        config.http = self._connections
        if config.ws == SANSIO:
            config.ws = _websocket()
        super().__init__(config)
        self._most = most
        self._handshake_s = handshake_s

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """None are."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but with `Acceptor`. `sockets`: needed."""
        assert sockets, "the port is taken before the server starts"
        await self.lifespan.startup()
        most = self._most or most_connections()
        accepting: list[Any] = [
            Acceptor(
                one,
                self._make,
                self.config.ssl,
                lambda: len(self.server_state.connections),
                self._connections.waiting,
                most=most,
                handshake_s=self._handshake_s,
            )
            for one in sockets
        ]
        self.servers = accepting
        self.started = True

    def _make(self) -> asyncio.Protocol:
        return self._connections(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
