"""Duration of `vad-agent replay --help`, compared with an idle interpreter."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import median

from benchmarks.measure import Figure, Table, interleaved, ratio, timed

TARGET_S = 0.3
TOP = 10
HELP = ("replay", "--help")
BARE = "python -c pass"
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +([\w.]+)")


def command() -> list[str]:
    """The installed command, or the module if it is not on this interpreter's path."""
    script = Path(sys.executable).with_name("vad-agent")
    return [str(script)] if script.exists() else [sys.executable, "-m", "vad_agent.cli.main"]


def _run(arguments: list[str]) -> None:
    subprocess.run(arguments, check=True, capture_output=True)


def slowest_imports(count: int = TOP) -> list[tuple[str, float]]:
    """Top-level packages by the milliseconds for importing their own modules."""
    arguments = [sys.executable, "-X", "importtime", "-m", "vad_agent.cli.main", *HELP]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    own: Counter[str] = Counter()
    for took, module in _IMPORT.findall(done.stderr):
        own[module.partition(".")[0]] += int(took)
    return [(package, took / 1e3) for package, took in own.most_common(count)]


def measure(*, rounds: int = 10) -> Table:
    """Wall time of both, and the imports."""
    help_command = [*command(), *HELP]
    _run(help_command)  # compiles changed modules
    took = interleaved(
        {
            BARE: lambda: timed(lambda: _run([sys.executable, "-c", "pass"])),
            "help": lambda: timed(lambda: _run(help_command)),
        },
        rounds,
    )
    name = " ".join([Path(help_command[0]).name, *help_command[1:]])
    typical = median(took["help"])
    figures = [
        Figure(BARE, median(took[BARE]), "s"),
        Figure(
            f"{name}, median",
            typical,
            "s",
            ratio(took["help"], took[BARE]),
            BARE,
            f"≤ {TARGET_S:g} s",
            typical <= TARGET_S,
        ),
        Figure(f"{name}, fastest", min(took["help"]), "s"),
    ]
    figures += [
        Figure(f"import of {package}", took_ms, "ms") for package, took_ms in slowest_imports()
    ]
    notes = [f"{rounds} runs; an import's time is that of the package's own modules, traced"]
    return Table("Start of the command line", figures, notes)
