"""The port through which commands access callbacks: this machine's store, or a desk by HTTP.

command ─> Backend ─┬─ LocalBackend    the store itself, if no desk runs
                    └─ HttpBackend     the API of a desk
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the store is not loaded where a desk answers
    from vad_agent.callbacks.attempt_store import Attempt
    from vad_agent.callbacks.call_store import LostCall
    from vad_agent.callbacks.model import Callback, Outcome
    from vad_agent.callbacks.queries import Change, Promise, RequestEntry

ID_LENGTH = 12
"""Length of a whole id."""
NOT_BY_HTTP = (
    "a desk has the callbacks, and this works on the store itself: stop the desk, or keep the "
    "callbacks on PostgreSQL"
)


@dataclass(frozen=True, slots=True)
class CallbackDetails:
    """A callback with its history."""

    callback: Callback
    attempts: tuple[Attempt, ...]
    history: tuple[Change, ...]
    calls: tuple[str, ...]
    requests: tuple[RequestEntry, ...] = ()
    """Empty: a desk of an earlier version does not report them."""


class Backend(Protocol):
    """All callbacks of a centre.

    Each method raises `StoreError` if they cannot be accessed now, `RuleError` if the change is not
    allowed, `NumberError` if a number is not valid.
    """

    attempts: int | None
    """Maximum attempts of a callback; None: a desk elsewhere does not report it."""
    overdue_s: float
    """Seconds after its time at which a callback is overdue."""
    rings: bool
    """A desk has the callbacks: it dials what is due."""

    @property
    def zone(self) -> tzinfo:
        """The centre's time zone, in which times are shown."""

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """Callbacks, the next due first, ended ones last.

        `which`: open, ended, a state's value; None: all. `operator`: that operator's, anybody's, and
        what is offered to them now.
        """

    def find(self, id: str) -> Callback | None:
        """The callback with this id. None: there is none."""

    def get(self, id: str) -> CallbackDetails:
        """A callback with its history."""

    def accept(self, id: str, operator: str) -> Callback:
        """The operator calls by hand; `RuleError` if another operator has it."""

    def done(
        self,
        id: str,
        outcome: Outcome,
        why: str,
        *,
        key: str | None = None,
        settles: bool = False,
    ) -> Callback:
        """Report an attempt's outcome; as `CallbackService.done`."""

    def cancel(self, id: str, why: str) -> Callback:
        """Cancel the callback."""

    def retry(self, id: str, why: str) -> Callback:
        """Start all attempts anew."""

    def set_number(self, id: str, phone: str) -> Callback:
        """Set the number. Returns another callback if the client already has one."""

    def set_time(self, id: str, at: str) -> Callback:
        """Set another agreed time, ISO 8601."""

    def set_operator(self, id: str, operator: str | None, why: str) -> Callback:
        """Hand the callback over; None: to anybody."""

    def client_called(self, phone: str, operator: str | None = None) -> Callback | None:
        """The client has called: close their open callback. None: there is none.

        `operator`: only theirs, or nobody's; `RuleError` if another operator has it.
        """

    def promise(self) -> Promise:
        """The counts of all requests."""

    def lost_calls(self) -> list[LostCall]:
        """Calls whose trace asks for a callback that nobody has requested."""

    def make(self, call: str) -> Callback:
        """Make the callback that the call's trace asks for."""

    def all(self) -> Iterable[Callback]:
        """Every callback, oldest first."""

    def erase(self, days: float) -> int:
        """Erase personal data of callbacks that ended at least `days` ago. Return their number."""
