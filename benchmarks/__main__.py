"""`python -m benchmarks`: every benchmark but the peers', as one readable table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import frame_cost, replay_speed, scaling, startup
from benchmarks.audio import RecordedCall, load
from benchmarks.measure import Table, as_json, as_markdown, environment, refresh_readme
from vad_agent.errors import VadAgentError

NAMES = ("frame_cost", "replay_speed", "scaling", "startup")


def runs(call: RecordedCall, quick: bool) -> dict[str, Callable[[], Table]]:
    """The benchmarks by name, at full length or short."""
    return {
        "frame_cost": lambda: frame_cost.measure(call, rounds=3 if quick else 9),
        "replay_speed": lambda: (
            replay_speed.measure(call, length_s=300, rounds=3)
            if quick
            else replay_speed.measure(call)
        ),
        "scaling": lambda: (
            scaling.measure(call, counts=(1, 10, 100), frames=200, rounds=1, memory_sessions=50)
            if quick
            else scaling.measure(call)
        ),
        "startup": lambda: startup.measure(rounds=3 if quick else 10),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if --strict and a target is missed; 2 for an unusable recording."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--real", type=Path, metavar="CALL",
                        help="a recording of a real call: operator left, client right")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="shorter; the figures are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's tables")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=NAMES, help="some of them")
    parser.add_argument("--strict", action="store_true", help="status 1 where a target is missed")
    options = parser.parse_args(arguments)
    found = environment()
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    tables = []
    try:
        benchmarks = runs(load(options.real), options.quick)
        for name in options.only:
            tables.append(benchmarks[name]())
            print(f"\n{tables[-1].text()}", flush=True)
    except VadAgentError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(as_json(tables, found), encoding="utf-8")
    if options.markdown:
        refresh_readme("results", as_markdown(tables, found))
    return status(tables, strict=options.strict)


def status(tables: Sequence[Table], *, strict: bool) -> int:
    """1 if a target is missed and --strict: by default only the table shows it, because the machine
    may be busy.
    """
    missed = any(figure.met is False for table in tables for figure in table.figures)
    return 1 if strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
