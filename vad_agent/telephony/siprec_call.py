"""One recorded call: its RTP becomes both sides' frames, its signalling becomes call control. No I/O.

    session established, a stream active  ANSWERED, with the client's number; CLIENT_NAME
    a stream inactive, active again       HOLD, UNHOLD: whose stream is stopped is held by the other one
    another operator takes part           HANGUP by the operator, then ANSWERED by the next one
    an RTCP BYE of one side, and no more  HANGUP by this side
    session ended                         LINE_GONE: SIPREC does not say who hung up

Nothing can be sent into a recorded call: the operator says the phrases (cue mode).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.rtp import is_rtcp, parse_goodbyes, parse_rtp
from vad_agent.telephony.rtp_stream import RtpStream, Run
from vad_agent.telephony.sdp import MediaLine
from vad_agent.telephony.siprec_metadata import (
    NOBODY,
    Metadata,
    Participant,
    Roles,
    Sides,
    find_roles,
)

LEG_END_S = 2.0
"""Seconds without media after an RTCP BYE: its side has hung up, and not only changed its SSRC."""
NO_MEDIA_S = 30.0
"""Seconds without a packet of either side: the client has died."""
HELD_S = 3600.0
"""The same on hold, where media may stop."""
_NUMBER = re.compile(r"\+?[0-9]{3,20}")


@dataclass(slots=True)
class _RecordedLeg:
    """What comes on one media line."""

    stream: RtpStream
    sides: Sides = NOBODY
    goodbye_at: float | None = None


class RecordingCall:
    """`tap`: the name of its stream. `telephones`: the operators', with their logins. `hang_up`: ends the
    session.
    """

    def __init__(
        self,
        tap: str,
        router: CallRouter,
        telephones: Mapping[str, str],
        hang_up: Callable[[], None],
    ) -> None:
        self.tap = tap
        self._router = router
        self._telephones = telephones
        self._hang_up = hang_up
        self._legs: dict[int, _RecordedLeg] = {}
        self._lines: Sequence[MediaLine] = ()
        self._roles = Roles(Participant(), Participant(), ())
        self._established = False
        self._in_call = False
        self._operators = 0
        self._operator: str | None = None  # who was told
        self._client = Participant()  # what was told
        self._inactive: Sides = NOBODY
        self._media_at = 0.0

    # -- signalling --------------------------------------------------------------------------------

    def offered(
        self, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> list[bool]:
        """Streams are offered, or have changed. Return which of them are used."""
        self._lines = lines
        self._roles = find_roles(lines, metadata, self._telephones)
        for number, (line, sides) in enumerate(zip(lines, self._roles.of_lines, strict=True)):
            if sides and number not in self._legs:
                self._legs[number] = _RecordedLeg(RtpStream(line.codecs))
            if (leg := self._legs.get(number)) is not None:
                leg.stream.codecs = line.codecs
                leg.sides = sides
        self._media_at = now
        if self._established:
            self._follow()
        return [bool(sides) for sides in self._roles.of_lines]

    def established(self, now: float) -> None:
        """The session is confirmed."""
        self._established = True
        self._media_at = now
        self._follow()

    def ended(self, cause: str, now: float) -> None:
        """The session is over."""
        parties = self._said_goodbye()
        if self._in_call and len(parties) == 1:
            self._hung_up(next(iter(parties)), cause)
        elif self._in_call:
            self._in_call = False
            self._tell(EventKind.LINE_GONE, cause=cause)
        self._router.disconnected(self.tap, now)

    def _follow(self) -> None:
        """Tell call control what has changed."""
        used = [
            (line, sides)
            for line, sides in zip(self._lines, self._roles.of_lines, strict=True)
            if sides
        ]
        active = any(line.sends for line, _ in used)
        operator = self._roles.operator.user
        before = self._operator
        if self._in_call and None not in (before, operator) and operator != before:
            self._hung_up(Channel.OPERATOR, "transfer")
        if not self._in_call:
            if not active:
                return  # it has not been answered yet, or is held before anything was heard
            self._answered()
        self._tell_client()
        stopped = [sides for line, sides in used if not line.sends]
        inactive = frozenset(channel for sides in stopped for channel in sides)
        if inactive != self._inactive:
            if self._inactive:
                self._tell(EventKind.UNHOLD, party=_holder(self._inactive))
            if inactive:
                self._tell(EventKind.HOLD, party=_holder(inactive))
            self._inactive = inactive
        if inactive:
            for leg in self._legs.values():
                leg.goodbye_at = None  # media that stops on hold ends nothing

    def _answered(self) -> None:
        self._in_call = True
        self._operators += 1
        self._operator = self._roles.operator.user
        self._client, self._inactive = Participant(), NOBODY
        for leg in self._legs.values():
            leg.goodbye_at = None
        user = self._roles.client.user
        phone = user if user is not None and _NUMBER.fullmatch(user) else None
        self._client = Participant(user=phone)
        self._tell(EventKind.ANSWERED, phone=phone)

    def _tell_client(self) -> None:
        """Their name and number, as soon as they are known."""
        client = self._roles.client
        if client.user != self._client.user and _NUMBER.fullmatch(client.user or ""):
            self._tell(EventKind.CLIENT_PHONE, phone=client.user)
            self._client = Participant(client.user, self._client.name)
        name = client.name
        # Many clients write the number in the place of the name.
        if name is not None and name != self._client.name and any(c.isalpha() for c in name):
            self._tell(EventKind.CLIENT_NAME, name=name)
            self._client = Participant(self._client.user, name)

    def _hung_up(self, party: Channel, cause: str) -> None:
        self._in_call = False
        self._tell(EventKind.HANGUP, party=party.value, cause=cause)

    def _tell(
        self,
        kind: EventKind,
        *,
        party: str | None = None,
        cause: str | None = None,
        phone: str | None = None,
        name: str | None = None,
    ) -> None:
        id = self.tap if self._operators == 1 else f"{self.tap} {self._operators}"
        event = Event(kind, party=party, cause=cause, phone=phone, name=name, call_id=id)
        login = self._telephones.get(self._operator or "", self._operator)
        self._router.control(TapEvent(self.tap, event, self._operator), login)

    # -- media -------------------------------------------------------------------------------------

    def datagram(self, line: int, data: bytes, now: float, *, control: bool = False) -> None:
        """A datagram has come for a media line. `control`: on the port of RTCP.

        Raises:
            MediaError: it is neither RTP nor RTCP.
        """
        leg = self._legs.get(line)
        if leg is None:
            return
        if control or is_rtcp(data):
            if leg.stream.ssrc in parse_goodbyes(data):
                leg.goodbye_at = now
            return
        packet = parse_rtp(data)
        self._media_at = now
        leg.goodbye_at = None
        for run in leg.stream.push(packet, now):
            self._feed(leg.sides, run, now)

    @property
    def packets(self) -> Counter[str]:
        """The packets of both sides, by what became of them (`RtpCounters`)."""
        found: Counter[str] = Counter()
        for leg in self._legs.values():
            found.update(asdict(leg.stream.counters))
        return found

    def _feed(self, sides: Sides, run: Run, now: float) -> None:
        if not self._in_call:
            return
        if isinstance(run, int):
            for channel in sides:
                self._router.missing(self.tap, channel, run)
            return
        client = run if Channel.CLIENT in sides else None
        operator = run if Channel.OPERATOR in sides else None
        self._router.audio(self.tap, now, client, operator)

    def tick(self, now: float) -> bool:
        """Each 20 ms. False: no media has come for long, the session is dead."""
        for leg in self._legs.values():
            for run in leg.stream.due(now):
                self._feed(leg.sides, run, now)
        if self._in_call and not self._inactive:
            gone = [
                leg
                for leg in self._legs.values()
                if leg.goodbye_at is not None and now - leg.goodbye_at > LEG_END_S
            ]
            if gone:
                self._leg_ended()
        limit = HELD_S if self._inactive or not self._in_call else NO_MEDIA_S
        return now - self._media_at <= limit

    def _leg_ended(self) -> None:
        parties = self._said_goodbye()
        if len(parties) == 1:
            self._hung_up(next(iter(parties)), "RTCP BYE")
        else:
            self._in_call = False
            self._tell(EventKind.LINE_GONE, cause="RTCP BYE")

    def _said_goodbye(self) -> Sides:
        legs = (leg for leg in self._legs.values() if leg.goodbye_at is not None)
        return frozenset(channel for leg in legs for channel in leg.sides)

    # -- the router's media stream -----------------------------------------------------------------

    def send(self, pcm: bytes | None) -> None:
        """Do nothing: a recording session is one-way."""

    def close(self) -> None:
        """End the session."""
        self._hang_up()


def _holder(inactive: Sides) -> str | None:
    """Who holds a call in which these sides' media have stopped. None: it cannot be told."""
    if len(inactive) != 1:
        return None
    held = next(iter(inactive))
    return (Channel.OPERATOR if held is Channel.CLIENT else Channel.CLIENT).value
