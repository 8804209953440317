"""Whether a process can carry one more call in time.

    each second    processor time of the process ──┬─> what a call costs
                   calls that it was spent on ─────┘
                   turns of the clock that were more than a frame late
    a new call     (calls + 1) × cost ≤ `most`, and few turns were late

A call that was admitted a moment ago, or is in its greeting, costs little yet. So every call counts in full,
and the cost begins with that of a slow processor, rises within seconds and falls within minutes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from vad_agent.core.frames import FRAMES_PER_SECOND

log = logging.getLogger(__name__)

MOST_LOAD = 0.75
"""Share of one processor. Frames of many calls come at once: with more they wait for each other."""
CALL_LOAD = 0.006
"""Share of one processor that a call is taken to cost, until it is measured: 120 us each 20 ms."""
RISE, FALL = 0.2, 0.01
"""Of the way to the measured cost, a second."""
FEW_CALLS = 10
"""As many at CALL_LOAD are averaged with the real ones: few calls share what is done without any."""
SMOOTH = 0.3
"""Of the last second in the load and in the late turns."""
LATE_SHARE = 0.05
"""Late turns of the clock among all of the last seconds, from which the process is too slow."""
LOG_S = 60.0


class LoadAdmission:
    """`most`: the share of a processor up to which calls are taken. `cpu`: the seconds of processor time
    that the process has used.
    """

    def __init__(
        self, most: float = MOST_LOAD, *, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self.most = most
        self.load = 0.0
        """Share of a processor that the process uses, over the last seconds."""
        self.call_load = CALL_LOAD
        """Share of a processor that a call costs."""
        self.late_share = 0.0
        """Of the clock's turns in the last seconds."""
        self._cpu = cpu
        self._measures = False
        self._sampled: tuple[float, float] | None = None
        self._said_at: float | None = None

    def start(self) -> None:
        """Measure from now on: what is prepared before the calls is done. Any thread may call this."""
        self._measures = True

    def sample(self, now: float, calls: int, turns: int, late: int) -> None:
        """Call it each second, at `now` (s), with the calls that cost something, and the clock's turns
        since the last time; `late`: those that were more than a frame late.
        """
        self.late_share += SMOOTH * (late / max(1, turns) - self.late_share)
        last, used = self._sampled, self._cpu()
        self._sampled = (now, used) if self._measures else None
        if last is None or now <= last[0]:
            return
        load = (used - last[1]) / (now - last[0])
        self.load += SMOOTH * (load - self.load)
        if calls:
            measured = (load + FEW_CALLS * CALL_LOAD) / (calls + FEW_CALLS)
            error = measured - self.call_load
            self.call_load += (RISE if error > 0 else FALL) * error

    def refuses(self, calls: int, now: float) -> bool:
        """Whether a call beside these is too many. Why is logged, once in a while."""
        with_it = max((calls + 1) * self.call_load, self.load + self.call_load)
        slow = self.late_share > LATE_SHARE
        if not slow and with_it <= self.most:
            return False
        if self._said_at is None or now - self._said_at >= LOG_S:
            self._said_at = now
            log.warning(
                "new calls are refused: the processor is too slow for more",
                extra={
                    "calls": calls,
                    "load": round(self.load, 2),
                    "with_one_more": round(with_it, 2),
                    "most": self.most,
                    "call_us": round(self.call_load / FRAMES_PER_SECOND * 1e6),
                    "late_turns": round(self.late_share, 2),
                },
            )
        return True
