"""Backend on a desk in this process, for commands and panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from vad_agent.callbacks import retention
from vad_agent.callbacks.call_store import LostCall
from vad_agent.callbacks.clock import Clock, machine_time
from vad_agent.callbacks.model import ENDED, OPEN, Callback, Outcome, State
from vad_agent.callbacks.outbox import REFUSED, Outbox, outbox_folder
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.phone_numbers import normalised
from vad_agent.callbacks.queries import CallbackQueries, Promise
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.client.backend import CallbackDetails
from vad_agent.common.identity import login
from vad_agent.server.container import open_store
from vad_agent.server.desk_config import DeskConfig, default_database


class ServiceBackend:
    """`vad_agent.client.backend.Backend`, except erasing.

    `who`: the actor recorded in history; `rings`: the desk has a scheduler.
    """

    def __init__(
        self, service: CallbackService, queries: CallbackQueries, who: str, *, rings: bool
    ) -> None:
        self._service = service
        self._queries = queries
        self._store = service.store
        self._who = who
        self.rings = rings
        self.attempts: int | None = self._store.policy.attempts
        self.overdue_s = self._store.policy.overdue_s
        self.zone = self._store.policy.zone

    # -- queries
    # --------------------------------------------------------------------------------------

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """As `Backend.page`."""
        number = phone and normalised(phone, self._store.policy.region)
        return self._queries.page(
            _states(which),
            phone=number,
            operator=operator,
            offered=partial(self._service.is_offered_to, operator or ""),
            limit=limit,
        )

    def find(self, id: str) -> Callback | None:
        """As `Backend.find`."""
        return self._store.find(id)

    def get(self, id: str) -> CallbackDetails:
        """As `Backend.get`."""
        return CallbackDetails(
            callback=self._store.get(id),
            attempts=tuple(self._store.attempts_of(id)),
            history=tuple(self._queries.history(id)),
            calls=tuple(self._queries.calls_of(id)),
            requests=tuple(self._queries.requests_of(id)),
        )

    def promise(self) -> Promise:
        """As `Backend.promise`."""
        return self._queries.promise(now=self._service.clock.now())

    def lost_calls(self) -> list[LostCall]:
        """As `Backend.lost_calls`."""
        return self._service.calls.lost(self._service.clock.now())

    def all(self) -> Iterator[Callback]:
        """As `Backend.all`."""
        return self._queries.all()

    # -- changes
    # --------------------------------------------------------------------------------------

    def make(self, call: str) -> Callback:
        """As `Backend.make`."""
        return self._service.make(call, self._who).callback

    def accept(self, id: str, operator: str) -> Callback:
        """As `Backend.accept`."""
        return self._service.accept(id, operator, self._who)

    def done(
        self,
        id: str,
        outcome: Outcome,
        why: str,
        *,
        key: str | None = None,
        settles: bool = False,
    ) -> Callback:
        """As `Backend.done`."""
        return self._service.done(id, outcome, self._who, why, key=key, settles=settles)

    def cancel(self, id: str, why: str) -> Callback:
        """As `Backend.cancel`."""
        return self._service.cancel(id, self._who, why)

    def retry(self, id: str, why: str) -> Callback:
        """As `Backend.retry`."""
        return self._service.retry(id, self._who, why)

    def set_number(self, id: str, phone: str) -> Callback:
        """As `Backend.set_number`."""
        return self._service.set_number(id, phone, self._who)

    def set_time(self, id: str, at: str) -> Callback:
        """As `Backend.set_time`."""
        return self._service.set_time(id, at, self._who)

    def set_operator(self, id: str, operator: str | None, why: str) -> Callback:
        """As `Backend.set_operator`."""
        return self._service.set_operator(id, operator, self._who, why)

    def client_called(self, phone: str, operator: str | None = None) -> Callback | None:
        """As `Backend.client_called`."""
        return self._service.client_called(phone, self._who, operator=operator)


def _is_awaited(config: DeskConfig) -> bool:
    """Messages wait in the user's outbox for the user's own database."""
    own = config.database == default_database() and config.inbox == outbox_folder()
    return own and config.inbox.is_dir() and bool(Outbox(config.inbox).waiting())


def _states(which: str | None) -> frozenset[State] | None:
    if which is None:
        return None
    return {"open": OPEN, "ended": ENDED}.get(which) or frozenset({State(which)})


class LocalBackend(ServiceBackend):
    """The store of a desk's settings, open until `close`. `report`: called with notices for a person.

    The user's own store is created if headsets' messages wait for it. No other is: a command with a
    wrong path would report an empty database of its own making.

    Raises:
        StoreError: it cannot be opened; on SQLite also because another process uses it.
        SettingsError: the script is not valid.
    """

    def __init__(self, config: DeskConfig, report: Callable[[str], None]) -> None:
        self._store = open_store(config, make=_is_awaited(config))
        try:
            database = self._store.database
            self._clock = Clock(database.time if database.on_server else machine_time)
            service = CallbackService(self._store, self._clock)
            super().__init__(service, CallbackQueries(self._store), f"cli:{login()}", rings=False)
            self._read_letters(config, report)
        except BaseException:
            self.close()
            raise

    def _read_letters(self, config: DeskConfig, report: Callable[[str], None]) -> None:
        if not config.inbox.is_dir():
            return
        refused = config.inbox / REFUSED
        before = set(refused.glob("*"))
        OutboxConsumer(config.inbox, self._service).read_all()
        if news := len(set(refused.glob("*")) - before):
            report(f"{refused}: {news} of the headset's requests cannot be understood, kept there")

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def erase(self, days: float) -> int:
        """As `Backend.erase`."""
        why = f"ended {days:g} days ago and more"
        return retention.erase(self._store, days, Actor(self._who, self._clock.now(), why))
