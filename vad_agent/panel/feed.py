"""A headset's status to a hub: each change at once, levels as often as they are looked at."""

from __future__ import annotations

import threading

from vad_agent.live.snapshot import snapshot
from vad_agent.live.status import Status
from vad_agent.panel.hub import Hub, Sink

IDLE_S = 0.5


class Feed:
    """Publishes in a thread of its own, so that the live loop only sets a flag (`changed`)."""

    def __init__(self, hub: Hub, operator: str, status: Status, sink: Sink) -> None:
        self._hub = hub
        self._operator = operator
        self._status = status
        self._sink = sink
        self._changed = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="panel feed", daemon=True)

    def start(self) -> None:
        """The headset is on."""
        self._hub.attach(self._operator, self._sink)
        self._thread.start()

    def changed(self) -> None:
        """The status was written; any thread, takes no time."""
        self._changed.set()

    def stop(self) -> None:
        """The headset is off."""
        self._stop = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2)
        self._hub.detach(self._operator)

    def _run(self) -> None:
        while not self._stop:
            self._hub.publish(self._operator, snapshot(self._status, self._operator))
            self._changed.wait(IDLE_S)
            self._changed.clear()
