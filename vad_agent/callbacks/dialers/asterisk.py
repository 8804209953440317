"""Asterisk dials, told by its REST interface (ARI): the operator first, then the client, then both joined.

    dial ──> operator's leg ──answers──> client's leg ──answers──> bridge ──> talk
             │ busy, no answer, gone     │ never rang: failed      │ AMDSTATUS is MACHINE: machine
             └> operator_unavailable     └ busy, no answer         ├ shorter than `talk_s`: no_answer
                                                                   └ else: reached, told at `talk_s`

An answer alone is not "reached": a machine answers too. Where the centre's dialplan runs AMD() on the client's
leg, what it sets counts; without it a talk of `talk_s` with a machine passes for a person's.

Who crashes when, and whether the client was rung: a global variable of Asterisk's is set to the stage before
the leg of that stage is made. So, where the legs are gone:
    absent            nothing rang                            Unknown; LOST where it had been taken
    "operator"        the client was not rung                 OPERATOR_UNAVAILABLE, FAILED
    "client"          he may have been                        what was seen here, else LOST
A restart of Asterisk's loses the variables. It goes unseen only where this program dies too, after the client
was rung and before it stored that the order was taken: those are seconds apart.

The formats are those of Asterisk's own API descriptions (channels, bridges, events, asterisk). Of its source:
a known `channelId` is refused by 409; 500 says that no channel could be made (a telephone that is not
registered), and nothing was dialled. Assumed: a network that announces something (PROGRESS) has rung. One
process for each `app`: of two, Asterisk tells its events to the later one alone.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from vad_agent.callbacks.dialers.ari_events import PAUSES_S, AriEvents
from vad_agent.callbacks.dialers.ari_legs import CLIENT, OPERATOR, Legs, leg_of, no_answer_of
from vad_agent.callbacks.dialers.http import LIMIT_S
from vad_agent.callbacks.dialers.port import (
    DialRefused,
    DialUncertain,
    Ended,
    Order,
    Report,
    Ringing,
    Told,
    Unknown,
)
from vad_agent.callbacks.rules import Outcome
from vad_agent.errors import DialError

LOG = logging.getLogger(__name__)
LOGIN = re.compile(r"[\w.+-]+", re.ASCII)
"""Of an operator, as a part of an endpoint's name: no `&`, `/` or `@`, which would ring others."""
NUMBER = re.compile(r"\+[0-9]{3,15}", re.ASCII)
TELL_AGAIN_S = 1.0
MOST_ENDED = 2000


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


