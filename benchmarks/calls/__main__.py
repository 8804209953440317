"""Whole generated calls through the product and two plain timers; which are right, which wrong, and how."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import track

from benchmarks.calls import call_export, tables
from benchmarks.calls.run import DECIDERS, PRODUCT, Job, Result, library, run
from benchmarks.calls.voices import PARTS, VoicesError
from benchmarks.measure import environment, refresh_readme

PACKAGES = ("webrtcvad-wheels", "earshot", "numpy", "soxr", "vad-agent")
SECTIONS = {"test": "calls", "world": "calls world"}
"""Of the README, by part."""
CALLS = 1_040
"""Four rounds of 260: each kind meets each noise."""
GIVEN_SHARE = 4
"""With a folder, one call of its voices and noises for so many others."""
OUT = Path("out") / "calls"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, judge, print. 2: what calls are made of cannot be had."""
    options = _parser().parse_args(arguments)
    try:
        if options.only:
            return _one(options)
        return _all(options)
    except VoicesError as error:
        print(f"calls: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="more voices and noises: calls/NAME.flac, "
                        ".labels.json, noise/*.flac; adds a quarter more calls")  # fmt: skip
    parser.add_argument("--part", choices=PARTS, default="test")
    parser.add_argument("--calls", type=int, default=CALLS, metavar="N", help=f"default {CALLS}")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes; default 2")
    parser.add_argument("--only", metavar="NAME", help=f"write this call out to {OUT}")
    parser.add_argument("--deciders", choices=DECIDERS, nargs="+", default=list(DECIDERS), metavar="NAME",
                        help=f"some of: {', '.join(DECIDERS)}")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result there")
    parser.add_argument(
        "--markdown", action="store_true", help="refresh the README's tables (test, world)"
    )
    return parser


def _one(options: argparse.Namespace) -> int:
    part, _, number = options.only.rpartition("-")
    given = part.endswith("-given")
    part = part.removesuffix("-given")
    if part not in PARTS or not number.isdecimal() or (given and options.folder is None):
        expected = "PART-NUMBER of a table, such as test-00017; PART-given-NUMBER with the folder"
        print(f"calls: --only: expected {expected}, got {options.only!r}", file=sys.stderr)
        return 2
    job = Job(part, int(number), folder=options.folder if given else None)
    paths, faults = call_export.write(job, OUT)
    for path in paths:
        print(path)
    for fault in faults:
        print(f"{fault.defect.value}: {fault.text}")
    print("right" if not faults else "wrong")
    return 0


def _all(options: argparse.Namespace) -> int:
    deciders = tuple(options.deciders)
    jobs = [Job(options.part, number, deciders) for number in range(options.calls)]
    library(options.part, None)  # fetched and cut once, before the workers need it
    if options.folder is not None:
        library(options.part, options.folder)
        more = range(options.calls // GIVEN_SHARE)
        jobs += [Job(options.part, number, deciders, options.folder) for number in more]
    found = environment(PACKAGES)
    started = perf_counter()
    console = Console(stderr=True)
    results = list(
        track(run(jobs, options.jobs), "calls", total=len(jobs), console=console, transient=True)
    )
    results.sort(key=lambda result: result.name)
    grids = tables.every(results, options.part)
    decider = PRODUCT if PRODUCT in deciders else deciders[0]
    print("\n".join(tables.wrong(results, decider)))
    print("\n" + "\n\n".join(grid.text() for grid in grids))
    print(f"\n{perf_counter() - started:.0f} s; one of them: make calls ONLY=NAME")
    if options.json:
        options.json.write_text(_as_json(results, found), encoding="utf-8")
    if options.markdown and options.part in SECTIONS:
        machine = "; ".join(f"{name} {value}" for name, value in found.items())
        refresh_readme(
            SECTIONS[options.part], "\n\n".join([f"On {machine}.", *(g.markdown() for g in grids)])
        )
    return 0


def _as_json(results: Sequence[Result], found: dict[str, str]) -> str:
    content = {
        "environment": found,
        "calls": [
            asdict(result) | {"recipe": json.loads(result.recipe or "null")} for result in results
        ],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
