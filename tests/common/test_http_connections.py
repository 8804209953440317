"""Connections that ask nothing: they end at a deadline, and make way for those that ask something."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.sync.client import connect

from tests.server.test_serve import certificate
from tests.web.link_desk import until
from vad_agent.common.http_connections import MOST, RESERVED, EmbeddedServer, most_connections

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE_S = 0.5
HEADERS_S = 0.5


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once; below /late when it is told to; a WebSocket says each word again."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    if scope["path"] == "/late":
        late.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


late, go_on = threading.Event(), threading.Event()


class Server:
    """On a real socket."""

    def __init__(self, tls: Path | None = None, **limits: Any) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.listening.getsockname()[1]
        self.tls = tls
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ssl_certfile=None if tls is None else tls,
            ssl_keyfile=None if tls is None else tls.with_name("desk.key"),
        )
        self.server = EmbeddedServer(
            config, **{"headers_s": HEADERS_S, "handshake_s": HANDSHAKE_S} | limits
        )
        sockets = {"sockets": [self.listening]}
        self.thread = threading.Thread(target=self.server.run, kwargs=sockets)
        self.thread.start()
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self.trust = ssl.create_default_context(cafile=tls) if tls else None

    def raw(self) -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", self.port), 10)
        wire.settimeout(10)
        return wire

    def wire(self) -> socket.socket:
        wire = self.raw()
        return self.trust.wrap_socket(wire, server_hostname="127.0.0.1") if self.trust else wire

    def get(self, path: str = "/") -> int:
        verify = self.trust or True
        return httpx.get(self.url + path, verify=verify, trust_env=False, timeout=10).status_code

    def close(self) -> None:
        go_on.set()
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.listening.close()


Started = Callable[..., Server]


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Started]:
    late.clear()
    go_on.clear()
    with contextlib.ExitStack() as stack:

        def start(**limits: Any) -> Server:
            server = Server(certificate(tmp_path) if request.param else None, **limits)
            stack.callback(server.close)
            return server

        yield start


def is_answered(wire: socket.socket) -> bool:
    told = b""
    while not told.endswith(b"ok"):
        told += (more := wire.recv(1000))
        if not more:
            return False
    return told.startswith(b"HTTP/1.1 200")


def ended_after_s(wire: socket.socket) -> float:
    """Seconds until the server has ended it."""
    began = time.perf_counter()
    with wire, contextlib.suppress(ConnectionError, ssl.SSLError):
        while wire.recv(1000):
            pass
    return time.perf_counter() - began


def test_a_connection_that_asks_nothing_ends(started: Started) -> None:
    server = started()
    assert ended_after_s(server.wire()) < 5
    assert ended_after_s(server.raw()) < 5  # also within a handshake
    assert server.get() == 200


def test_headers_that_come_a_letter_at_a_time_end_it_too(started: Started) -> None:
    server = started()
    with server.wire() as wire, contextlib.suppress(ConnectionError, ssl.SSLError):
        wire.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(500):
            wire.sendall(b"x")
            time.sleep(0.02)
        pytest.fail("it went on for 10 s")


def test_a_body_that_nobody_waits_for_ends_it_too(started: Started) -> None:
    server = started()
    with server.wire() as wire, contextlib.suppress(ConnectionError, ssl.SSLError):
        wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert is_answered(wire)
        for _ in range(500):
            wire.sendall(b"x")
            time.sleep(0.02)
        pytest.fail("it went on for 10 s")


def test_requests_one_after_the_other_are_answered_and_then_it_ends(started: Started) -> None:
    server = started()
    with server.wire() as wire:
        for _ in range(3):
            wire.sendall(GET)
            assert is_answered(wire)
            time.sleep(HEADERS_S / 5)
        assert ended_after_s(wire) < 5


def test_what_is_under_way_has_no_deadline(started: Started) -> None:
    server = started()
    with (
        server.wire() as wire,
        connect(server.url.replace("http", "ws", 1), ssl=server.trust, proxy=None) as talk,
    ):
        wire.sendall(GET.replace(b"/ ", b"/late ", 1))
        assert late.wait(10)
        time.sleep(2 * HEADERS_S)
        go_on.set()
        assert is_answered(wire)
        talk.send("still here")
        assert talk.recv(10) == "still here"


def test_when_there_are_too_many_those_that_ask_nothing_make_way(started: Started) -> None:
    server = started(most=20, headers_s=60, handshake_s=60)
    with contextlib.ExitStack() as stack:
        talk = stack.enter_context(
            connect(server.url.replace("http", "ws", 1), ssl=server.trust, proxy=None)
        )
        under_way = stack.enter_context(server.wire())
        under_way.sendall(GET.replace(b"/ ", b"/late ", 1))
        assert late.wait(10)
        idle = [stack.enter_context(server.raw()) for _ in range(60)]
        for _ in range(5):
            assert server.get() == 200
            idle += [stack.enter_context(server.raw()) for _ in range(10)]
        go_on.set()
        assert is_answered(under_way)
        talk.send("still here")
        assert talk.recv(10) == "still here"
        assert ended_after_s(idle[0]) < 5
        assert len(server.server.server_state.connections) <= 21


def test_requests_whose_bodies_do_not_come_make_way_too(started: Started) -> None:
    server = started(most=20, headers_s=60, handshake_s=60)
    head = b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(server.wire()).sendall(head)
        assert server.get() == 200
        whole = stack.enter_context(server.wire())
        whole.sendall(head + b"something")
        assert late.wait(10)
        for _ in range(30):
            stack.enter_context(server.wire()).sendall(head)
        go_on.set()
        assert is_answered(whole)


def test_where_all_are_at_work_another_one_is_not_let_in(started: Started) -> None:
    server = started(most=1)
    with connect(server.url.replace("http", "ws", 1), ssl=server.trust, proxy=None) as talk:
        with server.raw() as another:
            another.settimeout(10)
            assert ended_after_s(another) < 5
        talk.send("still here")
        assert talk.recv(10) == "still here"
    until(lambda: not server.server.server_state.connections)
    assert server.get() == 200


def test_it_ends_while_connections_wait(started: Started) -> None:
    server = started(headers_s=60, handshake_s=60)
    wires = [server.raw() for _ in range(5)]
    assert server.get() == 200
    began = time.perf_counter()
    server.server.should_exit = True
    server.thread.join(10)
    assert time.perf_counter() - began < 5
    for wire in wires:
        wire.close()


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "most"),
    [
        (1024, 1024, 1024, 1024 - RESERVED),
        (1024, 524_288, MOST + RESERVED, MOST),
        (1_000_000, 1_000_000, 1_000_000, MOST),
        (256, 256, 256, 128),
        (1024, -1, MOST + RESERVED, MOST),
    ],
)
def test_files_are_left_for_the_database(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int, most: int
) -> None:
    resource = pytest.importorskip("resource")
    now = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: now.__setitem__(0, limits))
    assert most_connections() == most
    assert now[0] == (raised, hard)
