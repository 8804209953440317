"""Notifies pages of changed callbacks, so that 200 open pages query only when something has changed.

    history ── once a second, new rows ──┐
    offers ── who may see each of them ──┴─> a growing number per operator ──> the streams of their pages

Changes that this misses, for example while the database is unavailable, a page finds by its own
slow polling.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from vad_agent.callbacks.model import Callback, State
from vad_agent.callbacks.offers import Audience
from vad_agent.callbacks.row_mapping import from_row
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import callbacks, history
from vad_agent.common.identity import folded
from vad_agent.common.periodic import Periodic
from vad_agent.errors import StoreError, extra

with extra("callbacks", "the panel"):
    import sqlalchemy as sa

log = logging.getLogger(__name__)

LOOK_S = 1.0
MOST = 1000
"""Changes in one poll; if there are more, all pages query."""


class CallbackChangePoller:
    """The poller of one store, up to date from `start` until `close`.

    `audiences`: to whom each of some offered callbacks is offered now, by id; see
    `CallbackService.audiences`.

    Raises:
        StoreError: the database cannot be used.
    """

    def __init__(
        self,
        store: Store,
        audiences: Callable[[Iterable[Callback]], Mapping[str, Audience]] = lambda _: {},
    ) -> None:
        self._database = store.database
        self._encryption = store.encryption
        self._audiences = audiences
        self._offered: Mapping[str, Audience] = {}
        self._widened = 0
        """How often an offer got another audience."""
        with self._database.reading() as c:
            self._last = int(c.execute(sa.select(sa.func.max(history.c.id))).scalar() or 0)
        self._of: dict[str, int] = {}
        self._everybodys = self._last
        self._away = False
        self._beat = Periodic("callback-news", LOOK_S, self._try)

    def start(self) -> None:
        """Start polling."""
        self._beat.start()

    def close(self) -> None:
        """Stop polling."""
        self._beat.close()

    def number(self, operator: str) -> int:
        """A number that grows when a callback of this operator, or of nobody, has changed. Never blocks."""
        return max(self._everybodys, self._of.get(folded(operator), 0)) + self._widened

    def look(self) -> None:
        """Poll for new changes.

        Raises:
            StoreError: the database cannot be used now.
        """
        query = (
            sa.select(history.c.id, history.c.what, history.c.change, callbacks.c.operator)
            .select_from(history.join(callbacks, history.c.callback == callbacks.c.id))
            .where(history.c.id > self._last)
            .order_by(history.c.id)
            .limit(MOST)
        )
        offers = sa.select(callbacks).where(callbacks.c.state == State.OFFERED.value)
        with self._database.reading() as c:
            found = c.execute(query).all()
            rows = c.execute(offers).mappings().all()
        before = self._offered
        self._offered = self._audiences([from_row(row, self._encryption) for row in rows])
        if any(before.get(id, step) != step for id, step in self._offered.items()):
            self._widened += 1
        for id, what, change, operator in found:
            self._last = id
            moved = what != "taken" and "operator" in change  # the old owner's page shows it
            moved |= "offered" in change.get("state", ())  # others may see an offer
            if moved or not operator or len(found) == MOST:
                self._everybodys = id
            else:
                self._of[folded(operator)] = id

    def _try(self) -> None:
        try:
            self.look()
            self._away = False
        except StoreError:
            if not self._away:
                log.warning("changes of callbacks cannot be queried: pages poll instead")
            self._away = True
