"""Erasing what is personal once it is not needed: names, numbers and topics of callbacks that ended long ago.

The callback itself, its attempts and its history stay: the promise must add up for ever.
"""

from __future__ import annotations

from datetime import timedelta

from vad_agent.callbacks import rules
from vad_agent.callbacks.rows import PERSONAL
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import callbacks, requests
from vad_agent.callbacks.transactions import By, locked
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

_ENDED = tuple(state.value for state in rules.ENDED)


def erase(store: Store, days: float, by: By) -> int:
    """Erase names, numbers and topics of what ended `days` and more ago; how many callbacks.

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

    def work(c: sa.Connection) -> int:
        ids = list(c.execute(query).scalars())
        for id in ids:
            nothing = dict.fromkeys((*PERSONAL, "client"))
            c.execute(callbacks.update().where(callbacks.c.id == id).values(**nothing))
            c.execute(requests.update().where(requests.c.callback == id).values(body=None))
            store.tell(c, id, "erased", by, {})
        return len(ids)

    erased = store.transaction(work)
    if erased:
        store.database.forget()
    return erased
