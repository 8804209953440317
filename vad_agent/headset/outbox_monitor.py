"""Warns the operator about callbacks that no desk takes, because no other part reports it in time."""

from __future__ import annotations

import time
from collections.abc import Callable

from vad_agent.callbacks.outbox import Outbox, is_call
from vad_agent.common.periodic import Periodic

LOOK_S = 5.0
OLD_S = 15.0


class OutboxMonitor:
    """Checks periodically; each callback is reported once."""

    def __init__(self, outbox: Outbox, report: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._report = report
        self._reported: frozenset[str] = frozenset()
        self._looking = Periodic("unread", LOOK_S, self.look)

    def start(self) -> None:
        """Start checking."""
        self._looking.start()

    def stop(self) -> None:
        """Stop checking."""
        self._looking.close(1.0)

    def look(self) -> None:
        """Report callbacks that have waited for long, if there are new ones; whole calls may wait."""
        old = []
        for path in self._outbox.waiting():
            if is_call(path):
                continue
            try:
                if time.time() - path.stat().st_mtime > OLD_S:
                    old.append(path)
            except OSError:
                continue  # taken just now
        calls = self._outbox.requested(old)
        if calls - self._reported:
            self._report(
                f"перезвонов никто не взял: {len(calls)}; они сохранены: запустите vad-agent serve"
            )
        self._reported = calls
