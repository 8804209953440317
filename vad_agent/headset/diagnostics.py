"""`listen --check`: tests and measures each sound path, and says what to fix.

client    ─capture─> does sound come? latency, level, exact zeros
operator  ─capture─>
prompt    ─chirp──> player ─> device ─> its monitor ─capture─> the round trip, if there is a monitor
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from vad_agent.audio.device_recovery import AudioWorker, Lost, Opened
from vad_agent.audio.devices import Device, DeviceRole, list_devices
from vad_agent.audio.duplex_capture import CAPTURE, SAMPLE_RATE, Converter
from vad_agent.audio.ipc_framing import Record
from vad_agent.audio.pcm import peak, rms, to_dbfs
from vad_agent.core.frames import SAMPLE_BYTES, Channel
from vad_agent.headset.device_selection import SelectedDevices, select_devices
from vad_agent.headset.options import Options
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PHRASE_HZ, Player

OPEN_S = 6.0
"""Seconds that a device may take until its first sound."""
LISTEN_S = 2.0
CHIRPS = 5
CHIRP_S = 0.1
CHIRP_HZ = (600, 2400)
CHIRP_EVERY_S = 0.4
HEARD = 0.3
"""Correlation from which a chirp counts as heard."""

What = Opened | Lost | Record


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one test."""

    path: str
    good: bool
    text: str
    fix: str | None = None
    """What to do about it."""


class CaptureProbe:
    """A device's frames with their time stamps (s), or why there are none."""

    def __init__(self, device: Device, role: str) -> None:
        self._heard: queue.SimpleQueue[What] = queue.SimpleQueue()
        self._child = AudioWorker(CAPTURE, {**device.spec(), "role": role}, self._heard.put)
        self._converter: Converter | None = None
        self.opened: Opened | None = None
        self.why = "no sound came"
        self.frames: list[tuple[float, bytes]] = []
        self.lag_s = 0.0

    def listen(self, seconds: float, *, first: bool = False) -> bool:
        """Capture for `seconds`; `first`: at most until the first sound.

        False: none came, or the device ended.
        """
        until = time.perf_counter() + seconds
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
                self.lag_s = time.perf_counter() - what.stamp
                self.frames += self._converter.convert(what.stamp, what.payload)
                if first:
                    return True
        return bool(self.frames)

    def level_db(self) -> float:
        """dBFS of everything captured; -inf: exactly zero."""
        pcm = b"".join(frame for _, frame in self.frames)
        return to_dbfs(rms(pcm, SAMPLE_BYTES)) if peak(pcm, SAMPLE_BYTES) else -math.inf

    def close(self) -> None:
        """Close the device."""
        self._child.close()


def check_side(channel: Channel, device: Device) -> Iterator[Finding]:
    """Test that this side's sound arrives."""
    path = f"{channel.value}: {device.name}"
    ear = CaptureProbe(device, channel.value)
    try:
        began = time.perf_counter()
        if not ear.listen(OPEN_S, first=True):
            yield Finding(path, False, ear.why, _no_sound(channel))
            return
        first_s = time.perf_counter() - began
        if not ear.listen(LISTEN_S):
            yield Finding(path, False, ear.why, _no_sound(channel))
            return
        assert ear.opened is not None
        text = (
            f"{ear.opened.rate} Hz, first sound after {first_s:.1f} s, "
            f"a frame comes {ear.lag_s * 1000:.0f} ms after its beginning"
        )
        yield Finding(path, True, text)
        yield _loudness(path, channel, ear.level_db())
    finally:
        ear.close()


def _no_sound(channel: Channel) -> str:
    if channel is Channel.CLIENT:
        return "name another device: vad-agent devices shows how to get the client's side"
    return "name another device: vad-agent devices lists the microphones"


def _loudness(path: str, channel: Channel, level: float) -> Finding:
    if level == -math.inf:
        if channel is Channel.CLIENT:
            return Finding(path, True, "exactly zero: nothing plays; right where no call is on")
        fix = "unmute it, on the headset too; allow this program the microphone"
        return Finding(path, False, "exactly zero: the microphone is muted, or not permitted", fix)
    return Finding(path, True, f"level {level:.0f} dBFS")


