"""A recording of an audio server's source while it goes on, and when its samples were."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

FIRST_DATA_S = 5.0

Int16s = np.ndarray[tuple[int], np.dtype[np.int16]]


def until(true: Callable[[], object], limit_s: float, what: str) -> None:
    """Return when `true()` is; raise TimeoutError with `what` after limit_s seconds."""
    deadline = time.perf_counter() + limit_s
    while not true():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes], limit_s: float = 3.0) -> None:
    """Ask a process to end; kill it when it has not within limit_s. One that has ended is fine."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class SourceRecording:
    """What a source gives, from `started_at` until `stop()`; may be looked at while it goes on.

    The time of the first sample is as well known as the data's arrival tells. A null sink hands a block
    to its monitor when it begins to play it: each chunk says "my first sample is played by now", and
    the earliest such line through all chunks is taken. True to some ms, so that a sound is never before
    it was played; between two samples of one recording time is exact.
    """

    def __init__(self, process: subprocess.Popen[bytes], rate: int, source: str) -> None:
        self.rate = rate
        self.source = source
        self._process = process
        self._pcm = bytearray()
        self._start = float("inf")
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name=f"recording {source}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        with self._process.stdout:
            while data := os.read(handle, 65_536):
                now = time.perf_counter()
                with self._lock:
                    self._start = min(self._start, now - len(self._pcm) / 2 / self.rate)
                    self._pcm += data

    @property
    def started_at(self) -> float:
        """When the first sample was, on time.perf_counter(), seconds; inf before any data."""
        with self._lock:
            return self._start

    @property
    def seconds(self) -> float:
        """How much has been recorded by now."""
        with self._lock:
            return len(self._pcm) / 2 / self.rate

    @property
    def pid(self) -> int:
        """The recorder's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the recorder still runs; a server that dies ends it."""
        return self._process.poll() is None

    def samples(self) -> Int16s:
        """All samples so far, mono."""
        with self._lock:
            pcm = bytes(self._pcm)
        return np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2")

    def at(self, moment: float) -> float:
        """The position in the recording, seconds, of a moment on time.perf_counter()."""
        return moment - self.started_at

    def wait_first(self, limit_s: float = FIRST_DATA_S) -> None:
        """Wait for the first data; raises TimeoutError."""
        until(
            lambda: self.seconds > 0 or not self.alive, limit_s, f"the first data of {self.source}"
        )
        if not self.seconds:
            raise ChildProcessError(f"no recording of {self.source}: parec ended")

    def wait_seconds(self, seconds: float) -> None:
        """Wait until the recording has `seconds` of sound; raises TimeoutError if it stands still."""
        limit = max(0.0, seconds - self.seconds) + FIRST_DATA_S
        until(lambda: self.seconds >= seconds, limit, f"{seconds:.1f} s of {self.source}")

    def stop(self) -> Int16s:
        """End the recording; all samples."""
        end(self._process)
        self._reader.join(3.0)
        return self.samples()

    def save(self, path: Path) -> Path:
        """Write what was recorded as a WAV file."""
        return write_wav(path, self.samples(), self.rate)


def write_wav(path: Path, samples: Int16s, rate: int) -> Path:
    """Write mono int16 samples as a WAV file; the path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return path
