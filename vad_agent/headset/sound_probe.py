"""Test sounds, and finding them and a voice in what devices capture.

chirp ─> a player ─> …  ─> CaptureProbe ─> delays(): each chirp's delay, if it was heard
microphone ─> CaptureProbe ┐
… ─────────> CaptureProbe ─┴─> follows(): the sound of one is in the other
"""

from __future__ import annotations

import math
import queue
import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from vad_agent.audio.device_recovery import AudioWorker, Lost, Opened
from vad_agent.audio.devices import Device
from vad_agent.audio.duplex_capture import CAPTURE, SAMPLE_RATE, Converter
from vad_agent.audio.ipc_framing import Record
from vad_agent.audio.pcm import peak, rms, to_dbfs
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES

DeviceReport = Opened | Lost | Record

OPEN_S = 10.0
"""Seconds that a device may take until its first sound."""
CHIRP_S = 0.1
CHIRP_HZ = (600, 2400)
HEARD = 0.3
"""Correlation from which a chirp counts as heard."""
PIECE_S = 0.06
STEADY_S = 0.005
LEAST = 0.1
"""Minimum correlation of a piece that was found, because digital zero is also "found" at a steady place."""
LONGEST_DELAY_S = 1.0
"""Of a voice between its microphone and the virtual one, and the error of the time stamps."""


class CaptureProbe:
    """A device's frames with their time stamps (s), or why there are none."""

    def __init__(self, device: Device, role: str) -> None:
        self._heard: queue.SimpleQueue[DeviceReport] = queue.SimpleQueue()
        self._began = time.perf_counter()
        self._child = AudioWorker(CAPTURE, {**device.spec(), "role": role}, self._heard.put)
        self._converter: Converter | None = None
        self.opened: Opened | None = None
        self.why = "no sound came"
        self.frames: list[tuple[float, bytes]] = []
        self.first_s: float | None = None
        """Seconds until the first sound."""
        self.lag_s = 0.0

    def listen(self, seconds: float) -> bool:
        """Capture for `seconds` after the first sound, which may take OPEN_S.

        False: none came, or the device ended.
        """
        until = time.perf_counter() + (OPEN_S if self.first_s is None else seconds)
        while (rest := until - time.perf_counter()) > 0:
            try:
                what = self._heard.get(timeout=rest)
            except queue.Empty:
                break
            if isinstance(what, Lost):
                self.why = what.why
                return False
            if isinstance(what, Opened):
                self.opened = what
                self._converter = Converter(what.rate, what.channels)
            elif self._converter is not None:
                now = time.perf_counter()
                self.lag_s = now - what.stamp
                self.frames += self._converter.convert(what.stamp, what.payload)
                if self.first_s is None:
                    self.first_s = now - self._began
                    until = now + seconds
        return bool(self.frames)

    def level_db(self) -> float:
        """dBFS of everything captured; -inf: exactly zero."""
        pcm = b"".join(frame for _, frame in self.frames)
        return to_dbfs(rms(pcm, SAMPLE_BYTES)) if peak(pcm, SAMPLE_BYTES) else -math.inf

    def samples(self) -> Any:
        """Everything captured: float64, 1-D, at SAMPLE_RATE, full scale 32768."""
        import numpy

        return numpy.frombuffer(b"".join(frame for _, frame in self.frames), "<i2").astype(float)

    def close(self) -> None:
        """Close the device."""
        self._child.close()


def chirp(rate: int) -> bytes:
    """The test sound: int16 mono at `rate` Hz, CHIRP_S long."""
    import numpy

    t = numpy.arange(round(CHIRP_S * rate)) / rate
    low, high = CHIRP_HZ
    phase = 2 * math.pi * (low * t + (high - low) / (2 * CHIRP_S) * t * t)
    shape = numpy.sin(math.pi * t / CHIRP_S) ** 2
    return bytes((0.25 * 32767 * shape * numpy.sin(phase)).astype("<i2").tobytes())


def delays(probe: CaptureProbe, left: Sequence[float]) -> list[float]:
    """Seconds after which each chirp was heard, of those that were. `left`: when each one left."""
    import numpy

    # Search only near the expected time: clocks drift, and a lost frame shifts everything after it.
    frames = [one for one in probe.frames if left and one[0] >= left[0] - 1.0]
    if not frames:
        return []
    zero = frames[0][0]
    heard = numpy.frombuffer(b"".join(frame for _, frame in frames), "<i2").astype(float)
    wanted = numpy.frombuffer(chirp(SAMPLE_RATE), "<i2").astype(float)
    wanted /= math.sqrt(float(wanted @ wanted))
    found = []
    for at in left:
        begin = max(0, round((at - zero - 0.15) * SAMPLE_RATE))
        part = heard[begin : begin + round(0.3 * SAMPLE_RATE) + len(wanted)]
        if len(part) < len(wanted):
            continue
        match = numpy.correlate(part, wanted)
        best = int(match.argmax())
        energy = math.sqrt(float((part[best : best + len(wanted)] ** 2).sum())) or 1.0
        if match[best] / energy > HEARD:
            found.append((begin + best) / SAMPLE_RATE + zero - at)
    return found


def follows(one: CaptureProbe, other: CaptureProbe) -> tuple[float, float]:
    """How steadily `other` gives `one`'s sound: (share of it, median delay in s).

    Each piece of PIECE_S is looked for up to LONGEST_DELAY_S around its time. It counts if it was found
    at the delay of the piece before: other sounds are found anywhere. The likeness itself says little,
    because a loopback changes its rate by up to 1 % all the time.
    """
    import numpy

    stamps = [stamp for stamp, _ in other.frames]
    first, second = one.samples(), other.samples()
    size, most = round(PIECE_S * SAMPLE_RATE), round(LONGEST_DELAY_S * SAMPLE_RATE)
    per_frame = round(FRAME_S * SAMPLE_RATE)
    found: list[float] = []
    for start in range(0, len(first) - size + 1, size):
        piece = first[start : start + size] - first[start : start + size].mean()
        place = bisect_left(stamps, one.frames[start // per_frame][0]) * per_frame
        begin = max(0, place - most)
        part = second[begin : place + size + most]
        if len(part) < size + most or not piece.any():
            continue
        part = part - part.mean()
        length = 1 << (len(part) + size).bit_length()
        spectrum = numpy.fft.rfft(part, length) * numpy.conj(numpy.fft.rfft(piece, length))
        match = numpy.fft.irfft(spectrum, length)[: len(part) - size + 1]
        sums = numpy.concatenate([[0.0], numpy.cumsum(part**2)])
        energies = sums[size:] - sums[:-size]
        alike = match / numpy.sqrt(energies * float(piece @ piece) + 1.0)
        best = int(alike.argmax())
        known = alike[best] > LEAST
        found.append((begin + best - place) / SAMPLE_RATE if known else math.nan)
    if len(found) < 2:
        return 0.0, 0.0
    steady = [b for a, b in pairwise(found) if abs(a - b) <= STEADY_S]
    return len(steady) / (len(found) - 1), sorted(steady)[len(steady) // 2] if steady else 0.0
