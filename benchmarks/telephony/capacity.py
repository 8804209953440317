"""Calls on one core: `vad-agent pbx` in a process on its own core, a PBX with many calls on another.

    load (core 1) ── AudioSocket, N calls in real time ──> vad-agent pbx (core 0)
                                                              │ phrase
    load <────────────────────────────────────────────────────┘

In each call one phrase is due; how much later it comes than in a single call is how late the decision was.
Then more calls than the core can carry are offered: those that it admits must not be late.
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
from vad_agent.telephony.load_admission import MOST_LOAD

CALLS_A_CORE, LATE_MS, CALL_KB = 250, 20, 300
STEPS = (1, 50, 100, 150, 200, 250)
OFFERED = (1.5, 3.0)
"""Calls offered, as a multiple of those that the core can carry."""
SPREAD_S, OFFERED_SPREAD_S = 2.0, 20.0
"""Seconds over which the calls begin."""
SETTLE_S = 11.0
"""Seconds after the last one's beginning until all calls are in their dialogues."""
NO_LIMIT = 10.0
"""Of `--load`."""
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


def run(
    calls: int,
    seconds: float,
    recording: Path | None,
    *,
    most_load: float = NO_LIMIT,
    spread_s: float = SPREAD_S,
) -> Load:
    """Measure one number of calls. `most_load`: the product's limit."""
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
                [*command, "--calls=2000", f"--load={most_load}"], stdout=log, stderr=log, env=env
            )
        try:
            port = _port(log_path)
            return _under(server.pid, port, calls, seconds, spread_s, recording)
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


def _under(
    pid: int, port: str, calls: int, seconds: float, spread_s: float, recording: Path | None
) -> Load:
    server = psutil.Process(pid)
    cores = server.cpu_affinity()
    server.cpu_affinity(cores[:1])
    before = server.memory_full_info().pss
    load = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.telephony.load"),
            *(port, str(calls), str(seconds), str(spread_s), *map(str, filter(None, [recording]))),
        ],
        stdout=subprocess.PIPE,
    )
    psutil.Process(load.pid).cpu_affinity(cores[-1:])
    time.sleep(spread_s + SETTLE_S)
    used, began = sum(server.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds - spread_s - SETTLE_S - 1.0)
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
    """Measure each number of calls, then more than the core can carry."""
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
    most = _most(runs)
    for times in OFFERED:
        offered = round(times * most)
        over = run(
            offered,
            seconds + OFFERED_SPREAD_S - SPREAD_S,
            recording,
            most_load=MOST_LOAD,
            spread_s=OFFERED_SPREAD_S,
        )
        runs.append(over)
        late = [(delay - one) * 1e3 for delay in over.delays_s]
        name = f"{offered} calls offered, {times:g}× {most}"
        admitted = offered - over.refused
        figures += [
            Figure(f"{name}: refused", over.refused, ""),
            Figure(f"{name}: admitted", admitted, "", admitted / most, "that a core carries"),
            Figure(f"{name}: of a core", 100 * over.core, "%"),
            Figure(f"{name}: decisions late, p50", percentile(late, 0.5), "ms"),
            _late(over, f"{name}: decisions late, p99", percentile(late, 0.99)),
        ]
    behind = max(load.late_turns for load in runs)
    note = f"{load_call(recording).name}; the load itself was late in {behind} turns at most"
    return Table("Calls at the PBX, one process on one core", figures, [note])


def _most(runs: list[Load]) -> int:
    """Calls that a core carries within the product's limit, by those that it carried."""
    carried = [load for load in runs if load.core < MOST_LOAD] or runs[:1]
    return max(1, int(MOST_LOAD * carried[-1].calls / carried[-1].core))


def _late(load: Load, name: str, late_ms: float) -> Figure:
    if load.calls > CALLS_A_CORE and not load.refused:
        return Figure(name, late_ms, "ms")
    return Figure(name, late_ms, "ms", None, "", f"≤ {LATE_MS} ms", late_ms <= LATE_MS)
