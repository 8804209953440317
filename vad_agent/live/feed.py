"""A headset's status to who shows it: each change at once, levels as often as they are looked at."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vad_agent.live.keymap import Sent
from vad_agent.live.snapshot import snapshot
from vad_agent.live.status import Status

Sink = Callable[[Sent], None]
"""Takes the keys that a panel sends; any thread."""

IDLE_S = 0.5
"""What is written between two looks, as a complaint of a hook, is told so soon."""


class States(Protocol):
    """Where a headset's states go, and its keys come from: a hub in this process, or the desk's."""

    def attach(self, operator: str, sink: Sink) -> None:
        """The headset is on; keys go to `sink`."""

    def publish(self, operator: str, state: Mapping[str, Any]) -> None:
        """How things stand: all of it, or what has changed."""

    def detach(self, operator: str, sink: Sink) -> None:
        """The headset is off."""


class Feed:
    """Publishes in a thread of its own, so that the live loop only sets a flag (`changed`)."""

    def __init__(self, states: States, operator: str, status: Status, sink: Sink) -> None:
        self._states = states
        self._operator = operator
        self._status = status
        self._sink = sink
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """The headset is on."""
        self._states.attach(self._operator, self._sink)
        self._thread.start()

    def changed(self) -> None:
        """The status was written; any thread, takes no time."""
        self._changed.set()

    def stop(self) -> None:
        """The headset is off; a second time, nothing."""
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2)
        self._states.detach(self._operator, self._sink)

    def _run(self) -> None:
        while not self._stopped.is_set():
            # A copy: what is looked at twice must not change in between.
            self._states.publish(self._operator, snapshot(copy.copy(self._status), self._operator))
            self._changed.wait(IDLE_S)
            self._changed.clear()
