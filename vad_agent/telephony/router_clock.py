"""The clock of all calls: turns the router each 20 ms."""

from __future__ import annotations

import asyncio
import time

from vad_agent.core.frames import FRAME_S
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.load_admission import LoadAdmission


class RouterClock:
    """Runs until it is closed. `admission`: told how late it is."""

    def __init__(self, router: CallRouter, admission: LoadAdmission | None = None) -> None:
        self._router = router
        self._admission = admission
        self._task: asyncio.Task[None] | None = None
        self.late = 0
        """Frames that were sent more than a frame late."""

    def start(self) -> None:
        """Run in the event loop."""
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        due = time.perf_counter()
        pruned = due
        turns = late = 0
        while True:
            due += FRAME_S
            now = time.perf_counter()
            turns += 1
            if now - due > FRAME_S:
                late += 1
                if self._router.streams:
                    self.late += int((now - due) / FRAME_S)
                due = now  # what is late is not sent at once: the peer would queue it
            await asyncio.sleep(max(0.0, due - now))
            now = time.perf_counter()
            self._router.tick(now)
            if now - pruned >= 1.0:
                pruned = now
                self._router.prune()
                if self._admission is not None:
                    self._admission.sample(now, self._router.heard, turns, late)
                turns = late = 0

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
