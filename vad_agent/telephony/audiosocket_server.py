"""Listens for AudioSocket: one connection a call, with both sides in stereo.

    ChanSpy tap            640 bytes each 20 ms: left the client, right what the client hears
    first byte             within HELLO_S; garbage, silence and a peer that does not read are closed

A connection that fails closes alone: no other call is disturbed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

from vad_agent.audio.pcm import split_stereo
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES, samples_per_frame
from vad_agent.errors import MediaError
from vad_agent.telephony.audiosocket import (
    HANGUP_MESSAGE,
    AudioReceived,
    AudioSocketReceiver,
    CallIdentified,
    HangupReceived,
    audio_message,
)
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.media_capture import SAMPLE_RATE

log = logging.getLogger(__name__)

HELLO_S = 5.0
"""Seconds for a connection to say which call it carries."""
MOST_UNSENT = 32_000
"""Bytes that a peer has not read, 2 s of audio: it reads no more."""
BACKLOG = 1024
SILENCE = audio_message(bytes(samples_per_frame(SAMPLE_RATE) * SAMPLE_BYTES))


class AudioSocketConnection(asyncio.Protocol):
    """One connection: the media stream of a tap."""

    def __init__(self, server: AudioSocketServer) -> None:
        self._server = server
        self._receiver = AudioSocketReceiver()
        self._transport: asyncio.Transport | None = None
        self._id: str | None = None
        self._hello: asyncio.TimerHandle | None = None

    # -- asyncio -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no such class
        self._server.connections.add(self)
        self._hello = asyncio.get_running_loop().call_later(HELLO_S, self._unidentified)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; every whole message is taken at once."""
        now = time.perf_counter()
        try:
            for message in self._receiver.receive(data):
                if isinstance(message, AudioReceived):
                    self._audio(message, now)
                elif isinstance(message, CallIdentified):
                    self._identified(str(message.id), now)
                elif isinstance(message, HangupReceived):
                    self.close()
        except MediaError as error:
            self._fail(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self._server.connections.discard(self)
        if self._hello is not None:
            self._hello.cancel()
        id, self._id, self._transport = self._id, None, None
        if id is not None:
            self._server.router.disconnected(id, time.perf_counter())

    # -- messages ----------------------------------------------------------------------------------

    def _identified(self, id: str, now: float) -> None:
        assert self._hello is not None
        self._hello.cancel()
        if self._server.router.connected(id, self, now):
            self._id = id
        else:
            log.warning("a call is refused", extra={"streams": self._server.router.streams})
            if self._transport is not None:
                self._transport.write(HANGUP_MESSAGE)
            self.close()

    def _audio(self, audio: AudioReceived, now: float) -> None:
        if self._id is None:
            return
        if audio.rate != SAMPLE_RATE:
            raise MediaError(f"AudioSocket: expected {SAMPLE_RATE} Hz, got {audio.rate}")
        if len(audio.pcm) % (2 * SAMPLE_BYTES):
            raise MediaError(f"AudioSocket: expected stereo, got {len(audio.pcm)} bytes")
        client, operator = split_stereo(audio.pcm)
        self._server.router.audio(self._id, now, client, operator)

    def _unidentified(self) -> None:
        self._fail("it does not say which call it carries")

    def _fail(self, why: str) -> None:
        self._server.failed += 1
        log.warning("a connection is closed", extra={"why": why})
        self.close()

    # -- the media stream --------------------------------------------------------------------------

    def send(self, pcm: bytes | None) -> None:
        """Send one frame, header and payload in one write; None: silence."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_UNSENT:
            self._server.failed += 1
            log.warning("a connection is closed", extra={"why": "it reads no more"})
            transport.abort()
            return
        transport.write(SILENCE if pcm is None else audio_message(pcm))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


class AudioSocketServer:
    """The listener, and the clock that sends each stream a frame every 20 ms."""

    def __init__(self, router: CallRouter) -> None:
        self.router = router
        self.connections: set[AudioSocketConnection] = set()
        self.failed = 0
        """Connections closed by us, since the start."""
        self.late = 0
        """Frames that the clock sent more than a frame late."""
        self._server: asyncio.Server | None = None
        self._clock: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen. Return the address.

        Raises:
            OSError: the port cannot be taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: AudioSocketConnection(self), host, port, backlog=BACKLOG
        )
        self._clock = asyncio.create_task(self._run())
        bound = self._server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def _run(self) -> None:
        due = time.perf_counter()
        pruned = due
        while True:
            due += FRAME_S
            now = time.perf_counter()
            if now - due > FRAME_S:
                self.late += int((now - due) / FRAME_S)
                due = now  # what is late is not sent at once: the peer would queue it
            await asyncio.sleep(max(0.0, due - now))
            now = time.perf_counter()
            self.router.tick(now)
            if now - pruned >= 1.0:
                pruned = now
                self.router.prune()

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
        if self._clock is not None:
            self._clock.cancel()
        for connection in tuple(self.connections):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()
