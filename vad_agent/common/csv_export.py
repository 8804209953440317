"""CSV for spreadsheets.

It begins with a byte order mark, by which Excel recognizes UTF-8, and no cell is evaluated as a
formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
FORMULA = tuple("=+-@\t\r＝＋－＠")
"""First characters that a spreadsheet takes for a formula."""


def guarded(text: str) -> str:
    """A cell that stays text.

    >>> guarded("=1+1"), guarded("  @sum"), guarded("Анна")
    ("'=1+1", "'  @sum", 'Анна')
    """
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def lines(
    head: Sequence[str], rows: Iterable[Sequence[str]], separator: str = ","
) -> Iterator[str]:
    """The file, one piece per row after `head`. Cells are guarded here."""
    out = io.StringIO()
    table = csv.writer(out, delimiter=separator)
    out.write(BOM)
    table.writerow(head)
    for row in rows:
        yield _taken(out)
        table.writerow([guarded(cell) for cell in row])
    yield _taken(out)


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text
