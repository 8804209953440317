"""Makes attempts: stores the intent, dials, stores the outcome. Once per key.

    scheduler ─> make(key) ─> begin ─> dial ─┬─> Ringing ─ … ─ the dialer's report ─> service
                                │            └─> Offered ─ … ─ a person accepts, and reports ─> service
                                └─ an earlier process began it ─> status first, and only `Unknown` is dialled

An attempt under way belongs to one node. `look_after` adopts the attempts that a dead node, or this
node before it was killed, left behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from vad_agent.callbacks import failpoints
from vad_agent.callbacks.attempt_store import Attempt, Begun
from vad_agent.callbacks.dialers.base import (
    Dialer,
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    Offered,
    OutcomeReport,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.model import UNDER_WAY, Outcome, State
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import RuleError, StoreError

log = logging.getLogger(__name__)

ADOPT_S = 3.0
"""Seconds before an attempt is adopted: a node that has just left may still be working on it."""
STALE_S = 1.0
"""After a delay of this many seconds between intent and dialling, another node may have adopted the
attempt.
"""


DialResult = Ringing | Offered | Ended | Unknown


class Dispatcher:
    """Makes this node's attempts. `late`: called with the seconds by which each attempt began late."""

    def __init__(
        self,
        service: CallbackService,
        dialer: Dialer,
        node: str,
        late: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._store = service.store
        self._dialer = dialer
        self._node = node
        self._late = late
        self._busy: set[str] = set()
        self._known: set[str] = set()  # keys that the dialer will report
        self._lock = threading.Lock()
        service.stop_ringing = self.stop

    def make(self, key: str) -> None:
        """Make the attempt, if it must be made now.

        Raises:
            StoreError: the store is unavailable; try again later.
        """
        failpoints.passed(failpoints.WOKEN)
        with self._alone(key) as alone:
            if not alone:
                return
            now = self._service.clock.now()
            begun = self._store.begin(key, self._node, Actor(self._node, now))
            if begun is None:
                return  # or not now: the store has its time
            if begun.attempt.node != self._node:
                return  # its node may be working on it; if that is dead, `look_after` adopts it
            if not begun.again:
                self._late((now - begun.attempt.due).total_seconds())
            failpoints.passed(failpoints.INTENT)
            self._ring(begun, time.monotonic())

    def _ring(self, begun: Begun, since: float) -> None:
        if begun.callback.state is State.OFFERED:
            return  # a person was told: the store knows it, whatever dials now
        key, reference = begun.attempt.key, begun.attempt.reference
        answer: DialResult | None = Unknown()
        if begun.again:
            answer = self._status(key, reference)
        if isinstance(answer, Unknown):
            if time.monotonic() - since > STALE_S and not self._store.owns(key, self._node):
                return  # delayed, and another node has taken it over
            answer = self._dial(self._dial_request(begun))
            failpoints.passed(failpoints.RANG)
        self._settle(key, answer)

    def _settle(self, key: str, answer: DialResult | None) -> None:
        match answer:
            case Ended(outcome, detail):
                self._end(OutcomeReport(key, outcome, detail))
            case Ringing(reference):
                with self._lock:
                    self._known.add(key)
                self._store.dialled(key, reference, self._service.clock.now())
                failpoints.passed(failpoints.DIAL_STORED)
                if not self._is_wanted(key):
                    self.stop(key)  # closed while it was dialled: nothing to stop then
            case Offered(reference):
                with self._lock:
                    self._known.add(key)
                self._store.offer(key, reference, Actor(self._node, self._service.clock.now()))
                failpoints.passed(failpoints.DIAL_STORED)
            case Unknown():  # only after a dial that the other side never received
                self._end(OutcomeReport(key, Outcome.FAILED, "what dials never heard of it"))
            case None:
                pass  # unknown: `look_after` asks again

    def _is_wanted(self, key: str) -> bool:
        callback = self._store.find(key.partition(".")[0])
        return callback is not None and callback.state in UNDER_WAY and callback.key == key

    def _dial(self, dial_request: DialRequest) -> DialResult | None:
        try:
            return self._dialer.dial(dial_request)
        except DialRefused as error:
            return Ended(Outcome.FAILED, str(error))
        except DialUncertain as error:
            log.warning("an attempt may ring", extra={"key": dial_request.key, "why": str(error)})
        except Exception:
            log.exception("the dialer failed", extra={"key": dial_request.key})
        return self._status(dial_request.key, "")

    def _status(self, key: str, reference: str) -> DialResult | None:
        try:
            return self._dialer.status(key, reference)
        except (DialRefused, DialUncertain) as error:
            log.warning(
                "the status of an attempt cannot be queried", extra={"key": key, "why": str(error)}
            )
        except Exception:
            log.exception("the dialer failed", extra={"key": key})
        return None

    def report(self, told: OutcomeReport) -> None:
        """Take the other side's report. A report of another node's attempt is not stored.

        Raises:
            StoreError: report again.
        """
        try:
            self._end(told)
        except RuleError:
            log.warning("an outcome of an unknown attempt", extra={"key": told.key})

    def _end(self, told: OutcomeReport) -> None:
        who = f"{self._dialer.name} at {self._node}"
        self._service.report(told.key, told.outcome, who, told.detail)
        with self._lock:
            self._known.discard(told.key)

    def stop(self, key: str) -> None:
        """The attempt is no longer needed, even if it is ringing."""
        try:  # the outcome is stored: a failure here must not look like a failure to store it
            attempt = self._store.attempt(key)
            if attempt is not None and attempt.ended is None:
                self._dialer.hang_up(key, attempt.reference)
        except StoreError as error:
            log.warning("an attempt could not be stopped", extra={"key": key, "why": str(error)})
        except Exception:
            log.exception("an attempt could not be stopped", extra={"key": key})

    # -- recovery
    # ----------------------------------------------------------------------------------------

    def look_after(self, alive: set[str], now: datetime) -> list[Attempt]:
        """Adopt attempts without an owner. Return those under way for longer than the policy allows.

        `alive`: names of the live nodes.

        Raises:
            StoreError: the store is unavailable.
        """
        limit = timedelta(seconds=self._store.policy.answer_limit_s)
        too_long = []
        for attempt, state in self._store.under_way():
            ours = attempt.node == self._node
            if not ours and attempt.node in alive:
                continue
            over = now - (attempt.accepted or attempt.intent) > limit
            if state not in UNDER_WAY:
                if over or not ours:  # its callback was closed; nobody will report the outcome
                    self._end(OutcomeReport(attempt.key, Outcome.LOST, "its callback was closed"))
                continue
            if state is State.OFFERED:  # nobody has called yet: there is nothing to query
                if not ours:
                    self._store.claim(attempt.key, attempt.node, self._node)
                continue
            fresh = now - attempt.intent < timedelta(seconds=ADOPT_S)
            if fresh or (ours and attempt.key in self._known and not over):
                continue
            if self._adopt(attempt, over=over) and over:
                too_long.append(attempt)
        return too_long

    def _adopt(self, attempt: Attempt, *, over: bool) -> bool:
        """Determine the attempt's state. Return whether it is still under way."""
        key = attempt.key
        with self._alone(key) as alone:
            if not alone or not self._store.claim(key, attempt.node, self._node):
                return False
            answer = self._status(key, attempt.reference)
            if answer is None and over:
                answer = Ended(Outcome.LOST, "what dials cannot tell what became of it")
            if isinstance(answer, Unknown):
                begun = self._store.begin(
                    key, self._node, Actor(self._node, self._service.clock.now())
                )
                answer = None if begun is None else self._dial(self._dial_request(begun))
            if isinstance(answer, Ringing | Offered) and attempt.dialled is not None:
                with self._lock:
                    self._known.add(key)
                return True
            self._settle(key, answer)
            return isinstance(answer, Ringing | Offered)

    @contextmanager
    def _alone(self, key: str) -> Iterator[bool]:
        """Only one thread of this process works on a key at a time. False: another one does."""
        with self._lock:
            free = key not in self._busy
            if free:
                self._busy.add(key)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._busy.discard(key)

    def _dial_request(self, begun: Begun) -> DialRequest:
        callback, attempt = begun.callback, begun.attempt
        assert callback.phone is not None, attempt.key
        return DialRequest(
            key=attempt.key,
            number=callback.phone,
            due=attempt.due,
            attempt=attempt.number,
            attempts=self._store.policy.attempts,
            operator=callback.operator,
            name=callback.name,
            opening=callback.opening,
            topic=callback.topic,
            reasons=callback.reasons,
            session=callback.session,
        )
