"""Worker process that holds one output stream open and mixes phrases into it.

Commands on stdin, one JSON line each; samples (int16 mono at the stream's rate) follow their line:

    {"play": 7, "bytes": 96000}\\n<samples>      {"stop": true}\\n

Reports on stdout (records): the outcome of a phrase, and the times at which its first and last
sample leave the device, output latency included. The times are known when the samples are mixed,
slightly earlier. Without reports it sends heartbeats.

    python -m vad_agent.speech.playback_worker '{"backend": …, "name": …, "host": …, "role": …}'
"""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Callable
from typing import Any

from vad_agent.audio.ipc_framing import Flag, write_json, write_record
from vad_agent.audio.pulse_stream import PulseStream
from vad_agent.audio.worker_runtime import (
    FIRST_S,
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
from vad_agent.core.frames import SAMPLE_BYTES
from vad_agent.speech.mixer import Mark, Mixer

RATES = (48_000, 44_100, 32_000, 16_000)
BLOCK_S = 0.01
"""Short, so that a phrase begins and stops quickly: three blocks are buffered in the device."""
PULSE_HZ = 48_000
BLOCK_BYTES = round(PULSE_HZ * BLOCK_S) * SAMPLE_BYTES
BLOCKS = 3
"""Blocks of a phrase that the sound server holds."""
HELD_S = BLOCKS * BLOCK_S
LOST_SIGNS = 3
"""Signs of life, LOST_S in all, after which a server that does not answer is lost."""
STOP = None
FIRST_BLOCKS = 10
"""Blocks requested at once; after them an idle sink may need 2 s for the next one."""


def main(spec: dict[str, Any]) -> None:
    """Play until the device or the parent is gone."""
    if spec["backend"] == "pulse":
        PulsePlayback(spec).run()
    else:
        _portaudio(spec)


def _commands(take: Callable[[tuple[int, bytes] | None], None]) -> Callable[[], bool]:
    """Reads one command from stdin and gives it to `take`; false at the end."""

    def command() -> bool:
        line = sys.stdin.buffer.readline()
        if not line:
            return False
        request = json.loads(line)
        take(
            (request["play"], sys.stdin.buffer.read(request["bytes"]))
            if "play" in request
            else STOP
        )
        return True

    return command


class PulsePlayback:
    """A stream of the sound server. While no phrase plays it is corked: it costs nothing, and the
    next phrase begins with the server's next block instead of behind silence that is buffered.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._commands: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._mixer = Mixer(PULSE_HZ)
        self._stream = PulseStream(f"vad-agent {spec['role']}", PULSE_HZ)
        self._written = 0
        self._marks: list[tuple[int, Mark, int]] = []  # with the stream's sample, not yet reported
        self._plays = False
        self._ends = 0
        """The sample after the last one of the phrases."""
        self._asked = False
        """The stream's time was asked for, and the server has not answered yet …"""
        self._unanswered = 0
        """… for so many signs of life: if this process is not run for long, the server is not at fault."""
        self._stream.play(spec["name"], BLOCK_BYTES, BLOCKS, self._fill, self._report)

    def run(self) -> None:
        """Play until the device or the parent is gone."""
        tell_open(PULSE_HZ, 1, HELD_S)
        parent_stdin(_commands(self._take))
        request = time.perf_counter()
        while self._stream.turn(LOST_S / 3):
            self._obey()
            now = time.perf_counter()
            if now - request < LOST_S / 3:
                continue
            request = now
            write_record(OUT, now, Flag.ALIVE, b"")
            if self._asked:
                self._unanswered += 1
                if self._unanswered > LOST_SIGNS:
                    return  # the server hangs
            self._ask_time()

    def _take(self, command: tuple[int, bytes] | None) -> None:
        self._commands.put(command)
        self._stream.wake()

    def _obey(self) -> None:
        while not self._commands.empty():
            command = self._commands.get()
            if command is STOP:
                self._mixer.stop()
            else:
                self._mixer.play(*command)
                report = {"phrase": command[0], "mark": Mark.SOON}
                write_json(OUT, time.perf_counter() + HELD_S, Flag.REPORT, report)
        if self._mixer.busy and not self._plays:
            self._plays = True
            self._fill()
            self._stream.cork(False)

    def _fill(self) -> None:
        """Write what the server wants to have: phrases, then silence until they have left."""
        if not self._plays:
            return
        for _ in range(self._stream.room // BLOCK_BYTES):
            self._stream.write(self._mixer.mix(BLOCK_BYTES))
            self._marks += [
                (phrase, mark, self._written + sample) for phrase, mark, sample in self._mixer.marks
            ]
            self._mixer.marks.clear()
            self._written += BLOCK_BYTES // SAMPLE_BYTES
            if self._mixer.busy:
                self._ends = self._written
        if self._marks:
            self._ask_time()

    def _ask_time(self) -> None:
        if not self._asked:
            self._asked = True
            self._stream.ask_time()

    def _report(self) -> None:
        """The stream's time is known: report what was written meanwhile, and rest when all is out."""
        self._asked, self._unanswered = False, 0
        played, now = self._stream.played_s, time.perf_counter()
        if not played or not self._plays:
            return
        for phrase, mark, sample in self._marks:
            at = now + sample / PULSE_HZ - played
            write_json(OUT, at, Flag.REPORT, {"phrase": phrase, "mark": mark})
        self._marks.clear()
        if not self._mixer.busy and played * PULSE_HZ >= self._ends:
            self._plays = False
            self._stream.cork(True)


def _portaudio(spec: dict[str, Any]) -> None:
    sd, index = portaudio(spec)
    how = {"device": index, "dtype": "int16", "extra_settings": settings_for(sd, spec)}
    rate, channels = best_format(sd, sd.check_output_settings, RATES, **how)
    commands: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
    reports: queue.SimpleQueue[tuple[float, dict[str, object]] | None] = queue.SimpleQueue()
    mixer = Mixer(rate)
    now = time.perf_counter
    last = [now() + FIRST_S]  # time of the last callback; an idle sink first fills its buffer
    blocks = [0]
    block_latency = BLOCK_S

    def callback(out: Any, frames: int, times: Any, _: Any) -> None:
        moment = now()
        blocks[0] += 1
        if blocks[0] > FIRST_BLOCKS:
            last[0] = moment
        while not commands.empty():
            command = commands.get()
            if command is STOP:
                mixer.stop()
            else:
                mixer.play(*command)
        block = mixer.mix(frames * SAMPLE_BYTES)
        out[:] = block if channels == 1 else _stereo(block)
        if mixer.marks:
            latency = times.outputBufferDacTime - times.currentTime
            first = moment + (latency if 0 <= latency <= 1 else block_latency)
            for phrase, mark, sample in mixer.marks:
                report = {"phrase": phrase, "mark": mark}
                reports.put((first + sample / rate, report))
            mixer.marks.clear()

    try:
        stream = sd.RawOutputStream(
            **how,
            samplerate=rate,
            channels=channels,
            blocksize=round(rate * BLOCK_S),
            latency="low",
            callback=callback,
            finished_callback=lambda: reports.put(None),
        )
        stream.start()
    except sd.PortAudioError as error:
        raise NoDevice(f"cannot be opened: {error}") from None
    block_latency = sane(stream.latency, BLOCK_S)
    tell_open(rate, channels, block_latency)

    parent_stdin(_commands(commands.put))
    while True:
        try:
            report = reports.get(timeout=LOST_S / 3)
        except queue.Empty:
            if now() - last[0] > LOST_S:
                return
            write_record(OUT, now(), Flag.ALIVE, b"")
            continue
        if report is None:
            return
        stamp, what = report
        write_json(OUT, stamp, Flag.REPORT, what)


def _stereo(block: bytes) -> bytes:
    from vad_agent.audio.pcm import to_stereo

    return to_stereo(block, SAMPLE_BYTES, 1, 1)


if __name__ == "__main__":
    run(main)
