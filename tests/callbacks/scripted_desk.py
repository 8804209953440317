"""A desk in a test's hands: its clock, a scheduler and a dialer that do as they are told and keep what they
were asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar

from tests.callbacks.conftest import HandClock
from tests.callbacks.store_requests import asks, waiting
from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.cluster_membership import ClusterMembership
from vad_agent.callbacks.dialers.base import DialRequest, Ended, OutcomeReporter, Ringing, Unknown
from vad_agent.callbacks.dispatcher import Dispatcher
from vad_agent.callbacks.model import Callback
from vad_agent.callbacks.reconciler import Reconciler
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store


class ScriptedScheduler:
    """Wakes nothing. `woken`: how often it was told of a change; `held`: whether it must find nothing due."""

    def __init__(self) -> None:
        self.woken = 0
        self.held = True

    def wake(self) -> None:
        self.woken += 1

    @contextmanager
    def holding(self) -> Iterator[None]:
        self.held = True
        yield
        self.held = False


class ScriptedDialer:
    """Each answer is a value or an error; the last one of a list is repeated. `asked`: in order."""

    name: ClassVar[str] = "scripted"

    def __init__(self) -> None:
        self.dials: list[Any] = [Ringing("r-1")]
        self.statuses: list[Any] = [Unknown()]
        self.asked: list[tuple[str, str]] = []
        self.orders: list[DialRequest] = []
        self.references: list[str] = []
        self.while_dialling: Callable[[DialRequest], None] = lambda _: None
        self._lock = threading.Lock()

    def count(self, what: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == what)

    def dial(self, order: DialRequest) -> Ringing | Ended:
        self._asked("dial", order.key)
        self.orders.append(order)
        self.while_dialling(order)
        return self._answer(self.dials)

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        self._asked("status", key)
        self.references.append(reference)
        return self._answer(self.statuses)

    def hang_up(self, key: str, reference: str) -> None:
        self._asked("hang_up", key)
        self.references.append(reference)

    def open(self, report: OutcomeReporter) -> None:
        self._asked("open", "")

    def close(self) -> None:
        self._asked("close", "")

    def _asked(self, what: str, key: str) -> None:
        with self._lock:
            self.asked.append((what, key))

    def _answer(self, answers: list[Any]) -> Any:
        with self._lock:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ScriptedDesk:
    """A desk of one node: all its parts, none of which acts by itself."""

    def __init__(self, store: Store, clock: HandClock, node: str = "north") -> None:
        self.store = store
        self.hand = clock
        self.ahead = timedelta()
        """By which the authority is ahead of the counter."""
        self.clock = Clock(lambda: clock.now + self.ahead, lambda: clock.now.timestamp())
        self.scheduler = ScriptedScheduler()
        self.dialer = ScriptedDialer()
        self.desk = CallbackService(store, self.clock, self.scheduler.wake)
        self.late: list[float] = []
        self.dispatcher = Dispatcher(self.desk, self.dialer, node, self.late.append)
        self.alarms = AlertBoard(node)
        self.nodes = ClusterMembership(store.database, node)
        self.watch = Reconciler(
            self.desk, self.scheduler, self.dispatcher, self.nodes, self.alarms, node
        )
        self.node = node

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def armed(self) -> dict[str, float]:
        """Key → s until its time, at least 0, of each attempt that will be woken."""
        left = {key: (at - self.now).total_seconds() for key, at in waiting(self.store).items()}
        return {key: max(0.0, in_s) for key, in_s in left.items()}

    def take(self, **about: Any) -> Callback:
        return self.desk.take(asks(self.now, **about), "a test").callback

    def ringing(self, **about: Any) -> Callback:
        """A callback that rings by this node's dialer."""
        callback = self.take(**about)
        self.dispatcher.make(callback.key)
        return self.store.get(callback.id)

    def on(self) -> list[tuple[str, str]]:
        """The alarms: kind and what about."""
        return sorted((alarm.kind.value, alarm.about) for alarm in self.alarms.all())
