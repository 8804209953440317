"""Plays phrases through one device that is held open. The mixing runs in a worker process.

`started` and `ended` are the times at which the first and the last sample leave the device, latency
included. They are known slightly earlier; the caller waits for them before it reports to the
session.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vad_agent.audio.device_recovery import AudioWorker, DeviceState, Lost, Opened
from vad_agent.audio.devices import Device, DeviceRole
from vad_agent.audio.ipc_framing import Record
from vad_agent.core.frames import SAMPLE_BYTES
from vad_agent.speech.mixer import Mark

PHRASE_HZ = 48_000
PLAYBACK = "vad_agent.speech.playback_worker"


@dataclass(frozen=True, slots=True)
class PlaybackReport:
    """The outcome of a phrase, and when (s of `time.perf_counter`)."""

    phrase: int
    mark: Mark
    at: float


class Player:
    """One output device. The worker's thread calls `put`.

    The caller passes its arguments to `take`, in order, in the loop's thread.
    """

    def __init__(
        self, device: Device, role: DeviceRole, put: Callable[[Opened | Lost | Record], None]
    ) -> None:
        self.device = device
        self.role = role
        self.state = DeviceState.OPENING
        self.why = ""
        self.pid: int | None = None
        self.latency_s = 0.0
        self._rate = PHRASE_HZ
        self._count = 0
        self.child = AudioWorker(PLAYBACK, self._spec(), put)

    def _spec(self) -> dict[str, Any]:
        return {**self.device.spec(), "role": self.role.value}

    def move(self, device: Device) -> None:
        """Replace the device by another one."""
        self.device = device
        self.child.move(self._spec())

    def watch(self) -> None:
        """Call in each turn of the loop: opens the device again if its process hangs."""
        self.child.watch()

    def take(self, what: Opened | Lost | Record | PlaybackReport) -> PlaybackReport | None:
        """Take a worker's report; the state may change."""
        if isinstance(what, PlaybackReport):
            return what
        if isinstance(what, Opened):
            self.state, self.pid = DeviceState.OPEN, what.pid
            self._rate, self.latency_s = what.rate, what.latency_s
            return None
        if isinstance(what, Lost):
            self.state, self.why, self.pid = DeviceState.LOST, what.why, None
            return None
        report = what.json()
        return PlaybackReport(report["phrase"], Mark(report["mark"]), what.stamp)

    def play(self, pcm: bytes) -> int | None:
        """Begin a phrase (int16 mono at PHRASE_HZ) at once. Return its number. None: the device is
        not open.

        Never blocks: a worker that does not read it is soon lost.
        """
        if self.state is not DeviceState.OPEN:
            return None
        if self._rate != PHRASE_HZ:
            pcm = resample(pcm, self._rate)
        self._count += 1
        head = json.dumps({"play": self._count, "bytes": len(pcm)}).encode()
        return self._count if self.child.send(head + b"\n" + pcm) else None

    def stop(self) -> None:
        """Fade out all phrases."""
        self.child.send(b'{"stop": true}\n')

    def close(self) -> None:
        """Close the device."""
        self.child.close()


def resample(pcm: bytes, rate: int) -> bytes:
    """Resample a phrase (int16 mono at PHRASE_HZ) to another rate (Hz)."""
    import numpy
    import soxr  # type: ignore[import-untyped]

    samples: Any = soxr.resample(numpy.frombuffer(pcm, "<i2"), PHRASE_HZ, rate, quality="HQ")
    assert samples.itemsize == SAMPLE_BYTES
    return bytes(samples.tobytes())
