"""A desk in a process of its own with a dummy dialer: every attempt is reached at once, and its
time recorded.

    python -m benchmarks.callbacks.desk_node DATABASE FOLDER

It prints "ready". For each line on stdin it prints its figures.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import ClassVar

from vad_agent.callbacks.dialers.base import DialRequest, Ended, OutcomeReporter, Ringing, Unknown
from vad_agent.callbacks.model import Outcome
from vad_agent.server.container import DeskContainer
from vad_agent.server.desk_config import DeskConfig


class NoDialer:
    """Reports "reached" at once. `began`: times of all attempts, s since 1970."""

    name: ClassVar[str] = "none"

    def __init__(self) -> None:
        self.began: list[float] = []

    def dial(self, order: DialRequest) -> Ringing | Ended:
        self.began.append(time.time())
        return Ended(Outcome.REACHED)

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        return Unknown()

    def hang_up(self, key: str, reference: str) -> None:
        pass

    def open(self, report: OutcomeReporter) -> None:
        pass

    def close(self) -> None:
        pass


def main(database: str, folder: str) -> None:
    """Run until stdin ends."""
    import psutil  # type: ignore[import-untyped]

    dialer = NoDialer()
    late: list[float] = []
    config = DeskConfig.load(
        None, {}, database=database, node="bench", inbox=str(Path(folder) / "inbox")
    )
    desk = DeskContainer(config, dialer, late=late.append)
    print("ready", flush=True)
    process = psutil.Process()
    for _ in sys.stdin:
        told = {
            "began": dialer.began,
            "late": late,
            "rss": process.memory_info().rss,
            "threads": process.num_threads(),
        }
        print(json.dumps(told), flush=True)
    desk.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
