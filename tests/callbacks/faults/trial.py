"""A trial: requests are left in an inbox, nodes are started, killed and started again, then all is counted.

What was taken must come to its end exactly as the exchange's seed has it: nothing missing, nobody rung twice
for one key, nothing early, and nothing late by much once a node was up.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.callbacks.faults import node
from tests.callbacks.faults.exchange import course, read_ledger
from vad_agent.callbacks.model import USED_UP, Outcome, State
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage, new_key
from vad_agent.callbacks.policy_from_script import policy_of
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.store import Store
from vad_agent.script.settings import Settings

NODE = node.__name__
ROOT = Path(__file__).parents[3]
GAPS_S = (0.5, 1.0)
SCRIPT = """
[callbacks]
gaps_s = [0.5, 1.0]
failed_pauses_s = [0.3, 0.6, 1.0, 1.0, 1.0]
operator_pause_s = 0.3
unreported_s = 30.0
zone = "Europe/Moscow"
farewell_s = 0.0
"""
EARLY_S = 0.05
BEAT_S, DEAD_S = 0.5, 2.0
"""Of a trial's nodes, where it sets no others; a sixth of what they are in production."""
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload([NODE])
started: list[DeskNode] = []
"""All nodes of this process."""


@dataclass
class TrialReport:
    """What became of the requests."""

    requests: int = 0
    kills: int = 0
    missing: int = 0
    never_ended: int = 0
    doubled: int = 0
    """Second rings for one key."""
    stopped: int = 0
    """Second dials for one key that the key stopped."""
    wrong: int = 0
    """Callbacks whose tries are not those that the seed demands."""
    early: int = 0
    late_s: list[float] = field(default_factory=list)
    """Of each attempt, after its time and after a node was up."""
    promise_missing: int = 0

    @property
    def latest_s(self) -> float:
        return max(self.late_s, default=0.0)

    def check(self, most_late_s: float) -> None:
        """Nothing is wrong."""
        assert (self.missing, self.never_ended, self.doubled, self.wrong, self.early) == (
            (0,) * 5
        ), self
        assert self.promise_missing == 0, self
        assert self.latest_s <= most_late_s, (self.latest_s, sorted(self.late_s)[-5:])

    def row(self) -> dict[str, object]:
        """For the table."""
        late = sorted(self.late_s) or [0.0]
        return {
            "requests": self.requests,
            "kills": self.kills,
            "missing": self.missing,
            "rung twice": self.doubled,
            "stopped by the key": self.stopped,
            "never ended": self.never_ended,
            "wrong course": self.wrong,
            "early": self.early,
            "late p50, s": round(late[len(late) // 2], 2),
            "latest, s": round(late[-1], 2),
        }


class _Forked:
    """A node forked from a process that has imported everything, which takes 0.8 s; as a `Popen`."""

    def __init__(self, config: Path, log: Path) -> None:
        receiver, sender = forkserver.Pipe(duplex=False)
        with receiver, sender:
            self._process = forkserver.Process(target=node.forked, args=(config, log, sender))
            self._process.start()
            self.stdout = os.fdopen(os.dup(receiver.fileno()), encoding="utf-8")

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, limit_s: float) -> int:
        self._process.join(limit_s)
        assert self._process.exitcode is not None, "it does not end"
        return self._process.exitcode


def _run(config: Path, log: Path, sources: Path) -> subprocess.Popen[str]:
    """A node of other sources."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", NODE, str(config)],
            stdout=subprocess.PIPE,
            stderr=file,
            cwd=sources,
            env=os.environ | {"PYTHONPATH": str(sources)},
            text=True,
        )


class DeskNode:
    """A desk in a process of its own."""

    def __init__(self, trial: Trial, name: str, kill_at: tuple[str, int] | None = None) -> None:
        config = trial.folder / f"{name}.json"
        told = {
            "database": trial.database,
            "node": name,
            "inbox": str(trial.outbox.folder),
            "ledger": str(trial.ledger),
            "script": str(trial.script),
            "seed": trial.seed,
            "slow_s": trial.slow_s,
            "beat_s": trial.beat_s,
            "dead_s": trial.dead_s,
            "kill_at": kill_at,
            "clock": str(trial.clock) if trial.clock else None,
        }
        config.write_text(json.dumps(told), encoding="utf-8")
        self.name = name
        self.said = ""
        self._trial = trial
        log = trial.folder / f"{name}.log"
        ours = trial.sources == ROOT
        self.process = _Forked(config, log) if ours else _run(config, log, trial.sources)
        started.append(self)

    def ready(self) -> bool:
        """Wait until it is up; False: it ended before."""
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        up = self.said.startswith("ready")
        if up:
            self._trial.ups.append(time.time())
        return up

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.gone()

    def gone(self, limit_s: float = 60.0) -> int:
        """Wait for its end."""
        status = self.process.wait(limit_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._trial.downs.append(time.time())
        return status

    def end(self) -> int:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.gone()


class Trial:
    """Requests, nodes and the count. `database`: a place as the desk takes it."""

    def __init__(self, folder: Path, database: str, seed: int, *, slow_s: float = 0.2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database = database
        self.seed = seed
        self.slow_s = slow_s
        self.beat_s, self.dead_s = BEAT_S, DEAD_S
        self.dice = random.Random(seed)
        self.outbox = Outbox(folder / "inbox")
        self.ledger = folder / "exchange.jsonl"
        self.ledger.touch()
        self.script = folder / "script.toml"
        self.script.write_text(SCRIPT, encoding="utf-8")
        self.clock: Path | None = None
        self.sources = ROOT
        self.phones: list[str] = []
        self.ups: list[float] = []
        self.downs: list[float] = []
        self.kills = 0

    def ask(self, count: int = 1, due_in_s: float = 0.0) -> None:
        """Leave requests, each of a client of its own."""
        for _ in range(count):
            phone = f"+7912{self.seed % 1000:03}{len(self.phones):04}"
            self.phones.append(phone)
            asked = datetime.now(UTC).isoformat()
            call = f"call-{len(self.phones)}"
            letter = OutboxMessage(
                REQUESTED, new_key(), call, asked, "dropped", due_in_s, phone=phone, name="Анна"
            )
            self.outbox.post(letter)

    def node(self, name: str = "one", kill_at: tuple[str, int] | None = None) -> DeskNode:
        """Start a node; wait with `ready`."""
        return DeskNode(self, name, kill_at)

    def until_idle(self, limit_s: float = 120.0, look: Callable[[], None] | None = None) -> bool:
        """Wait until the exchange has seen every course to its end; False: it has not within the limit."""
        deadline = time.monotonic() + limit_s
        wanted = {phone: len(course(self.seed, phone, 3)) for phone in self.phones}
        while time.monotonic() < deadline:
            seen = Counter(line["phone"] for line in read_ledger(self.ledger) if not line["again"])
            if all(seen[phone] >= count for phone, count in wanted.items()):
                time.sleep(self.slow_s + 1.5)  # the last outcomes are told
                return True
            if look is not None:
                look()
            time.sleep(0.1)
        return False

    def report(self) -> TrialReport:
        """Count; no node may run on SQLite."""
        store = Store(self.database, policy_of(Settings.load(self.script)))
        try:
            callbacks = list(CallbackQueries(store).all())
            promise = CallbackQueries(store).promise()
        finally:
            store.close()
        report = TrialReport(requests=len(self.phones), kills=self.kills)
        report.promise_missing = promise.missing
        known = {callback.phone for callback in callbacks}
        report.missing = sum(1 for phone in self.phones if phone not in known)
        report.never_ended = sum(1 for callback in callbacks if callback.open)
        rings: dict[str, list[dict[str, Any]]] = defaultdict(list)
        keys: Counter[str] = Counter()
        for line in read_ledger(self.ledger):
            if line["again"]:
                report.stopped += 1
            else:
                rings[line["phone"]].append(line)
                keys[line["key"]] += 1
        report.doubled = sum(count - 1 for count in keys.values())
        final = {callback.phone: callback.state for callback in callbacks}
        for phone in self.phones:
            self._count(report, phone, rings[phone], final.get(phone))
        return report

    def _count(
        self, report: TrialReport, phone: str, lines: list[dict[str, Any]], state: State | None
    ) -> None:
        wanted = course(self.seed, phone, 3)
        got = [(line["attempt"], Outcome(line["outcome"])) for line in lines]
        ended = State.REACHED if wanted[-1][1] is Outcome.REACHED else State.NOT_REACHED
        if got != wanted or state is not ended:
            report.wrong += 1
        by_wrong_clock = self.clock is not None and "://" not in self.database
        for before, line in zip([None, *lines], lines, strict=False):
            gap = 0.0
            if before is not None and Outcome(before["outcome"]) in USED_UP:
                gap = before["at"] + GAPS_S[before["attempt"] - 1]
            due = 0.0 if by_wrong_clock else line["due"]
            if line["at"] < max(due, gap) - EARLY_S:
                report.early += 1
            if by_wrong_clock:
                continue
            up = max((one for one in self.ups if one <= line["at"]), default=0.0)
            report.late_s.append(max(0.0, line["at"] - max(line["due"], up)))
