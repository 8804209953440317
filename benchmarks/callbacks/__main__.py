"""`python -m benchmarks.callbacks`: what the desk costs, on SQLite and on a PostgreSQL of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.callbacks import attempts, request_storage
from benchmarks.command import parser, report
from benchmarks.measure import Figure, Table
from tests.callbacks.postgres import Postgres, PostgresNotInstalled

PACKAGES = ("sqlalchemy", "psycopg", "alembic", "vad-agent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if --strict and a target is missed; 2 if PostgreSQL is not installed."""
    options = parser("benchmarks.callbacks", __doc__).parse_args(arguments)
    try:
        postgres = Postgres.started()
    except PostgresNotInstalled as error:
        print(f"benchmarks.callbacks: {error}", file=sys.stderr)
        return 2
    try:
        tables = _tables(postgres, 0.05 if options.quick else 1.0)
        return report(tables, options, "callbacks", PACKAGES)
    finally:
        postgres.end()


def _tables(postgres: Postgres, size: float) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def places(what: str) -> dict[str, str]:
            return {
                "SQLite": str(folder / what / "callbacks.sqlite"),
                "PostgreSQL": postgres.fresh(),
            }

        yield request_storage.measure(places("stored"), folder, count=int(1000 * size))
        figures: list[Figure] = []
        for name, place in places("open").items():
            figures += attempts.many_open(name, place, folder / "a", int(5000 * size))
        for name, place in places("rate").items():
            figures += attempts.rate(name, place, folder / "b", int(2000 * size))
        for name, place in places("late").items():
            figures += attempts.lateness(name, place, folder / "c", int(600 * size), 60 * size)
        yield attempts.table(figures)


if __name__ == "__main__":
    sys.exit(main())
