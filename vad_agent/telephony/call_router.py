"""Brings each media stream and the events of its call to the line of its operator.

    stream connects, with its tap ──┐
                                    ├─> answered by an operator ─> the operator's line, until hangup
    call control, by tap ───────────┘

With call control a line begins when an operator answers; until then nothing of the stream is used,
since the client hears ringing, announcements or music. While it is lost each stream is a line of its
own, and the operator's voice is the answer. Where there is none, the dialplan begins the stream with the
answer. In both cases nobody says how the call ended.

Runs in the event loop's thread; no I/O of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.operator_line import OperatorLine

log = logging.getLogger(__name__)

FED_S = 2 * FRAME_S
"""A stream that has brought nothing for this long is turned by the clock."""
TAPPED_S, TAPPED_AGAIN_S = 3.0, 5.0
"""Seconds without a stream in a call until a new tap is asked for, and until it is asked for again."""
TOLD_S = 1.0
"""Seconds for call control to say how a call ended, after its stream has."""


class MediaStream(Protocol):
    """The connection that carries one call."""

    def send(self, pcm: bytes | None) -> None:
        """Send one frame; None: silence."""

    def close(self) -> None:
        """End it."""


@dataclass(slots=True)
class _Tap:
    stream: MediaStream | None = None
    line: OperatorLine | None = None
    fed_at: float = 0.0
    lost_at: float | None = None
    tap_at: float | None = None
    """When a new stream is asked for."""
    by_ear: bool = False
    """Its line was made without call control."""


@dataclass(slots=True)
class RouterCounters:
    """Counted since the start."""

    calls: int = 0
    refused: int = 0
    unknown_events: int = 0
    """Of calls without a stream."""


class CallRouter:
    """`make_line(operator, hang_up)`: a line; `operator`: the login, None if unknown. `most_calls`: a
    stream too many is refused. `hang_up(tap)`: ends the call at the PBX. `controlled()`: call control
    is connected, and tells who answers and how calls end; None: there is none.
    """

    def __init__(
        self,
        make_line: Callable[[str | None, Callable[[], None]], OperatorLine],
        hang_up: Callable[[str], None],
        *,
        controlled: Callable[[], bool] | None,
        most_calls: int,
        drop_line: Callable[[OperatorLine], None] = lambda line: None,
        tap: Callable[[str], None] = lambda tap: None,
    ) -> None:
        self._make_line = make_line
        self._hang_up = hang_up
        self._controlled = controlled
        self._most = most_calls
        self._drop_line = drop_line
        self._ask_for_tap = tap
        self._taps: dict[str, _Tap] = {}
        self._lines: dict[str, OperatorLine] = {}
        self.counters = RouterCounters()
        self.draining = False
        """No new call is taken."""

    @property
    def streams(self) -> int:
        """Streams that are connected."""
        return sum(tap.stream is not None for tap in self._taps.values())

    @property
    def in_call(self) -> int:
        """Operators with a call."""
        return sum(line.in_call for line in self._all_lines())

    # -- media -------------------------------------------------------------------------------------

    def connected(self, id: str, stream: MediaStream, now: float) -> bool:
        """A stream of this tap begins. False: it is refused, because there are too many, or because
        the tap has a stream.
        """
        tap = self._taps.get(id)
        new = tap is None or tap.line is None
        if (self.draining and new) or self.streams >= self._most or (tap and tap.stream):
            self.counters.refused += 1
            return False
        if tap is None:
            tap = self._taps[id] = _Tap()
        self.counters.calls += tap.lost_at is None
        tap.stream, tap.fed_at = stream, now
        tap.lost_at = tap.tap_at = None
        if tap.line is not None:
            tap.line.connect()
        return True

    def _listen(self, id: str, tap: _Tap) -> None:
        """There is no call control: the call is recognized by ear."""
        tap.by_ear = True
        tap.line = self._make_line(None, lambda: self._hang_up(id))
        tap.line.connect()
        answered = self._controlled is None
        kind = EventKind.ANSWERED if answered else EventKind.RINGING
        tap.line.signal(Event(kind))  # without an id: call control may give it one later

    def audio(
        self, id: str, now: float, client: bytes | None, operator: bytes | None = None
    ) -> None:
        """Samples of one side or both (None: none of it have come), int16 mono at 8 kHz."""
        tap = self._taps.get(id)
        if tap is None:
            return
        if tap.line is None:
            if self._controlled is not None and self._controlled():
                return
            self._listen(id, tap)
        assert tap.line is not None
        tap.fed_at = now
        capture = tap.line.capture
        for channel, pcm in ((Channel.CLIENT, client), (Channel.OPERATOR, operator)):
            if pcm is not None:
                capture.push(channel, now, pcm)
        tap.line.turn(now)

    def missing(self, id: str, channel: Channel, frames: int) -> None:
        """So many frames of a side are missing between its last samples and its next ones."""
        tap = self._taps.get(id)
        if tap is not None and tap.line is not None:
            tap.line.capture.skip(channel, frames)

    def disconnected(self, id: str, now: float) -> None:
        """The stream has ended: with its call, or because something between us broke."""
        tap = self._taps.get(id)
        if tap is None:
            return
        tap.stream, tap.lost_at = None, now
        if tap.line is not None:
            tap.line.disconnect()

    def tick(self, now: float) -> None:
        """Each 20 ms: send a frame to each stream, and turn the lines to which none comes."""
        for id, tap in tuple(self._taps.items()):
            try:
                self._turn(id, tap, now)
            except Exception as error:  # the clock is every call's
                log.error("a call's turn failed", extra={"why": type(error).__name__})

    def _turn(self, id: str, tap: _Tap, now: float) -> None:
        line = tap.line
        if tap.stream is not None:
            tap.stream.send(line.next_frame(now) if line is not None else None)
        if line is not None and now - tap.fed_at > FED_S and line.in_call:
            line.turn(now)
        if tap.lost_at is not None and now - tap.lost_at > TOLD_S:
            self._forget(id, tap)
        if tap.stream is None and line is not None and not tap.by_ear:
            self._tap_again(id, tap, now)

    def _tap_again(self, id: str, tap: _Tap, now: float) -> None:
        """The call has no stream: it broke, or this process has just begun."""
        if tap.tap_at is None:
            tap.tap_at = now + TAPPED_S
        elif now >= tap.tap_at:
            tap.tap_at = now + TAPPED_AGAIN_S
            self._ask_for_tap(id)

    def _forget(self, id: str, tap: _Tap) -> None:
        """A tap without a stream. With call control its call goes on until that says otherwise."""
        line = tap.line
        if line is not None and tap.by_ear:
            if line.in_call:
                line.signal(Event(EventKind.LINE_GONE, cause="stream ended"))
            if line.asks:
                return
            line.end()
            self._drop_line(line)
        if line is None or tap.by_ear:
            del self._taps[id]

    # -- call control ------------------------------------------------------------------------------

    def control(self, told: TapEvent, login: str | None) -> None:
        """Take an event of a tap's call. `login`: of its operator."""
        kind = told.event.kind
        tap = self._taps.get(told.tap)
        if kind is EventKind.ANSWERED:
            tap = self._taps.setdefault(told.tap, _Tap())
            self._answered(told, tap, login)
        elif tap is None or tap.line is None:
            self.counters.unknown_events += 1
        else:
            tap.line.signal(told.event)
            if kind in (EventKind.HANGUP, EventKind.LINE_GONE):
                self._left(told.tap, tap)

    def _answered(self, told: TapEvent, tap: _Tap, login: str | None) -> None:
        if tap.line is None:
            key = login or f"tap {told.tap}"
            line = self._lines.get(key)
            if any(other.line is line for other in self._taps.values() if line is not None):
                key, line = f"tap {told.tap}", None  # his other call is waiting: each has its sound
            if line is None:
                line = self._lines[key] = self._make_line(login, lambda: self._end_of(key))
            tap.line = line
            if tap.stream is not None:
                line.connect()
        if told.resumed and not tap.line.in_call:
            tap.line.resume(told.event)
        else:
            tap.line.signal(told.event)

    def _left(self, id: str, tap: _Tap) -> None:
        line = tap.line
        assert line is not None
        if not tap.by_ear:  # the next operator may answer
            tap.line = None
            line.disconnect()
        if tap.stream is None:
            self._taps.pop(id, None)

    def _end_of(self, key: str) -> None:
        line = self._lines.get(key)
        for id, tap in self._taps.items():
            if tap.line is line:
                self._hang_up(id)

    # -- lines -------------------------------------------------------------------------------------

    def prune(self) -> None:
        """Once a second: drop lines that have no call, and no open question."""
        used = {id(tap.line) for tap in self._taps.values()}
        for key, line in tuple(self._lines.items()):
            if id(line) not in used and not line.in_call and not line.asks:
                del self._lines[key]
                line.end()
                self._drop_line(line)

    def close(self) -> None:
        """The process ends: every call ends with all its requests."""
        for line in tuple(self._all_lines()):
            line.end()
            self._drop_line(line)
        for tap in self._taps.values():
            if tap.stream is not None:
                tap.stream.close()
        self._taps.clear()
        self._lines.clear()

    def _all_lines(self) -> Iterator[OperatorLine]:
        lines = {id(line): line for line in self._lines.values()}
        lines |= {id(tap.line): tap.line for tap in self._taps.values() if tap.line is not None}
        return iter(tuple(lines.values()))
