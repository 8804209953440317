"""Naumen Contact Center: its own dialler rings, for a case in the state that it exports (REST v2).

    attempt 1, the call's session is known    POST /project/{project}/interaction/{session}, adjournAction
    otherwise, or where that is refused       POST /projects/{project}/cases, its id is the attempt's key
                                              GET  …/cases/{key}/state: must be the adjourned one
    then, every `poll_s`                      GET  …/cases/{key}/state, until it is a final one

A case in any other state is never rung, and nobody is told: one that is not adjourned is put there once, and
where it stays what it was the order is refused. A case with the same id is not created twice, so a case is
ordered again after a time-out; an interaction is not. Naumen tells nothing of itself: outcomes are asked for.

An adjourned call has no id to ask for. It is found by its number, which this process alone knows: after a
restart its outcome cannot be told. A final state counts only of a case that was seen before its end, as the
number may have older ones.

Assumed, as the guide does not say it: a state is `"name"` or `{"state": "name"}`, and is put as the latter;
`phonenumbers-batch/list` takes `{"phoneNumbers": [{"number": …}]}` and answers `[{"caseId", "state"}]`; the names
of the states in `NaumenConfig`; a case has one number and the project rings it once.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote

from vad_agent.callbacks.dialers.http import LIMIT_S, SLOW_DOWN, Centre
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
from vad_agent.errors import DialError, SettingsError

log = logging.getLogger(__name__)

NOT_FOUND = 404
REFUSED = tuple(status for status in range(400, 500) if status != SLOW_DOWN)
MAYBE_THERE = (400, 409, 422)
"""What may be said of a case that exists already."""
LONGEST_COMMENT = 2000
FROM_CALL = "interaction:"
"""Begins the reference of an adjourned call; a case's begins with `CASE`."""
CASE = "case:"
CLOSE_S = 2.0

OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {
        "reached": Outcome.REACHED,
        "no_answer": Outcome.NO_ANSWER,
        "busy": Outcome.BUSY,
        "answering_machine": Outcome.MACHINE,
        "lost": Outcome.LOST,
        "failed": Outcome.FAILED,
        "cancelled": Outcome.FAILED,
        "operator_unavailable": Outcome.OPERATOR_UNAVAILABLE,
    }
)


@dataclass(frozen=True, slots=True)
class NaumenConfig:
    """The project and who signs in: a password, or a key of the API.

    Raises:
        SettingsError: some are wrong; a problem for each.
    """

    url: str
    """`https://host:port`."""
    project: str
    """An outbound project that exports adjourned cases to the dialler."""
    user: str
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    run_as: str | None = None
    """Login in whose name a superuser's account acts."""
    adjourn_calls: bool = True
    """Adjourn the call itself first, where its session is known."""
    adjourned_state: str = "adjourned"
    ringing_states: frozenset[str] = frozenset({"ringing", "in_progress"})
    """Of a case that the dialler has taken already: it rings, and is left alone."""
    cancelled_state: str = "cancelled"
    outcomes: Mapping[str, Outcome] = field(default_factory=lambda: OUTCOMES)
    """Of each final state; a state that is nowhere here is taken for one under way, and logged."""
    timezone: str = "GMT+03:00"
    """The clients': Naumen keeps its own quiet hours by it."""
    priority: int | None = None
    title: str = "Обратный звонок"
    poll_s: float = 5.0
    limit_s: float = LIMIT_S
    """Of one try; there are three."""
    pause_s: float = 0.3
    """Before the second try; twice that before the third."""

    def __post_init__(self) -> None:
        problems = []
        if (self.password is None) == (self.api_key is None):
            problems.append("password, api_key: expected one of them")
        in_headers = {"api_key": self.api_key, "run_as": self.run_as}
        if self.api_key is not None:
            in_headers["user"] = self.user
        for name, value in in_headers.items():
            if value is not None and not (
                value.isascii() and value.isprintable() and value.strip()
            ):
                problems.append(f"{name}: expected letters of ASCII alone")
        if not re.fullmatch(r"GMT[+-]\d\d:\d\d", self.timezone):
            problems.append(f"timezone: expected GMT+03:00 or the like, got {self.timezone!r}")
        if self.adjourned_state in self.outcomes or self.ringing_states & set(self.outcomes):
            problems.append("outcomes: a state under way cannot be a final one")
        if problems:
            raise SettingsError("naumen", problems)


