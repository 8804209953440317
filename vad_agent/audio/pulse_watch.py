"""Tracks the sound server's graph.

When a device is unplugged, the server silently moves its streams to another one. The stream's
reader notices nothing and would take another sound for the client's. `PulseWatch` detects it.

    no event                ── the thread sleeps in the server's socket
    an event                ─> read everything again (a few ms) ─> has it changed? ─> on_change()
    the server is gone      ─> on_change(), then a retry every RETRY_S until it is back ─> on_change()
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from vad_agent.audio.devices import DeviceRole
from vad_agent.audio.pulse_server import connect, libpulse, server_errors
from vad_agent.audio.sound_graph import SoundGraph, graph_of

RETRY_S: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each retry to connect; the last value repeats."""
BURST_S = 0.02
"""Seconds between two readings: one device causes a dozen events when it comes or goes."""
END_S = 1.0
EVENTS = ("sink", "source", "sink_input", "source_output", "server")


class PulseWatch:
    """A thread that tracks the sound server, and calls `on_change()` in that thread whenever its
    state changes.

    Without changes it costs nothing. Queries are answered at once from the last state, in any
    thread; without a server, with None.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._graph: SoundGraph | None = None
        self._connection: Any = None
        self._lock = threading.Lock()  # guards the connection
        self._dirty = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse watch", daemon=True)

    def start(self) -> None:
        """Start; without libpulse, as on Windows, do nothing."""
        if libpulse() is not None:
            self._thread.start()

    @property
    def connected(self) -> bool:
        """The server answers."""
        return self._graph is not None

    @property
    def graph(self) -> SoundGraph | None:
        """The last state; None: no server answers."""
        return self._graph

    def where(self, pid: int) -> str | None:
        """The source or sink that the process's stream uses now; None: it has no stream."""
        graph = self._graph
        return None if graph is None else graph.device_of(pid)

    def default(self, role: DeviceRole) -> str | None:
        """The server's default for the role: the source, the sink, or for the client the sink's monitor."""
        graph = self._graph
        if graph is None:
            return None
        if role is DeviceRole.CLIENT:
            return graph.monitors.get(graph.default_sink)
        return (graph.default_source if role.captures else graph.default_sink) or None

    def close(self) -> None:
        """Stop the thread; one that waits for a hanging server is left to end by itself."""
        self._closing.set()
        until = time.monotonic() + END_S
        while self._thread.is_alive() and time.monotonic() < until:
            with self._lock:
                if self._connection is not None:
                    self._connection.event_listen_stop()
            self._thread.join(0.05)  # again: it may just have begun to listen

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        tries = 0
        while not self._closing.is_set():
            if (connection := connect("vad-agent watch")) is not None:
                tries = 0
                self._attach(connection)
                with contextlib.suppress(*server_errors()):
                    self._follow(connection)
                self._attach(None)
                connection.close()
                self._show(None)
            self._closing.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    def _attach(self, connection: Any) -> None:
        with self._lock:  # libpulse aborts the process if a closed connection is woken
            self._connection = connection

    def _follow(self, connection: Any) -> None:
        """Run until the server is gone (an error), or until closed."""
        pulsectl = libpulse()

        def on_event(_: Any) -> None:
            self._dirty = True
            raise pulsectl.PulseLoopStop

        connection.event_callback_set(on_event)
        connection.event_mask_set(*EVENTS)
        self._dirty = True
        while not self._closing.is_set():
            if self._dirty:
                self._dirty = False
                self._show(graph_of(connection))
                self._closing.wait(BURST_S)
            else:
                connection.event_listen()

    def _show(self, graph: SoundGraph | None) -> None:
        if graph != self._graph and not self._closing.is_set():
            self._graph = graph
            self._on_change()
