"""A centre's HTTP server on loopback whose answers are set, faults included.

server.answers("POST", "/cases", 201, {"id": "k"})   the next ones to this request, in order;
server.answers("POST", "/cases", HANG)               the last one is repeated
server.taken                                         every request that arrived, in order
"""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

HANG = "hang"  # the request is taken, and no answer comes while the server is up
CUT = "cut"  # the answer breaks off in its middle
DROP = "drop"  # the connection is closed with no answer
GARBAGE = "garbage"  # 200 and no JSON


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def limit_s(request: pytest.FixtureRequest) -> float:
    """Of a test's requests: short where each hangs, longer where the next one must be answered, and
    otherwise more than any busy machine needs. `fault`, `first`: the test's parameters."""
    callspec = getattr(request.node, "callspec", None)
    params = callspec.params if callspec is not None else {}
    if params.get("fault") == HANG:
        return 0.05
    return 0.3 if params.get("first") == HANG else 5.0


class CentreServer:
    def __init__(self) -> None:
        self.taken: list[ReceivedRequest] = []
        self._answers: dict[tuple[str, str], list[tuple[Any, Any, dict[str, str]]]] = defaultdict(
            list
        )
        self._over = threading.Event()
        self._lock = threading.Lock()
        centre = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer takes 40 ms

            def _serve(self) -> None:
                centre._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answers(
        self,
        method: str,
        path: str,
        status: int | str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`body`: of JSON; bytes are sent as they are."""
        with self._lock:
            self._answers[method, path].append((status, body, headers or {}))

    def requests(self, method: str, path: str) -> list[ReceivedRequest]:
        return [one for one in self.taken if (one.method, one.path) == (method, path)]

    @contextmanager
    def serving(self) -> Iterator[CentreServer]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.taken.append(ReceivedRequest(handler.command, url.path, url.query, headers, body))
            set_ = self._answers.get((handler.command, url.path), [(404, {"error": "not set"}, {})])
            status, answer, more = set_.pop(0) if len(set_) > 1 else set_[0]
        if status == HANG:
            self._over.wait(30)
            status = DROP
        if status == DROP:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        data = b"<html>no" if status == GARBAGE else data
        handler.send_response(200 if isinstance(status, str) else status)
        handler.send_header("Content-Type", "application/json")
        length = len(data) + (100 if status == CUT else 0)
        handler.send_header("Content-Length", str(length))
        for name, value in more.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)
        if status == CUT:
            handler.close_connection = True
