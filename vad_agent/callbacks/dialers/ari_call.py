"""One call of Asterisk's: the operator's leg, the client's, the talk, and what its end means.

    OPERATOR ──answers──> CLIENT ──answers──> TALK ──> OVER
        └────────────────────┴── ends ─────────────────^

Events and looks at the channels lead to the same changes, so that an event that comes twice, too late or
never does no harm. Everything is done under the call's lock.
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
    """Where Asterisk is, and how it rings. `{operator}`: a login; `{number}`: with the plus; `{digits}`:
    without it.
    """

    url: str
    """Without `/ari`: http://pbx:8088."""
    user: str
    password: str = field(repr=False)
    app: str = "vad-agent"
    operator_endpoint: str = "PJSIP/{operator}"
    any_operator_endpoint: str = ""
    """Of a queue or a group of telephones; "": an order without an operator cannot be dialled."""
    client_endpoint: str = "PJSIP/{number}@trunk"
    caller_id: str = ""
    """What the client sees."""
    ring_operator_s: int = 20
    ring_client_s: int = 40
    talk_s: float = 10.0
    """A talk as long as this was one with a person."""
    check_s: float = 15.0
    """So often what is under way is looked at, should an event be lost."""


class Stage(StrEnum):
    """How far a call has come."""

    OPERATOR = "operator"
    CLIENT = "client"
    TALK = "talk"
    OVER = "over"


class AriCall:
    """A call under way. `number`: "" where it was found again after a restart: the order is not known then.

    `told` is called once with the outcome, `over` once when nothing is left of it.
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
        """The request for the operator's leg is on its way: that there is none yet means nothing."""
        self._number = number
        self._legs = legs
        self._config = config
        self._told: Callable[[str, Ended], None] | None = told
        self._over = over
        self._rang = False
        self._stop = False
        self._joined = 0.0  # time.monotonic, s
        self._unsure_until = 0.0  # the request for the client's leg may still arrive

    def take(self, leg: str, event: Mapping[str, Any], channel: Mapping[str, Any]) -> None:
        """An event of one of its legs."""
        with self.lock:
            match event["type"], leg, self.stage:
                case "StasisStart", "op", Stage.OPERATOR:
                    self._ring_client()
                case "StasisStart", "cl", Stage.CLIENT:
                    self._join()
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
        """Bring it up to what Asterisk has, as if the events in between had come.

        Raises:
            DialError: Asterisk does not tell.
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
                self._join()

    def tick(self) -> None:
        """A talk that is long enough, and goes on, is told as it is.

        Raises:
            DialError: Asterisk does not tell whether it goes on.
        """
        with self.lock:
            if self.stage is not Stage.TALK or self._told is None:
                return
            if time.monotonic() - self._joined >= self._config.talk_s:
                self.look()
                self._settle(Outcome.REACHED)

    def stop(self) -> None:
        """It is needed no more, unless they talk already. Its end is told as any other.

        Raises:
            DialError: it could not be stopped.
        """
        with self.lock:
            self._stop = True
            if self.stage in (Stage.OPERATOR, Stage.CLIENT):
                self._legs.hang_up(self.key)

    def leave(self) -> None:
        """Nothing is left of it; nothing is told."""
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
        """`seen`: it ends now; else it was over when it was looked at."""
        lasted = time.monotonic() - self._joined
        long = lasted >= self._config.talk_s
        if seen and long:
            self._end(Outcome.REACHED)
        elif long or not self._number:  # found again: it may have been talking before
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
            LOG.warning("what is left of an ended call could not be hung up")

    def _settle(self, outcome: Outcome, detail: str = "") -> None:
        if self._told is not None:
            self._told(self.key, Ended(outcome, detail))
            self._told = None
