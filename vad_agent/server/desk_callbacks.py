"""The callbacks of a desk of this process, as commands and panels ask for them."""

from __future__ import annotations

from collections.abc import Iterator

from vad_agent.callbacks.model import ENDED, OPEN, Callback, Outcome, State
from vad_agent.callbacks.phone_numbers import normalised
from vad_agent.callbacks.queries import Ledger, Promise
from vad_agent.callbacks.service import Desk
from vad_agent.callbacks.tables import callbacks
from vad_agent.client.backend import ID_LENGTH, CallbackDetails
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa


class DeskCallbacks:
    """What `vad_agent.client.backend.Backend` has, but erasing.

    `who`: stands in the history of what is changed; `rings`: the desk has an engine.
    """

    def __init__(self, desk: Desk, ledger: Ledger, who: str, *, rings: bool) -> None:
        self._desk = desk
        self._ledger = ledger
        self._store = desk.store
        self._who = who
        self.rings = rings
        self.attempts: int | None = self._store.policy.attempts
        self.overdue_s = self._store.policy.overdue_s

    # -- looking ------------------------------------------------------------------------------------

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """As `Callbacks.page`."""
        number = phone and normalised(phone, self._store.policy.region)
        return self._ledger.page(_states(which), phone=number, operator=operator, limit=limit)

    def beginning(self, text: str) -> list[Callback]:
        """As `Callbacks.beginning`."""
        if len(text) >= ID_LENGTH:
            found = self._store.find(text)
            return [] if found is None else [found]
        query = sa.select(callbacks.c.id).where(callbacks.c.id.startswith(text, autoescape=True))
        with self._store.database.reading() as c:
            ids = list(c.execute(query.order_by(callbacks.c.id)).scalars())
        return [self._store.get(id) for id in ids]

    def get(self, id: str) -> CallbackDetails:
        """As `Callbacks.get`."""
        return CallbackDetails(
            callback=self._store.get(id),
            attempts=tuple(self._store.attempts_of(id)),
            history=tuple(self._ledger.history(id)),
            calls=tuple(self._ledger.calls_of(id)),
        )

    def promise(self) -> Promise:
        """As `Callbacks.promise`."""
        return self._ledger.promise()

    def all(self) -> Iterator[Callback]:
        """As `Callbacks.all`."""
        return self._ledger.all()

    # -- changing -----------------------------------------------------------------------------------

    def done(self, id: str, outcome: Outcome, why: str) -> Callback:
        """As `Callbacks.done`."""
        return self._desk.done(id, outcome, self._who, why)

    def cancel(self, id: str, why: str) -> Callback:
        """As `Callbacks.cancel`."""
        return self._desk.cancel(id, self._who, why)

    def retry(self, id: str, why: str) -> Callback:
        """As `Callbacks.retry`."""
        return self._desk.retry(id, self._who, why)

    def set_number(self, id: str, phone: str) -> Callback:
        """As `Callbacks.set_number`."""
        return self._desk.set_number(id, phone, self._who)

    def set_time(self, id: str, at: str) -> Callback:
        """As `Callbacks.set_time`."""
        return self._desk.set_time(id, at, self._who)

    def client_called(self, phone: str) -> Callback | None:
        """As `Callbacks.client_called`."""
        return self._desk.client_called(phone, self._who)


def _states(which: str | None) -> frozenset[State] | None:
    if which is None:
        return None
    return {"open": OPEN, "ended": ENDED}.get(which) or frozenset({State(which)})
