"""What a command asks of the callbacks, wherever they are: the store of this machine, or a desk by HTTP.

command ─> Callbacks ─┬─ LocalCallbacks    the store itself, where no desk runs
                      └─ RemoteCallbacks   the API of a desk
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from vad_agent.callbacks.attempt_store import Attempt
from vad_agent.callbacks.model import Callback, Outcome
from vad_agent.callbacks.queries import Change, Promise

ID_LENGTH = 12
"""Of a whole id."""
NOT_BY_HTTP = (
    "a desk has the callbacks, and this works on the store itself: stop the desk, or keep the "
    "callbacks on PostgreSQL"
)


@dataclass(frozen=True, slots=True)
class CallbackDetails:
    """A callback and all that happened to it."""

    callback: Callback
    attempts: tuple[Attempt, ...]
    history: tuple[Change, ...]
    calls: tuple[str, ...]


class Backend(Protocol):
    """All callbacks of a centre.

    Each method raises `StoreError` where they cannot be had now, `RuleError` where a rule refuses the change,
    `NumberError` where a number is none.
    """

    attempts: int | None
    """Of a callback, by the centre's rules; None: a desk elsewhere does not tell."""
    overdue_s: float
    """So long after its time a callback is overdue."""
    rings: bool
    """A desk has them: what is due is rung."""

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """The next due first, ended ones last. `which`: open, ended, a state's value; None: all."""

    def beginning(self, text: str) -> list[Callback]:
        """Those whose ids begin so; a whole id gives one or none."""

    def get(self, id: str) -> CallbackDetails:
        """One, with all that happened to it."""

    def done(self, id: str, outcome: Outcome, why: str) -> Callback:
        """An attempt ended so."""

    def cancel(self, id: str, why: str) -> Callback:
        """Take it back."""

    def retry(self, id: str, why: str) -> Callback:
        """All attempts anew."""

    def set_number(self, id: str, phone: str) -> Callback:
        """Give it a number; the answer is another callback where the client has one already."""

    def set_time(self, id: str, at: str) -> Callback:
        """Agree on another time, ISO 8601."""

    def client_called(self, phone: str) -> Callback | None:
        """The client has rung himself: his open callback is closed; None: he has none."""

    def promise(self) -> Promise:
        """Are all requests accounted for?"""

    def all(self) -> Iterable[Callback]:
        """Every callback, the oldest first."""

    def erase(self, days: float) -> int:
        """Erase what is personal in those that ended so long ago; of how many."""
