"""A replay that asks for the callbacks, as the live call did or would have done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from vad_agent.core.actions import Action, Phase, PhaseChanged


def asking(actions: Iterable[Action], folder: Path, call: str) -> Iterator[Action]:
    """The actions; what one asks for is on the disk before it is passed on.

    Raises:
        OutputError: the folder cannot be made, or a letter not be written.
    """
    from vad_agent.callbacks.outbox import Outbox
    from vad_agent.headset.callback_publisher import CallbackPublisher

    outlet = CallbackPublisher(Outbox(folder).post)
    outlet.begin(call, datetime.now())
    for action in actions:
        outlet.take([action])
        if isinstance(action, PhaseChanged) and action.phase is Phase.ENDED:
            outlet.end()
        yield action
    outlet.end()
