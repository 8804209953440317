"""What a row of the script does: its rungs are climbed in order, one step at a time.

armed ──window──> step ──said──> next rung ──window──> step ──said──> … ──> the call ends
                   └─ interrupted by the client: disarmed; the dialogue goes on
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from vad_agent.core.script import Scenario, Step, Window


class StepState(Enum):
    """Where a step stands."""

    ASKED = auto()
    """The player was told; no sound yet."""
    PLAYING = auto()
    CUED = auto()
    """The operator was shown what to say."""
    BY_OPERATOR = auto()
    """The operator is saying it."""


@dataclass(slots=True)
class StepRun:
    """One rung being carried out. Frames."""

    prompt: str
    text: str
    window: Window
    state: StepState
    base: int
    """What the window is measured from."""
    asked: int
    started: int | None = None

    def silence(self, now: int) -> int:
        """Silence before its first sample, or up to now."""
        return (now if self.started is None else self.started) - self.base


class Escalation:
    """The armed scenario and how far it was climbed."""

    def __init__(self) -> None:
        self.scenario: Scenario | None = None
        self.climbed = 0
        """Rungs that were said."""

    def arm(self, scenario: Scenario | None) -> None:
        """Arm a scenario at its first rung; the one that is armed already goes on."""
        if scenario is not self.scenario:
            self.scenario = scenario
            self.climbed = 0

    def disarm(self) -> None:
        """Forget what was climbed."""
        self.scenario = None
        self.climbed = 0

    def advance(self) -> bool:
        """A rung was said; False: it was the last one."""
        self.climbed += 1
        return self.rung is not None

    @property
    def rung(self) -> Step | None:
        """The rung to be said next."""
        if self.scenario is None or self.climbed >= len(self.scenario.rungs):
            return None
        return self.scenario.rungs[self.climbed]

    @property
    def last(self) -> bool:
        """The next rung is the farewell."""
        return self.scenario is not None and self.climbed == len(self.scenario.rungs) - 1
