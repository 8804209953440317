"""What a frame costs one endpointer in each condition: `python -m benchmarks.accuracy.cost FOLDER`.

bare    Vad(3).is_speech(frame)  every frame of both channels, one after the other
ours    endpointer.feed(frame)          the same frames, and a decision when a silence of 2.5 s is due
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import webrtcvad

from benchmarks.accuracy import conditions, decisions, scoring
from benchmarks.accuracy.conditions import Condition
from benchmarks.accuracy.contenders import ZEROS
from benchmarks.accuracy.labels import RATE, LabelledCall, LabelsError
from benchmarks.accuracy.tables import Grid
from benchmarks.measure import (
    Figure,
    Table,
    environment,
    interleaved,
    percentile,
    ratio,
    refresh_readme,
    timed,
)
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import Channel
from vad_agent.detection.dead_air import dead_air
from vad_agent.script.settings import Settings

SECTION = "endpointer cost"
SECONDS = 120
"""Of each call."""
QUIET_MAX, WORST_MAX = 2.0, 3.0
FRAME_MAX_MS = 1.0
QUIET = ("as is", "level −12 dB", "level −24 dB", "comfort noise −45 dBFS")

Leg = tuple[Channel, list[bytes]]


def legs(calls: Sequence[LabelledCall], condition: Condition, folder: Path) -> list[Leg]:
    """Each channel of each call on its line; a packet that did not come is zeros, as for a bare detector."""
    return [
        (side, [frame or ZEROS for frame in frames])
        for call in calls
        for side, frames in conditions.apply(condition, call, folder).items()
    ]


def bare(found: Sequence[Leg]) -> float:
    """Seconds of the bare detector."""
    total = 0.0
    for _, frames in found:
        detect = webrtcvad.Vad(3).is_speech

        def work(frames: list[bytes] = frames, detect: object = detect) -> None:
            for frame in frames:
                detect(frame, RATE)  # type: ignore[operator]

        total += timed(work)
    return total


def endpointer_cost(found: Sequence[Leg], settings: Settings) -> float:
    """Seconds of one of our endpointers, with the timer that reads it."""
    total = 0.0
    for side, frames in found:
        endpointer = settings.endpointer(side, RATE)
        total += timed(lambda: sum(1 for _ in dead_air(frames, endpointer, side, scoring.T)))  # noqa: B023
    return total


class _Timed:
    """An endpointer whose every frame is timed, questions included."""

    def __init__(self, endpointer: EndpointerPort) -> None:
        self._endpointer = endpointer
        self.took: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._endpointer, name)

    def feed(self, frame: bytes | None) -> bool:
        began = perf_counter_ns()
        changed = self._endpointer.feed(frame)
        self.took.append(perf_counter_ns() - began)
        return changed


def each_frame_ms(found: Sequence[Leg], settings: Settings) -> list[float]:
    """Milliseconds of every frame."""
    took: list[int] = []
    for side, frames in found:
        endpointer = _Timed(settings.endpointer(side, RATE))
        for _ in dead_air(frames, endpointer, side, scoring.T):  # type: ignore[arg-type]
            pass
        took += endpointer.took
    return [ns / 1e6 for ns in took]


def measure(
    calls: Sequence[LabelledCall], folder: Path, rows: Sequence[Condition], rounds: int
) -> tuple[Grid, Table]:
    """A row a condition, and what was wanted."""
    cells: list[list[str]] = []
    ours_in: dict[str, float] = {}
    slowest: list[float] = []
    ours = Settings()
    for condition in rows:
        found = legs(calls, condition, folder)
        count = sum(len(frames) for _, frames in found)
        seconds = interleaved(
            {
                "bare": lambda: bare(found),  # noqa: B023
                "ours": lambda: endpointer_cost(found, ours),  # noqa: B023
            },
            rounds,
        )
        ours_in[condition.name] = ratio(seconds["ours"], seconds["bare"])
        slowest.append(median(percentile(each_frame_ms(found, ours), 0.999) for _ in range(rounds)))
        cells.append(
            [
                condition.name,
                f"{median(seconds['bare']) / count * 1e6:.2f}",
                f"{ours_in[condition.name]:.2f}",
                f"{slowest[-1]:.2f}",
            ]
        )
    grid = Grid(
        "What a frame costs one endpointer",
        ["condition", "bare call, µs", "endpointer ×", "p99.9, ms"],
        cells,
        [f"one channel's 20 ms frame, × = bare webrtcvad mode-3 calls in the same run; "
         f"{len(calls)} calls of up to {SECONDS} s, both channels"],
    )  # fmt: skip

    def mean(of: dict[str, float]) -> float:
        quiet = [of[name] for name in of if name in QUIET]
        return sum(quiet) / len(quiet) if quiet else 0.0

    worst = max(ours_in, key=lambda name: ours_in[name])
    figures = [
        _at_most("quiet lines", mean(ours_in), QUIET_MAX, "×"),
        _at_most(f"worst: {worst}", ours_in[worst], WORST_MAX, "×"),
        _at_most("one frame, p99.9, worst", max(slowest), FRAME_MAX_MS, "ms"),
    ]
    return grid, Table("Targets of its cost", figures)


def _at_most(what: str, value: float, limit: float, unit: str) -> Figure:
    return Figure(what, round(value, 2), unit, target=f"≤ {limit:g}", met=value <= limit)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. 2: the folder cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.cost", description=__doc__)
    parser.add_argument("folder", type=Path, help="has calls/NAME.flac, .labels.json, noise/*.flac")
    parser.add_argument("--part", choices=("tuning", "test"), default="test")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="half of the conditions, one round")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's table")
    options = parser.parse_args(arguments)
    rows = [row for row in conditions.CONDITIONS if row.group != "echo"]
    if options.quick:
        rows = [row for row in rows if row in conditions.QUICK]
    try:
        calls = decisions.calls(options.folder, (options.part,), quick=options.quick)[:2]
        calls = [call.first(SECONDS * 50) for call in calls]
        rounds = 1 if options.quick else options.rounds
        found = measure(calls, options.folder, rows, rounds)
    except LabelsError as error:
        print(f"cost: {error}", file=sys.stderr)
        return 2
    machine = environment()
    print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    print("\n" + "\n\n".join(table.text() for table in found))
    if options.markdown:
        on = "; ".join(f"{name} {value}" for name, value in machine.items())
        refresh_readme(SECTION, "\n\n".join([f"On {on}.", *(one.markdown() for one in found)]))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
