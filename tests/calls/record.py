"""What the product makes of the first 200 calls of the tuning part, as recorded in record.toml.

python -m tests.calls.record            tell what differs, status 1 if anything is worse
python -m tests.calls.record --write    write it anew; review the diff before you commit it

The tuning part: who finds the test red looks at its calls, which nobody may do with those of the test part.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls.evaluation import Defect
from benchmarks.calls.run import PRODUCT, Job, Result, run

FILE = Path(__file__).with_name("record.toml")
CALLS = 200
EXACT = (Defect.MISSING, Defect.TWICE)
"""By name: a client who is not called back is the worst that can happen."""
COUNTED = tuple(defect for defect in Defect if defect not in EXACT)


@dataclass(frozen=True, slots=True)
class Record:
    """How many of the calls are right, and what is wrong with the others."""

    calls: int
    right: int
    exact: dict[Defect, frozenset[str]]
    """Names of calls."""
    counted: dict[Defect, int]
    """Calls."""

    def to_toml(self) -> str:
        """As the file holds it."""
        lines = [
            "# Calls of the tuning part that the product gets right, and what is wrong with the others.",
            "# Written by `make calls-record`.",
            "",
            f"calls = {self.calls}",
            f"right = {self.right}",
        ]
        for defect, names in self.exact.items():
            lines += [f"{defect.value} = [", *(f'    "{name}",' for name in sorted(names)), "]"]
        lines += [f"{defect.value} = {count}" for defect, count in self.counted.items()]
        return "\n".join(lines) + "\n"


def load(path: Path = FILE) -> Record:
    """The record of the file."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Record(
        table["calls"],
        table["right"],
        {defect: frozenset(table[defect.value]) for defect in EXACT},
        {defect: table[defect.value] for defect in COUNTED},
    )


def of(results: Sequence[Result]) -> Record:
    """The record of these results."""
    wrong: Counter[Defect] = Counter()
    names: dict[Defect, set[str]] = {defect: set() for defect in EXACT}
    for one in results:
        for defect in {fault.defect for fault in one.faults[PRODUCT]}:
            wrong[defect] += 1
            if defect in EXACT:
                names[defect].add(one.name)
    return Record(
        len(results),
        sum(one.right(PRODUCT) for one in results),
        {defect: frozenset(found) for defect, found in names.items()},
        {defect: wrong[defect] for defect in COUNTED},
    )


def compare(recorded: Record, now: Record) -> tuple[list[str], list[str]]:
    """What is worse now, and what is better."""
    worse, better = [], []
    if now.calls != recorded.calls:
        worse.append(f"{now.calls} calls, recorded: {recorded.calls}")
    for defect in EXACT:
        before, after = recorded.exact[defect], now.exact[defect]
        worse += [f"{defect.value}: {name}" for name in sorted(after - before)]
        better += [f"no longer {defect.value}: {name}" for name in sorted(before - after)]
    counts = [("wrong", recorded.calls - recorded.right, now.calls - now.right)]
    counts += [(v.value, recorded.counted[v], now.counted[v]) for v in COUNTED]
    for name, before_count, after_count in counts:
        if after_count != before_count:
            text = f"{name}: {after_count} calls, recorded: {before_count}"
            (worse if after_count > before_count else better).append(text)
    return worse, better


def measured() -> Record:
    """The record of the product now.

    Raises:
        VoicesError: what calls are made of cannot be had.
    """
    jobs = [Job("tuning", number, (PRODUCT,)) for number in range(CALLS)]
    return of(list(run(jobs, min(os.cpu_count() or 1, 4))))


def main() -> int:
    """Compare, or write."""
    now = measured()
    if "--write" in sys.argv[1:]:
        FILE.write_text(now.to_toml(), encoding="utf-8")
        print(f"{FILE.name}: {now.right} of {now.calls} right")
        return 0
    worse, better = compare(load(), now)
    print(
        "\n".join([*(f"worse: {text}" for text in worse), *(f"better: {text}" for text in better)])
    )
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
