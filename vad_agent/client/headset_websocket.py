"""One WebSocket connection of a headset to the desk. The messages: `headset_protocol.py`."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from vad_agent.client.discovery import DeskEndpoint, tls_context
from vad_agent.client.headset_protocol import MOST_BYTES, PATH, VERSION, HeadsetHello
from vad_agent.errors import extra

with extra("callbacks", "the desk's panel"):
    from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
    from websockets.sync.client import ClientConnection, connect

WIRE = logging.getLogger(f"{__name__}.wire")
WIRE.setLevel(logging.WARNING)  # its debug log contains the token
WIRE.addHandler(logging.NullHandler())  # else it would write to the screen

API = "/api/v1"
OPEN_LIMIT_S = 5.0
CLOSE_LIMIT_S = 0.4
STUCK_S = 5.0
"""Seconds: a message that the network has not taken by then ends the connection."""
ALIVE_S = 2.5
"""Seconds between two pings, and twice that for the answer: detects a disconnected cable."""
NOT_LET_IN = (401, 403)


class ConnectionLost(Exception):
    """The desk is not there, or not any more. `code`: why it ended the connection; None: it did not."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


class NotAuthorized(Exception):
    """The desk does not accept the token."""


class HeadsetConnection:
    """An open connection: one thread sends, another one receives."""

    def __init__(self, connection: ClientConnection, place: str) -> None:
        self._connection = connection
        self._place = place

    def send(self, text: str) -> None:
        """Send a message.

        Raises:
            ConnectionLost: the connection is lost.
        """
        try:
            self._connection.send(text)
        except ConnectionClosed as error:
            raise self._lost(error) from error

    def receive(self, limit_s: float | None = None) -> dict[str, Any]:
        """The next message; one that cannot be parsed is empty.

        Raises:
            ConnectionLost: the connection is lost, or no message came within `limit_s` seconds.
        """
        try:
            message = json.loads(self._connection.recv(limit_s))
        except ConnectionClosed as error:
            raise self._lost(error) from error
        except TimeoutError as error:
            raise ConnectionLost(f"{self._place}: TimeoutError") from error
        except (ValueError, RecursionError):
            return {}
        return message if isinstance(message, dict) else {}

    def close(self) -> None:
        """Close the connection, waiting briefly for the answer."""
        self._connection.close()

    def cut(self) -> None:
        """End it at once, even if a thread is blocked in it; any thread may call this."""
        with contextlib.suppress(OSError):  # TLS would discard only its layer
            socket.socket.shutdown(self._connection.socket, socket.SHUT_RDWR)

    def _lost(self, error: ConnectionClosed) -> ConnectionLost:
        code = None if error.rcvd is None else error.rcvd.code
        return ConnectionLost(f"{self._place}: {code or 'ConnectionError'}", code)


@contextlib.contextmanager
def open_connection(
    where: DeskEndpoint, operator: str, instance: str
) -> Iterator[HeadsetConnection]:
    """A connection that has sent its hello; the caller receives the answer.

    Raises:
        ConnectionLost: there is none.
        NotAuthorized: the token is wrong.
    """
    scheme, _, rest = where.url.rstrip("/").partition("://")
    secure = scheme.lower() == "https"
    place = urlsplit(where.url).netloc
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(
                connect(
                    f"{'wss' if secure else 'ws'}://{rest}{API}{PATH}",
                    ssl=tls_context(where.url, where.certificate) if secure else None,
                    additional_headers={"Authorization": f"Bearer {where.token}"},
                    proxy=None,
                    compression=None,  # messages are short, and compression would delay each
                    open_timeout=OPEN_LIMIT_S,
                    close_timeout=CLOSE_LIMIT_S,
                    ping_interval=ALIVE_S,
                    ping_timeout=2 * ALIVE_S,
                    max_size=MOST_BYTES,
                    logger=WIRE,
                )
            )
            connection.socket.settimeout(STUCK_S)
        except InvalidStatus as error:
            if (status := error.response.status_code) in NOT_LET_IN:
                raise NotAuthorized from error
            raise ConnectionLost(f"{place}: HTTP {status}") from error
        except (OSError, EOFError, ValueError, WebSocketException) as error:
            raise ConnectionLost(f"{place}: {type(error).__name__}") from error
        wire = HeadsetConnection(connection, place)
        hello = HeadsetHello(hello=VERSION, operator=operator, instance=instance)
        wire.send(json.dumps(hello, ensure_ascii=False))
        yield wire
