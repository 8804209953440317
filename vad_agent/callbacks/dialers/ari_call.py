"""State machine of one Asterisk call: the operator's leg, the client's leg, the talk, and the outcome.

    OPERATOR ──answers──> CLIENT ──answers──> TALK ──> OVER
        └────────────────────┴── ends ─────────────────^

Events and polls of the channels lead to the same transitions. A duplicate, late or missing event
therefore does no harm. Every transition runs under the call's lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from vad_agent.callbacks.dialers.ari_legs import CLIENT, OPERATOR, Legs, no_answer_of
from vad_agent.callbacks.dialers.base import DialRefused, DialUncertain, Ended
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AsteriskConfig:
    """Address of Asterisk and how to ring.

    `{operator}`: a login; `{number}`: with the plus; `{digits}`: without it.
    """

    url: str
    """Without `/ari`: http://pbx:8088."""
    user: str
    password: str = field(repr=False)
    app: str = "vad-agent"
    operator_endpoint: str = "PJSIP/{operator}"
    any_operator_endpoint: str = ""
    """Endpoint of a queue or a ring group. "": a request without an operator cannot be dialled."""
    client_endpoint: str = "PJSIP/{number}@trunk"
    caller_id: str = ""
    """The number that the client sees."""
    ring_operator_s: int = 20
    ring_client_s: int = 40
    machine_context: str = ""
    """The dialplan's context that runs AMD() on the answered client's leg and returns it by Stasis(),
    as `vad-agent pbx setup asterisk` prints it. "": machines are not recognized.
    """
    talk_s: float = 10.0
    """Seconds. A talk of at least this length counts as a talk with a person."""
    check_s: float = 15.0
    """Seconds between polls of calls under way, in case an event is lost."""


EXAMINED_S = 15.0
"""Seconds for AMD() to come to a result; its own limit is 5 s."""


class Stage(StrEnum):
    """The stage that a call has reached."""

    OPERATOR = "operator"
    CLIENT = "client"
    TALK = "talk"
    OVER = "over"


