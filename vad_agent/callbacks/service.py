"""The callback service: what calls, people and clients do to callbacks. It stores first; the
scheduler finds in the store what is due.

headset, API, command line ─> service ─> store ─> scheduler (wakes) ─> dispatcher ─> dialer
                                                 └── reconciler: nothing is forgotten
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from vad_agent.callbacks import failpoints, next_attempt_time, transitions
from vad_agent.callbacks.attempt_store import Attempt
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.call_store import CallStore
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import UNDER_WAY, Callback, Outcome, Request, State
from vad_agent.callbacks.offers import Audience, HasPanel, audience, is_offered_to
from vad_agent.callbacks.phone_numbers import dialable, extension_of, normalised
from vad_agent.callbacks.store import Store, Taken
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import NumberError, RuleError

REPEAT_S = 2.0
"""Seconds within which a second report without a key is a repetition: nobody calls twice so fast."""


def _just_ended(attempt: Attempt, now: datetime) -> bool:
    return attempt.ended is not None and now - attempt.ended < timedelta(seconds=REPEAT_S)


class CallbackService:
    """`wake`: called after each change: something may be due sooner.

    `stop_ringing(key)`: called when an attempt under way is no longer needed. `has_panel`: whether
    an operator has a panel open at this desk; without pages nobody has.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
        stop_ringing: Callable[[str], None] | None = None,
    ) -> None:
        self.store = store
        self.calls = CallStore(store)
        self.clock = clock
        self._wake = wake
        self.stop_ringing = stop_ringing or (lambda _: None)
        self.has_panel: HasPanel = lambda _: False

    # -- calls ----------------------------------------------------------------------------------------

    def take(self, request: Request, who: str, *, strict: bool = False) -> Taken:
        """Store a request. When this returns, it cannot be lost.

        `strict`: refuse a number that cannot be dialled; otherwise the request is stored and needs
        a number.

        Raises:
            NumberError: the number is not valid, and `strict`.
            RuleError: the agreed time is not valid.
            StoreError: it could not be stored: try again.
        """
        given = request.phone or request.phone_given
        if given:
            try:
                phone = self._dialable(given)
                behind = request.extension or extension_of(given, self.store.policy.region)
                request = replace(request, phone=phone, phone_given=None, extension=behind)
            except NumberError:
                if strict:
                    raise
                request = replace(request, phone=None, phone_given=given)
        else:  # "" would merge all clients without a number
            request = replace(request, phone=None, phone_given=None)
        if request.at is not None and not strict:
            request = self._with_time(request)
        taken = self.store.take(request, self._by(who))
        failpoints.passed(failpoints.STORED)
        self._wake()
        failpoints.passed(failpoints.ARMED)
        return taken

    def _with_time(self, request: Request) -> Request:
        """An unreadable time must not lose the request: it is stored and needs a time."""
        try:
            next_attempt_time.agreed_time(request.at or "", self.store.policy)
        except RuleError:
            return replace(request, at=None, due_in_s=None)
        return request

    def call_ended(self, call: str, who: str) -> None:
        """The call is over: a callback "at once" need not wait for the end of the farewell.

        Raises:
            StoreError: it could not be stored.
        """
        if self.store.call_ended(call, self._by(who)) is not None:
            self._wake()

    def take_call(self, record: CallRecord) -> bool:
        """Store a finished call. False: it was stored before.

        Raises:
            StoreError: it could not be stored: report it again.
        """
        return self.calls.take(record, self.clock.now())

    def make(self, call: str, who: str) -> Taken:
        """Make the callback that the stored trace of a call asks for. "duplicate": it was requested.

        Raises:
            RuleError: there is no such call, its trace was erased, or asks for no callback.
            StoreError: it could not be stored.
        """
        record = self.calls.record(call)
        if record is None:
            raise RuleError("call: there is no such call, or its trace was erased")
        request = record.request()
        if request is None:
            raise RuleError("call: its trace asks for no callback")
        return self.take(request, who)

    def withdraw(self, call: str, who: str) -> Callback | None:
        """The call's client came back: cancel the callback, unless another call requests it. None:
        none to cancel.

        Raises:
            StoreError: it could not be stored.
        """
        callback = self.store.withdraw(call, self._by(who, "the client came back into the call"))
        if callback is not None:
            self.stop_ringing(callback.key)
        return callback

    def client_called(
        self, phone: str, who: str, *, operator: str | None = None
    ) -> Callback | None:
        """The client has called: close their open callbacks, if there are any; the newest is returned.
        `operator`: only those that are theirs, or nobody's.

        Raises:
            NumberError: the number is not valid.
            ColleagueError: all of them are another operator's.
            StoreError: it could not be stored.
        """
        by = self._by(who, "the client called")
        number = normalised(phone, self.store.policy.region)
        closed = self.store.client_called(number, by, operator)
        for before, _ in closed:
            self.stop_ringing(before.key)
        return closed[0][1] if closed else None

    # -- offers ---------------------------------------------------------------------------------------

    def accept(self, id: str, operator: str, who: str) -> Callback:
        """The operator calls the client of an offered callback by hand; the first one has it.

        Raises:
            RuleError: it is not offered, another operator has it, or there is none.
            StoreError: it could not be stored.
        """
        return self.store.accept(id, operator, self._by(who))

    def is_offered_to(self, operator: str, callback: Callback) -> bool:
        """The callback is offered, and the operator may see it now."""
        now, policy = self.clock.now(), self.store.policy
        return is_offered_to(operator, callback, now, policy, self.has_panel)

    def audiences(self, offered: Iterable[Callback]) -> dict[str, Audience]:
        """To whom each of these callbacks is offered now, by id."""
        now, policy = self.clock.now(), self.store.policy
        return {one.id: audience(one, now, policy, self.has_panel) for one in offered}

    # -- people ---------------------------------------------------------------------------------------

    def done(
        self,
        id: str,
        outcome: Outcome,
        who: str,
        why: str = "",
        *,
        key: str | None = None,
        settles: bool = False,
        operator: str | None = None,
    ) -> Callback:
        """A person reports an attempt's outcome.

        `key`: of the attempt; None: of the one under way, and a repetition within `REPEAT_S` is of the
        one reported just before. The key of the next attempt: it was made by hand. `settles`: the
        client was reached, and everything else promised to them is settled too; `operator`: only what is
        theirs, or nobody's.

        Raises:
            RuleError: no attempt is meant, the callback has ended, or there is none.
            StoreError: it could not be stored: report again.
        """
        callback = self.store.get(id)
        if key is not None and key.partition(".")[0] != id:
            raise RuleError("key: expected the key of an attempt of this callback")
        attempts = self.store.attempts_of(id)
        now = self.clock.now()
        repeated = next((one for one in reversed(attempts) if _just_ended(one, now)), None)
        if key is None:
            key = self._meant(callback, repeated)
        if any(one.key == key for one in attempts):
            after = self.report(key, outcome, who, why) or self.store.get(id)
        elif repeated is not None and key == callback.key and outcome is not Outcome.REACHED:
            return callback  # no call was made since the last report
        else:
            after = self.store.by_hand(key, outcome, why, self._by(who, why))
            self._wake()
        if settles and after.state is State.REACHED:
            self.store.settle(id, self._by(who, f"settled in {id}"), operator)
        return after

    def _meant(self, callback: Callback, repeated: Attempt | None) -> str:
        """The key of the attempt that a report without a key means."""
        if repeated is not None:
            return repeated.key
        if callback.state in UNDER_WAY:
            return callback.key
        if not callback.open:
            state = callback.state
            raise RuleError(f"{callback.id}: it has ended ({state}) and cannot be done")
        raise RuleError(
            f"{callback.id}: no attempt is under way: give the attempt's key; of a call that you made "
            f"by hand it is the next attempt's, {callback.key}"
        )

    def cancel(self, id: str, who: str, why: str = "") -> Callback:
        """Cancel the callback; raises as `done`."""
        by = self._by(who, why)
        return self._change(id, "cancelled", by, lambda c: transitions.cancel(c, by.at))

    def retry(self, id: str, who: str, why: str = "") -> Callback:
        """Start all attempts anew, now; raises as `done`."""
        by = self._by(who, why)
        return self._change(id, "retried", by, lambda c: transitions.retry(c, by.at))

    def set_number(self, id: str, phone: str, who: str) -> Callback:
        """Set the number. Returns another callback if the client already has one.

        Raises:
            NumberError: the number cannot be dialled, or costs too much.
            RuleError, StoreError: as `done`.
        """
        number = self._dialable(phone)
        behind = extension_of(phone, self.store.policy.region)
        return self._change(
            id, "number_set", self._by(who), lambda c: transitions.set_number(c, number, behind)
        )

    def set_time(self, id: str, at: str, who: str) -> Callback:
        """Set another agreed time (ISO 8601); raises as `done`."""
        policy = self.store.policy
        return self._change(
            id, "time_set", self._by(who), lambda c: transitions.set_time(c, at, policy)
        )

    def set_operator(self, id: str, operator: str | None, who: str, why: str = "") -> Callback:
        """Hand the callback over to another operator; None: to anybody. Raises as `done`."""
        by = self._by(who, why)
        operator = operator and operator.strip()
        return self._change(
            id,
            "operator_set",
            by,
            lambda c: transitions.set_operator(c, operator or None, by.at),
        )

    # -- attempts -------------------------------------------------------------------------------------

    def report(self, key: str, outcome: Outcome, who: str, detail: str = "") -> Callback | None:
        """An attempt ended. None: that was already known, or its callback is closed.

        Raises:
            RuleError: there is no such attempt.
            StoreError: it could not be stored: report again.
        """
        failpoints.passed(failpoints.TOLD)
        after = self.store.end(key, outcome, detail, self._by(who, detail))
        failpoints.passed(failpoints.OUTCOME_STORED)
        if after is not None:
            if not after.open and after.key != key:  # a correction: a further attempt may ring
                self.stop_ringing(after.key)
            self._wake()
            failpoints.passed(failpoints.NEXT_ARMED)
        return after

    def _change(
        self, id: str, what: str, by: Actor, how: Callable[[Callback], Callback]
    ) -> Callback:
        before, after = self.store.change(id, what, by, how)
        self._wake()
        if before.state in UNDER_WAY and after.state not in UNDER_WAY:
            self.stop_ringing(before.key)
        return after

    def _dialable(self, phone: str) -> str:
        policy = self.store.policy
        return dialable(phone, policy.region, policy.allow_numbers)

    def _by(self, who: str, why: str = "") -> Actor:
        return Actor(who, self.clock.now(), why)
