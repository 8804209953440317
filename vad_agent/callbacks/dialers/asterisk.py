"""Dialer for Asterisk through its REST interface (ARI): rings the operator, then the client, then
bridges both.

    dial ──> operator's leg ──answers──> client's leg ──answers──> bridge ──> talk
             │ busy, no answer, gone     │ never rang: failed      │ AMDSTATUS is MACHINE: machine
             └> operator_unavailable     └ busy, no answer         ├ shorter than `talk_s`: no_answer
                                                                   └ else: reached, reported at `talk_s`

An answered call alone is not "reached", because a machine answers too. With `machine_context` the
client's leg goes through AMD() before it is joined. Without it, a talk of `talk_s` with a machine counts
as a talk with a person.

Recovery after a crash must know whether the client was rung. Therefore a global variable of
Asterisk is set to the stage before the leg of that stage is created. Where the legs are gone, it
decides:
    absent            nothing rang                            Unknown; LOST if the request had been accepted
    "operator"        the client was not rung                 OPERATOR_UNAVAILABLE, FAILED
    "client"          the client may have been rung           what was seen here, else LOST
A restart of Asterisk loses the variables. That goes undetected only if this program also dies,
after the client was rung and before it stored that the request was accepted: a span of seconds.

The formats are those of Asterisk's API descriptions (channels, bridges, events, asterisk). From its
source: a known `channelId` is refused with 409; 500 means that no channel could be created (a
telephone that is not registered) and nothing was dialled. Assumed: a network that plays an
announcement (PROGRESS) has rung. Run one process per `app`: Asterisk sends its events only to the
newest connection.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar

from vad_agent.callbacks.dialers.ari_call import AriCall, Stage
from vad_agent.callbacks.dialers.ari_call import AsteriskConfig as AsteriskConfig
from vad_agent.callbacks.dialers.ari_events import PAUSES_S, AriEvents
from vad_agent.callbacks.dialers.ari_legs import CLIENT, OPERATOR, Legs, leg_of
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    OutcomeReport,
    OutcomeReporter,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.dialers.http_transport import LIMIT_S
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError

LOG = logging.getLogger(__name__)
LOGIN = re.compile(r"[\w.+-]+", re.ASCII)
"""An operator's login as part of an endpoint's name: `&`, `/` or `@` would ring other endpoints."""
NUMBER = re.compile(r"\+[0-9]{3,15}", re.ASCII)
TELL_AGAIN_S = 1.0
MOST_ENDED = 2000


class AsteriskDialer:
    """Dials through ARI.

    `limit_s`: seconds per request. `pauses_s`: seconds before each reconnect for events.
    """

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
        auth = (config.user, config.password)
        self._legs = Legs(config.url, auth, config.app, limit_s=limit_s, pause_s=pause_s)
        self._events = AriEvents(
            self._legs.url,
            config.app,
            auth,
            opened=self._look_at_all,
            event=self._event,
            tick=self._tick,
            tick_s=tick_s,
            pauses_s=pauses_s,
        )
        self._lock = threading.Lock()  # guards the next three; no call's lock is taken under it
        self._calls: dict[str, AriCall] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._waiting: list[OutcomeReport] = []
        self._report: OutcomeReporter | None = None
        self._tell_at = self._look_at = 0.0

    def open(self, report: OutcomeReporter) -> None:
        """Receive Asterisk's events until closed."""
        self._report = report
        self._events.start()

    def close(self) -> None:
        """Stop receiving. Calls under way continue in Asterisk."""
        self._events.close()
        self._legs.close()

    def dial(self, dial_request: DialRequest) -> Ringing | Ended:
        """Ring the operator; the client is rung when the operator answers.

        Raises:
            DialRefused: nothing rings.
            DialUncertain: the operator, and after them the client, may be rung.
        """
        if not NUMBER.fullmatch(dial_request.number):
            raise DialRefused("asterisk: expected a number in E.164")
        endpoint = self._config.any_operator_endpoint
        if dial_request.operator is not None:
            if not LOGIN.fullmatch(dial_request.operator):
                return Ended(Outcome.OPERATOR_UNAVAILABLE, "his login names no telephone")
            endpoint = self._config.operator_endpoint.format(operator=dial_request.operator)
        if not endpoint:
            return Ended(Outcome.OPERATOR_UNAVAILABLE, "no operator is known, and no group")
        if not self._events.wait(min(self._limit_s, 5.0)):
            raise DialRefused("asterisk: no connection for its events")
        with self._lock:
            here = dial_request.key in self._calls or dial_request.key in self._ended
        if here:
            return self._known(dial_request.key)
        try:
            known = self.status(dial_request.key, "")  # a previous process may have dialled
            return self._ring(dial_request, endpoint) if isinstance(known, Unknown) else known
        except _NotAskedFor as error:
            raise DialRefused(str(error)) from error

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """The state of the key, from Asterisk's channels and what was seen here.

        Raises:
            DialUncertain: Asterisk does not answer.
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
            call.look()
        except DialError as error:
            raise _NotAskedFor(str(error)) from error
        return self._known(key)

    def hang_up(self, key: str, reference: str) -> None:
        """Stop the call, unless the parties already talk."""
        call = self._calls.get(key)
        try:
            if call is not None:
                call.stop()
            elif self._legs.state(key, CLIENT) != "Up":
                self._legs.hang_up(key)
        except DialError:
            LOG.warning("a call that is no longer needed could not be stopped")

    # -- the calls ---------------------------------------------------------------------------------

    def _ring(self, dial_request: DialRequest, endpoint: str) -> Ringing | Ended:
        call = self._call(dial_request.key, dial_request.number, Stage.OPERATOR)
        call.sending = True
        with self._lock:
            if self._calls.setdefault(dial_request.key, call) is not call:
                return Ringing(leg_of(dial_request.key, OPERATOR))
        ring_s, caller_id = self._config.ring_operator_s, self._config.caller_id
        try:
            try:
                self._legs.mark(dial_request.key, Stage.OPERATOR)
            except DialUncertain as error:
                raise DialRefused(str(error)) from error
            made = self._legs.ring(dial_request.key, OPERATOR, endpoint, ring_s, caller_id)
        except DialRefused:
            call.leave()
            raise
        finally:
            call.sending = False
        if not made:
            call.leave()
            self._remember(
                dial_request.key,
                Ended(Outcome.OPERATOR_UNAVAILABLE, "his telephone cannot be rung"),
            )
        return self._known(dial_request.key)

    def _found_again(self, key: str) -> AriCall | None:
        """Recover a call of a previous process. None: nothing was ever requested."""
        stage = self._legs.marked(key)
        if stage not in (Stage.OPERATOR, Stage.CLIENT):
            return None
        self._legs.subscribe(key)
        found = self._call(key, "", Stage(stage))
        with self._lock:
            return self._calls.setdefault(key, found)

    def _call(self, key: str, number: str, stage: Stage) -> AriCall:
        return AriCall(
            key, number, stage, self._legs, self._config, told=self._settled, over=self._forget
        )

    def _settled(self, key: str, ended: Ended) -> None:
        """Report the outcome from the events' thread, where no call's lock is held: the desk takes
        locks too.
        """
        self._remember(key, ended)
        with self._lock:
            self._waiting.append(OutcomeReport(key, ended.outcome, ended.detail))

    def _forget(self, key: str) -> None:
        with self._lock:
            self._calls.pop(key, None)

    def _remember(self, key: str, ended: Ended) -> None:
        with self._lock:
            self._ended[key] = ended
            while len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def _known(self, key: str) -> Ringing | Ended:
        with self._lock:
            return self._ended.get(key) or Ringing(leg_of(key, OPERATOR))

    # -- the events' thread ------------------------------------------------------------------------

    def _event(self, event: Mapping[str, Any]) -> None:
        channel = event.get("peer" if event["type"] == "Dial" else "channel")
        id = channel.get("id") if isinstance(channel, dict) else None
        if not isinstance(channel, dict) or not isinstance(id, str):
            return
        key, _, leg = id.rpartition("-")
        if (call := self._calls.get(key)) is not None:
            call.take(leg, event, channel)
        elif event["type"] == "StasisStart" and event.get("args") == [key]:
            self._stray(key)
        self._tell()

    def _stray(self, key: str) -> None:
        """A leg of a call that is not under way here: from a previous process, or created too late."""
        self.status(key, "")
        if key not in self._calls:
            self._legs.hang_up(key)

    def _tick(self) -> None:
        self._tell()
        if self._events.wait(0) and time.monotonic() >= self._look_at:
            self._look_at_all()
        for call in self._under_way():
            try:
                call.tick()
            except DialError:
                LOG.warning("Asterisk does not report whether a call goes on")
        self._tell()

    def _look_at_all(self) -> None:
        self._look_at = time.monotonic() + self._config.check_s
        for call in self._under_way():
            try:
                call.look()
            except DialError:
                LOG.warning("Asterisk does not report the state of a call")
        self._tell()

    def _under_way(self) -> list[AriCall]:
        with self._lock:
            return list(self._calls.values())

    def _tell(self) -> None:
        if self._report is None or time.monotonic() < self._tell_at:
            return
        with self._lock:
            waiting = list(self._waiting)
        for told in waiting:
            try:
                self._report(told)
            except Exception as error:
                why = {"why": type(error).__name__}
                LOG.warning("an outcome could not be stored, will be reported again", extra=why)
                self._tell_at = time.monotonic() + TELL_AGAIN_S
                continue
            with self._lock:
                self._waiting.remove(told)
            self._legs.forget(told.key)


class _NotAskedFor(DialUncertain):
    """The call was only looked up: this request did not ask anything to ring."""
