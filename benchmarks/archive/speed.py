"""What an audit costs: × real time a core, from 1 to 2 processes, Dask beside processes, many short files.

    python -m benchmarks.archive.speed [--minutes 60] [--files 100000] [--quick]

A recording is a shipped call, repeated; two channels at 8 kHz. Compare ratios: the machine may be busy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil  # type: ignore[import-untyped]
import soundfile  # type: ignore[import-untyped]

from vad_agent.archive.audit_runner import AuditProgress, AuditRun
from vad_agent.archive.call_audit import AuditJob, AuditPlan, audit_file
from vad_agent.archive.engines import AuditEngine, dask_engine, local_engine
from vad_agent.archive.file_listing import listing

SOURCE = Path("audio_fixtures") / "answer_in_farewell.flac"
RATE = 8_000
PLAN = AuditPlan("")
DISTINCT = 20


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


@dataclass
class Meter:
    """Of this process and all that it started: wall and processor seconds, memory, as batches end."""

    seen: list[Usage] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def __call__(self, progress: AuditProgress) -> None:
        """Look, if a batch is done."""
        if not progress.files_done:
            return
        wall = time.perf_counter() - self.began
        here = psutil.Process()
        cpu, workers = sum(here.cpu_times()[:2]), [0]
        for process in here.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                cpu += sum(process.cpu_times()[:2])
                workers.append(process.memory_info().rss >> 20)
        own = here.memory_info().rss >> 20
        self.seen.append(Usage(wall, cpu, own, max(workers), progress.files_done))

    def spent(self) -> Usage:
        """From the first finished batch to the last: without the start of the workers."""
        first, last = self.seen[0], self.seen[-1]
        files = last.files - first.files
        return Usage(last.wall - first.wall, last.cpu - first.cpu, last.own, last.worker, files)


class Usage(NamedTuple):
    """Seconds, MB of this process and of the largest worker, files done."""

    wall: float
    cpu: float
    own: int
    worker: int
    files: int


def engines(folder: Path, minutes: float) -> None:
    """The same files on 1 and 2 processes, and on Dask; per file, because first batches differ."""
    calls = folder / "calls"
    calls.mkdir()
    recording(calls / "0.wav", minutes / 60)
    for number in range(1, 800):
        os.link(calls / "0.wav", calls / f"{number}.wav")
    base: Usage | None = None
    for name, engine in (
        ("1 process", local_engine(1)),
        ("2 processes", local_engine(2)),
        ("Dask, 2", dask_engine(None, 2)),
    ):
        meter = Meter()
        _audited(folder / name, calls, engine, meter)
        spent = meter.spent()
        base = base or spent
        wall, cpu = spent.wall / spent.files, spent.cpu / spent.files
        print(
            f"{name}: {1000 * wall:.1f} ms a file, {base.wall / base.files / wall:.2f} × of one process; "
            f"{1000 * cpu:.1f} ms of processor, {cpu / (base.cpu / base.files):.3f} ×"
        )


def _audited(
    out: Path, calls: Path, engine: AbstractContextManager[AuditEngine], meter: Meter
) -> None:
    out.mkdir(exist_ok=True)
    with engine as running:
        AuditRun(out, PLAN, running, report=meter).run(listing([str(calls)]), None)


def many(folder: Path, files: int) -> None:
    """Short calls of 3 to 10 s: until the first batch is done, a file, memory, and a resume."""
    calls, out = folder / "many", folder / "out"
    samples, _ = soundfile.read(SOURCE, dtype="int16")
    samples = samples[:: soundfile.info(SOURCE).samplerate // RATE]
    sources: list[Path] = []
    for number in range(files):
        path = calls / str(number // 1000) / f"{number}.wav"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        if number % 20_000 < DISTINCT:  # a file has a limit of names
            sources = [*sources[-DISTINCT + 1 :], path]
            length = RATE * (3 + number % 8)
            soundfile.write(path, samples[number * RATE % 1000 :][:length], RATE)
        else:
            os.link(sources[number % DISTINCT], path)
    meter = Meter()
    _audited(out, calls, local_engine(2), meter)
    seen, spent = meter.seen, meter.spent()
    print(
        f"{files} files: first batch after {seen[0].wall:.1f} s, {1000 * spent.wall / spent.files:.2f} ms "
        f"a file, {1000 * spent.cpu / spent.files:.2f} ms of processor"
    )
    for share in (0.1, 0.5, 1.0):
        at = seen[min(len(seen) - 1, int(share * len(seen)))]
        print(f"memory at {share:.0%}: {at.own} MB, a worker {at.worker} MB")
    again = Meter()
    started = time.process_time()
    _audited(out, calls, local_engine(2), again)
    print(f"again, all done: {time.process_time() - started:.1f} s of processor")


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
