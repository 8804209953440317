"""A headset's status to a hub: each change at once, levels as often as they are looked at."""

from __future__ import annotations

import copy
import threading

from vad_agent.live.snapshot import snapshot
from vad_agent.live.status import Status
from vad_agent.panel.hub import Hub, Sink

IDLE_S = 0.5
"""What is written between two looks, as a complaint of a hook, is told so soon."""


class Feed:
    """Publishes in a thread of its own, so that the live loop only sets a flag (`changed`)."""

    def __init__(self, hub: Hub, operator: str, status: Status, sink: Sink) -> None:
        self._hub = hub
        self._operator = operator
        self._status = status
        self._sink = sink
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="panel feed", daemon=True)

    def start(self) -> None:
        """The headset is on."""
        self._hub.attach(self._operator, self._sink)
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
        self._hub.detach(self._operator, self._sink)

    def _run(self) -> None:
        while not self._stopped.is_set():
            # A copy: what is looked at twice must not change in between.
            self._hub.publish(self._operator, snapshot(copy.copy(self._status), self._operator))
            self._changed.wait(IDLE_S)
            self._changed.clear()
