"""The effect of changing each constant of the endpointer, one at a time, on whole calls.

    python -m benchmarks.calls.constants --part tuning --calls 130

A call is rendered once and run through the product with every constant as it is, lower and higher.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.accuracy.tables import Grid
from benchmarks.calls.evaluation import Defect, evaluate
from benchmarks.calls.product_run import by_product
from benchmarks.calls.render import render
from benchmarks.calls.run import Job, library, made
from benchmarks.calls.voices import PARTS, VoicesError
from benchmarks.measure import environment, refresh_readme
from vad_agent.detection import endpointer, feature_extractor, hold_music, speech_decision

MODULES = (endpointer, feature_extractor, hold_music, speech_decision)
SECTION = "constants"
PACKAGES = ("earshot", "numpy", "vad-agent")


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant and what it is tried at."""

    home: ModuleType
    name: str
    lower: float
    higher: float
    unit: str
    shown: Callable[[float], float] = lambda value: value

    @property
    def value(self) -> float:
        """As it is."""
        return float(getattr(self.home, self.name))


def _decibels(value: float) -> float:
    from math import log10

    return 20 * log10(value)


def _db(decibels: float) -> float:
    return float(10 ** (decibels / 20))


CONSTANTS = (
    Constant(speech_decision, "THRESHOLD", 0.1, 0.4, "probability"),
    Constant(speech_decision, "LOGIT", -0.1, 2.3, "logit"),
    Constant(speech_decision, "OPENING", 0, 100, "frames"),
    Constant(endpointer, "NEAR", _db(-35), _db(-18), "dB", _decibels),
    Constant(feature_extractor, "CROSSTALK", _db(-22), _db(-10), "dB", _decibels),
    Constant(feature_extractor, "CROSSTALK_DECAY", 0.9, 0.99, "a frame"),
    Constant(feature_extractor, "DROP", _db(-60), _db(-10), "dB", _decibels),
    Constant(speech_decision, "HEARD", 3, 5, "frames"),
    Constant(speech_decision, "OF", 5, 8, "frames"),
    Constant(speech_decision, "HANGOVER", 8, 25, "frames"),
    Constant(endpointer, "ECHO", _db(-12), _db(-1), "dB", _decibels),
    Constant(endpointer, "ECHO_TAIL", 5, 40, "frames"),
    Constant(hold_music, "BEGINS", 0.3, 0.7, "share"),
    Constant(hold_music, "OVER", 0.05, 0.3, "share"),
)


@contextmanager
def changed(name: str, value: float) -> Iterator[None]:
    """The constant has this value, in every module that has it."""
    homes: list[tuple[ModuleType, Any]] = []
    for module in MODULES:
        if hasattr(module, name):
            before = getattr(module, name)
            homes.append((module, before))
            setattr(module, name, type(before)(value))
    try:
        yield
    finally:
        for module, before in homes:
            setattr(module, name, before)


def _trials() -> Iterator[tuple[str, float | None]]:
    yield "", None
    for constant in CONSTANTS:
        yield constant.name, constant.lower
        yield constant.name, constant.higher


def work(job: Job) -> list[set[Defect]]:
    """What is wrong with the call, for each trial."""
    call = render(*made(job))
    found = []
    for name, value in _trials():
        if value is None:
            found.append({fault.defect for fault in evaluate(call.truth, by_product(call))})
        else:
            with changed(name, value):
                found.append({fault.defect for fault in evaluate(call.truth, by_product(call))})
    return found


def table(results: Sequence[Sequence[set[Defect]]], part: str) -> Grid:
    """Right, missing and spoken over, of each trial."""

    def cell(trial: int) -> str:
        of = [result[trial] for result in results]
        right = 100 * sum(not wrong for wrong in of) / len(of)
        missing, over = (sum(v in wrong for wrong in of) for v in (Defect.MISSING, Defect.OVER))
        return f"{right:.1f} % ({missing} / {over})"

    rows = [["as they are", "", "", cell(0), "", ""]]
    for number, one in enumerate(CONSTANTS):
        low, value, high = (f"{one.shown(v):.3g}" for v in (one.lower, one.value, one.higher))
        rows.append(
            [f"{one.home.__name__.split('.')[-1]}.{one.name}", f"{value} {one.unit}", low,
             cell(1 + 2 * number), high, cell(2 + 2 * number)]
        )  # fmt: skip
    header = ["constant", "value", "lower", "right", "higher", "right"]
    return Grid(
        f"Constants, {len(results)} calls of {part}", header, rows, ["right (missing / over)"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. 2: what calls are made of cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calls.constants", description=__doc__
    )
    parser.add_argument("--part", choices=PARTS, default="tuning")
    parser.add_argument("--calls", type=int, default=130, metavar="N", help="default 130")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes; default 2")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's table")
    options = parser.parse_args(arguments)
    try:
        library(options.part, None)
    except VoicesError as error:
        print(f"constants: {error}", file=sys.stderr)
        return 2
    jobs = [Job(options.part, number) for number in range(options.calls)]
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        done = pool.map(work, jobs)
        console = Console(stderr=True)
        results = list(track(done, "calls", total=len(jobs), console=console, transient=True))
    grid = table(results, options.part)
    print(grid.text())
    if options.markdown:
        machine = "; ".join(f"{name} {value}" for name, value in environment(PACKAGES).items())
        refresh_readme(SECTION, f"On {machine}.\n\n{grid.markdown()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
