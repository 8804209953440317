"""Configuration of the Naumen dialer: address, account, and the meaning of the project's states.

Each project names its own states: the defaults are only a start, and each is a setting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vad_agent.callbacks.dialers.http_transport import LIMIT_S
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import SettingsError

OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {
        "reached": Outcome.REACHED,
        "no_answer": Outcome.NO_ANSWER,
        "busy": Outcome.BUSY,
        "answering_machine": Outcome.MACHINE,
        "lost": Outcome.LOST,
        "failed": Outcome.FAILED,
        "cancelled": Outcome.FAILED,
        "operator_unavailable": Outcome.OPERATOR_UNAVAILABLE,
    }
)
ZONE = re.compile(r"GMT[+-]\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class NaumenConfig:
    """The project and the account: a password, or an API key.

    Raises:
        SettingsError: some fields are wrong; one problem for each.
    """

    url: str
    """`https://host:port`."""
    project: str
    """An outbound project that exports adjourned cases to the dialler, and rings each once."""
    user: str
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    run_as: str | None = None
    """Login on whose behalf a superuser's account acts."""
    adjourn_calls: bool = True
    """First adjourn the call itself, if its session is known."""
    adjourned_state: str = "adjourned"
    ringing_states: frozenset[str] = frozenset({"ringing", "in_progress"})
    """States of a case that the dialler has already taken: the case is left alone."""
    cancelled_state: str = "cancelled"
    outcomes: Mapping[str, Outcome] = field(default_factory=lambda: OUTCOMES)
    """The outcome of each final state. An unlisted state counts as under way, and is logged."""
    timezone: str = "GMT+03:00"
    """The clients' time zone, by which Naumen keeps its own quiet hours."""
    priority: int | None = None
    title: str = "Обратный звонок"
    poll_s: float = 5.0
    limit_s: float = LIMIT_S
    """Seconds per try; there are three tries."""
    pause_s: float = 0.3
    """Seconds before the second try; twice that before the third."""

    def __post_init__(self) -> None:
        problems = []
        if (self.password is None) == (self.api_key is None):
            problems.append("password, api_key: expected one of them")
        in_headers = {"api_key": self.api_key, "run_as": self.run_as}
        if self.api_key is not None:
            in_headers["user"] = self.user
        problems += [
            f"{name}: expected letters of ASCII alone, as it is sent in a header"
            for name, value in in_headers.items()
            if value is not None and not (value.isascii() and value.isprintable() and value)
        ]
        if not ZONE.fullmatch(self.timezone):
            problems.append(f"timezone: expected GMT+03:00 or the like, got {self.timezone!r}")
        if set(self.outcomes) & self.rung_states:
            problems.append("outcomes: a state of a case under way cannot be a final one")
        if problems:
            raise SettingsError("naumen", problems)

    @property
    def rung_states(self) -> frozenset[str]:
        """States in which a case is dialled, now or soon."""
        return self.ringing_states | {self.adjourned_state}
