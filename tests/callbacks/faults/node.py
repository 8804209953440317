"""A node for fault tests: a real desk in a process of its own, which dials the exchange.

    python -m tests.callbacks.faults.node CONFIG.json      prints "ready", ends by SIGTERM

CONFIG: database, node, inbox, ledger, script, seed, slow_s, beat_s, dead_s;
kill_at: [point, n]: SIGKILL at its nth passing;
clock: a file with the seconds by which this machine's clock is wrong.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from tests.callbacks.faults.exchange import Exchange
from vad_agent.callbacks import failpoints
from vad_agent.errors import VadAgentError
from vad_agent.server import container
from vad_agent.server.container import DeskContainer
from vad_agent.server.desk_config import DeskConfig


def main(path: str) -> int:
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    if told.get("kill_at"):
        kill_at(*told["kill_at"])
    if told.get("clock"):
        bend_clock(Path(told["clock"]))
    config = DeskConfig.load(
        None,
        {},
        database=told["database"],
        node=told["node"],
        inbox=told["inbox"],
        script=told["script"],
    )
    exchange = Exchange(Path(told["ledger"]), told["seed"], told["node"], told["slow_s"])
    try:
        desk = DeskContainer(config, exchange, beat_s=told["beat_s"], dead_s=told["dead_s"])
    except VadAgentError as error:
        print(f"refused {type(error).__name__}: {error}", flush=True)
        return 2
    print("ready", time.time(), flush=True)
    while not over.wait(0.2):
        pass
    desk.close()
    return 0


def forked(config: Path, log: Path, out: Connection) -> None:
    """In a process of `multiprocessing`: as if it had been started by itself."""
    os.dup2(out.fileno(), 1)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    sys.exit(main(str(config)))


def bend_clock(file: Path) -> None:
    """The machine's clock, as we read it, is wrong by what the file says at the time."""
    real = time.time

    def bent() -> float:
        return real() + float(file.read_text(encoding="utf-8"))

    time.time = bent
    container.machine_time = lambda: datetime.fromtimestamp(bent(), UTC)  # type: ignore[assignment]


def kill_at(point: str, number: int) -> None:
    """Die at the nth passing of a point."""
    seen = 0
    lock = threading.Lock()

    def passed(name: str) -> None:
        nonlocal seen
        if name == point:
            with lock:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

    failpoints.watch(passed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
