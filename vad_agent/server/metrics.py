"""Metrics for Prometheus: the store's counts at the scrape, and this process's counters.

    of the store      callbacks by state, open, overdue, age of the oldest due one, attempts, the promise
    of this process   alerts, lateness of the attempts it began, requests its API stored, unknown keys

With several nodes each reports the same values of the store: aggregate them with max, not sum. If
the store cannot be read, `vad_agent_store_up` is 0 and its other metrics are missing.
"""

from __future__ import annotations

import logging
from collections import Counter as Count
from collections.abc import Iterable
from datetime import datetime

from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.model import OPEN, Outcome
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.errors import StoreError, extra
from vad_agent.web.authentication.refusals import Attempted

with extra("callbacks", "metrics"):
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

LATE_S = (0.1, 0.25, 0.5, 1, 1.5, 2, 5, 10, 30, 60, 300)
TAKEN = ("taken", "merged", "revised", "duplicate")
PROMISE = {
    "taken": "Requests taken",
    "reached": "Requests whose client was reached",
    "not_reached": "Requests closed after the last attempt",
    "client_called": "Requests whose client rang himself",
    "cancelled": "Requests taken back",
    "open": "Requests not accounted for yet",
    "lost": "Calls whose trace asks for a callback that was never requested: 0, or something is wrong",
    "missing": "Requests not accounted for, and lost ones: 0, or something is wrong",
}


class Metrics:
    """This process's counters. The dispatcher calls `late`, the API's routes call the others."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._late = Histogram(
            "vad_agent_attempt_lateness_seconds",
            "From an attempt's due time to its beginning",
            buckets=LATE_S,
            registry=self.registry,
        )
        self._stored = Counter(
            "vad_agent_requests_stored",
            "Requests that the API has stored, by what became of them",
            ["what"],
            registry=self.registry,
        )
        for what in TAKEN:
            self._stored.labels(what)
        self._unknown_keys = Counter(
            "vad_agent_hook_unknown_keys",
            "Outcomes that came by a hook for attempts that no desk has made",
            ["dialer"],
            registry=self.registry,
        )
        self._refused = Counter(
            "vad_agent_refused",
            "Wrong tokens, logins, links and signatures",
            ["what"],
            registry=self.registry,
        )
        for one in Attempted:
            self._refused.labels(one.value)

    def late(self, seconds: float) -> None:
        """An attempt began `seconds` after its time."""
        self._late.observe(max(0.0, seconds))

    def stored(self, what: str) -> None:
        """A request was stored. `what`: see `Taken.what`."""
        self._stored.labels(what).inc()

    def unknown_keys(self, dialer: str, count: int) -> None:
        """A hook has received outcomes of unknown attempts."""
        self._unknown_keys.labels(dialer).inc(count)

    def refused(self, what: Attempted) -> None:
        """Credentials were wrong."""
        self._refused.labels(what.value).inc()

    def text(self, queries: CallbackQueries, alerts: AlertBoard, now: datetime) -> bytes:
        """All metrics in Prometheus' text format."""
        standing = CollectorRegistry()
        standing.register(_OfStore(queries, now))
        standing.register(_OfAlarms(alerts))
        return generate_latest(standing) + generate_latest(self.registry)


class _OfStore(Collector):
    """Metrics of the store."""

    def __init__(self, queries: CallbackQueries, now: datetime) -> None:
        self._queries = queries
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Read the store."""
        try:
            found = self._read()
        except StoreError as error:
            log.warning("no metrics of the store", extra={"why": str(error)})
            found = []
        yield _gauge("store_up", "1: the store can be read", float(bool(found)))
        yield from found

    def _read(self) -> list[Metric]:
        numbers = self._queries.numbers(self._now)
        promise = self._queries.promise(now=self._now)
        states = GaugeMetricFamily("vad_agent_callbacks", "Callbacks by state", labels=["state"])
        for state, count in numbers.by_state.items():
            states.add_metric([state], count)
        outcomes = CounterMetricFamily(
            "vad_agent_attempts", "Attempts that ended, by outcome", labels=["outcome"]
        )
        for outcome in Outcome:
            outcomes.add_metric([outcome.value], numbers.attempts_by_outcome.get(outcome, 0))
        still_open = sum(numbers.by_state[state.value] for state in OPEN)
        return [
            states,
            _gauge("callbacks_open", "Callbacks not accounted for yet", still_open),
            _gauge("callbacks_overdue", "Callbacks nothing rings for in time", numbers.overdue),
            _gauge("callbacks_oldest_due_seconds", "Age of the oldest due", numbers.oldest_due_s),
            outcomes,
            _gauge("attempts_under_way", "Attempts that have not ended", numbers.under_way),
            *(_gauge(f"promise_{p}", what, getattr(promise, p)) for p, what in PROMISE.items()),
        ]


class _OfAlarms(Collector):
    """The alerts of this process."""

    def __init__(self, alerts: AlertBoard) -> None:
        self._alerts = alerts

    def collect(self) -> Iterable[Metric]:
        """Count the alerts."""
        now_on = Count(alarm.kind for alarm in self._alerts.all())
        on = GaugeMetricFamily("vad_agent_alarms", "Alarms that are on", labels=["kind"])
        sounded = CounterMetricFamily(
            "vad_agent_alarms_sounded", "Alarms since the start", labels=["kind"]
        )
        for kind in Kind:
            on.add_metric([kind.value], now_on[kind])
            sounded.add_metric([kind.value], self._alerts.sounded[kind])
        yield on
        yield sounded


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vad_agent_{name}", what, value=value)
