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
from typing import Any

from vad_agent.audio.ipc_framing import Flag, write_json, write_record
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
from vad_agent.speech.mixer import Mixer

RATES = (48_000, 44_100, 32_000, 16_000)
BLOCK_S = 0.01
"""Short, so that a phrase begins and stops quickly: three blocks are buffered in the device."""
STOP = None
FIRST_BLOCKS = 10
"""Blocks requested at once; after them an idle sink may need 2 s for the next one."""


def main(spec: dict[str, Any]) -> None:
    """Play until the device or the parent is gone."""
    sd, index = portaudio(spec, "sink")
    how = {"device": index, "dtype": "int16", "extra_settings": settings_for(sd, spec)}
    rate, channels = best_format(sd, sd.check_output_settings, RATES, **how)
    commands: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
    reports: queue.SimpleQueue[tuple[float, dict[str, object]] | None] = queue.SimpleQueue()
    mixer = Mixer(rate)
    now = time.perf_counter
    last = [now() + FIRST_S]  # time of the last callback; an idle sink first fills its buffer
    blocks = [0]
    block_latency = BLOCK_S

    def callback(out: Any, frames: int, times: Any, status: Any) -> None:
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
                report = {"phrase": phrase, "mark": mark, "late": bool(status.output_underflow)}
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

    def command() -> bool:
        line = sys.stdin.buffer.readline()
        if not line:
            return False
        request = json.loads(line)
        if "play" in request:
            commands.put((request["play"], sys.stdin.buffer.read(request["bytes"])))
        else:
            commands.put(STOP)
        return True

    parent_stdin(command)
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
