"""The product on a rendered call: `CallSession` through `Replay`, as `vad-agent replay` does it."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.accuracy.labels import RATE
from benchmarks.calls.recipe_sampling import settings
from benchmarks.calls.render import Pair, RenderedCall
from vad_agent.core.actions import Action
from vad_agent.core.events import Event
from vad_agent.core.session import CallSession
from vad_agent.trace.event_files import TimedEvent
from vad_agent.trace.replay import Replay
from vad_agent.trace.trace_format import record


def events(call: RenderedCall) -> list[TimedEvent]:
    """The call's events at their times."""
    return [TimedEvent(at, Event.parse(dict(told))) for at, told in call.recipe.events]


def actions(call: RenderedCall, pairs: Iterable[Pair]) -> Iterable[Action]:
    """What the session does, to the call's end."""
    session = CallSession(settings(), RATE, mode="auto")
    return Replay(session, settings(), events(call)).run(pairs)


def by_product(call: RenderedCall) -> list[dict[str, object]]:
    """The trace of the call."""
    return [line for action in actions(call, call.pairs()) if (line := record(action)) is not None]
