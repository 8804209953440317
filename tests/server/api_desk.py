"""A desk without an engine, its API, and what asks it: in this process, or over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import uvicorn
from fastapi import FastAPI

from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.dialers.base import OutcomeReport
from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.server.api_app import create_app
from vad_agent.server.app_state import AppState
from vad_agent.server.metrics import Metrics

TOKEN = "correct-horse-battery"
OTHER = "staple-horse-battery"
TOKENS = {"crm": TOKEN, "headset": OTHER}
V1 = "/api/v1"
PHONE = "8 912 345-67-89"
NUMBER = "+79123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class InProcess(httpx.BaseTransport):
    """Asks an ASGI app, each request in a loop of its own."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._transport.handle_async_request(request)
            content = await answer.aread()
            return httpx.Response(answer.status_code, headers=answer.headers, content=content)

        return asyncio.run(ask())


def client(app: Any, **headers: str) -> httpx.Client:
    return httpx.Client(transport=InProcess(app), base_url="http://desk", headers=headers)


@dataclass
class ApiDesk:
    """A desk, its API and a client with a token."""

    store: Store
    app_state: AppState
    metrics: Metrics = field(default_factory=Metrics)
    told: list[OutcomeReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app: FastAPI = create_app(self.app_state, TOKENS, metrics=self.metrics)
        self.client = client(self.app, **BEARER)

    @property
    def desk(self) -> CallbackService:
        return self.app_state.service

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.client.post(V1 + path, json={} if body is None else body, **more)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.client.get(V1 + path, params=query)

    def ask(self, **body: Any) -> dict[str, Any]:
        """A new callback, as it is answered."""
        answer = self.post("/callbacks", {"reason": "dropped", "phone": PHONE} | body)
        assert answer.is_success, answer.text
        callback: dict[str, Any] = answer.json()["callback"]
        return callback

    def with_office(self, **parts: Any) -> ApiDesk:
        return ApiDesk(self.store, replace(self.app_state, **parts), self.metrics, self.told)


@contextlib.contextmanager
def api_desk(folder: Path) -> Iterator[ApiDesk]:
    store = Store(str(folder / "callbacks.sqlite"), Policy(ZoneInfo("Europe/Moscow")))
    told: list[OutcomeReport] = []
    app_state = AppState(
        service=CallbackService(store, Clock()),
        queries=CallbackQueries(store),
        alerts=AlertBoard("desk-1"),
        node="desk-1",
        report=told.append,
    )
    try:
        yield ApiDesk(store, app_state, told=told)
    finally:
        store.close()


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """The app on a real socket; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


Fails = Callable[..., Any]


def raising(error: Exception) -> Fails:
    """Something that fails so, whatever it is asked."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail
