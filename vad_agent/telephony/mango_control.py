"""Call control at Mango Office by its webhooks, and by its command to hang up.

    POST …/events/call   {entry_id, call_id, seq, call_state, location, from, to, …}     a leg's state
        Appeared         ringing
        Connected        answered, or back from hold
        OnHold           hold, by the side with `hold_initiator`
        Disconnected     hangup, by the side that `disconnect_reason` names
    POST {url}/vpbx/commands/call/hangup   {command_id, call_id}

Requests are signed as those of Mango's dialer. `entry_id` is the whole call of a client, `call_id` one of
its legs. A leg is a call here if it joins a client (no extension) with an operator (an extension); the
menu, the queue and two operators who talk to each other are none. The tap is the `entry_id`: the
media stream must have it as its name. Events come more than once and in any order; `seq` counts a leg's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from vad_agent.callbacks.dialers.http_transport import HttpTransport
from vad_agent.callbacks.dialers.mango_calls import DONE, number_of
from vad_agent.callbacks.dialers.mango_signing import MangoKeys
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.errors import DialError, EventError
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.event_hooks import CLOSE_S, LIMIT_S, MOST_COMMANDS, MOST_TEXT, Heard
from vad_agent.telephony.ordered_calls import OrderedCalls

log = logging.getLogger(__name__)

HANGUP = "/vpbx/commands/call/hangup"
STATES = {
    "Appeared": EventKind.RINGING,
    "Connected": EventKind.ANSWERED,
    "OnHold": EventKind.HOLD,
    "Disconnected": EventKind.HANGUP,
}
BY_CALLER, BY_CALLED = 1110, 1120
"""Reasons of a normal end: the side that hung up."""


class MangoControl:
    """`keys`: of the account. `url`: of Mango's API.

    Raises:
        SettingsError: the URL is not valid.
    """

    def __init__(
        self,
        keys: MangoKeys,
        url: str,
        tell: Callable[[Sequence[TapEvent]], None],
    ) -> None:
        self._keys = keys
        self._tell = tell
        self._calls = OrderedCalls()
        self._heard = Heard(time.monotonic)
        self._http = HttpTransport("mango", url, limit_s=LIMIT_S)
        self._commands: WriterThread[str] = WriterThread(
            "mango commands", self._hang_up_leg, most=MOST_COMMANDS
        )

    def start(self) -> None:
        """Nothing to connect: events come through `receive`."""

    @property
    def connected(self) -> bool:
        """Events have come lately."""
        return self._heard.lately

    @property
    def waiting(self) -> int:
        """Commands that have not been sent."""
        return self._commands.waiting

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Take one webhook. False: it means nothing, or has been taken before.

        Raises:
            HookRefused: not signed with this account's keys, or not readable.
            EventError: what is missing or wrong in it.
        """
        leg = parse(self._keys.opened(body))
        self._heard.note()
        found = None if leg is None else self._calls.take(*leg)
        if found:
            self._tell(found)
        return found is not None

    def hang_up(self, tap: str) -> None:
        """End the leg that is on. Does not block; what fails is logged."""
        leg = self._calls.call_of(tap)
        if leg is not None and not self._commands.put(leg):
            log.error("a command to Mango is lost: too many wait")

    def tap(self, tap: str) -> None:
        """Do nothing: Mango begins no stream on demand."""

    def close(self) -> None:
        """Send what is due."""
        self._commands.close(CLOSE_S)
        self._http.close()

    # -- the commands' thread ----------------------------------------------------------------------

    def _hang_up_leg(self, leg: str) -> None:
        form = self._keys.form({"command_id": f"vad-{uuid4().hex}", "call_id": leg})
        try:
            answer = self._http.json(self._http.send("POST", HANGUP, repeatable=True, data=form))
            result = number_of(answer.get("result")) if isinstance(answer, dict) else None
            if result != DONE:
                raise DialError(f"mango: result {result}")
        except DialError as error:
            log.error("Mango did not carry out a command", extra={"why": str(error)})


def parse(told: Mapping[str, Any]) -> tuple[str, str | None, Event] | None:
    """The tap, operator and event of a webhook. None: not of a leg between a client and an operator.

    Raises:
        EventError: a field that such an event must have is missing or wrong.
    """
    if "call_state" not in told:
        return None  # a summary, a recording and others
    kind = STATES.get(str(told["call_state"]))
    if kind is None:
        raise EventError(f"call_state: expected one of {', '.join(STATES)}")
    entry, leg, seq = told.get("entry_id"), told.get("call_id"), number_of(told.get("seq"))
    for name, value in (("entry_id", entry), ("call_id", leg)):
        if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT:
            raise EventError(f"{name}: expected a text of {MOST_TEXT} characters at most")
    if seq is None:
        raise EventError("seq: expected a whole number")
    if told.get("location", "abonent") != "abonent" and kind is not EventKind.HANGUP:
        return None
    caller, called = _side(told, "from"), _side(told, "to")
    operators = [side for side in (caller, called) if _extension(side)]
    if len(operators) != 1 or (told.get("callback_initiator") and operators[0] is called):
        return None  # two operators; the menu; or the operator's own leg of a callback
    (operator,) = operators
    client = called if operator is caller else caller
    party = None
    if kind is EventKind.HOLD:
        by_client = client.get("hold_initiator") is True
        party = (Channel.CLIENT if by_client else Channel.OPERATOR).value
    elif kind is EventKind.HANGUP:
        party = _who_hung_up(told, caller is client)
        if operator.get("was_transferred") is True:
            party = Channel.OPERATOR.value  # the client talks on, to another one
    reason = number_of(told.get("disconnect_reason"))
    event = Event(
        kind,
        party=party,
        cause=None if reason is None else str(reason),
        phone=_phone(client),
        call_id=str(leg),
        seq=seq,
    )
    return str(entry), _extension(operator), event


def _who_hung_up(told: Mapping[str, Any], client_called: bool) -> str:
    reason = number_of(told.get("disconnect_reason"))
    if reason not in (BY_CALLER, BY_CALLED):
        return "network"
    return (Channel.CLIENT if (reason == BY_CALLER) == client_called else Channel.OPERATOR).value


def _side(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    side = told.get(name)
    return side if isinstance(side, dict) else {}


def _extension(side: Mapping[str, Any]) -> str | None:
    value = side.get("extension")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value[:MOST_TEXT] if isinstance(value, str) and value else None


def _phone(side: Mapping[str, Any]) -> str | None:
    """A client's number, which Mango writes without a plus sign."""
    number = side.get("number")
    if not isinstance(number, str) or not number.isascii() or not number.isdecimal():
        return None
    return f"+{number}" if 11 <= len(number) <= 15 else number[:20]
