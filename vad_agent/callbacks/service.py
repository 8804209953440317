"""The callback service: what calls, people and clients do to callbacks. It stores first; the
scheduler finds in the store what is due.

headset, API, command line ─> service ─> store ─> scheduler (wakes) ─> dispatcher ─> dialer
                                                 └── reconciler: nothing is forgotten
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from vad_agent.callbacks import failpoints, next_attempt_time, transitions
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.call_store import CallStore
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import UNDER_WAY, Callback, Outcome, Request
from vad_agent.callbacks.offers import Audience, HasPanel, audience, is_offered_to
from vad_agent.callbacks.phone_numbers import dialable, normalised
from vad_agent.callbacks.store import Store, Taken
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.common.identity import folded
from vad_agent.errors import ColleagueError, NumberError, RuleError


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
                request = replace(request, phone=phone, phone_given=None)
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
        """The client has called: close their open callback, if there is one. `operator`: only if it is
        theirs, or nobody's.

        Raises:
            NumberError: the number is not valid.
            ColleagueError: the callback is another operator's.
            StoreError: it could not be stored.
        """
        by = self._by(who, "the client called")
        number = normalised(phone, self.store.policy.region)

        def how(c: Callback) -> Callback:
            if operator and c.operator and folded(c.operator) != folded(operator):
                raise ColleagueError(f"the client's callback is {c.operator}'s")
            return transitions.client_called(c, by.at)

        try:
            changed = self.store.change_client(number, "client_called", by, how)
        except ColleagueError:
            raise
        except RuleError:  # somebody else changed it first
            return None
        if changed is None:
            return None
        before, after = changed
        self.stop_ringing(before.key)
        return after

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

    def done(self, id: str, outcome: Outcome, who: str, why: str = "") -> Callback:
        """A person reports an attempt's outcome: of the one under way, or of one that they made by
        hand.

        Raises:
            RuleError: the callback has ended, or there is none.
            StoreError: it could not be stored: report again.
        """
        callback = self.store.get(id)
        rang = callback.state in UNDER_WAY
        if rang:
            after = self.report(callback.key, outcome, who, why)
            if after is not None:
                return after
        by = self._by(who, why)

        def how(c: Callback) -> Callback:
            if rang and c.open and outcome is not Outcome.REACHED:
                return c  # the attempt was already reported: this is not another one
            return transitions.done(c, outcome, by.at, self.store.policy)

        return self._change(id, outcome.value, by, how)

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
        return self._change(
            id, "number_set", self._by(who), lambda c: transitions.set_number(c, number)
        )

    def set_time(self, id: str, at: str, who: str) -> Callback:
        """Set another agreed time (ISO 8601); raises as `done`."""
        policy = self.store.policy
        return self._change(
            id, "time_set", self._by(who), lambda c: transitions.set_time(c, at, policy)
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
