"""`python -m benchmarks.web`: how late a page is, how heavy, and what a hall of them costs the desk."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Table, as_json, as_markdown, environment, refresh_readme
from benchmarks.web import display_latency, full_load, link_latency
from tests.web.browser import CHROMIUM

PACKAGES = ("fastapi", "uvicorn", "websockets", "playwright", "vad-agent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if --strict and a target is missed; 2 if there is no Chromium."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter; the figures are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's tables")
    parser.add_argument("--strict", action="store_true", help="status 1 where a target is missed")
    options = parser.parse_args(arguments)
    if shutil.which(CHROMIUM) is None:
        print(f"benchmarks.web: no {CHROMIUM}: apt-get install chromium", file=sys.stderr)
        return 2
    found = environment(PACKAGES)
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    tables: list[Table] = []
    with tempfile.TemporaryDirectory() as name:
        for table in _tables(Path(name), quick=options.quick):
            print(f"\n{table.text()}", flush=True)
            tables.append(table)
    if options.json:
        options.json.write_text(as_json(tables, found), encoding="utf-8")
    if options.markdown:
        refresh_readme("panel", as_markdown(tables, found))
    missed = any(figure.met is False for table in tables for figure in table.figures)
    return 1 if missed and options.strict else 0


def _tables(folder: Path, *, quick: bool) -> Iterator[Table]:
    yield link_latency.latency(50 if quick else 500)
    yield link_latency.many(2 if quick else 6)
    for part in ("latency", "load"):
        (folder / part).mkdir()
    yield display_latency.measure(folder / "latency", 40 if quick else 300, 3 if quick else 20)
    yield full_load.measure(folder / "load", 20 if quick else 200, 3 if quick else 10)


if __name__ == "__main__":
    sys.exit(main())
