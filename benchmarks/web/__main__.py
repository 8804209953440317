"""`python -m benchmarks.web`: latency and size of a page, and the cost of many pages for the desk."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.command import parser, report
from benchmarks.measure import Table
from benchmarks.web import display_latency, full_load, link_latency
from tests.web.browser import CHROMIUM

PACKAGES = ("fastapi", "uvicorn", "websockets", "playwright", "vad-agent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if --strict and a target is missed; 2 if there is no Chromium."""
    options = parser("benchmarks.web", __doc__).parse_args(arguments)
    if shutil.which(CHROMIUM) is None:
        print(f"benchmarks.web: no {CHROMIUM}: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        return report(_tables(Path(name), quick=options.quick), options, "panel", PACKAGES)


def _tables(folder: Path, *, quick: bool) -> Iterator[Table]:
    yield link_latency.latency(50 if quick else 500)
    yield link_latency.many(2 if quick else 6)
    for part in ("latency", "load"):
        (folder / part).mkdir()
    yield display_latency.measure(folder / "latency", 40 if quick else 300, 3 if quick else 20)
    yield full_load.measure(folder / "load", 20 if quick else 200, 3 if quick else 10)


if __name__ == "__main__":
    sys.exit(main())
