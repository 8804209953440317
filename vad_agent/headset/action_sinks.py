"""Distributes the actions of calls to sinks: trace, recording, hooks, display. Each call has its own id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from vad_agent.core.actions import Action, CallbackWithdrawn, Phase, PhaseChanged


class ActionSink(Protocol):
    """A receiver of sessions' actions. It must not block, and handles its own errors."""

    def begin(self, call: str, began: datetime) -> None:
        """The following actions belong to this call."""

    def take(self, actions: Sequence[Action]) -> None:
        """Take actions in order."""

    def end(self) -> None:
        """The call is over."""

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Take actions of a call that is over; another one may be on."""


class ActionSinks:
    """All sinks. `begin` may come before the previous call's last actions are taken."""

    def __init__(self, sinks: Sequence[ActionSink], now: Callable[[], datetime]) -> None:
        self._sinks = sinks
        self._now = now
        self._next: list[tuple[str, datetime]] = []
        self._on = False
        self._last = ""

    def begin(self) -> str:
        """Begin a new call and return its id: the time to the second, with a number if that is not
        unique.
        """
        began = self._now()
        stem = began.strftime("%Y-%m-%dT%H-%M-%S")
        call, number = stem, 1
        while call <= self._last and self._last.startswith(stem):
            number += 1
            call = f"{stem}-{number}"
        self._last = call
        self._next.append((call, began))
        return call

    def take(self, actions: Sequence[Action]) -> None:
        """Pass each call's actions, under its id, to all sinks."""
        rest = list(actions)
        while rest:
            if not self._on and isinstance(rest[0], CallbackWithdrawn):
                for sink in self._sinks:
                    sink.take(rest[:1])  # of the previous call, which continues after all
                rest = rest[1:]
                continue
            if not self._on and self._next:
                self._on = True
                call, began = self._next.pop(0)
                for sink in self._sinks:
                    sink.begin(call, began)
            end = next((n for n, action in enumerate(rest, 1) if _ends(action)), None)
            part, rest = rest[:end], rest[end:] if end else []
            for sink in self._sinks:
                sink.take(part)
            if end:
                self.end()

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Pass actions of a call that is over to all sinks."""
        for sink in self._sinks:
            sink.late(call, actions)

    def end(self) -> None:
        """The call or the program has ended."""
        if self._on:
            self._on = False
            for sink in self._sinks:
                sink.end()


def _ends(action: Action) -> bool:
    return isinstance(action, PhaseChanged) and action.phase is Phase.ENDED
