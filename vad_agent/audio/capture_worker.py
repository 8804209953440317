"""Worker process that captures one device: blocks of 20 ms, stamped with the time of their first
sample, as records on stdout. The audio callback only copies, stamps and passes on.

    python -m vad_agent.audio.capture_worker '{"backend": …, "name": …, "host": …, "role": …}'
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from typing import Any

from vad_agent.audio.ipc_framing import HEADER, Flag, write_record
from vad_agent.audio.worker_runtime import (
    FIRST_S,
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
    tell_open,
)
from vad_agent.core.frames import FRAME_S

if sys.platform == "linux":
    import fcntl

WANTED_HZ = 16_000
RATES = (WANTED_HZ, 48_000, 32_000, 44_100)
PIPE_BYTES = 1 << 18
"""Size of the pipe to the parent: 8 s of blocks at WANTED_HZ; newer blocks are dropped and counted."""
MOST_WAITING = 400
"""Limit of the queue on systems that need one: the same duration."""

SETTLING = 75
"""Initial blocks of a stream for which PulseAudio reports a wrong latency."""


class BlockQueue:
    """A bounded queue of blocks from the callback to the parent. Every loss is flagged.

    On Linux a pipe takes a record whole or refuses it: the callback writes to it with one
    non-blocking system call. Elsewhere another thread writes, fed by a queue.
    """

    def __init__(self) -> None:
        self._dropped = 0
        self._last: float | None = None  # time of the last block
        self._ended = threading.Event()
        self._queue: queue.SimpleQueue[tuple[float, int, bytes]] = queue.SimpleQueue()
        if sys.platform == "linux":
            os.set_blocking(OUT, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(OUT, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._write = self._write_now
        else:
            self._write = self._enqueue
            threading.Thread(target=self._write_queued, name="pipe", daemon=True).start()

    def put(self, stamp: float, flags: int, samples: bytes) -> None:
        """Called by the callback: no lock that is held for long, no wait."""
        self._last = time.perf_counter()
        if self._write(stamp, flags | self._dropped, samples):
            self._dropped = 0
        else:
            self._dropped = Flag.DROPPED

    def end(self) -> None:
        """The stream has ended by itself."""
        self._ended.set()

    def wait(self) -> None:
        """Wait until no more blocks come."""
        began = time.perf_counter()
        while not self._ended.wait(LOST_S / 3):
            since, patience = (began, FIRST_S) if self._last is None else (self._last, LOST_S)
            if time.perf_counter() - since > patience:
                return

    def _write_now(self, stamp: float, flags: int, samples: bytes) -> bool:
        record = HEADER.pack(stamp, flags, len(samples)) + samples
        try:  # atomic: it is shorter than PIPE_BUF
            return os.write(OUT, record) == len(record)
        except BlockingIOError:
            return False
        except OSError:  # the parent is gone
            self._ended.set()
            return False

    def _enqueue(self, stamp: float, flags: int, samples: bytes) -> bool:
        if self._queue.qsize() >= MOST_WAITING:
            return False
        self._queue.put((stamp, flags, samples))
        return True

    def _write_queued(self) -> None:
        while True:
            write_record(OUT, *self._queue.get())


def main(spec: dict[str, Any]) -> None:
    """Capture until the device or the parent is gone."""
    parent_stdin()
    if spec["backend"] == "soundcard":
        _soundcard(spec)
    else:
        _portaudio(spec)


def _portaudio(spec: dict[str, Any]) -> None:
    sd, index = portaudio(spec, "source")
    how = {"device": index, "dtype": "int16", "extra_settings": settings_for(sd, spec)}
    rate, channels = best_format(sd, sd.check_input_settings, RATES, **how)
    queue_to_parent = BlockQueue()
    now = time.perf_counter
    blocks = [0]

    def callback(samples: Any, _: int, times: Any, status: Any) -> None:
        blocks[0] += 1
        latency = times.currentTime - times.inputBufferAdcTime
        if blocks[0] <= SETTLING or not 0 <= latency <= LONGEST_LATENCY_S:
            latency = FRAME_S
        stamp = now() - latency
        queue_to_parent.put(stamp, int(status.input_overflow), bytes(samples))

    try:
        stream = sd.RawInputStream(
            **how,
            samplerate=rate,
            channels=channels,
            blocksize=round(rate * FRAME_S),
            latency="low",
            callback=callback,
            finished_callback=queue_to_parent.end,
        )
        tell_open(rate, channels, sane(stream.latency, FRAME_S))
        stream.start()
    except sd.PortAudioError as error:
        raise NoDevice(f"cannot be opened: {error}") from None
    queue_to_parent.wait()
    os.set_blocking(OUT, True)  # for the last record


def _soundcard(spec: dict[str, Any]) -> None:
    """Capture what an output plays, where PortAudio has no loopback (Windows)."""
    import numpy
    import soundcard  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        device = soundcard.get_microphone(spec["id"], include_loopback=True)
    except Exception as error:
        raise NoDevice(f"{spec['name']} is not there ({error})") from None
    block = round(WANTED_HZ * FRAME_S)
    with device.recorder(samplerate=WANTED_HZ, channels=1, blocksize=block) as recorder:
        tell_open(WANTED_HZ, 1, FRAME_S)
        while True:
            samples = recorder.record(numframes=block)[:, 0]
            stamp = time.perf_counter() - FRAME_S
            pcm = (numpy.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
            write_record(OUT, stamp, 0, pcm)


if __name__ == "__main__":
    run(main)
