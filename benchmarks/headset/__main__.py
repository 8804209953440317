"""`python -m benchmarks.headset`: what `listen` costs and how quick it is, on a private audio server."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.headset import frame_timing, prompt_latency, resource_usage
from benchmarks.measure import Table, as_json, as_markdown, environment, refresh_readme
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headset", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter; the figures are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's tables")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=NAMES, help="some of them")
    parser.add_argument("--strict", action="store_true", help="status 1 where a target is missed")
    options = parser.parse_args(arguments)
    if absent := missing():
        print(f"benchmarks.headset: not installed: {', '.join(absent)}", file=sys.stderr)
        return 2
    found = environment(PACKAGES)
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    tables: list[Table] = []
    for name in options.only:
        for table in _on_a_server(runs(options.quick)[name]):
            tables.append(table)
            print(f"\n{table.text()}", flush=True)
    if options.json:
        options.json.write_text(as_json(tables, found), encoding="utf-8")
    if options.markdown:
        refresh_readme("live", as_markdown(tables, found))
    missed = any(figure.met is False for table in tables for figure in table.figures)
    return 1 if missed and options.strict else 0


def _on_a_server(run: Callable[[AudioServer], Sequence[Table]]) -> Sequence[Table]:
    """Run on a new server, which is also this process's server meanwhile."""
    before = dict(os.environ)
    with AudioServer() as server:
        os.environ.clear()
        os.environ.update(server.env)
        try:
            return run(server)
        finally:
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    sys.exit(main())
