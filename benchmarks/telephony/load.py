"""A PBX that places many calls at once: stereo AudioSocket streams in real time; what comes back is read.
A process of its own, so that its cost is not the product's.

    python -m benchmarks.telephony.load PORT CALLS SECONDS SPREAD [RECORDING]

The calls begin one after the other within SPREAD seconds.

Each call begins with a greeting and a silent client, so that one phrase is due in each, and goes on in a
dialogue, each from its own place of the recording (8 kHz, operator left, client right). As at a PBX the
calls' frames are not sent together: each call has its own moment of the 20 ms.

Prints one JSON object: the frames sent and received, the refused calls, how late this process itself was,
and for each call with a phrase its delay: from its beginning to the phrase's first frame.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from pathlib import Path
from typing import cast
from uuid import uuid4

import uvloop

from benchmarks.audio import FIXTURES, load
from vad_agent.audio.pcm import add, to_stereo
from vad_agent.core.frames import FRAME_S, FRAMES_PER_SECOND, SAMPLE_BYTES, samples_per_frame
from vad_agent.telephony.audiosocket import audio_message, identity_message

_HEADER = struct.Struct(">BH")
PHASES = 20
"""Moments within 20 ms at which calls send."""
GREETING_S = 9.0
"""The first phrase is due 7.3 s after the beginning."""
SILENCE = bytes(samples_per_frame(8_000) * SAMPLE_BYTES)
GREETING = FIXTURES / "greeting_silence.flac"


class Stream(asyncio.Protocol):
    """One call."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.frames = 0
        self.refused = False
        self.phrase_at: float | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say which call this is."""
        self.transport = one = cast(asyncio.Transport, transport)
        one.write(identity_message(uuid4()))

    def data_received(self, data: bytes) -> None:
        """Count frames; note the first one that is not silence."""
        data = self._rest + data
        at = 0
        while len(data) - at >= 3:
            kind, length = _HEADER.unpack_from(data, at)
            if len(data) - at - 3 < length:
                break
            payload = data[at + 3 : at + 3 + length]
            at += 3 + length
            if kind == 0:
                self.refused = True
            else:
                self.frames += 1
                if self.phrase_at is None and payload != SILENCE:
                    self.phrase_at = time.perf_counter()
        self._rest = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """The product has closed it."""
        self.transport = None


def _messages(recording: Path | None) -> list[bytes]:
    """The frames of a recording's call."""
    return [
        audio_message(add(to_stereo(client, 2, 1, 0), to_stereo(operator, 2, 0, 1), 2))
        for operator, client in load(recording).pairs
    ]


async def run(
    port: int, calls: int, seconds: float, spread_s: float, recording: Path | None
) -> dict[str, object]:
    """Place the calls."""
    greeting = _messages(GREETING)[: round(GREETING_S * FRAMES_PER_SECOND)]
    dialogue = _messages(recording)
    loop = asyncio.get_running_loop()
    streams: list[Stream] = []
    began: list[float] = []
    sent = late = turn = 0
    start = due = time.perf_counter()
    while time.perf_counter() - start < seconds:
        now = time.perf_counter()
        while len(streams) < calls and (now - start) >= len(streams) * spread_s / calls:
            _, stream = await loop.create_connection(Stream, "127.0.0.1", port)
            streams.append(stream)
            began.append(time.perf_counter())
        turn += 1
        for call in range(turn % PHASES, len(streams), PHASES):
            stream, at = streams[call], began[call]
            if stream.transport is None:
                continue
            number = round((now - at) / FRAME_S)
            if number < len(greeting):
                message = greeting[number]
            else:
                message = dialogue[(number + call * len(dialogue) // calls) % len(dialogue)]
            stream.transport.write(message)
            sent += 1
        due += FRAME_S / PHASES
        left = due - time.perf_counter()
        late += left < -FRAME_S
        await asyncio.sleep(max(0.0, left))
    delays = [
        stream.phrase_at - at
        for stream, at in zip(streams, began, strict=True)
        if stream.phrase_at is not None
    ]
    return {
        "sent": sent,
        "received": sum(stream.frames for stream in streams),
        "refused": sum(stream.refused for stream in streams),
        "late_turns": late,
        "delays": delays,
    }


if __name__ == "__main__":
    port, calls, seconds, spread_s, *recordings = sys.argv[1:]
    path = Path(recordings[0]) if recordings else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(run(int(port), int(calls), float(seconds), float(spread_s), path))
    print(json.dumps(told))
