"""`python -m benchmarks`: every benchmark but the peers', as one readable table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import frame_cost, replay_speed, scaling, startup
from benchmarks.audio import RecordedCall, load
from benchmarks.command import parser, report
from benchmarks.measure import PACKAGES, Table
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
    command = parser("benchmarks", __doc__, NAMES)
    command.add_argument("--real", type=Path, metavar="CALL",
                         help="a recording of a real call: operator left, client right")  # fmt: skip
    options = command.parse_args(arguments)
    try:
        benchmarks = runs(load(options.real), options.quick)
        tables = (benchmarks[name]() for name in options.only)
        return report(tables, options, "results", PACKAGES)
    except VadAgentError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
