"""One connection of `pbx check`'s test call: it sends a tone, and keeps what it receives."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from vad_agent.core.frames import FRAME_S
from vad_agent.errors import MediaError
from vad_agent.telephony.audiosocket import (
    AudioReceived,
    AudioSocketReceiver,
    HangupReceived,
    audio_message,
)

RATE = 8_000
LEVEL = 8_000.0
"""Amplitude of each tone: -12 dBFS."""


def tone(hz: int) -> bytes:
    """A second of the tone, int16; whole periods."""
    time_s = np.arange(RATE) / RATE
    return (LEVEL * np.sin(2 * np.pi * hz * time_s)).astype("<i2").tobytes()


def strength(pcm: bytes, hz: int) -> float:
    """Amplitude of the tone in int16 samples, as a share of LEVEL."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    if not len(samples):
        return 0.0
    wave = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / RATE)
    return float(2 * abs(np.dot(samples, wave)) / len(samples) / LEVEL)


@dataclass(slots=True)
class CheckLeg:
    """One connection: what it sends, and what it has received."""

    sends: bytes
    received: bytearray = field(default_factory=bytearray)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    late_s: float = 0.0
    """Seconds by which the latest frame was late, of those sent and received: this machine is busy."""

    async def serve(
        self,
        receiver: AudioSocketReceiver,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Send in real time and keep what comes, to the end."""
        self.connected.set()
        sending = asyncio.create_task(self._send(writer))
        came: float | None = None
        try:
            while data := await reader.read(65_536):
                before, came = came, time.perf_counter()
                if before is not None:
                    self.late_s = max(self.late_s, came - before - FRAME_S)
                for message in receiver.receive(data):
                    if isinstance(message, AudioReceived):
                        self.received += message.pcm
                    elif isinstance(message, HangupReceived):
                        return
        except (MediaError, OSError):
            return
        finally:
            sending.cancel()
            self.ended.set()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        due, at = time.perf_counter(), 0
        while True:
            writer.write(audio_message(self.sends[at : at + 320]))
            at = (at + 320) % len(self.sends)
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.late_s = max(self.late_s, time.perf_counter() - due)

    def last(self, seconds: float, channel: int | None = None) -> bytes:
        """The last seconds, of one channel of stereo (0: left)."""
        size = round(seconds * RATE) * 2 * (1 if channel is None else 2)
        pcm = bytes(self.received[-size:])
        if channel is None:
            return pcm[: len(pcm) // 2 * 2]
        return np.frombuffer(pcm[: len(pcm) // 4 * 4], "<i2")[channel::2].tobytes()
