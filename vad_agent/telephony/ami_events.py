"""AMI's messages in the form of ARI's events, which `AsteriskCalls` follows. Pure.

    VarSet                 ChannelVarset          HangupRequest         ChannelHangupRequest
    DialEnd                Dial                   SoftHangupRequest     the same, soft
    Hold, Unhold           ChannelHold, -Unhold   Hangup                ChannelDestroyed

A channel's Uniqueid is its id in ARI.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from vad_agent.telephony.ami import Message

EVENTS = (
    "VarSet",
    "DialEnd",
    "Hold",
    "Unhold",
    "HangupRequest",
    "SoftHangupRequest",
    "Hangup",
)
_KINDS = {
    "VarSet": "ChannelVarset",
    "DialEnd": "Dial",
    "Hold": "ChannelHold",
    "Unhold": "ChannelUnhold",
    "HangupRequest": "ChannelHangupRequest",
    "SoftHangupRequest": "ChannelHangupRequest",
    "Hangup": "ChannelDestroyed",
}
_MADE = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})$")
"""The end of a Uniqueid: when the channel was made (s since 1970), and its number."""


def as_ari(message: Message) -> Mapping[str, Any] | None:
    """The event of a message; None: it means nothing for a call."""
    name = message.get("event", "")
    kind = _KINDS.get(name)
    if kind is None:
        return None
    told: dict[str, Any] = {"type": kind}
    if name == "DialEnd":
        told |= {"caller": channel(message), "peer": channel(message, "dest")}
        told["dialstatus"] = message.get("dialstatus")
    else:
        told["channel"] = channel(message)
    if name == "VarSet":
        told |= {"variable": message.get("variable", ""), "value": message.get("value")}
    elif name == "SoftHangupRequest":
        told["soft"] = True
    elif name == "Hangup":
        told["cause"] = message.get("cause")
    return told


def channel(message: Message, prefix: str = "") -> dict[str, Any]:
    """A message's channel. `prefix`: "dest" of the one that is dialled."""
    id = message.get(f"{prefix}uniqueid", "")
    made = _MADE.search(id)
    return {
        "id": id,
        "name": message.get(f"{prefix}channel", ""),
        "caller": {"number": message.get(f"{prefix}calleridnum", "")},
        "dialplan": {"app_name": message.get("application", "")},
        "creationtime": "" if made is None else f"{int(made[1]):012}.{int(made[2]):012}",
    }


def bridges(messages: Iterable[Message]) -> list[Mapping[str, Any]]:
    """Which of CoreShowChannels' channels are joined."""
    found: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        if bridge := message.get("bridgeid"):
            found[bridge].append(message.get("uniqueid", ""))
    return [{"id": id, "channels": channels} for id, channels in found.items()]
