"""Periodic checks that nothing stored is forgotten. Each duty has its interval, and each group of
duties a thread of its own: a slow dialer or a large database delays no heartbeat.

    heartbeat   beat      3 s   this node's name and heartbeat; dead nodes raise an alert
    reconciler  clock     1 s   a clock jump shifts relative due times
                ringing   2 s   attempts without an owner are adopted; unreported ones raise an alert
                overdue   2 s   overdue callbacks raise an alert
                hooks    60 s   an alert of unknown keys ends 10 minutes after it began, until the next one
                forget    1 h   desks that have been dead for a day are removed
    promise     promise  10 s   the requests of the last day are accounted for; each hour, all of them
                calls    10 s   what the traces of stored calls ask for was requested

A duty that fails, for example while the database is unavailable, runs again at its next interval.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.cluster_membership import ClusterMembership
from vad_agent.callbacks.dispatcher import Dispatcher
from vad_agent.callbacks.model import State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.scheduler import Scheduler
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.common.periodic import Periodic
from vad_agent.errors import StoreError

log = logging.getLogger(__name__)

TICK_S = 0.5
STOP_S = 5.0
UNKNOWN_KEY = timedelta(minutes=10)
RECENT = timedelta(days=1)
"""Requests that are counted each time; all are counted hourly."""
ALL_S = 3600.0
_NEEDS = {
    State.NEEDS_NUMBER: Kind.NEEDS_NUMBER,
    State.NEEDS_TIME: Kind.NEEDS_TIME,
    State.NEEDS_PERSON: Kind.NEEDS_PERSON,
}


class Reconciler:
    """Runs the duties listed in the module's docstring."""

    def __init__(
        self,
        service: CallbackService,
        scheduler: Scheduler,
        dispatcher: Dispatcher,
        nodes: ClusterMembership,
        alerts: AlertBoard,
        node: str,
    ) -> None:
        self._service = service
        self._store = service.store
        self._clock = service.clock
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._nodes = nodes
        self._alerts = alerts
        self._queries = CallbackQueries(service.store)
        self._node = node
        self._alive = {node}
        self._jumped = timedelta()  # part of a jump that has not been applied yet
        self._turn: dict[str, float] = {}  # duty → when it runs next
        self._all_counted: float | None = None  # when all requests were counted, none missing
        self._threads = [
            Periodic(name, TICK_S, partial(self._run_due, name)) for name in self._duties()
        ]
        self._lock = threading.Lock()
        self.trouble: dict[str, str] = {}
        """Duty → why it failed the last time."""

    def start(self) -> None:
        """Run every duty once, then continue in threads of its own.

        Raises:
            StoreError: the first round failed, or a live node has this one's name.
        """
        self._nodes.enter()
        try:
            self._nodes.beat(self._clock.now(), started=True)
            self._beat()  # first: work of nodes that are alive must not be adopted
            self.look_at_clock()
            self._look_after()
        except BaseException:
            self._nodes.release()
            raise
        begin = time.monotonic()
        self._turn = {
            name: begin + every for each in self._duties().values() for name, every, _ in each
        }
        self._turn["promise"] = begin
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads."""
        for thread in self._threads:
            thread.close(STOP_S)

    def leave(self) -> None:
        """Leave the cluster when nothing is under way here, so that this node does not count as dead."""
        self.stop()
        with contextlib.suppress(StoreError):
            self._nodes.leave()

    def _duties(self) -> dict[str, list[tuple[str, float, Callable[[], object]]]]:
        """Of each thread: name, interval in seconds, function."""
        return {
            "heartbeat": [("beat", self._nodes.beat_s, self._beat)],
            "reconciler": [
                ("clock", 1.0, self.look_at_clock),
                ("ringing", 2.0, self._look_after),
                ("overdue", 2.0, self.look_for_overdue),
                ("hooks", 60.0, self._expire_unknown_keys),
                ("forget", 3600.0, self._forget),
            ],
            "promise": [
                ("promise", 10.0, self.check_promise),
                ("calls", 10.0, self.look_for_lost),
            ],
        }

    def _run_due(self, thread: str) -> None:
        for name, every, do in self._duties()[thread]:
            if time.monotonic() >= self._turn[name]:
                self._do(name, do)
                self._turn[name] = time.monotonic() + every

    def _do(self, name: str, do: Callable[[], object]) -> None:
        try:
            do()
        except StoreError as error:
            self._failed(name, str(error))
            self._alerts.sound(Kind.DATABASE, "", self._clock.now(), str(error))
        except Exception as error:
            self._failed(name, type(error).__name__)
            log.exception("a duty of the reconciler failed", extra={"duty": name})
        else:
            with self._lock:
                troubled = bool(self.trouble)
                self.trouble.pop(name, None)
                well = troubled and not self.trouble
            if well:
                self._alerts.settle(Kind.DATABASE, "")

    def _failed(self, name: str, reason: str) -> None:
        with self._lock:
            self.trouble[name] = reason

    # -- duties ---------------------------------------------------------------------------------------

    def look_at_clock(self) -> None:
        """Shift relative due times where the clock has jumped."""
        with self._scheduler.holding():  # between the jump and the shift everything looks due
            self._jumped += self._clock.look() or timedelta()
            if not self._jumped:
                return
            now = self._clock.now()
            by = Actor(self._node, now, f"the clock jumped by {self._jumped.total_seconds():.0f} s")
            moved = self._store.shift(self._jumped, by)
            self._jumped = timedelta()
        if moved is not None:  # None: another node has seen the same jump
            self._alerts.sound(Kind.CLOCK, "", now, by.why)
            self._alerts.settle(Kind.CLOCK, "")
        self._scheduler.wake()

    def _beat(self) -> None:
        self._nodes.hold()
        now = self._clock.now()
        self._nodes.beat(now)
        self._alive, dead = self._nodes.seen(now)
        for name in dead:
            held = len(self._store.held_by(name))
            self._alerts.sound(Kind.NODE, name, now, f"{held} attempts taken over")
        self._alerts.only(Kind.NODE, dead)

    def _forget(self) -> None:
        self._nodes.forget_dead(self._clock.now())

    def _expire_unknown_keys(self) -> None:
        self._alerts.expire(Kind.UNKNOWN_KEY, self._clock.now() - UNKNOWN_KEY)

    def _look_after(self) -> None:
        self._nodes.hold()  # else "ours" would be another node's, whose calls would be hung up
        now = self._clock.now()
        too_long = self._dispatcher.look_after(self._alive, now)
        for attempt in too_long:
            self._alerts.sound(Kind.UNREPORTED, attempt.callback, now)
        self._alerts.only(Kind.UNREPORTED, {attempt.callback for attempt in too_long})

    def look_for_overdue(self) -> None:
        """Raise an alert for every overdue callback without an attempt under way."""
        now = self._clock.now()
        overdue = self._queries.overdue(now)
        for callback in overdue:
            self._alerts.sound(Kind.OVERDUE, callback.id, now)
        self._alerts.only(Kind.OVERDUE, {callback.id for callback in overdue})
        lacking = self._queries.page(list(_NEEDS), limit=1000)
        for kind in _NEEDS.values():
            those = {one.id for one in lacking if _NEEDS[one.state] is kind}
            for id in those:
                self._alerts.sound(kind, id, now)
            self._alerts.only(kind, those)

    def check_promise(self) -> None:
        """Raise an alert if a request is not accounted for.

        Requests of the last day each time; all at the first time, hourly, and while one is missing.
        """
        now, counted = self._clock.now(), time.monotonic()
        recent = self._all_counted is not None and counted < self._all_counted + ALL_S
        if recent and not self._queries.promise(now - RECENT, now + RECENT, now=now).unaccounted:
            return
        self._all_counted = None
        if missing := self._queries.promise(now=now).unaccounted:
            self._alerts.sound(Kind.PROMISE, "", now, f"{missing} requests are missing")
            return
        self._all_counted = counted
        self._alerts.settle(Kind.PROMISE, "")

    def look_for_lost(self) -> None:
        """Raise an alert for every call whose trace asks for a callback that no store has."""
        now = self._clock.now()
        lost = [one.call for one in self._service.calls.lost(now)]
        for call in lost:
            self._alerts.sound(Kind.LOST, call, now)
        self._alerts.only(Kind.LOST, lost)
