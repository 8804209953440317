"""Listens for what a PBX posts: one path for each kind of sender.

    POST /events           signed JSON: `event_hooks.py`
    POST /mango/…          Mango's webhooks: `mango_control.py`

Each answer is JSON: {"taken": true}, or false of an event that has been taken before; an error is one line,
in the form of the desk's API. It runs in the event loop of the calls, with the limits of connections of the
product's other servers.

Of several processes each has a port of its own, and passes what it is told on to the others, since any of
them may have the call: 503 says that one of them was not told, and that the sender must repeat it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Mapping

from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.client.api_models import Code, Error, ErrorOut
from vad_agent.common.http_connections import EmbeddedServer
from vad_agent.errors import EventError, OutputError, extra
from vad_agent.telephony.event_hooks import EventHook
from vad_agent.telephony.process_pool import Share

with extra("callbacks", "call events"):
    import httpx
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024
LIMIT_S = 10.0
"""Seconds for a body to arrive."""
MOST_CONNECTIONS = 200
GRACE_S = 1
PASS_ON_S = 3.0
"""Seconds for another process to be told."""
PASSED_ON = "X-Vad-Agent-Passed-On"
"""Header of a request that comes from another process."""
OF_CONNECTION = ("host", "connection", "content-length", "transfer-encoding")
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
LOG_EVERY_S = 60.0
"""Seconds between two log lines about refused requests."""
CODES = {
    401: Code.UNAUTHORIZED,
    404: Code.NOT_FOUND,
    405: Code.NOT_ALLOWED,
    408: Code.TOO_SLOW,
    413: Code.TOO_LARGE,
    422: Code.INVALID,
    503: Code.UNAVAILABLE,
}


class HookServer:
    """`hooks`: by the first part of the path. `share`: which of several processes this is."""

    def __init__(self, hooks: Mapping[str, EventHook], share: Share | None = None) -> None:
        self._hooks = hooks
        self._share = share or Share()
        self._others: list[str] = []
        """The addresses of the other processes."""
        self._client: httpx.AsyncClient | None = None
        self.counts: Counter[str] = Counter(taken=0, repeated=0)
        """Requests: taken, repeated, and refused by the code of the error."""
        self._logged_at = float("-inf")
        self._server: EmbeddedServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen. Return the address. `port`: of the first process; the others have those after it.

        Raises:
            OutputError: the port cannot be taken.
        """
        own, near = port + self._share.index, ANY.get(host, host)
        shown = f"[{near}]" if ":" in near else near
        self._others = [
            f"http://{shown}:{port + index}"
            for index in range(self._share.of)
            if index != self._share.index
        ]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, own), family=family, backlog=128)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise OutputError(
                f"{host}:{own}: cannot listen there for call events: {why}"
            ) from error
        config = uvicorn.Config(
            self.app(),
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        if self._others:
            self._client = httpx.AsyncClient(timeout=PASS_ON_S, trust_env=False)
        self._server = EmbeddedServer(config, most=MOST_CONNECTIONS)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        bound = listening.getsockname()
        return bound[0], bound[1]

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        if self._client is not None:
            await self._client.aclose()

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/{hook}", self._take, methods=["POST"])]
        routes.append(Route("/{hook}/{below:path}", self._take, methods=["POST"]))
        return Starlette(routes=routes, exception_handlers={HTTPException: self._failed})

    async def _take(self, request: Request) -> Response:
        hook = self._hooks.get(request.path_params["hook"])
        if hook is None:
            raise HTTPException(404, "nothing is taken at this path")
        body = await _body(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            taken = hook.receive(headers, body)
        except HookRefused as error:
            raise HTTPException(error.status, str(error)) from error
        except EventError as error:
            raise HTTPException(422, str(error)) from error
        if self._client is not None and PASSED_ON.lower() not in headers:
            await self._pass_on(self._client, request.url.path, request.headers, body)
        self.counts["taken" if taken else "repeated"] += 1
        return JSONResponse({"taken": taken})

    async def _pass_on(
        self, client: httpx.AsyncClient, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Tell the other processes."""
        own = {name: value for name, value in headers.items() if name not in OF_CONNECTION}
        answers = await asyncio.gather(
            *(
                client.post(f"{other}{path}", content=body, headers={**own, PASSED_ON: "1"})
                for other in self._others
            ),
            return_exceptions=True,
        )
        for answer in answers:
            if not isinstance(answer, httpx.Response) or not answer.is_success:
                raise HTTPException(503, "another process was not told: post it again")

    async def _failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = CODES.get(error.status_code, Code.INVALID)
        self.counts[code.value] += 1
        now = time.monotonic()
        if now - self._logged_at > LOG_EVERY_S:
            self._logged_at = now
            log.warning("a call event is refused", extra={"why": str(error.detail)})
        out = ErrorOut(error=Error(code=code, text=str(error.detail)))
        headers = {"Connection": "close"} if error.status_code in (408, 413) else None
        return JSONResponse(
            out.model_dump(mode="json", exclude_none=True), error.status_code, headers
        )


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(LIMIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"body: expected {MOST_BYTES} bytes at most")
    except TimeoutError:
        raise HTTPException(408, f"body: expected within {LIMIT_S:g} s") from None
    except ClientDisconnect:
        raise HTTPException(408, "body: the connection has ended") from None
    return bytes(body)
