"""A desk that headsets link to, on a real socket; a cable that can be pulled; a headset by hand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from vad_agent.server.bearer_auth import BearerAuthMiddleware, Tokens
from vad_agent.web.headset_ws import headsets
from vad_agent.web.state_broker import StateBroker

TOKEN = "a-long-enough-token"
LIMIT_S = 10.0
State = dict[str, Any]


def until(true: Callable[[], Any], limit_s: float = LIMIT_S, what: object = "") -> float:
    """Seconds until this held."""
    began = time.perf_counter()
    while not true():
        assert time.perf_counter() - began < limit_s, what
        time.sleep(0.001)
    return time.perf_counter() - began


class LinkDesk:
    """A hub and its server, from its making until `stop`. `port`: 0, any."""

    def __init__(self, port: int = 0, tokens: Tokens | None = None, **limits: Any) -> None:
        self.broker = StateBroker()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        app = FastAPI(
            middleware=[
                Middleware(
                    BearerAuthMiddleware,
                    tokens or Tokens({"test": TOKEN}),
                    ("/health",),
                    "/no/more/",
                )
            ]
        )
        app.add_api_route("/health", lambda: {"alive": True})
        app.include_router(headsets(self.broker, **limits), prefix="/api/v1")
        config = uvicorn.Config(
            app,
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
        self._server = uvicorn.Server(config)
        sockets = {"sockets": [self._listening]}
        self._thread = threading.Thread(target=self._server.run, kwargs=sockets, name="a desk")
        self._thread.start()

    def stop(self) -> float:
        """Without a word to the hub; seconds that it took."""
        began = time.perf_counter()
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()
        return time.perf_counter() - began

    def state(self, operator: str = "anna") -> State:
        return self.broker.state(operator)

    def until(self, operator: str = "anna", /, **values: Any) -> float:
        """Seconds until the hub had these."""
        return until(lambda: values.items() <= self.state(operator).items(), what=list(values))


@contextlib.contextmanager
def link_desk(port: int = 0, **limits: Any) -> Iterator[LinkDesk]:
    desk = LinkDesk(port, **limits)
    try:
        yield desk
    finally:
        desk.stop()


class Headset:
    """One by hand: each of its messages is written out."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, told: Any) -> None:
        self.connection.send(told if isinstance(told, str | bytes) else json.dumps(told))

    def hear(self) -> Any:
        return json.loads(self.connection.recv(LIMIT_S))

    def end(self) -> tuple[int, str]:
        """With which code and reason the desk has ended it."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.connection.recv(LIMIT_S)
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""


@contextlib.contextmanager
def headset(
    desk: LinkDesk,
    operator: str | None = "anna",
    token: str = TOKEN,
    address: str = "",
    **hello: Any,
) -> Iterator[Headset]:
    """`operator`: None, it says no hello."""
    url = f"{desk.url.replace('http', 'ws', 1)}/api/v1/headsets"
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    if address:  # as a proxy says it
        bearer["X-Forwarded-For"] = address
    how = {"proxy": None, "compression": None, "close_timeout": 1}
    with connect(url, additional_headers=bearer, **how) as connection:
        one = Headset(connection)
        if operator is not None:
            one.send({"hello": 1, "operator": operator} | hello)
            assert one.hear() == {"hello": 1}
        yield one


class Cable:
    """Between a headset and a port: it can be pulled, so that nothing comes through, or cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = threading.Event()
        self._whole.set()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._start(self._accept)

    def pull(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def cut(self) -> None:
        """Both ends are told."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self.mend()
        self.cut()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(LIMIT_S)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to), LIMIT_S)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._ends += [near, far]
            left = threading.Semaphore(1)
            self._start(self._pass, near, far, left)
            self._start(self._pass, far, near, left)

    def _pass(self, source: socket.socket, target: socket.socket, left: Any) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._whole.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        if not left.acquire(blocking=False):  # the other direction has ended
            source.close()
            target.close()


@contextlib.contextmanager
def a_cable(port: int) -> Iterator[Cable]:
    cable = Cable(port)
    try:
        yield cable
    finally:
        cable.close()
