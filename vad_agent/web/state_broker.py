"""Passes live states from headsets to open pages, and operators' commands back. Stores nothing durable.

    headset ── publish(operator, state) ──> broker ── follow(operator) ──> pages, each at its own pace
            <── sink(event) ─────────────────┘ <── send(operator, event) ── a page's command

A state is a flat object. For each key the broker keeps the value, encoded once, and a growing
number. A page gets what has changed since its last message, so a slow page misses intermediate
values but no change. A headset that connects sends its whole state first, which replaces the
previous one. `gone` is the broker's own key. Logins are compared without case.
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
"""A page that receives nothing for longer than this is disconnected."""
LEAST_S = 0.02
"""Seconds between two messages to a page: one frame. Faster changes are combined."""
GONE = "gone"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class LinkEnd(StrEnum):
    """Why a headset receives no more commands while it is still connected."""

    REPLACED = "replaced"
    """Another headset of this operator has connected."""
    CLOSED = "closed"
    """The broker is closed."""


class _Operator:
    """One headset's state: key → (number of its last change, JSON of its value)."""

    def __init__(self, name: str) -> None:
        self.name = name
        """As the headset writes it, or the first caller."""
        self.values: dict[str, tuple[int, str]] = {}
        self.version = 0
        self.sink: ControlSink | None = None
        self.over: Callable[[LinkEnd], None] | None = None
        self.begins = False
        """The headset has sent nothing yet: the stored state is the previous one's."""
        self.followers: set[Follower] = set()
        self._told = (
            0,
            0,
            "{}",
        )  # (after which version, up to which, JSON): most pages are at the same version
        self.take({GONE: True})

    def take(self, state: Mapping[str, Any]) -> bool:
        """Apply changes. Return whether anything changed."""
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
        """The changes after a version, as a JSON object."""
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
    """Wake followers from any thread.

    Each other loop is woken once, because that costs more than all its pages.
    """
    by_loop: dict[asyncio.AbstractEventLoop, list[Follower]] = {}
    for follower in followers:
        by_loop.setdefault(follower.loop, []).append(follower)
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    for loop, its in by_loop.items():
        if loop is here:  # a headset's link publishes in it: 20 µs less, see benchmarks/web
            _set(its)
            continue
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_set, its)


def _set(followers: list[Follower]) -> None:
    for follower in followers:
        follower.woken.set()


class StateBroker:
    """All connected headsets. Any thread may call its methods; `follow` runs in an event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operators: dict[str, _Operator] = {}
        self._closed = False

    # -- for headsets
    # --------------------------------------------------------------------------------------

    def attach(
        self, operator: str, sink: ControlSink, over: Callable[[LinkEnd], None] | None = None
    ) -> None:
        """Connect a headset: commands of its panel go to `sink`. Of two headsets the later one
        receives them.

        `over`: called, in any thread, when it no longer receives commands; not after a `detach`.
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
        """Update the headset's state: all of it, or what has changed.

        `sink`: only if it still receives commands.
        """
        with self._lock:
            one = self._of(operator)
            if sink is not None and one.sink != sink:  # a bound method is a new object each time
                return
            changed = one.take({**state, GONE: False})
            followers = tuple(one.followers) if changed else ()
        _wake(followers)

    def detach(self, operator: str, sink: ControlSink | None = None) -> None:
        """Disconnect a headset; its panel shows so. `sink`: only if it is still connected with this one."""
        with self._lock:
            one = self._of(operator)
            if sink is not None and one.sink != sink:
                return
            one.sink, one.over, one.begins = None, None, False
            one.take({GONE: True})
            followers = tuple(one.followers)
        _wake(followers)

    def close(self) -> None:
        """The server ends: end all followers and headset links."""
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

    # -- for pages
    # -----------------------------------------------------------------------------------------

    def operators(self) -> list[str]:
        """Operators of connected headsets, in order."""
        with self._lock:
            return sorted(one.name for one in self._operators.values() if one.sink is not None)

    def state(self, operator: str) -> dict[str, Any]:
        """The known state of a headset; for an unknown one, only that it is gone."""
        with self._lock:
            one = self._operators.get(folded(operator))
            told = None if one is None else one.since(0)
        state: dict[str, Any] = {GONE: True} if told is None else json.loads(told)
        return state

    def is_followed(self, operator: str) -> bool:
        """A page of this operator is open."""
        with self._lock:
            one = self._operators.get(folded(operator))
            return one is not None and bool(one.followers)

    def send(self, operator: str, what: ControlMessage) -> bool:
        """Send a command. False: no headset receives it."""
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
        """Yield JSON objects: first the whole state, then changes; `{}` is a heartbeat.

        Ends when the broker closes. A caller that stops earlier closes it (`contextlib.aclosing`).
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
