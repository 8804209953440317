"""The command line that the benchmarks share: print each table, write all figures, refresh the README."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure import Table, as_json, as_markdown, environment, refresh_readme


def parser(
    program: str, description: str | None, names: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """The options. `names`: the parts that `--only` selects from; empty: there is no `--only`."""
    found = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--quick", action="store_true", help="shorter; the figures are rough")
    found.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    found.add_argument("--markdown", action="store_true", help="refresh the README's tables")
    found.add_argument("--strict", action="store_true", help="status 1 if a target is missed")
    if names:
        found.add_argument("--only", choices=names, nargs="+", default=names, help="some of them")
    return found


def report(
    tables: Iterable[Table], options: argparse.Namespace, section: str, packages: Sequence[str]
) -> int:
    """Print each table as it is measured, and carry out the options. Return the exit status.

    `section`: of the README.
    """
    found = environment(packages)
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    measured = []
    for table in tables:
        measured.append(table)
        print(f"\n{table.text()}", flush=True)
    if options.json:
        options.json.write_text(as_json(measured, found), encoding="utf-8")
    if options.markdown:
        refresh_readme(section, as_markdown(measured, found))
    return status(measured, strict=options.strict)


def status(tables: Sequence[Table], *, strict: bool) -> int:
    """1 if a target is missed and --strict is given.

    By default only the table shows it, because the machine may be busy.
    """
    missed = any(figure.met is False for table in tables for figure in table.figures)
    return 1 if strict and missed else 0
