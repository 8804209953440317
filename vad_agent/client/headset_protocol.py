"""What a headset and its desk say to each other, over a WebSocket at `PATH` under the API's address.

    headset                                                      desk
      {"hello": 1, "operator": "anna", "began": "2026-…"} ─────>   within 5 s
                                          <───── {"hello": 1}      it is on
      {"state": {key: value, …}} ──────────────────────────────>   all of them first, then what has changed
      {} ──────────────────────────────────────────────────────>   a sign of life, at least every 2 s
                                          <──── {"send": {…}}      a key, as `parse_control` takes it

Messages are text, of `MOST_BYTES` at most, each a JSON object; names in it that are not known are ignored.
`began`: when this headset was switched on, with its zone. Of two of one operator the one that began later is
shown; without it, the one that came later. The link ends with a code and a reason, which quotes nothing:

    1001   the desk ends                                 1009   a message is too long
    1007   not JSON                                      1013   it does not take its keys
    1008   not what is written above, or silent          4001   another headset of this operator is on
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypedDict

from vad_agent.core.callback_request import seconds_until
from vad_agent.core.events import Event, Kind
from vad_agent.errors import EventError

PATH = "/headsets"
"""Under the address of the API."""
VERSION = 1
MOST_BYTES = 64 * 1024
"""Of a message."""
REPLACED = 4001
"""The code that ends the link of a headset where another one of its operator is on."""


class HeadsetHello(TypedDict):
    """The first message of a headset."""

    hello: int
    """`VERSION`."""
    operator: str
    began: str
    """ISO 8601 with its zone."""


class DeskHello(TypedDict):
    """What the desk answers."""

    hello: int


class Command(StrEnum):
    """What the operator tells the loop, beside the events of a call."""

    START_CALL = "start_call"
    END_CALL = "end_call"
    """He has hung up, or the client has: the call is over."""
    UNDO = "undo"
    """The last guess (a call's beginning or its end) was wrong."""
    LINE_UNUSED = "line_unused"
    """The softphone plays nothing any more (the sound server tells, no key)."""
    QUIT = "quit"


ControlMessage = Event | Command
"""What the loop is told."""

ControlSink = Callable[[ControlMessage], None]
"""Takes the keys that a panel sends; any thread."""


class StateReceiver(Protocol):
    """Where a headset's states go, and its keys come from: a hub in this process, or the desk's."""

    def attach(self, operator: str, sink: ControlSink) -> None:
        """The headset is on; keys go to `sink`."""

    def publish(self, operator: str, state: Mapping[str, Any]) -> None:
        """How things stand: all of it, or what has changed."""

    def detach(self, operator: str, sink: ControlSink) -> None:
        """The headset is off."""


NOT_FROM_OUTSIDE = frozenset(
    {
        Kind.PROMPT_STARTED,
        Kind.PROMPT_ENDED,
        Kind.PROMPT_FAILED,
        Kind.PLAYER_READY,
        Kind.DEVICE_LOST,
        Kind.DEVICE_BACK,
        Kind.SOURCE_ENDED,
    }
)
COMMANDS = tuple(
    command.value for command in (Command.START_CALL, Command.END_CALL, Command.UNDO, Command.QUIT)
)
QUOTED = re.compile(r"[,;] got .*", re.DOTALL)
"""Where an event's error quotes what came: it may be a name or a number."""


def parse_control(line: bytes) -> Event | Command:
    """A line as an event or a command.

    Raises:
        EventError: it is neither; the text quotes nothing personal.
    """
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise EventError("expected a JSON object on one line, in UTF-8") from None
    if not isinstance(told, dict):
        raise EventError(f"expected a JSON object, got {type(told).__name__}")
    if "command" in told:
        if told["command"] not in COMMANDS:
            raise EventError(f"command: expected one of {', '.join(COMMANDS)}")
        return Command(told["command"])
    try:
        event = Event.parse(told)
        if event.at is not None:
            seconds_until(event)  # told its sender, and not the call
    except EventError as error:
        raise EventError(QUOTED.sub("", str(error), count=1)) from None
    if event.kind in NOT_FROM_OUTSIDE:
        raise EventError(f"event kind: {event.kind.value} is told by our own parts alone")
    return event
