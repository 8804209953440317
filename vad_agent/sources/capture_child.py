"""A process that captures one device: blocks of 20 ms, each stamped with the time its first sample was
heard, as records on stdout. The callback copies, stamps and hands over, nothing else.

    python -m vad_agent.sources.capture_child '{"backend": …, "name": …, "host": …, "role": …}'
"""

from __future__ import annotations

import os
import queue
import time
from typing import Any

from vad_agent.sources.child_device import (
    FIRST_S,
    FRAME_S,
    LONGEST_LATENCY_S,
    LOST_S,
    OUT,
    NoDevice,
    best_format,
    parent_stdin,
    portaudio,
    run,
    sane,
    settings_for,
)
from vad_agent.sources.child_records import Flag, write_json, write_record

WANTED_HZ = 16_000
RATES = (WANTED_HZ, 48_000, 32_000, 44_100)
MOST_WAITING = 250
"""Blocks that wait for the parent: 5 s; older ones stay, newer ones are lost and counted."""

SETTLING = 75
"""Blocks of a stream's beginning in which PulseAudio still tells of a latency that is not there."""


class Handover:
    """Blocks on their way from the callback to the pipe: bounded, nothing is lost without a flag."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[float, int, bytes] | None] = queue.SimpleQueue()
        self._dropped = 0

    def put(self, stamp: float, flags: int, samples: bytes) -> None:
        """From the callback: no lock that anybody holds for long, no wait."""
        if self._queue.qsize() >= MOST_WAITING:
            self._dropped = Flag.DROPPED
            return
        if self._dropped:
            flags |= self._dropped
            self._dropped = 0
        self._queue.put((stamp, flags, samples))

    def end(self) -> None:
        """The stream has ended by itself."""
        self._queue.put(None)

    def write_all(self) -> None:
        """Write blocks as they come, until none comes any more."""
        patience = FIRST_S
        while True:
            try:
                block = self._queue.get(timeout=patience)
            except queue.Empty:
                return
            if block is None:
                return
            patience = LOST_S
            write_record(OUT, *block)


def main(spec: dict[str, Any]) -> None:
    """Capture until the device is gone or the parent is."""
    parent_stdin()
    if spec["backend"] == "soundcard":
        _soundcard(spec)
    else:
        _portaudio(spec)


def _portaudio(spec: dict[str, Any]) -> None:
    sd, index = portaudio(spec, "source")
    extra = settings_for(sd, spec)

    def check(rate: int, channels: int) -> None:
        sd.check_input_settings(
            device=index, channels=channels, dtype="int16", samplerate=rate, extra_settings=extra
        )

    rate, channels = best_format(check, RATES, sd.PortAudioError)
    handover = Handover()
    now = time.perf_counter

    blocks = [0]

    def callback(samples: Any, _: int, times: Any, status: Any) -> None:
        blocks[0] += 1
        latency = times.currentTime - times.inputBufferAdcTime
        if blocks[0] <= SETTLING or not 0 <= latency <= LONGEST_LATENCY_S:
            latency = FRAME_S
        stamp = now() - latency
        handover.put(stamp, int(status.input_overflow), bytes(samples))

    try:
        stream = sd.RawInputStream(
            device=index,
            samplerate=rate,
            channels=channels,
            dtype="int16",
            blocksize=round(rate * FRAME_S),
            latency="low",
            callback=callback,
            finished_callback=handover.end,
            extra_settings=extra,
        )
        stream.start()
    except sd.PortAudioError as error:
        raise NoDevice(f"cannot be opened: {error}") from None
    _opened(rate, channels, sane(stream.latency, FRAME_S))
    handover.write_all()


def _soundcard(spec: dict[str, Any]) -> None:
    """What an output plays, where PortAudio has no loopback (Windows)."""
    import numpy
    import soundcard  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        device = soundcard.get_microphone(spec["id"], include_loopback=True)
    except Exception as error:
        raise NoDevice(f"{spec['name']} is not there ({error})") from None
    block = round(WANTED_HZ * FRAME_S)
    with device.recorder(samplerate=WANTED_HZ, channels=1, blocksize=block) as recorder:
        _opened(WANTED_HZ, 1, FRAME_S)
        while True:
            samples = recorder.record(numframes=block)[:, 0]
            stamp = time.perf_counter() - FRAME_S
            pcm = (numpy.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
            write_record(OUT, stamp, 0, pcm)


def _opened(rate: int, channels: int, latency_s: float) -> None:
    about = {"rate": rate, "channels": channels, "latency_s": latency_s, "pid": os.getpid()}
    write_json(OUT, time.perf_counter(), Flag.OPENED, about)


if __name__ == "__main__":
    run(main)
