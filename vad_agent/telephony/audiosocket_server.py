"""Listens for AudioSocket: one connection a call with both sides in stereo, or one for each side.

    ChanSpy tap            640 bytes each 20 ms: left the client, right what the client hears
    mono legs              320 bytes; UUIDs that differ in the last digit: 0 the client, 1 the operator
    other rates            kinds 0x11 to 0x18, resampled to 8 kHz; what we send stays 8 kHz

Keys (DTMF) are ignored: the script has no use for them, and they may be a card's number.
"""

from __future__ import annotations

import logging
import time

from vad_agent.audio.pcm import split_stereo
from vad_agent.audio.stream_resampler import StreamResampler
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES, Channel, samples_per_frame
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
from vad_agent.telephony.load_admission import LoadAdmission
from vad_agent.telephony.media_capture import SAMPLE_RATE
from vad_agent.telephony.media_connection import MediaConnection, MediaListener
from vad_agent.telephony.router_clock import RouterClock

log = logging.getLogger(__name__)

SILENCE = audio_message(bytes(samples_per_frame(SAMPLE_RATE) * SAMPLE_BYTES))


class AudioSocketConnection(MediaConnection):
    """One connection: the media stream of a tap, or a leg of it."""

    def __init__(self, listener: AudioSocketServer) -> None:
        super().__init__(listener)
        self._receiver = AudioSocketReceiver()
        self._id: str | None = None
        self._side: Channel | None = None
        self._is_stereo: bool | None = None
        self._rate = SAMPLE_RATE
        self._resamplers: tuple[StreamResampler, StreamResampler] | None = None

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
            self.fail(str(error))

    def ended(self) -> None:
        """Leave the call."""
        id, self._id = self._id, None
        if id is not None:
            self.listener.router.disconnected(id, time.perf_counter(), self)

    # -- messages ----------------------------------------------------------------------------------

    def _identified(self, id: str, now: float) -> None:
        self.hello_done()
        router = self.listener.router
        if router.connected(id, self, now):
            self._id = id
        else:
            log.warning("a call is refused", extra={"streams": router.streams})
            self.write(HANGUP_MESSAGE)
            self.close()

    def _audio(self, audio: AudioReceived, now: float) -> None:
        if self._id is None:
            return
        if self._is_stereo is None or audio.rate != self._rate:
            self._begin(self._id, audio)
        if self._is_stereo:
            if len(audio.pcm) % (2 * SAMPLE_BYTES):
                raise MediaError(f"AudioSocket: expected stereo, got {len(audio.pcm)} bytes")
            client, operator = split_stereo(audio.pcm)
            if self._resamplers is not None:
                left, right = self._resamplers
                client, operator = left.push(client), right.push(operator)
            self.listener.router.audio(self._id, now, client, operator)
            return
        pcm = audio.pcm if self._resamplers is None else self._resamplers[0].push(audio.pcm)
        sides = (pcm, None) if self._side is Channel.CLIENT else (None, pcm)
        self.listener.router.audio(self._id, now, *sides)

    def _begin(self, id: str, audio: AudioReceived) -> None:
        """The first frame tells by its length what the stream carries."""
        mono = round(audio.rate * FRAME_S) * SAMPLE_BYTES
        if len(audio.pcm) not in (mono, 2 * mono):
            raise MediaError(
                f"AudioSocket: expected {2 * mono} bytes in stereo or {mono} of one side at "
                f"{audio.rate} Hz, got {len(audio.pcm)}"
            )
        stereo = len(audio.pcm) == 2 * mono
        if self._is_stereo not in (None, stereo):
            raise MediaError("AudioSocket: a stream of both sides cannot become one of one side")
        if not stereo and self._is_stereo is None:
            self._side = self.listener.router.mono(id, self)
            if self._side is None:
                raise MediaError(
                    "AudioSocket: expected stereo, or a UUID that ends in 0 (client) or 1 (operator)"
                )
        self._is_stereo, self._rate = stereo, audio.rate
        if audio.rate != SAMPLE_RATE:
            one, two = (StreamResampler(audio.rate, SAMPLE_RATE) for _ in range(2))
            self._resamplers = one, two
        else:
            self._resamplers = None

    # -- the media stream --------------------------------------------------------------------------

    def send(self, pcm: bytes | None) -> None:
        """Send one frame, header and payload in one write; None: silence."""
        self.write(SILENCE if pcm is None else audio_message(pcm))


class AudioSocketServer(MediaListener):
    """The listener, and the clock that sends each stream a frame every 20 ms. `admission`: told how late
    the clock is.
    """

    protocol = "AudioSocket"

    def __init__(self, router: CallRouter, admission: LoadAdmission | None = None) -> None:
        super().__init__(router, lambda: AudioSocketConnection(self))
        self._clock = RouterClock(router, admission)

    @property
    def late(self) -> int:
        """Frames that the clock sent more than a frame late."""
        return self._clock.late

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen. Return the address.

        Raises:
            OSError: the port cannot be taken.
        """
        address = await super().start(host, port)
        self._clock.start()
        return address

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        self._clock.close()
        await super().close()
