"""A desk's live part in a process of its own, or a bare echo server in its place.

python -m benchmarks.web.desk_process desk | echo      prints its port, then answers each line of stdin:

follow N      pages of operators 0 … N-1 follow them from now on
figures       the resources used, and the delays (s) of messages to the pages
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

TOKEN = "a-token-of-the-benchmark"
SENT = "sent"
"""A key of a state: when it was published, by this machine's monotonic clock."""


class Pages:
    """Followers of a broker, like the streams of open pages."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._tasks: list[asyncio.Task[None]] = []
        self.told = 0
        self.after_s: list[float] = []

    def follow(self, count: int) -> None:
        for number in range(count):
            self._tasks.append(asyncio.create_task(self._follow(str(number))))

    async def _follow(self, operator: str) -> None:
        async with aclosing(self._broker.follow(operator)) as states:
            async for state in states:
                now = time.perf_counter()
                self.told += 1
                if f'"{SENT}":' in state:
                    self.after_s.append(now - json.loads(state)[SENT])


async def desk(listening: socket.socket) -> None:
    """Serve as `vad-agent serve` does."""
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware import Middleware

    from vad_agent.server.bearer_auth import BearerAuthMiddleware, Tokens
    from vad_agent.web.headset_ws import headsets
    from vad_agent.web.state_broker import StateBroker

    broker = StateBroker()
    app = FastAPI(
        middleware=[Middleware(BearerAuthMiddleware, Tokens({"bench": TOKEN}), (), "/nothing/")]
    )
    app.include_router(headsets(broker), prefix="/api/v1")
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        ws_ping_interval=5.0,
        ws_ping_timeout=5.0,
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await _answer(Pages(broker))
    server.should_exit = True
    broker.close()
    await serving


async def echo(listening: socket.socket) -> None:
    """Return each message to its sender."""
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    async def back(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(message)

    async with serve(back, sock=listening, compression=None, ping_interval=None):
        await _answer(None)


async def _answer(pages: Pages | None) -> None:
    import psutil  # type: ignore[import-untyped]

    process = psutil.Process()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told: dict[str, Any] = {}
        command, _, argument = line.strip().partition(" ")
        if command == "follow" and pages is not None:
            pages.follow(int(argument))
        elif command == "figures":
            used = process.cpu_times()
            told = {"cpu_s": used.user + used.system, "rss": process.memory_info().rss}
            if pages is not None:
                told |= {"told": pages.told, "after_s": pages.after_s}
        print(json.dumps(told), flush=True)


ROLES: dict[str, Callable[[socket.socket], Awaitable[None]]] = {"desk": desk, "echo": echo}


def main(role: str) -> None:
    """Run until stdin ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(listening.getsockname()[1], flush=True)
        run: Any = ROLES[role](listening)
        asyncio.run(run)


if __name__ == "__main__":
    main(*sys.argv[1:])
