"""A node for fault tests: a real desk in a process of its own, which dials the exchange.

    python -m tests.callbacks.faults.node CONFIG.json      prints "ready", ends by SIGTERM

CONFIG: database, node, inbox, ledger, script, seed, slow_s; kill_at: [point, n]: SIGKILL at its nth passing.
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
from pathlib import Path

from tests.callbacks.faults.exchange import Exchange
from vad_agent.callbacks import points
from vad_agent.errors import VadAgentError
from vad_agent.server.config import DeskConfig
from vad_agent.server.running import RunningDesk


def main(path: str) -> int:
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    if told.get("kill_at"):
        kill_at(*told["kill_at"])
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
        desk = RunningDesk(config, exchange)
    except VadAgentError as error:
        print(f"refused {type(error).__name__}: {error}", flush=True)
        return 2
    print("ready", time.time(), flush=True)
    while not over.wait(0.2):
        pass
    desk.close()
    return 0


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

    points.watch(passed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
