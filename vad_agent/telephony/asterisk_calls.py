"""Which call a tap belongs to, and what happens to it, from Asterisk's events (ARI, AMI). Pure.

    ChannelVarset VAD=<uuid>           the client's channel of the tap with this UUID
    Dial caller=client, peer=…         dialstatus ANSWER: ANSWERED; the peer's endpoint is the operator
    ChannelHold, ChannelUnhold         HOLD, UNHOLD by the side whose channel it is
    ChannelHangupRequest               the first of both channels: this side hangs up
    ChannelDestroyed                   of either channel: HANGUP

A queue of FreePBX dials a Local channel, and that the telephone: the telephone's channel is the one that
holds, and that names the operator.

A client who is passed on to another operator, by a transfer or a queue, begins a call of that
operator. Events of other channels are ignored. The formats are those of Asterisk 22's events.json;
`ami_events.py` brings AMI's messages to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any
from uuid import UUID

from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.telephony.call_control import TapEvent

VARIABLE = "VAD"
"""The channel variable that names the tap: the dialplan sets it on the client's channel."""
CALLED = ("AppDial", "AppQueue")
"""Application of a channel that was dialled: it has inherited the variable."""
TRANSFER = "transfer"
MOST_LOCAL = 5
"""Local channels in a row."""
MOST_TEXT = 100

_NUMBER = re.compile(r"\+?[0-9]{3,20}")
"""A caller's number; a name, or `anonymous`, is none."""

Object = Mapping[str, Any]


@dataclass(slots=True)
class _Call:
    tap: str
    client: str
    phone: str | None = None
    operator_channel: str | None = None
    telephone: str | None = None
    """The channel behind the operator's, if that is a Local channel."""
    operator: str | None = None
    legs: int = 0
    """Operators who have answered."""
    hung_up_by: str | None = None