class AriCall:
    """A call under way. `number`: "" for a call recovered after a restart, whose request is not known.

    `told` is called once with the outcome, `over` once when the call has been cleaned up.
    """

    def __init__(
        self,
        key: str,
        number: str,
        stage: Stage,
        legs: Legs,
        config: AsteriskConfig,
        *,
        told: Callable[[str, Ended], None],
        over: Callable[[str], None],
    ) -> None:
        self.key = key
        self.stage = stage
        self.lock = threading.RLock()
        self.sending = False
        """The request for the operator's leg is in flight: a missing leg means nothing yet."""
        self._number = number
        self._legs = legs
        self._config = config
        self._told: Callable[[str, Ended], None] | None = told
        self._over = over
        self._rang = False
        self._stop = False
        self._joined = 0.0  # time.monotonic, s
        self._examined_at: float | None = None  # time.monotonic; AMD() runs since
        self._unsure_until = 0.0  # the request for the client's leg may still arrive

    def take(self, leg: str, event: Mapping[str, Any], channel: Mapping[str, Any]) -> None:
        """Apply an event of one of the call's legs."""
        with self.lock:
            match event["type"], leg, self.stage:
                case "StasisStart", "op", Stage.OPERATOR:
                    self._ring_client()
                case "StasisStart", "cl", Stage.CLIENT:
                    self._answered(examined=self._examined_at is not None)
                case "ChannelStateChange", "cl", _:
                    self._rang |= channel.get("state") == "Ringing"
                case "Dial", "cl", _:
                    self._rang |= event.get("dialstatus") in ("RINGING", "PROGRESS")
                case "ChannelVarset", "cl", Stage.CLIENT | Stage.TALK:
                    if (event.get("variable"), event.get("value")) == ("AMDSTATUS", "MACHINE"):
                        self._end(Outcome.MACHINE)
                case "ChannelDestroyed", "op", Stage.OPERATOR:
                    self._end(Outcome.OPERATOR_UNAVAILABLE, "the operator did not answer")
                case "ChannelDestroyed", "op", Stage.CLIENT:
                    outcome = Outcome.NO_ANSWER if self._rang else Outcome.LOST
                    self._end(outcome, "the operator hung up before the client answered")
                case "ChannelDestroyed", "cl", Stage.CLIENT:
                    self._end(*no_answer_of(event.get("cause"), rang=self._rang))
                case "ChannelDestroyed", _, Stage.TALK:
                    self._talk_over(seen=True)

    def look(self) -> None:
        """Poll Asterisk and apply its state, as if the missing events had come.

        Raises:
            DialError: Asterisk does not answer.
        """
        with self.lock:
            if self.sending or self.stage is Stage.OVER:
                return
            operator = self._legs.state(self.key, OPERATOR)
            if self.stage is Stage.OPERATOR:
                if not self._number:
                    self._end(Outcome.FAILED, "broken off before the client was rung")
                elif operator is None:
                    self._end(Outcome.OPERATOR_UNAVAILABLE, "the operator's leg has ended")
                elif operator == "Up":
                    self._ring_client()
                return
            client = self._legs.state(self.key, CLIENT)
            self._rang |= client == "Ringing"
            if client is None and time.monotonic() < self._unsure_until:
                return
            if client is None or operator is None:
                if self.stage is Stage.TALK:
                    self._talk_over(seen=False)
                else:
                    self._end(Outcome.LOST, "a leg has ended unseen")
            elif client == "Up" and self.stage is Stage.CLIENT:
                since = self._examined_at
                if since is None or time.monotonic() - since > EXAMINED_S:
                    self._answered(examined=since is not None)

    def tick(self) -> None:
        """Report a talk that has lasted long enough and still goes on.

        Raises:
            DialError: Asterisk does not say whether the talk goes on.
        """
        with self.lock:
            if self.stage is not Stage.TALK or self._told is None:
                return
            if time.monotonic() - self._joined >= self._config.talk_s:
                self.look()
                self._settle(Outcome.REACHED)

    def stop(self) -> None:
        """Stop the call, unless the parties already talk. Its end is reported as usual.

        Raises:
            DialError: the call could not be stopped.
        """
        with self.lock:
            self._stop = True
            if self.stage in (Stage.OPERATOR, Stage.CLIENT):
                self._legs.hang_up(self.key)

    def leave(self) -> None:
        """Abandon the call without reporting an outcome."""
        with self.lock:
            self._told, self.stage = None, Stage.OVER
            self._over(self.key)

    def _ring_client(self) -> None:
        if self._stop or not self._number:
            self._end(Outcome.FAILED, "stopped before the client was rung")
            return
        endpoint = self._config.client_endpoint.format(
            number=self._number, digits=self._number.lstrip("+")
        )
        try:
            self._legs.mark(self.key, Stage.CLIENT)
        except DialError:
            self._end(Outcome.FAILED, "Asterisk failed before the client was rung")
            return
        self.stage = Stage.CLIENT
        ring_s, caller_id = self._config.ring_client_s, self._config.caller_id
        try:
            if not self._legs.ring(self.key, CLIENT, endpoint, ring_s, caller_id):
                self._end(Outcome.FAILED, "no line to the client")
        except DialRefused:
            self._end(Outcome.FAILED, "Asterisk refused the client's leg")
        except DialUncertain:
            self._unsure_until = time.monotonic() + self._config.check_s

    def _answered(self, *, examined: bool) -> None:
        """The client's leg is up: have AMD() listen to it first, where the centre has that."""
        if self._config.machine_context and not examined:
            self._examined_at = time.monotonic()
            try:
                self._legs.examine(self.key, self._config.machine_context)
                return
            except DialError:
                LOG.warning("an answered call could not be sent to AMD()")
        self._join()

    def _join(self) -> None:
        if self._legs.is_machine(self.key):
            self._end(Outcome.MACHINE)
            return
        try:
            self._legs.join(self.key)
        except DialError:
            self._end(Outcome.LOST, "answered, and could not be joined")
            return
        self.stage, self._joined = Stage.TALK, time.monotonic()

    def _talk_over(self, *, seen: bool) -> None:
        """The talk has ended. `seen`: it ends now; otherwise the poll found it ended."""
        lasted = time.monotonic() - self._joined
        long = lasted >= self._config.talk_s
        if seen and long:
            self._end(Outcome.REACHED)
        elif long or not self._number:  # recovered call: the talk may have begun earlier
            self._end(Outcome.LOST, "answered, nobody saw for how long")
        else:
            self._end(Outcome.NO_ANSWER, f"answered, but ended after {lasted:.0f} s")

    def _end(self, outcome: Outcome, detail: str = "") -> None:
        self._settle(outcome, detail)
        self.leave()
        try:
            self._legs.hang_up(self.key)
            self._legs.part(self.key)
        except DialError:
            LOG.warning("an ended call could not be cleaned up")

    def _settle(self, outcome: Outcome, detail: str = "") -> None:
        if self._told is not None:
            self._told(self.key, Ended(outcome, detail))
            self._told = None
