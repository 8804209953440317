"""Dialer for Naumen Contact Center: its own dialler calls the cases that are in the exported state.

    attempt 1 of a call whose session is known    adjourn the call
    otherwise, or if that is refused              create a case; its id is the attempt's key;
                                                  read its state: it must be the adjourned one
    then, every `poll_s`                          read the state until it is final

Naumen never dials a case in any other state, and reports nothing. Such a case is put into the right
state once; if that does not help, the request is refused. Naumen creates a case of the same id only
once, so the request is repeated after a time-out. A request to adjourn a call is not repeatable.
Naumen sends no events: one thread polls.

An adjourned call has no id to query. It is found by its number, which only this process knows:
after a restart its outcome cannot be determined. A final state counts only for a case that was seen
under way, because the number may have older cases.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

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
from vad_agent.callbacks.dialers.naumen_config import NaumenConfig
from vad_agent.callbacks.dialers.naumen_rest import Project, Untold
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError

__all__ = ["NaumenConfig", "NaumenDialer"]

log = logging.getLogger(__name__)

CALL = "interaction:"
"""Prefix of the reference of an adjourned call."""
CASE = "case:"
"""Prefix of the reference of a case that was seen to be in a dialled state."""
CLOSE_S = 2.0
ASKED_S = 86400.0
"""Seconds for which an attempt is polled: after that nobody waits for it."""


@dataclass(slots=True)
class _Way:
    """How this process sent an attempt. `number`: of an adjourned call; None: it is a case."""

    number: str | None = field(default=None, repr=False)
    reference: str = ""
    """"": it is not known whether the request was accepted."""
    seen: set[str] = field(default_factory=set)
    """Cases of the number that were seen under way."""
    since: float = field(default_factory=time.monotonic)


class NaumenDialer:
    """Cases and adjourned calls of one project. `now`: the clock, s since 1970.

    Raises:
        SettingsError: the URL is not valid, or contains a user.
    """

    name: ClassVar[str] = "naumen"

    def __init__(self, config: NaumenConfig, *, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._project = Project(config, now)
        self._ways: dict[str, _Way] = {}
        self._odd: set[str] = set()
        self._failing = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def dial(self, dial_request: DialRequest) -> Ringing | Ended:
        """Adjourn the call, or create a case and check that it is in a dialled state.

        Raises:
            DialRefused: nothing rings for it.
            DialUncertain: something may ring.
        """
        way = self._way(dial_request.key)
        if way is not None and way.number is not None:
            if not way.reference:
                raise DialUncertain("naumen: perhaps the call was adjourned already")
            return Ringing(way.reference)
        if (
            dial_request.session is not None
            and dial_request.attempt == 1
            and self._config.adjourn_calls
        ):
            way = self._keep(
                dial_request.key, _Way(dial_request.number)
            )  # stored first, because the answer may not come
            try:
                if self._project.adjourn(dial_request, dial_request.session):
                    way.reference = CALL + dial_request.session
                    return Ringing(way.reference)
            except DialRefused:
                self._forget(dial_request.key)
                raise
        self._keep(dial_request.key, _Way())
        try:
            return self._ordered(dial_request)
        except DialRefused:
            self._forget(dial_request.key)
            raise

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """The state of a key. A case whose `dial` was cut off is completed now.

        Raises:
            DialUncertain: not known now; for a call adjourned before a restart, never.
        """
        way = self._way(key)
        if way is not None and way.number is not None:
            return self._of_call(way, way.number)
        if reference and not reference.startswith(CASE):
            raise DialUncertain("naumen: adjourned before a restart, or another dialer's")
        state = self._project.state(key)
        if state is None:
            if not reference and way is None and self._perhaps_call(key):
                raise DialUncertain("naumen: perhaps the call was adjourned before a restart")
            return Unknown()
        try:
            found = self._read(key, state) if reference else self._seen_to(key, state)
        except DialRefused as error:
            return Ended(Outcome.FAILED, str(error))
        if way is None and isinstance(found, Ringing):
            self._keep(key, _Way(reference=found.reference))
        return found

    def hang_up(self, key: str, reference: str) -> None:
        """Put the case into the cancelled state. An adjourned call cannot be cancelled."""
        way = self._forget(key)
        if reference.startswith(CALL) or (way is not None and way.number is not None):
            return
        with contextlib.suppress(DialError):
            self._project.put(key, self._config.cancelled_state)

    def open(self, report: OutcomeReporter) -> None:
        """Start the thread that polls for outcomes."""
        poll = threading.Thread(target=self._poll, args=(report,), name="naumen", daemon=True)
        self._thread = poll
        poll.start()

    def close(self) -> None:
        """Stop reporting. Returns within 2 s; a request under way ends by its own limit."""
        self._over.set()
        if self._thread is None:
            self._project.close()
        else:
            self._thread.join(CLOSE_S)

    # -- cases -------------------------------------------------------------------------------------

    def _ordered(self, dial_request: DialRequest) -> Ringing | Ended:
        taken = self._project.create(dial_request)
        state = self._project.state(dial_request.key)
        if state is not None:
            return self._seen_to(dial_request.key, state)
        if taken:
            raise DialUncertain("naumen: the case was taken and cannot be found")
        raise DialRefused(
            "naumen: the case was refused: check the project and the operator's login"
        )

    def _seen_to(self, key: str, state: str) -> Ringing | Ended:
        """Check that the case is in a dialled state or has ended; put it into the right state once.

        Raises:
            DialRefused: the case is not and stays so: nobody rings for it.
            DialUncertain: the state cannot be determined.
        """
        good = self._config.rung_states | set(self._config.outcomes)
        if state not in good:
            with contextlib.suppress(DialError):  # what counts is the state read afterwards
                self._project.put(key, self._config.adjourned_state)
            state = self._project.state(key) or state
        if state not in good:
            with contextlib.suppress(DialError):  # nobody dials it once the project is repaired
                self._project.put(key, self._config.cancelled_state)
            raise DialRefused(
                f"naumen: case is in state {state}, expected {self._config.adjourned_state}: "
                "check that the project exports adjourned cases"
            )
        found = self._read(key, state)
        if isinstance(found, Ended):
            self._forget(key)
        elif (way := self._way(key)) is not None:
            way.reference = found.reference
        return found

    def _read(self, key: str, state: str) -> Ringing | Ended:
        outcome = self._config.outcomes.get(state)
        if outcome is not None:
            return Ended(outcome, f"case is {state}")
        if state not in self._config.rung_states and state not in self._odd:
            self._odd.add(state)
            log.warning("naumen: a state that is not in the settings", extra={"state": state})
        return Ringing(CASE + key)

    # -- adjourned calls ---------------------------------------------------------------------------

    def _of_call(self, way: _Way, number: str, *, repeatable: bool = True) -> Ringing | Ended:
        """The outcome of an adjourned call.

        Raises:
            DialUncertain: the outcome cannot be determined.
        """
        states = self._project.states(number, repeatable=repeatable)
        outcomes = self._config.outcomes
        under_way = {case for case, state in states.items() if state not in outcomes}
        if not way.reference:  # the call itself may still be under way and not adjourned
            adjourned = self._config.adjourned_state
            way.seen |= {case for case in under_way if states[case] == adjourned}
        else:
            way.seen |= under_way
        if under_way & way.seen:
            return Ringing(way.reference or CALL)
        ended = {states[case] for case in way.seen if case in states}
        if len({outcomes[state] for state in ended}) != 1:
            raise Untold("naumen: which case of the number was adjourned cannot be told")
        state = min(ended)
        return Ended(outcomes[state], f"case is {state}")

    def _perhaps_call(self, key: str) -> bool:
        """A first attempt may be an adjourned call.

        Its number is the key's last part, see `model.Callback.key`.
        """
        return self._config.adjourn_calls and key.rpartition(".")[2] == "1"

    # -- polling -----------------------------------------------------------------------------------

    def _poll(self, report: OutcomeReporter) -> None:
        try:
            while not self._over.wait(self._config.poll_s):
                try:
                    self._round(report)
                    self._failing = False
                except Exception as error:  # what is not known now is polled in the next round
                    if not self._failing:
                        why = {"why": type(error).__name__}
                        log.warning("naumen: outcomes could not be polled or reported", extra=why)
                    self._failing = True
        finally:
            self._project.close()

    def _round(self, report: OutcomeReporter) -> None:
        """Poll each attempt under way once; stop the round if the server is unreachable."""
        with self._lock:
            ways = list(self._ways.items())
        for key, way in ways:
            if self._over.is_set():
                return
            try:
                self._ask(key, way, report)
            except Untold:
                if time.monotonic() - way.since > ASKED_S:
                    self._forget(key)
            except Exception:
                self._last(key)  # if only this attempt fails, continue with the others
                raise

    def _ask(self, key: str, way: _Way, report: OutcomeReporter) -> None:
        if way.number is not None:
            found = self._of_call(way, way.number, repeatable=False)
        elif (state := self._project.state(key, repeatable=False)) is None:
            found = Ringing()
        else:
            found = self._read(key, state)
        if isinstance(found, Ended) and not self._over.is_set():
            report(OutcomeReport(key, found.outcome, found.detail))
            self._forget(key)
        elif time.monotonic() - way.since > ASKED_S:
            self._forget(key)

    def _way(self, key: str) -> _Way | None:
        with self._lock:
            return self._ways.get(key)

    def _keep(self, key: str, way: _Way) -> _Way:
        with self._lock:
            self._ways[key] = way
        return way

    def _forget(self, key: str) -> _Way | None:
        with self._lock:
            return self._ways.pop(key, None)

    def _last(self, key: str) -> None:
        with self._lock:
            if key in self._ways:
                self._ways[key] = self._ways.pop(key)
