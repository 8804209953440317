"""Timing by interleaved repetitions, and the resulting figures.

    round 1   A B C        round 2   C B A        round 3   A B C   …

A slow or shared machine slows all contenders down. Each figure is therefore a median over the
rounds, and each ratio the median of the rounds' ratios. The garbage collector stays on, as in a
call; it runs before each contender, so that none pays for another's garbage.
"""

from __future__ import annotations

import gc
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

Contender = Callable[[], float]
"""Does its work once and returns the measured seconds, without the time for preparation."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    """`value` divided by that of `than`, from the same rounds."""
    than: str = ""
    target: str = ""
    met: bool | None = None
    """Whether the target was met; None: there is none."""

    def cells(self) -> tuple[str, str, str, str]:
        """Name, value, ratio and target as texts."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}× {self.than}"
        verdict = {True: " ✓", False: " ✗", None: ""}[self.met]
        return self.what, f"{number(self.value)} {self.unit}".strip(), ratio, self.target + verdict


@dataclass(frozen=True, slots=True)
class Table:
    """The result of one benchmark. `notes`: one line each about the conditions."""

    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = field(default=())

    def text(self) -> str:
        """For a terminal."""
        rows = [("", "value", "ratio", "target"), *(figure.cells() for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [self.title, *(f"  {note}" for note in self.notes)]
        for what, value, ratio, target in rows:
            cells = what.ljust(widths[0]), value.rjust(widths[1]), ratio.ljust(widths[2]), target
            lines.append(("  " + "   ".join(cells)).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """For the README."""
        notes = "".join(f"{note[0].upper()}{note[1:]}. " for note in self.notes).strip()
        lines = [f"### {self.title}", "", *([notes, ""] if notes else [])]
        lines += ["| | value | ratio | target |", "|---|--:|---|---|"]
        lines += [f"| {' | '.join(figure.cells())} |" for figure in self.figures]
        return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, with thousands separated."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` took."""
    start = perf_counter()
    work()
    return perf_counter() - start


def interleaved(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round; the order alternates."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    forth = list(contenders)
    for turn in range(rounds):
        for name in forth if turn % 2 == 0 else forth[::-1]:
            gc.collect()
            seconds[name].append(contenders[name]())
    return seconds


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the ratios within a round."""
    return median(a / b for a, b in zip(of, to, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of `values`, 0…1, do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def gc_state() -> str:
    """The state of the garbage collector, as a note."""
    state = "on" if gc.isenabled() else "off"
    return f"garbage collector {state}, thresholds {gc.get_threshold()}"


# -- environment
# --------------------------------------------------------------------------------------

PACKAGES = ("webrtcvad-wheels", "numpy", "soundfile", "soxr", "pydantic", "typer", "vad-agent")


def environment(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions and the machine, by name."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = {"python": python}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    found["cpu"] = f"{_cpu()}, {os.cpu_count()} cores"
    if hasattr(os, "getloadavg"):
        found["load average"] = f"{os.getloadavg()[0]:.1f}"
    found["gc"] = gc_state()
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


# -- output
# -------------------------------------------------------------------------------------------


def as_json(tables: Sequence[Table], found: Mapping[str, str]) -> str:
    """All measurements, unrounded."""
    content = {"environment": dict(found), "tables": [asdict(table) for table in tables]}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def as_markdown(tables: Sequence[Table], found: Mapping[str, str]) -> str:
    """A section of the README."""
    machine = "; ".join(f"{name} {value}" for name, value in found.items())
    return "\n\n".join([f"On {machine}.", *(table.markdown() for table in tables)])


README = Path(__file__).with_name("README.md")


def refresh_readme(name: str, section: str) -> None:
    """Replace the section between the README's two markers of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = README.read_text(encoding="utf-8")
    head, found_begin, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise AssertionError(f"{README}: expected the markers {begin} and {end}")
    README.write_text(f"{head}{begin}\n\n{section}\n\n{end}{tail}", encoding="utf-8")
