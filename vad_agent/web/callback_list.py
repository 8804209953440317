"""The list of callbacks as an address asks for it: filters, order and page.

?state=overdue&operator=anna&reason=dropped&sort=-created&page=2        "-": the other way round
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from vad_agent.callbacks.callback_filters import Order
from vad_agent.callbacks.queries import Which
from vad_agent.trace.labels_ru import REASONS

ANYBODY = "*"
"""Instead of a login: callbacks that anybody may take."""
MOST_PAGES = 10_000
FIRST = "page", "1"


@dataclass(frozen=True, slots=True)
class CallbackListQuery:
    """Which callbacks are listed. "" and None: all."""

    which: Which | None = None
    operator: str = ""
    reason: str | None = None
    order: Order = Order.NEXT
    is_reversed: bool = False
    page: int = 1

    @classmethod
    def of(
        cls,
        state: str | None = None,
        operator: str | None = None,
        reason: str | None = None,
        sort: str | None = None,
        page: str | None = None,
    ) -> CallbackListQuery:
        """From an address. What is not known counts as not given."""
        order = (sort or "").removeprefix("-")
        number = int(page) if page and page.isascii() and page.isdigit() and len(page) < 6 else 1
        return cls(
            which=next((one for one in Which if one.value == state), None),
            operator=(operator or "").strip(),
            reason=reason if reason in REASONS else None,
            order=next((one for one in Order if one.value == order), Order.NEXT),
            is_reversed=(sort or "").startswith("-") and order in tuple(Order),
            page=min(max(1, number), MOST_PAGES),
        )

    @property
    def sort(self) -> str:
        """The order, as in an address."""
        return f"-{self.order.value}" if self.is_reversed else self.order.value

    @property
    def is_filtered(self) -> bool:
        """Some callbacks are left out by a filter other than that of states."""
        return bool(self.operator or self.reason)

    @property
    def parts(self) -> dict[str, str]:
        """Its part of an address."""
        return {
            "state": self.which.value if self.which else "",
            "operator": self.operator,
            "reason": self.reason or "",
            "sort": "" if self.sort == Order.NEXT.value else self.sort,
            "page": str(self.page),
        }

    def address(self, period: Mapping[str, str], **changes: str | None) -> str:
        """`?…` with the period and with changes; another filter or order begins at the first page."""
        parts = dict(period) | self.parts
        if changes and "page" not in changes:
            del parts["page"]
        parts |= {name: value or "" for name, value in changes.items()}
        told = {name: value for name, value in parts.items() if value and (name, value) != FIRST}
        return f"?{urlencode(told, safe=':')}"

    def toggled(self, order: Order) -> str:
        """The `sort` of a link in a column's head: by it, or the other way round."""
        if order is self.order and not self.is_reversed:
            return f"-{order.value}"
        return order.value