@dataclass(slots=True)
class _Call:
    key: str
    number: str = field(default="", repr=False)
    """"": found again after a restart, the order is not known."""
    stage: Stage = Stage.OPERATOR
    sending: bool = False
    """The request for the operator's leg is on its way: that there is none yet means nothing."""
    rang: bool = False
    stop: bool = False
    told: bool = False
    joined: float = 0.0
    """`time.monotonic`, s."""
    resumed: bool = False
    """It was talking before this program knew of it: how long, nobody knows."""
    unsure_until: float = 0.0
    """The request for the client's leg may still arrive."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)


class AsteriskDialer:
    """Dials by ARI. `limit_s`: of a request; `pauses_s`: before a new connection for events."""

    name: ClassVar[str] = "asterisk"

    def __init__(
        self,
        config: AsteriskConfig,
        *,
        limit_s: float = LIMIT_S,
        pause_s: float = 0.3,
        pauses_s: tuple[float, ...] = PAUSES_S,
        tick_s: float = 0.5,
    ) -> None:
        self._config = config
        self._limit_s = limit_s
        self._legs = Legs(
            config.url, (config.user, config.password), config.app, limit_s=limit_s, pause_s=pause_s
        )
        self._events = AriEvents(
            self._legs.url,
            config.app,
            (config.user, config.password),
            opened=self._look_at_all,
            event=self._event,
            tick=self._tick,
            tick_s=tick_s,
            pauses_s=pauses_s,
        )
        self._lock = threading.Lock()  # of the three below; never held while a call's is asked for
        self._calls: dict[str, _Call] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._waiting: list[Told] = []
        self._report: Report | None = None
        self._tell_at = self._look_at = 0.0

    # -- the port ----------------------------------------------------------------------------------

    def open(self, report: Report) -> None:
        """Listen to Asterisk's events, for ever."""
        self._report = report
        self._events.start()

    def close(self) -> None:
        """Stop listening; calls under way go on in Asterisk."""
        self._events.close()
        self._legs.close()

    def dial(self, order: Order) -> Ringing | Ended:
        """Ring the operator; the client is rung when he answers.

        Raises:
            DialRefused: nothing rings.
            DialUncertain: the operator may be rung, and the client after him.
        """
        if not NUMBER.fullmatch(order.number):
            raise DialRefused("asterisk: expected a number in E.164")
        endpoint = self._config.any_operator_endpoint
        if order.operator is not None:
            if not LOGIN.fullmatch(order.operator):
                return Ended(Outcome.OPERATOR_UNAVAILABLE, "his login names no telephone")
            endpoint = self._config.operator_endpoint.format(operator=order.operator)
        if not endpoint:
            return Ended(Outcome.OPERATOR_UNAVAILABLE, "no operator is known, and no group")
        if not self._events.wait(min(self._limit_s, 5.0)):
            raise DialRefused("asterisk: no connection for its events")
        with self._lock:
            mine = order.key not in self._calls and order.key not in self._ended
        try:
            known = self.status(order.key, "") if mine else self._known(order.key)
        except DialUncertain as error:  # nothing was asked to ring
            raise DialRefused(str(error)) from None
        if not isinstance(known, Unknown):
            return known
        return self._ring_operator(order, endpoint)

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """What became of the key, by Asterisk's channels and what was seen here.

        Raises:
            DialUncertain: Asterisk does not tell.
        """
        with self._lock:
            ended, call = self._ended.get(key), self._calls.get(key)
        if ended is not None:
            return ended
        try:
            if call is None:
                call = self._found_again(key)
            if call is None:
                return Ended(Outcome.LOST, "no trace of it is left") if reference else Unknown()
            self._look(call)
        except DialRefused as error:
            raise DialUncertain(str(error)) from error
        return self._known(key)

    def hang_up(self, key: str, reference: str) -> None:
        """Stop it, unless they talk already."""
        call = self._calls.get(key)
        try:
            if call is None:
                if self._legs.state(key, CLIENT) != "Up":
                    self._legs.hang_up(key)
                return
            with call.lock:
                call.stop = True
                if call.stage in (Stage.OPERATOR, Stage.CLIENT):
                    self._legs.hang_up(key)  # the events tell how it ended
        except DialError:
            LOG.warning("a call that is needed no more could not be stopped")

    # -- a call's way ------------------------------------------------------------------------------

    def _ring_operator(self, order: Order, endpoint: str) -> Ringing | Ended:
        call = _Call(order.key, order.number, sending=True)
        with self._lock:
            if self._calls.setdefault(order.key, call) is not call:
                return Ringing(leg_of(order.key, OPERATOR))
        try:
            try:
                self._legs.mark(order.key, Stage.OPERATOR)
            except DialUncertain as error:
                raise DialRefused(str(error)) from error
            made = self._legs.ring(
                order.key, OPERATOR, endpoint, self._config.ring_operator_s, self._config.caller_id
            )
        except DialRefused:
            with call.lock:
                self._leave(call)
            raise
        finally:
            call.sending = False
        if not made:
            with call.lock:
                self._leave(call)
            ended = Ended(Outcome.OPERATOR_UNAVAILABLE, "his telephone cannot be rung")
            self._remember(order.key, ended)
            return ended
        return self._known(order.key)

    def _ring_client(self, call: _Call) -> None:
        if call.stop or not call.number:
            self._end(call, Outcome.FAILED, "stopped before the client was rung")
            return
        number = call.number
        endpoint = self._config.client_endpoint.format(number=number, digits=number.lstrip("+"))
        try:
            self._legs.mark(call.key, Stage.CLIENT)
        except DialError:
            self._end(call, Outcome.FAILED, "Asterisk failed before the client was rung")
            return
        call.stage = Stage.CLIENT
        try:
            made = self._legs.ring(
                call.key, CLIENT, endpoint, self._config.ring_client_s, self._config.caller_id
            )
        except DialRefused:
            self._end(call, Outcome.FAILED, "Asterisk refused the client's leg")
        except DialUncertain:
            call.unsure_until = time.monotonic() + self._config.check_s
        else:
            if not made:
                self._end(call, Outcome.FAILED, "no line to the client")

    def _join(self, call: _Call) -> None:
        if self._legs.is_machine(call.key):
            self._end(call, Outcome.MACHINE)
            return
        try:
            self._legs.join(call.key)
        except DialError:
            self._end(call, Outcome.LOST, "answered, and could not be joined")
            return
        call.stage, call.joined = Stage.TALK, time.monotonic()

    def _talk_over(self, call: _Call, *, seen: bool) -> None:
        """`seen`: it ends now; else it was over when it was looked at."""
        lasted = time.monotonic() - call.joined
        if seen and lasted >= self._config.talk_s:
            self._end(call, Outcome.REACHED)
        elif call.resumed or lasted >= self._config.talk_s:
            self._end(call, Outcome.LOST, "answered, nobody saw for how long")
        else:
            self._end(call, Outcome.NO_ANSWER, f"answered, but ended after {lasted:.0f} s")

    def _end(self, call: _Call, outcome: Outcome, detail: str = "") -> None:
        self._settle(call, outcome, detail)
        self._leave(call)
        try:
            self._legs.hang_up(call.key)
            self._legs.part(call.key)
        except DialError:
            LOG.warning("what is left of an ended call could not be hung up")

    def _settle(self, call: _Call, outcome: Outcome, detail: str = "") -> None:
        """The outcome is known; it is told by the events' thread, where no lock is held."""
        if not call.told:
            call.told = True
            self._remember(call.key, Ended(outcome, detail))
            with self._lock:
                self._waiting.append(Told(call.key, outcome, detail))

    def _leave(self, call: _Call) -> None:
        call.stage = Stage.OVER
        with self._lock:
            self._calls.pop(call.key, None)

    def _remember(self, key: str, ended: Ended) -> None:
        with self._lock:
            self._ended[key] = ended
            while len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def _known(self, key: str) -> Ringing | Ended:
        with self._lock:
            return self._ended.get(key) or Ringing(leg_of(key, OPERATOR))

    # -- what Asterisk tells -----------------------------------------------------------------------

    def _event(self, event: Mapping[str, Any]) -> None:
        channel = event.get("peer" if event["type"] == "Dial" else "channel")
        id = channel.get("id") if isinstance(channel, dict) else None
        if not isinstance(channel, dict) or not isinstance(id, str):
            return
        key, _, leg = id.rpartition("-")
        call = self._calls.get(key)
        if call is None:
            if event["type"] == "StasisStart" and event.get("args") == [key]:
                self.status(key, "")  # of an earlier life of this program's
        elif leg in (OPERATOR, CLIENT):
            with call.lock:
                self._take(call, leg, event, channel)
        self._tell()

    def _take(
        self, call: _Call, leg: str, event: Mapping[str, Any], channel: Mapping[str, Any]
    ) -> None:
        match event["type"], leg, call.stage:
            case "StasisStart", "op", Stage.OPERATOR:
                self._ring_client(call)
            case "StasisStart", "cl", Stage.CLIENT:
                self._join(call)
            case "ChannelStateChange", "cl", _:
                call.rang |= channel.get("state") == "Ringing"
            case "Dial", "cl", _:
                call.rang |= event.get("dialstatus") in ("RINGING", "PROGRESS")
            case "ChannelVarset", "cl", Stage.CLIENT | Stage.TALK:
                if (event.get("variable"), event.get("value")) == ("AMDSTATUS", "MACHINE"):
                    self._end(call, Outcome.MACHINE)
            case "ChannelDestroyed", "op", Stage.OPERATOR:
                self._end(call, Outcome.OPERATOR_UNAVAILABLE, "the operator did not answer")
            case "ChannelDestroyed", "op", Stage.CLIENT:
                outcome = Outcome.NO_ANSWER if call.rang else Outcome.LOST
                self._end(call, outcome, "the operator hung up before the client answered")
            case "ChannelDestroyed", "cl", Stage.CLIENT:
                self._end(call, *no_answer_of(event.get("cause"), rang=call.rang))
            case "ChannelDestroyed", _, Stage.TALK:
                self._talk_over(call, seen=True)

    def _tick(self) -> None:
        self._tell()
        now = time.monotonic()
        if self._events.wait(0) and now >= self._look_at:
            self._look_at_all()
        for call in list(self._calls.values()):
            long = call.stage is Stage.TALK and now - call.joined >= self._config.talk_s
            if long and not call.told and self._look_safely(call):
                self._settle(call, Outcome.REACHED)
        self._tell()

    def _tell(self) -> None:
        if self._report is None or time.monotonic() < self._tell_at:
            return
        for told in list(self._waiting):
            try:
                self._report(told)
            except Exception as error:
                LOG.warning(
                    "an outcome could not be stored, told again soon",
                    extra={"why": type(error).__name__},
                )
                self._tell_at = time.monotonic() + TELL_AGAIN_S
                continue
            with self._lock:
                self._waiting.remove(told)
            self._legs.forget(told.key)

    # -- what is looked at -------------------------------------------------------------------------

    def _look_at_all(self) -> None:
        self._look_at = time.monotonic() + self._config.check_s
        for call in list(self._calls.values()):
            self._look_safely(call)
        self._tell()

    def _look_safely(self, call: _Call) -> bool:
        """Whether it was seen to be going on."""
        try:
            self._look(call)
        except DialError:
            return False
        return call.stage is not Stage.OVER

    def _look(self, call: _Call) -> None:
        """Bring it up to what Asterisk has, as if the events in between had come.

        Raises:
            DialError: Asterisk does not tell.
        """
        with call.lock:
            if call.sending or call.stage is Stage.OVER:
                return
            operator = self._legs.state(call.key, OPERATOR)
            if call.stage is Stage.OPERATOR:
                if not call.number:
                    self._end(call, Outcome.FAILED, "broken off before the client was rung")
                elif operator is None:
                    self._end(call, Outcome.OPERATOR_UNAVAILABLE, "the operator's leg has ended")
                elif operator == "Up":
                    self._ring_client(call)
                return
            client = self._legs.state(call.key, CLIENT)
            call.rang |= client == "Ringing"
            if client is None and time.monotonic() < call.unsure_until:
                return
            if client is None or operator is None:
                if call.stage is Stage.TALK:
                    self._talk_over(call, seen=False)
                else:
                    self._end(call, Outcome.LOST, "a leg has ended unseen")
            elif client == "Up" and call.stage is Stage.CLIENT:
                self._join(call)

    def _found_again(self, key: str) -> _Call | None:
        """A call of an earlier life of this program's; None: nothing was ever asked for."""
        stage = self._legs.marked(key)
        if stage not in (Stage.OPERATOR, Stage.CLIENT):
            return None
        found = _Call(key, stage=Stage(stage), resumed=True)
        self._legs.subscribe(key)
        with self._lock:
            return self._calls.setdefault(key, found)
