"""Brings each media stream and the events of its call to the line of its operator.

    stream connects, with its tap ──┐
                                    ├─> answered by an operator ─> the operator's line, until hangup
    call control, by tap ───────────┘

With call control a line begins when an operator answers; until then nothing of the stream is used,
since the client hears ringing, announcements or music. While it is lost each stream is a line of its
own, and the operator's voice is the answer. Where there is none, the dialplan begins the stream with the
answer. In both cases nobody says how the call ended.

A call has one stream with both sides, or one for each side: their names have one `tap_key`. Prompts go
into the stream that reaches the client.

Runs in the event loop's thread; no I/O of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.call_control import TapEvent, tap_key
from vad_agent.telephony.call_tap import CallTap, TapLeg, side_of
from vad_agent.telephony.load_admission import LoadAdmission
from vad_agent.telephony.operator_line import OperatorLine
from vad_agent.telephony.prompt_stream import MediaStream

log = logging.getLogger(__name__)

FED_S = 2 * FRAME_S
"""A stream that has brought nothing for this long is turned by the clock."""
STALLED_S = 5.0
"""Seconds without a frame of either side, where call control says that the call is on, and not on hold: its
stream stands still. Both sides are lost, as if it had broken, before the client would count as gone.
"""
GONE_S = 30.0
"""Seconds without a frame, after call control was lost: the PBX is gone, and the call with it."""
TAPPED_S, TAPPED_AGAIN_S = 3.0, 5.0
"""Seconds without a stream in a call until a new tap is asked for, and until it is asked for again."""
TOLD_S = 1.0
"""Seconds for call control to say how a call ended, after its stream has."""


@dataclass(slots=True)
class RouterCounters:
    """Counted since the start."""

    calls: int = 0
    refused: int = 0
    refused_by_load: int = 0
    """Of `refused`."""
    unknown_events: int = 0
    """Of calls without a stream."""


class CallRouter:
    """`make_line(operator, hang_up)`: a line; `operator`: the login, None if unknown. `most_calls`: a
    stream too many is refused; `admission`: refuses earlier, where the processor is too slow for as many.
    `hang_up(tap)`: ends the call at the PBX. `controlled()`: call control is connected, and tells who
    answers and how calls end; None: there is none.
    """

    def __init__(
        self,
        make_line: Callable[[str | None, Callable[[], None]], OperatorLine],
        hang_up: Callable[[str], None],
        *,
        controlled: Callable[[], bool] | None,
        most_calls: int,
        admission: LoadAdmission | None = None,
        drop_line: Callable[[OperatorLine], None] = lambda line: None,
        tap: Callable[[str], None] = lambda tap: None,
    ) -> None:
        self._make_line = make_line
        self._hang_up = hang_up
        self._controlled = controlled
        self._most = most_calls
        self._admission = admission
        self._drop_line = drop_line
        self._ask_for_tap = tap
        self._taps: dict[str, CallTap] = {}
        self._lines: dict[str, OperatorLine] = {}
        self.counters = RouterCounters()
        self.draining = False
        """No new call is taken."""

    @property
    def streams(self) -> int:
        """Calls with a stream."""
        return sum(bool(tap.legs) for tap in self._taps.values())

    @property
    def heard(self) -> int:
        """Calls with a stream that is used: they cost processor time."""
        return sum(
            bool(tap.legs) and tap.line is not None and tap.line.in_call
            for tap in self._taps.values()
        )

    @property
    def in_call(self) -> int:
        """Operators with a call."""
        return sum(line.in_call for line in self._all_lines())

    # -- media -------------------------------------------------------------------------------------

    def connected(
        self,
        id: str,
        stream: MediaStream,
        now: float,
        *,
        side: Channel | None = None,
        two_way: bool = True,
        operator: str | None = None,
        phone: str | None = None,
    ) -> bool:
        """A stream of this tap begins. False: it is refused, because there are too many calls, because
        the processor is too slow for one more, or because the tap has a stream of this side.

        `side`: that it carries; None: both, or it is not known yet. `two_way`: it takes prompts.
        `operator`, `phone`: the login and the client's number, where the stream itself tells them.
        """
        tap = self._taps.get(tap_key(id))
        first = tap is None or not tap.legs
        new = tap is None or tap.line is None
        full = first and ((self.draining and new) or self.streams >= self._most)
        if full or (tap is not None and not tap.takes(id, side)):
            self.counters.refused += 1
            return False
        if (
            self._admission is not None
            and not (tap is not None and tap.admitted)
            and self._admission.refuses(self.streams, now)
        ):
            self.counters.refused += 1
            self.counters.refused_by_load += 1
            return False
        if tap is None:
            tap = self._taps[tap_key(id)] = CallTap(id)
        tap.admitted = True
        self.counters.calls += first and tap.lost_at is None
        tap.legs.append(TapLeg(id, stream, side, two_way))
        if len(tap.legs) > 1:
            for leg in tap.legs:
                leg.side = leg.side or side_of(leg.id)
        tap.operator, tap.phone = operator or tap.operator, phone or tap.phone
        tap.fed_at, tap.stalled = now, set()
        tap.lost_at = tap.tap_at = None
        if tap.line is not None:
            if first:
                tap.line.connect()
            elif (known := tap.legs[-1].side) is not None:
                tap.line.regain(known)
        self._choose_speaker(tap, changed=first)
        return True

    def mono(self, id: str, stream: MediaStream) -> Channel | None:
        """This stream turns out to carry one side, which its name tells; None: it does not."""
        side = side_of(id)
        tap = self._taps.get(tap_key(id))
        for leg in tap.legs if tap is not None and side is not None else ():
            if leg.stream is stream:
                leg.side = side
                assert tap is not None
                self._choose_speaker(tap)
        return side

    def _choose_speaker(self, tap: CallTap, *, changed: bool = False) -> None:
        speaker = tap.find_speaker()
        if speaker is not tap.speaker or changed:
            tap.speaker = speaker
            if tap.line is not None:
                tap.line.speak_into(speaker)

    def _listen(self, tap: CallTap) -> None:
        """There is no call control: the call is recognized by ear."""
        tap.by_ear = True
        tap.line = self._make_line(tap.operator, lambda: self._hang_up(tap.name))
        tap.line.connect()
        tap.line.speak_into(tap.speaker)
        answered = self._controlled is None
        kind = EventKind.ANSWERED if answered else EventKind.RINGING
        # Without an id: call control may give it one later.
        tap.line.signal(Event(kind, phone=tap.phone))

    def audio(
        self, id: str, now: float, client: bytes | None, operator: bytes | None = None
    ) -> None:
        """Samples of one side or both (None: none of it have come), int16 mono at 8 kHz."""
        tap = self._taps.get(tap_key(id))
        if tap is None:
            return
        tap.fed_at = now
        if tap.line is None:
            if self._controlled is not None and self._controlled():
                return
            self._listen(tap)
        assert tap.line is not None
        if client is not None:
            self._push(tap, tap.line, Channel.CLIENT, now, client)
        if operator is not None:
            self._push(tap, tap.line, Channel.OPERATOR, now, operator)
        tap.line.turn(now)

    def _push(
        self, tap: CallTap, line: OperatorLine, channel: Channel, now: float, pcm: bytes
    ) -> None:
        if channel in tap.stalled:
            tap.stalled.discard(channel)
            line.regain(channel)
        line.capture.push(channel, now, pcm)

    def missing(self, id: str, channel: Channel, frames: int) -> None:
        """So many frames of a side are missing between its last samples and its next ones."""
        tap = self._taps.get(tap_key(id))
        if tap is not None and tap.line is not None:
            tap.line.capture.skip(channel, frames)

    def marked(self, id: str, number: int, mark: Mark, at: float) -> None:
        """The peer of a stream has played phrase `number` up to this mark; it is heard at `at` (s)."""
        tap = self._taps.get(tap_key(id))
        if tap is not None and tap.line is not None:
            tap.line.marked(number, mark, at)

    def disconnected(self, id: str, now: float, stream: MediaStream | None = None) -> None:
        """A stream has ended (None: all of this tap's): with its call, or because something between us
        broke.
        """
        tap = self._taps.get(tap_key(id))
        if tap is None:
            return
        ended = [leg for leg in tap.legs if stream is None or leg.stream is stream]
        tap.legs = [leg for leg in tap.legs if leg not in ended]
        if tap.legs:
            self._choose_speaker(tap)
            for leg in ended:
                if tap.line is not None and leg.side is not None:
                    tap.line.lose(leg.side)
            return
        tap.speaker, tap.lost_at = None, now
        if tap.line is not None:
            tap.line.disconnect()

    def tick(self, now: float) -> None:
        """Each 20 ms: send a frame to each stream, and turn the lines to which none comes."""
        for tap in tuple(self._taps.values()):
            try:
                self._turn(tap, now)
            except Exception as error:  # the clock is every call's
                log.error("a call's turn failed", extra={"why": type(error).__name__})

    def _turn(self, tap: CallTap, now: float) -> None:
        line = tap.line
        for leg in tap.legs:
            if leg.stream is tap.speaker and line is not None and line.output is not None:
                line.speak(now)
            else:
                leg.stream.send(None)
        if tap.fed_at is None:
            tap.fed_at = now
        if line is not None and now - tap.fed_at > FED_S and line.in_call:
            line.turn(now)
            if not tap.by_ear:
                self._watch_stall(tap, line, now - tap.fed_at)
        if tap.lost_at is not None and now - tap.lost_at > TOLD_S:
            self._forget(tap)
        if not tap.legs and tap.line is not None and not tap.by_ear:
            self._tap_again(tap, now)

    def _watch_stall(self, tap: CallTap, line: OperatorLine, lasts: float) -> None:
        """Nothing has come for so many seconds of a call whose end call control would tell."""
        if line.held:
            return  # some send nothing meanwhile, and the script's minute of hold goes on
        if tap.legs and lasts > STALLED_S and not tap.stalled:
            tap.stalled = set(Channel) - line.capture.lost
            for channel in tap.stalled:
                line.lose(channel)
        if lasts > GONE_S and self._controlled is not None and not self._controlled():
            # Nobody is asked to hang up: the call may be on, where only we are cut off.
            tap.line, tap.stalled = None, set()
            line.signal(Event(EventKind.LINE_GONE, cause="the PBX is gone"))

    def _tap_again(self, tap: CallTap, now: float) -> None:
        """The call has no stream: it broke, or this process has just begun."""
        if tap.tap_at is None:
            tap.tap_at = now + TAPPED_S
        elif now >= tap.tap_at:
            tap.tap_at = now + TAPPED_AGAIN_S
            self._ask_for_tap(tap.name)

    def _forget(self, tap: CallTap) -> None:
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
            del self._taps[tap_key(tap.name)]

    # -- call control ------------------------------------------------------------------------------

    def control(self, told: TapEvent, login: str | None) -> None:
        """Take an event of a tap's call. `login`: of its operator."""
        kind = told.event.kind
        tap = self._taps.get(tap_key(told.tap))
        if tap is not None:
            tap.name = told.tap
        if kind is EventKind.ANSWERED:
            tap = self._taps.setdefault(tap_key(told.tap), CallTap(told.tap))
            self._answered(told, tap, login)
        elif tap is None or tap.line is None:
            self.counters.unknown_events += 1
        else:
            tap.line.signal(told.event)
            if kind in (EventKind.HANGUP, EventKind.LINE_GONE):
                self._left(tap)

    def _answered(self, told: TapEvent, tap: CallTap, login: str | None) -> None:
        if tap.line is None:
            key = login or f"tap {told.tap}"
            line = self._lines.get(key)
            if any(other.line is line for other in self._taps.values() if line is not None):
                key, line = f"tap {told.tap}", None  # his other call is waiting: each has its sound
            if line is None:
                line = self._lines[key] = self._make_line(login, lambda: self._end_of(key))
            tap.line = line
            if tap.legs:
                line.connect()
                line.speak_into(tap.speaker)
        if told.resumed and not tap.line.in_call:
            tap.line.resume(told.event)
        else:
            tap.line.signal(told.event)

    def _left(self, tap: CallTap) -> None:
        line = tap.line
        assert line is not None
        if not tap.by_ear:  # the next operator may answer
            tap.line, tap.stalled = None, set()
            line.disconnect()
        if not tap.legs:
            self._taps.pop(tap_key(tap.name), None)

    def _end_of(self, key: str) -> None:
        line = self._lines.get(key)
        for tap in self._taps.values():
            if tap.line is line:
                self._hang_up(tap.name)

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
            for leg in tap.legs:
                leg.stream.close()
        self._taps.clear()
        self._lines.clear()

    def _all_lines(self) -> Iterator[OperatorLine]:
        lines = {id(line): line for line in self._lines.values()}
        lines |= {id(tap.line): tap.line for tap in self._taps.values() if tap.line is not None}
        return iter(tuple(lines.values()))
