"""What the store's tests ask with: requests of clients, who does it when, and plain SQL."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vad_agent.callbacks.model import Callback, Outcome, Request
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor

PHONE = "+79123456789"
NAME = "Анна Петровна Кузнецова"
TOPIC = "не приходит пенсия"
OPENING = "Перезвоните Анне Петровне"

_keys = itertools.count(1)


def by(now: datetime, why: str = "", who: str = "a test") -> Actor:
    return Actor(who, now, why)


def client(n: int) -> str:
    """The number of the n-th client."""
    return f"+7912{n:07}"


def asks(
    now: datetime, *, phone: str | None = PHONE, due: float | None = 0.0, **more: Any
) -> Request:
    """A request with a key of its own; `due`: s from now."""
    more.setdefault("key", f"request {next(_keys)}")
    more.setdefault("reason", "dropped")
    if "at" in more:
        due = None
    return Request(asked=now, due_in_s=due, phone=phone, **more)


def take(store: Store, now: datetime, **more: Any) -> Callback:
    """A request, stored; its callback."""
    return store.take(asks(now, **more), by(now)).callback


def begin(store: Store, callback: Callback, now: datetime, node: str = "north") -> str:
    """The attempt under way, and its key."""
    begun = store.begin(callback.key, node, by(now))
    assert begun is not None, callback
    return begun.attempt.key


def reached(store: Store, callback: Callback, now: datetime) -> Callback:
    """Rung, and spoken to."""
    after = store.end(begin(store, callback, now), Outcome.REACHED, "", by(now))
    assert after is not None
    return after


def at_once(work: Any, times: int, threads: int = 16) -> list[Any]:
    """The results of `work(n)`, n from 0, of so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(times)))


def rows(store: Store, query: str, **values: Any) -> list[Any]:
    with store.database.reading() as c:
        return list(c.execute(sa.text(query), values).all())


def whats(store: Store, id: str) -> list[str]:
    """What happened to a callback, in order."""
    return [change.what for change in CallbackQueries(store).history(id)]


def seconds(after: datetime | None, since: datetime) -> float | None:
    return None if after is None else (after - since) / timedelta(seconds=1)


def waiting(store: Store) -> dict[str, datetime]:
    """Key and time of each attempt that will be woken, however late."""
    _, found = store.due(datetime.max.replace(tzinfo=UTC), 10_000)
    return dict(found)