class AsteriskCalls:
    """The calls with a tap. Holds nothing of a call that is over."""

    def __init__(self) -> None:
        self._taps: dict[str, _Call] = {}
        self._channels: dict[str, _Call] = {}
        self._behind: dict[str, Object] = {}
        """What a Local channel, by its name without ;1 or ;2, leads to."""

    def __len__(self) -> int:
        return len(self._taps)

    def client_channel(self, tap: str) -> str | None:
        """The id of the client's channel; None: unknown, or over."""
        call = self._taps.get(tap)
        return call.client if call else None

    def take(self, event: Object) -> list[TapEvent]:
        """Take one event. Return what it means; most mean nothing."""
        handler = {
            "ChannelVarset": self._varset,
            "Dial": self._dial,
            "ChannelHold": self._hold,
            "ChannelUnhold": self._hold,
            "ChannelHangupRequest": self._hangup_request,
            "ChannelDestroyed": self._destroyed,
        }.get(str(event.get("type")))
        return handler(event) if handler is not None else []

    def restore(
        self, channels: Iterable[tuple[Object, str]], bridges: Iterable[Object]
    ) -> list[TapEvent]:
        """After a (re)connection: the channels with their VAD variable, and the bridges, as they are now.

        Calls that are gone have ended, by whom is not known.
        """
        found = []
        here = {}
        # The client's channel is the oldest with the variable: the others have inherited it.
        for channel, variable in sorted(channels, key=lambda one: _made(one[0])):
            here[_id(channel)] = channel
            if _text(channel.get("dialplan"), "app_name") not in CALLED:
                self._tap(channel, variable)
        for call in tuple(self._taps.values()):
            if call.client not in here:
                found += self._ended(call, call.client, None)
        joined = [_members(bridge, here) for bridge in bridges]
        self._behind.clear()
        for members in joined:
            for far, other in permutations(members, 2) if len(members) == 2 else ():
                if base := _local(here[far], ";2"):
                    self._behind[base] = here[other]
        for members in joined:
            clients = [id for id in members if id in self._channels and self._is_client(id)]
            others = [id for id in members if id not in clients]
            if len(clients) == 1 and len(others) == 1:
                told = self._answered(self._channels[clients[0]], here[others[0]])
                found += [replace(one, resumed=True) for one in told]
        return found

    def _is_client(self, channel: str) -> bool:
        return self._channels[channel].client == channel

    # -- events ------------------------------------------------------------------------------------

    def _varset(self, event: Object) -> list[TapEvent]:
        if str(event.get("variable", "")).lstrip("_") == VARIABLE:
            self._tap(_object(event.get("channel")), event.get("value"))
        return []

    def _tap(self, channel: Object, value: object) -> None:
        try:
            tap = str(UUID(str(value)))
        except ValueError:
            return
        id = _id(channel)
        if not id or tap in self._taps:  # the second channel has inherited it
            return
        number = _text(channel.get("caller"), "number") or ""
        call = _Call(tap, id, phone=number if _NUMBER.fullmatch(number) else None)
        self._taps[tap] = self._channels[id] = call

    def _dial(self, event: Object) -> list[TapEvent]:
        call = self._channels.get(_id(_object(event.get("caller"))))
        peer, status = _object(event.get("peer")), event.get("dialstatus")
        base = _local(_object(event.get("caller")), ";2")
        if base is not None and status == "ANSWER" and _id(peer):
            self._behind[base] = peer
        if call is None or not _id(peer) or call.client == _id(peer):
            return []
        return self._answered(call, peer) if status == "ANSWER" else []

    def _answered(self, call: _Call, peer: Object) -> list[TapEvent]:
        id = _id(peer)
        if call.operator_channel == id:
            return []
        before = []
        if call.operator_channel is not None:  # they have passed the client on
            call.hung_up_by = call.hung_up_by or Channel.OPERATOR.value
            before = self._left(call, TRANSFER)
        phone = self._telephone(peer)
        call.operator_channel, call.operator = id, _endpoint(phone)
        call.telephone = _id(phone)
        call.legs += 1
        call.hung_up_by = None
        self._channels[id] = self._channels[call.telephone] = call
        event = self._event(call, EventKind.ANSWERED)
        return [*before, TapEvent(call.tap, event, call.operator)]

    def _telephone(self, peer: Object) -> Object:
        """The channel at the end of Local channels: it is the one that holds."""
        for _ in range(MOST_LOCAL):
            behind = self._behind.get(_local(peer, ";1") or "")
            if behind is None:
                break
            peer = behind
        return peer

    def _hold(self, event: Object) -> list[TapEvent]:
        id = _id(_object(event.get("channel")))
        call = self._channels.get(id)
        if call is None or call.operator_channel is None:
            return []
        kind = EventKind.HOLD if event.get("type") == "ChannelHold" else EventKind.UNHOLD
        return [TapEvent(call.tap, self._event(call, kind, party=_side(call, id)), call.operator)]

    def _hangup_request(self, event: Object) -> list[TapEvent]:
        id = _id(_object(event.get("channel")))
        call = self._channels.get(id)
        if call is not None and call.hung_up_by is None and not event.get("soft"):
            call.hung_up_by = _side(call, id)
        return []

    def _destroyed(self, event: Object) -> list[TapEvent]:
        channel = _object(event.get("channel"))
        id = _id(channel)
        self._behind.pop(_local(channel, ";2") or "", None)
        call = self._channels.get(id)
        return [] if call is None else self._ended(call, id, event.get("cause"))

    # -- the end of a leg --------------------------------------------------------------------------

    def _ended(self, call: _Call, channel: str, cause: object) -> list[TapEvent]:
        found = self._left(call, cause) if call.operator_channel is not None else []
        if channel == call.client:
            self._taps.pop(call.tap, None)
            self._channels.pop(channel, None)
        return found

    def _left(self, call: _Call, cause: object) -> list[TapEvent]:
        """The operator and the client talk no more."""
        party = call.hung_up_by or "network"
        event = self._event(call, EventKind.HANGUP, party=party, cause=cause)
        found = [TapEvent(call.tap, event, call.operator)]
        for channel in (call.operator_channel, call.telephone):
            self._channels.pop(channel or "", None)
        call.operator_channel = call.telephone = call.operator = call.hung_up_by = None
        return found

    def _event(
        self, call: _Call, kind: EventKind, *, party: str | None = None, cause: object = None
    ) -> Event:
        return Event(
            kind,
            party=party,
            cause=None if cause is None else str(cause)[:MOST_TEXT],
            phone=call.phone if kind is EventKind.ANSWERED else None,
            call_id=f"{call.client}-{call.legs}" if call.legs > 1 else call.client,
        )


def _side(call: _Call, channel: str) -> str:
    return (Channel.CLIENT if channel == call.client else Channel.OPERATOR).value


def _object(value: object) -> Object:
    return value if isinstance(value, Mapping) else {}


def _id(channel: Object) -> str:
    id = channel.get("id")
    return id if isinstance(id, str) else ""


def _members(bridge: Object, here: Mapping[str, Object]) -> list[str]:
    """The channels of a bridge that are here."""
    found = bridge.get("channels")
    members = found if isinstance(found, list) else []
    return [id for id in members if isinstance(id, str) and id in here]


def _local(channel: Object, end: str) -> str | None:
    """The name of a Local channel without its end; None: it is not this end of one."""
    name = channel.get("name")
    if not isinstance(name, str) or not name.startswith("Local/") or not name.endswith(end):
        return None
    return name.removesuffix(end)


def _made(channel: Object) -> str:
    made = channel.get("creationtime")
    return made if isinstance(made, str) else ""


def _text(value: object, name: str) -> str | None:
    text = _object(value).get(name)
    return text[:MOST_TEXT] if isinstance(text, str) and text.strip() else None


def _endpoint(channel: Object) -> str | None:
    """`101` of the channel PJSIP/101-00000001, and of FreePBX's Local/101@from-queue-00000001;1."""
    name = channel.get("name")
    if not isinstance(name, str):
        return None
    technology, _, rest = name.partition("/")
    endpoint, dash, _ = rest.rpartition("-")
    if technology == "Local":
        endpoint = endpoint.partition("@")[0]
    return endpoint[:MOST_TEXT] if dash and endpoint else None
