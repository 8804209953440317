"""No telephony: a person is told, rings, and reports the outcome at the desk.

Nothing is sent, so nothing can fail; telling a person twice rings nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vad_agent.callbacks.dialers.base import (
    DialRequest,
    DialUncertain,
    Ended,
    Report,
    Ringing,
    Unknown,
)


class ManualDialer:
    """Every attempt is under way until its outcome is told to the desk, not to this dialer.

    `tell`: tells the person.
    """

    name: ClassVar[str] = "manual"

    def __init__(self, tell: Callable[[DialRequest], None] = lambda dial_request: None) -> None:
        self._tell = tell

    def dial(self, dial_request: DialRequest) -> Ringing | Ended:
        """The person knows from now on."""
        self._tell(dial_request)
        return Ringing(self.name)

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """Under way where it was shown; otherwise nobody was told yet.

        Raises:
            DialUncertain: the attempt is another dialer's.
        """
        if reference == self.name:
            return Ringing(reference)
        if reference:
            raise DialUncertain("manual: the attempt was begun by another dialer: ask there")
        return Unknown()

    def hang_up(self, key: str, reference: str) -> None:
        """Nobody else knows whether he is ringing already."""

    def open(self, report: Report) -> None:
        """Outcomes come through the desk: there is nothing to listen to."""

    def close(self) -> None:
        """Nothing was opened."""
