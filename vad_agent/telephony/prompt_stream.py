"""Prompts into a media stream: one frame each 20 ms, silence where nothing is said.

    play(pcm) ──> queue of frames ──next_frame(), each 20 ms──> the stream ──latency──> the client hears it
                                        └── first, last frame ──> reports(), at the time of their sound

The PBX mixes what we send into what the client hears, as long as frames come: a stream that pauses is
a fault in several versions of Asterisk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.audio.ipc_framing import Record
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES, samples_per_frame
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PlaybackReport, resample

LATENCY_S = 0.06
"""Seconds from our write to the client's ear: a frame that waits to be mixed, a packet, the telephone's
jitter buffer.
"""


class PromptStream:
    """The prompts of one stream. `rate`: Hz of the frames."""

    def __init__(self, rate: int, *, latency_s: float = LATENCY_S) -> None:
        self.latency_s = latency_s
        self.state = DeviceState.LOST
        """Open while a stream is connected."""
        self._rate = rate
        self._size = samples_per_frame(rate) * SAMPLE_BYTES
        self._silence = bytes(self._size)
        self._frames: deque[bytes] = deque()
        self._number = 0
        self._fresh = False
        self._reports: list[PlaybackReport] = []

    # -- the stream --------------------------------------------------------------------------------

    def next_frame(self, now: float) -> bytes:
        """The frame to send at time `now` (s of `time.perf_counter`)."""
        if not self._frames:
            return self._silence
        frame = self._frames.popleft()
        heard_at = now + self.latency_s
        if self._fresh:
            self._fresh = False
            self._reports.append(PlaybackReport(self._number, Mark.STARTED, heard_at))
        if not self._frames:
            self._reports.append(PlaybackReport(self._number, Mark.ENDED, heard_at + FRAME_S))
        return frame

    def reports(self) -> Sequence[PlaybackReport]:
        """What has begun and ended since the last call."""
        told, self._reports = self._reports, []
        return told

    # -- the prompt player's output ----------------------------------------------------------------

    def watch(self) -> None:
        """Do nothing: there is no process that could hang."""

    def play(self, pcm: bytes) -> int | None:
        """Begin a phrase (int16 mono at PHRASE_HZ) with the next frame. None: no stream."""
        if self.state is not DeviceState.OPEN:
            return None
        sound = resample(pcm, self._rate)
        sound += bytes(-len(sound) % self._size)
        self._frames = deque(sound[at : at + self._size] for at in range(0, len(sound), self._size))
        self._fresh = True
        self._number += 1
        return self._number

    def stop(self) -> None:
        """Send silence from the next frame on."""
        self._frames.clear()
        self._fresh = False

    def take(self, what: Opened | Lost | Record | PlaybackReport) -> PlaybackReport | None:
        """Take a report: of the sound, or of the connection, which changes the state."""
        if isinstance(what, PlaybackReport):
            return what
        if isinstance(what, Opened):
            self.state = DeviceState.OPEN
        elif isinstance(what, Lost):
            self.state = DeviceState.LOST
            self.stop()
        return None

    def close(self) -> None:
        """Nothing more is played."""
        self.take(Lost("closed", first=False))
