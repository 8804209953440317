"""An Asterisk as its REST interface shows it: HTTP and a WebSocket of events on loopback, one port.

server.ring(id), server.answer(id), server.hang_up(id, cause)   what the telephones do, told as events
server.say(event), server.send("text")                          any event, or what is none
server.fails("POST", "/ari/channels", HANG)                     the next such requests fail so
server.cut_events(), server.deaf = True                         the WebSocket breaks; is not taken

What is asked of it is in `taken`; whom it has rung, in `rung`. `answer` does what Asterisk does: the channel
is up, and enters the application.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Opcode
from websockets.http11 import Request as UpgradeRequest
from websockets.server import ServerProtocol

from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG, ReceivedRequest

QUIET = logging.getLogger(__name__)
QUIET.setLevel(logging.WARNING)  # what it says must not be found in the dialer's log
USER, PASSWORD = "desk", "ari-s3cret"
LATE = "late"  # it is done, and no answer comes: as HANG, but the request has taken effect


class AriServer:
    def __init__(self) -> None:
        self.taken: list[ReceivedRequest] = []
        self.rung: list[str] = []
        self.channels: dict[str, dict[str, Any]] = {}
        self.continued: list[tuple[str, str, str]] = []
        self.bridges: dict[str, list[str]] = {}
        self.globals: dict[str, str] = {}
        self.variables: dict[tuple[str, str], str] = {}
        self.subscribed: list[str] = []
        self.deaf = False
        self.connections = 0
        self.changed = threading.Condition(threading.RLock())
        self._faults: dict[tuple[str, str], list[int | str]] = defaultdict(list)
        self._over = threading.Event()
        self._sockets: list[tuple[ServerProtocol, socket.socket]] = []
        self._open: set[socket.socket] = set()
        ari = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else every answer waits 40 ms for an ACK

            def setup(self) -> None:
                super().setup()
                ari._open.add(self.connection)

            def finish(self) -> None:
                ari._open.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def _serve(self) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    ari._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[AriServer]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self.cut_events()
            self._server.shutdown()
            for connection in list(self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._server.server_close()
            self._thread.join()

    # -- what tests do -----------------------------------------------------------------------------

    def fails(self, method: str, path: str, *faults: int | str) -> None:
        self._faults[method, path].extend(faults)

    def until(self, what: Any, limit_s: float = 5.0) -> None:
        """Wait until it holds; a failure of the test where it does not come to."""
        with self.changed:
            assert self.changed.wait_for(what, limit_s), "it did not come to that"

    def requests(self, method: str, path: str) -> list[ReceivedRequest]:
        return [one for one in list(self.taken) if (one.method, one.path) == (method, path)]

    def until_asked(self, method: str, path: str, times: int = 1) -> list[ReceivedRequest]:
        self.until(lambda: len(self.requests(method, path)) >= times)
        return self.requests(method, path)

    def until_there(self, channel: str) -> None:
        self.until(lambda: channel in self.channels)

    def ring(self, channel: str) -> None:
        self._state(channel, "Ringing")

    def answer(self, channel: str) -> None:
        self._state(channel, "Up")
        self.enter(channel)

    def enter(self, channel: str) -> None:
        told = self.channels[channel]
        self.say({"type": "StasisStart", "args": told["args"], "channel": self._shown(channel)})

    def hang_up(self, channel: str, cause: int = 16, *, told: bool = True) -> None:
        with self.changed:
            shown = self._shown(channel)
            self.channels.pop(channel, None)
            self.changed.notify_all()
        if told:
            self.say(
                {
                    "type": "ChannelDestroyed",
                    "cause": cause,
                    "cause_txt": "as the network said",
                    "channel": shown,
                }
            )

    def variable(self, channel: str, name: str, value: str) -> None:
        self.variables[channel, name] = value
        self.say(
            {
                "type": "ChannelVarset",
                "variable": name,
                "value": value,
                "channel": self._shown(channel),
            }
        )

    def say(self, event: dict[str, Any]) -> None:
        self.send(
            json.dumps(
                {"application": "vad-agent", "timestamp": "2026-02-03T04:05:06.789+0000"} | event
            )
        )

    def send(self, text: str | bytes) -> None:
        with self.changed:
            for protocol, connection in self._sockets:
                if isinstance(text, str):
                    protocol.send_text(text.encode())
                else:
                    protocol.send_binary(text)
                self._flush(protocol, connection)

    def cut_events(self) -> None:
        """The connection goes with no farewell."""
        with self.changed:
            for _, connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    # -- the interface -----------------------------------------------------------------------------

    def _state(self, channel: str, state: str) -> None:
        self.channels[channel]["state"] = state
        self.say({"type": "ChannelStateChange", "channel": self._shown(channel)})

    def _shown(self, channel: str) -> dict[str, Any]:
        state = self.channels.get(channel, {"state": "Down"})["state"]
        return {"id": channel, "name": f"PJSIP/{channel}", "state": state, "language": "ru"}

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self.changed:
            self.taken.append(ReceivedRequest(handler.command, url.path, url.query, headers, body))
            faults = self._faults[handler.command, url.path]
            fault = faults.pop(0) if faults else None
            self.changed.notify_all()
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        known = f"{USER}:{PASSWORD}".encode()
        if headers.get("authorization") != f"Basic {base64.b64encode(known).decode()}":
            return self._reply(handler, 401, {"message": "Authentication required"})
        if isinstance(fault, int):
            return self._reply(handler, fault, {"message": "set by the test"})
        if fault == HANG:
            self._over.wait(30)
        if fault in (HANG, DROP):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return None
        if url.path == "/ari/events":
            return self._events(handler, asked)
        with self.changed:
            asked |= json.loads(body) if body else {}
            status, answer = self._do(handler.command, url.path, asked)
            self.changed.notify_all()
        if fault == LATE:
            self._over.wait(30)
            handler.close_connection = True
            return None
        return self._reply(handler, status, answer, fault)

    def _do(self, method: str, path: str, asked: dict[str, Any]) -> tuple[int, Any]:
        match method, path.removeprefix("/ari/").split("/"):
            case "POST", ["channels"]:
                return self._originate(asked)
            case "GET", ["channels", channel] if channel in self.channels:
                return 200, self._shown(channel)
            case "DELETE", ["channels", channel] if channel in self.channels:
                self.hang_up(channel)
                return 204, None
            case "POST", ["channels", channel, "continue"] if channel in self.channels:
                self.continued.append((channel, asked["context"], asked["extension"]))
                return 204, None
            case "GET", ["channels", channel, "variable"]:
                value = self.variables.get((channel, asked["variable"]))
                return (200, {"value": value}) if value else (404, {"message": "not found"})
            case "GET", ["asterisk", "variable"]:
                return 200, {"value": self.globals.get(asked["variable"], "")}
            case "POST", ["asterisk", "variable"]:
                assert re.fullmatch(r"\w+", asked["variable"])
                if "value" in asked:
                    self.globals[asked["variable"]] = asked["value"]
                else:
                    self.globals.pop(asked["variable"], None)
                return 204, None
            case "POST", ["bridges", bridge]:
                self.bridges.setdefault(bridge, [])
                return 200, {"id": bridge, "bridge_type": asked.get("type", "mixing")}
            case "POST", ["bridges", bridge, "addChannel"] if bridge in self.bridges:
                given = asked["channel"]  # of a body, a text with a comma is one channel's id
                channels = given if isinstance(given, list) else [given]
                if not set(channels) <= set(self.channels):
                    return 400, {"message": "Channel not found"}
                self.bridges[bridge] = channels
                return 204, None
            case "DELETE", ["bridges", bridge] if bridge in self.bridges:
                del self.bridges[bridge]
                return 204, None
            case "POST", ["applications", _, "subscription"]:
                self.subscribed.append(asked["eventSource"])
                return 200, {"name": "vad-agent"}
        return 404, {"message": "not found"}

    def _originate(self, asked: dict[str, Any]) -> tuple[int, Any]:
        channel = asked["channelId"]
        if channel in self.channels:
            return 409, {"message": "Channel with given unique ID already exists"}
        self.channels[channel] = {"state": "Down", "args": asked["appArgs"].split(",")}
        self.rung.append(asked["endpoint"])
        self.say({"type": "ChannelCreated", "channel": self._shown(channel)})
        return 200, self._shown(channel)

    def _reply(
        self, handler: BaseHTTPRequestHandler, status: int, answer: Any, fault: str | None = None
    ) -> None:
        data = b"<html>no" if fault == GARBAGE else json.dumps(answer).encode()
        data = b"" if status == 204 else data
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data) + (100 if fault == CUT else 0)))
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = fault == CUT

    def _events(self, handler: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        if self.deaf or "app" not in asked:
            return self._reply(handler, 503 if self.deaf else 400, {"message": "not now"})
        protocol = ServerProtocol(logger=QUIET)
        lines = [handler.requestline, *(f"{n}: {v}" for n, v in handler.headers.items()), "", ""]
        protocol.receive_data("\r\n".join(lines).encode())
        (request,) = protocol.events_received()
        assert isinstance(request, UpgradeRequest)
        protocol.send_response(protocol.accept(request))
        mine = (protocol, handler.connection)
        with self.changed:
            self._flush(*mine)
            self._sockets.append(mine)
            self.connections += 1
            self.changed.notify_all()
        with contextlib.suppress(OSError):
            while data := handler.connection.recv(4096):
                with self.changed:
                    protocol.receive_data(data)
                    closed = any(
                        frame.opcode is Opcode.CLOSE for frame in protocol.events_received()
                    )
                    self._flush(*mine)
                if closed:
                    break
        with self.changed:
            self._sockets.remove(mine)
            self.changed.notify_all()
        handler.close_connection = True
        return None

    def _flush(self, protocol: ServerProtocol, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for data in protocol.data_to_send():
                if data:
                    connection.sendall(data)
