"""What came of the calls, as tables: by kind, by noise and in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.accuracy.tables import Grid
from benchmarks.calls.evaluation import Defect
from benchmarks.calls.run import Result


def _having(results: Sequence[Result], decider: str, defect: Defect) -> int:
    """Calls of which this is wrong."""
    return sum(any(fault.defect is defect for fault in one.faults[decider]) for one in results)


def _share(results: Sequence[Result], decider: str) -> str:
    right = sum(one.right(decider) for one in results)
    return f"{100 * right / len(results):.1f} %"


def totals(results: Sequence[Result], title: str) -> Grid:
    """Who decides, what share is right, what is wrong in how many calls."""
    rows = [
        [decider, str(len(results)), _share(results, decider)]
        + [str(_having(results, decider, defect)) for defect in Defect]
        for decider in results[0].faults
    ]
    header = ["who decides", "calls", "right", *(defect.value for defect in Defect)]
    notes = ["calls in which that is wrong; see `evaluation.py`"]
    return Grid(title, header, rows, notes)


def groups(results: Sequence[Result], title: str, key: Callable[[Result], str]) -> Grid:
    """Right calls, and missing / spoken over, group by group."""
    deciders = list(results[0].faults)
    rows = []
    for name in sorted({key(one) for one in results}):
        of = [one for one in results if key(one) == name]
        rows.append([name, str(len(of)), *(_cell(of, decider) for decider in deciders)])
    return Grid(title, [title.lower(), "calls", *deciders], rows, ["right (missing / over)"])


def _cell(results: Sequence[Result], decider: str) -> str:
    right = sum(one.right(decider) for one in results)
    missing = _having(results, decider, Defect.MISSING)
    return f"{right} ({missing} / {_having(results, decider, Defect.OVER)})"


def every(results: Sequence[Result], part: str) -> list[Grid]:
    """All tables of one run."""
    return [
        totals(results, f"Whole calls, {part}"),
        groups(results, "Kind", lambda one: one.kind),
        groups(results, "Noise", lambda one: one.noise),
    ]


def wrong(results: Sequence[Result], decider: str) -> Iterator[str]:
    """Each wrong call in a line, with the name that replays it."""
    for one in sorted(results, key=lambda one: one.name):
        if not one.right(decider):
            said = "; ".join(
                f"{fault.defect.value}: {fault.text.strip().splitlines()[-1]}"
                for fault in one.faults[decider]
            )
            yield f"{one.name}  {one.kind}, {one.noise}: {said}"
