"""A telephone exchange for fault tests: a ledger on the disk of all that was dialled, shared by all nodes.

    {"key": …, "phone": …, "attempt": 1, "nth": 0, "due": …, "at": …, "node": …, "again": false, "outcome": …}

It rings once for a key: a second dial with the same key is written down with "again": true and rings nobody.
What becomes of an attempt is decided by the seed, the number and how often it was tried, so that the whole
course of every callback is known beforehand.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from time import time as real_time  # before anybody bends it
from typing import Any, ClassVar

from vad_agent.callbacks import failpoints
from vad_agent.callbacks.dialers.base import (
    DialRequest,
    Ended,
    OutcomeReport,
    OutcomeReporter,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.model import USED_UP, Outcome

WEIGHTS = {
    Outcome.REACHED: 25,
    Outcome.NO_ANSWER: 35,
    Outcome.BUSY: 15,
    Outcome.MACHINE: 10,
    Outcome.FAILED: 10,
    Outcome.OPERATOR_UNAVAILABLE: 5,
}


def outcome_of(seed: int, phone: str, attempt: int, nth: int) -> Outcome:
    """What becomes of the `nth` try of an attempt. One that fails does so twice at most."""
    dice = random.Random(f"{seed} {phone} {attempt} {nth}")
    outcomes = [one for one in WEIGHTS if nth < 2 or one in USED_UP or one is Outcome.REACHED]
    return dice.choices(outcomes, [WEIGHTS[one] for one in outcomes])[0]


def course(seed: int, phone: str, attempts: int) -> list[tuple[int, Outcome]]:
    """Every try that a callback must see, in order."""
    tries: list[tuple[int, Outcome]] = []
    attempt = 1
    while attempt <= attempts:
        nth = sum(1 for number, _ in tries if number == attempt)
        outcome = outcome_of(seed, phone, attempt, nth)
        tries.append((attempt, outcome))
        if outcome is Outcome.REACHED:
            break
        attempt += outcome in USED_UP
    return tries


class Exchange:
    """The dialer of a node; `slow_s`: so long it rings."""

    name: ClassVar[str] = "exchange"

    def __init__(self, ledger: Path, seed: int, node: str, slow_s: float) -> None:
        self._ledger = ledger
        self._seed = seed
        self._node = node
        self._slow_s = slow_s
        self._report: OutcomeReporter = lambda told: None
        self._closed = threading.Event()
        ledger.touch()

    def open(self, report: OutcomeReporter) -> None:
        self._report = report

    def close(self) -> None:
        self._closed.set()

    def dial(self, order: DialRequest) -> Ringing | Ended:
        with locked(self._ledger) as file:
            lines = [json.loads(line) for line in file]
            again = any(line["key"] == order.key for line in lines)
            same = [
                line
                for line in lines
                if (line["phone"], line["attempt"]) == (order.number, order.attempt)
                and not line["again"]
            ]
            if again:
                outcome = next(line["outcome"] for line in lines if line["key"] == order.key)
            else:
                outcome = outcome_of(self._seed, order.number, order.attempt, len(same))
            line = {
                "key": order.key,
                "phone": order.number,
                "attempt": order.attempt,
                "nth": len(same),
                "due": order.due.timestamp(),
                "at": real_time(),
                "node": self._node,
                "again": again,
                "outcome": outcome,
            }
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        failpoints.passed(failpoints.RANG)
        return self._rings(order.key, Outcome(outcome))

    def _rings(self, key: str, outcome: Outcome) -> Ringing | Ended:
        if self._slow_s == 0 or outcome in (Outcome.FAILED, Outcome.OPERATOR_UNAVAILABLE):
            return Ended(outcome)
        timer = threading.Timer(self._slow_s, self._tell, (OutcomeReport(key, outcome),))
        timer.daemon = True
        timer.start()
        return Ringing(f"line of {self._node}")

    def _tell(self, told: OutcomeReport) -> None:
        while not self._closed.is_set():
            try:
                self._report(told)
            except Exception:
                sleep(0.2)
            else:
                break

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        with locked(self._ledger) as file:
            for line in map(json.loads, file):
                if line["key"] == key:
                    over = real_time() - line["at"] >= self._slow_s
                    outcome = Outcome(line["outcome"])
                    return Ended(outcome) if over else self._rings(key, outcome)
        return Unknown()

    def hang_up(self, key: str, reference: str) -> None:
        pass


@contextmanager
def locked(ledger: Path) -> Iterator[Any]:
    """The ledger for one alone: whoever is stopped meanwhile is not in the middle of a dial."""
    with ledger.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """Everything that was dialled, in order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
