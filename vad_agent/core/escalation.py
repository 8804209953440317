"""Escalation: the steps of an armed scenario are carried out in order, one at a time.

armed ──window──> step ──said──> next step ──window──> step ──said──> … ──> the call ends
               └─ interrupted by the client: disarmed; the dialogue goes on
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from vad_agent.core.script import Scenario, Step, Window


class StepState(Enum):
    """The state of a step that is being carried out."""

    ASKED = auto()
    """The player was asked to play it; no sound yet."""
    PLAYING = auto()
    CUED = auto()
    """The operator is shown what to say."""
    BY_OPERATOR = auto()
    """The operator is saying it."""


@dataclass(slots=True)
class StepRun:
    """One step that is being carried out. Times are frames."""

    prompt: str
    text: str
    window: Window
    state: StepState
    base: int
    """The frame from which the window is measured."""
    asked: int
    started: int | None = None

    def silence(self, now: int) -> int:
        """Frames of silence before its first sample, or up to `now` if it has not begun."""
        return (now if self.started is None else self.started) - self.base


class Escalation:
    """The armed scenario and the number of steps done."""

    def __init__(self) -> None:
        self.scenario: Scenario | None = None
        self.done = 0
        """Number of steps that were said."""

    def arm(self, scenario: Scenario | None) -> None:
        """Arm a scenario at its first step. A scenario that is already armed continues."""
        if scenario is not self.scenario:
            self.scenario = scenario
            self.done = 0

    def disarm(self) -> None:
        """Disarm, and forget the steps done."""
        self.scenario = None
        self.done = 0

    def advance(self) -> bool:
        """Count the step as said. False: it was the last one."""
        self.done += 1
        return self.next_step is not None

    @property
    def next_step(self) -> Step | None:
        """The next step to be said."""
        if self.scenario is None or self.done >= len(self.scenario.steps):
            return None
        return self.scenario.steps[self.done]

    @property
    def last(self) -> bool:
        """The next step is the farewell."""
        return self.scenario is not None and self.done == len(self.scenario.steps) - 1
