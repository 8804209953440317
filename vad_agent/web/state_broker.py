"""Live states from the headsets to the open pages, and the operators' keys back. No truth of its own.

    headset ── publish(operator, state) ──> broker ── follow(operator) ──> pages, each at its own pace
            <── sink(event) ─────────────────┘ <── send(operator, event) ── a page's key

A state is a flat object; of each key the broker keeps the value, encoded once, and a growing number. A page
is told what has changed since it was last told, so one that is slow misses moments and no changes. A headset
that comes on tells all of its state first, in the place of the last one's. `gone` is the broker's own key.
Capital letters of an operator's login do not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from vad_agent.client.headset_protocol import ControlMessage, ControlSink
from vad_agent.common.identity import folded

HEARTBEAT_S = 5.0
"""A page that hears nothing for longer than this knows that it is cut off."""
LEAST_S = 0.02
"""Between two messages to a page: a frame; what comes faster is told together."""
GONE = "gone"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class LinkEnd(StrEnum):
    """Why a headset's keys go to it no more, though it is on."""

    REPLACED = "replaced"
    """Another one of this operator is on."""
    CLOSED = "closed"
    """The broker is."""


class _Operator:
    """One headset's state: key → (number of its last change, JSON of its value)."""

    def __init__(self, name: str) -> None:
        self.name = name
        """As the headset writes it, or whoever asked first."""
        self.values: dict[str, tuple[int, str]] = {}
        self.version = 0
        self.sink: ControlSink | None = None
        self.over: Callable[[LinkEnd], None] | None = None
        self.begins = False
        """The headset has told nothing yet: what is known is of the one before it."""
        self.followers: set[Follower] = set()
        self._told = (
            0,
            0,
            "{}",
        )  # (after which version, up to which, JSON): pages mostly keep step
        self.take({GONE: True})

    def take(self, state: Mapping[str, Any]) -> bool:
        """Whether anything changed."""
        changed = self.begins
        if self.begins:
            self.version += 1
            self.values.clear()
            self.begins = False
        for key, value in state.items():
            encoded = _encode(value)
            known = self.values.get(key)
            if known is None or known[1] != encoded:
                if not changed:
                    self.version += 1
                    changed = True
                self.values[key] = (self.version, encoded)
        return changed

    def since(self, version: int) -> str:
        """What changed after a version, as a JSON object."""
        after, upto, told = self._told
        if (after, upto) != (version, self.version):
            parts = [
                f"{json.dumps(key)}:{encoded}"
                for key, (number, encoded) in self.values.items()
                if number > version
            ]
            told = "{" + ",".join(parts) + "}"
            self._told = (version, self.version, told)
        return told


class Follower:
    """One open page; its event is set in the loop that follows."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.woken = asyncio.Event()


def _wake(followers: Iterable[Follower]) -> None:
    """From any thread: each other loop is woken once, as that costs more than all its pages."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Follower]] = {}
    for follower in followers:
        by_loop.setdefault(follower.loop, []).append(follower)
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    for loop, its in by_loop.items():
        if loop is here:  # a headset's link publishes in it: 20 µs less, see benchmarks/panel
            _set(its)
            continue
        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(_set, its)


def _set(followers: list[Follower]) -> None:
    for follower in followers:
        follower.woken.set()


class StateBroker:
    """All headsets that are on. Methods may be called by any thread; `follow` by a loop's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operators: dict[str, _Operator] = {}
        self._closed = False

    # -- the headset's side --------------------------------------------------------------------------

    def attach(
        self, operator: str, sink: ControlSink, over: Callable[[LinkEnd], None] | None = None
    ) -> None:
        """This headset is on: keys of its panel go to `sink`. Of two the later one has them.

        `over`: told, in any thread, that they don't any more; not after a `detach`.
        """
        with self._lock:
            one = self._of(operator)
            before, one.over, one.sink, one.begins = one.over, over, sink, True
            one.name = operator
            closed = self._closed
        if before is not None:
            before(LinkEnd.REPLACED)
        if closed and over is not None:
            over(LinkEnd.CLOSED)

    def publish(
        self, operator: str, state: Mapping[str, Any], sink: ControlSink | None = None
    ) -> None:
        """How things stand there: all of it, or what has changed. `sink`: only if keys go to it still."""
        with self._lock:
            one = self._of(operator)
            if sink is not None and one.sink != sink:  # a bound method is made anew each time
                return
            changed = one.take({**state, GONE: False})
            followers = tuple(one.followers) if changed else ()
        _wake(followers)

    def detach(self, operator: str, sink: ControlSink | None = None) -> None:
        """This headset is off; its panel says so. `sink`: only if it is still that one's."""
        with self._lock:
            one = self._of(operator)
            if sink is not None and one.sink != sink:
                return
            one.sink, one.over, one.begins = None, None, False
            one.take({GONE: True})
            followers = tuple(one.followers)
        _wake(followers)

    def close(self) -> None:
        """The server ends: nobody follows any more, and headsets have to go."""
        with self._lock:
            self._closed = True
            everyone = self._operators.values()
            followers = [page for one in everyone for page in one.followers]
            overs = [one.over for one in everyone if one.over is not None]
        _wake(followers)
        for over in overs:
            over(LinkEnd.CLOSED)

    def _of(self, operator: str) -> _Operator:
        name = folded(operator)
        if (one := self._operators.get(name)) is None:
            one = self._operators[name] = _Operator(operator)
        return one

    # -- the pages' side -----------------------------------------------------------------------------

    def operators(self) -> list[str]:
        """Whose headset is on, in order."""
        with self._lock:
            return sorted(one.name for one in self._operators.values() if one.sink is not None)

    def state(self, operator: str) -> dict[str, Any]:
        """All that is known of a headset; of one that never was only that it is gone."""
        with self._lock:
            one = self._operators.get(folded(operator))
            told = None if one is None else one.since(0)
        state: dict[str, Any] = {GONE: True} if told is None else json.loads(told)
        return state

    def send(self, operator: str, what: ControlMessage) -> bool:
        """A key; False: there is no headset that takes it."""
        with self._lock:
            one = self._operators.get(folded(operator))
            sink = None if one is None else one.sink
        if sink is None:
            return False
        sink(what)
        return True

    async def follow(
        self, operator: str, *, heartbeat_s: float = HEARTBEAT_S, least_s: float = LEAST_S
    ) -> AsyncGenerator[str, None]:
        """JSON objects: first the whole state, then what changed; `{}` is a sign of life.

        Until the broker closes. Whoever leaves earlier closes it (`contextlib.aclosing`).
        """
        follower = Follower(asyncio.get_running_loop())
        with self._lock:
            one = self._of(operator)
            one.followers.add(follower)
        version = 0
        try:
            while True:
                follower.woken.clear()
                with self._lock:
                    told, version, last = one.since(version), one.version, self._closed
                yield told
                if last:
                    return
                if least_s:
                    await asyncio.sleep(least_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(heartbeat_s):
                        await follower.woken.wait()
        finally:
            with self._lock:
                one.followers.discard(follower)
                if one.sink is None and not one.followers and one.version == 1:
                    self._operators.pop(folded(operator), None)  # nothing was ever known of it
