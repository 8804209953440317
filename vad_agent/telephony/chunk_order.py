"""Puts a track's chunks in the order of their timestamps. Pure.

    came      0   20  60  40  80      the chunk of 60 waits for that of 40
    passed    0   20      40 60  80

A gap that is not filled before WAIT_S more sound has come was never sent, or is lost: it is passed over,
and the jitter buffer finds the missing frames by the clock. What comes after its place is taken is
dropped.
"""

from __future__ import annotations

WAIT_S = 0.1
NEAR_S = 0.01
"""Timestamps this far from where they should be are in order: they are rounded."""
MOST_WAITING = 10
"""Chunks."""
LATE_IN_A_ROW = 5
"""So many late chunks mean that the peer's clock has begun anew."""
MOST_RESTARTS = 3
"""A clock that begins anew more often does not run: the order of arrival is the best there is."""


class ChunkOrder:
    """One track. `rate`: units of the timestamps in a second."""

    def __init__(self, rate: int) -> None:
        self.dropped = 0
        """Chunks that came too late, or twice."""
        self._wait = round(WAIT_S * rate)
        self._near = round(NEAR_S * rate)
        self._next: int | None = None
        self._waiting: dict[int, tuple[int, bytes]] = {}
        self._late = 0
        self._restarts = 0

    def push(self, at: int | None, length: int, chunk: bytes) -> list[bytes]:
        """Take a chunk. Return those whose turn it is. `at`, `length`: its begin and its duration, in
        units; None: it has no timestamp.
        """
        if at is None or self._restarts > MOST_RESTARTS:
            return [chunk]
        if self._next is None:
            self._next = at
        if at < self._next - self._near:
            self._late += 1
            if self._late < LATE_IN_A_ROW:
                self.dropped += 1
                return []
            self._restarts += 1
            self._waiting.clear()
            self._next = at
        self._late = 0
        self._waiting[at] = (length, chunk)
        return self._pass()

    def _pass(self) -> list[bytes]:
        assert self._next is not None
        found = []
        while self._waiting:
            at = min(self._waiting)
            full = (
                len(self._waiting) > MOST_WAITING or max(self._waiting) - self._next >= self._wait
            )
            if at > self._next + self._near and not full:
                break
            length, chunk = self._waiting.pop(at)
            if at < self._next - self._near:  # a part of it is already passed
                self.dropped += 1
                continue
            found.append(chunk)
            self._next = max(self._next, at + length)
        return found
