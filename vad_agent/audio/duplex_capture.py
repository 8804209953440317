"""Captures both sides of a call as pairs of frames, across losses of their devices.

    worker ─records─> inbox ─> take(): 16 kHz mono frames, stamped ─> JitterBuffer ─> pairs()
                                     └─> lost, back: events for the session

Everything except the workers runs in the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vad_agent.audio.device_recovery import AudioWorker, DeviceState, Lost, OnReport, Opened
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.ipc_framing import Flag, Record
from vad_agent.audio.jitter_buffer import JitterBuffer, Lane, Pair
from vad_agent.audio.pcm import to_mono
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES, Channel, Framer, samples_per_frame

SAMPLE_RATE = 16_000
"""Rate of the frames, Hz; the server, the device or this module converts to it."""
QUALITY, QUALITY_DELAY_S = "LQ", 0.0125
FRAME_BYTES = samples_per_frame(SAMPLE_RATE) * SAMPLE_BYTES
CAPTURE = "vad_agent.audio.capture_worker"
OPENED_S = 4.0
"""Seconds at the start for a device to open and give its first sound (an idle monitor needs 2 s).

After that it counts as lost until it does: missing sound is not silence.
"""


class Converter:
    """Converts a device's blocks to mono frames at SAMPLE_RATE, each with its time stamp."""

    def __init__(self, rate: int, channels: int) -> None:
        self.plain = rate == SAMPLE_RATE and channels == 1
        """Blocks already have a frame's format."""
        self._rate = rate
        self._channels = channels
        self._framer = Framer(SAMPLE_RATE)
        self._resampler: Any = None
        if rate != SAMPLE_RATE:
            import soxr  # type: ignore[import-untyped]

            self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "int16", QUALITY)

    def convert(self, stamp: float, samples: bytes) -> Iterator[tuple[float, bytes]]:
        """Yield (time stamp in seconds, frame) for each frame that these samples complete."""
        if self._channels == 2:
            samples = to_mono(samples, SAMPLE_BYTES, 0.5, 0.5)
        if self._resampler is not None:
            import numpy

            stamp -= QUALITY_DELAY_S
            chunk = self._resampler.resample_chunk(numpy.frombuffer(samples, "<i2"))
            samples = chunk.tobytes()
        stamp -= self._framer.rest_bytes / SAMPLE_BYTES / SAMPLE_RATE
        for number, frame in enumerate(self._framer.push(samples)):
            yield stamp + number * FRAME_S, frame


class CapturedSide:
    """The device of one side."""

    def __init__(self, channel: Channel, device: Device, on_report: OnReport) -> None:
        self.channel = channel
        self.role = DeviceRole(channel.value)
        self.device = device
        self.state = DeviceState.OPENING
        self.pid: int | None = None
        self.latency_s = 0.0
        self.converter: Converter | None = None
        self.child = AudioWorker(CAPTURE, self._spec(), on_report)

    def _spec(self) -> dict[str, Any]:
        return {**self.device.spec(), "role": self.role.value}

    def move(self, device: Device) -> None:
        """Replace the device by another one."""
        self.device = device
        self.child.move(self._spec())


class DuplexCapture:
    """Two capture devices. The workers' threads call `put(channel, what)`.

    The caller passes its arguments to `take`, in order, in the loop's thread.
    """

    def __init__(
        self,
        operator: Device,
        client: Device,
        put: Callable[[Channel, Opened | Lost | Record], None],
    ) -> None:
        self._jitter_buffer = JitterBuffer()
        devices = {Channel.OPERATOR: operator, Channel.CLIENT: client}
        self._sides = {
            channel: CapturedSide(channel, device, lambda what, channel=channel: put(channel, what))  # type: ignore[misc]
            for channel, device in devices.items()
        }

    def take(self, channel: Channel, what: Opened | Lost | Record) -> Sequence[Event]:
        """Take a worker's report. Return the resulting events: a device is lost, or is back."""
        side, lane = self._sides[channel], self._jitter_buffer.lanes[channel]
        if isinstance(what, Opened):
            side.pid, side.latency_s = what.pid, what.latency_s
            side.converter = Converter(what.rate, what.channels)
            return ()
        if isinstance(what, Lost):
            side.pid = None
            lane.restart()
            return self._lost(side)
        if side.converter is None:
            return ()
        lost = bool(what.flags & (Flag.OVERFLOW | Flag.DROPPED))
        if side.converter.plain and len(what.payload) == FRAME_BYTES:
            self._jitter_buffer.push(
                channel, what.stamp, what.payload, lost=lost
            )  # the format of most servers
        else:
            for stamp, frame in side.converter.convert(what.stamp, what.payload):
                self._jitter_buffer.push(channel, stamp, frame, lost=lost)
                lost = False
        if side.state is DeviceState.OPEN:
            return ()
        before, side.state = side.state, DeviceState.OPEN
        return (_event(EventKind.DEVICE_BACK, channel),) if before is DeviceState.LOST else ()

    def overdue(self) -> Sequence[Event]:
        """Events for devices that have become silent or cannot be opened without a report."""
        events: list[Event] = []
        for side in self._sides.values():
            side.child.watch()
            if side.state is DeviceState.OPEN and not self._jitter_buffer.lanes[side.channel].alive:
                side.child.restart()
                events += self._lost(side)
            elif side.state is DeviceState.OPENING and side.child.silent_s > OPENED_S:
                events += self._lost(side)
        return events

    def _lost(self, side: CapturedSide) -> Sequence[Event]:
        if side.state is DeviceState.LOST:
            return ()
        side.state = DeviceState.LOST
        return (_event(EventKind.DEVICE_LOST, side.channel),)

    def pairs(self, now: float) -> Iterator[Pair]:
        """The complete pairs of frames at time `now` (s of `time.perf_counter`)."""
        return self._jitter_buffer.pairs(now)

    def slot_at(self, time: float) -> float:
        """The position of a time (s) in the pairs; see `JitterBuffer.slot_at`."""
        return self._jitter_buffer.slot_at(time)

    @property
    def slot(self) -> int:
        """The number of the next pair."""
        return self._jitter_buffer.slot

    def lane(self, channel: Channel) -> Lane:
        """The counters of a side."""
        return self._jitter_buffer.lanes[channel]

    def state(self, channel: Channel) -> DeviceState:
        """The state of the side's device."""
        return self._sides[channel].state

    @property
    def sides(self) -> Sequence[CapturedSide]:
        """Both devices."""
        return tuple(self._sides.values())

    def close(self) -> None:
        """Close both devices."""
        for side in self._sides.values():
            side.child.close()


def _event(kind: EventKind, channel: Channel) -> Event:
    return Event(kind, party=channel.value)
