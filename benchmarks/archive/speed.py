"""What an audit costs: × real time a core, from 1 to 2 processes, Dask beside processes, many short files.

    python -m benchmarks.archive.speed [--minutes 60] [--files 100000] [--quick]

A recording is a shipped call, repeated; two channels at 8 kHz. Compare ratios: the machine may be busy.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from vad_agent.archive.audit_runner import AuditProgress, AuditRun
from vad_agent.archive.call_audit import AuditJob, AuditPlan, audit_file
from vad_agent.archive.engines import AuditEngine, dask_engine, local_engine
from vad_agent.archive.file_listing import listing

SOURCE = Path("audio_fixtures") / "answer_in_farewell.flac"
RATE = 8_000
PLAN = AuditPlan("")


def recording(path: Path, minutes: float) -> float:
    """Write a call of about so many minutes; return its seconds."""
    samples, rate = soundfile.read(SOURCE, dtype="int16")
    samples = samples[:: rate // RATE]
    times = max(1, round(minutes * 60 * RATE / len(samples)))
    soundfile.write(path, np.tile(samples, (times, 1)), RATE)
    return times * len(samples) / RATE


def one_core(folder: Path, minutes: float) -> None:
    """Decoding, detection and verdicts of one file in this process."""
    for ending in ("wav", "mp3"):
        path = folder / f"call.{ending}"
        length = recording(path, minutes)
        audit_file(AuditJob(str(path)), PLAN)  # loads the network
        started = time.process_time()
        audit_file(AuditJob(str(path)), PLAN)
        print(f"{ending}: {length / (time.process_time() - started):.0f} × real time a core")
        path.unlink()


def engines(folder: Path, minutes: float) -> None:
    """The same files on 1 and 2 processes, and on Dask."""
    calls = folder / "calls"
    calls.mkdir()
    recording(calls / "0.wav", minutes / 60)
    for number in range(1, 400):
        os.link(calls / "0.wav", calls / f"{number}.wav")
    took = {
        "1 process": _timed(folder / "one", calls, local_engine(1)),
        "2 processes": _timed(folder / "two", calls, local_engine(2)),
        "Dask, 2": _timed(folder / "dask", calls, dask_engine(None, 2)),
    }
    for name, seconds in took.items():
        print(f"{name}: {seconds:.1f} s, {took['1 process'] / seconds:.2f} × of one process")


def _timed(out: Path, calls: Path, engine: AbstractContextManager[AuditEngine]) -> float:
    """Seconds from the first finished batch to the last: without the start of the workers."""
    out.mkdir()
    told: list[float] = []
    with engine as running:
        run = AuditRun(out, PLAN, running, report=lambda _: told.append(time.perf_counter()))
        run.run(listing([str(calls)]), None)
    return told[-1] - told[0]


def many(folder: Path, files: int) -> None:
    """Short files: until the first batch is done, a file, and this process's memory."""
    calls, out = folder / "many", folder / "out"
    out.mkdir()
    first = calls / "0" / "0.wav"
    for number in range(files):
        path = calls / str(number // 1000) / f"{number}.wav"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        if number == 0:
            soundfile.write(path, np.zeros((RATE // 2, 2), np.int16), RATE)
        elif number % 30_000 == 0:  # a file has a limit of names
            soundfile.write(path, np.zeros((RATE // 2, 2), np.int16), RATE)
            first = path
        else:
            os.link(first, path)
    begun, memory = time.perf_counter(), []
    starts: list[float] = []

    def show(progress: AuditProgress) -> None:
        if progress.files_done:
            starts.append(time.perf_counter() - begun)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

    with local_engine(2) as engine:
        AuditRun(out, PLAN, engine, report=show).run(listing([str(calls)]), None)
    took = time.perf_counter() - begun
    print(
        f"{files} files: first batch after {starts[0]:.1f} s, {1000 * took / files:.2f} ms a file"
    )
    print(f"memory: {memory[len(memory) // 10]} MB after a tenth, {memory[-1]} MB at the end")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="10 minutes of sound, 2,000 files")
    options = parser.parse_args()
    minutes = 10.0 if options.quick else options.minutes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one_core(folder, minutes)
        engines(folder, minutes)
        many(folder, 2_000 if options.quick else options.files)


if __name__ == "__main__":
    main()
