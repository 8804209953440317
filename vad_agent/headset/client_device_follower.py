"""Finds the sink into which the softphone plays, across moves of its stream, other defaults and
restarts of the server. Pure: time is an argument.

    headset   ▁▇▇▇▇▇▇▇▇                    the stream plays into the client's device
    speakers           ▇▇▇▇▇▇▇▇▇▇          it was moved: it is the same call, captured there
    used      ▁▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▁▁▁▁      the softphone plays, wherever it does

The softphone is whatever plays into the captured sink. Of several programs it is one that also
records, as a telephone does and a music player does not. A moved stream keeps its number. A program
that reacts to a change of devices by closing its stream and opening another one is recognized by its
process, for `SETTLES_S` after the change, and later while it has not returned to its own sink.
"""

from __future__ import annotations

from dataclasses import dataclass

from vad_agent.audio.sound_graph import SoundGraph, Stream
from vad_agent.headset.call_tracker import SETTLES_S


@dataclass(frozen=True, slots=True)
class ClientSink:
    """Where the softphone plays."""

    sink: str
    """The sink to capture."""
    used: bool
    """The softphone plays, into this sink or into another one."""
    barred: str = ""
    """The sink that it plays into, if that one must not be captured."""
    changed: bool = False
    """Sinks, the default or the server have changed since the last look."""


class ClientDeviceFollower:
    """`home`: the sink that was named; None: the server's default one. `barred`: sinks that carry
    our own prompts into the call: captured, the operator and the prompts would be the client.
    """

    def __init__(self, home: str | None, barred: frozenset[str] = frozenset()) -> None:
        self._named = home
        self._barred = barred - {home}
        self._home = home
        self._sink = home
        self._streams: frozenset[int] = frozenset()  # numbers of the softphone's streams
        self._pids: frozenset[int | None] = frozenset()
        self._records = False  # the softphone is a program that also records
        self._astray = False  # it has been moved away from its own sink
        self._devices: tuple[frozenset[str], str] | None = None
        self._settled_at = 0.0

    def gone(self) -> None:
        """The server does not answer."""
        self._devices = frozenset(), ""

    def look(self, graph: SoundGraph, now: float) -> ClientSink:
        """The sink that it plays into, in this state of the server at time `now` (s)."""
        changed = self._note_devices(graph, now)
        home = self._named or graph.default_sink
        lives = [one for one in graph.playing_programs() if self._is_softphone(one, now)]
        if self._sink is None or (home != self._home and not lives):
            self._sink, self._astray = home, False
        self._home = home
        open_to_us = [
            one
            for one in graph.playing_programs()
            if (one in lives or one.device == home)
            and one.device in graph.monitors.keys() - self._barred
        ]
        used = bool(lives)
        if open_to_us:
            best = max(open_to_us, key=lambda one: self._rank(one, one in lives, graph))
            self._sink, self._astray = best.device, best.device != home
            records = graph.also_records(best)
            if best in lives or records or not self._records:
                used = True
                self._remember(
                    best, records, graph, [one for one in lives if one not in open_to_us]
                )
        elif self._sink not in graph.monitors:
            self._sink, self._astray = home, False
        barred = [one.device for one in lives if one.device in self._barred]
        return ClientSink(
            sink=self._sink,
            used=used,
            barred=barred[0] if barred and not open_to_us else "",
            changed=changed,
        )

    def _note_devices(self, graph: SoundGraph, now: float) -> bool:
        devices = frozenset(graph.monitors), graph.default_sink
        before, self._devices = self._devices, devices
        if before in (None, devices):
            return False
        self._settled_at = now + SETTLES_S
        return True

    def _is_softphone(self, stream: Stream, now: float) -> bool:
        if stream.index in self._streams and stream.pid in self._pids:
            return True
        return stream.pid in self._pids and (self._astray or now < self._settled_at)

    def _rank(self, stream: Stream, lives: bool, graph: SoundGraph) -> tuple[int, bool, bool, int]:
        at_home = stream.device == self._home
        kind = 2 if lives and graph.also_records(stream) else int(at_home)
        return kind, stream.device == self._sink, at_home, stream.index

    def _remember(
        self, best: Stream, records: bool, graph: SoundGraph, others: list[Stream]
    ) -> None:
        """The softphone is what plays beside `best`; `others` of it are being moved, or barred."""
        self._records = self._records or records
        same = [
            one
            for one in graph.playing_programs()
            if one.device == best.device and (not records or graph.also_records(one))
        ]
        self._streams = frozenset(one.index for one in (*same, *others))
        self._pids = frozenset(one.pid for one in (*same, *others))
