"""One node in a process of its own: thousands of open callbacks, a restart, many attempts, their
lateness.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.callbacks.request_storage import POLICY
from benchmarks.measure import Figure, Table, percentile
from vad_agent.callbacks.model import Request
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor

ROOT = Path(__file__).parents[2]


class DeskNode:
    """The desk of `desk_node.py`."""

    def __init__(self, place: str, folder: Path) -> None:
        self.started = time.time()
        command = [sys.executable, "-m", "benchmarks.callbacks.desk_node", place, str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self._line() == "ready"
        self.ready_s = time.time() - self.started

    def figures(self) -> dict[str, Any]:
        """Its figures so far."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        told: dict[str, Any] = json.loads(self._line())
        return told

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        """Stop it normally."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def fill(place: str, count: int, first: timedelta, spread: timedelta) -> datetime:
    """Store callbacks of `count` clients, the first due in `first`, the last `spread` later.

    Return the first due time.
    """
    store = Store(place, POLICY)
    now = datetime.now(UTC)
    base = now + first
    for n in range(count):
        due = base + spread * (n / max(1, count - 1))
        request = Request(
            key=f"fill-{n}", reason="agreed", asked=now, at=due.isoformat(), phone=f"+7913{n:07}",
            name="Анна", opening="Здравствуйте", call=f"fill-{n}",
        )  # fmt: skip
        store.take(request, Actor("bench", now))
    store.close()
    return base


def many_open(name: str, place: str, folder: Path, count: int) -> list[Figure]:
    """A desk with `count` callbacks, none of them due soon."""
    fill(place, count, timedelta(hours=5), timedelta(hours=1))
    node = DeskNode(place, folder)
    time.sleep(12)  # every duty of the reconciler runs meanwhile
    told = node.figures()
    node.end()
    memory = told["rss"] / 1e6
    return [
        Figure(f"{name}: {count:,} open, start", node.ready_s, "s", None, "", "≤ 3 s",
               node.ready_s <= 3),
        Figure(f"{name}: memory", memory, "MB", None, "", "≤ 150 MB", memory <= 150),
        Figure(f"{name}: threads", told["threads"], ""),
    ]  # fmt: skip


def rate(name: str, place: str, folder: Path, count: int) -> list[Figure]:
    """All callbacks are due at once."""
    fill(place, count, timedelta(seconds=count / 150 + 8), timedelta())
    node = DeskNode(place, folder)
    told = _until(node, count)
    node.end()
    began = sorted(told["began"])
    middle = began[int(len(began) * 0.02) : int(len(began) * 0.98)]
    per_second = (len(middle) - 1) / (middle[-1] - middle[0])
    return [
        Figure(f"{name}: attempts a second, {count:,} due at once", per_second, "", None, "",
               "≥ 100", per_second >= 100),
    ]  # fmt: skip


def lateness(name: str, place: str, folder: Path, count: int, spread_s: float) -> list[Figure]:
    """Callbacks are due one after the other."""
    first = timedelta(seconds=count / 150 + 8)
    fill(place, count, first, timedelta(seconds=spread_s))
    node = DeskNode(place, folder)
    told = _until(node, count)
    node.end()
    late = told["late"]
    p99 = percentile(late, 0.99)
    return [
        Figure(f"{name}: an attempt begins after its time, p50", percentile(late, 0.5), "s"),
        Figure(f"{name}: p99", p99, "s", None, "", "≤ 1.5 s", p99 <= 1.5),
    ]  # fmt: skip


def _until(node: DeskNode, count: int) -> dict[str, Any]:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        told = node.figures()
        if len(told["began"]) >= count:
            return told
        time.sleep(0.5)
    raise AssertionError("not all were rung")


def table(figures: list[Figure]) -> Table:
    """The table of one node."""
    return Table(
        "One node",
        figures,
        [
            "what dials answers at once, so that the desk alone is measured",
            "start: from exec until what is due would be rung, imports included",
        ],
    )
