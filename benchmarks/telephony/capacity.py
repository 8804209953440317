"""Calls on one core: `vad-agent pbx` in a process on its own core, a PBX with many calls on another.

    load (core 1) ── AudioSocket, N calls in real time ──> vad-agent pbx (core 0)
                                                              │ phrase
    load <────────────────────────────────────────────────────┘

In each call one phrase is due; how much later it comes than in a single call is how late the decision was.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.audio import load as load_call
from benchmarks.measure import Figure, Table, percentile
from tests.headset.listen_process import phrases_folder
from vad_agent.core.frames import FRAMES_PER_SECOND

CALLS_A_CORE, LATE_MS, CALL_KB = 250, 20, 300
STEPS = (1, 50, 100, 150, 200, 250)
SETTLE_S = 13.0
"""Seconds until all calls are in their dialogues."""
READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one number of calls cost."""

    calls: int
    core: float
    """Processor time divided by time."""
    kb: float
    """Memory (PSS) of one call."""
    delays_s: list[float]
    """From each call's beginning to the first frame of its phrase."""
    sent: int
    received: int
    refused: int
    late_turns: int
    """Of the load itself."""

    @property
    def us(self) -> float:
        """Processor time of one call's 20 ms, both sides, in microseconds."""
        return self.core * 1e6 / FRAMES_PER_SECOND / self.calls


def run(calls: int, seconds: float, recording: Path | None, *, most: int = 2000) -> Load:
    """Measure one number of calls. `most`: the product's limit."""
    with tempfile.TemporaryDirectory(prefix="vad-load-") as folder:
        env = os.environ | {
            "HOME": folder,
            "XDG_STATE_HOME": f"{folder}/state",
            "XDG_CACHE_HOME": str(phrases_folder()),
        }
        log_path = Path(folder) / "log"
        command = [sys.executable, "-m", "vad_agent.cli.main", "pbx", "--listen", "127.0.0.1:0"]
        with log_path.open("wb") as log:
            server = subprocess.Popen(
                [*command, "--calls", str(most)], stdout=log, stderr=log, env=env
            )
        try:
            port = _port(log_path)
            return _under(server.pid, port, calls, seconds, recording)
        finally:
            for _ in range(2):  # the second one ends calls that are on
                server.terminate()
                time.sleep(0.2)
            server.wait(20)


def _port(log: Path) -> str:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        text = log.read_text(encoding="utf-8")
        found = re.search(r"media +127\.0\.0\.1:(\d+)", text)
        if found and "the phrases are ready" in text:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"vad-agent pbx does not start: {log.read_text(encoding='utf-8')}")


def _under(pid: int, port: str, calls: int, seconds: float, recording: Path | None) -> Load:
    server = psutil.Process(pid)
    cores = server.cpu_affinity()
    server.cpu_affinity(cores[:1])
    before = server.memory_full_info().pss
    load = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.telephony.load"),
            *(port, str(calls), str(seconds), *map(str, filter(None, [recording]))),
        ],
        stdout=subprocess.PIPE,
    )
    psutil.Process(load.pid).cpu_affinity(cores[-1:])
    time.sleep(SETTLE_S)
    used, began = sum(server.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds - SETTLE_S - 1.0)
    used, took = sum(server.cpu_times()[:2]) - used, time.monotonic() - began
    held = server.memory_full_info().pss - before
    told = json.loads(load.communicate()[0])
    return Load(
        calls,
        used / took,
        held / 1024 / calls,
        sorted(told["delays"]),
        told["sent"],
        told["received"],
        told["refused"],
        told["late_turns"],
    )


def measure(
    recording: Path | None, *, seconds: float = 30.0, steps: tuple[int, ...] = STEPS
) -> Table:
    """Measure each number of calls, then one and a half times the limit."""
    runs = [run(calls, seconds, recording) for calls in steps]
    one = runs[0].delays_s[0]
    figures = []
    for load in runs:
        late = [(delay - one) * 1e3 for delay in load.delays_s]
        name = f"{load.calls} calls"
        flat = load.us / runs[1].us if len(runs) > 1 else None
        figures += [
            Figure(f"{name}: a call's 20 ms", load.us, "us", flat, f"{steps[1]} calls"),
            Figure(f"{name}: of a core", 100 * load.core, "%"),
            _late(load, f"{name}: decisions late, p99", percentile(late, 0.99)),
            Figure(
                f"{name}: memory a call",
                load.kb,
                "kB",
                None,
                "",
                f"≤ {CALL_KB} kB" if load.calls >= 50 else "",
                load.kb <= CALL_KB if load.calls >= 50 else None,
            ),
        ]
    most = CALLS_A_CORE
    over = run(most * 3 // 2, seconds, recording, most=most)
    late = [(delay - one) * 1e3 for delay in over.delays_s]
    figures.append(
        Figure(
            f"{most * 3 // 2} calls with a limit of {most}: refused",
            over.refused,
            "",
            None,
            "",
            f"{most // 2}",
            over.refused == most // 2,
        )
    )
    figures.append(_late(over, "… decisions late in the others, p99", percentile(late, 0.99)))
    behind = max(load.late_turns for load in [*runs, over])
    note = f"{load_call(recording).name}; the load itself was late in {behind} turns at most"
    return Table("Calls at the PBX, one process on one core", figures, [note])


def _late(load: Load, name: str, late_ms: float) -> Figure:
    if load.calls > CALLS_A_CORE and not load.refused:
        return Figure(name, late_ms, "ms")
    return Figure(name, late_ms, "ms", None, "", f"≤ {LATE_MS} ms", late_ms <= LATE_MS)
