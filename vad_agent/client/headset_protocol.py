"""The protocol between a headset and its desk: a WebSocket at `PATH` under the API's address.

    headset                                                      desk
      {"hello": 1, "operator": "anna", "instance": "…"} ───────>   within 5 s
                                          <───── {"wait": 15}      another headset of anna is asked
                                          <───── {"hello": 1}      accepted
      {"state": {key: value, …}} ──────────────────────────────>   the whole state first, then changes
      {} ──────────────────────────────────────────────────────>   heartbeat, at least every 2 s
                                          <──── {"send": {…}}      a command, as `parse_control` takes it
                 <──── {"ask": {"id": "…", "address": "…", "for_s": 15}}   may another headset take over?
      {"answer": {"id": "…", "yes": true}} ────────────────────>   without one: no
                                          <──── {"asked": "…"}     the question is over

Messages are text of at most `MOST_BYTES`, each a JSON object; unknown names in it are ignored.
`instance`: random, of this start of the headset: when it reconnects it takes its own place. Another
headset of the operator gets the place if the first one says so, or is gone. The link ends with a code
and a reason, which quotes nothing:

    1001   the desk ends                                 4001   another headset has taken over
    1007   not JSON                                      4002   the operator's other headset stays
    1008   invalid message, or none in time              4003   the token is another operator's
    1009   a message is too long                         4004   nobody has this login
    1013   it does not read its commands                 4005   the token is for the desk's machine
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypedDict

from vad_agent.core.callback_request import seconds_until
from vad_agent.core.events import Event, EventKind
from vad_agent.errors import EventError

PATH = "/headsets"
"""Path under the address of the API."""
VERSION = 1
MOST_BYTES = 64 * 1024
"""Size limit of a message."""
REPLACED = 4001
"""Code that ends the link of a headset when another one of its operator has taken over."""
STAYS, NOT_YOURS, UNKNOWN_LOGIN, LOCAL_ONLY = 4002, 4003, 4004, 4005


class HeadsetHello(TypedDict):
    """The first message of a headset."""

    hello: int
    """`VERSION`."""
    operator: str
    instance: str


class DeskHello(TypedDict):
    """The desk's answer."""

    hello: int


class Command(StrEnum):
    """Commands of the operator to the loop, besides the events of a call."""

    START_CALL = "start_call"
    END_CALL = "end_call"
    """The operator or the client has hung up: the call is over."""
    UNDO = "undo"
    """The last inference (a call's begin or end) was wrong."""
    LINE_UNUSED = "line_unused"
    """The softphone no longer plays anything (sent by the sound server's monitor, not by a key)."""
    LINE_USED = "line_used"
    """It plays again (sent by the same)."""
    OUTPUTS_CHANGED = "outputs_changed"
    """Sinks, the default or the sound server have changed (sent by the same)."""
    ADMIT_HEADSET = "admit_headset"
    """Another headset of this operator may take over."""
    REFUSE_HEADSET = "refuse_headset"
    QUIT = "quit"


ControlMessage = Event | Command
"""Input of the loop."""

ControlSink = Callable[[ControlMessage], None]
"""Takes the commands that a panel sends; any thread may call it."""


class StateReceiver(Protocol):
    """Receives headsets' states and returns commands: a broker in this process, or the desk's."""

    def attach(self, operator: str, sink: ControlSink) -> None:
        """The headset connects; commands go to `sink`."""

    def publish(self, operator: str, state: Mapping[str, Any]) -> None:
        """Take the state: all of it, or what has changed."""

    def detach(self, operator: str, sink: ControlSink) -> None:
        """The headset disconnects."""


class AskOperator(Protocol):
    """Asks the operator whether another headset may take over."""

    def ask(self, id: str, address: str, answer: Callable[[bool], None]) -> None:
        """Show the question; `answer` may be called once, from any thread."""

    def over(self, id: str) -> None:
        """The question is over, answered or not."""


NOT_FROM_OUTSIDE = frozenset(
    {
        EventKind.PROMPT_STARTED,
        EventKind.PROMPT_ENDED,
        EventKind.PROMPT_FAILED,
        EventKind.PLAYER_READY,
        EventKind.DEVICE_LOST,
        EventKind.DEVICE_BACK,
        EventKind.SOURCE_ENDED,
    }
)
COMMANDS = tuple(
    command.value for command in (Command.START_CALL, Command.END_CALL, Command.UNDO, Command.QUIT)
)
PAGE_COMMANDS = (*COMMANDS, Command.ADMIT_HEADSET.value, Command.REFUSE_HEADSET.value)
"""Commands of the operator's page; of them other programs may give only `COMMANDS`."""
QUOTED = re.compile(r"[,;] got .*", re.DOTALL)
"""The part of an event's error that quotes the input, which may be a name or a number."""


def control_fields(what: ControlMessage) -> dict[str, Any]:
    """The object of an event or a command, as `parse_control` takes it."""
    return {"command": what.value} if isinstance(what, Command) else what.to_dict()


def parse_control(line: bytes, commands: Sequence[str] = COMMANDS) -> Event | Command:
    """Parse a line as an event or one of the commands.

    Raises:
        EventError: it is neither; the text quotes nothing personal.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise EventError("expected a JSON object on one line, in UTF-8") from None
    if not isinstance(message, dict):
        raise EventError(f"expected a JSON object, got {type(message).__name__}")
    if "command" in message:
        if message["command"] not in commands:
            raise EventError(f"command: expected one of {', '.join(commands)}")
        return Command(message["command"])
    try:
        event = Event.parse(message)
        if event.at is not None:
            seconds_until(event)  # an error goes to the sender, not into the call
    except EventError as error:
        raise EventError(QUOTED.sub("", str(error), count=1)) from None
    if event.kind in NOT_FROM_OUTSIDE:
        raise EventError(f"event kind: {event.kind.value} is reserved for the product itself")
    return event
