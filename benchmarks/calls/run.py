"""Runs calls in parallel processes: each worker generates a call, asks everyone, judges, and drops it.

A call at which a worker fails is a wrong call (defect crash), and the run goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from benchmarks.calls import voices
from benchmarks.calls.baselines import BASELINES
from benchmarks.calls.evaluation import Defect, Fault, Record, evaluate
from benchmarks.calls.product_run import by_product
from benchmarks.calls.recipe import Recipe, kind_of, noise_of
from benchmarks.calls.recipe_sampling import sample
from benchmarks.calls.render import RenderedCall, render
from benchmarks.calls.voices import Library

PRODUCT = "product"
DECIDERS: Mapping[str, Callable[[RenderedCall], Sequence[Record]]] = {
    PRODUCT: by_product,
    **BASELINES,
}
AHEAD = 4
"""Calls handed out for each worker."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call to be run."""

    part: str
    number: int
    deciders: tuple[str, ...] = tuple(DECIDERS)
    folder: Path | None = None
    """Of given calls: their voices and noises instead of the part's own."""

    @property
    def name(self) -> str:
        """What the call is called in tables and by ONLY."""
        return f"{self.part}-{'given-' if self.folder else ''}{self.number:05}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one call."""

    name: str
    kind: str
    noise: str
    faults: Mapping[str, tuple[Fault, ...]]
    """By decider."""
    recipe: str = field(default="", repr=False)
    """JSON; empty where the call could not be made."""

    def right(self, decider: str) -> bool:
        """Nothing is wrong with what it did."""
        return not self.faults[decider]


@cache
def library(part: str, folder: Path | None) -> Library:
    """The library of a job, once a process."""
    return voices.load(part) if folder is None else voices.given(folder, part)


def made(job: Job) -> tuple[Recipe, Library]:
    """The recipe of a job and what it is rendered from."""
    source = library(job.part, job.folder)
    return sample(job.name.rpartition("-")[0], job.number, source), source


def run_one(job: Job) -> Result:
    """Generate, ask, judge."""
    try:
        recipe, source = made(job)
        call = render(recipe, source)
    except Exception:
        return _crashed(job, traceback.format_exc())
    faults = {}
    for decider in job.deciders:
        try:
            faults[decider] = tuple(evaluate(call.truth, DECIDERS[decider](call)))
        except Exception:
            faults[decider] = (Fault(Defect.CRASH, traceback.format_exc()),)
    return Result(recipe.name, recipe.kind.value, recipe.noise, faults, recipe.to_json())


def _crashed(job: Job, why: str) -> Result:
    faults = {decider: (Fault(Defect.CRASH, why),) for decider in job.deciders}
    return Result(job.name, kind_of(job.number).value, noise_of(job.part, job.number), faults)


def run(
    jobs: Sequence[Job], workers: int, work: Callable[[Job], Result] = run_one
) -> Iterator[Result]:
    """Results as they come. A worker process that dies takes no other call with it."""
    waiting = list(jobs)[::-1]
    while waiting:
        under_way: dict[Future[Result], Job] = {}
        try:
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                while waiting or under_way:
                    while waiting and len(under_way) < workers * AHEAD:
                        under_way[pool.submit(work, waiting[-1])] = waiting[-1]
                        waiting.pop()  # after it: a broken pool takes no job
                    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        del under_way[future]
                        yield result
        except BrokenProcessPool:
            for job in under_way.values():  # one of them did it: each alone
                yield _alone(job, work)


def _alone(job: Job, work: Callable[[Job], Result]) -> Result:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(work, job).result()
        except BrokenProcessPool:
            return _crashed(job, "the worker process died")