def check_prompt(device: Device, monitor: Device | None) -> Iterator[Finding]:
    """Test that prompts can be played, and measure the latency.

    `monitor`: captures what the device plays.
    """
    path = f"prompt: {device.name}"
    told: queue.SimpleQueue[What] = queue.SimpleQueue()
    player = Player(device, DeviceRole.PROMPT, told.put)
    ear = CaptureProbe(monitor, "check") if monitor is not None else None
    try:
        try:
            what = told.get(timeout=OPEN_S)
        except queue.Empty:
            what = Lost("it does not open", first=True)
        if isinstance(what, Lost):
            yield Finding(
                path, False, what.why, "name another device: vad-agent devices lists them"
            )
            return
        player.take(what)
        if ear is not None:
            ear.listen(OPEN_S, first=True)
        asked, left = [], []
        chirp = _chirp(PHRASE_HZ)
        for _ in range(CHIRPS):
            asked.append(time.perf_counter())
            number = player.play(chirp)
            if number is None:
                yield Finding(path, False, "it was open and is gone", "plug it in, try again")
                return
            left.append(_started(player, told, number))
            (ear.listen if ear is not None else time.sleep)(CHIRP_EVERY_S)
        ways = sorted((at or math.inf) - when for at, when in zip(left, asked, strict=True))
        if math.isinf(ways[-1]):
            yield Finding(path, False, "a phrase did not begin", "name another device")
            return
        text = f"{ways[len(ways) // 2] * 1000:.0f} ms until a phrase's first sample leaves"
        yield Finding(path, True, text + f", at most {ways[-1] * 1000:.0f}")
        if ear is not None:
            yield _round_trip(path, ear, [at for at in left if at is not None])
    finally:
        player.close()
        if ear is not None:
            ear.close()


def _started(player: Player, told: queue.SimpleQueue[What], number: int) -> float | None:
    until = time.perf_counter() + 1.0
    while (rest := until - time.perf_counter()) > 0:
        try:
            report = player.take(told.get(timeout=rest))
        except queue.Empty:
            break
        if report is not None and report.phrase == number and report.mark is Mark.STARTED:
            return report.at
    return None


def _round_trip(path: str, ear: CaptureProbe, left: list[float]) -> Finding:
    """Test that the chirp was heard, and at the time that the driver reported."""
    import numpy

    if not ear.frames:
        return Finding(path, False, f"its monitor gives no sound: {ear.why}", None)
    zero = ear.frames[0][0]
    heard = numpy.frombuffer(b"".join(frame for _, frame in ear.frames), "<i2").astype(float)
    wanted = numpy.frombuffer(_chirp(SAMPLE_RATE), "<i2").astype(float)
    wanted /= math.sqrt(float(wanted @ wanted))
    offs = []
    for at in left:
        begin = max(0, round((at - zero - 0.15) * SAMPLE_RATE))
        part = heard[begin : begin + round(0.3 * SAMPLE_RATE) + len(wanted)]
        if len(part) < len(wanted):
            continue
        match = numpy.correlate(part, wanted)
        best = int(match.argmax())
        energy = math.sqrt(float((part[best : best + len(wanted)] ** 2).sum())) or 1.0
        if match[best] / energy > HEARD:
            offs.append((begin + best) / SAMPLE_RATE + zero - at)
    if len(offs) < len(left) - 1:
        text = f"{len(offs)} of {len(left)} test sounds were heard in its monitor"
        return Finding(path, False, text, "is it muted, or its volume at 0? is it really this one?")
    off = sorted(offs)[len(offs) // 2]
    return Finding(path, True, f"heard in its monitor, {off * 1000:+.0f} ms of the time told")


def _chirp(rate: int) -> bytes:
    import numpy

    t = numpy.arange(round(CHIRP_S * rate)) / rate
    low, high = CHIRP_HZ
    phase = 2 * math.pi * (low * t + (high - low) / (2 * CHIRP_S) * t * t)
    shape = numpy.sin(math.pi * t / CHIRP_S) ** 2
    return bytes((0.25 * 32767 * shape * numpy.sin(phase)).astype("<i2").tobytes())


def check_all(options: Options, console: Console) -> bool:
    """Print the findings. True: no problems.

    Raises:
        DeviceError: a device is missing or ambiguous.
    """
    devices = list_devices()
    chosen = select_devices(options, devices)
    good = True
    for finding in findings(chosen, devices):
        good = good and finding.good
        mark, style = ("✓", "green") if finding.good else ("✗", "bold red")
        fix = f": {finding.fix}" if finding.fix else ""
        console.print(Text(f"{mark} {finding.path}: {finding.text}{fix}", style), soft_wrap=True)
    return good


def findings(chosen: SelectedDevices, devices: list[Device]) -> Iterator[Finding]:
    """All tests, in order."""
    yield from check_side(Channel.CLIENT, chosen.client)
    yield from check_side(Channel.OPERATOR, chosen.operator)
    if chosen.prompt is not None:
        yield from check_prompt(chosen.prompt, _monitor(chosen.prompt, devices))


def _monitor(output: Device, devices: list[Device]) -> Device | None:
    """The device that captures what this output plays. None: there is none."""
    for device in devices:
        if device.inputs and device.plays == output.name:
            return device
    return None
