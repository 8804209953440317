"""The streams of one call at the PBX, and what is known of it.

stereo     one stream: client left, what the client hears right
a pair     two streams of one side each, whose names have one `tap_key`
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vad_agent.core.frames import Channel
from vad_agent.telephony.call_control import tap_key
from vad_agent.telephony.operator_line import OperatorLine
from vad_agent.telephony.prompt_stream import MediaStream


@dataclass(slots=True)
class TapLeg:
    """One stream of a call."""

    id: str
    stream: MediaStream
    side: Channel | None
    """None: it carries both, or has not said which."""
    two_way: bool


@dataclass(slots=True)
class CallTap:
    """One call, by the name of its streams."""

    name: str
    """As the events of its call name it."""
    legs: list[TapLeg] = field(default_factory=list)
    speaker: MediaStream | None = None
    """The stream that reaches the client."""
    line: OperatorLine | None = None
    operator: str | None = None
    phone: str | None = None
    fed_at: float | None = None
    """When its last frame came, or its stream or its line began."""
    stalled: set[Channel] = field(default_factory=set)
    """Sides that a stream is there for, and brings nothing of."""
    lost_at: float | None = None
    tap_at: float | None = None
    """When a new stream is asked for."""
    by_ear: bool = False
    """Its line was made without call control."""
    admitted: bool = False
    """It has had a stream: another one costs no more."""

    def takes(self, id: str, side: Channel | None) -> bool:
        """There is place for this stream."""
        if not self.legs:
            return True
        (leg, *more) = self.legs
        apart = None not in (leg.side, side) and leg.side is not side
        return not more and (leg.id != id or apart)

    def find_speaker(self) -> MediaStream | None:
        """The client's own leg rather than one of which it is not known yet."""
        ways = [leg for leg in self.legs if leg.two_way and leg.side is not Channel.OPERATOR]
        ways.sort(key=lambda leg: leg.side is not Channel.CLIENT)
        return ways[0].stream if ways else None


def side_of(id: str) -> Channel | None:
    """The side of a mono leg, by the last digit of its UUID."""
    return {"0": Channel.CLIENT, "1": Channel.OPERATOR}.get(id[-1:]) if tap_key(id) != id else None
