"""`make faults`: the storm and a kill at each named point, on both databases, as one table.

    python -m tests.callbacks.faults [--seed N] [--requests N] [--kills N] [--markdown FILE]

--markdown: the table takes the place of the one in FILE, between its two marks.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.callbacks.faults.storm import killed_at, storm
from tests.callbacks.faults.trial import Trial
from tests.callbacks.postgres import Postgres, PostgresNotInstalled
from vad_agent.callbacks.failpoints import POINTS

MARKS = "<!-- faults -->", "<!-- end of faults -->"
LATE_S = 5.0


def main() -> int:
    """0: nothing was lost, doubled, forgotten, early or late."""
    parser = argparse.ArgumentParser(prog="python -m tests.callbacks.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        postgres = Postgres.started()
    except PostgresNotInstalled as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    print(f"seed {options.seed}", flush=True)
    rows: list[dict[str, object]] = []
    good = True
    try:
        with tempfile.TemporaryDirectory() as name:
            for database in ("SQLite", "PostgreSQL"):
                for what in ("storm", *POINTS):
                    folder = Path(name) / database / what
                    place = str(folder / "c.sqlite")
                    if database == "PostgreSQL":
                        place = postgres.fresh()
                    trial = Trial(folder, place, options.seed)
                    if what == "storm":
                        report = storm(trial, requests=options.requests, kills=options.kills)
                    else:
                        report = killed_at(trial, what)
                    rows.append({"database": database, "fault": what} | report.row())
                    print(_row(rows[-1].values()), flush=True)
                    try:
                        report.check(LATE_S)
                    except AssertionError as error:
                        good = False
                        print(f"✗ {str(error).splitlines()[0]}", flush=True)
    finally:
        postgres.end()
    if options.markdown:
        _write(options.markdown, rows, options.seed)
    return 0 if good else 1


def _row(cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"  # type: ignore[call-overload]


def _write(file: Path, rows: list[dict[str, object]], seed: int) -> None:
    first, last = MARKS
    table = [f"Seed {seed}.", "", _row(rows[0]), _row("---" for _ in rows[0])]
    table += [_row(row.values()) for row in rows]
    text = file.read_text(encoding="utf-8")
    inside = "\n".join([first, "", *table, "", last])
    pattern = re.compile(f"{re.escape(first)}.*{re.escape(last)}", re.DOTALL)
    assert pattern.search(text), f"{file}: no marks in it"
    file.write_text(pattern.sub(lambda _: inside, text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
