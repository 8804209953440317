"""A panel on a real socket, and a browser's part of it: who has come in, and what a page follows."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from vad_agent.client.headset_protocol import ControlMessage
from vad_agent.headset.status import Status
from vad_agent.headset.status_publisher import StatusPublisher
from vad_agent.web.authentication.operator_token_auth import TokenAuth
from vad_agent.web.panel_server import PanelServer

LIMIT_S = 5.0
State = dict[str, Any]


def quick(url: str, **more: Any) -> httpx.Client:
    """Without the authorities of TLS, which take longer than all else here."""
    return httpx.Client(**{"base_url": url, "timeout": 20, "verify": False} | more)


class PanelClient:
    """A browser that has come in by the link."""

    def __init__(self, link: str) -> None:
        self.url = link.partition("/enter")[0]
        self.client = quick(self.url)
        entered, shown = self.client.get(link), self.client.get("/")
        found = re.search(r'name="csrf" content="(\w+)"', shown.text)
        if entered.status_code != 303 or found is None:
            self.client.close()
            raise AssertionError(entered.text + shown.text)
        self.headers = {"X-CSRF-Token": found[1], "Origin": self.url}

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers=self.headers | headers)

    def send(self, **what: Any) -> httpx.Response:
        return self.post("/panel/send", what)


class Following:
    """The stream of a page, read in a thread: `state` is all that it was told."""

    def __init__(self, page: PanelClient) -> None:
        self.state: State = {}
        self.told: list[tuple[float, State]] = []
        self.ended = threading.Event()
        self._socket: socket.socket | None = None
        self._client = quick(page.url, cookies=page.client.cookies, timeout=20)
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Following:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away; the thread that reads is woken first."""
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        self.ended.wait(LIMIT_S)
        self._client.close()

    def _read(self) -> None:
        with (
            contextlib.suppress(httpx.HTTPError, OSError),
            self._client.stream("GET", "/panel/stream") as answer,
        ):
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self._take(json.loads(line.removeprefix("data: ")))
        with self._news:
            self.ended.set()
            self._news.notify_all()

    def _take(self, told: State) -> None:
        with self._news:
            self.told.append((time.perf_counter(), told))
            self.state = self.state | told
            self._news.notify_all()

    def until(self, true: Callable[[State], Any], limit_s: float = LIMIT_S) -> State:
        """The state once this holds."""
        with self._news:
            held = self._news.wait_for(lambda: true(self.state) or self.ended.is_set(), limit_s)
            assert held, self.state
            assert true(self.state), self.state
            return self.state


class OnePanel:
    """A panel, its headset's status and the keys that came."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.panel = PanelServer("ivan", port=0, folder=folder, **more)
        self.status = Status()
        self.sent: list[ControlMessage] = []
        self._clients: list[httpx.Client] = []
        self._publisher: StatusPublisher | None = None
        self.panel.start()

    @property
    def authenticator(self) -> TokenAuth:
        return self.panel.authenticator

    def headset(self) -> Callable[[], None]:
        panel = self.panel
        self._publisher = StatusPublisher(
            panel.broker, panel.operator, self.status, self.sent.append
        )
        self._publisher.start()
        return self._publisher.changed

    def page(self) -> PanelClient:
        page = PanelClient(self.authenticator.link)
        self._clients.append(page.client)
        return page

    def stranger(self) -> httpx.Client:
        client = quick(self.authenticator.address.url)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self._publisher is not None:
            self._publisher.stop()
        self.panel.close()


@contextlib.contextmanager
def one_panel(folder: Path, **more: Any) -> Iterator[OnePanel]:
    one = OnePanel(folder, **more)
    try:
        yield one
    finally:
        one.close()
