"""Both sides of a call from a media stream of the PBX, as the loop's capture.

    stream ── client's and operator's samples, with their time ──> 20 ms frames ──> JitterBuffer ──> pairs()

If the stream ends while the call goes on both sides are lost, which is a fault and never silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.audio.ipc_framing import Record
from vad_agent.audio.jitter_buffer import JitterBuffer, Lane, Pair
from vad_agent.core.events import Event
from vad_agent.core.frames import FRAME_S, Channel, Framer

SAMPLE_RATE = 8_000
"""Rate of the frames, Hz: that of telephony."""


class MediaCapture:
    """The capture of one operator's calls, one stream after the other."""

    def __init__(self) -> None:
        self._buffer = JitterBuffer()
        self._framers = {channel: Framer(SAMPLE_RATE) for channel in Channel}
        self.lost: set[Channel] = set()
        """Sides whose stream has ended while the call goes on."""

    def connect(self) -> None:
        """A stream begins: what was left of the one before is gone."""
        self._buffer = JitterBuffer()
        self._framers = {channel: Framer(SAMPLE_RATE) for channel in Channel}
        self.lost = set()

    def push(self, channel: Channel, at: float, pcm: bytes) -> None:
        """Take samples of a side: int16 mono at SAMPLE_RATE, any number.

        `at`: when the last of them came (s of `time.perf_counter`).
        """
        frames = self._framers[channel].push(pcm)
        stamp = at - len(frames) * FRAME_S
        for frame in frames:
            self._buffer.push(channel, stamp, frame)
            stamp += FRAME_S

    def skip(self, channel: Channel, frames: int) -> None:
        """So many frames are missing between those that came and those that will."""
        self._framers[channel] = Framer(SAMPLE_RATE)  # what waited for its rest waits no more
        self._buffer.lanes[channel].skip(frames)

    # -- the loop's capture ------------------------------------------------------------------------

    @property
    def slot(self) -> int:
        """The number of the next pair."""
        return self._buffer.slot

    def take(self, channel: Channel, what: Opened | Lost | Record) -> Sequence[Event]:
        """Do nothing: a stream has no devices."""
        return ()

    def overdue(self) -> Sequence[Event]:
        """Nothing: the stream's connection tells its end."""
        return ()

    def pairs(self, now: float) -> Iterator[Pair]:
        """The complete pairs of frames at time `now` (s of `time.perf_counter`)."""
        return self._buffer.pairs(now)

    def slot_at(self, time: float) -> float:
        """The position of a time (s) in the pairs."""
        return self._buffer.slot_at(time)

    def lane(self, channel: Channel) -> Lane:
        """The counters of a side."""
        return self._buffer.lanes[channel]

    def state(self, channel: Channel) -> DeviceState:
        """Lost or open; between two calls nothing is lost."""
        return DeviceState.LOST if channel in self.lost else DeviceState.OPEN
