"""`python -m benchmarks.headset`: resource usage and latency of `listen`, on a private audio server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks.command import parser, report
from benchmarks.headset import frame_timing, prompt_latency, resource_usage
from benchmarks.headset.own_server import on_a_server
from benchmarks.measure import Table
from tests.headset.audio_server import AudioServer, missing

NAMES = ("latency", "frames", "cost")
PACKAGES = ("numpy", "sounddevice", "pulsectl", "soxr", "soundfile", "psutil", "vad-agent")


def runs(quick: bool) -> dict[str, Callable[[AudioServer], Sequence[Table]]]:
    """The benchmarks by name, at full length or short."""
    return {
        "latency": lambda server: [prompt_latency.measure(server, prompts=20 if quick else 200)],
        "frames": lambda server: [frame_timing.measure(server, seconds=10 if quick else 60)],
        "cost": lambda server: (
            resource_usage.measure(server, rounds=3, call_s=8)
            if quick
            else resource_usage.measure(server, rounds=10, call_s=30)
        ),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if --strict and a target is missed; 2 if a program is not installed."""
    options = parser("benchmarks.headset", __doc__, NAMES).parse_args(arguments)
    if absent := missing():
        print(f"benchmarks.headset: not installed: {', '.join(absent)}", file=sys.stderr)
        return 2
    benchmarks = runs(options.quick)
    tables = (table for name in options.only for table in on_a_server(benchmarks[name]))
    return report(tables, options, "live", PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
