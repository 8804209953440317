"""Where a judge's scores are speech.

score   ▁▁▂▅▇▇▆▃▁▁▁▁▁▅▁▁      a run above `floor` with `together` in a row above `sure`
run     ▁▁▁████▁▁▁▁▁▁▁▁▁      a lone peak is a click
           |first |past
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def last_run(
    scores: NDArray[np.floating[Any]], *, floor: float, sure: float, together: int
) -> tuple[int, int] | None:
    """The last run of speech: its first step and one past its last; None: nobody spoke.

    `scores`: (steps,), the newest last.
    """
    steps = len(scores)
    if steps < together:
        return None
    high = scores > sure
    row = high[together - 1 :].copy()
    for shift in range(1, together):
        row &= high[together - 1 - shift : steps - shift]
    found = np.flatnonzero(row)
    if not len(found):
        return None
    last = int(found[-1]) + together - 1
    after = np.flatnonzero(scores[last:] <= floor)
    before = np.flatnonzero(scores[:last] <= floor)
    first = int(before[-1]) + 1 if len(before) else 0
    return first, last + int(after[0]) if len(after) else steps
