"""A shift in short: calls, one after the other, for as long as it is told, with a busy neighbour.

    make soak                  30 minutes
    make soak MINUTES=5

Every call must end as the script says, each phrase in its window; no frame may be missing; memory must not
grow. Every fifth call has a fault: its capture is killed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import Listening, inside, kind
from tests.headset.speech import speech
from tests.headset.test_faults import play_noise

GREETING = "man_how_can_i_help"
MOST_GROWTH_MB = 10


def main() -> int:
    """Run; 1: something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.headset.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    minutes: float = parser.parse_args().minutes
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with tempfile.TemporaryDirectory(prefix="vad-soak-") as folder, AudioServer() as server:
            server.keep_awake("client", "virtmic", "mic")
            return soak(server, Path(folder), minutes * 60)
    finally:
        busy.kill()
        busy.wait()


def soak(server: AudioServer, folder: Path, seconds: float) -> int:
    """Calls until the time is over; what went wrong is printed."""
    end = time.perf_counter() + seconds
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    with Listening(server, folder) as listening:
        first = 0.0
        for number in itertools.count(1):
            if time.perf_counter() > end:
                break
            fault = number % 5 == 0
            wrong += [f"call {number}: {what}" for what in one_call(server, listening, fault)]
            counts["calls"] += 1
            counts["with a fault"] += fault
            memory = _memory_mb(listening)
            first = first or memory
            print(f"{number} calls, {len(wrong)} wrong, {memory:.0f} MB", flush=True)
        last = _memory_mb(listening)
        log = listening.log
    if last - first > MOST_GROWTH_MB:
        wrong.append(f"memory grew from {first:.0f} to {last:.0f} MB")
    if "Traceback" in log:
        wrong.append(f"a traceback: {log}")
    missing = _missing(listening.recordings)
    counts["frames missing without a fault"] = missing
    if missing:
        wrong.append(f"{missing} frames were missing in calls without a fault")
    for line in wrong:
        print(f"WRONG {line}")
    print(", ".join(f"{name}: {count}" for name, count in counts.items()), f"memory: {last:.0f} MB")
    return 1 if wrong else 0


def one_call(server: AudioServer, listening: Listening, fault: bool) -> list[str]:
    """One call to the ladder's end; what was not as it must be."""
    before = len(listening.trace())
    play_noise(server)
    listening.send(kind="answered")
    server.play_samples(speech(GREETING), 8_000, "mic").wait()
    if fault:
        children = psutil.Process(listening.process.pid).children()
        (client,) = [one for one in children if '"client"' in " ".join(one.cmdline())]
        client.kill()
    ended = kind("phase", phase="ended")
    limit = time.perf_counter() + 60
    while time.perf_counter() < limit and not any(map(ended, listening.trace()[before:])):
        time.sleep(0.2)
    lines = listening.trace()[before:]
    prompts = [line for line in lines if line["kind"] == "prompt"]
    wrong = [
        f"{line['id']} {line['outcome']} after {line['silence_s']} s"
        for line in prompts
        if line["outcome"] != "said" or not inside(line)
    ]
    if len(prompts) != 3:
        wrong.append(f"{len(prompts)} phrases instead of 3: {lines}")
    if not any(kind("callback")(line) for line in lines):
        wrong.append("no callback")
    return wrong


def _memory_mb(listening: Listening) -> float:
    """PSS of the process and its children."""
    main = psutil.Process(listening.process.pid)
    return sum(one.memory_full_info().pss for one in [main, *main.children()]) / 1e6


def _missing(recordings: Path) -> int:
    """Frames that did not come, in calls without a lost device."""
    missing = 0
    for path in recordings.glob("*.events.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if any(line["kind"] == "device_lost" for line in lines):
            continue
        gaps = [line for line in lines if line["kind"] == "gap"]
        missing += sum(round((line["until"] - line["t"]) * 50) for line in gaps)
    return missing


if __name__ == "__main__":
    sys.exit(main())
