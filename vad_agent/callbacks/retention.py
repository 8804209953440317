"""Erases personal data that is no longer needed: names, numbers and topics of callbacks that ended
long ago, and the traces of calls of that time.

The callback itself, its attempts and its history stay, because the totals must add up for ever. A
call's steps stay too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from vad_agent.callbacks import model
from vad_agent.callbacks.row_mapping import PERSONAL
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import callbacks, calls, client_calls, requests
from vad_agent.callbacks.unit_of_work import Actor, locked
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

_ENDED = tuple(state.value for state in model.ENDED)


def erase(store: Store, days: float, by: Actor) -> int:
    """Erase names, numbers, topics and traces of what ended at least `days` ago. Return the number
    of callbacks.

    Raises:
        StoreError: the database cannot be used.
    """
    limit = by.at - timedelta(days=days)
    kept = sa.or_(*(callbacks.c[name].isnot(None) for name in (*PERSONAL, "client")))
    query = locked(
        sa.select(callbacks.c.id).where(
            callbacks.c.state.in_(_ENDED), callbacks.c.ended <= limit, kept
        )
    )

    def work(c: sa.Connection) -> tuple[int, int]:
        ids = list(c.execute(query).scalars())
        for id in ids:
            nothing = dict.fromkeys((*PERSONAL, "client"))
            c.execute(callbacks.update().where(callbacks.c.id == id).values(**nothing))
            c.execute(requests.update().where(requests.c.callback == id).values(body=None))
            store.tell(c, id, "erased", by, {})
        c.execute(client_calls.delete().where(client_calls.c.at <= limit))
        return len(ids), _erase_lines(c, limit)

    erased, calls_erased = store.transaction(work)
    if erased or calls_erased:
        store.database.forget()
    return erased


def _erase_lines(c: sa.Connection, limit: datetime) -> int:
    """Erase the traces of calls that ended before `limit`. Return their number.

    A callback that such a trace still asks for can no longer be made, and is no longer counted as lost.
    """
    query = sa.select(calls.c.call, calls.c.began, calls.c.seconds)
    query = query.where(calls.c.lines.isnot(None), calls.c.began <= limit)
    ended = [
        call
        for call, began, seconds in c.execute(locked(query))
        if began + timedelta(seconds=seconds) <= limit
    ]
    for call in ended:
        c.execute(calls.update().where(calls.c.call == call).values(lines=None, owed=None))
    return len(ended)
