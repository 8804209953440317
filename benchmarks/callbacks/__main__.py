"""`python -m benchmarks.callbacks`: what the desk costs, on SQLite and on a PostgreSQL of its own."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.callbacks import attempts, request_storage
from benchmarks.measure import Figure, Table, as_json, as_markdown, environment, refresh_readme
from tests.callbacks.postgres import NotInstalled, Postgres

PACKAGES = ("sqlalchemy", "psycopg", "alembic", "vad-agent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. 1: --strict, and a target is missed; 2: PostgreSQL is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callbacks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter; the figures are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's tables")
    parser.add_argument("--strict", action="store_true", help="status 1 where a target is missed")
    options = parser.parse_args(arguments)
    try:
        postgres = Postgres.started()
    except NotInstalled as error:
        print(f"benchmarks.callbacks: {error}", file=sys.stderr)
        return 2
    found = environment(PACKAGES)
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    try:
        tables = _tables(postgres, 0.05 if options.quick else 1.0)
    finally:
        postgres.end()
    if options.json:
        options.json.write_text(as_json(tables, found), encoding="utf-8")
    if options.markdown:
        refresh_readme("callbacks", as_markdown(tables, found))
    missed = any(figure.met is False for table in tables for figure in table.figures)
    return 1 if missed and options.strict else 0


def _tables(postgres: Postgres, size: float) -> list[Table]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def places(what: str) -> dict[str, str]:
            return {
                "SQLite": str(folder / what / "callbacks.sqlite"),
                "PostgreSQL": postgres.fresh(),
            }

        stored = request_storage.measure(places("stored"), folder, count=int(1000 * size))
        print(f"\n{stored.text()}", flush=True)
        figures: list[Figure] = []
        for name, place in places("open").items():
            figures += attempts.many_open(name, place, folder / "a", int(5000 * size))
        for name, place in places("rate").items():
            figures += attempts.rate(name, place, folder / "b", int(2000 * size))
        for name, place in places("late").items():
            figures += attempts.lateness(name, place, folder / "c", int(600 * size), 60 * size)
        ringed = attempts.table(figures)
        print(f"\n{ringed.text()}", flush=True)
        return [stored, ringed]


if __name__ == "__main__":
    sys.exit(main())
