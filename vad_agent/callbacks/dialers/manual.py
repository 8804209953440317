"""Dialer without telephony: a person is notified, accepts the offer, calls by hand, and reports the
outcome to the desk.

Nothing is sent, so nothing can fail. Notifying a person twice rings nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vad_agent.callbacks.dialers.base import (
    DialRequest,
    DialUncertain,
    Ended,
    Offered,
    OutcomeReporter,
    Unknown,
)


class ManualDialer:
    """Every attempt is offered until a person accepts it, and under way until its outcome is reported.
    Both are told to the desk, not to this dialer.

    `tell`: notifies the person.
    """

    name: ClassVar[str] = "manual"

    def __init__(self, tell: Callable[[DialRequest], None] = lambda dial_request: None) -> None:
        self._tell = tell

    def dial(self, dial_request: DialRequest) -> Offered | Ended:
        """Notify the person."""
        self._tell(dial_request)
        return Offered(self.name)

    def status(self, key: str, reference: str) -> Offered | Ended | Unknown:
        """Offered if the attempt was shown; otherwise nobody was notified yet.

        Raises:
            DialUncertain: the attempt belongs to another dialer.
        """
        if reference == self.name:
            return Offered(reference)
        if reference:
            raise DialUncertain("manual: the attempt was begun by another dialer: ask there")
        return Unknown()

    def hang_up(self, key: str, reference: str) -> None:
        """Do nothing: only the person knows whether they are already calling."""

    def open(self, report: OutcomeReporter) -> None:
        """Nothing to receive: outcomes come through the desk."""

    def close(self) -> None:
        """Nothing was opened."""
