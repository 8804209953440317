"""Call control by signed JSON, for a PBX that has no adapter of its own: its script posts each event.

    PBX ── POST /events {call_id, seq, kind, …}, signed ──> SignedEvents ──> OrderedCalls ──> tell(TapEvent …)
    PBX <── POST URL {command, call_id, tap}, signed ────── a writer thread <── hang_up(tap), tap(tap)

Signed as every hook of the product: `callbacks/dialers/message_signing.py`. An event counts once by
(call_id, seq), in any order of arrival.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.dialers.http_transport import HttpTransport
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.errors import DialError, EventError, SettingsError
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.ordered_calls import KINDS, OrderedCalls

log = logging.getLogger(__name__)

QUIET_S = 600.0
"""Seconds without an event after which nobody may be sending: new streams are recognized by ear."""
LIMIT_S = 5.0
CLOSE_S = 2.0
MOST_COMMANDS = 1000
MOST_TEXT = 200
"""Characters of a name: a call's, a tap's, an operator's."""
MOST_SEQ = 1 << 63
PARTIES = (*(channel.value for channel in Channel), "network")


class EventHook(Protocol):
    """Takes what a PBX posts."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Take a request; header names in lower case. False: it has been taken before, or is late.

        Raises:
            HookRefused: it is not signed as it must be, status 401.
            EventError: it cannot be understood.
        """


class Heard:
    """Whether events come. `now`: the clock, s."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._at: float | None = None

    def note(self) -> None:
        """A valid event has come."""
        self._at = self._now()

    @property
    def lately(self) -> bool:
        """One has come within QUIET_S."""
        return self._at is not None and self._now() - self._at < QUIET_S


class SignedEvents:
    """`secret`: shared with the PBX. `url`: where it takes commands; None: nowhere. `clock`: s since 1970.

    Raises:
        SettingsError: the secret is too short, or the URL is not valid.
    """

    def __init__(
        self,
        secret: str,
        tell: Callable[[Sequence[TapEvent]], None],
        *,
        url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len(secret) < message_signing.LEAST_SECRET:
            least = message_signing.LEAST_SECRET
            raise SettingsError("call events", [f"secret: expected {least} characters at least"])
        self._secret = secret
        self._tell = tell
        self._url = url
        self._clock = clock
        self._calls = OrderedCalls()
        self._heard = Heard(time.monotonic)
        self._http = None if url is None else HttpTransport("pbx", url, limit_s=LIMIT_S)
        self._commands: WriterThread[dict[str, str]] = WriterThread(
            "pbx commands", self._post, most=MOST_COMMANDS
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
        """Take one event. False: it has been taken before, or its call is over.

        Raises:
            HookRefused: not signed with the secret within the last minutes.
            EventError: what is missing or wrong in it.
        """
        message_signing.check(self._secret, headers, body, self._clock())
        tap, operator, event = parse(body)
        found = self._calls.take(tap, operator, event)
        self._heard.note()
        if found:
            self._tell(found)
        return found is not None

    def hang_up(self, tap: str) -> None:
        """Ask the PBX to end the call. Does not block; what fails is logged."""
        self._command("hang_up", tap)

    def tap(self, tap: str) -> None:
        """Ask the PBX for a new stream of the call. Does not block; what fails is logged."""
        self._command("tap", tap)

    def _command(self, command: str, tap: str) -> None:
        call = self._calls.call_of(tap)
        if call is None:
            return  # it is another control's, or over
        if self._http is None:
            log.warning("no command can be sent: no URL is set", extra={"command": command})
        elif not self._commands.put({"command": command, "call_id": call, "tap": tap}):
            log.error("a command to the PBX is lost: too many wait")

    def close(self) -> None:
        """Send what is due."""
        self._commands.close(CLOSE_S)
        if self._http is not None:
            self._http.close()

    # -- the commands' thread ----------------------------------------------------------------------

    def _post(self, command: dict[str, str]) -> None:
        assert self._http is not None
        assert self._url is not None
        body = json.dumps(command).encode()
        signed = message_signing.signed(self._secret, body, self._clock())
        try:
            self._http.send(
                "POST",
                self._url,
                repeatable=True,  # a call that has ended ends once
                content=body,
                headers={"Content-Type": "application/json", **signed},
            )
        except DialError as error:
            log.error("the PBX did not carry out a command", extra={"why": str(error)})


def parse(body: bytes) -> tuple[str, str | None, Event]:
    """An event's tap, operator and event with `call_id` and `seq`.

    Raises:
        EventError: what is missing or wrong.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise EventError("body: expected JSON") from None
    if not isinstance(told, dict):
        raise EventError("body: expected a JSON object")
    call_id = _name(told, "call_id")
    if call_id is None:
        raise EventError("call_id: expected a text, the id of the call")
    kinds = ", ".join(sorted(kind.value for kind in KINDS))
    if not isinstance(told.get("kind"), str) or told["kind"] not in KINDS:
        raise EventError(f"kind: expected one of {kinds}")
    party = told.get("party")
    if party is not None and party not in PARTIES:
        raise EventError(f"party: expected one of {', '.join(PARTIES)}")
    seq = told.get("seq")
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq < MOST_SEQ:
        raise EventError("seq: expected a whole number that counts the events of the call")
    event = Event(
        EventKind(told["kind"]),
        party=party,
        cause=_name(told, "cause"),
        phone=_name(told, "phone"),
        ts=_name(told, "ts"),
        call_id=call_id,
        seq=seq,
    )
    tap = _name(told, "tap") or call_id
    return tap_name(tap), _name(told, "operator"), event


def tap_name(text: str) -> str:
    """A tap's name as media streams have it: a UUID in lower case, with dashes."""
    try:
        return str(UUID(text))
    except ValueError:
        return text


def _name(told: Mapping[str, Any], name: str) -> str | None:
    """A text, or a number as one. Errors never repeat the value, which may be a client's."""
    value = told.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST_SEQ:
        value = str(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MOST_TEXT or not value.isprintable():
        raise EventError(f"{name}: expected a text of {MOST_TEXT} characters at most, in one line")
    return value.strip() or None
