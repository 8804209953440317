"""Filters and orders of a list of callbacks, as parts of a query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vad_agent.callbacks.model import State
from vad_agent.callbacks.tables import callbacks
from vad_agent.callbacks.unit_of_work import OPEN_STATES
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa


class Order(StrEnum):
    """What a list is sorted by. Callbacks that are alike in it follow each other as by `NEXT`."""

    NEXT = "next"
    """Open ones, the next due first, then those without a time; then ended ones, the newest first."""
    CREATED = "created"
    OPERATOR = "operator"
    STATE = "state"
    """As the states follow each other."""
    ATTEMPT = "attempt"


@dataclass(frozen=True, slots=True)
class CallbackFilters:
    """Which callbacks of a period, and in which order. The filter of states is `queries.Which`."""

    operators: tuple[str, ...] | None = None
    """Logins as stored; (): those of nobody. None: of all."""
    reason: str | None = None
    order: Order = Order.NEXT
    is_reversed: bool = False

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Conditions of a query of `tables.callbacks`."""
        found: list[sa.ColumnElement[bool]] = []
        if self.operators:
            found.append(callbacks.c.operator.in_(self.operators))
        elif self.operators is not None:
            found.append(sa.func.coalesce(callbacks.c.operator, "") == "")
        if self.reason is not None:
            text = sa.cast(callbacks.c.reasons, sa.Text)
            found.append(text.contains(json.dumps(self.reason), autoescape=True))
        return found

    @property
    def ordering(self) -> list[sa.ColumnElement[Any]]:
        """Columns to order by; no two callbacks are alike in all of them."""
        if self.order is Order.NEXT and not self.is_reversed:
            return list(BY_NEXT)
        key: sa.ColumnElement[Any] = callbacks.c[self.order.value]
        if self.order is Order.STATE:
            places = {state.value: place for place, state in enumerate(State)}
            key = sa.case(places, value=callbacks.c.state)
        first = [OPEN_FIRST] if self.order is Order.NEXT else []
        missing_last = sa.case((key.is_(None), 1), else_=0)
        return [*first, missing_last, sa.desc(key) if self.is_reversed else key, *BY_NEXT]


OPEN_FIRST = sa.case((callbacks.c.state.in_(OPEN_STATES), 0), else_=1)
BY_NEXT: tuple[sa.ColumnElement[Any], ...] = (
    OPEN_FIRST,
    sa.case((callbacks.c.next.is_(None), 1), else_=0),
    callbacks.c.next,
    callbacks.c.created.desc(),
    callbacks.c.id,
)