@dataclass(slots=True)
class _Way:
    """How an attempt went out in this process. `number`: of an adjourned call; None: a case."""

    number: str | None = field(default=None, repr=False)
    reference: str = ""
    """"": it went out, and no answer came."""
    seen: set[str] = field(default_factory=set)
    """Cases of the number that were seen under way."""


class NaumenDialer:
    """Cases and adjourned calls of one project. `now`: the clock, s since 1970.

    Raises:
        SettingsError: the URL is none, or has a user in it.
    """

    name: ClassVar[str] = "naumen"

    def __init__(self, config: NaumenConfig, *, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._now = now
        headers = {} if config.run_as is None else {"X-NCC-RUN-AS-USER": config.run_as}
        if config.api_key is not None:
            headers |= {"Username": config.user, "X-API-Key": config.api_key}
        self._centre = Centre(
            self.name,
            f"{config.url.rstrip('/')}/api/v2",
            auth=None if config.password is None else (config.user, config.password),
            headers=headers,
            limit_s=config.limit_s,
            pause_s=config.pause_s,
        )
        self._project = quote(config.project, safe="")
        self._ways: dict[str, _Way] = {}
        self._odd: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    # -- the port ----------------------------------------------------------------------------------

    def dial(self, order: Order) -> Ringing | Ended:
        """Adjourn the call, or order a case and see that it is one that is rung.

        Raises:
            DialRefused: nothing rings for it.
            DialUncertain: perhaps something does.
        """
        way = self._way(order.key)
        if way is not None and way.number is not None:
            if way.reference:
                return Ringing(way.reference)
            raise DialUncertain("naumen: the call was perhaps adjourned already")
        if order.session is not None and order.attempt == 1 and self._config.adjourn_calls:
            ringing = self._adjourn_call(order, order.session)
            if ringing is not None:
                return ringing
        self._keep(order.key, _Way())
        try:
            return self._order_case(order)
        except DialRefused:
            self._forget(order.key)
            raise

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """What became of a key. A case that was ordered and not seen to is seen to now.

        Raises:
            DialUncertain: it cannot be told now, or, of a call adjourned before a restart, ever.
        """
        way = self._way(key)
        if way is not None and way.number is not None:
            return self._by_number(way, repeatable=True)
        if reference.startswith(FROM_CALL):
            raise DialUncertain("naumen: adjourned before a restart, its number is not known")
        state = self._state(key, repeatable=True)
        if state is None:
            if not reference and way is None and self._perhaps_from_call(key):
                raise DialUncertain("naumen: the call was perhaps adjourned before a restart")
            return Unknown()
        try:
            found = self._read(key, state) if reference else self._seen_to(key, state)
        except DialRefused as error:
            return Ended(Outcome.FAILED, str(error))
        if isinstance(found, Ringing) and way is None:
            self._keep(key, _Way(reference=found.reference))
        return found

    def hang_up(self, key: str, reference: str) -> None:
        """Put the case into the cancelled state; an adjourned call cannot be taken back."""
        way = self._forget(key)
        if reference.startswith(FROM_CALL) or (way is not None and way.number is not None):
            return
        with contextlib.suppress(DialError):
            self._put(key, self._config.cancelled_state)

    def open(self, report: Report) -> None:
        """Ask for outcomes from now on, by one thread."""
        self._thread = threading.Thread(
            target=self._poll, args=(report,), name="naumen", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Nothing is reported any more; a request under way ends within its time limit."""
        self._over.set()
        if self._thread is None:
            self._centre.close()
        else:
            self._thread.join(CLOSE_S)

    # -- ordering ----------------------------------------------------------------------------------

    def _adjourn_call(self, order: Order, session: str) -> Ringing | None:
        """None: it cannot be adjourned, and a case is needed."""
        way = _Way(order.number)
        action = {
            "adjournDate": self._when(order),
            "agentComment": _comment(order),
            "agentLogin": order.operator,
            "phone": order.number,
            "timezone": self._config.timezone,
        }
        self._keep(order.key, way)  # before: it may go out, and no answer come
        try:
            answer = self._centre.send(
                "POST",
                f"/project/{self._project}/interaction/{quote(session, safe='')}",
                repeatable=False,
                accept=REFUSED,
                json={"adjournAction": _known(action)},
            )
        except DialRefused:
            self._forget(order.key)
            raise
        if not answer.is_success:
            self._forget(order.key)
            return None
        way.reference = FROM_CALL + session
        return Ringing(way.reference)

    def _order_case(self, order: Order) -> Ringing | Ended:
        zone = self._config.timezone
        case = {
            "id": order.key,
            "title": self._config.title,
            "operator": order.operator,
            "state": self._config.adjourned_state,
            "phoneNumbers": [{"number": order.number, "timezone": zone}],
            "priority": self._config.priority,
            "comment": _comment(order),
            "timeZone": zone,
            "scheduledTime": self._when(order),
        }
        answer = self._centre.send(
            "POST",
            f"/projects/{self._project}/cases",
            repeatable=True,
            accept=MAYBE_THERE,
            json=_known(case),
        )
        state = self._state(order.key, repeatable=True)
        if state is None and not answer.is_success:
            raise DialRefused(f"naumen: HTTP {answer.status_code}")
        if state is None:
            raise DialUncertain("naumen: the case was created and cannot be found")
        return self._seen_to(order.key, state)

    def _seen_to(self, key: str, state: str) -> Ringing | Ended:
        """The case is one that is rung, or has ended; once it is put into the right state.

        Raises:
            DialRefused: it is not, and stays so: nobody rings for it.
            DialUncertain: it cannot be told.
        """
        rung = {self._config.adjourned_state, *self._config.ringing_states}
        if state not in rung and state not in self._config.outcomes:
            with contextlib.suppress(DialError):  # what counts is what is read afterwards
                self._put(key, self._config.adjourned_state)
            state = self._state(key, repeatable=True) or state
        if state not in rung and state not in self._config.outcomes:
            with contextlib.suppress(DialError):  # nobody must ring it once the project is repaired
                self._put(key, self._config.cancelled_state)
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

    def _when(self, order: Order) -> str:
        """RFC 3339: now, as an attempt is made when it is due; a time that is over may be refused."""
        return max(order.due, datetime.fromtimestamp(self._now(), order.due.tzinfo)).isoformat(
            timespec="seconds"
        )

    # -- asking ------------------------------------------------------------------------------------

    def _path(self, key: str) -> str:
        return f"/projects/{self._project}/cases/{quote(key, safe='')}/state"

    def _put(self, key: str, state: str) -> None:
        self._centre.send("PUT", self._path(key), repeatable=True, json={"state": state})

    def _state(self, key: str, *, repeatable: bool) -> str | None:
        """The case's; None: there is no such case.

        Raises:
            DialUncertain: it cannot be told.
        """
        answer = self._asked("GET", self._path(key), repeatable, accept=(NOT_FOUND,))
        if answer.status_code == NOT_FOUND:
            return None
        return _state_in(self._centre.json(answer))

    def _asked(self, method: str, path: str, repeatable: bool, **request: Any) -> Any:
        try:
            return self._centre.send(method, path, repeatable=repeatable, **request)
        except DialRefused as error:  # the question is refused: that says nothing of the case
            raise DialUncertain(str(error)) from error

    def _read(self, key: str, state: str) -> Ringing | Ended:
        outcome = self._config.outcomes.get(state)
        if outcome is not None:
            return Ended(outcome, f"case is {state}")
        known = {self._config.adjourned_state, *self._config.ringing_states}
        if state not in known and state not in self._odd:
            self._odd.add(state)
            log.warning("naumen: a state that the settings do not know", extra={"state": state})
        return Ringing(CASE + key)

    def _by_number(self, way: _Way, *, repeatable: bool) -> Ringing | Ended:
        """What became of an adjourned call.

        Raises:
            DialUncertain: it cannot be told.
        """
        path = f"/projects/{self._project}/phonenumbers-batch/list"
        numbers = {"phoneNumbers": [{"number": way.number}]}
        cases = self._centre.json(self._asked("POST", path, repeatable, json=numbers))
        if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
            raise DialUncertain("naumen: expected a list of cases")
        states = {str(case.get("caseId", "")): _state_in(case) for case in cases}
        under_way = {case for case, state in states.items() if state not in self._config.outcomes}
        with self._lock:
            way.seen |= under_way
            ended = {state for case, state in states.items() if case in way.seen - under_way}
        if not way.reference and self._config.adjourned_state not in states.values() and not ended:
            raise DialUncertain("naumen: no adjourned call of the number")
        if under_way:
            return Ringing(way.reference or FROM_CALL)
        outcomes = {self._config.outcomes[state] for state in ended}
        if len(outcomes) != 1:
            raise DialUncertain("naumen: which of the number's cases was adjourned is not known")
        return Ended(outcomes.pop(), f"case is {ended.pop()}")

    def _perhaps_from_call(self, key: str) -> bool:
        """Only a first attempt is; its number is the last part of the key, see `rules.Callback.key`."""
        return self._config.adjourn_calls and key.rpartition(".")[2] == "1"

    # -- polling -----------------------------------------------------------------------------------

    def _poll(self, report: Report) -> None:
        try:
            while not self._over.wait(self._config.poll_s):
                try:
                    self._round(report)
                except Exception as error:  # the thread is the only ear: it must not end
                    log.warning("naumen: asking failed", extra={"why": type(error).__name__})
        finally:
            self._centre.close()

    def _round(self, report: Report) -> None:
        """Each attempt under way once; a server that is away is not asked on."""
        with self._lock:
            ways = list(self._ways.items())
        for key, way in ways:
            if self._over.is_set():
                return
            try:
                ended = self._ended(key, way)
            except DialUncertain:
                self._last(key)  # so that one that always fails holds up no other
                return
            if ended is not None and not self._over.is_set():
                report(Told(key, ended.outcome, ended.detail))
                self._forget(key)

    def _ended(self, key: str, way: _Way) -> Ended | None:
        if way.number is not None:
            found = self._by_number(way, repeatable=False)
        else:
            state = self._state(key, repeatable=False)
            found = Ringing() if state is None else self._read(key, state)
        return found if isinstance(found, Ended) else None

    def _way(self, key: str) -> _Way | None:
        with self._lock:
            return self._ways.get(key)

    def _keep(self, key: str, way: _Way) -> None:
        with self._lock:
            self._ways[key] = way

    def _forget(self, key: str) -> _Way | None:
        with self._lock:
            return self._ways.pop(key, None)

    def _last(self, key: str) -> None:
        with self._lock:
            if key in self._ways:
                self._ways[key] = self._ways.pop(key)


def _state_in(said: object) -> str:
    state = said.get("state") if isinstance(said, dict) else said
    if not isinstance(state, str) or not state:
        raise DialUncertain("naumen: expected a case's state")
    return state


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _comment(order: Order) -> str:
    """What the operator reads before he talks."""
    return "\n".join(filter(None, (order.opening, order.topic)))[:LONGEST_COMMENT]
