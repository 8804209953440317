"""`python -m benchmarks.telephony`: calls a core at the PBX, and how late a phrase is at the client."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.command import parser, report
from benchmarks.headset.own_server import on_a_server
from benchmarks.measure import Table
from benchmarks.telephony import capacity, client_latency
from tests.telephony.asterisk import missing

NAMES = ("capacity", "latency")
PACKAGES = ("numpy", "earshot", "vad-agent")


def _capacity(options: argparse.Namespace) -> Table:
    if options.quick:
        return capacity.measure(options.real, seconds=20.0, steps=(1, 50, 100))
    return capacity.measure(options.real)


def _latency(options: argparse.Namespace) -> Table:
    if reason := missing():
        raise SystemExit(f"benchmarks.telephony: {reason}")
    prompts = 20 if options.quick else 200
    return on_a_server(lambda server: client_latency.measure(server, prompts=prompts))


RUNS: dict[str, Callable[[argparse.Namespace], Table]] = {
    "capacity": _capacity,
    "latency": _latency,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if --strict and a target is missed."""
    command = parser("benchmarks.telephony", __doc__, NAMES)
    command.add_argument(
        "--real", type=Path, metavar="CALL", help="a recording, 8 kHz, two channels"
    )
    options = command.parse_args(arguments)
    tables = (RUNS[name](options) for name in options.only)
    return report(tables, options, "telephony", PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
