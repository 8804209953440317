"""Listens for media over WebSocket: the dialect is told by a connection's first message.

    bytes ──> ServerProtocol (websockets) ── messages ──> MediaDialect ── events ──> CallRouter
    bytes <── ServerProtocol <────────────── messages <── MediaDialect <── prompts ─────┘

TLS ends at a reverse proxy in front. A token in the address (…/TOKEN?call=…) keeps strangers out.
"""

from __future__ import annotations

import http
import logging
import secrets
import time
from collections.abc import Sequence

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from vad_agent.errors import MediaError
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.dialect_recognition import parse_target, recognize_dialect
from vad_agent.telephony.media_connection import MediaConnection, MediaListener
from vad_agent.telephony.media_dialect import (
    MarkReached,
    MediaDialect,
    MediaEvent,
    Message,
    SamplesReceived,
    StreamEnded,
    StreamParameters,
    StreamStarted,
)
from vad_agent.telephony.prompt_stream import MediaStream

log = logging.getLogger(__name__)

MOST_MESSAGE = 1 << 18
"""Bytes of a message: 24 s of u-law in base64."""
MOST_UNSENT = 1 << 19
"""Bytes that a peer has not read: 4 s of sound are sent ahead, at 48 kHz or in base64."""

_quiet = logging.getLogger(f"{__name__}.protocol")
_quiet.setLevel(logging.CRITICAL)  # each peer's fault is logged here, once


def _first(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Whatever it is called (`media`, `audio.drachtio.org`), the first message tells the dialect."""
    return offered[0] if offered else None


class WebSocketMediaConnection(MediaConnection):
    """One connection. Its stream is made when the dialect is known."""

    most_unsent = MOST_UNSENT

    def __init__(self, listener: WebSocketServer) -> None:
        super().__init__(listener)
        self._token = listener.token
        self._protocol = ServerProtocol(
            select_subprotocol=_first, max_size=MOST_MESSAGE, logger=_quiet
        )
        self._parts: list[bytes] = []
        self._is_text = False
        self._parameters = StreamParameters()
        self._dialect: MediaDialect | None = None
        self._stream: MediaStream | None = None
        self._id: str | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes have come; every whole message is taken at once."""
        if not self.is_open:
            return
        now = time.perf_counter()
        protocol = self._protocol
        protocol.receive_data(data)
        try:
            for event in protocol.events_received():
                if isinstance(event, Request):
                    self._accept(event)
                elif isinstance(event, Frame):
                    self._frame(event, now)
            if (problem := protocol.handshake_exc or protocol.parser_exc) is not None:
                raise MediaError(f"WebSocket: {problem}")
        except MediaError as error:
            self._flush()
            self.fail(str(error))
            return
        self._flush()
        if protocol.close_expected():
            self.close()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:  # an empty one is the end of the stream, which `close` makes
                self.write(data)

    def ended(self) -> None:
        """Leave the call."""
        id, self._id = self._id, None
        if id is not None:
            self.listener.router.disconnected(id, time.perf_counter(), self._stream)

    # -- messages ----------------------------------------------------------------------------------

    def _accept(self, request: Request) -> None:
        path, self._parameters = parse_target(request.path)
        given = path.rpartition("/")[2]
        if self._token and not secrets.compare_digest(given.encode(), self._token.encode()):
            refused = self._protocol.reject(http.HTTPStatus.FORBIDDEN, "wrong token\n")
            self._protocol.send_response(refused)
            raise MediaError("WebSocket: expected the token as the last part of the address")
        self._protocol.send_response(self._protocol.accept(request))

    def _frame(self, frame: Frame, now: float) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
            self._parts = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT:
            self._parts.append(bytes(frame.data))
        else:
            return
        if not frame.fin:
            return
        data, self._parts = b"".join(self._parts), []
        message: Message = data
        if self._is_text:
            try:
                message = data.decode()
            except UnicodeDecodeError:
                raise MediaError("WebSocket: a text that is not UTF-8") from None
        self._message(message, now)

    def _message(self, message: Message, now: float) -> None:
        if self._dialect is None:
            self._dialect = recognize_dialect(self._parameters, message)
        for event in self._dialect.receive(message):
            self._take(event, now)

    def _take(self, event: MediaEvent, now: float) -> None:
        router = self.listener.router
        if isinstance(event, StreamStarted):
            self._started(event, now)
        elif self._id is None:
            return  # refused
        elif isinstance(event, SamplesReceived):
            router.audio(self._id, now, event.client, event.operator)
        elif isinstance(event, MarkReached):
            assert self._dialect is not None
            router.marked(self._id, event.number, event.mark, now + self._dialect.lag_s)
        elif isinstance(event, StreamEnded):
            self.close()

    def _started(self, told: StreamStarted, now: float) -> None:
        assert self._dialect is not None
        self.hello_done()
        kind = PacingWebSocketStream if self._dialect.paces else WebSocketStream
        self._stream = kind(self, self._dialect)
        if self.listener.router.connected(
            told.call,
            self._stream,
            now,
            side=told.side,
            two_way=told.two_way,
            operator=told.operator,
            phone=told.phone,
        ):
            self._id = told.call
        else:
            log.warning("a call is refused", extra={"streams": self.listener.router.streams})
            self.close()

    # -- what the streams send ---------------------------------------------------------------------

    def send_messages(self, messages: Sequence[Message]) -> None:
        """Send these, each as one message."""
        if self._protocol.state is not OPEN or not self.is_open:
            return
        for message in messages:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        self._flush()

    def close(self) -> None:
        """Say goodbye, and end the connection."""
        try:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        except InvalidState:
            pass  # it was not open, or is closing
        super().close()


class WebSocketStream:
    """The stream of a connection whose peer plays what comes at once, or nothing."""

    def __init__(self, connection: WebSocketMediaConnection, dialect: MediaDialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def send(self, pcm: bytes | None) -> None:
        """Send one frame; None: these peers need no silence."""
        if pcm is not None:
            self._connection.send_messages(self._dialect.audio(pcm))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class PacingWebSocketStream(WebSocketStream):
    """The stream of a connection whose peer has a queue."""

    @property
    def marks_begin(self) -> bool:
        """A mark in an empty queue comes back at once."""
        return self._dialect.marks_begin

    def send(self, pcm: bytes | None) -> None:
        """Do nothing: the peer paces."""

    def send_ahead(self, pcm: bytes) -> None:
        """Append sound to the peer's queue."""
        self._connection.send_messages(self._dialect.audio(pcm))

    def mark(self, number: int, mark: Mark) -> None:
        """Ask the peer to say when it has played what is in its queue now."""
        self._connection.send_messages(self._dialect.mark(number, mark))

    def clear(self) -> None:
        """Empty the peer's queue at once."""
        self._connection.send_messages(self._dialect.clear())


class WebSocketServer(MediaListener):
    """The listener. `token`: expected in every address; empty: none. The router has its clock elsewhere."""

    protocol = "WebSocket"

    def __init__(self, router: CallRouter, *, token: str = "") -> None:
        super().__init__(router, lambda: WebSocketMediaConnection(self))
        self.token = token
