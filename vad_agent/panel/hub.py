"""Live states from the headsets to the open pages, and the operators' keys back. No truth of its own.

    headset ── publish(operator, state) ──> hub ── follow(operator) ──> pages, each at its own pace
            <── sink(event) ─────────────────┘ <── send(operator, event) ── a page's key

A state is a flat object; of each key the hub keeps the value, encoded once, and a number that grows. A page
is told what has changed since it was last told, so one that is slow misses moments and no changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from vad_agent.core.events import Event
from vad_agent.live.status import Command

Sent = Event | Command
Sink = Callable[[Sent], None]

HEARTBEAT_S = 5.0
"""A page that hears nothing for longer than this knows that it is cut off."""
LEAST_S = 0.05
"""Between two messages to a page: what comes faster is told together."""
GONE = "gone"


class _Operator:
    """One headset's state: key → (number of its last change, JSON of its value)."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[int, str]] = {}
        self.version = 0
        self.sink: Sink | None = None

    def take(self, state: Mapping[str, Any]) -> bool:
        """Whether anything changed."""
        changed = False
        for key, value in state.items():
            encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            known = self.values.get(key)
            if known is None or known[1] != encoded:
                if not changed:
                    self.version += 1
                    changed = True
                self.values[key] = (self.version, encoded)
        return changed

    def since(self, version: int) -> str:
        """What changed after a version, as a JSON object."""
        parts = [
            f"{json.dumps(key)}:{encoded}"
            for key, (number, encoded) in self.values.items()
            if number > version
        ]
        return "{" + ",".join(parts) + "}"


class Follower:
    """One open page. Its events are set in the loop that follows."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.woken = asyncio.Event()

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self.woken.set)


class Hub:
    """All headsets that are on. Methods may be called by any thread; `follow` by a loop's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operators: dict[str, _Operator] = {}
        self._followers: dict[str, set[Follower]] = {}

    # -- the headset's side --------------------------------------------------------------------------

    def attach(self, operator: str, sink: Sink) -> None:
        """This headset is on: keys of its panel go to `sink`, which must not block."""
        with self._lock:
            self._of(operator).sink = sink

    def publish(self, operator: str, state: Mapping[str, Any]) -> None:
        """How things stand there: all of it, or what has changed."""
        with self._lock:
            changed = self._of(operator).take({**state, GONE: False})
            followers = list(self._followers.get(operator, ())) if changed else []
        for follower in followers:
            follower.wake()

    def detach(self, operator: str) -> None:
        """This headset is off; its panel says so."""
        with self._lock:
            one = self._of(operator)
            one.sink = None
            one.take({GONE: True})
            followers = list(self._followers.get(operator, ()))
        for follower in followers:
            follower.wake()

    def _of(self, operator: str) -> _Operator:
        return self._operators.setdefault(operator, _Operator())

    # -- the pages' side -----------------------------------------------------------------------------

    def operators(self) -> list[str]:
        """Whose headset is on, in order."""
        with self._lock:
            return sorted(name for name, one in self._operators.items() if one.sink is not None)

    def state(self, operator: str) -> dict[str, Any]:
        """All that is known of a headset; {} where nothing is."""
        with self._lock:
            one = self._operators.get(operator)
            told: dict[str, Any] = {} if one is None else json.loads(one.since(0))
        return told

    def send(self, operator: str, what: Sent) -> bool:
        """A key; False: there is no headset that takes it."""
        with self._lock:
            one = self._operators.get(operator)
            sink = one.sink if one is not None else None
        if sink is None:
            return False
        sink(what)
        return True

    async def follow(
        self, operator: str, *, heartbeat_s: float = HEARTBEAT_S, least_s: float = LEAST_S
    ) -> AsyncIterator[str]:
        """JSON objects: first the whole state, then what changed; `{}` is a sign of life."""
        follower = Follower(asyncio.get_running_loop())
        with self._lock:
            self._followers.setdefault(operator, set()).add(follower)
        version = 0
        try:
            while True:
                follower.woken.clear()
                with self._lock:
                    one = self._of(operator)
                    told, version = one.since(version), one.version
                yield told
                await asyncio.sleep(least_s)
                try:
                    await asyncio.wait_for(follower.woken.wait(), heartbeat_s)
                except TimeoutError:
                    continue
        finally:
            with self._lock:
                self._followers[operator].discard(follower)
