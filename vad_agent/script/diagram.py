"""Draws the script as a Mermaid state diagram, from the same rows that a call uses.

A state is a phase, a prompt or a requested callback. An arrow shows its condition and the seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from vad_agent.core.actions import Phase
from vad_agent.core.frames import seconds
from vad_agent.core.script import ClockSource, Scenario, Script, Step, Window

ANY_PHASE = "any_phase"
CLIENT_SPEAKS = "the client speaks"


def mermaid(script: Script) -> str:
    """The script as Mermaid `stateDiagram-v2` text, times in s; the same for equal scripts."""
    return "\n".join(_lines(script)) + "\n"


def _lines(script: Script) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {Phase.GREETING}"
    yield f"    {Phase.GREETING} --> {Phase.DIALOGUE} : {CLIENT_SPEAKS}"
    yield f"    {Phase.DIALOGUE} --> {Phase.ON_HOLD} : hold"
    yield f"    {Phase.ON_HOLD} --> {Phase.DIALOGUE} : hold ends"
    if any(scenario.phase is None for scenario in script.scenarios.values()):
        yield f'    state "any phase" as {ANY_PHASE}'
    for scenario in script.scenarios.values():
        yield ""
        yield from _scenario(scenario)
    yield f"    {Phase.ENDED} --> [*]"


def _scenario(scenario: Scenario) -> Iterator[str]:
    name = scenario.reason.value
    yield f"    %% {name}"
    at: str = scenario.phase or ANY_PHASE
    cause = scenario.trigger.value
    for number, step in enumerate(scenario.steps, start=1):
        # Numbered, because a prompt may occur in two scenarios, or twice in one.
        state = f"{name}_{number}"
        yield f'    state "{step.prompt}" as {state}'
        after = _after(step, scenario.clock)
        yield f"    {at} --> {state} : {f'{cause}, {after}' if cause else after}"
        if scenario.client_resets:
            yield f"    {state} --> {Phase.DIALOGUE} : {CLIENT_SPEAKS}"
        at, cause = state, ""
    callback = f"{name}_callback"
    yield f'    state "{name}, callback {_delay(scenario.callback_in_s)}" as {callback}'
    yield f"    {at} --> {callback} : {cause or 'the last phrase is said'}"
    yield f"    {callback} --> {Phase.ENDED}"


def _after(step: Step, clock: ClockSource | None) -> str:
    text = f"{_span(step.window)} of {clock or ClockSource.SILENCE}"
    return (
        f"{text} ({_span(step.dead_line_window)} on a dead line)" if step.dead_line_window else text
    )


def _span(window: Window) -> str:
    return f"{_number(seconds(window.lo))}–{_number(seconds(window.hi))} s"


def _delay(callback_in_s: float | None) -> str:
    match callback_in_s:
        case None:
            return "at the agreed time"
        case 0:
            return "at once"
    return f"in {_number(callback_in_s)} s"


def _number(value: float) -> str:
    """The number to the frame, without trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
