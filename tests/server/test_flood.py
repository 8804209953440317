"""A desk with few files that is flooded with connections goes on: its API, hooks, pages and headsets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.server.serve_process import ServeProcess
from tests.server.test_serve import TLS, certificate

FILES = 1024
CONNECTIONS = 1500
HOOK = """
dialer = "webhook"
[webhook]
url_file = "url"
secret_file = "secret"
"""


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServeProcess]:
    (tmp_path / "secret").write_text("a-secret-of-the-webhook-that-is-long", encoding="utf-8")
    (tmp_path / "url").write_text("http://127.0.0.1:9/dial", encoding="utf-8")
    if request.param:
        certificate(tmp_path)
    (tmp_path / "desk.toml").write_text(HOOK + (TLS if request.param else ""), encoding="utf-8")
    served = ServeProcess(tmp_path, "--port", 0, "--config", "desk.toml", files=FILES)
    try:
        yield served
    finally:
        assert served.end(2) == 130, served.errors[-30:]


def test_1500_idle_connections_keep_nobody_out_with_1024_files(
    desk: ServeProcess, tmp_path: Path
) -> None:
    url = desk.ready()
    host, port = url.rpartition("/")[2].split(":")
    trust = ssl.create_default_context(cafile=tmp_path / "desk.pem") if "https" in url else None
    http = {"verify": trust or True, "trust_env": False, "timeout": 10}
    bearer = desk.bearer()
    with contextlib.ExitStack() as stack:
        talk = stack.enter_context(
            connect(
                f"{url.replace('http', 'ws', 1)}/api/v1/headsets",
                ssl=trust,
                additional_headers=bearer,
                proxy=None,
            )
        )
        talk.send('{"hello": 1, "operator": "anna"}')
        assert talk.recv(10) == '{"hello": 1}'
        for number in range(CONNECTIONS):
            idle = stack.enter_context(socket.create_connection((host, int(port)), 10))
            if number % 3 == 0:
                with contextlib.suppress(OSError):  # it has made way already
                    idle.sendall(b"GET / HTTP/1.1\r\nHost: ")
            if number % 500 == 499:
                talk.send("{}")
        began = time.perf_counter()
        body = {"reason": "dropped", "phone": "8 912 345-67-89"}
        asked = httpx.post(f"{url}/api/v1/callbacks", json=body, headers=bearer, **http)
        assert asked.status_code == 201
        hook = httpx.post(f"{url}/api/v1/hooks/webhook", content=b"{}", **http)
        assert hook.status_code == 401
        for path in ("/enter", "/static/page.css", "/health", "/ready"):
            assert httpx.get(url + path, **http).status_code in (200, 404), path
        assert httpx.get(f"{url}/metrics", headers=bearer, **http).status_code == 200
        assert time.perf_counter() - began < 20
        talk.send('{"state": {"a": 1}}')
        talk.send("{}")
        talk.ping().wait(10)
    assert not [line for line in desk.errors if "Too many open files" in line]
